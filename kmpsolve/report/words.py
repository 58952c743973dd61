"""How things are named and counted in sentences: shortest where that is still unambiguous."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from kmpsolve.model.nevra import Nevra
from kmpsolve.model.plan import FlavorPlan, Mismatch, Unmanaged
from kmpsolve.report.terminal import printable

__all__ = [
    "FITS_BUT",
    "counted",
    "evr",
    "few",
    "kinds",
    "label",
    "listed",
    "plural",
    "short_builds",
    "unmanaged_notes",
]

FITS_BUT: dict[str, str] = {
    "vendor": "comes from another vendor",
    "lock": "is locked",
    "retracted": "was retracted or is a PTF",
    "architecture": "is for another architecture",
    "conflict": "conflicts with another package",
    "missing": "needs a package that is missing",
    "user-space": "is kept out by installed user space",
    "module-dropped": "lacks modules that are in use",
    "exact-kernel": "built for another kernel only",
    "signature": "is not signed as required",
}
"""What keeps out a build that fits the kernel, by the cause that a plan gives."""

_KREL = re.compile(r"_k?(?P<krel>\d+\.\d+.*)$")


def evr(nevra: str) -> str:
    """The epoch, version and release of a NEVRA."""
    return str(Nevra.parse(nevra).evr)


def plural(count: int, noun: str, many: str | None = None) -> str:
    """``1 symbol``, ``2 symbols``; `many` where that is not just an s."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def few(names: Iterable[str], most: int = 5) -> str:
    """The first `most` names, and how many more there are."""
    shown = [printable(name) for name in names]
    if len(shown) <= most + 1:
        return ", ".join(shown)
    return f"{', '.join(shown[:most])} and {len(shown) - most} more"


def counted(mismatches: Collection[Mismatch]) -> str:
    """``12 changed, 1 gone``; a symbol of another KMP that does not load is neither."""
    changed = sum(m.kind == "disagrees" for m in mismatches)
    gone = sum(m.kind == "unknown" and m.found is None for m in mismatches)
    left = len(mismatches) - changed - gone
    parts = ((changed, "changed"), (gone, "gone"), (left, "of another KMP"))
    return ", ".join(f"{number:,} {word}" for number, word in parts if number)


def kinds(mismatches: Iterable[Mismatch]) -> str:
    """What the kernel did to the symbols, as a verb: ``changed``, ``dropped``, ``changed and dropped``."""
    found = {m.kind for m in mismatches if m.kind == "disagrees" or m.found is None}
    if found == {"disagrees"}:
        return "changed"
    return "dropped" if found == {"unknown"} else "changed and dropped"


def short_builds(nevras: Iterable[str]) -> dict[str, str]:
    """NEVRA -> the shortest name that tells these builds apart.

    The version without the kernel release in it (``2.1``), the same with the release (``2.1-3``), with the
    kernel release (``2.1 for 6.4.0_150600.23.25``), or the whole version and release.
    """
    parsed = {nevra: Nevra.parse(nevra) for nevra in nevras}

    def version(nevra: Nevra) -> str:
        return _KREL.sub("", nevra.evr.version) or nevra.evr.version

    def release(nevra: Nevra) -> str:
        return f"{version(nevra)}-{nevra.evr.release}"

    def kernel(nevra: Nevra) -> str:
        match = _KREL.search(nevra.evr.version)
        return f"{version(nevra)} for {match['krel']}" if match else str(nevra.evr)

    spellings: list[Callable[[Nevra], str]] = [version, release, kernel, lambda nevra: str(nevra.evr)]
    distinct = len({str(nevra.evr) for nevra in parsed.values()})
    for spell in spellings:
        if len({spell(nevra) for nevra in parsed.values()}) == distinct:
            break
    return {text: printable(spell(nevra)) for text, nevra in parsed.items()}


def unmanaged_notes(flavor: FlavorPlan) -> Iterator[str]:
    """What becomes of the modules that no package owns; of several files of one name the best counts."""
    uname_r = flavor.target.uname_r if flavor.target else flavor.current[0].uname_r
    best: dict[str, Unmanaged] = {}
    for one in flavor.unmanaged:
        known = best.get(one.module)
        if known is None or _worth(one) < _worth(known):
            best[one.module] = one
    refused = [one for one in best.values() if one.state == "blocked"]
    single = refused if len(refused) <= _SINGLY else []
    for one in single:
        why = f": of its symbols {counted(one.mismatches)}" if one.mismatches else ""
        yield f"no package owns {one.path}, and it would not load on {uname_r}{why}"
    for state, one_said, many_said in (
        ("blocked", "it would not load on", "they would not load on"),
        ("unverified", "nobody can tell whether it loads on", "nobody can tell whether they load on"),
        ("loads", "its symbols fit", "their symbols fit"),
    ):
        names = sorted(name for name, one in best.items() if one.state == state)
        if names and not (state == "blocked" and single):
            said = one_said if len(names) == 1 else many_said
            yield f"{plural(len(names), 'module')} that no package owns ({few(names)}): {said} {uname_r}"


def _worth(one: Unmanaged) -> tuple[int, int]:
    return ("loads", "unverified", "blocked").index(one.state), len(one.mismatches)


_SINGLY = 4
"""Modules that are told one by one; more are counted."""
_WIDEST = 42
_PLURALS = {
    "kmp": "KMPs",
    "builds": "groups of builds",
    "symbols": "groups of symbols",
    "package": "packages",
}


def label(kind: str, names: Sequence[str], text: str) -> tuple[str, ...]:
    """What stands in a node of the graph of causes, in lines.

    Parameters
    ----------
    kind, names, text
        The fields of `kmpsolve.explain.graph.Node`. Names beyond the first few are counted.
    """
    if kind == "more":
        return (f"and {names[0]} more {_PLURALS.get(text, '')}".rstrip(),)
    if kind == "kernel":
        return ("kernel", printable(evr(names[0])))
    if kind in ("builds", "refused"):
        short = short_builds(names)
        head = "build" if len(names) == 1 else "builds"
        return (*_wrap(f"{head} {few([short[name] for name in names], 4)}"), *([text] if text else []))
    if kind == "symbols":
        if text.startswith("of "):
            return (f"{plural(len(names), 'symbol') if names else 'symbols'} {text}", *_wrap(few(names, 3)))
        return (f"{len(names)} {text}" if names else text, *_wrap(few(names, 3)))
    if kind == "repository":
        return (f"repository {printable(names[0])}", text)
    return (*_wrap(few(names, 3)), *_wrap(printable(text))) or ("?",)


def _wrap(text: str) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= _WIDEST:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
