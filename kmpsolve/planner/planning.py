"""From a universe and a request to a plan, flavor by flavor, then the one transaction for all."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import date
from fnmatch import fnmatchcase

from kmpsolve.model.package import KernelUnit, KmpBuild
from kmpsolve.model.plan import (
    FlavorPlan,
    Inputs,
    InstalledKernel,
    Plan,
    Step,
    Target,
    Verdict,
    Warned,
    WayOut,
    ZypperWould,
    worst,
)
from kmpsolve.model.relation import obsoleted_by
from kmpsolve.planner.boot import booted_after
from kmpsolve.planner.bound import left_behind
from kmpsolve.planner.carrying import carry_out
from kmpsolve.planner.command import zypper_install
from kmpsolve.planner.deciding import Decision, decide, flavor_systems, refused
from kmpsolve.planner.onhost import lost_in_use, rebuild_warnings, unmanaged, with_disk, with_use
from kmpsolve.planner.system import FlavorSystem
from kmpsolve.planner.target import aims
from kmpsolve.planner.waysout import ways_out
from kmpsolve.request import Request
from kmpsolve.solver.transaction import Transacted, update_everything
from kmpsolve.solver.universe import Universe

__all__ = ["plan", "with_stranded"]

_ANNOUNCED_DAYS = 14
"""A waiver's end is announced this many days ahead."""


def plan(universe: Universe, request: Request, inputs: Inputs) -> Plan:
    """Plan a kernel update.

    Parameters
    ----------
    universe
        Sealed; everything that can be read is in it.
    inputs
        What was read and what was not; a skipped repository makes the plan incomplete.

    Raises
    ------
    MetadataError
        If the system has no kernel.
    RequestError
        For a flavor or kernel that does not exist.
    """
    systems = flavor_systems(universe, request)
    would = update_everything(universe)  # before anything is hidden for other questions, which takes time
    complete = not inputs.skipped
    asked = aims(systems, request.kernel)
    flavors = [decide(systems[flavor], aim) for flavor, aim in sorted(asked.items())]
    moving = [flavor for flavor in flavors if flavor.target is not None]
    known = moving[0].transacted if len(moving) == 1 else None
    transacted = known or carry_out(universe, [(flavor.system, flavor.evaluation) for flavor in moving])
    if transacted.reasons:
        flavors = refused(universe, flavors)
    plans = with_stranded(
        universe,
        [_flavor_plan(universe, request, flavor, transacted, would, complete) for flavor in flavors],
    )
    verdict = worst(p.verdict for p in plans)
    steps: tuple[Step, ...] = () if verdict == "blocked" else transacted.steps
    return Plan(
        verdict=verdict,
        complete=complete,
        inputs=inputs,
        flavors=plans,
        transaction=steps,
        command=zypper_install(universe, transacted) if steps else None,
    )


def _flavor_plan(
    universe: Universe,
    request: Request,
    flavor: Decision,
    transacted: Transacted,
    would: Transacted,
    complete: bool,
) -> FlavorPlan:
    system, evaluation = flavor.system, flavor.evaluation
    own = transacted
    if flavor.target is not None and transacted.reasons:
        own = carry_out(universe, [(system, evaluation)])
    booted = booted_after(system, evaluation, flavor.target, own)
    verdict: Verdict = flavor.verdict
    if request.protect_fallback and booted.lost:
        verdict = worst((verdict, "blocked"))
    unread = bool(system.kmps) and evaluation.unit.main.handle in universe.unread
    if (unread or not complete) and verdict in ("safe", "nothing-to-do"):
        verdict = "unverified"
    waivers = _waiver_warnings(request, universe.installed_kmp_names, [kmp.name for kmp in system.kmps])
    warnings = {*flavor.warnings, *request.notes, *waivers, *booted.warnings}
    warnings.update(_retracted_warning(universe, request, system))
    warnings.update(_removed(flavor, own))
    if unread:
        warnings.add(_not_known(evaluation.unit))
    if flavor.target is not None:
        warnings.update(_boots_another(system.newest, flavor.target, own))
        warnings.update(left_behind(universe, flavor.target, {str(p.nevra) for p in own.arrived}))
        warnings.update(rebuild_warnings(universe, request, flavor.target, evaluation.kmps, own.arrived))
    warnings.update(_pulled_in(request, flavor, would))
    taken = {
        "met": universe.taken_as_met(own.arrived),
        "absent": universe.taken_as_absent(own.arrived),
    }
    if any(taken.values()):
        said = [f"taken as {what}: {', '.join(sorted(those))}" for what, those in taken.items() if those]
        message = f"the inventory lists kernels and KMPs only; {'; '.join(said)}"
        warnings.add(Warned(reference="user-space-not-checked", message=message))
    serving = {
        name: option.build
        for name, option in evaluation.choice.options.items()
        if option.build is not None and option.decision in ("reuse", "fetch", "unverified")
    }
    loose = unmanaged(universe, request, evaluation.unit, _serving(flavor))
    kmps = with_disk(universe, request, evaluation.unit, serving, evaluation.kmps, loose)
    return FlavorPlan(
        flavor=system.flavor,
        arch=system.arch,
        verdict=verdict,
        current=tuple(
            InstalledKernel(
                nevra=str(unit.nevra),
                uname_r=unit.uname_r,
                running=None if request.running is None else unit.uname_r == request.running,
            )
            for unit in reversed(system.units)
        ),
        target=_target(flavor.target),
        zypper_would=_zypper_would(system, would),
        kmps=with_use(request.machine, system.kmps, kmps),
        modules_lost=_modules_lost(flavor),
        unmanaged=loose,
        boot_matrix=booted.rows,
        newest_safe=str(flavor.safe.unit.nevra) if flavor.safe else None,
        ways_out=_ways_out(universe, flavor, verdict),
        warnings=tuple(sorted(warnings)),
    )


