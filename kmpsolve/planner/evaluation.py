"""One flavor on one kernel: every KMP's decision with its proof."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from kmpsolve.compat.judgement import Fit, judge
from kmpsolve.errors import SolverError
from kmpsolve.model.package import KernelUnit, KmpBuild, Package
from kmpsolve.model.plan import KmpPlan, Verdict, Warned, worst
from kmpsolve.planner.causes import sentence
from kmpsolve.planner.choice import Choice, choose
from kmpsolve.planner.details import Details
from kmpsolve.planner.loading import loaded, loaded_before
from kmpsolve.planner.options import Option, options
from kmpsolve.planner.signing import look_at_signatures
from kmpsolve.planner.system import FlavorSystem, Kmp
from kmpsolve.solver.projection import Projection, Stand
from kmpsolve.solver.transaction import transact
from kmpsolve.solver.universe import Universe

__all__ = ["Evaluation", "evaluate", "hopeless"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a kernel means for every KMP of its flavor.

    Parameters
    ----------
    verdict
        The worst decision that counts; never ``nothing-to-do``.
    headers
        The kernel-FLAVOR-devel packages that come along for KMPs that rebuild themselves.
    """

    unit: KernelUnit
    fit: Fit
    choice: Choice
    verdict: Verdict
    kmps: tuple[KmpPlan, ...]
    headers: tuple[Package, ...]
    warnings: tuple[Warned, ...]

    @property
    def wanted(self) -> tuple[Package, ...]:
        """Packages from repositories that the kernel and its KMPs need on the system, without repeats."""
        packages = list(self.unit.packages)
        packages += [o.build.package for o in self.choice.options.values() if o.build is not None]
        packages += [build.package for build in self.choice.added]
        packages += [*self.choice.companions, *self.headers]
        return tuple({p.handle: p for p in packages if not p.installed}.values())

    def unwanted(self, system: FlavorSystem) -> tuple[Package, ...]:
        """Installed builds that the kernel would load instead of the chosen ones, and which have to go."""
        chosen = {
            name: option.build
            for name, option in self.choice.options.items()
            if option.build is not None and option.decision in ("reuse", "fetch")
        }
        found: list[KmpBuild] = []
        for kmp in system.kmps:
            if kmp.name in chosen:
                others = [build for name, build in chosen.items() if name != kmp.name]
                others += self.choice.added
                table = system.universe.table
                found += loaded_before(chosen[kmp.name], kmp.installed, others, self.unit, table)
        return tuple({build.package.handle: build.package for build in found}.values())


def _all_options(
    system: FlavorSystem, fit: Fit, headers: bool, at_rest: Mapping[str, KmpBuild] | None = None
) -> dict[str, tuple[Option, ...]]:
    return {kmp.name: options(kmp, fit, headers=headers, at_rest=at_rest) for kmp in system.kmps}


def _headers(system: FlavorSystem, unit: KernelUnit) -> tuple[Package, ...] | None:
    """As `Universe.headers`; also ``None`` where zypper could not install them, since they need more themselves."""
    found = system.universe.headers(unit)
    rebuilding = any(b.rebuilds_on_host and not b.versioned for kmp in system.kmps for b in kmp.builds)
    if found and rebuilding and transact(system.universe, found).reasons:
        return None
    return found


def hopeless(system: FlavorSystem, unit: KernelUnit) -> bool:
    """Whether `unit` cannot be safe whatever the rest of the system says: cheap, without a solve."""
    fit = system.judge(unit)
    headers = _headers(system, unit) is not None
    return any(
        all_options[0].decision in ("unverified", "blocked")
        for kmp, all_options in zip(system.kmps, _all_options(system, fit, headers).values(), strict=True)
        if kmp.counts
    )


def evaluate(
    system: FlavorSystem,
    unit: KernelUnit,
    *,
    installed_only: bool = False,
    counted_only: bool = False,
) -> Evaluation:
    """Decide every KMP of `system` on `unit`.

    Parameters
    ----------
    installed_only
        Ask how the system stands as it is: no build from a repository is a choice, nor one that the kernel
        does not load.
    counted_only
        Fetch nothing for KMPs that do not count.
    """
    while (found := _evaluated(system, unit, installed_only, counted_only)) is None:
        pass
    return found


