"""Every KMP build on every kernel: how many of its symbol versions are missing there.

The matrix asks what could load, not what zypp would choose: builds of other vendors, locked and retracted
ones stand in it like any other. A symbol of another KMP counts as met if some build of that KMP that
itself fits the kernel provides it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from kmpsolve.compat.judgement import Fit, judge
from kmpsolve.model.package import KernelUnit, KmpBuild
from kmpsolve.model.symbols import Need, SymbolTable

__all__ = ["Cell", "Matrix", "matrix", "offered_by", "shortfall", "unique_builds"]

_USUAL = re.compile(r"ksym\([^()\s]+\) = (?:[1-9a-f][0-9a-f]{0,15}|0)")


@dataclass(frozen=True, slots=True)
class Cell:
    """One build on one kernel.

    Parameters
    ----------
    mismatches
        Number of symbols and symsets that are missing or have another version; an exact kernel that is
        another one is not counted (contract), so `fits` tells whether the build would load.
    """

    mismatches: int
    fits: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """KMP builds against kernels.

    Parameters
    ----------
    kernels
        By flavor, the newest first.
    builds
        By name, the newest first.
    cells
        A row for each build, a cell for each kernel; ``None`` if the build was made for another flavor,
        or without symbol versions, so that nothing can be said.
    """

    kernels: tuple[KernelUnit, ...]
    builds: tuple[KmpBuild, ...]
    cells: tuple[tuple[Cell | None, ...], ...]

    def only(self, nevras: Collection[str]) -> Matrix:
        """The rows of these builds."""
        kept = [i for i, build in enumerate(self.builds) if str(build.nevra) in nevras]
        return Matrix(
            kernels=self.kernels,
            builds=tuple(self.builds[i] for i in kept),
            cells=tuple(self.cells[i] for i in kept),
        )


def offered_by(builds: Iterable[KmpBuild]) -> set[tuple[str, str]]:
    """(capability, version) pairs that any of `builds` provides."""
    return {(key, value) for build in builds for key, values in build.exports.items() for value in values}


def shortfall(build: KmpBuild, fit: Fit, offered: set[tuple[str, str]]) -> tuple[Need, ...]:
    """What `build` misses on the unit of `fit`.

    Parameters
    ----------
    offered
        (capability, version) pairs that other KMPs provide there.
    """
    return tuple(need for need in fit.open[build.package.handle] if (need.key, need.value) not in offered)


def matrix(builds: Iterable[KmpBuild], units: Sequence[KernelUnit], table: SymbolTable) -> Matrix:
    """Hold every build against every kernel.

    Parameters
    ----------
    builds
        Of any flavor; a NEVRA that is installed and available is one row.
    units
        Of any flavor.
    """
    rows = unique_builds(builds)
    kernels = sorted(units, key=lambda unit: unit.nevra.evr, reverse=True)
    kernels.sort(key=lambda unit: unit.flavor)
    closer = _closer_look(rows, kernels, table)
    known: dict[tuple[int, bool], Cell] = {}
    columns: list[dict[int, Cell]] = []
    for unit in kernels:
        provided = unit.exports.capabilities
        mine = [build for build in rows if build.flavor in (unit.flavor, "") and build.versioned]
        missing = {build.package.handle: build.needs - provided for build in mine}
        plain = {handle: capabilities - closer for handle, capabilities in missing.items()}
        fit = judge([build for build in mine if not plain[build.package.handle]], unit, table)
        offered = offered_by(build for build in mine if fit.fits(build))
        column = {}
        for build in mine:
            handle = build.package.handle
            count = table.size(handle, plain[handle])
            if len(plain[handle]) < len(missing[handle]):
                count += _loosely_missing(build, unit, missing[handle] & closer, offered, table)
            asked = (count, fit.fits(build))
            column[handle] = known.get(asked) or known.setdefault(asked, Cell(*asked))
        columns.append(column)
    return Matrix(
        kernels=tuple(kernels),
        builds=rows,
        cells=tuple(tuple(column.get(build.package.handle) for column in columns) for build in rows),
    )


def _closer_look(
    builds: Iterable[KmpBuild], units: Iterable[KernelUnit], table: SymbolTable
) -> frozenset[int]:
    """Needs of which more has to be known than that a kernel does not provide the very same capability.

    These are symbols that some build provides, and those that anybody spells in another way than most: to rpm
    ``ksym(a:b) = 0abc`` is another capability than ``ksym(a:b) = abc``.
    """
    builds = list(builds)
    needs = frozenset().union(*(build.needs for build in builds))
    offered = frozenset().union(*(build.exports.capabilities for build in builds))
    provided = frozenset().union(*(unit.exports.capabilities for unit in units))
    special = {table.spell(capability).partition(" ")[0] for capability in offered}
    loose = [c for c in needs if not table.is_class(c)]
    texts = list(map(table.spell, loose))
    others = (text for text in map(table.spell, provided - needs) if text.startswith(("ksym(", "kernel")))
    special.update(text.partition(" ")[0] for text in (*texts, *others) if not _USUAL.fullmatch(text))
    return frozenset(c for c, text in zip(loose, texts, strict=True) if text.partition(" ")[0] in special)


def _loosely_missing(
    build: KmpBuild,
    unit: KernelUnit,
    capabilities: Iterable[int],
    offered: set[tuple[str, str]],
    table: SymbolTable,
) -> int:
    return sum(
        need.kind != "exact-kernel"
        and (need.key, need.value) not in offered
        and not unit.exports.meets(need)
        and not build.exports.meets(need)
        for need in table.needs(build.package.handle, capabilities)
    )


def unique_builds(builds: Iterable[KmpBuild]) -> tuple[KmpBuild, ...]:
    """One build for each NEVRA, an installed one where there is one; by name, the newest first."""
    chosen: dict[str, KmpBuild] = {}
    for build in sorted(
        builds, key=lambda b: (not b.package.installed, b.package.priority, b.package.repository or "")
    ):
        chosen.setdefault(str(build.nevra), build)
    ordered = sorted(chosen.values(), key=lambda build: (build.nevra.evr, str(build.nevra)), reverse=True)
    return tuple(sorted(ordered, key=lambda build: build.name))
