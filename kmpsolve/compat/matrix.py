"""Every KMP build on every kernel: how many of its symbol versions are missing there.

The matrix asks what could load, not what zypp would choose: builds of other vendors, locked and retracted
ones stand in it like any other. A symbol of another KMP counts as met if some build of that KMP that
itself fits the kernel provides it.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from kmpsolve.compat.judgement import Fit, judge
from kmpsolve.model.membership import membership
from kmpsolve.model.package import KernelUnit, KmpBuild
from kmpsolve.model.symbols import Exports, Need, SymbolTable

__all__ = ["Cell", "Matrix", "matrix", "offered_by", "shortfall", "unique_builds"]


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
        or without symbol versions, or nobody knows the kernel's, so that nothing can be said.
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


def matrix(
    builds: Iterable[KmpBuild],
    units: Sequence[KernelUnit],
    table: SymbolTable,
    unread: Collection[int] = (),
) -> Matrix:
    """Hold every build against every kernel.

    Parameters
    ----------
    builds
        Of any flavor; a NEVRA that is installed and available is one row.
    units
        Of any flavor.
    unread
        Handles of kernels whose symbols nobody knows.
    """
    rows = unique_builds(builds)
    kernels = sorted(units, key=lambda unit: unit.nevra.evr, reverse=True)
    kernels.sort(key=lambda unit: unit.flavor)
    counts = _Counts(rows, kernels, table)
    known: dict[tuple[int, bool], Cell] = {}
    columns: list[dict[int, Cell]] = []
    for number, unit in enumerate(kernels):
        if unit.main.handle in unread:
            columns.append({})
            continue
        mine = [build for build in rows if build.flavor in (unit.flavor, "") and build.versioned]
        lean = counts.lean(unit)
        fit = judge([b for b in mine if not counts.plain[b.package.handle][number]], lean, table)
        offered = offered_by(build for build in mine if fit.fits(build))
        column = {}
        for build in mine:
            handle = build.package.handle
            missing = counts.plain[handle][number]
            if counts.looser[handle]:
                missing += counts.loose(build, lean, offered)
            asked = missing, handle in fit.viable
            column[handle] = known.get(asked) or known.setdefault(asked, Cell(*asked))
        columns.append(column)
    return Matrix(
        kernels=tuple(kernels),
        builds=rows,
        cells=tuple(tuple(column.get(build.package.handle) for column in columns) for build in rows),
    )


class _Counts:
    """How many symbols of each build each kernel lacks.

    Most symbols are plain: a kernel provides the very same capability or lacks the symbol, and no build provides
    it. Capabilities that the same kernels provide are counted together. The others need a closer look: to rpm
    ``ksym(a:b) = 0abc`` is another capability than ``ksym(a:b) = abc``.
    """

    def __init__(self, builds: Sequence[KmpBuild], units: Sequence[KernelUnit], table: SymbolTable) -> None:
        self._table = table
        self._units = units
        needs = frozenset().union(*(build.needs for build in builds))
        offered = frozenset().union(*(build.exports.capabilities for build in builds))
        masks = membership(unit.exports.capabilities for unit in units)
        self._closer = table.of_names(needs | masks.keys(), table.names(offered))
        self.looser = {build.package.handle: build.needs & self._closer for build in builds}
        self._masks = {c: masks.get(c, 0) for c in needs - self._closer}
        self._lanes: dict[int, int] = {}
        self.plain = {build.package.handle: self._lacking(build) for build in builds}
        """For each build the number of plain symbols that each kernel lacks."""

    def _lacking(self, build: KmpBuild) -> Sequence[int]:
        plain = build.needs - self._closer
        groups: Counter[int]
        if self._table.classes is None:
            groups = Counter(map(self._masks.__getitem__, plain))
        else:
            groups = Counter()
            for capability, size in self._table.sizes(build.package.handle, plain):
                groups[self._masks[capability]] += size
        # One number holds the counts of all kernels, 32 bits each.
        everywhere = self._lane(-1)
        lacking = groups.total() * everywhere - sum(size * self._lane(mask) for mask, size in groups.items())
        return struct.unpack(f"<{len(self._units)}I", lacking.to_bytes(4 * len(self._units), "little"))

    def _lane(self, mask: int) -> int:
        known = self._lanes.get(mask)
        if known is None:
            places = (number for number in range(len(self._units)) if mask >> number & 1)
            known = self._lanes[mask] = sum(1 << 32 * place for place in places)
        return known

    def lean(self, unit: KernelUnit) -> KernelUnit:
        """A kernel of which only what needs a closer look can be found by name."""
        exports = unit.exports
        return replace(unit, exports=Exports(lambda: exports.capabilities, self._table, named=self._closer))

    def loose(self, build: KmpBuild, unit: KernelUnit, offered: set[tuple[str, str]]) -> int:
        """How many of the other symbols are missing, where fitting builds provide those that are offered."""
        missing = self.looser[build.package.handle] - unit.exports.capabilities
        return sum(
            need.kind != "exact-kernel"
            and (need.key, need.value) not in offered
            and not unit.exports.meets(need)
            and not build.exports.meets(need)
            for need in self._table.needs(build.package.handle, missing)
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
