"""Which of several installed builds of one KMP a kernel loads.

depmod takes what stands in a kernel's own updates/ or extra/ before any link in weak-updates/, whether it loads
or not, and weak-modules links no module whose name stands there already; of several builds that fit it links the
one with the highest version. Another build serves the kernel only once these are gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kmpsolve.compat.judgement import judge, open_needs
from kmpsolve.model.package import KernelUnit, KmpBuild
from kmpsolve.model.symbols import SymbolTable
from kmpsolve.planner.system import is_native

__all__ = ["loaded", "loaded_before", "unshadowed"]


def _share_a_name(a: KmpBuild, b: KmpBuild) -> bool:
    """Whether a module of one would stand in for one of the other; unknown modules may."""
    return not a.modules or not b.modules or not a.modules.keys().isdisjoint(b.modules)


def unshadowed(builds: Sequence[KmpBuild], unit: KernelUnit) -> list[KmpBuild]:
    """The builds of one KMP without those that one in the kernel's own folder keeps from being linked."""
    native = [build for build in builds if is_native(build, unit)]
    return [
        build for build in builds if build in native or not any(_share_a_name(build, one) for one in native)
    ]


def loaded(
    builds: Mapping[str, Sequence[KmpBuild]],
    extras: Iterable[KmpBuild],
    unit: KernelUnit,
    table: SymbolTable,
) -> dict[str, KmpBuild]:
    """For each KMP the build that `unit` loads and that works beside those of the others, if there is one.

    Parameters
    ----------
    builds
        For each KMP's name the builds that are there for it.
    extras
        Other KMP builds that are there.
    """
    extras = list(extras)
    standing = {name: unshadowed(group, unit) for name, group in builds.items()}
    while True:
        everything = {b.package.handle: b for b in (*extras, *(b for g in standing.values() for b in g))}
        fit = judge(everything.values(), unit, table)
        taken: dict[str, KmpBuild] = {}
        for name, group in standing.items():
            fitting = [build for build in group if fit.fits(build)]
            if fitting:
                taken[name] = max(fitting, key=lambda build: (is_native(build, unit), build.nevra.evr))
        together = {b.package.handle: b for b in (*extras, *taken.values())}
        if fit.viable <= together.keys():
            return taken
        fit = judge(together.values(), unit, table)
        failing = [name for name, build in taken.items() if not fit.fits(build)]
        if not failing:
            return taken
        for name in failing:
            standing[name].remove(taken[name])


def loaded_before(
    chosen: KmpBuild,
    installed: Iterable[KmpBuild],
    others: Iterable[KmpBuild],
    unit: KernelUnit,
    table: SymbolTable,
) -> list[KmpBuild]:
    """Those of a KMP's `installed` builds that `unit` would load instead of the chosen one if they stayed.

    Of two KMPs that need each other's symbols it is not known which is looked at first: a newer build counts as
    linked if it works beside what is chosen of the others, also where that works only through the chosen build.

    Parameters
    ----------
    others
        The builds that are chosen for other KMPs, and work with the chosen one.
    """
    if is_native(chosen, unit):
        return []
    others = list(others)

    def works(build: KmpBuild) -> bool:
        return build.versioned and all(
            need.kind != "exact-kernel" and any(other.exports.meets(need) for other in others)
            for need in open_needs(build, unit, table)
        )

    return [
        build
        for build in installed
        if (is_native(build, unit) and _share_a_name(build, chosen))
        or (build.nevra.evr > chosen.nevra.evr and works(build))
    ]
