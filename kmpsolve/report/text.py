"""A plan as text: verdict first, cause before effect, numbers before adjectives, a way out to paste."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from kmpsolve.model.nevra import Nevra
from kmpsolve.model.plan import FlavorPlan, KmpPlan, Plan, Verdict, WayOut
from kmpsolve.report.terminal import Terminal, Tone, printable
from kmpsolve.report.words import FITS_BUT, counted, evr, few, plural, short_builds, unmanaged_notes

if TYPE_CHECKING:
    from kmpsolve.explain.story import Stories

__all__ = ["flavor_verdict", "kmp_details", "render_plan", "ways_out"]

_SHOWN_UNCHANGED = 8
_TONES: dict[Verdict, Tone] = {
    "safe": "good",
    "nothing-to-do": "good",
    "unverified": "doubt",
    "blocked": "bad",
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
        from kmpsolve.report.causes import render_causes

        yield from render_causes(plan, flavor, terminal, stories)
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
    # What worked nowhere before, or does not count for another reason.
    doubtful = sum(kmp.decision == "unverified" for kmp in flavor.kmps)
    lost += [f"{doubtful} unverified"] if doubtful else []
    kept = total - doubtful - sum(kmp.decision == "blocked" for kmp in flavor.kmps)
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
            # After a dist-upgrade the kernel of another flavor may boot in place of this one.
            name = "" if target.name == newest.name else f"{target.name} "
            arrow = f"-> {name}{target.evr} ({flavor.target.repository})"
            change = f"{newest.name} {newest.evr} {arrow}"
            if len(change) <= terminal.width:
                parts.append((change, "plain"))
            else:
                parts.append((f"{newest.name} {newest.evr}", "plain"))
                parts.append((arrow, "plain"))
    parts.append((flavor_verdict(flavor), _TONES[flavor.verdict]))
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
        renamed = Nevra.parse(kmp.chosen).name if kmp.chosen else kmp.name
        detail = (
            f"{plural(kmp.symbols_required, 'symbol')}, none changed"
            if kmp.symbols_required
            else "built for exactly this kernel"
        )
        detail = detail if renamed == kmp.name else f"{renamed}, {detail}"
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
    said = FITS_BUT.get(kind, "cannot be kept")
    return (
        (evr(shown.nevra), said if kind == "exact-kernel" else f"fits, but {said}") if shown else ("", said)
    )


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
