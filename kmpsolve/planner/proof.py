"""The proof behind a judged transaction: for each KMP the build, its mismatches, what else there is, and why."""

from __future__ import annotations

from functools import cached_property

from kmpsolve.compat.judgement import best_tried
from kmpsolve.model.nevra import same_architecture
from kmpsolve.model.package import KernelUnit, KmpBuild
from kmpsolve.model.plan import Attempt, Cause, CauseKind, Decision, KmpPlan, Mismatch, Warned
from kmpsolve.planner.aftermath import Aftermath, Subject
from kmpsolve.planner.causes import symbol_causes, unverifiable, works_nowhere
from kmpsolve.planner.comparison import Comparison
from kmpsolve.planner.loading import unshadowed
from kmpsolve.planner.system import is_native

__all__ = ["Proof"]


class Proof:
    """Tells why, KMP by KMP."""

    def __init__(self, aftermath: Aftermath) -> None:
        self.aftermath = aftermath

    def plan(self, subject: Subject, decision: Decision, lost: tuple[str, ...]) -> KmpPlan:
        """What the plan says of a KMP that was decided.

        Parameters
        ----------
        lost
            Modules that nobody gives any more.
        """
        kmp = subject.kmp
        build = next((b for b in subject.after if str(b.nevra) == subject.use.build), None)
        if self.aftermath.takeover is not None and decision in ("unverified", "rebuild-on-host"):
            build = self.aftermath.takeover.unverified_for(kmp)
        elif self.aftermath.takeover is not None:
            build = self.aftermath.takeover.build_for(kmp)
        chosen = build if decision != "blocked" else None
        best: KmpBuild | None = build
        missing: tuple[Mismatch, ...] = ()
        if chosen is None:
            best, missing = self._closest(subject)
        symbols = self.aftermath.universe.table.count(best.package.handle, best.needs) if best else 0
        return KmpPlan(
            name=kmp.name,
            decision=decision,
            installed=tuple(sorted(str(b.nevra) for b in kmp.installed)),
            chosen=str(chosen.nevra) if chosen else None,
            repository=chosen.package.repository if chosen else None,
            symbols_required=symbols,
            mismatches=missing,
            tried=self._attempts(subject),
            causes=self._causes(subject, lost) if decision == "blocked" else (),
            waived=kmp.waived,
            warnings=self._warnings(subject, decision),
        )

    @cached_property
    def _compared(self) -> Comparison:
        """Every build beside what serves the next kernel, and beside the best of a KMP that nothing serves."""
        assert self.aftermath.fit is not None
        providers: dict[str, tuple[KmpBuild, bool]] = {}
        for kmp in self.aftermath.kmps:
            use = self.aftermath.rows[0].kmps[kmp.name].build
            serving = (
                b
                for b in self.aftermath.builds[kmp.name]
                if str(b.nevra) == use and self.aftermath.fit.fits(b)
            )
            build = next(serving, None)
            providers[kmp.name] = (build or kmp.builds[0], build is not None)
        return Comparison(self.aftermath.fit, providers)

    def _closest(self, subject: Subject) -> tuple[KmpBuild | None, tuple[Mismatch, ...]]:
        """The build that comes closest, of those that will be there or, if none will, that are there now."""
        if self.aftermath.fit is None:
            return None, ()
        builds = subject.after or subject.kmp.installed
        best = best_tried((b, self._compared.count(subject.kmp.name, b)[0]) for b in builds)
        return best, self._compared.mismatches(subject.kmp.name, best)[0] if best else ()

    def _attempts(self, subject: Subject) -> tuple[Attempt, ...]:
        if self.aftermath.fit is None:
            return ()
        kmp = subject.kmp
        barred: dict[int, CauseKind] = {b.package.handle: cause for b, cause in kmp.refused}
        builds = {b.package.handle: b for b in (*kmp.builds, *(b for b, _ in kmp.refused), *subject.after)}
        arch = self.aftermath.fit.unit.nevra.arch
        barred |= {h: "architecture" for h, b in builds.items() if not same_architecture(b.nevra.arch, arch)}
        attempts = [self._compared.attempt(kmp.name, b, barred.get(h)) for h, b in builds.items()]
        return tuple(sorted(attempts, key=lambda a: (a.nevra, a.repository or "")))

    def _causes(self, subject: Subject, lost: tuple[str, ...]) -> tuple[Cause, ...]:
        kmp, unit = subject.kmp, self.aftermath.next
        if unit is None:
            text = f"no kernel-{self.aftermath.system.flavor} would be left, and {kmp.name} is built for no other"
            if self.aftermath.takeover is not None:
                text = f"{self.aftermath.takeover.unit.nevra} takes over, and nothing for it does what {kmp.name} does"
            return (Cause("missing", text, (f"kernel-{self.aftermath.system.flavor}",)),)
        if lost:
            text = f"nothing that would be installed offers {', '.join(lost)} on {unit.nevra}"
            return (Cause("module-dropped", text, lost),)
        if not kmp.works_somewhere:
            return (Cause("already-broken", f"{kmp.name} works on no installed kernel"),)
        if not subject.after:
            return (Cause("missing", f"{kmp.name} would be removed", (kmp.name,)),)
        best, _ = self._closest(subject)
        assert best is not None
        return tuple(symbol_causes(kmp, best, self._compared)) or (self._not_loaded(subject, best, unit),)

    @staticmethod
    def _not_loaded(subject: Subject, fitting: KmpBuild, unit: KernelUnit) -> Cause:
        """Why a kernel is without a KMP of which a build fits."""
        if not same_architecture(fitting.nevra.arch, unit.nevra.arch):
            text = f"{fitting.nevra} is for another architecture than {unit.nevra}"
            return Cause("architecture", text, (str(fitting.nevra),))
        if fitting in unshadowed(subject.after, unit):
            return Cause("missing", f"{subject.kmp.name} would not load on {unit.nevra}")
        standing = sorted(str(build.nevra) for build in subject.after if is_native(build, unit))
        text = f"{', '.join(standing)} is loaded before {fitting.nevra} on {unit.nevra}, and does not work"
        return Cause("missing", text, tuple(standing))

    def _warnings(self, subject: Subject, decision: Decision) -> tuple[Warned, ...]:
        kmp = subject.kmp
        found = [works_nowhere(kmp)] if not kmp.works_somewhere else []
        if decision == "unverified" and self.aftermath.next is not None:
            found += unverifiable(kmp, subject.after, self.aftermath.next)
        elif decision == "unverified" and self.aftermath.takeover is not None:
            build = self.aftermath.takeover.unverified_for(kmp)
            found += unverifiable(kmp, filter(None, [build]), self.aftermath.takeover.unit)
        return tuple(found)
