"""Judging a known transaction: does every KMP keep working on the kernel that boots next?

The planner chooses; this module only looks at what somebody else chose, zypper as a rule. The system after
the transaction is what is installed, less what goes, and what arrives; of each flavor the newest kernel boots
next. A KMP that no transaction touches, on a kernel that booted next before, is no reason to stop anything:
what was lost before is not lost by this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from kmpsolve.compat.judgement import Fit, best_tried, count_mismatches, judge, mismatches
from kmpsolve.errors import KmpsolveError, RequestError
from kmpsolve.model.nevra import Nevra
from kmpsolve.model.package import KernelUnit, KmpBuild, Package
from kmpsolve.model.plan import (
    Attempt,
    BootState,
    BuildInUse,
    Cause,
    CauseKind,
    Decision,
    FlavorPlan,
    Inputs,
    InstalledKernel,
    KernelState,
    KmpPlan,
    Mismatch,
    Plan,
    Step,
    Target,
    Verdict,
    Waived,
    Warned,
    WayOut,
    ZypperWould,
    worst,
)
from kmpsolve.planner.boot import boot_matrix, fallback_losses
from kmpsolve.planner.onhost import with_use
from kmpsolve.planner.options import absorbs, overrides
from kmpsolve.planner.planning import plan
from kmpsolve.planner.signing import Signing, look_at_signatures
from kmpsolve.planner.system import FlavorSystem, Kmp, join_units, obsoleted_by
from kmpsolve.planner.takeover import takeover
from kmpsolve.request import Request
from kmpsolve.solver.universe import Universe

__all__ = ["Transition", "judge_transaction"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A transaction that somebody else chose.

    Parameters
    ----------
    steps
        All of it, for the plan.
    arrived
        The kernels and KMPs that it brings.
    gone
        The installed kernels and KMPs that it takes, replaced ones included.
    arriving
        NEVRAs of everything that it brings.
    dismissed
        Names of KMPs that a person named to be removed, and which nothing uses now.
    """

    steps: tuple[Step, ...]
    arrived: tuple[Package, ...]
    gone: tuple[Package, ...]
    arriving: frozenset[str] = frozenset()
    dismissed: frozenset[str] = frozenset()


