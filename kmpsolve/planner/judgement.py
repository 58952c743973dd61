"""Judging a known transaction: does every KMP keep working on the kernel that boots next?

The planner chooses; this module only looks at what somebody else chose, zypper as a rule. The system after
the transaction is what is installed, less what goes, and what arrives; of each flavor the newest kernel boots
next. A KMP that no transaction touches, on a kernel that booted next before, is no reason to stop anything:
what was lost before is not lost by this.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property

from kmpsolve.compat.judgement import Fit, judge
from kmpsolve.errors import KmpsolveError, RequestError
from kmpsolve.model.nevra import Nevra
from kmpsolve.model.package import KernelUnit, KmpBuild, Package
from kmpsolve.model.plan import (
    BootState,
    BuildInUse,
    Cause,
    Decision,
    FlavorPlan,
    Inputs,
    InstalledKernel,
    KmpPlan,
    Plan,
    Target,
    Verdict,
    Warned,
    WayOut,
    ZypperWould,
    worst,
)
from kmpsolve.planner.aftermath import Aftermath, Subject, Transition
from kmpsolve.planner.boot import fallback_warnings, fallbacks_lose
from kmpsolve.planner.bound import left_behind
from kmpsolve.planner.deciding import newest_safe
from kmpsolve.planner.loading import loaded_parts
from kmpsolve.planner.onhost import with_use
from kmpsolve.planner.planning import plan
from kmpsolve.planner.proof import Proof
from kmpsolve.planner.signing import Signing, look_at_signatures
from kmpsolve.request import Request
from kmpsolve.solver.universe import Universe

__all__ = ["Transition", "judge_transaction"]


def judge_transaction(
    universe: Universe,
    request: Request,
    inputs: Inputs,
    transition: Transition,
    flavors: Sequence[str] | None = None,
    *,
    losses_only: bool = True,
) -> Plan:
    """Judge a transaction for `flavors`, by default for each whose kernels or KMPs it touches.

    A repository that could not be read matters for the ways out only. The plan's `transaction` is the one
    that was judged, and empty if it is blocked; the ways out say what to do instead.

    Parameters
    ----------
    losses_only
        A KMP that works on an older kernel, and neither before nor after on the one that boots next, is a warning:
        what must not stop somebody's transaction is no answer yet to whether the machine may be rebooted after it.
    """
    judged = [
        _Judge(Aftermath(universe, request, transition, flavor), losses_only=losses_only).judge(inputs)
        for flavor in (_touched(universe, transition) if flavors is None else flavors)
    ]
    verdict = worst(flavor.verdict for flavor in judged)
    return Plan(
        verdict=verdict,
        complete=not inputs.skipped,
        inputs=inputs,
        flavors=tuple(judged),
        transaction=() if verdict == "blocked" else transition.steps,
        command=None,
    )


def _touched(universe: Universe, transition: Transition) -> list[str]:
    """Flavors with an installed kernel, of which kernels or KMPs arrive or go."""
    moved = {package.handle for package in (*transition.arrived, *transition.gone)}
    installed = universe.standing_flavors
    touched = {k.flavor for k in universe.kernels if k.package.handle in moved}
    for build in filter(None, map(universe.kmp, moved)):
        touched |= {build.flavor} if build.flavor else installed
    return sorted(touched & installed)


class _Judge:
    """Judges one flavor."""

    def __init__(self, aftermath: Aftermath, *, losses_only: bool) -> None:
        self.aftermath = aftermath
        self.losses_only = losses_only
        self.proof = Proof(aftermath)

    def judge(self, inputs: Inputs) -> FlavorPlan:
        """The flavor's part of the plan."""
        kmps: list[KmpPlan] = []
        signing = self._signing()
        verdicts: list[Verdict] = ["safe" if self.aftermath.transition.arrived else "nothing-to-do"]
        warnings = {*self.aftermath.request.notes, *signing.warnings}
        blocked: list[str] = []
        for subject, kmp_plan in zip(self.aftermath.subjects, signing.kmps, strict=True):
            if kmp_plan.decision == "blocked" and self._excused(subject):
                warnings.add(self._excuse(subject))
            elif subject.kmp.counts and kmp_plan.decision == "blocked":
                verdicts.append("blocked")
                blocked.append(subject.kmp.name)
            elif subject.kmp.counts and (
                (kmp_plan.decision == "unverified" and self._no_longer_known(subject))
                or subject.kmp.name in signing.unchecked
            ):
                verdicts.append("unverified")
            kmps.append(kmp_plan)
        before, after = self._fallbacks()
        warnings.update(fallback_warnings(before, after))
        kept = [subject.kmp for subject in self.aftermath.subjects if not self._dismissed(subject)]
        if self.aftermath.request.protect_fallback and fallbacks_lose(kept, before, after):
            verdicts.append("blocked")
        if self.aftermath.next is not None:
            arriving = self.aftermath.transition.arriving
            warnings.update(left_behind(self.aftermath.universe, self.aftermath.next, arriving))
        verdict = worst(verdicts)
        safe, ways = (
            self._ways_out(inputs, blocked) if verdict == "blocked" else (self._newest_safe(kmps), ())
        )
        unit = self.aftermath.takeover.unit if self.aftermath.takeover is not None else self.aftermath.next
        return FlavorPlan(
            flavor=self.aftermath.system.flavor,
            arch=self.aftermath.system.arch,
            verdict=verdict,
            current=tuple(
                InstalledKernel(
                    nevra=str(one.nevra),
                    uname_r=one.uname_r,
                    running=None
                    if self.aftermath.request.running is None
                    else one.uname_r == self.aftermath.request.running,
                )
                for one in reversed(self.aftermath.system.units)
            ),
            target=Target(nevra=str(unit.nevra), uname_r=unit.uname_r, repository=unit.main.repository)
            if unit
            else None,
            zypper_would=ZypperWould(
                target=str(unit.nevra) if unit and not unit.installed else None,
                kmps={s.kmp.name: self._newest(s.after) for s in self.aftermath.subjects},
                held_because=None,
            ),
            kmps=with_use(self.aftermath.request.machine, self.aftermath.kmps, kmps),
            modules_lost=self._kernel_modules_lost(),
            unmanaged=(),
            boot_matrix=self._rows(kmps),
            newest_safe=safe,
            ways_out=ways,
            warnings=tuple(sorted(warnings)),
        )

    def _signing(self) -> Signing:
        """What becomes of each KMP, signatures included."""
        found = [self._left_by(subject, self._plan(subject)) for subject in self.aftermath.subjects]
        fetched = {kmp_plan.chosen for kmp_plan in found}
        chosen = {
            s.kmp.name: next((b for b in s.after if str(b.nevra) in fetched), None)
            for s in self.aftermath.subjects
        }
        arriving = [Nevra.parse(nevra) for nevra in sorted(self.aftermath.transition.arriving)]
        signing = look_at_signatures(self.aftermath.system.signatures, chosen, arriving, found)
        unit = self.aftermath.next
        if unit is None or not signing.refused:
            return signing
        loading = [b for b in self.aftermath.after if b.package.handle not in signing.refused]
        fit = judge(loading, unit, self.aftermath.universe.table)
        pairs = zip(self.aftermath.subjects, signing.kmps, strict=True)
        return replace(signing, kmps=tuple(self._built_upon(*pair, signing, fit) for pair in pairs))

    @staticmethod
    def _built_upon(subject: Subject, kmp_plan: KmpPlan, signing: Signing, fit: Fit) -> KmpPlan:
        """The same, or blocked if it needs symbols of what is refused."""
        chosen = [build for build in subject.after if str(build.nevra) == kmp_plan.chosen]
        if kmp_plan.decision not in ("reuse", "fetch") or any(map(fit.fits, chosen)):
            return kmp_plan
        causes = tuple(sorted(set(signing.refused.values()), key=str))
        return replace(kmp_plan, decision="blocked", chosen=None, repository=None, causes=causes)

    def _rows(self, kmps: Iterable[KmpPlan]) -> tuple[BootState, ...]:
        """The boot matrix: what is refused serves nobody."""
        refused = [kmp.name for kmp in kmps if any(cause.kind == "signature" for cause in kmp.causes)]
        if not (refused and self.aftermath.rows):
            return self.aftermath.rows
        first, *others = self.aftermath.rows
        none = dict.fromkeys(refused, BuildInUse(build=None, via="none"))
        return (replace(first, kmps={**first.kmps, **none}), *others)

    def _left_by(self, subject: Subject, kmp_plan: KmpPlan) -> KmpPlan:
        """The same, or blocked if user space needs what only a build out of use provides.

        Where multiversion keeps the old build installed, the package manager is content with its provides, also
        of what arrives.
        """
        if kmp_plan.decision not in ("reuse", "fetch") or kmp_plan.chosen == subject.used.build:
            return kmp_plan
        mine = {b.package.handle for b in (*subject.kmp.installed, *subject.after)}
        moved = {Nevra.parse(step.nevra).name for step in self.aftermath.transition.steps}
        arriving = self._user_space_arriving
        lent = self.aftermath.in_use | {package.handle for package in arriving}
        pinned = self.aftermath.universe.pinned(self.aftermath.system.flavor, arriving)
        left = {
            (str(package), capability): None
            for package, capability, providers in pinned
            if (package.name not in moved or not package.installed)
            and not providers & lent
            and providers & mine
        }
        if not left:
            return kmp_plan
        text = "; ".join(
            f"{who} requires {what}, which {kmp_plan.chosen} does not give" for who, what in left
        )
        cause = Cause("user-space", text, tuple(sorted({who for who, _ in left})))
        return replace(kmp_plan, decision="blocked", chosen=None, repository=None, causes=(cause,))

    @cached_property
    def _user_space_arriving(self) -> list[Package]:
        """What arrives and is neither a kernel nor a KMP, from each repository that has it."""
        universe, arriving = self.aftermath.universe, self.aftermath.transition.arriving
        brought = {package.handle for package in self.aftermath.transition.arrived}
        names = sorted({Nevra.parse(nevra).name for nevra in arriving})
        return [
            package
            for name in names
            for package in universe.called(name)
            if not package.installed and str(package.nevra) in arriving and package.handle not in brought
        ]

    @staticmethod
    def _newest(builds: Sequence[KmpBuild]) -> str | None:
        best = max(builds, key=lambda b: b.nevra.evr, default=None)
        return str(best.nevra) if best else None

    def _excused(self, subject: Subject) -> bool:
        """Whether a KMP that the next kernel is without is no loss by this transaction."""
        if self._dismissed(subject):
            return True
        if self.aftermath.boots_another or subject.touched:
            return False
        if not self.losses_only and subject.kmp.works_somewhere:
            return False
        worked = any(
            row.kmps[subject.kmp.name].via not in ("none", "unknown") for row in self.aftermath.rows_before
        )
        works = any(row.kmps[subject.kmp.name].via not in ("none", "unknown") for row in self.aftermath.rows)
        return subject.used.via == "none" and (works or not worked)

    def _no_longer_known(self, subject: Subject) -> bool:
        """Whether it is this transaction after which nobody can tell whether a KMP loads; or, if not only losses
        are asked for, whether it is known to work on an older kernel alone.
        """
        if self.aftermath.boots_another:
            return True
        if subject.used.via == "none":
            return not self.losses_only and subject.kmp.works_somewhere
        return subject.touched and subject.used.via != "unknown"

    def _dismissed(self, subject: Subject) -> bool:
        """Whether a person lets a KMP go: not one of its builds only, for another one."""
        return subject.kmp.name in self.aftermath.transition.dismissed and not subject.after

    def _excuse(self, subject: Subject) -> Warned:
        name = subject.kmp.name
        if self._dismissed(subject):
            return Warned(reference="removed", message=f"{name} is removed, as asked for")
        return Warned(
            reference="newest-installed-breaks",
            message=f"{name} does not work on {self.aftermath.system.newest.nevra}, which boots next; "
            "this changes nothing about it",
        )

    def _decision(self, subject: Subject) -> Decision:
        use, kmp = subject.use, subject.kmp
        if use.via in ("native", "weak-updates"):
            return (
                "reuse"
                if use.build in {str(b.nevra) for b in kmp.installed if not self._goes(b)}
                else "fetch"
            )
        if use.via == "builtin":
            return "builtin"
        if use.via == "unknown":
            assert self.aftermath.next is not None
            return self._unverified(subject.after, self.aftermath.next)
        if self.aftermath.takeover is None:
            return "blocked"
        if build := self.aftermath.takeover.build_for(kmp):
            return "reuse" if build.package.installed else "fetch"
        if self.aftermath.takeover.ships(kmp):
            return "builtin"
        if build := self.aftermath.takeover.unverified_for(kmp):
            return self._unverified([build], self.aftermath.takeover.unit)
        return "blocked"

    def _goes(self, build: KmpBuild) -> bool:
        return build.package.handle in self.aftermath.moved

    def _unverified(self, builds: Iterable[KmpBuild], unit: KernelUnit) -> Decision:
        """The decision on builds of which symbols tell nothing."""
        rebuilt = any(build.rebuilds_on_host for build in builds) and self._headers_there(unit)
        return "rebuild-on-host" if rebuilt else "unverified"

    def _headers_there(self, unit: KernelUnit) -> bool:
        name = f"kernel-{unit.flavor}-devel"
        # What is installed stays unless a step names it, or another version in its place.
        going = {
            step.nevra if step.action == "erase" else Nevra.parse(step.nevra).name
            for step in self.aftermath.transition.steps
            if step.action != "install"
        }
        return any(
            unit.made_with(package.nevra)
            and (
                str(package.nevra) in self.aftermath.transition.arriving
                or (package.installed and going.isdisjoint((str(package.nevra), name)))
            )
            for package in self.aftermath.universe.called(name)
        )

    def _modules_lost(self, subject: Subject) -> tuple[str, ...]:
        """Modules that a KMP gave where it was used and that the next kernel gets from nobody."""
        kmp = subject.kmp
        # Nobody can tell whether a build without symbol versions loads, but well what is not in it.
        if self.aftermath.next is None or subject.use.via not in ("native", "weak-updates", "unknown"):
            return ()
        row = next((row for row in self.aftermath.rows_before if row.uname_r == kmp.used_on.uname_r), None)
        if row is None:
            return ()
        gave = self._modules(row, kmp.installed, kmp.name)
        return tuple(sorted(kmp.modules[m] for m in gave - self._modules_there(self.aftermath.next)))

    def _modules_there(self, unit: KernelUnit) -> set[str]:
        """Modules that the kernel which boots next has, its own and those of the builds that it loads.

        A KMP that was split leaves more than one package which stands for the old name: each gives its modules.
        """
        there = set(unit.modules)
        for kmp in self.aftermath.kmps:
            there |= self._modules(self.aftermath.rows[0], self.aftermath.builds[kmp.name], kmp.name)
        parts = loaded_parts(self.aftermath.builds, (), unit, self.aftermath.universe.table)
        return there.union(*(build.modules for builds in parts.values() for build in builds))

    @staticmethod
    def _modules(row: BootState, builds: Sequence[KmpBuild], name: str) -> set[str]:
        return {m for b in builds if str(b.nevra) == row.kmps[name].build for m in b.modules}

    def _kernel_modules_lost(self) -> tuple[str, ...]:
        """Modules of the kernel that boots next now which neither the new one nor a KMP has."""
        if self.aftermath.next is None:
            return ()
        before = self.aftermath.system.newest.modules
        lost = before.keys() - self._modules_there(self.aftermath.next)
        return tuple(sorted(before[m] for m in lost))

    def _fallbacks(self) -> tuple[Sequence[BootState], Sequence[BootState]]:
        """The kernels that stay beside the one that boots next, before and after."""
        shown = self.aftermath.rows[1:]
        return [r for r in self.aftermath.rows_before if r.uname_r in {row.uname_r for row in shown}], shown

    def _plan(self, subject: Subject) -> KmpPlan:
        lost = self._modules_lost(subject)
        return self.proof.plan(subject, "blocked" if lost else self._decision(subject), lost)

    def _newest_safe(self, kmps: Sequence[KmpPlan]) -> str | None:
        """The kernel that boots next, where it keeps every KMP and there is no newer one; else it is looked for."""
        system, unit = self.aftermath.system, self.aftermath.next
        counted = {kmp.name for kmp in self.aftermath.kmps if kmp.counts}
        kept = all(one.decision not in ("blocked", "unverified") for one in kmps if one.name in counted)
        newer = (u for u in system.kernels.candidates() if unit is None or u.nevra.evr > unit.nevra.evr)
        if unit is not None and kept and not any(newer):
            return str(unit.nevra)
        try:
            safe = newest_safe(system)
        except KmpsolveError:
            return None
        if safe is not None and safe.unit.main not in self.aftermath.transition.gone:
            return str(safe.unit.nevra)
        return str(unit.nevra) if unit is not None and kept else None

    def _ways_out(self, inputs: Inputs, blocked: list[str]) -> tuple[str | None, tuple[WayOut, ...]]:
        """What the ordinary plan for the same kernel does, or offers instead."""
        names = tuple(blocked)
        try:
            proper = self._ordinary(inputs)
        except KmpsolveError:
            proper = None
        if proper is None:
            return None, ()
        (flavor,) = proper.flavors
        ways = flavor.ways_out
        if proper.command is not None:
            kernel = Nevra.parse(flavor.target.nevra).evr if flavor.target else ""
            text = (
                f"take the rebuilt KMP along with {kernel}"
                if self._left_behind(flavor.kmps, names)
                else (f"the transaction that keeps every KMP on {kernel}")
            )
            ways = (WayOut(kind="fetch-with", text=text, command=proper.command, kmps=names), *ways)
        return flavor.newest_safe, ways

    @staticmethod
    def _left_behind(kmps: Iterable[KmpPlan], names: Iterable[str]) -> bool:
        return any(kmp.decision == "fetch" for kmp in kmps if kmp.name in names)

    def _ordinary(self, inputs: Inputs) -> Plan:
        request = replace(self.aftermath.request, flavors=(self.aftermath.system.flavor,), kernel=None)
        if self.aftermath.next is not None and not self.aftermath.next.installed:
            named = replace(request, kernel=str(self.aftermath.next.nevra.evr))
            try:
                return plan(self.aftermath.universe, named, inputs)
            except RequestError:
                pass  # of another vendor, or from a file: the ordinary plan tells what there is besides
        return plan(self.aftermath.universe, request, inputs)
