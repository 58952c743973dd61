"""Which kernel each flavor is to boot, and whether that keeps its KMPs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from kmpsolve.errors import MetadataError, RequestError
from kmpsolve.model.package import KernelUnit
from kmpsolve.model.plan import Verdict, Warned
from kmpsolve.planner.boot import booted_after
from kmpsolve.planner.carrying import carry_out
from kmpsolve.planner.evaluation import Evaluation, evaluate, hopeless
from kmpsolve.planner.system import FlavorSystem
from kmpsolve.planner.target import Aim, aims, kernels_named
from kmpsolve.request import Request
from kmpsolve.solver.reasons import Reason
from kmpsolve.solver.transaction import Transacted
from kmpsolve.solver.universe import Universe

__all__ = [
    "Decision",
    "Safe",
    "decide",
    "endangered",
    "flavor_systems",
    "kernels_meant",
    "newest_safe",
    "refused",
    "safe_on",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Safe:
    """A kernel on which no counted KMP is blocked or unverified, and that zypper does not refuse.

    Parameters
    ----------
    transacted
        What carries it out where it is the only flavor.
    """

    evaluation: Evaluation
    transacted: Transacted

    @property
    def unit(self) -> KernelUnit:
        """The kernel."""
        return self.evaluation.unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
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
    safe: Safe | None
    warnings: tuple[Warned, ...]

    @property
    def transacted(self) -> Transacted | None:
        """What carries it out where it is the only flavor, if that is known already."""
        return (
            self.safe.transacted
            if self.safe is not None and self.evaluation is self.safe.evaluation
            else None
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
    installed = sorted(universe.standing_flavors)
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


def kernels_meant(universe: Universe, request: Request) -> list[KernelUnit]:
    """The kernels that a request is about, one for each flavor as a rule, for a question that plans nothing.

    Where nothing is installed, one for each flavor and architecture.

    Of a flavor that is installed, the one that a plan would be for, else the newest installed; of any other, the
    newest there is.

    Raises
    ------
    RequestError
        If there is none.
    """
    if request.kernel not in (None, "latest", "newest-safe"):
        return kernels_named(universe, request.kernel, request.flavors)
    newest = kernels_named(universe, None, request.flavors)
    standing = universe.standing_flavors
    if not standing:
        return newest
    found = {unit.flavor: unit for unit in newest}
    if flavors := tuple(sorted(standing.intersection(request.flavors or standing))):
        systems = flavor_systems(universe, replace(request, flavors=flavors))
        for flavor, aim in aims(systems, request.kernel).items():
            safe = newest_safe(systems[flavor]) if request.kernel == "newest-safe" else None
            found[flavor] = safe.unit if safe else aim.unit or systems[flavor].newest
    return [unit for _, unit in sorted(found.items())]


def decide(system: FlavorSystem, aim: Aim) -> Decision:
    """Decide one flavor: on the kernel that it aims at, or on the newest installed one where that is to stay."""
    request = system.request
    safe = newest_safe(system)
    unit = aim.unit
    warnings = list(aim.warnings)
    if request.kernel == "newest-safe" and safe is not None:
        stands = safe.unit.main.handle == system.newest.main.handle and not safe.evaluation.wanted
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
            return Decision(
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
    if safe is not None and unit.main.handle == safe.unit.main.handle:
        evaluation = safe.evaluation
    else:
        evaluation = _evaluate(system, unit)
    return Decision(
        system=system,
        evaluation=evaluation,
        target=unit,
        verdict=evaluation.verdict,
        safe=safe,
        warnings=(*warnings, *evaluation.warnings),
    )


def newest_safe(system: FlavorSystem) -> Safe | None:
    """The newest kernel, installed or candidate, on which no counted KMP is blocked or unverified."""
    units = sorted([*system.kernels.candidates(), *system.units], key=lambda u: u.nevra.evr, reverse=True)
    return next(filter(None, (safe_on(system, unit) for unit in units)), None)


def safe_on(system: FlavorSystem, unit: KernelUnit) -> Safe | None:
    """The kernel as a safe one; ``None`` if it is not.

    What the package manager refuses to do is not safe either.
    """
    # Where there is no KMP, nothing is asked of it.
    unread = bool(system.kmps) and unit.main.handle in system.universe.unread
    if unread or hopeless(system, unit):
        return None
    evaluation = _evaluate(system, unit)
    if evaluation.verdict != "safe":
        return None
    transacted = carry_out(system.universe, [(system, evaluation)])
    if transacted.reasons or endangered(system, evaluation, transacted):
        return None
    return Safe(evaluation=evaluation, transacted=transacted)


def _evaluate(system: FlavorSystem, unit: KernelUnit) -> Evaluation:
    """As `evaluate`; what does not count is left as it is where the package manager refuses to better it.

    It alone never makes a plan, so that it must not spoil one either.
    """
    evaluation = evaluate(system, unit)
    options = evaluation.choice.options
    bettered = any(
        not kmp.counts and (build := options[kmp.name].build) is not None and not build.package.installed
        for kmp in system.kmps
    )
    if evaluation.verdict == "blocked" or not bettered:
        return evaluation
    if not carry_out(system.universe, [(system, evaluation)]).reasons:
        return evaluation
    modest = evaluate(system, unit, counted_only=True)
    refused_too = modest.verdict == "blocked" or carry_out(system.universe, [(system, modest)]).reasons
    return evaluation if refused_too else modest


def endangered(system: FlavorSystem, evaluation: Evaluation, transacted: Transacted) -> tuple[str, ...]:
    """The KMPs that a fallback kernel would lose, where the configuration protects these; else nothing."""
    if not system.request.protect_fallback:
        return ()
    return booted_after(system, evaluation, evaluation.unit, transacted).lost


def refused(universe: Universe, flavors: Iterable[Decision]) -> list[Decision]:
    """Flavors whose kernels and KMPs fit, but which the package manager refuses as a whole, are blocked.

    So is one that it refuses beside those before it only: what one flavor needs may exclude what another one does.
    """
    decided: list[Decision] = []
    accepted: list[tuple[FlavorSystem, Evaluation]] = []
    for flavor in flavors:
        if flavor.target is None:
            decided.append(flavor)
            continue
        own = (flavor.system, flavor.evaluation)
        reasons = carry_out(universe, [own]).reasons
        alone = bool(reasons)
        if not alone and flavor.verdict != "blocked":
            reasons = carry_out(universe, [*accepted, own]).reasons
            if not reasons:
                accepted.append(own)
        decided.append(_refused(universe, flavor, reasons, alone=alone) if reasons else flavor)
    return decided


def _refused(universe: Universe, flavor: Decision, reasons: Sequence[Reason], *, alone: bool) -> Decision:
    touched = sorted({universe.name_of(h) for r in reasons for h in (r.package, r.other) if h})
    what = "this combination" if alone else f"flavor {flavor.system.flavor} beside the others"
    message = f"zypper would refuse {what}: {', '.join(touched)}"
    robbed = sorted({r.capability for r in reasons if r.kind == "policy" and r.capability})
    if robbed:
        message = f"this would remove {', '.join(touched)}, which {' and '.join(robbed)} is left without"
    warning = Warned(reference="conflict", message=message)
    return replace(flavor, verdict="blocked", warnings=(*flavor.warnings, warning))
