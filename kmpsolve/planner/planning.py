"""From a universe and a request to a plan, flavor by flavor, then the one transaction for all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fnmatch import fnmatchcase

from kmpsolve.errors import MetadataError, RequestError
from kmpsolve.model.package import KernelUnit, KmpBuild, Package
from kmpsolve.model.plan import (
    BootState,
    BuildInUse,
    FlavorPlan,
    Inputs,
    InstalledKernel,
    KernelState,
    Plan,
    Step,
    Target,
    Verdict,
    Warned,
    WayOut,
    ZypperWould,
    worst,
)
from kmpsolve.planner.boot import boot_matrix, fallback_losses
from kmpsolve.planner.command import zypper_install
from kmpsolve.planner.evaluation import Evaluation, evaluate, hopeless
from kmpsolve.planner.onhost import lost_in_use, rebuild_warnings, unmanaged, with_disk, with_use
from kmpsolve.planner.system import FlavorSystem, is_native, obsoleted_by
from kmpsolve.planner.target import Aim, aims
from kmpsolve.planner.waysout import ways_out
from kmpsolve.request import Request
from kmpsolve.solver.purging import purged_after
from kmpsolve.solver.transaction import Transacted, transact, update_everything
from kmpsolve.solver.universe import Universe

__all__ = ["flavor_systems", "plan", "safe_on"]

_ANNOUNCED_DAYS = 14
"""A waiver's end is announced this many days ahead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flavor:
    """One flavor, decided.

    Parameters
    ----------
    evaluation
        On the target, or, with nothing new, on the newest installed kernel.
    target
        ``None``: nothing to do.
    safe
        On the newest kernel that is safe, if there is one.
    """

    system: FlavorSystem
    evaluation: Evaluation
    target: KernelUnit | None
    verdict: Verdict
    safe: Evaluation | None
    warnings: tuple[Warned, ...]


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
    complete = not inputs.skipped
    asked = aims(systems, request.kernel)
    flavors = [_decide(systems[flavor], aim, request) for flavor, aim in sorted(asked.items())]
    would = update_everything(universe)
    transacted = _transact(universe, [(f.system, f.evaluation) for f in flavors if f.target is not None])
    if transacted.reasons:
        flavors = [_cannot_be_carried_out(universe, flavor) for flavor in flavors]
    plans = [_flavor_plan(universe, request, flavor, transacted, would, complete) for flavor in flavors]
    verdict = worst(p.verdict for p in plans)
    steps: tuple[Step, ...] = () if verdict == "blocked" else transacted.steps
    return Plan(
        verdict=verdict,
        complete=complete,
        inputs=inputs,
        flavors=tuple(plans),
        transaction=steps,
        command=zypper_install(universe, transacted) if steps else None,
    )


def flavor_systems(universe: Universe, request: Request) -> dict[str, FlavorSystem]:
    """What stands and what is on offer, for each flavor that is asked for.

    Raises
    ------
    MetadataError
        If the system has no kernel.
    RequestError
        For a flavor that is not installed.
    """
    installed = sorted({k.flavor for k in universe.kernels if k.package.installed and k.part in ("", "base")})
    if not installed:
        raise MetadataError(
            "no kernel is installed", reference="no-kernel", hint="give a system with --root or --installed"
        )
    for flavor in request.flavors:
        if flavor not in installed:
            raise RequestError(
                f"no kernel of flavor {flavor} is installed",
                reference="unknown-flavor",
                where="--flavor",
                hint=f"installed flavors: {', '.join(installed)}",
            )
    return {flavor: FlavorSystem(universe, request, flavor) for flavor in request.flavors or installed}


def _decide(system: FlavorSystem, aim: Aim, request: Request) -> _Flavor:
    safe = _newest_safe(system)
    unit = aim.unit
    warnings = list(aim.warnings)
    if request.kernel == "newest-safe" and safe is not None:
        stands = safe.unit.main.handle == system.newest.main.handle and not safe.wanted
        unit = None if stands else safe.unit
    elif request.kernel == "newest-safe":
        warnings.append(
            Warned(reference="no-safe-kernel", message=f"no kernel-{system.flavor} is safe for every KMP")
        )
    if unit is None:
        standing = evaluate(system, system.newest, installed_only=True)
        lost = [
            kmp
            for kmp, kmp_plan in zip(system.kmps, standing.kmps, strict=True)
            if kmp.counts and kmp.works_somewhere and kmp_plan.decision == "blocked"
        ]
        if not lost or aim.absent:
            broken = [
                kmp
                for kmp, kmp_plan in zip(system.kmps, standing.kmps, strict=True)
                if kmp.counts and kmp_plan.decision == "blocked"
            ]
            return _Flavor(
                system=system,
                evaluation=standing,
                target=None,
                verdict="blocked" if broken and not aim.absent else "nothing-to-do",
                safe=safe,
                warnings=tuple(warnings),
            )
        unit = system.newest
        warnings.append(
            Warned(
                reference="newest-installed-breaks",
                message=f"the newest installed kernel {unit.nevra} boots next and does not keep "
                + ", ".join(kmp.name for kmp in lost),
            )
        )
    decided = safe is not None and unit.main.handle == safe.unit.main.handle
    evaluation = safe if safe is not None and decided else evaluate(system, unit)
    return _Flavor(
        system=system,
        evaluation=evaluation,
        target=unit,
        verdict=evaluation.verdict,
        safe=safe,
        warnings=(*warnings, *evaluation.warnings),
    )