def judge_transaction(
    universe: Universe,
    request: Request,
    inputs: Inputs,
    transition: Transition,
    flavors: Sequence[str] | None = None,
) -> Plan:
    """Judge a transaction for `flavors`, by default for each whose kernels or KMPs it touches.

    A repository that could not be read matters for the ways out only. The plan's `transaction` is the one
    that was judged, and empty if it is blocked; the ways out say what to do instead.
    """
    judged = [
        _Judge(universe, request, transition, flavor).judge(inputs)
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
    installed = {k.flavor for k in universe.kernels if k.package.installed and k.part in ("", "base")}
    touched = {k.flavor for k in universe.kernels if k.package.handle in moved}
    for build in filter(None, map(universe.kmp, moved)):
        touched |= {build.flavor} if build.flavor else installed
    return sorted(touched & installed)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """One KMP and what the transaction does to it.

    Parameters
    ----------
    after
        The builds that will be there for it.
    touched
        One of its builds arrives or goes.
    use
        How the next kernel is served.
    used
        How the kernel that boots next now is served.
    """

    kmp: Kmp
    after: tuple[KmpBuild, ...]
    touched: bool
    use: BuildInUse
    used: BuildInUse


class _Judge:
    """Judges one flavor."""

    def __init__(self, universe: Universe, request: Request, transition: Transition, flavor: str) -> None:
        self.universe = universe
        self.request = request
        self.transition = transition
        self.system = FlavorSystem(universe, request, flavor)
        gone = {package.handle for package in transition.gone}
        arrived = {package.handle for package in transition.arrived}
        self.moved = gone | arrived

        def there(package: Package) -> bool:
            return package.handle in arrived or (package.installed and package.handle not in gone)

        kernels = [k for k in universe.kernels if k.flavor == flavor and there(k.package)]
        self.units = join_units(universe, kernels)
        self.next = self.units[-1] if self.units else None
        self.takeover = takeover(universe, there) if self.next is None else None
        builds = {b.package.handle: b for b in (*universe.installed_kmps, *self._arrived_builds())}
        dedicated = [builds[handle] for handle in sorted(builds) if builds[handle].flavor in (flavor, "")]
        self.before = [b for b in dedicated if b.package.installed]
        self.after = [b for b in dedicated if there(b.package)]
        self.kmps = (*self.system.kmps, *self._new_kmps())
        self.builds = {kmp.name: self._serving(kmp) for kmp in self.kmps}
        self.rows = self._rows(self.units, self.builds, self.after)
        self.rows_before = self._rows(
            self.system.units, {kmp.name: kmp.installed for kmp in self.kmps}, self.before
        )
        self.fit = self._fit(self.next) if self.next else None
        self.subjects = [self._subject(kmp) for kmp in self.kmps]

    # the system after the transaction

    def _arrived_builds(self) -> Iterator[KmpBuild]:
        return filter(None, (self.universe.kmp(package.handle) for package in self.transition.arrived))

    def _new_kmps(self) -> Iterator[Kmp]:
        """KMPs that were not there before, neither under this name nor under one that it obsoletes."""
        by_name: dict[str, list[KmpBuild]] = {}
        for build in self.after:
            renames = any(obsoleted_by(build.obsoletes, old.nevra) for old in self.before)
            if not build.package.installed and not renames and build.name not in self._installed_names:
                by_name.setdefault(build.name, []).append(build)
        for name in sorted(by_name):
            rule, waiver = self.request.rule(name), self.request.waiver(name)
            ignored = rule is not None and rule.on_blocked == "ignore"
            yield Kmp(
                name=name,
                installed=(),
                candidates=tuple(by_name[name]),
                refused=(),
                twins=(),
                modules={m: spelled for build in by_name[name] for m, spelled in build.modules.items()},
                used_on=self.next or self.system.newest,
                works_somewhere=True,
                counts=waiver is None and not ignored,
                waived=Waived(reason=waiver.reason, expires=waiver.expires) if waiver else None,
            )

    @property
    def _installed_names(self) -> set[str]:
        return {kmp.name for kmp in self.system.kmps}

    def _serving(self, kmp: Kmp) -> tuple[KmpBuild, ...]:
        """The builds that will be there for a KMP: its own, and those that obsolete its name."""
        return tuple(
            build
            for build in self.after
            if build.name == kmp.name
            or any(obsoleted_by(build.obsoletes, old.nevra) for old in kmp.installed)
        )

    def _rows(
        self,
        units: Sequence[KernelUnit],
        builds: Mapping[str, Sequence[KmpBuild]],
        everything: Iterable[KmpBuild],
    ) -> tuple[BootState, ...]:
        states: dict[str, KernelState] = {
            unit.uname_r: "running"
            if unit.uname_r == self.request.running
            else ("installed" if unit.installed else "new")
            for unit in units
        }
        return boot_matrix(self.kmps, units, builds, everything, states, self.universe.table)

    def _fit(self, unit: KernelUnit) -> Fit:
        """How everything that is worth naming fits the unit; what fits is decided by what will be there
        alone.
        """
        fit = judge(self.after, unit, self.universe.table)
        named = {b.package.handle: b for kmp in self.kmps for b in kmp.builds}
        named |= {b.package.handle: b for kmp in self.kmps for b, _ in kmp.refused}
        return Fit(unit, fit.open.beside(named.values()), fit.viable)

    def _subject(self, kmp: Kmp) -> _Subject:
        none = BuildInUse(build=None, via="none")
        return _Subject(
            kmp=kmp,
            after=self.builds[kmp.name],
            touched=any(b.package.handle in self.moved for b in (*kmp.installed, *self.builds[kmp.name])),
            use=self.rows[0].kmps[kmp.name] if self.rows else none,
            used=self.rows_before[0].kmps[kmp.name],
        )

    # the judgement

    @property
    def _boots_another(self) -> bool:
        return self.next is None or self.next.main.handle != self.system.newest.main.handle

    def judge(self, inputs: Inputs) -> FlavorPlan:
        """The flavor's part of the plan."""
        kmps: list[KmpPlan] = []
        signing = self._signing()
        verdicts: list[Verdict] = ["safe" if self.transition.arrived else "nothing-to-do"]
        warnings = {*self.request.notes, *signing.warnings}
        blocked: list[str] = []
        for subject, kmp_plan in zip(self.subjects, signing.kmps, strict=True):
            if kmp_plan.decision == "blocked" and self._excused(subject):
                warnings.add(self._excuse(subject))
            elif subject.kmp.counts and kmp_plan.decision == "blocked":
                verdicts.append("blocked")
                blocked.append(subject.kmp.name)
            elif subject.kmp.counts and (
                (kmp_plan.decision == "unverified" and self._boots_another)
                or subject.kmp.name in signing.unchecked
            ):
                verdicts.append("unverified")
            kmps.append(kmp_plan)
        losses = self._losses()
        warnings.update(losses)
        if self.request.protect_fallback and any(loss.reference == "fallback-loses" for loss in losses):
            verdicts.append("blocked")
        warnings.update(self._livepatches())
        verdict = worst(verdicts)
        newest_safe, ways = self._ways_out(inputs, blocked) if verdict == "blocked" else (None, ())
        unit = self.takeover.unit if self.takeover is not None else self.next
        return FlavorPlan(
            flavor=self.system.flavor,
            arch=self.system.arch,
            verdict=verdict,
            current=tuple(
                InstalledKernel(
                    nevra=str(one.nevra),
                    uname_r=one.uname_r,
                    running=None if self.request.running is None else one.uname_r == self.request.running,
                )
                for one in reversed(self.system.units)
            ),
            target=Target(nevra=str(unit.nevra), uname_r=unit.uname_r, repository=unit.main.repository)
            if unit
            else None,
            zypper_would=ZypperWould(
                target=str(unit.nevra) if unit and not unit.installed else None,
                kmps={s.kmp.name: self._newest(s.after) for s in self.subjects},
                held_because=None,
            ),
            kmps=with_use(self.request.machine, self.kmps, kmps),
            modules_lost=self._kernel_modules_lost(),
            unmanaged=(),
            boot_matrix=self.rows,
            newest_safe=newest_safe,
            ways_out=ways,
            warnings=tuple(sorted(warnings)),
        )

    def _signing(self) -> Signing:
        """What becomes of each KMP, signatures included."""
        found = [self._left_by(subject, self._plan(subject)) for subject in self.subjects]
        fetched = {kmp_plan.chosen for kmp_plan in found}
        chosen = {
            s.kmp.name: next((b for b in s.after if str(b.nevra) in fetched), None) for s in self.subjects
        }
        arriving = [Nevra.parse(nevra) for nevra in sorted(self.transition.arriving)]
        return look_at_signatures(self.universe, self.request, chosen, arriving, found)

    def _left_by(self, subject: _Subject, kmp_plan: KmpPlan) -> KmpPlan:
        """The same, or blocked if user space needs what only a build out of use provides.

        Where multiversion keeps the old build installed, the package manager is content with its provides.
        """
        if kmp_plan.decision not in ("reuse", "fetch") or subject.use.build == subject.used.build:
            return kmp_plan
        mine = {b.package.handle: str(b.nevra) for b in (*subject.kmp.installed, *subject.after)}
        in_use = {
            build.package.handle
            for kmp in self.kmps
            for build in self.builds[kmp.name]
            if str(build.nevra) == self.rows[0].kmps[kmp.name].build
        }
        steps = [(step.action, Nevra.parse(step.nevra).name) for step in self.transition.steps]
        moved = {name for _, name in steps}
        left = [
            (str(package), capability)
            for package, capability, providers in self.universe.pinned(self.system.flavor)
            if package.name not in moved and not providers & in_use and providers & mine.keys()
        ]
        if not left:
            return kmp_plan
        text = "; ".join(
            f"{who} requires {what}, which {subject.use.build} does not give" for who, what in left
        )
        cause = Cause("user-space", text, tuple(sorted({who for who, _ in left})))
        return replace(kmp_plan, decision="blocked", chosen=None, repository=None, causes=(cause,))

    @staticmethod
    def _newest(builds: Sequence[KmpBuild]) -> str | None:
        best = max(builds, key=lambda b: b.nevra.evr, default=None)
        return str(best.nevra) if best else None

    def _excused(self, subject: _Subject) -> bool:
        """Whether a KMP that the next kernel is without is no loss by this transaction."""
        if subject.kmp.name in self.transition.dismissed:
            return True
        if self._boots_another or subject.touched:
            return False
        worked = any(row.kmps[subject.kmp.name].via not in ("none", "unknown") for row in self.rows_before)
        works = any(row.kmps[subject.kmp.name].via not in ("none", "unknown") for row in self.rows)
        return subject.used.via == "none" and (works or not worked)

    def _excuse(self, subject: _Subject) -> Warned:
        name = subject.kmp.name
        if name in self.transition.dismissed:
            return Warned(reference="removed", message=f"{name} is removed, as asked for")
        return Warned(
            reference="newest-installed-breaks",
            message=f"{name} does not work on {self.system.newest.nevra}, which boots next; "
            "this changes nothing about it",
        )

    def _decision(self, subject: _Subject) -> Decision:
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
            if any(b.rebuilds_on_host for b in subject.after) and self._headers_there():
                return "rebuild-on-host"
            return "unverified"
        if self.takeover is None:
            return "blocked"
        if build := self.takeover.build_for(kmp):
            return "reuse" if build.package.installed else "fetch"
        return "builtin" if self.takeover.ships(kmp) else "blocked"

    def _goes(self, build: KmpBuild) -> bool:
        return build.package.handle in self.moved

    def _headers_there(self) -> bool:
        assert self.next is not None
        name = f"kernel-{self.next.flavor}-devel"
        evr = self.next.nevra.evr
        gone = {package.handle for package in self.transition.gone}
        return any(
            package.nevra.evr == evr
            and (
                str(package.nevra) in self.transition.arriving
                or (package.installed and package.handle not in gone)
            )
            for package in self.universe.called(name)
        )

    def _modules_lost(self, subject: _Subject) -> tuple[str, ...]:
        """Modules that a KMP gave where it was used and that the next kernel gets from nobody."""
        kmp = subject.kmp
        if self.next is None or not kmp.installed or subject.use.via not in ("native", "weak-updates"):
            return ()
        row = next((row for row in self.rows_before if row.uname_r == kmp.used_on.uname_r), None)
        if row is None:
            return ()
        gave = self._modules(row, kmp.installed, kmp.name)
        has = set(self.next.modules)
        for other in self.kmps:
            has |= self._modules(self.rows[0], self.builds[other.name], other.name)
        return tuple(sorted(kmp.modules[m] for m in gave - has if m in kmp.modules))

    @staticmethod
    def _modules(row: BootState, builds: Sequence[KmpBuild], name: str) -> set[str]:
        return {m for b in builds if str(b.nevra) == row.kmps[name].build for m in b.modules}

    def _kernel_modules_lost(self) -> tuple[str, ...]:
        """Modules of the kernel that boots next now which neither the new one nor a KMP has."""
        if self.next is None or not self._boots_another:
            return ()
        there = set(self.next.modules)
        for kmp in self.kmps:
            there |= self._modules(self.rows[0], self.builds[kmp.name], kmp.name)
        before = self.system.newest.modules
        return tuple(sorted(before[m] for m in before.keys() - there))

    def _losses(self) -> tuple[Warned, ...]:
        removed = {p.handle for p in self.transition.gone}
        staying = [u.uname_r for u in self.system.units if u.main.handle not in removed]
        shown = [
            r
            for r in self.rows
            if r.uname_r in staying and (self.next is None or r.uname_r != self.next.uname_r)
        ]
        before = [r for r in self.rows_before if r.uname_r in {row.uname_r for row in shown}]
        return fallback_losses(before, shown)

    def _livepatches(self) -> Iterator[Warned]:
        if self.next is not None and not self.next.installed and self.universe.livepatches:
            names = ", ".join(sorted(str(p) for p in self.universe.livepatches))
            yield Warned(
                reference="starts-unpatched",
                message=f"{self.next.nevra} starts without live patches: {names} belong to one kernel only",
            )

    # the proof

    def _plan(self, subject: _Subject) -> KmpPlan:
        kmp, lost = subject.kmp, self._modules_lost(subject)
        decision = "blocked" if lost else self._decision(subject)
        build = next((b for b in subject.after if str(b.nevra) == subject.use.build), None)
        if self.takeover is not None:
            build = self.takeover.build_for(kmp)
        chosen = build if decision != "blocked" else None
        best: KmpBuild | None = build
        missing: tuple[Mismatch, ...] = ()
        if chosen is None:
            best, missing = self._closest(subject)
        symbols = self.universe.table.count(best.package.handle, best.needs) if best else 0
        return KmpPlan(
            name=kmp.name,
            decision=decision,
            installed=tuple(sorted(str(b.nevra) for b in kmp.installed)),
            chosen=str(chosen.nevra) if chosen else None,
            repository=chosen.package.repository if chosen else None,
            symbols_required=symbols,
            mismatches=missing,
            tried=self._attempts(subject),
            causes=self._causes(subject, lost, missing) if decision == "blocked" else (),
            waived=kmp.waived,
            warnings=self._warnings(subject, decision),
        )

    def _mismatches(self, name: str, build: KmpBuild) -> tuple[tuple[Mismatch, ...], bool, bool]:
        assert self.fit is not None
        return mismatches(build, self.fit, self._others(name))

    def _count(self, name: str, build: KmpBuild) -> tuple[int, bool, bool]:
        """As `_mismatches`, but only how many."""
        assert self.fit is not None
        return count_mismatches(build, self.fit, self._others(name))

    def _others(self, name: str) -> Callable[[str], list[tuple[KmpBuild, bool]]]:
        return lambda key: [entry for other, entry in self._providers_of.get(key, ()) if other != name]

    @cached_property
    def _providers_of(self) -> dict[str, list[tuple[str, tuple[KmpBuild, bool]]]]:
        found: dict[str, list[tuple[str, tuple[KmpBuild, bool]]]] = {}
        for name, entry in self._providers:
            for key in entry[0].exports:
                found.setdefault(key, []).append((name, entry))
        return found

    @cached_property
    def _providers(self) -> list[tuple[str, tuple[KmpBuild, bool]]]:
        """For each KMP the build that serves the next kernel and True, else its best one and False."""
        assert self.fit is not None
        found: list[tuple[str, tuple[KmpBuild, bool]]] = []
        for kmp in self.kmps:
            use = self.rows[0].kmps[kmp.name].build
            serving = [b for b in self.builds[kmp.name] if str(b.nevra) == use and self.fit.fits(b)]
            if serving:
                found.append((kmp.name, (serving[0], True)))
            elif kmp.builds:
                found.append((kmp.name, (kmp.builds[0], False)))
        return found

    def _closest(self, subject: _Subject) -> tuple[KmpBuild | None, tuple[Mismatch, ...]]:
        """The build that comes closest, of those that will be there or, if none will, that are there now."""
        if self.fit is None:
            return None, ()
        builds = subject.after or subject.kmp.installed
        best = best_tried((b, self._count(subject.kmp.name, b)[0]) for b in builds)
        return best, self._mismatches(subject.kmp.name, best)[0] if best else ()

    def _exact_kernel(self, build: KmpBuild) -> str | None:
        assert self.fit is not None
        return next((n.value for n in self.fit.open[build.package.handle] if n.kind == "exact-kernel"), None)

    def _attempts(self, subject: _Subject) -> tuple[Attempt, ...]:
        if self.fit is None:
            return ()
        kmp = subject.kmp
        barred: dict[int, CauseKind] = {b.package.handle: cause for b, cause in kmp.refused}
        builds = {b.package.handle: b for b in (*kmp.builds, *(b for b, _ in kmp.refused), *subject.after)}
        attempts = []
        for build in builds.values():
            found, by_kernel, by_kmp = self._count(kmp.name, build)
            cause: CauseKind | None = barred.get(build.package.handle)
            if cause is None and by_kernel:
                cause = "symbols"
            elif cause is None and by_kmp:
                cause = "kmp"
            elif cause is None and self._exact_kernel(build) is not None:
                cause = "exact-kernel"
            attempts.append(Attempt(str(build.nevra), build.package.repository, found, cause))
        return tuple(sorted(attempts, key=lambda a: (a.nevra, a.repository or "")))

    def _causes(
        self, subject: _Subject, lost: tuple[str, ...], missing: tuple[Mismatch, ...]
    ) -> tuple[Cause, ...]:
        kmp, unit = subject.kmp, self.next
        if unit is None:
            text = f"no kernel-{self.system.flavor} would be left, and {kmp.name} is built for no other"
            if self.takeover is not None:
                text = f"{self.takeover.unit.nevra} takes over, and nothing for it does what {kmp.name} does"
            return (Cause("missing", text, (f"kernel-{self.system.flavor}",)),)
        if lost:
            text = f"nothing that would be installed offers {', '.join(lost)} on {unit.nevra}"
            return (Cause("module-dropped", text, lost),)
        if not kmp.works_somewhere:
            return (Cause("already-broken", f"{kmp.name} works on no installed kernel"),)
        if not subject.after:
            return (Cause("missing", f"{kmp.name} would be removed", (kmp.name,)),)
        causes: list[Cause] = []
        best, _ = self._closest(subject)
        assert best is not None
        _, by_kernel, by_kmp = self._mismatches(kmp.name, best)
        if by_kernel:
            changed = sum(m.kind == "disagrees" for m in missing)
            causes.append(
                Cause(
                    "symbols",
                    f"{unit.nevra} changed or dropped symbols that {best} uses: "
                    f"{changed} changed, {len(missing) - changed} gone",
                    (str(unit.nevra),),
                )
            )
        if by_kmp:
            causes.append(Cause("kmp", f"{best} needs symbols of another KMP, which has no build that fits"))
        if exact := self._exact_kernel(best):
            causes.append(Cause("exact-kernel", f"{best} was built for kernel {exact} only", (exact,)))
        if absorbs(unit, kmp) and overrides(kmp):
            causes.append(
                Cause(
                    "falls-back-to-in-tree",
                    f"without {kmp.name} the kernel's own modules would load, "
                    "which it was installed to replace",
                    tuple(sorted(kmp.modules.values())),
                )
            )
        return tuple(causes) or (Cause("missing", f"{kmp.name} would not load on {unit.nevra}"),)

    def _warnings(self, subject: _Subject, decision: Decision) -> tuple[Warned, ...]:
        kmp = subject.kmp
        found = []
        if not kmp.works_somewhere:
            found.append(
                Warned(
                    reference="already-broken", message=f"{kmp.name} works on no kernel that is installed now"
                )
            )
        if decision == "unverified":
            found.append(
                Warned(
                    reference="no-symbol-versions",
                    message=f"{kmp.name} was built without symbol versions: nobody can tell whether it loads",
                )
            )
        return tuple(found)

    # what to do instead

    def _ways_out(self, inputs: Inputs, blocked: list[str]) -> tuple[str | None, tuple[WayOut, ...]]:
        """What the ordinary plan for the same kernel does, or offers instead."""
        names = tuple(blocked)
        try:
            proper = self._ordinary(inputs)
        except KmpsolveError:
            proper = None
        if proper is None:
            return None, ()
        flavor = next(f for f in proper.flavors if f.flavor == self.system.flavor)
        ways = flavor.ways_out
        if proper.verdict != "blocked" and proper.command is not None:
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
        request = replace(self.request, flavors=(self.system.flavor,), kernel=None)
        if self.next is not None and self._boots_another and not self.next.installed:
            named = replace(request, kernel=str(self.next.nevra.evr))
            try:
                return plan(self.universe, named, inputs)
            except RequestError:
                pass  # of another vendor, or from a file: the ordinary plan tells what there is besides
        return plan(self.universe, request, inputs)
