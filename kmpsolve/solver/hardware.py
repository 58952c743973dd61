"""libsolv's namespace of hardware: which ``Supplements: modalias(...)`` this machine meets.

libsolv turns ``modalias(kernel-default:pci:v00008086d*)`` into
``(kernel-default and namespace:modalias(pci:v00008086d*))`` and asks its user about the second part. zypper
answers from /sys; here the patterns are looked up beforehand, since the binding offers no callback. A libsolv that was
not built for SUSE, as Debian's, leaves the dependency as it is written: its solver does not know the hardware then, and
we read it all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import solv

from kmpsolve.model.modalias import Modaliases, unescaped

__all__ = ["answer_for_hardware", "hardware_patterns", "matched_patterns"]

_HARDWARE = re.compile(
    r"namespace:modalias\((?P<pattern>.*)\)|modalias\((?:(?P<package>[^:]+):(?=.*:))?(?P<written>.*)\)"
)
_NAMES = ("namespace:modalias*", "modalias(*")
_OPERATOR = re.compile(r" (and|or|if|unless|else|with|without) ")


def hardware_patterns(pool: solv.Pool) -> tuple[str, ...]:
    """The patterns in all Supplements, as written, sorted."""
    found = (
        pool.matchdeps(name, solv.Selection.SELECTION_GLOB, solv.SOLVABLE_SUPPLEMENTS).solvables()
        for name in _NAMES
    )
    solvables: list[solv.XSolvable] = next(filter(None, found), [])
    dependencies = {d for solvable in solvables for d in solvable.lookup_idarray(solv.SOLVABLE_SUPPLEMENTS)}
    return tuple(sorted({pattern for d in dependencies for pattern in _patterns(pool.dep2str(d))}))


def _patterns(text: str) -> Iterator[str]:
    operands, _ = _split(text)
    if operands != [text]:
        for operand in operands:
            yield from _patterns(operand)
    elif match := _HARDWARE.fullmatch(text):
        yield _pattern(match)


def _pattern(match: re.Match[str]) -> str:
    return match["pattern"] or match["written"] or ""


def _split(text: str) -> tuple[list[str], str]:
    """The operands of a rich dependency and the operator between them; a plain one is its own operand."""
    if not (text.startswith("(") and text.endswith(")")):
        return [text], "and"
    inner, depth, start, operands, operators = text[1:-1], 0, 0, [], []
    place = 0
    while place < len(inner):
        depth += (inner[place] == "(") - (inner[place] == ")")
        operator = _OPERATOR.match(inner, place) if depth == 0 else None
        if operator:
            operands.append(inner[start:place])
            operators.append(operator[1])
            start = place = operator.end()
        else:
            place += 1
    operands.append(inner[start:])
    return operands, operators[0] if operators else "and"


def answer_for_hardware(pool: solv.Pool, patterns: Iterable[str], devices: Modaliases) -> None:
    """Tell the pool which patterns match a device; to be repeated after each ``createwhatprovides``."""
    namespace = pool.Dep("namespace:modalias")
    for pattern in patterns:
        pool.set_namespaceproviders(namespace, pool.Dep(pattern), bool(devices.matching(unescaped(pattern))))


def matched_patterns(
    pool: solv.Pool, solvable: solv.XSolvable, devices: Modaliases, system: str
) -> tuple[str, ...]:
    """The patterns for which a package supplements this machine, ready for `Modaliases.matching`, sorted.

    A dependency counts as a whole: the packages that it names beside the hardware must be installed.

    Parameters
    ----------
    system
        The name of the repository with what is installed.
    """
    found: set[str] = set()
    for dependency in solvable.lookup_idarray(solv.SOLVABLE_SUPPLEMENTS):
        text = pool.dep2str(dependency)
        if "modalias(" in text:
            found.update(_matched(pool, text, devices, system) or ())
    return tuple(sorted(found))


def _matched(pool: solv.Pool, text: str, devices: Modaliases, system: str) -> set[str] | None:
    """The matching patterns in a dependency that is met; ``None`` if it is not."""
    operands, operator = _split(text)
    if operands == [text]:
        if match := _HARDWARE.fullmatch(text):
            pattern = unescaped(_pattern(match))
            there = match["package"] is None or _installed(pool, match["package"], system)
            return {pattern} if there and devices.matching(pattern) else None
        return set() if _installed(pool, text, system) else None
    answers = [_matched(pool, operand, devices, system) for operand in operands]
    met = [answer for answer in answers if answer is not None]
    if operator in ("and", "with"):
        return set().union(*met) if len(met) == len(answers) else None
    # No driver is known to use the other operators with hardware; "or" is the weakest of them.
    return set().union(*met) if met and operator == "or" else None


def _installed(pool: solv.Pool, text: str, system: str) -> bool:
    """Whether what is installed, or rpm itself, meets a dependency."""
    dependency = pool.parserpmrichdep(f"({text})") if " " in text else pool.Dep(text)
    providers = pool.whatprovides(dependency) if dependency is not None else ()
    return any(s.repo is None or s.repo.name == system for s in providers)
