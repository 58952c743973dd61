"""A plan as text: verdict first, cause before effect, numbers before adjectives, a way out to paste."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from kmpsolve.model.nevra import Nevra
from kmpsolve.model.plan import Attempt, FlavorPlan, KmpPlan, Mismatch, Plan, Verdict, WayOut
from kmpsolve.report.terminal import Terminal, Tone, printable
from kmpsolve.report.words import counted, evr, few, kinds, listed, plural, short_builds, unmanaged_notes

if TYPE_CHECKING:
    from kmpsolve.explain.graph import Fate, Root
    from kmpsolve.explain.story import Stories, Story

__all__ = ["TONES", "flavor_verdict", "kmp_details", "render_plan", "symbol_lines", "ways_out"]

_SHOWN_SYMBOLS = 3
_SHOWN_UNCHANGED = 8
_SHOWN_ROOTS = 8
TONES: dict[Verdict, Tone] = {
    "safe": "good",
    "nothing-to-do": "good",
    "unverified": "doubt",
    "blocked": "bad",
}
_FITS_BUT: dict[str, str] = {
    "vendor": "comes from another vendor",
    "lock": "is locked",
    "retracted": "was retracted",
    "architecture": "is for another architecture",
    "conflict": "conflicts with another package",
    "missing": "needs a package that is missing",
    "user-space": "is kept out by installed user space",
    "module-dropped": "lacks modules that are in use",
    "exact-kernel": "built for another kernel only",
    "signature": "is not signed as required",
}

_GRAVE = ("would-not-boot", "would-lose-network")
"""What a blocked plan says before anything else."""


def render_plan(plan: Plan, terminal: Terminal, stories: Stories | None = None) -> str:
    """The whole plan, a section a flavor.

    Parameters
    ----------
    terminal
        Width and colours.
    stories
        Of the blocked KMPs: with them, builds that fail alike are told together, and since when.
    """
    sections = ["\n".join(_flavor(plan, flavor, terminal, stories or {})) for flavor in plan.flavors]
    closing = list(_closing(plan, terminal))
    if closing:
        sections.append("\n".join(closing))
    return "\n\n".join(sections) + "\n"


def _flavor(plan: Plan, flavor: FlavorPlan, terminal: Terminal, stories: Stories) -> Iterator[str]:
    yield from _headline(flavor, terminal)
    grave = [w.message for kmp in flavor.kmps for w in kmp.warnings if w.reference in _GRAVE]
    for message in grave:
        yield from terminal.wrapped("  ", terminal.tone(message, "bad"))
    if flavor.kmps:
        yield ""
        yield from _kmp_table(flavor, terminal)
    if flavor.verdict == "blocked":
        # networkx, on which the graph is built, takes longer to import than most plans to make.
        from kmpsolve.explain.graph import explain

        told = {name: story for (of, name), story in stories.items() if of == flavor.flavor}
        explanation = explain(flavor, plan.inputs, stories)
        roots = explanation.roots
        for root in roots[:_SHOWN_ROOTS]:
            yield ""
            yield from _why(root, plan, flavor, terminal, told)
        if len(roots) > _SHOWN_ROOTS:
            yield ""
            left = plural(sum(len(root.kmps) for root in roots[_SHOWN_ROOTS:]), "more KMP")
            yield from terminal.wrapped(
                "", f"and {left} (above), each: kmpsolve explain KMP; all: --format html"
            )
        if not roots:
            for kmp in explanation.broken_before:
                yield ""
                reason = "was broken before this update: it works on no kernel that is installed"
                yield from terminal.wrapped("", f"{kmp.name} {reason}", hang=2)
                more = f"all: kmpsolve explain {printable(kmp.name)}"
                yield from symbol_lines(kmp.mismatches, terminal, told.get(kmp.name), more=more)
    if flavor.ways_out:
        yield ""
        yield terminal.tone("What you can do", "strong")
        yield from ways_out(flavor.ways_out, terminal)
    notes = [warning.message for warning in flavor.warnings]
    notes += [w.message for kmp in flavor.kmps for w in kmp.warnings if w.reference not in _GRAVE]
    if flavor.modules_lost:
        notes.append(f"the new kernel no longer ships {few(flavor.modules_lost)}, and no KMP replaces it")
    notes += unmanaged_notes(flavor)
    if notes:
        yield ""
        for note in dict.fromkeys(notes):
            yield from terminal.wrapped("Also: ", note)


def flavor_verdict(flavor: FlavorPlan) -> str:
    """The verdict on a flavor in a few words, with numbers."""
    total = len(flavor.kmps)
    if flavor.target is None:
        said = "nothing to do" if flavor.verdict == "nothing-to-do" else flavor.verdict.upper()
        return f"{said}: {flavor.zypper_would.held_because or 'no newer kernel to install'}"
    broken = sum(map(_broken_before, flavor.kmps))
    if flavor.verdict == "blocked":
        blocked = sum(
            kmp.decision == "blocked" and kmp.waived is None and not _broken_before(kmp)
            for kmp in flavor.kmps
        )
        if blocked:
            return f"BLOCKED: {blocked} of {plural(total, 'KMP')} would not load"
        warned = {warning.reference for warning in flavor.warnings}
        if "fallback-loses" in warned:
            return "BLOCKED: a kernel that stays would lose a driver"
        if broken:
            return f"BLOCKED: {plural(broken, 'KMP')} would work on no kernel"
        return "BLOCKED: zypper would refuse it"
    if flavor.verdict == "unverified":
        doubtful = sum(k.decision == "unverified" and k.waived is None for k in flavor.kmps)
        if doubtful:
            return f"UNVERIFIED: {doubtful} of {plural(total, 'KMP')} cannot be checked"
        return "UNVERIFIED: not everything could be read"
    if not total:
        return "safe: no KMP is installed"
    waived = sum(kmp.decision == "blocked" and kmp.waived is not None for kmp in flavor.kmps)
    lost = [f"{waived} waived"] if waived else []
    lost += [f"{broken} broken before"] if broken and not waived else []
    kept = total - sum(kmp.decision == "blocked" for kmp in flavor.kmps)
    if kept < total:
        return ", ".join([f"safe: {kept} of {plural(total, 'KMP')} work on it", *lost])
    if total < 3:
        return f"safe: {'the KMP keeps' if total == 1 else 'both KMPs keep'} working"
    return f"safe: all {total} KMPs keep working"


def _headline(flavor: FlavorPlan, terminal: Terminal) -> Iterator[str]:
    newest = Nevra.parse(flavor.current[0].nevra)
    parts: list[tuple[str, Tone]] = []
    if flavor.target is None:
        parts.append((f"{newest.name} {newest.evr}", "plain"))
    else:
        target = Nevra.parse(flavor.target.nevra)
        if flavor.target.repository is None:
            parts.append((f"{target.name} {target.evr} (installed)", "plain"))
        else:
            change = f"{newest.name} {newest.evr} -> {target.evr} ({flavor.target.repository})"
            if len(change) <= terminal.width:
                parts.append((change, "plain"))
            else:
                parts.append((f"{newest.name} {newest.evr}", "plain"))
                parts.append((f"-> {target.evr} ({flavor.target.repository})", "plain"))
    parts.append((flavor_verdict(flavor), TONES[flavor.verdict]))
    yield from terminal.flow(parts, indent=2)


def _broken_before(kmp: KmpPlan) -> bool:
    return any(cause.kind == "already-broken" for cause in kmp.causes)


def _kmp_table(flavor: FlavorPlan, terminal: Terminal) -> Iterator[str]:
    """A line for each KMP, blocked ones last, next to their causes; stacked where that is too wide."""
    # The plan has its own order: what this machine cannot boot without comes first among the blocked.
    kmps = sorted(flavor.kmps, key=lambda kmp: kmp.decision == "blocked")
    unchanged = [kmp for kmp in kmps if kmp.decision == "reuse"]
    if flavor.verdict == "blocked" and len(unchanged) > _SHOWN_UNCHANGED:
        names = ", ".join(kmp.name for kmp in unchanged)
        lead = f"  {terminal.tone('reuse', 'good')}    "
        text = f"{len(unchanged)} KMPs, none of their symbols changed: {names}"
        yield from (
            terminal.wrapped("  reuse    ", text)
            if not terminal.colour
            else (line.replace("  reuse    ", lead, 1) for line in terminal.wrapped("  reuse    ", text))
        )
        kmps = [kmp for kmp in kmps if kmp.decision != "reuse"]
    rows = [(kmp.decision, kmp.name, *kmp_details(kmp)) for kmp in kmps]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for row in rows:
        decision, name, build, detail = map(printable, row)
        cells = [f"{decision:<{widths[0]}}", f"{name:<{widths[1]}}", f"{build:<{widths[2]}}", detail]
        if not widths[2]:
            del cells[2]
        tone: Tone = {"blocked": "bad", "unverified": "doubt"}.get(decision, "good")  # type: ignore[assignment]
        if 2 + len("  ".join(cells).rstrip()) <= terminal.width:
            line = "  ".join(("", terminal.tone(cells[0], tone), *cells[1:]))
            yield line.rstrip()
            continue
        close = "  ".join(filter(None, ("  " + cells[0], name, build, detail)))
        if len(close) <= terminal.width:
            yield close.replace(cells[0], terminal.tone(cells[0], tone), 1)
            continue
        yield f"  {terminal.tone(cells[0], tone)}  {name}"
        lead = " " * (4 + widths[0])
        if build and len(lead) + len(build) + 2 + len(detail) <= terminal.width:
            yield f"{lead}{build}  {detail}"
            continue
        lead = lead if terminal.width >= 60 else "    "
        if build:
            yield lead + build
        yield from terminal.wrapped(lead, detail)


def kmp_details(kmp: KmpPlan) -> tuple[str, str]:
    """The build to show, and what to say about it."""
    build = evr(kmp.chosen) if kmp.chosen is not None else ""
    if kmp.decision == "reuse":
        detail = f"{plural(kmp.symbols_required, 'symbol')}, none changed"
    elif kmp.decision == "fetch":
        renamed = Nevra.parse(kmp.chosen).name if kmp.chosen else kmp.name
        detail = f"from {kmp.repository}" if renamed == kmp.name else f"as {renamed} from {kmp.repository}"
        replaced = [a for a in kmp.tried if a.repository is None and a.nevra in kmp.installed]
        best = min(replaced, key=lambda a: a.mismatches, default=None)
        if best is not None and best.mismatches and kmp.chosen is not None:
            short = short_builds([kmp.chosen, best.nevra])[best.nevra]
            detail += f"; {short} lacks {plural(best.mismatches, 'symbol')}"
    elif kmp.decision == "builtin":
        detail = "the kernel itself has its modules now"
    elif kmp.decision == "rebuild-on-host":
        detail = "rebuilds itself for the new kernel"
    elif kmp.decision == "unverified":
        detail = "has no symbol versions to check"
    elif _broken_before(kmp):
        detail = "works on no installed kernel either; this update takes nothing from it"
    else:
        build, detail = _blocked_details(kmp)
    if kmp.waived is not None:
        detail += f"; waived until {kmp.waived.expires}: {kmp.waived.reason}"
    return build, detail


def _blocked_details(kmp: KmpPlan) -> tuple[str, str]:
    if kmp.mismatches:
        fewest = [a for a in kmp.tried if a.mismatches == len(kmp.mismatches)]
        shown = next((a for a in fewest if a.repository is None), fewest[0] if fewest else None)
        required = plural(kmp.symbols_required, "symbol")
        return (
            evr(shown.nevra) if shown else "",
            f"{len(kmp.mismatches):,} of {required}: {counted(kmp.mismatches)}",
        )
    kind = next((cause.kind for cause in kmp.causes), "conflict")
    shown = next((a for a in kmp.tried if a.cause == kind and not a.mismatches), None)
    if kind == "falls-back-to-in-tree":
        return "", "the kernel's own module would load instead"
    said = _FITS_BUT.get(kind, "cannot be kept")
    return (
        (evr(shown.nevra), said if kind == "exact-kernel" else f"fits, but {said}") if shown else ("", said)
    )


def _why(
    root: Root, plan: Plan, flavor: FlavorPlan, terminal: Terminal, told: Mapping[str, Story]
) -> Iterator[str]:
    target = evr(flavor.target.nevra if flavor.target else flavor.current[0].nevra)
    first, names = root.kmps[0], [kmp.name for kmp in root.kmps]
    story = told.get(first.name)
    symbols = next((fate for fate in root.fates if fate.count and fate.mismatches == first.mismatches), None)
    yield from terminal.wrapped(
        f"{', '.join(map(printable, names))}: ", _because(root, target, story), hang=2
    )
    own = [m for m in first.mismatches if story is None or m.symbol not in story.from_kmps]
    fits_otherwise = any(not fate.count and fate.cause != "symbols" for fate in root.fates) and not any(
        fate.cause == "symbols" and fate.count == len(first.mismatches) for fate in root.fates
    )
    if first.mismatches and not fits_otherwise:
        more = f"all: kmpsolve explain {printable(names[0])}"
        yield from symbol_lines(first.mismatches, terminal, story, more=more)
    for cause in root.causes:
        gone_with_it = {fall.name for fall in root.falls}
        if cause.kind == "kmp" and (not own or gone_with_it.issuperset(cause.packages)):
            continue
        if cause.kind != "exact-kernel":
            yield from terminal.wrapped("  ", cause.message)
    tried = f"  tried  {_tried(root, plan, symbols)}"
    until = f"works up to {evr(story.works_up_to)}" if story is not None and story.works_up_to else ""
    if story is not None and story.since not in (None, story.target):
        until = f"{until}, not since {evr(story.since or '')}"
    if until and len(tried) + len(until) + 2 <= terminal.width:
        yield f"{tried}; {until}"
    else:
        yield from terminal.wrapped("  tried  ", tried.removeprefix("  tried  "))
        if until:
            yield from terminal.wrapped("  ", until)
    for fall in root.falls:
        uses = (
            f": it uses {few(fall.symbols, 3)} of {fall.cause}"
            if fall.symbols
            else f": it needs {fall.cause}"
        )
        yield from terminal.wrapped("  with it  ", f"{fall.name} goes down too{uses}")


def _because(root: Root, target: str, story: Story | None) -> str:
    kmp = root.kmps[0]
    who = "it uses" if len(root.kmps) == 1 else "they use"
    own = [m for m in kmp.mismatches if story is None or m.symbol not in story.from_kmps]
    made = {cause.kind for cause in kmp.causes}
    if "symbols" in made and own:
        return f"kernel {target} {kinds(own)} symbols that {who}"
    if "exact-kernel" in made:
        wanted = next(cause.packages[0] for cause in kmp.causes if cause.kind == "exact-kernel")
        return f"it was built for kernel {wanted} and no other"
    if "kmp" in made:
        makers = next(cause.packages for cause in kmp.causes if cause.kind == "kmp")
        fitting_maker = f"the build of {listed(makers)} that fits kernel {target}"
        return f"{fitting_maker} has other versions of symbols that {who}"
    fitting = [a for fate in root.fates if not fate.count for a in fate.builds]
    if fitting:
        short = short_builds(a.nevra for fate in root.fates for a in fate.builds)
        found = listed([f"{short[a.nevra]} ({_place(a)})" for a in fitting])
        if fitting[0].cause in ("vendor", "lock", "retracted", "architecture"):
            return f"{found} fits kernel {target}, but {_FITS_BUT[fitting[0].cause]}"
        return (
            f"{found} fits kernel {target}, but cannot be installed"
            if "module-dropped" not in made
            else (f"{found} fits kernel {target}, but modules would be lost")
        )
    return f"it cannot be kept on kernel {target}"


def _place(attempt: Attempt) -> str:
    return printable(attempt.repository) if attempt.repository else "installed"


def _tried(root: Root, plan: Plan, told: Fate | None) -> str:
    """All builds that were tried, those with the same fate together."""
    several = len(root.kmps) > 1
    names = [a.nevra for fate in root.fates for a in fate.builds]
    short = {n: f"{Nevra.parse(n).name} {evr(n)}" for n in names} if several else short_builds(names)
    parts = []
    for fate in root.fates:
        builds = ", ".join(f"{short[a.nevra]} ({_place(a)})" for a in fate.builds)
        said = _fate(fate, told, alone=len(root.fates) == 1)
        parts.append(f"{builds}: {said}" if said else builds)
    if not any(a.repository for fate in root.fates for a in fate.builds) and plan.inputs.repositories:
        where = plural(len(plan.inputs.repositories), "repository", "repositories")
        parts.append(f"no other build in {where}")
    return "; ".join(parts) or "nothing"


def _fate(fate: Fate, told: Fate | None, *, alone: bool) -> str:
    if fate.cause in ("vendor", "lock", "retracted", "architecture"):
        fits = "fits, but " if not fate.count else f"lacks {plural(fate.count, 'symbol')}, and "
        return fits + _FITS_BUT[fate.cause]
    if fate.cause in ("symbols", "kmp"):
        if told is not None and fate is told:
            if len(fate.builds) == 1:
                return "" if alone else ("this one" if fate.count == 1 else f"these {fate.count:,}")
            return "the same one" if fate.count == 1 else f"the same {fate.count:,}"
        return plural(fate.count, "symbol") + (
            " each" if len(fate.builds) > 1 and fate.mismatches is None else ""
        )
    if fate.cause == "exact-kernel":
        return f"built for {fate.only_for} only" if fate.only_for else _FITS_BUT["exact-kernel"]
    return f"fits, but {_FITS_BUT.get(fate.cause, fate.cause)}"


def symbol_lines(
    mismatches: Iterable[Mismatch],
    terminal: Terminal,
    story: Story | None,
    *,
    most: int | None = _SHOWN_SYMBOLS,
    more: str = "",
) -> Iterator[str]:
    """The symbols with both versions, changed ones first.

    Parameters
    ----------
    most
        How many; ``None`` for all.
    more
        Where to see the rest.
    """
    ordered = sorted(mismatches, key=lambda m: (m.kind == "unknown", m.symbol))
    shown = ordered if most is None or len(ordered) <= most + 1 else ordered[:most]
    width = min(max((len(m.symbol) for m in shown), default=0), max(20, terminal.width - 40))
    for mismatch in shown:
        said = _versions(mismatch, story)
        if 4 + width + len(said) <= terminal.width and len(mismatch.symbol) <= width:
            yield f"  {printable(mismatch.symbol):<{width}}  {said}"
        else:
            yield f"  {printable(mismatch.symbol)}"
            yield from terminal.wrapped("      ", said)
    left = ordered[len(shown) :]
    if left:
        yield from terminal.flow([(f"  (+ {counted(left)})", "plain"), (more, "plain")], indent=2)


def _versions(mismatch: Mismatch, story: Story | None) -> str:
    maker = story.from_kmps.get(mismatch.symbol) if story else None
    has = f"{maker} has" if maker else "kernel has"
    if mismatch.kind == "disagrees":
        return f"wants {mismatch.wanted}, {has} {mismatch.found}"
    if mismatch.found is not None:
        return f"belongs to {maker or 'a KMP'}, which does not load"
    return "is gone"


def ways_out(ways: Sequence[WayOut], terminal: Terminal) -> Iterator[str]:
    """Numbered, least loss first; a command is never broken into lines."""
    for number, way in enumerate(ways, 1):
        lead = f"  {number}. "
        patches = [
            ", ".join(filter(None, (patch["id"], patch["severity"], *patch["cves"])))
            for patch in way.held_patches
        ]
        held = f"  (holds back {'; '.join(patches)})" if patches else ""
        if way.command is None:
            yield from terminal.wrapped(lead, way.text + held, hang=5)
            continue
        command = printable(way.command)
        whole = f"{lead}{printable(way.text)}:  {command}"
        if len(whole) <= terminal.width:
            yield from terminal.flow([(whole, "plain"), (held.strip(), "plain")], indent=5, gap=2)
        else:
            yield from terminal.wrapped(lead, f"{way.text}{held}:", hang=5)
            yield f"     {command}"


def _closing(plan: Plan, terminal: Terminal) -> Iterator[str]:
    for skipped in plan.inputs.skipped:
        yield from terminal.wrapped(f"Not read: {printable(skipped.alias)}: ", skipped.reason, hang=10)
    if plan.command is not None:
        yield f"Do it:  {printable(plan.command)}"
