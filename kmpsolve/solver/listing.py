"""All packages of a universe, with their relations as text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import solv

from kmpsolve.model.evr import Evr
from kmpsolve.model.nevra import Nevra
from kmpsolve.solver.relations import relation, vendor_of
from kmpsolve.solver.universe import Universe

__all__ = ["Entry", "every_package"]

_ASKING = {
    "requires": solv.SOLVABLE_REQUIRES,
    "conflicts": solv.SOLVABLE_CONFLICTS,
    "obsoletes": solv.SOLVABLE_OBSOLETES,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One package.

    Parameters
    ----------
    owns
        Whether a path is one of its files, as far as the source lists files.
    """

    nevra: Nevra
    vendor: str
    provides: tuple[str, ...]
    requires: tuple[str, ...]
    conflicts: tuple[str, ...]
    obsoletes: tuple[str, ...]
    owns: Callable[[str], bool]


def every_package(universe: Universe) -> Iterator[Entry]:
    """The packages of everything that was loaded; the universe need not be sealed."""
    pool = universe.pool
    owners: dict[str, set[int]] = {}

    def owned_by(handle: int) -> Callable[[str], bool]:
        def owns(path: str) -> bool:
            if path not in owners:
                found = pool.Dataiterator(
                    solv.SOLVABLE_FILELIST,
                    path,
                    solv.Dataiterator.SEARCH_STRING | solv.Dataiterator.SEARCH_FILES,
                )
                owners[path] = {match.solvid for match in found}
            return handle in owners[path]

        return owns

    for solvable in pool.solvables:
        if solvable.arch in ("src", "nosrc"):
            continue
        lists = {name: relation(solvable, key) for name, key in _ASKING.items()}
        lists["provides"] = solvable.lookup_idarray(solv.SOLVABLE_PROVIDES)  # without files
        yield Entry(
            nevra=Nevra(solvable.name, Evr.parse(solvable.evr), solvable.arch),
            vendor=vendor_of(solvable),
            owns=owned_by(int(solvable.id)),
            **{name: tuple(map(pool.dep2str, capabilities)) for name, capabilities in lists.items()},
        )
