"""A flavor that ends: which kernel boots instead, and what serves its KMPs there.

A change of release may replace kernel-default by a kernel of another name. A KMP belongs to one flavor, so
what it did has to come from a KMP with the same base name for the other flavor, or from that kernel itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from kmpsolve.model.package import KernelUnit, KmpBuild, Package
from kmpsolve.model.relation import obsoleted_by
from kmpsolve.planner.kernels import join_units
from kmpsolve.planner.loading import loaded, unshadowed
from kmpsolve.planner.options import overrides
from kmpsolve.planner.system import Kmp
from kmpsolve.solver.universe import Universe

__all__ = ["Takeover", "takeover"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """The kernel of another flavor that boots next, and the KMPs for it that will be there.

    Parameters
    ----------
    builds
        By name.
    loads
        By name the build that the kernel loads and that works there.
    """

    unit: KernelUnit
    builds: Mapping[str, Sequence[KmpBuild]]
    loads: Mapping[str, KmpBuild]

    def build_for(self, kmp: Kmp) -> KmpBuild | None:
        """The newest build with the KMP's base name, or with its modules, that works on this kernel."""
        return self._newest(kmp, self.loads.values())

    def unverified_for(self, kmp: Kmp) -> KmpBuild | None:
        """The same among those of which symbols tell nothing."""
        groups = (unshadowed(group, self.unit) for group in self.builds.values())
        return self._newest(kmp, (build for group in groups for build in group if not build.versioned))

    @staticmethod
    def _newest(kmp: Kmp, builds: Iterable[KmpBuild]) -> KmpBuild | None:
        serving = [
            build
            for build in builds
            if kmp.modules.keys() <= build.modules.keys()
            and (kmp.modules or _base_name(build.name) == _base_name(kmp.name))
        ]
        return max(serving, key=lambda build: build.nevra.evr, default=None)

    def ships(self, kmp: Kmp) -> bool:
        """Whether the kernel has all its modules, which the one it is used on does not."""
        return bool(kmp.modules) and kmp.modules.keys() <= self.unit.modules.keys() and not overrides(kmp)


def takeover(
    universe: Universe, there: Callable[[Package], bool], ending: Iterable[KernelUnit] = ()
) -> Takeover | None:
    """The newest kernel that obsoletes one of `ending`, else that arrives, else that stays; ``None`` without any.

    Parameters
    ----------
    there
        Whether a package will be installed.
    ending
        The flavor's kernels, which will not be. What obsoletes them was made to boot in their place; beside it
        another flavor may get a new kernel that the machine does not boot by itself.
    """
    kernels = [kernel for kernel in universe.kernels if there(kernel.package)]
    flavors = {kernel.flavor for kernel in kernels}
    units = [u for f in flavors for u in join_units(universe, [k for k in kernels if k.flavor == f])]
    if not units:
        return None
    ended = [unit.nevra for unit in ending]
    unit = max(
        units,
        key=lambda unit: (
            any(obsoleted_by(unit.obsoletes, nevra) for nevra in ended),
            not unit.installed,
            unit.nevra.evr,
            unit.flavor,
        ),
    )
    builds: dict[str, list[KmpBuild]] = {}
    for build in universe.kmps:
        if build.flavor in (unit.flavor, "") and there(build.package):
            builds.setdefault(build.name, []).append(build)
    return Takeover(unit=unit, builds=builds, loads=loaded(builds, (), unit, universe.table))


def _base_name(name: str) -> str:
    return name.rpartition("-kmp-")[0] or name
