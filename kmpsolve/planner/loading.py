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

__all__ = ["loaded", "loaded_before", "loaded_parts", "unshadowed"]


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
    return {name: parts[0] for name, parts in loaded_parts(builds, extras, unit, table).items()}


def loaded_parts(
    builds: Mapping[str, Sequence[KmpBuild]],
    extras: Iterable[KmpBuild],
    unit: KernelUnit,
    table: SymbolTable,
) -> dict[str, list[KmpBuild]]:
    """As :func:`loaded`, and after it those of other packages that stand for the KMP too, since it was split."""
    extras = list(extras)
    standing = {name: unshadowed(group, unit) for name, group in builds.items()}
    while True:
        everything = {b.package.handle: b for b in (*extras, *(b for g in standing.values() for b in g))}
        fit = judge(everything.values(), unit, table)
        taken = {
            name: _linked(fitting, unit)
            for name, group in standing.items()
            if (fitting := [build for build in group if fit.fits(build)])
        }
        together = {b.package.handle: b for b in (*extras, *(b for parts in taken.values() for b in parts))}
        if fit.viable <= together.keys():
            return taken
        fit = judge(together.values(), unit, table)
        failing = [(name, b) for name, parts in taken.items() for b in parts if not fit.fits(b)]
        if not failing:
            return taken
        for name, build in failing:
            standing[name].remove(build)


def _linked(fitting: Iterable[KmpBuild], unit: KernelUnit) -> list[KmpBuild]:
    """Of one KMP's builds that fit the best, and those of other packages that have none of its modules."""
    linked: list[KmpBuild] = []
    for build in sorted(fitting, key=lambda b: (is_native(b, unit), b.nevra.evr), reverse=True):
        if not any(one.name == build.name or _share_a_name(one, build) for one in linked):
            linked.append(build)
    return linked


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
