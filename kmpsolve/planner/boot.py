"""The boot matrix: for every kernel that will be there, which build serves each KMP, and how."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kmpsolve.compat.judgement import Fit, judge
from kmpsolve.model.package import KernelUnit, KmpBuild
from kmpsolve.model.plan import BootState, BuildInUse, KernelState, Warned
from kmpsolve.model.symbols import SymbolTable
from kmpsolve.planner.options import absorbs, overrides
from kmpsolve.planner.system import Kmp, is_native, obsoleted_by

__all__ = ["boot_matrix", "fallback_losses"]


def _in_use(kmp: Kmp, builds: Sequence[KmpBuild], fit: Fit) -> BuildInUse:
    unit = fit.unit
    mine = [build for build in builds if not obsoleted_by(unit.obsoletes, build.nevra)]
    fitting = sorted(
        (build for build in mine if fit.fits(build)),
        key=lambda b: (is_native(b, unit), b.nevra.evr),
        reverse=True,
    )
    if fitting:
        via = "native" if is_native(fitting[0], unit) else "weak-updates"
        return BuildInUse(build=str(fitting[0].nevra), via=via)  # type: ignore[arg-type]
    taken = any(obsoleted_by(unit.obsoletes, build.nevra) for build in kmp.installed)
    if absorbs(unit, kmp) and (taken or not overrides(kmp)):
        return BuildInUse(build=None, via="builtin")
    versionless = [build for build in mine if not build.versioned]
    if versionless:
        best = max(versionless, key=lambda b: (is_native(b, unit), b.nevra.evr))
        return BuildInUse(build=str(best.nevra), via="unknown")
    return BuildInUse(build=None, via="none")


def boot_matrix(
    kmps: Iterable[Kmp],
    units: Sequence[KernelUnit],
    builds: Mapping[str, Sequence[KmpBuild]],
    extras: Iterable[KmpBuild],
    states: Mapping[str, KernelState],
    table: SymbolTable,
) -> tuple[BootState, ...]:
    """One row for each kernel, newest first.

    Parameters
    ----------
    units
        The kernels that will be there.
    builds
        For each KMP's name the builds that will be there for it, renames included.
    extras
        Other KMP builds that will be there.
    states
        By uname -r.
    """
    kmps = list(kmps)
    rows = []
    for unit in sorted(units, key=lambda u: u.nevra.evr, reverse=True):
        everything = {b.package.handle: b for group in builds.values() for b in group}
        everything |= {b.package.handle: b for b in extras}
        fit = judge(everything.values(), unit, table)
        rows.append(
            BootState(
                uname_r=unit.uname_r,
                state=states[unit.uname_r],
                kmps={kmp.name: _in_use(kmp, builds[kmp.name], fit) for kmp in kmps},
            )
        )
    return tuple(rows)


def fallback_losses(before: Sequence[BootState], after: Sequence[BootState]) -> tuple[Warned, ...]:
    """Warnings for kernels other than the new one on which a KMP served before and none does after."""
    served = {
        (row.uname_r, name): use for row in before for name, use in row.kmps.items() if use.via != "none"
    }
    warnings = []
    staying = {row.uname_r for row in after}
    for row in after:
        for name, use in row.kmps.items():
            if use.via == "none" and (row.uname_r, name) in served:
                what = "running kernel" if row.state == "running" else "fallback kernel"
                warnings.append(
                    Warned(reference="fallback-loses", message=f"the {what} {row.uname_r} would lose {name}")
                )
    for row in before:
        if row.uname_r not in staying:
            warnings.append(
                Warned(
                    reference="kernel-goes",
                    message=f"kernel {row.uname_r} is removed by this update and can no longer be booted",
                )
            )
    return tuple(sorted(warnings))
