"""Every KMP build on every kernel: how many of its symbol versions are missing there.

The matrix asks what could load, not what zypp would choose: builds of other vendors, locked and retracted
ones stand in it like any other. A symbol of another KMP counts as met if some build of that KMP that
itself fits the kernel provides it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import filterfalse, islice

from kmpsolve.compat.judgement import Fit, judge
from kmpsolve.model.membership import membership
from kmpsolve.model.needs import Need
from kmpsolve.model.nevra import Nevra, same_architecture
from kmpsolve.model.package import KernelUnit, KmpBuild
from kmpsolve.model.symbols import Exports, SymbolTable

__all__ = ["Cell", "Column", "Matrix", "Row", "matrix", "offered_by", "shortfall", "unique_builds"]


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


@dataclass(frozen=True, slots=True)
class Column:
    """A kernel of a matrix, by its main package."""

    nevra: Nevra
    flavor: str


@dataclass(frozen=True, slots=True)
class Row:
    """A build of a matrix.

    Parameters
    ----------
    flavor
        ``""`` if nothing tells.
    repository
        Its alias; ``None`` for an installed build.
    """

    nevra: Nevra
    flavor: str
    repository: str | None

    @property
    def name(self) -> str:
        """Of the KMP."""
        return self.nevra.name

    @property
    def installed(self) -> bool:
        """Whether it is on the system."""
        return self.repository is None


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
        A row for each build, a cell for each kernel; ``None`` if the build was made for another flavor or
        architecture, or without symbol versions, or nobody knows the kernel's, so that nothing can be said.
    """

    kernels: tuple[Column, ...]
    builds: tuple[Row, ...]
    cells: tuple[tuple[Cell | None, ...], ...]

    def only(self, wanted: Callable[[Row], bool]) -> Matrix:
        """Some of the rows."""
        kept = [i for i, build in enumerate(self.builds) if wanted(build)]
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
    told_in_part: Collection[int] = (),
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
    told_in_part
        Handles of kernels of which nobody knows more than what the installed KMPs need.
    """
    rows = unique_builds(builds)
    kernels = sorted(units, key=lambda unit: unit.nevra.evr, reverse=True)
    kernels.sort(key=lambda unit: unit.flavor)
    counts = _Counts(rows, kernels, table)
    known: dict[tuple[int, bool], Cell] = {}
    columns: list[dict[int, Cell]] = []
    for number, unit in enumerate(kernels):
        column: dict[int, Cell] = {}
        columns.append(column)
        if unit.main.handle in unread:
            continue
        mine = counts.of_kernels(unit.flavor, unit.nevra.arch)
        lean = counts.lean(unit, number)
        fit = judge([build for build, lacking in mine if not lacking[number]], lean, table)
        offered = offered_by(build for build in counts.exporting if fit.fits(build))
        in_part = unit.main.handle in told_in_part
        for build, lacking in mine:
            handle = build.package.handle
            missing = lacking[number]
            if handle in counts.loosely:
                missing += counts.loose(build, lean, offered)
            if missing and in_part and not build.package.installed:
                continue
            asked = missing, handle in fit.viable
            column[handle] = known.get(asked) or known.setdefault(asked, Cell(*asked))
    handles = [build.package.handle for build in rows]
    return Matrix(
        kernels=tuple(Column(unit.nevra, unit.flavor) for unit in kernels),
        builds=tuple(Row(build.nevra, build.flavor, build.package.repository) for build in rows),
        cells=tuple(zip(*(map(column.get, handles) for column in columns), strict=True))
        if columns
        else ((),) * len(rows),
    )


class _Counts:
    """How many symbols of each build each kernel lacks.

    Most symbols are plain: a kernel provides the very same capability or lacks the symbol, and no build provides
    it. Capabilities that the same kernels provide are counted together. The others need a closer look: to rpm
    ``ksym(a:b) = 0abc`` is another capability than ``ksym(a:b) = abc``. They are left to lean builds and lean
    kernels: where a build lacks no plain symbol, one of these stands for all of them.
    """

    def __init__(self, builds: Sequence[KmpBuild], units: Sequence[KernelUnit], table: SymbolTable) -> None:
        self._table = table
        self._units = units
        needs = frozenset().union(*(build.needs for build in builds))
        offered = frozenset().union(*(build.exports.capabilities for build in builds))
        self._masks = membership(unit.exports.once() for unit in units)
        self._closer = table.of_names(needs | self._masks.keys(), table.names(offered))
        # One number holds the counts of all kernels, 32 bits each.
        lanes = {mask: self._lane(~mask) for mask in {0, *self._masks.values()}}
        self._lacked = {c: lanes[self._masks.get(c, 0)] for c in needs} | dict.fromkeys(self._closer, 0)
        self._builds = [(self._lean(build), self._lacking(build)) for build in builds if build.versioned]
        self._of: dict[tuple[str, str], list[tuple[KmpBuild, Sequence[int]]]] = {}
        self._standing = frozenset().union(*(build.needs for build, _ in self._builds)) - self._closer
        self.loosely = {build.package.handle for build, _ in self._builds if build.needs & self._closer}
        """Builds that need a closer look."""
        self.exporting = [build for build, _ in self._builds if build.exports.capabilities]

    def of_kernels(self, flavor: str, arch: str) -> list[tuple[KmpBuild, Sequence[int]]]:
        """The lean builds that may be for such kernels, each with the number of plain symbols that kernels lack."""
        if (flavor, arch) not in self._of:
            self._of[flavor, arch] = [
                pair
                for pair in self._builds
                if pair[0].flavor in (flavor, "") and same_architecture(pair[0].nevra.arch, arch)
            ]
        return self._of[flavor, arch]

    def _lean(self, build: KmpBuild) -> KmpBuild:
        one = islice(filterfalse(self._closer.__contains__, build.needs), 1)
        return replace(build, needs=(build.needs & self._closer).union(one))

    def _lacking(self, build: KmpBuild) -> Sequence[int]:
        if self._table.classes is None:
            lacking = sum(map(self._lacked.__getitem__, build.needs))
        else:
            sizes = self._table.sizes(build.package.handle, build.needs)
            lacking = sum(size * self._lacked[capability] for capability, size in sizes)
        return struct.unpack(f"<{len(self._units)}I", lacking.to_bytes(4 * len(self._units), "little"))

    def _lane(self, mask: int) -> int:
        places = (number for number in range(len(self._units)) if mask >> number & 1)
        return sum(1 << 32 * place for place in places)

    def lean(self, unit: KernelUnit, number: int) -> KernelUnit:
        """The kernel of this number with what needs a closer look, and what stands for the rest."""
        here = frozenset(c for c in self._closer if self._masks.get(c, 0) >> number & 1) | self._standing
        return replace(unit, exports=Exports(lambda: here, self._table))

    def loose(self, build: KmpBuild, unit: KernelUnit, offered: set[tuple[str, str]]) -> int:
        """How many of the other symbols are missing, where fitting builds provide those that are offered."""
        missing = build.needs - unit.exports.capabilities
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
