"""What the machine and its disk add to a plan: drivers in use, modules that no package owns, rebuilding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from kmpsolve.model.package import KernelUnit, KmpBuild, Package
from kmpsolve.model.plan import KmpPlan, Unmanaged, Warned
from kmpsolve.planner.system import Kmp
from kmpsolve.request import MachineView, Request
from kmpsolve.solver.universe import Universe

__all__ = ["lost_in_use", "rebuild_warnings", "unmanaged", "with_use"]

_NETWORK = "the default route"


def lost_in_use(machine: MachineView | None, lost: Iterable[str]) -> list[str]:
    """Of the modules that the new kernel lacks, those that this machine uses."""
    return [name for name in lost if machine is None or machine.uses(name)]


def with_use(
    machine: MachineView | None, kmps: Sequence[Kmp], plans: Sequence[KmpPlan]
) -> tuple[KmpPlan, ...]:
    """Blocked KMPs with what this machine uses them for; those without which it does not boot come first."""
    if machine is None:
        return tuple(plans)
    told: list[tuple[int, KmpPlan]] = []
    for kmp, plan in zip(kmps, plans, strict=True):
        rank = 2
        if plan.decision == "blocked":
            purposes = machine.boots_from(kmp.modules)
            boots = [purpose for purpose in purposes if purpose != _NETWORK]
            rank = 0 if boots else 1 if purposes else 2
            plan = replace(plan, warnings=tuple(sorted({*plan.warnings, *_use(machine, kmp, purposes)})))
        told.append((rank, plan))
    return tuple(plan for _, plan in sorted(told, key=lambda pair: pair[0]))


def _use(machine: MachineView, kmp: Kmp, purposes: Sequence[str]) -> Iterable[Warned]:
    boots = [purpose for purpose in purposes if purpose != _NETWORK]
    if boots:
        yield Warned(
            reference="would-not-boot",
            message=f"this machine would not boot: {kmp.name} drives {' and '.join(boots)}",
        )
    elif purposes:
        yield Warned(
            reference="would-lose-network",
            message=f"this machine would not be reachable: {kmp.name} drives {_NETWORK}",
        )
    used = {name: machine.uses(name) for name in sorted(kmp.modules)}
    said = "; ".join(f"{name} {', '.join(why)}" for name, why in used.items() if why)
    if said:
        yield Warned(reference="in-use", message=f"{kmp.name} is in use: {said}")
    elif used:
        yield Warned(
            reference="not-in-use",
            message=f"{kmp.name} is not in use: no module of it is loaded, and no hardware for it is there",
        )


def unmanaged(
    universe: Universe, request: Request, unit: KernelUnit, builds: Iterable[KmpBuild]
) -> tuple[Unmanaged, ...]:
    """Modules that no package owns, against the symbols of `unit` and of the builds that will be there."""
    if request.disk is None:
        return ()
    capabilities = list(unit.exports.capabilities)
    for build in builds:
        capabilities += build.exports.capabilities
    return request.disk.unmanaged(
        unit.flavor, unit.uname_r, str(unit.nevra), lambda: universe.table.texts(capabilities)
    )


def rebuild_warnings(
    universe: Universe,
    request: Request,
    unit: KernelUnit,
    plans: Iterable[KmpPlan],
    arrived: Iterable[Package],
) -> tuple[Warned, ...]:
    """What keeps DKMS, and KMPs that rebuild themselves, from building for `unit`."""
    if request.disk is None:
        return ()
    coming = {str(package.nevra) for package in arrived}
    missing = [
        name
        for name in (f"kernel-{unit.flavor}-devel", "kernel-devel")
        if not any(
            package.installed or str(package.nevra) in coming for package in universe.siblings(name, unit)
        )
    ]
    return request.disk.rebuilds(
        [plan.name for plan in plans if plan.decision == "rebuild-on-host"],
        unit.uname_r,
        unit.nevra.arch,
        missing,
    )
