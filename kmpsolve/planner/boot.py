"""The boot matrix: for every kernel that will be there, which build serves each KMP, and how."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kmpsolve.model.package import KernelUnit, KmpBuild
from kmpsolve.model.plan import BootState, BuildInUse, KernelState, Via, Warned
from kmpsolve.model.symbols import SymbolTable
from kmpsolve.planner.loading import loaded, unshadowed
from kmpsolve.planner.options import absorbs, overrides
from kmpsolve.planner.system import Kmp, is_native, obsoleted_by

__all__ = ["boot_matrix", "fallback_losses"]


def _in_use(kmp: Kmp, builds: Sequence[KmpBuild], loads: KmpBuild | None, unit: KernelUnit) -> BuildInUse:
    if loads is not None:
        via: Via = "native" if is_native(loads, unit) else "weak-updates"
        return BuildInUse(build=str(loads.nevra), via=via)
    taken = any(obsoleted_by(unit.obsoletes, build.nevra) for build in kmp.installed)
    if absorbs(unit, kmp) and (taken or not overrides(kmp)):
        return BuildInUse(build=None, via="builtin")
    versionless = [build for build in unshadowed(builds, unit) if not build.versioned]
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
    kmps, extras = list(kmps), list(extras)
    rows = []
    for unit in sorted(units, key=lambda u: u.nevra.evr, reverse=True):
        staying = {
            kmp.name: [b for b in builds[kmp.name] if not obsoleted_by(unit.obsoletes, b.nevra)]
            for kmp in kmps
        }
        loads = loaded(staying, extras, unit, table)
        uses = {kmp.name: _in_use(kmp, staying[kmp.name], loads.get(kmp.name), unit) for kmp in kmps}
        rows.append(BootState(uname_r=unit.uname_r, state=states[unit.uname_r], kmps=uses))
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