def with_stranded(universe: Universe, flavors: Sequence[FlavorPlan]) -> tuple[FlavorPlan, ...]:
    """The same, the first of which also tells of KMPs of flavors that have no kernel here: these have no plan."""
    first, *others = flavors
    return replace(first, warnings=tuple(sorted({*first.warnings, *_without_kernel(universe)}))), *others


def _pulled_in(request: Request, flavor: Decision, would: Transacted) -> Iterable[Warned]:
    """A newer kernel than the one planned for, which ``zypper up`` brings although it would not pick it.

    An update of a KMP requires symbols of that kernel alone; a priority keeps it out of the pick.
    """
    newest = flavor.system.newest
    expected = max(unit.nevra.evr for unit in (newest, flavor.target) if unit is not None)
    pulled = [p for p in would.arrived if p.name == newest.main.name and p.nevra.evr > expected]
    if request.kernel is None and pulled:
        kernel = max(pulled, key=lambda package: package.nevra.evr)
        yield Warned(
            reference="kernel-pulled-in",
            message=f"zypper up would bring {kernel} as well, since what it updates requires it, and that "
            f"kernel would boot next; see kmpsolve plan --kernel {kernel.nevra.evr}",
        )


def _without_kernel(universe: Universe) -> Iterable[Warned]:
    """The warning for each KMP of such a flavor."""
    standing = universe.standing_flavors
    for build in universe.installed_kmps:
        if build.flavor and build.flavor not in standing:
            message = (
                f"{build.name} works on no kernel that is installed now: none is of flavor {build.flavor}"
            )
            yield Warned(reference="already-broken", message=message)


def _boots_another(newest: KernelUnit, target: KernelUnit, transacted: Transacted) -> Iterable[Warned]:
    """Who asks for an older kernel gets it judged; that a newer one stays is for the boot loader."""
    if newest.nevra.evr > target.nevra.evr and newest.main not in transacted.gone:
        message = f"{newest.nevra} stays the newest and boots next, unless {target.uname_r} is chosen at boot"
        yield Warned(reference="boots-another", message=message)


def _removed(flavor: Decision, transacted: Transacted) -> Iterable[Warned]:
    """What the update removes although no other build of the KMP arrives in its place."""
    if flavor.verdict == "blocked":
        return
    gone = {package.handle for package in transacted.gone}
    for package in flavor.evaluation.unwanted(flavor.system):
        if package.handle in gone:
            uname_r = flavor.evaluation.unit.uname_r
            message = f"the update removes {package}, which {uname_r} would load before what is chosen"
            yield Warned(reference="removed", message=message)
    for kmp in flavor.system.kmps:
        blocked = flavor.evaluation.choice.options[kmp.name].decision == "blocked"
        if blocked and all(build.package.handle in gone for build in kmp.installed):
            message = f"the update removes {kmp.name}, which does not work on the kernel"
            yield Warned(reference="removed", message=message)


def _ways_out(universe: Universe, flavor: Decision, verdict: Verdict) -> tuple[WayOut, ...]:
    if verdict != "blocked" or flavor.target is None:
        return ()
    command = None
    if flavor.safe is not None:
        transacted = carry_out(universe, [(flavor.system, flavor.safe.evaluation)])
        command = zypper_install(universe, transacted) if transacted.steps else None
    return ways_out(flavor.system, flavor.evaluation, flavor.safe.unit if flavor.safe else None, command)


