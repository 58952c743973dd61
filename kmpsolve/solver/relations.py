"""What packages say of each other, as lists of capabilities that can be copied from one package to another."""

from __future__ import annotations

from collections.abc import Iterable

import solv

__all__ = ["MARKERS", "RELATIONS", "add_relation", "copy_package"]

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

MARKERS = {
    solv.SOLVABLE_PROVIDES: int(solv.SOLVABLE_FILEMARKER),
    solv.SOLVABLE_REQUIRES: int(solv.SOLVABLE_PREREQMARKER),
}
"""They part a list of capabilities in two, and are none themselves."""


def add_relation(solvable: solv.XSolvable, key: int, capabilities: Iterable[int]) -> None:
    """Add capabilities to one of a package's lists; a marker says that the rest belongs behind it."""
    marker, side = MARKERS.get(key, 0), -1
    for capability in capabilities:
        if marker and capability == marker:
            side = 1
        else:
            solvable.add_deparray(key, capability, side)


def copy_package(repo: solv.Repo, origin: solv.XSolvable) -> solv.XSolvable:
    """A package of another repository once more in `repo`, which must not be the pool's index yet."""
    copy = repo.add_solvable()
    copy.name, copy.evr, copy.arch = origin.name, origin.evr, origin.arch
    copy.vendor = origin.vendor or ""  # a new package's is not empty, but none
    for key in RELATIONS:
        add_relation(copy, key, origin.lookup_idarray(key))
    return copy