def _evaluated(
    system: FlavorSystem, unit: KernelUnit, installed_only: bool, counted_only: bool
) -> Evaluation | None:
    """As `evaluate`; ``None`` if by now other builds can be chosen than before."""
    refused = system.signatures.refused
    universe = system.universe
    fit = system.judge(unit, installed_only=installed_only)
    headers = _headers(system, unit)
    at_rest = None
    if installed_only:
        at_rest = loaded({kmp.name: kmp.installed for kmp in system.kmps}, (), unit, universe.table)
    offered = _all_options(system, fit, headers is not None, at_rest)
    if counted_only:
        spared = {kmp.name for kmp in system.kmps if not kmp.counts}
        offered = {
            name: tuple(o for o in own if name not in spared or o.build is None or o.build.package.installed)
            for name, own in offered.items()
        }
    offered = {
        name: tuple(o for o in own if o.build is None or o.build.package.handle not in refused)
        for name, own in offered.items()
    }
    stands = {option.stand for choices in offered.values() for option in choices if option.stand is not None}
    joining = set[Stand]()
    if not installed_only:
        joining = {
            Stand(b.package.handle, "compatible")
            for b in system.extras
            if fit.fits(b) and b.package.handle not in refused
        }
    everything = {b.package.handle: b for b in system.dedicated}
    choices = [[o.stand for o in own if o.stand is not None] for own in offered.values()]
    with Projection(
        universe,
        unit,
        everything,
        stands | joining,
        fit.open,
        choices=choices,
        joining=joining,
        at_rest=installed_only,
    ) as projection:
        choice = choose(system, projection, offered, unit.modules)
    if not (choice.settled or installed_only) and system.widen():
        return None
    _check_again(system, fit, choice)
    details = Details(system, fit, choice, offered)
    signing = look_at_signatures(
        system.signatures,
        {name: option.build for name, option in choice.options.items()},
        [package.nevra for package in choice.companions],
        [details.kmp(kmp) for kmp in system.kmps],
        choice.added,
    )
    if signing.refused:
        return None
    signed = _with_refusals(system, fit, signing.kmps) if refused and not installed_only else signing.kmps
    kmps = tuple(_with_unread(universe, *pair) for pair in zip(system.kmps, signed, strict=True))
    verdicts: list[Verdict] = ["safe"]
    for kmp, kmp_plan in zip(system.kmps, kmps, strict=True):
        if kmp.counts and kmp_plan.decision in ("fetch", "builtin") and _is_unread(universe, kmp):
            verdicts.append("unverified")
        if kmp.counts and kmp_plan.decision in ("blocked", "unverified"):
            verdicts.append("blocked" if kmp_plan.decision == "blocked" else "unverified")
        if kmp.counts and kmp.name in signing.unchecked:
            verdicts.append("unverified")
    if _counts_on(system, unit, choice, signing.unchecked):
        verdicts.append("unverified")
    warnings: list[Warned] = list(signing.warnings)
    if choice.impossible:
        verdicts.append("blocked")
        warnings.append(
            Warned(
                reference="conflict",
                message=sentence(choice.impossible, universe) or "the kernel cannot be installed",
            )
        )
    rebuilding = any(o.decision == "rebuild-on-host" for o in choice.options.values())
    return Evaluation(
        unit=unit,
        fit=fit,
        choice=choice,
        verdict=worst(verdicts),
        kmps=kmps,
        headers=(headers or ()) if rebuilding else (),
        warnings=tuple(warnings),
    )


