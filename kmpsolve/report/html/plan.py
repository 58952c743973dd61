"""A plan as a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from markupsafe import Markup

from kmpsolve.explain.graph import Explanation, Root, explain
from kmpsolve.explain.story import Stories, Story
from kmpsolve.model.clock import now
from kmpsolve.model.plan import FlavorPlan, Plan, Verdict, WayOut
from kmpsolve.report.html.charts import heatmap, timeline
from kmpsolve.report.html.page import Badge, Section, render_page, render_part
from kmpsolve.report.html.picture import picture
from kmpsolve.report.prose import sentences
from kmpsolve.report.text import flavor_verdict, kmp_details
from kmpsolve.report.words import evr, listed, plural, unmanaged_notes

__all__ = ["BADGES", "flavor_sections", "marks_of", "render_html"]

BADGES: dict[Verdict, Badge] = {
    "safe": "good",
    "nothing-to-do": "good",
    "unverified": "doubt",
    "blocked": "bad",
}
_ORDER: tuple[Verdict, ...] = ("blocked", "unverified", "safe", "nothing-to-do")
_DECISIONS: dict[str, Badge] = {"blocked": "bad", "unverified": "doubt"}
_MOST_SYMBOLS = 20_000
"""Rows of symbols on one page; the rest is a command away."""


def render_html(plan: Plan, stories: Stories) -> str:
    """One page about a plan.

    Parameters
    ----------
    stories
        Of all KMPs.
    """
    sections: list[Section] = []
    flavors = sorted(plan.flavors, key=lambda flavor: _ORDER.index(flavor.verdict))
    for flavor in flavors:
        sections += flavor_sections(plan, flavor, stories)
    sections.append(Section(id="inputs", title="What was read", body=_inputs(plan)))
    lead = [f"kernel-{f.flavor}: {flavor_verdict(f)}." for f in flavors] if len(flavors) > 1 else []
    lead += [_change(flavor) for flavor in flavors]
    verdict = flavor_verdict(flavors[0])
    if len(flavors) > 1:
        worst = [f"kernel-{flavor.flavor}" for flavor in flavors if flavor.verdict == plan.verdict]
        verdict = f"{plan.verdict.replace('-', ' ').upper()}: {listed(worst)}"
    return render_page(
        title="kmpsolve plan", verdict=verdict, badge=BADGES[plan.verdict], lead=lead, sections=sections
    )


def _change(flavor: FlavorPlan) -> str:
    current = flavor.current[0].nevra
    if flavor.target is None:
        return f"{current} is the newest kernel."
    if flavor.target.repository is None:
        return f"{flavor.target.nevra} is installed and boots next."
    text = f"{current} would be followed by {flavor.target.nevra} from {flavor.target.repository}."
    if flavor.verdict == "blocked" and flavor.zypper_would.target == flavor.target.nevra:
        text += " zypper up by itself would install it."
    return text


def marks_of(flavor: FlavorPlan) -> dict[str, set[str]]:
    """NEVRA of a kernel -> ``safe`` (newest safe), ``target``, ``running``."""
    marks: dict[str, set[str]] = {}
    if flavor.newest_safe is not None:
        marks.setdefault(flavor.newest_safe, set()).add("safe")
    if flavor.target is not None:
        marks.setdefault(flavor.target.nevra, set()).add("target")
    for kernel in flavor.current:
        if kernel.running:
            marks.setdefault(kernel.nevra, set()).add("running")
    return marks


def flavor_sections(plan: Plan, flavor: FlavorPlan, stories: Stories) -> Iterator[Section]:
    """The sections about one flavor."""
    f = flavor.flavor
    several = len(plan.flavors) > 1
    of = f" (kernel-{f})" if several else ""
    told = {name: story for (owner, name), story in stories.items() if owner == f}
    explanation = explain(flavor, plan.inputs, stories) if flavor.verdict == "blocked" else None
    if explanation is not None and explanation.roots:
        body = Markup().join(_why(plan, flavor, explanation, told))
        yield Section(id=f"why-{f}", title=f"Why it is blocked{of}", body=body)
    if flavor.ways_out:
        body = render_part("ways", entries=[_way(way) for way in flavor.ways_out])
        yield Section(id=f"ways-{f}", title=f"What you can do{of}", body=body)
    elif plan.command is not None and flavor.target is not None:
        way = {"text": "Do it, with every KMP that belongs to it:", "command": plan.command, "held": ""}
        yield Section(id=f"ways-{f}", title=f"What to do{of}", body=render_part("ways", entries=[way]))
    notes = [w.message for w in flavor.warnings] + [w.message for kmp in flavor.kmps for w in kmp.warnings]
    if flavor.modules_lost:
        notes.append(f"the new kernel no longer ships {listed(flavor.modules_lost)}, and no KMP replaces it")
    notes += unmanaged_notes(flavor)
    if notes:
        body = render_part("prose", title="", paragraphs=list(dict.fromkeys(notes)))
        yield Section(id=f"notes-{f}", title=f"Also{of}", body=body)
    if flavor.kmps:
        yield Section(id=f"kmps-{f}", title=f"Every KMP{of}", body=_kmps(flavor))
    if told:
        marks = marks_of(flavor)
        ordered = [told[name] for name in sorted(told)]
        yield Section(id=f"heat-{f}", title=f"KMPs and kernels{of}", body=_heat(f, ordered, marks))
        yield Section(id=f"time-{f}", title=f"Kernel by kernel{of}", body=timeline(ordered, marks))
    if flavor.boot_matrix and flavor.kmps:
        yield Section(id=f"boot-{f}", title=f"What each kernel boots with{of}", body=_boot(flavor))


def _way(way: WayOut) -> dict[str, Any]:
    held = "; ".join(", ".join(filter(None, (p["id"], p["severity"], *p["cves"]))) for p in way.held_patches)
    return {"text": way.text, "command": way.command, "held": held}


def _kmps(flavor: FlavorPlan) -> Markup:
    rows = []
    for kmp in sorted(flavor.kmps, key=lambda k: (k.decision != "blocked", k.name)):
        build, detail = kmp_details(kmp)
        badge = _DECISIONS.get(kmp.decision, "good")
        rows.append([kmp.name, {"text": kmp.decision, "badge": badge}, build, detail])
    heads = ["KMP", "decision", "build", "because"]
    return render_part(
        "table", id=f"table-kmps-{flavor.flavor}", caption="The decision for each KMP", heads=heads, rows=rows
    )


def _why(
    plan: Plan, flavor: FlavorPlan, explanation: Explanation, told: Mapping[str, Story]
) -> Iterator[Markup]:
    left = _MOST_SYMBOLS
    for number, root in enumerate(explanation.roots):
        names = [kmp.name for kmp in root.kmps]
        story = told.get(names[0])
        paragraphs = (
            list(sentences(plan, flavor, story)) if story else [c.message for c in root.kmps[0].causes]
        )
        if len(names) > 1:
            paragraphs.append(f"The same holds for {listed(names[1:])}.")
        paragraphs += [f"{fall.name} goes down with it: it needs {fall.cause}." for fall in root.falls]
        title = listed(names) if len(names) < 6 else f"{names[0]} and {plural(len(names) - 1, 'other KMP')}"
        parts = [render_part("prose", title=title, paragraphs=paragraphs)]
        parts.append(_root_picture(explanation, root, title))
        mismatches = root.kmps[0].mismatches
        if mismatches and len(mismatches) <= left:
            left -= len(mismatches)
            parts.append(_symbols(f"symbols-{flavor.flavor}-{number}", root, story))
        elif mismatches:
            text = f"Its {plural(len(mismatches), 'symbol')} would make this page too large: "
            parts.append(render_part("prose", title="", paragraphs=[f"{text}kmpsolve explain {names[0]}"]))
        yield render_part("article", body=Markup().join(parts))


def _root_picture(explanation: Explanation, root: Root, title: str) -> Markup:
    import networkx as nx

    names = {kmp.name for kmp in root.kmps}
    falls = {fall.name for fall in root.falls}
    graph = explanation.graph
    tops = [n for n in graph if n.kind == "kmp" and (names & set(n.names) or falls & set(n.names))]
    kept = set(tops).union(*(nx.descendants(graph, top) for top in tops))
    return picture(
        graph.subgraph(kept).copy(), f"Causes: {title}", f"Picture of what the text above says of {title}"
    )


def _symbols(id_: str, root: Root, story: Story | None) -> Markup:
    rows = []
    for mismatch in sorted(root.kmps[0].mismatches, key=lambda m: (m.kind == "unknown", m.symbol)):
        maker = story.from_kmps.get(mismatch.symbol, "") if story else ""
        kernel = story.changed_in.get(mismatch.symbol) if story else None
        found = mismatch.found or "gone"
        if maker and mismatch.kind == "unknown":
            found = "not loaded"
        since = f"provided by {maker}" if maker else evr(kernel) if kernel else "never fitted"
        rows.append([mismatch.symbol, mismatch.kind, mismatch.wanted, found, since])
    heads = ["symbol", "kind", "wanted", "found", "changed in"]
    caption = f"Symbols of {root.kmps[0].name} that do not fit"
    return render_part("table", id=id_, caption=caption, heads=heads, rows=rows)


def _heat(flavor: str, stories: list[Story], marks: Mapping[str, set[str]]) -> Markup:
    kernels = [kernel.nevra for kernel in reversed(stories[0].kernels)]
    rows = [(story.entry.name, list(reversed(story.kernels))) for story in stories]
    caption = "Mismatched symbols of the best build of each KMP on each kernel, newest kernel first"
    return heatmap(f"heatmap-{flavor}", caption, kernels, marks, [("", rows)])


def _boot(flavor: FlavorPlan) -> Markup:
    rows = []
    for state in flavor.boot_matrix:
        for name, use in sorted(state.kmps.items()):
            badge: Badge = {"none": "bad", "unknown": "doubt"}.get(use.via, "good")  # type: ignore[assignment]
            rows.append(
                [state.uname_r, state.state, name, use.build or "-", {"text": use.via, "badge": badge}]
            )
    heads = ["kernel", "state", "KMP", "build", "via"]
    return render_part(
        "table",
        id=f"table-boot-{flavor.flavor}",
        caption="Which build serves each KMP after the update",
        heads=heads,
        rows=rows,
    )


def _inputs(plan: Plan) -> Markup:
    rows: list[list[Any]] = [
        [entry.alias, entry.source, f"{entry.packages}", _age(entry.timestamp), "read"]
        for entry in plan.inputs.repositories
    ]
    rows += [
        [entry.alias, "", "", "", {"text": f"not read: {entry.reason}", "badge": "bad"}]
        for entry in plan.inputs.skipped
    ]
    heads = ["repository", "source", "packages", "age", "state"]
    return render_part(
        "table",
        id="table-inputs",
        caption="Repositories and how old their metadata is",
        heads=heads,
        rows=rows,
    )


def _age(timestamp: int | None) -> str:
    if timestamp is None:
        return "unknown"
    days = max(0, now() - timestamp) // 86400
    return plural(days, "day") if days else "less than a day"