def _newest_safe(system: FlavorSystem, besides: KernelUnit | None = None) -> Evaluation | None:
    """The newest kernel, installed or candidate, on which no counted KMP is blocked or unverified.

    Parameters
    ----------
    besides
        A kernel that the package manager refuses.
    """
    units = sorted([*system.candidate_kernels(), *system.units], key=lambda u: u.nevra.evr, reverse=True)
    left = [unit for unit in units if besides is None or unit.main.handle != besides.main.handle]
    return next(filter(None, (safe_on(system, unit) for unit in left)), None)


def _is_refused(system: FlavorSystem, evaluation: Evaluation) -> bool:
    """Whether something installed does not let the package manager do what the kernel and its KMPs ask for.

    Not asked where every KMP has a build and every kernel stays: then nothing stands in the way.
    """
    unit = evaluation.unit
    replaces = not unit.installed and any(obsoleted_by(unit.obsoletes, old.nevra) for old in system.units)
    stays = any(option.build is None for option in evaluation.choice.options.values())
    return (replaces or stays) and bool(_transact(system.universe, [(system, evaluation)]).reasons)


def safe_on(system: FlavorSystem, unit: KernelUnit) -> Evaluation | None:
    """The evaluation on a kernel on which no counted KMP is blocked or unverified; ``None`` on any other."""
    if unit.main.handle in system.universe.unread or hopeless(system, unit):
        return None
    evaluation = evaluate(system, unit)
    if evaluation.verdict != "safe" or _is_refused(system, evaluation):
        return None
    return None if _loses_fallback(system, evaluation) else evaluation


def _loses_fallback(system: FlavorSystem, evaluation: Evaluation) -> bool:
    """Whether the configuration protects fallback kernels and one would lose a KMP."""
    if not system.request.protect_fallback:
        return False
    transacted = _transact(system.universe, [(system, evaluation)])
    losses = _boot(system, evaluation, evaluation.unit, transacted)[1]
    return any(loss.reference == "fallback-loses" for loss in losses)


def _transact(universe: Universe, decided: Iterable[tuple[FlavorSystem, Evaluation]]) -> Transacted:
    """The transaction for all flavors, without what a kernel would load instead of the builds chosen for it.

    Builds that nobody needs any more are removed too, if they are in the way: what another one replaces, a KMP
    that becomes built in, and one that is blocked and does not count.
    """
    wanted: dict[int, Package] = {}
    unwanted: list[Package] = []
    needless: list[Package] = []
    for system, evaluation in decided:
        wanted |= {p.handle: p for p in evaluation.wanted}
        unwanted += evaluation.unwanted(system)
        for kmp in system.kmps:
            option = evaluation.choice.options[kmp.name]
            if option.decision != "blocked" or not kmp.counts:
                needless += [build.package for build in kmp.installed if build is not option.build]
    if not wanted and not unwanted:
        return Transacted((), (), (), ())
    transacted = _without_what_is_in_the_way(universe, wanted, unwanted, needless)
    # A build that nobody needs any more must bring in neither a kernel that it works on (elrepo#252) nor a KMP.
    others = {k.package.handle for k in universe.kernels if not k.package.installed}
    others |= universe.kmp_handles - universe.installed_handles
    others -= wanted.keys()
    if any(package.handle in others for package in transacted.arrived):
        transacted = _without_what_is_in_the_way(universe, wanted, unwanted, needless, others)
    return transacted


def _without_what_is_in_the_way(
    universe: Universe,
    wanted: Mapping[int, Package],
    unwanted: Sequence[Package],
    needless: Sequence[Package],
    barred: Iterable[int] = (),
) -> Transacted:
    removed = list(unwanted)
    while True:
        transacted = transact(universe, wanted.values(), removed, barred)
        concerned = {handle for reason in transacted.reasons for handle in (reason.package, reason.other)}
        in_the_way = [p for p in needless if p.handle in concerned and p not in removed]
        if not in_the_way:
            return transacted
        removed += in_the_way


