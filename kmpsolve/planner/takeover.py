"""A flavor that ends: which kernel boots instead, and what serves its KMPs there.

A change of release may replace kernel-default by a kernel of another name. A KMP belongs to one flavor, so
what it did has to come from a KMP with the same base name for the other flavor, or from that kernel itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kmpsolve.compat.judgement import Fit, judge
from kmpsolve.model.package import KernelUnit, KmpBuild, Package
from kmpsolve.planner.kernels import join_units
from kmpsolve.planner.options import overrides
from kmpsolve.planner.system import Kmp
from kmpsolve.solver.universe import Universe

__all__ = ["Takeover", "takeover"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """The kernel of another flavor that boots next, and the KMPs for it that will be there."""

    unit: KernelUnit
    builds: tuple[KmpBuild, ...]
    fit: Fit

    def build_for(self, kmp: Kmp) -> KmpBuild | None:
        """The newest build with the KMP's base name, or with its modules, that works on this kernel."""
        fitting = [
            build
            for build in self.builds
            if self.fit.fits(build)
            and kmp.modules.keys() <= build.modules.keys()
            and (kmp.modules or _base_name(build.name) == _base_name(kmp.name))
        ]
        return max(fitting, key=lambda build: build.nevra.evr, default=None)

    def ships(self, kmp: Kmp) -> bool:
        """Whether the kernel has all its modules, which the one it is used on does not."""
        return bool(kmp.modules) and kmp.modules.keys() <= self.unit.modules.keys() and not overrides(kmp)


def takeover(universe: Universe, there: Callable[[Package], bool]) -> Takeover | None:
    """The newest kernel that arrives, else the newest that stays; ``None`` if there is none.

    Parameters
    ----------
    there
        Whether a package will be installed.
    """
    kernels = [kernel for kernel in universe.kernels if there(kernel.package)]
    flavors = {kernel.flavor for kernel in kernels}
    units = [u for f in flavors for u in join_units(universe, [k for k in kernels if k.flavor == f])]
    if not units:
        return None
    unit = max(units, key=lambda unit: (not unit.installed, unit.nevra.evr, unit.flavor))
    builds = tuple(b for b in universe.kmps if b.flavor in (unit.flavor, "") and there(b.package))
    return Takeover(unit=unit, builds=builds, fit=judge(builds, unit, universe.table))


def _base_name(name: str) -> str:
    return name.rpartition("-kmp-")[0] or name
