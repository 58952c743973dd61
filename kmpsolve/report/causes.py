"""Why an update is blocked, cause by cause: what the kernel did to which symbols, and what was tried."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from kmpsolve.explain.graph import Fate, Root, explain
from kmpsolve.explain.story import Stories, Story
from kmpsolve.model.nevra import Nevra
from kmpsolve.model.plan import Attempt, FlavorPlan, Mismatch, Plan
from kmpsolve.report.terminal import Terminal, printable
from kmpsolve.report.words import FITS_BUT, counted, evr, few, kinds, listed, plural, short_builds

__all__ = ["render_causes"]

_SHOWN_SYMBOLS = 3
_SHOWN_ROOTS = 8


def render_causes(plan: Plan, flavor: FlavorPlan, terminal: Terminal, stories: Stories) -> Iterator[str]:
    """The causes of a blocked flavor, each after an empty line, the rest counted.

    Parameters
    ----------
    stories
        Of the blocked KMPs; of those that have none less is told.
    """
    told = {name: story for (of, name), story in stories.items() if of == flavor.flavor}
    explanation = explain(flavor, plan.inputs, stories)
    roots = explanation.roots
    for root in roots[:_SHOWN_ROOTS]:
        yield ""
        yield from _why(root, plan, flavor, terminal, told)
    if len(roots) > _SHOWN_ROOTS:
        yield ""
        left = plural(sum(len(root.kmps) for root in roots[_SHOWN_ROOTS:]), "more KMP")
        yield from terminal.wrapped("", f"and {left} (above), each: kmpsolve explain KMP; all: --format html")
    if not roots:
        for kmp in explanation.broken_before:
            yield ""
            reason = "was broken before this update: it works on no kernel that is installed"
            yield from terminal.wrapped("", f"{kmp.name} {reason}", hang=2)
            more = f"all: kmpsolve explain {printable(kmp.name)}"
            yield from _symbol_lines(kmp.mismatches, terminal, told.get(kmp.name), more=more)


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
        yield from _symbol_lines(first.mismatches, terminal, story, more=more)
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
        fits = "fit" if len(fitting) > 1 else "fits"
        if fitting[0].cause in ("vendor", "lock", "retracted", "architecture"):
            return f"{found} fits kernel {target}, but {FITS_BUT[fitting[0].cause]}"
        return (
            f"{found} {fits} kernel {target}, but cannot be installed"
            if "module-dropped" not in made
            else (f"{found} {fits} kernel {target}, but modules would be lost")
        )
    return f"it cannot be kept on kernel {target}"


def _place(attempt: Attempt) -> str:
    return printable(attempt.repository) if attempt.repository else "installed"


def _tried(root: Root, plan: Plan, told: Fate | None) -> str:
    """All builds that were tried, those with the same fate together."""
    several = len(root.kmps) > 1
    # A transaction may leave what fits where it is.
    fitting = [a for kmp in root.kmps for a in kmp.tried if a.cause is None]
    builds_told = [*(a for fate in root.fates for a in fate.builds), *fitting]
    names = [a.nevra for a in builds_told]
    short = {n: f"{Nevra.parse(n).name} {evr(n)}" for n in names} if several else short_builds(names)
    parts = []
    for fate in root.fates:
        builds = ", ".join(f"{short[a.nevra]} ({_place(a)})" for a in fate.builds)
        said = _fate(fate, told, alone=len(root.fates) == 1 and not fitting)
        parts.append(f"{builds}: {said}" if said else builds)
    parts += [f"{short[a.nevra]} ({_place(a)}): fits" for a in fitting]
    if not any(a.repository for a in builds_told) and plan.inputs.repositories:
        where = plural(len(plan.inputs.repositories), "repository", "repositories")
        parts.append(f"no other build in {where}")
    return "; ".join(parts) or "nothing"


def _fate(fate: Fate, told: Fate | None, *, alone: bool) -> str:
    if fate.cause in ("vendor", "lock", "retracted", "architecture"):
        fits = "fits, but " if not fate.count else f"lacks {plural(fate.count, 'symbol')}, and "
        return fits + FITS_BUT[fate.cause]
    if fate.cause in ("symbols", "kmp"):
        if told is not None and fate is told:
            if len(fate.builds) == 1:
                return "" if alone else ("this one" if fate.count == 1 else f"these {fate.count:,}")
            return "the same one" if fate.count == 1 else f"the same {fate.count:,}"
        return plural(fate.count, "symbol") + (
            " each" if len(fate.builds) > 1 and fate.mismatches is None else ""
        )
    if fate.cause == "exact-kernel":
        return f"built for {fate.only_for} only" if fate.only_for else FITS_BUT["exact-kernel"]
    return f"fits, but {FITS_BUT.get(fate.cause, fate.cause)}"


def _symbol_lines(
    mismatches: Iterable[Mismatch], terminal: Terminal, story: Story | None, *, more: str
) -> Iterator[str]:
    """The symbols with both versions, changed ones first; `more` says where to see the rest."""
    ordered = sorted(mismatches, key=lambda m: (m.kind == "unknown", m.symbol))
    shown = ordered if len(ordered) <= _SHOWN_SYMBOLS + 1 else ordered[:_SHOWN_SYMBOLS]
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