def _cannot_be_carried_out(universe: Universe, flavor: _Flavor) -> _Flavor:
    """A plan whose kernel and KMPs fit, but which the package manager refuses as a whole, is blocked."""
    if flavor.target is None:
        return flavor
    alone = _transact(universe, [(flavor.system, flavor.evaluation)])
    reasons = alone.reasons
    if not reasons:
        return flavor
    touched = sorted({universe.name_of(h) for r in reasons for h in (r.package, r.other) if h})
    warning = Warned(
        reference="conflict", message=f"zypper would refuse this combination: {', '.join(touched)}"
    )
    safe = flavor.safe
    if safe is not None and safe.unit.main.handle == flavor.target.main.handle:
        safe = _newest_safe(flavor.system, flavor.target)
    return replace(flavor, verdict="blocked", safe=safe, warnings=(*flavor.warnings, warning))


def _flavor_plan(
    universe: Universe,
    request: Request,
    flavor: _Flavor,
    transacted: Transacted,
    would: Transacted,
    complete: bool,
) -> FlavorPlan:
    system, evaluation = flavor.system, flavor.evaluation
    own = transacted
    if flavor.target is not None and (transacted.reasons or not transacted.steps):
        own = _transact(universe, [(system, evaluation)])
    rows, losses = _boot(system, evaluation, flavor.target, own)
    verdict: Verdict = flavor.verdict
    if request.protect_fallback and any(w.reference == "fallback-loses" for w in losses):
        verdict = worst((verdict, "blocked"))
    unread = bool(system.kmps) and evaluation.unit.main.handle in universe.unread
    if (unread or not complete) and verdict in ("safe", "nothing-to-do"):
        verdict = "unverified"
    waivers = _waiver_warnings(request, [kmp.name for kmp in system.kmps])
    warnings = {*flavor.warnings, *request.notes, *waivers, *losses, *_livepatch_warning(universe, flavor)}
    warnings.update(_removed(flavor, own))
    if flavor.target is not None:
        warnings.update(rebuild_warnings(universe, request, flavor.target, evaluation.kmps, own.arrived))
    if taken_as_met := universe.taken_as_met(own.arrived):
        warnings.add(
            Warned(
                reference="user-space-not-checked",
                message="the inventory lists kernels and KMPs only; taken as met: "
                + ", ".join(sorted(taken_as_met)),
            )
        )
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
        boot_matrix=rows,
        newest_safe=str(flavor.safe.unit.nevra) if flavor.safe else None,
        ways_out=_ways_out(universe, flavor, verdict),
        warnings=tuple(sorted(warnings)),
    )


def _removed(flavor: _Flavor, transacted: Transacted) -> Iterable[Warned]:
    """What the update removes although no other build of the KMP arrives in its place."""
    if flavor.target is None or flavor.verdict == "blocked":
        return
    gone = {package.handle for package in transacted.gone}
    for package in flavor.evaluation.unwanted(flavor.system):
        message = (
            f"the update removes {package}, which {flavor.target.uname_r} would load before what is chosen"
        )
        yield Warned(reference="removed", message=message)
    for kmp in flavor.system.kmps:
        blocked = flavor.evaluation.choice.options[kmp.name].decision == "blocked"
        if blocked and all(build.package.handle in gone for build in kmp.installed):
            message = f"the update removes {kmp.name}, which does not work on the kernel"
            yield Warned(reference="removed", message=message)


def _ways_out(universe: Universe, flavor: _Flavor, verdict: Verdict) -> tuple[WayOut, ...]:
    if verdict != "blocked" or flavor.target is None:
        return ()
    command = None
    if flavor.safe is not None and flavor.safe.wanted:
        transacted = _transact(universe, [(flavor.system, flavor.safe)])
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
        pick = system.zypper_up_pick()
        newer = [u for u in system.candidate_kernels(locked=True) if u.nevra.evr > system.newest.nevra.evr]
        others = [p for p in system.other_vendor_kernels() if p.nevra.evr > system.newest.nevra.evr]
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


def _modules_lost(flavor: _Flavor) -> tuple[str, ...]:
    """Modules of the newest installed kernel that the target no longer ships and no KMP replaces."""
    if flavor.target is None:
        return ()
    there = set(flavor.target.modules)
    for build in _serving(flavor):
        there |= build.modules.keys()
    before = flavor.system.newest.modules
    lost = lost_in_use(flavor.system.request.machine, before.keys() - there)
    return tuple(sorted(before[m] for m in lost))


def _serving(flavor: _Flavor) -> list[KmpBuild]:
    """The KMP builds that are chosen for the target."""
    choice = flavor.evaluation.choice
    return [o.build for o in choice.options.values() if o.build is not None] + list(choice.added)


