"""What packages say of each other, as lists of capabilities that can be copied from one package to another."""

from __future__ import annotations

import re
from collections.abc import Iterable

import solv

__all__ = ["RELATIONS", "add_relation", "copy_package", "relation", "required", "vendor_of", "words"]

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
_MARKERS = {
    solv.SOLVABLE_PROVIDES: solv.SOLVABLE_FILEMARKER,
    solv.SOLVABLE_REQUIRES: solv.SOLVABLE_PREREQMARKER,
}


def relation(solvable: solv.XSolvable, key: int) -> list[int]:
    """One of a package's lists of capabilities, whole.

    libsolv parts two of them by a marker, and its ``lookup_idarray`` ends there unless told otherwise: behind it
    is what scripts require (``Requires(post)``), and files that are provided.
    """
    found: list[int] = solvable.lookup_idarray(key, 0)
    marker = _MARKERS.get(key)
    if marker in found:
        found.remove(marker)
    return found


def required(solvable: solv.XSolvable) -> frozenset[int]:
    """All that a package requires."""
    return frozenset(relation(solvable, solv.SOLVABLE_REQUIRES))


def vendor_of(solvable: solv.XSolvable) -> str:
    """A package's vendor; empty if it has none, which the binding spells ``<NULL>``."""
    return str(solvable.vendor) if solvable.vendorid else ""


def add_relation(solvable: solv.XSolvable, key: int, capabilities: Iterable[int]) -> None:
    """Add capabilities to one of a package's lists."""
    for capability in capabilities:
        solvable.add_deparray(key, capability)


def words(text: str) -> list[str]:
    """The name in a capability; of a rich one, every word that can name something."""
    return _WORDS.findall(text) if text.startswith("(") else [text.partition(" ")[0]]


def copy_package(repo: solv.Repo, origin: solv.XSolvable) -> solv.XSolvable:
    """A package of another repository once more in `repo`, which must not be the pool's index yet."""
    copy = repo.add_solvable()
    copy.name, copy.evr, copy.arch = origin.name, origin.evr, origin.arch
    copy.vendor = vendor_of(origin)
    for key in RELATIONS:
        add_relation(copy, key, relation(origin, key))
    return copy
