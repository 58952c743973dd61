"""Packages of one name and EVR that are not the same: rebuilds, other architectures, other repositories."""

from __future__ import annotations

from kmpsolve.model.package import Package
from kmpsolve.solver.relations import RELATIONS, relation
from kmpsolve.solver.universe import Universe

__all__ = ["namesakes"]


def namesakes(universe: Universe, package: Package) -> list[Package]:
    """Other packages on offer that share name and EVR with a package, but not its content."""
    alike = _content(universe, package)
    return [
        other
        for other in universe.called(package.name)
        if other.nevra.evr == package.nevra.evr
        and not (other.installed or other.barred == "architecture")
        and _content(universe, other) != alike
    ]


def _content(universe: Universe, package: Package) -> tuple[object, ...]:
    """What distinguishes a package from another one of its name and EVR."""
    solvable, build = universe.pool.id2solvable(package.handle), universe.kmp(package.handle)
    return (
        package.nevra.arch,
        package.vendor,
        build and build.needs,
        *(frozenset(relation(solvable, keyname)) for keyname in RELATIONS),
    )
