"""What belongs to one kernel and is no KMP: live patches, and the kernel's own modules in packages of their own."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from kmpsolve.model.package import KernelUnit
from kmpsolve.model.plan import Warned
from kmpsolve.solver.universe import Universe

__all__ = ["left_behind"]


def left_behind(universe: Universe, unit: KernelUnit, arriving: Collection[str]) -> Iterator[Warned]:
    """Warnings of what an installed kernel has and a new one starts without.

    Parameters
    ----------
    unit
        What boots next; nothing is told of one that is installed already.
    arriving
        NEVRAs of the packages that come with it.
    """
    if unit.installed:
        return
    if universe.livepatches:
        names = ", ".join(sorted(str(p) for p in universe.livepatches))
        yield Warned(
            reference="starts-unpatched",
            message=f"{unit.nevra} starts without live patches: {names} belong to one kernel only",
        )
    for name in sorted({p.name for p in universe.in_tree if p.name.rpartition("-kmp-")[2] == unit.flavor}):
        fitting = [p for p in universe.called(name) if p.nevra.evr == unit.nevra.evr]
        if any(p.installed or str(p.nevra) in arriving for p in fitting):
            continue
        missing = f"add {name}={unit.nevra.evr}" if fitting else "no repository has it for this one"
        yield Warned(
            reference="in-tree-left-behind",
            message=f"{unit.nevra} starts without {name}, which belongs to one kernel only: {missing}",
        )