def _counts_on(system: FlavorSystem, unit: KernelUnit, choice: Choice, names: Sequence[str]) -> bool:
    """Whether a KMP that counts needs a symbol or a module of one that comes along under one of these names."""
    if not any(build.name in names for build in choice.added):
        return False
    builds = [option.build for option in choice.options.values() if option.build is not None]
    builds += [build for build in choice.added if build.name not in names]
    loading = judge({b.package.handle: b for b in builds}.values(), unit, system.universe.table)
    there = set(unit.modules).union(*(build.modules for build in builds))
    served = ((kmp, choice.options[kmp.name]) for kmp in system.kmps if kmp.counts)
    return any(
        not (loading.fits(option.build) and kmp.modules.keys() <= there)
        for kmp, option in served
        if option.build is not None and option.decision in ("reuse", "fetch")
    )


def _with_refusals(system: FlavorSystem, fit: Fit, kmps: Iterable[KmpPlan]) -> list[KmpPlan]:
    """The KMPs with what is refused for its signature among their builds tried and, where it is, as the cause.

    A KMP may be blocked for the signature of another one whose symbols it needs.
    """
    refused = system.signatures.refused
    everything = [*system.extras, *(build for kmp in system.kmps for build in kmp.builds)]
    left = {b.package.handle: b for b in everything if b.package.handle not in refused}
    loading = judge(left.values(), fit.unit, system.universe.table)
    could_load = {
        refused[b.package.handle] for b in everything if b.package.handle in refused and fit.fits(b)
    }
    found: list[KmpPlan] = []
    for kmp, kmp_plan in zip(system.kmps, kmps, strict=True):
        spoilt = {b.package.handle: b for b in kmp.builds if fit.fits(b) and not loading.fits(b)}
        named = {(str(b.nevra), b.package.repository) for b in spoilt.values()}
        tried = tuple(
            replace(attempt, cause="signature") if (attempt.nevra, attempt.repository) in named else attempt
            for attempt in kmp_plan.tried
        )
        causes = kmp_plan.causes
        if kmp_plan.decision == "blocked" and kmp.works_somewhere and len(spoilt) == _fitting(kmp, fit) > 0:
            own = [refused[handle] for handle in spoilt if handle in refused]
            causes = tuple(sorted(set(own or could_load), key=str))
        found.append(replace(kmp_plan, tried=tried, causes=causes))
    return found


def _fitting(kmp: Kmp, fit: Fit) -> int:
    return len({build.package.handle for build in kmp.builds if fit.fits(build)})


def _is_unread(universe: Universe, kmp: Kmp) -> bool:
    """Whether nobody knows of a KMP what it needs, and which modules may be lost with it: only its name is known."""
    return all(build.package.handle in universe.unread for build in kmp.installed)


def _with_unread(universe: Universe, kmp: Kmp, kmp_plan: KmpPlan) -> KmpPlan:
    if not _is_unread(universe, kmp):
        return kmp_plan
    warning = Warned(
        reference="kmp-not-known",
        message=f"the symbols and modules of {kmp.installed[-1].nevra} are not known: no repository has it as it is"
        " installed",
    )
    return replace(kmp_plan, warnings=tuple(sorted({*kmp_plan.warnings, warning})))


def _check_again(system: FlavorSystem, fit: Fit, choice: Choice) -> None:
    """What the solver chose must pass the exact comparison and lose no module: else it is a bug, never a guess."""
    chosen = [
        o.build for o in choice.options.values() if o.build is not None and o.decision in ("reuse", "fetch")
    ]
    chosen += choice.added
    again = judge({b.package.handle: b for b in chosen}.values(), fit.unit, system.universe.table)
    for build in chosen:
        if not again.fits(build):
            raise _refuted(f"the solver chose {build} for {fit.unit.nevra}, which exact comparison refutes")
    serving = [option.build for option in choice.options.values() if option.build is not None]
    there = set(fit.unit.modules).union(*(build.modules for build in (*serving, *choice.added)))
    for kmp in system.kmps:
        if choice.options[kmp.name].build is not None and not kmp.modules.keys() <= there:
            raise _refuted(f"what the solver chose for {fit.unit.nevra} loses modules of {kmp.name}")


def _refuted(message: str) -> SolverError:
    return SolverError(
        message,
        reference="choice-refuted",
        hint="please report this with the output of kmpsolve plan --format json",
    )