def _waiver_warnings(request: Request, names: Sequence[str]) -> Iterable[Warned]:
    """What has to be known of waivers: expired, about to expire, or for no KMP at all."""
    for waiver in request.waivers:
        what = f"the waiver for {waiver.kmp}"
        if not any(fnmatchcase(name, waiver.kmp) for name in names):
            yield Warned(reference="waiver-unused", message=f"{what} matches no installed KMP")
        elif waiver.expires < request.today:
            yield Warned(reference="waiver-expired", message=f"{what} expired on {waiver.expires}")
        elif _days_between(request.today, waiver.expires) <= _ANNOUNCED_DAYS:
            yield Warned(reference="waiver-expires-soon", message=f"{what} expires on {waiver.expires}")


def _days_between(a: str, b: str) -> int:
    return (date.fromisoformat(b) - date.fromisoformat(a)).days


def _livepatch_warning(universe: Universe, flavor: _Flavor) -> Iterable[Warned]:
    if flavor.target is not None and not flavor.target.installed and universe.livepatches:
        names = ", ".join(sorted(str(p) for p in universe.livepatches))
        yield Warned(
            reference="starts-unpatched",
            message=f"{flavor.target.nevra} starts without live patches: {names} belong to one kernel only",
        )


def _boot(
    system: FlavorSystem, evaluation: Evaluation, target: KernelUnit | None, transacted: Transacted
) -> tuple[tuple[BootState, ...], tuple[Warned, ...]]:
    """The boot matrix after a transaction, and what it takes from the kernels that stay."""
    gone = {p.handle for p in transacted.gone}
    arrived = {p.handle for p in transacted.arrived}
    states: dict[str, KernelState] = {}
    units = [u for u in system.units if u.main.handle not in gone]
    if target is not None and not target.installed:
        units = [u for u in units if u.uname_r != target.uname_r] + [target]
    next_boot = target.uname_r if target is not None else system.newest.uname_r
    purged = purged_after(system.universe, transacted.arrived, transacted.gone, next_boot)
    for unit in units:
        if unit.uname_r == system.request.running:
            states[unit.uname_r] = "running"
        elif not unit.installed:
            states[unit.uname_r] = "new"
        elif unit.main.handle in purged:
            states[unit.uname_r] = "purged-next"
        else:
            states[unit.uname_r] = "installed"
    builds: dict[str, list[KmpBuild]] = {}
    before: dict[str, list[KmpBuild]] = {}
    for kmp in system.kmps:
        before[kmp.name] = list(kmp.installed)
        there = [b for b in kmp.installed if b.package.handle not in gone]
        there += [b for b in kmp.candidates if b.package.handle in arrived]
        option = evaluation.choice.options[kmp.name]
        if option.build is not None and option.build not in there:
            there.append(option.build)
        builds[kmp.name] = there
    table = system.universe.table
    rows = boot_matrix(system.kmps, units, builds, evaluation.choice.added, states, table)
    rows = tuple(_as_decided(row, evaluation) for row in rows)
    warnings = tuple(_purge_warnings(rows))
    if target is None:
        return rows, warnings
    old_states: dict[str, KernelState] = {u.uname_r: "installed" for u in system.units}
    earlier = boot_matrix(system.kmps, system.units, before, (), old_states, table)
    return rows, (*fallback_losses(earlier, rows), *warnings)


def _as_decided(row: BootState, evaluation: Evaluation) -> BootState:
    """The row of the kernel that was decided on says what was decided."""
    if row.uname_r != evaluation.unit.uname_r:
        return row
    kmps = dict(row.kmps)
    for name, option in evaluation.choice.options.items():
        if option.decision == "builtin":
            kmps[name] = BuildInUse(build=None, via="builtin")
        elif option.build is not None and option.decision == "unverified":
            kmps[name] = BuildInUse(build=str(option.build), via="unknown")
        elif option.build is not None and option.decision in ("reuse", "fetch"):
            native = is_native(option.build, evaluation.unit)
            kmps[name] = BuildInUse(build=str(option.build), via="native" if native else "weak-updates")
    return replace(row, kmps=kmps)


def _purge_warnings(rows: Sequence[BootState]) -> Iterable[Warned]:
    """KMPs that only serve kernels which the next purge takes."""
    for name in rows[0].kmps if rows else ():
        serving = [row for row in rows if row.kmps[name].via in ("native", "weak-updates")]
        if serving and all(row.state == "purged-next" for row in serving):
            unames = ", ".join(row.uname_r for row in serving)
            yield Warned(
                reference="purge-takes-last",
                message=f"the next purge-kernels removes {unames}, the only kernel that {name} works on",
            )
