"""A plan as text: verdict first, cause before effect, numbers before adjectives, a way out to paste."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from kmpsolve.model.nevra import Nevra
from kmpsolve.model.plan import Cause, FlavorPlan, KmpPlan, Mismatch, Plan, Verdict
from kmpsolve.report.terminal import Terminal, Tone, printable

__all__ = ["render_plan"]

_SHOWN_SYMBOLS = 3
_TONES: dict[Verdict, Tone] = {"safe": "good", "nothing-to-do": "good", "unverified": "doubt", "blocked": "bad"}


def render_plan(plan: Plan, terminal: Terminal) -> str:
    """The whole plan, a section a flavor.

    Parameters
    ----------
    terminal
        Width and colours.
    """
    sections = ["\n".join(_flavor(plan, flavor, terminal)) for flavor in plan.flavors]
    closing = list(_closing(plan, terminal))
    if closing:
        sections.append("\n".join(closing))
    return "\n\n".join(sections) + "\n"


def _flavor(plan: Plan, flavor: FlavorPlan, terminal: Terminal) -> Iterator[str]:
    yield from _headline(flavor, terminal)
    if flavor.kmps:
        yield ""
        width = max(len(kmp.name) for kmp in flavor.kmps)
        for kmp in sorted(flavor.kmps, key=lambda k: (k.decision == "blocked", k.name)):
            yield from _kmp_line(kmp, width, terminal)
    for kmp in flavor.kmps:
        if kmp.decision == "blocked" and kmp.waived is None and not _already_broken(kmp):
            yield ""
            yield from _why(kmp, flavor, terminal)
    if flavor.ways_out:
        yield ""
        yield terminal.tone("What you can do", "strong")
        for number, way in enumerate(flavor.ways_out, 1):
            command = f":  {way.command}" if way.command else ""
            patches = ", ".join(str(patch["id"]) for patch in way.held_patches)
            held = f"  (holds back {patches})" if patches else ""
            yield from _wrapped(f"  {number}. ", f"{way.text}{command}{held}", terminal)
    notes = [warning.message for warning in flavor.warnings]
    notes += [warning.message for kmp in flavor.kmps for warning in kmp.warnings]
    if flavor.modules_lost:
        notes.append(f"the new kernel no longer ships {_few(flavor.modules_lost)}, and no KMP replaces it")
    if notes:
        yield ""
        for note in dict.fromkeys(notes):
            yield from _wrapped("Also: ", note, terminal)


def _headline(flavor: FlavorPlan, terminal: Terminal) -> Iterator[str]:
    newest = Nevra.parse(flavor.current[0].nevra)
    if flavor.target is None:
        what = f"{newest.name} {newest.evr}"
        said = "nothing to do" if flavor.verdict == "nothing-to-do" else flavor.verdict.upper()
        yield f"{what}    {terminal.tone(said, _TONES[flavor.verdict])}: no newer kernel to install"
        return
    target = Nevra.parse(flavor.target.nevra)
    if flavor.target.repository is None:
        what = f"{target.name} {target.evr} (installed)"
    else:
        what = f"{newest.name} {newest.evr} -> {target.evr} ({printable(flavor.target.repository)})"
    blocked = [k for k in flavor.kmps if k.decision == "blocked" and k.waived is None and not _already_broken(k)]
    doubtful = [k for k in flavor.kmps if k.decision == "unverified" and k.waived is None]
    total = len(flavor.kmps)
    if flavor.verdict == "blocked" and blocked:
        verdict = f"BLOCKED: {len(blocked)} of {total} KMPs would not load"
    elif flavor.verdict == "blocked":
        verdict = "BLOCKED"
    elif flavor.verdict == "unverified" and doubtful:
        verdict = f"UNVERIFIED: {len(doubtful)} of {total} KMPs cannot be checked"
    elif flavor.verdict == "unverified":
        verdict = "UNVERIFIED: not everything could be read"
    elif total:
        verdict = f"safe: every KMP keeps working ({total})"
    else:
        verdict = "safe: no KMP is installed"
    yield f"{what}    {terminal.tone(verdict, _TONES[flavor.verdict])}"


def _already_broken(kmp: KmpPlan) -> bool:
    return any(cause.kind == "already-broken" for cause in kmp.causes)


def _kmp_line(kmp: KmpPlan, width: int, terminal: Terminal) -> Iterator[str]:
    tones: dict[str, Tone] = {"blocked": "bad", "unverified": "doubt"}
    label = f"{kmp.decision:<15}"
    coloured = terminal.tone(label, tones.get(kmp.decision, "good"))
    detail = "  ".join(_kmp_details(kmp))
    yield f"  {coloured} {printable(kmp.name):<{width}}  {detail}"


def _kmp_details(kmp: KmpPlan) -> Iterator[str]:
    if kmp.chosen is not None:
        yield str(Nevra.parse(kmp.chosen).evr)
    if kmp.decision == "reuse":
        yield f"{_symbols(kmp.symbols_required)}, none changed"
    elif kmp.decision == "fetch":
        best = max(
            (a for a in kmp.tried if a.repository is None and a.nevra in kmp.installed),
            key=lambda a: -a.mismatches,
            default=None,
        )
        yield f"from {printable(kmp.repository or '')}"
        if best is not None and best.mismatches:
            yield f"{Nevra.parse(best.nevra).evr} lacks {best.mismatches}"
    elif kmp.decision == "builtin":
        yield "the new kernel ships its modules itself"
    elif kmp.decision == "rebuild-on-host":
        yield "rebuilds itself for the new kernel"
    elif kmp.decision == "unverified":
        yield "built without symbol versions: nobody can tell whether it loads"
    elif _already_broken(kmp):
        yield "works on no installed kernel already; this update takes nothing from it"
    else:
        yield _count(kmp)
    if kmp.waived is not None:
        yield f"waived until {kmp.waived.expires}: {printable(kmp.waived.reason)}"


def _symbols(count: int) -> str:
    return f"{count} symbol{'' if count == 1 else 's'}"


def _count(kmp: KmpPlan) -> str:
    changed = sum(m.kind == "disagrees" for m in kmp.mismatches)
    gone = len(kmp.mismatches) - changed
    if not kmp.mismatches:
        return kmp.causes[0].kind if kmp.causes else "blocked"
    parts = [text for number, text in ((changed, f"{changed} changed"), (gone, f"{gone} gone")) if number]
    return f"{len(kmp.mismatches)} of {_symbols(kmp.symbols_required)}: {', '.join(parts)}"


def _why(kmp: KmpPlan, flavor: FlavorPlan, terminal: Terminal) -> Iterator[str]:
    assert flavor.target is not None or flavor.current
    target = Nevra.parse(flavor.target.nevra if flavor.target else flavor.current[0].nevra)
    first, *rest = kmp.causes
    yield from _wrapped(f"{printable(kmp.name)}: ", _cause_text(first, target), terminal)
    if kmp.mismatches:
        yield from _symbol_lines(kmp.mismatches)
    if len(kmp.mismatches) > _SHOWN_SYMBOLS:
        yield f"    all of them: kmpsolve explain {printable(kmp.name)}"
    failed = [a for a in kmp.tried if a.cause is not None and a.cause not in ("vendor", "lock", "retracted", "architecture")]
    if failed:
        names = [
            f"{Nevra.parse(a.nevra).evr} ({printable(a.repository) if a.repository else 'installed'}): "
            + (f"{a.mismatches}" if a.mismatches else str(a.cause))
            for a in failed
        ]
        yield from _wrapped("    tried  ", _few(names, 4), terminal)
    for cause in rest:
        yield from _wrapped("    ", cause.message, terminal)


def _cause_text(cause: Cause, target: Nevra) -> str:
    if cause.kind == "symbols":
        return f"kernel {target.evr} changed symbols that it uses"
    return cause.message


def _symbol_lines(mismatches: Iterable[Mismatch]) -> Iterator[str]:
    ordered = sorted(mismatches, key=lambda m: (m.kind == "unknown", m.symbol))
    shown = ordered[:_SHOWN_SYMBOLS]
    width = max(len(m.symbol) for m in shown)
    for mismatch in shown:
        if mismatch.kind == "unknown":
            found = "is gone" if mismatch.found is None else "comes from a KMP that does not fit"
            yield f"    {printable(mismatch.symbol):<{width}}  {found}"
        else:
            yield f"    {printable(mismatch.symbol):<{width}}  wants {mismatch.wanted}, found {mismatch.found}"
    left = ordered[_SHOWN_SYMBOLS:]
    if left:
        changed = sum(m.kind == "disagrees" for m in left)
        parts = []
        if changed:
            parts.append(f"+{changed} changed")
        if len(left) - changed:
            parts.append(f"+{len(left) - changed} gone")
        yield f"    ({', '.join(parts)})"


def _few(names: Iterable[str], most: int = 5) -> str:
    listed = [printable(name) for name in names]
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def _wrapped(lead: str, text: str, terminal: Terminal) -> Iterator[str]:
    """Wrapped at spaces only, so that a NEVRA or a command's word is never cut in two."""
    yield from textwrap.wrap(
        lead + printable(text),
        width=terminal.width,
        subsequent_indent=" " * len(lead),
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
        replace_whitespace=False,
    )


def _closing(plan: Plan, terminal: Terminal) -> Iterator[str]:
    for skipped in plan.inputs.skipped:
        yield from _wrapped(f"Not read: {printable(skipped.alias)}: ", skipped.reason, terminal)
    if plan.command is not None:
        yield f"Do it:  {printable(plan.command)}"
