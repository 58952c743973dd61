"""What the machine and its disk add to a plan: drivers in use, modules that no package owns, rebuilding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from kmpsolve.model.package import KernelUnit, KmpBuild, Package
from kmpsolve.model.plan import KmpPlan, Unmanaged, Warned
from kmpsolve.planner.system import Kmp, is_native
from kmpsolve.request import DiskView, MachineView, Request
from kmpsolve.solver.universe import Universe

__all__ = ["lost_in_use", "rebuild_warnings", "unmanaged", "with_disk", "with_use"]

_NETWORK = "the default route"


def lost_in_use(machine: MachineView | None, lost: Iterable[str]) -> list[str]:
    """Of the modules that the new kernel lacks, those that this machine uses."""
    return [name for name in lost if machine is None or machine.uses(name)]


def with_use(
    machine: MachineView | None, kmps: Sequence[Kmp], plans: Sequence[KmpPlan]
) -> tuple[KmpPlan, ...]:
    """Blocked KMPs with what this machine uses them for; those that it needs to boot and to be reached come first.

    What is in the initrd comes after what is known to be behind a file system: many an initrd holds more than
    this machine needs.
    """
    if machine is None:
        return tuple(plans)
    told: list[tuple[int, KmpPlan]] = []
    for kmp, plan in zip(kmps, plans, strict=True):
        rank = 3
        if plan.decision == "blocked":
            purposes = machine.boots_from(kmp.modules)
            boots = [purpose for purpose in purposes if purpose != _NETWORK]
            rank = 0 if boots else 1 if machine.starts_with(kmp.modules) else 2 if purposes else 3
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


def with_disk(
    universe: Universe,
    request: Request,
    unit: KernelUnit,
    serving: Mapping[str, KmpBuild],
    plans: Sequence[KmpPlan],
    loose: Sequence[Unmanaged],
) -> tuple[KmpPlan, ...]:
    """The plans with what holds for single modules: taken from elsewhere, or of a build that fits partly.

    Parameters
    ----------
    loose
        What `unmanaged` found.
    serving
        The builds that are chosen for `unit`, by the name of the KMP.
    """
    disk = request.disk
    bringers: dict[str, set[str]] = {}
    for build in serving.values():
        for module in build.modules:
            bringers.setdefault(module, set()).add(str(build))
    unfit = {
        plan.name: [one.nevra for one in plan.tried if one.repository is None and one.mismatches]
        for plan in plans
        if plan.decision == "blocked"
    }
    parts = (
        disk.parts(
            [nevra for nevras in unfit.values() for nevra in nevras],
            unit.uname_r,
            str(unit.nevra),
            lambda: _provided(universe, unit, serving.values()),
        )
        if disk is not None
        else {}
    )
    told = []
    for plan in plans:
        warnings = set(plan.warnings)
        chosen = serving.get(plan.name)
        if chosen is not None:
            warnings.update(_clashes(chosen, bringers, unit))
            warnings.update(_rivals(chosen, loose))
            if disk is not None:
                warnings.update(_overruled(disk, chosen, unit))
        for nevra in unfit.get(plan.name, ()):
            if nevra in parts:
                loads, refused = parts[nevra]
                warnings.add(
                    Warned(
                        reference="fits-partly",
                        message=f"of {nevra}, {', '.join(loads)} would load on {unit.uname_r} and"
                        f" {', '.join(refused)} would not; a build is used as a whole or not at all",
                    )
                )
        told.append(replace(plan, warnings=tuple(sorted(warnings))))
    return tuple(told)


def _clashes(build: KmpBuild, bringers: Mapping[str, set[str]], unit: KernelUnit) -> Iterable[Warned]:
    for module, spelled in build.modules.items():
        others = sorted(bringers[module] - {str(build)})
        if others:
            yield Warned(
                reference="name-clash",
                message=f"{spelled} is in {build} and in {', '.join(others)}: on {unit.uname_r} one of them"
                " is loaded, and weak-updates/ gets links to one build only",
            )


def _rivals(build: KmpBuild, loose: Iterable[Unmanaged]) -> Iterable[Warned]:
    for one in loose:
        if one.module in build.modules:
            yield Warned(
                reference="name-clash",
                message=f"{one.path}, which no package owns, has the name of a module of {build}: where both"
                " are, updates/ wins over extra/, and extra/ over weak-updates/",
            )


def _overruled(disk: DiskView, build: KmpBuild, unit: KernelUnit) -> Iterable[Warned]:
    both = [spelled for module, spelled in build.modules.items() if module in unit.modules]
    names = disk.overruled(str(build), both, unit.uname_r, native=is_native(build, unit)) if both else ()
    if names:
        yield Warned(
            reference="shadowed",
            message=f"{unit.uname_r} would take {', '.join(names)} from itself and not from {build}:"
            " depmod.d prefers the kernel's own",
        )


def _provided(universe: Universe, unit: KernelUnit, builds: Iterable[KmpBuild]) -> Iterable[str]:
    capabilities = list(unit.exports.capabilities)
    for build in builds:
        capabilities += build.exports.capabilities
    return universe.table.texts(capabilities)


def unmanaged(
    universe: Universe, request: Request, unit: KernelUnit, builds: Sequence[KmpBuild]
) -> tuple[Unmanaged, ...]:
    """Modules that no package owns, against the symbols of `unit` and of the builds that will be there."""
    if request.disk is None:
        return ()
    return request.disk.unmanaged(
        unit.flavor, unit.uname_r, str(unit.nevra), lambda: _provided(universe, unit, builds)
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
