"""Kernel packages, and the units that they make up."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, partial

import solv

from kmpsolve.model.modules import Modules
from kmpsolve.model.needs import flavor_of_uname, usual_uname
from kmpsolve.model.package import KernelUnit, Package
from kmpsolve.model.symbols import Exports, SymbolTable
from kmpsolve.solver.relations import relation

__all__ = ["KERNEL_NAME", "KMOD_NAME", "KernelPackage", "read_kernel", "unit_of"]

KERNEL_NAME = re.compile(
    r"kernel-(?:(?P<of_core>modules(?:-(?:core|extra|internal|partner))?)"
    r"|(?P<flavor>[A-Za-z0-9_]+)(?:-(?P<part>base|extra|optional))?)"
)
"""``of_core``: Red Hat's kernel-core has its modules in packages of their own."""
KMOD_NAME = re.compile(r"kmod-(?!(?:libs|devel|compat|bash-completion)$).+")
"""How Red Hat's packages with kernel modules are called: what is only listed has nothing else that tells."""

_IN_TREE_NAME = re.compile(r"(?P<part>.+-kmp)-(?P<flavor>[A-Za-z0-9_]+)")


class Provides:
    """What a package provides, read when somebody asks."""

    def __init__(self, pool: solv.Pool, handle: int) -> None:
        self._pool = pool
        self._handle = handle

    def read(self) -> frozenset[int]:
        """The integers, which are not kept: a kernel has 28,000, and there are many kernels."""
        return frozenset(self._pool.id2solvable(self._handle).lookup_idarray(solv.SOLVABLE_PROVIDES))

    @cached_property
    def capabilities(self) -> frozenset[int]:
        """The integers."""
        return self.read()


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelPackage:
    """A kernel package before it is joined into a unit.

    Parameters
    ----------
    part
        ``""`` for kernel-FLAVOR itself, else base, extra or optional; or an in-tree KMP's name without flavor;
        or modules, modules-extra, ... of Red Hat's kernel-core.
    requires
        Its requirements on kernel packages, as text.
    wanted
        All its requirements.
    """

    package: Package
    flavor: str
    part: str
    uname_r: str
    provides: Provides
    requires: tuple[str, ...]
    wanted: frozenset[int]

    @property
    def capabilities(self) -> frozenset[int]:
        """All that it provides, symbols, modules and the rest."""
        return self.provides.capabilities


def read_kernel(pool: solv.Pool, package: Package, uname_r: str) -> KernelPackage:
    """Read a package whose name is a kernel's, or an in-tree KMP's.

    Parameters
    ----------
    uname_r
        What it provides as ``kernel-uname-r``; empty if it does not.
    """
    match = KERNEL_NAME.fullmatch(package.name) or _IN_TREE_NAME.fullmatch(package.name)
    assert match is not None
    wanted = relation(pool.id2solvable(package.handle), solv.SOLVABLE_REQUIRES)
    requires = tuple(text for text in map(pool.dep2str, wanted) if text.startswith("kernel-"))
    flavor, part = match["flavor"], match["part"] or ""
    if of_core := match.groupdict().get("of_core"):
        flavor, part = "core", of_core
        served = (text.partition(" = ")[2] for text in requires if text.startswith("kernel-uname-r = "))
        uname_r = next(served, "")
    if not uname_r:
        uname_r = usual_uname(flavor, package.nevra.evr, package.nevra.arch)
    return KernelPackage(
        package=package,
        flavor=flavor_of_uname(uname_r) or flavor,
        part=part,
        uname_r=uname_r,
        provides=Provides(pool, package.handle),
        requires=requires,
        wanted=frozenset(wanted),
    )


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
    first, *others = (kernel.provides.read() for kernel in kernels)
    return first.union(*others) if others else first
