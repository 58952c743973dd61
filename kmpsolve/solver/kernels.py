"""Kernel packages, and the units that they make up."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial

import solv

from kmpsolve.model.modules import Modules
from kmpsolve.model.package import KernelUnit, Package
from kmpsolve.model.symbols import Exports, SymbolTable, flavor_of_uname
from kmpsolve.solver.relations import relation

__all__ = ["KERNEL_NAME", "KernelPackage", "read_kernel", "unit_of"]

KERNEL_NAME = re.compile(r"kernel-(?P<flavor>[A-Za-z0-9_]+)(?:-(?P<part>base|extra|optional))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelPackage:
    """A kernel package before it is joined into a unit.

    Parameters
    ----------
    part
        ``""`` for kernel-FLAVOR itself, else base, extra or optional.
    provides
        Reads the integers of what it provides.
    requires
        Its requirements on kernel packages, as text.
    wanted
        All its requirements.
    """

    package: Package
    flavor: str
    part: str
    uname_r: str
    provides: Callable[[], frozenset[int]]
    requires: tuple[str, ...]
    wanted: frozenset[int]

    @property
    def capabilities(self) -> frozenset[int]:
        """All that it provides, symbols, modules and the rest."""
        return self.provides()


def read_kernel(pool: solv.Pool, package: Package, uname_r: str) -> KernelPackage:
    """Read a package whose name is a kernel's.

    Parameters
    ----------
    uname_r
        What it provides as ``kernel-uname-r``; empty if it does not.
    """
    match = KERNEL_NAME.fullmatch(package.name)
    assert match is not None
    flavor, part = match["flavor"], match["part"] or ""
    if not uname_r:
        release = package.nevra.evr.release
        krel = release.rpartition(".")[0] or release
        uname_r = f"{package.nevra.evr.version}-{krel}-{flavor}"
    wanted = relation(pool.id2solvable(package.handle), solv.SOLVABLE_REQUIRES)
    return KernelPackage(
        package=package,
        flavor=flavor_of_uname(uname_r) or flavor,
        part=part,
        uname_r=uname_r,
        provides=cache(partial(_provided, pool, package.handle)),
        requires=tuple(text for text in map(pool.dep2str, wanted) if text.startswith("kernel-")),
        wanted=frozenset(wanted),
    )


def _provided(pool: solv.Pool, handle: int) -> frozenset[int]:
    return frozenset(pool.id2solvable(handle).lookup_idarray(solv.SOLVABLE_PROVIDES))


def unit_of(
    pool: solv.Pool, table: SymbolTable, main: KernelPackage, parts: Iterable[KernelPackage]
) -> KernelUnit:
    """Join packages that serve one uname -r."""
    joined = [main, *sorted(parts, key=lambda part: part.part)]
    obsoletes: list[str] = []
    for kernel in joined:
        solvable = pool.id2solvable(kernel.package.handle)
        obsoletes += map(pool.dep2str, solvable.lookup_idarray(solv.SOLVABLE_OBSOLETES))
    exports = Exports(partial(_joint, joined), table)
    return KernelUnit(
        flavor=main.flavor,
        uname_r=main.uname_r,
        main=main.package,
        packages=tuple(kernel.package for kernel in joined),
        exports=exports,
        modules=Modules(lambda: table.modules(exports.capabilities)),
        obsoletes=tuple(obsoletes),
    )


def _joint(kernels: Iterable[KernelPackage]) -> frozenset[int]:
    return frozenset().union(*(kernel.capabilities for kernel in kernels))