def _target(unit: KernelUnit | None) -> Target | None:
    if unit is None:
        return None
    return Target(nevra=str(unit.nevra), uname_r=unit.uname_r, repository=unit.main.repository)


def _zypper_would(system: FlavorSystem, would: Transacted) -> ZypperWould:
    arrived = [p for p in would.arrived if p.name == system.newest.main.name]
    target = max(arrived, key=lambda p: p.nevra.evr) if arrived else None
    gone = {p.handle for p in would.gone}
    kmps: dict[str, str | None] = {}
    for kmp in system.kmps:
        there = [p for p in would.arrived if p.name == kmp.name]
        there += [b.package for b in kmp.installed if b.package.handle not in gone]
        best = max(there, key=lambda p: p.nevra.evr, default=None)
        kmps[kmp.name] = str(best) if best else None
    held = None
    if target is None:
        pick = system.kernels.zypper_up_pick()
        newer = [u for u in system.kernels.candidates(locked=True) if u.nevra.evr > system.newest.nevra.evr]
        others = [p for p in system.kernels.of_other_vendors() if p.nevra.evr > system.newest.nevra.evr]
        if pick is not None:
            standing = [u.nevra for u in system.units] + [
                b.nevra for kmp in system.kmps for b in kmp.installed
            ]
            taken = sorted(str(nevra) for nevra in standing if obsoleted_by(pick.obsoletes, nevra))
            held = (
                f"{pick.nevra} obsoletes {', '.join(taken)}, which is installed"
                if taken
                else f"{pick.nevra} would break requirements of installed packages"
            )
        elif any(u.main.barred == "lock" for u in newer):
            held = "a lock holds the newer kernel"
        elif newer:
            held = "a repository of higher priority does not have the newer kernel"
        elif others:
            held = f"the newer kernel comes from another vendor ({others[0].vendor})"
    return ZypperWould(target=str(target) if target else None, kmps=kmps, held_because=held)


def _modules_lost(flavor: Decision) -> tuple[str, ...]:
    """Modules of the newest installed kernel that the target no longer ships and no KMP replaces.

    What a kernel ships that nobody knows is taken for granted, from the KMPs beside it.
    """
    if flavor.target is None or flavor.system.newest.main.handle in flavor.system.universe.unread:
        return ()
    there = set(flavor.target.modules.keys())
    there.update(*(build.modules.keys() for build in _serving(flavor)))
    before = flavor.system.newest.modules
    lost = lost_in_use(flavor.system.request.machine, before.keys() - there)
    return tuple(sorted(before[m] for m in lost))


def _serving(flavor: Decision) -> list[KmpBuild]:
    """The KMP builds that are chosen for the target."""
    choice = flavor.evaluation.choice
    return [o.build for o in choice.options.values() if o.build is not None] + list(choice.added)


def _waiver_warnings(
    request: Request, installed: Collection[str], names: Collection[str]
) -> Iterable[Warned]:
    """What has to be known of waivers: for no KMP at all; or, of this flavor's, expired or about to expire."""
    for waiver in request.waivers:
        what = f"the waiver for {waiver.kmp}"
        if not any(fnmatchcase(name, waiver.kmp) for name in installed):
            yield Warned(reference="waiver-unused", message=f"{what} matches no installed KMP")
        elif not any(fnmatchcase(name, waiver.kmp) for name in names):
            continue
        elif waiver.expires < request.today:
            yield Warned(reference="waiver-expired", message=f"{what} expired on {waiver.expires}")
        elif _days_between(request.today, waiver.expires) <= _ANNOUNCED_DAYS:
            yield Warned(reference="waiver-expires-soon", message=f"{what} expires on {waiver.expires}")


def _days_between(a: str, b: str) -> int:
    return (date.fromisoformat(b) - date.fromisoformat(a)).days


def _not_known(unit: KernelUnit) -> Warned:
    return Warned(
        reference="kernel-not-known",
        message=f"the symbols of {unit.nevra} are not known: no repository has it as it is installed",
    )


def _retracted_warning(universe: Universe, request: Request, system: FlavorSystem) -> Iterable[Warned]:
    for unit in system.units:
        runs = unit is system.newest if request.running is None else unit.uname_r == request.running
        if runs and universe.retracted(unit.main):
            what = "which runs" if request.running is not None else "the newest installed kernel"
            message = f"{unit.nevra}, {what}, was retracted by its maker"
            yield Warned(reference="running-retracted", message=message)
