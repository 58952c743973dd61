"""What packages say of each other, as lists of capabilities that can be copied from one package to another."""

from __future__ import annotations

import re
from collections.abc import Iterable

import solv

__all__ = ["RELATIONS", "add_relation", "copy_package", "related", "required", "words"]

RELATIONS = (
    solv.SOLVABLE_PROVIDES,
    solv.SOLVABLE_REQUIRES,
    solv.SOLVABLE_CONFLICTS,
    solv.SOLVABLE_OBSOLETES,
    solv.SOLVABLE_RECOMMENDS,
    solv.SOLVABLE_SUGGESTS,
    solv.SOLVABLE_SUPPLEMENTS,
    solv.SOLVABLE_ENHANCES,
)

_WORDS = re.compile(r"[^\s()]+(?:\([^\s()]*\))*")
_SCRIPTS = int(solv.SOLVABLE_PREREQMARKER)
_ALL = 0  # also what stands behind the marker


def required(solvable: solv.XSolvable) -> frozenset[int]:
    """All that a package requires: libsolv keeps what its scripts need apart, behind a marker."""
    found: list[int] = solvable.lookup_idarray(solv.SOLVABLE_REQUIRES, _ALL)
    return frozenset(found).difference((_SCRIPTS,))


def related(solvable: solv.XSolvable, key: int) -> list[int]:
    """One of a package's lists, in its order; of what it provides the part that it says itself, without files."""
    if key != solv.SOLVABLE_REQUIRES:
        found: list[int] = solvable.lookup_idarray(key)
        return found
    return [c for c in solvable.lookup_idarray(key, _ALL) if c != _SCRIPTS]


def add_relation(solvable: solv.XSolvable, key: int, capabilities: Iterable[int]) -> None:
    """Add capabilities to one of a package's lists."""
    for capability in capabilities:
        solvable.add_deparray(key, capability, -1)


def words(text: str) -> list[str]:
    """The name in a capability; of a rich one, every word that can name something."""
    return _WORDS.findall(text) if text.startswith("(") else [text.partition(" ")[0]]


def copy_package(repo: solv.Repo, origin: solv.XSolvable) -> solv.XSolvable:
    """A package of another repository once more in `repo`, which must not be the pool's index yet."""
    copy = repo.add_solvable()
    copy.name, copy.evr, copy.arch = origin.name, origin.evr, origin.arch
    copy.vendor = origin.vendor or ""  # a new package's is not empty, but none
    for key in RELATIONS:
        add_relation(copy, key, related(origin, key))
    return copy
