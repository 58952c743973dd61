"""The proof behind a judged transaction: for each KMP the build, its mismatches, what else there is, and why."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from kmpsolve.compat.judgement import best_tried, count_mismatches, mismatches
from kmpsolve.model.package import KmpBuild
from kmpsolve.model.plan import Attempt, Cause, CauseKind, Decision, KmpPlan, Mismatch, Warned
from kmpsolve.planner.aftermath import Aftermath, Subject
from kmpsolve.planner.options import absorbs

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
        if self.aftermath.takeover is not None:
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
            causes=self._causes(subject, lost, missing) if decision == "blocked" else (),
            waived=kmp.waived,
            warnings=self._warnings(subject, decision),
        )

    def _mismatches(self, name: str, build: KmpBuild) -> tuple[tuple[Mismatch, ...], bool, bool]:
        assert self.aftermath.fit is not None
        return mismatches(build, self.aftermath.fit, self._others(name))

    def _count(self, name: str, build: KmpBuild) -> tuple[int, bool, bool]:
        """As `_mismatches`, but only how many."""
        assert self.aftermath.fit is not None
        return count_mismatches(build, self.aftermath.fit, self._others(name))

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
        assert self.aftermath.fit is not None
        found: list[tuple[str, tuple[KmpBuild, bool]]] = []
        for kmp in self.aftermath.kmps:
            use = self.aftermath.rows[0].kmps[kmp.name].build
            serving = [
                b
                for b in self.aftermath.builds[kmp.name]
                if str(b.nevra) == use and self.aftermath.fit.fits(b)
            ]
            if serving:
                found.append((kmp.name, (serving[0], True)))
            elif kmp.builds:
                found.append((kmp.name, (kmp.builds[0], False)))
        return found

    def _closest(self, subject: Subject) -> tuple[KmpBuild | None, tuple[Mismatch, ...]]:
        """The build that comes closest, of those that will be there or, if none will, that are there now."""
        if self.aftermath.fit is None:
            return None, ()
        builds = subject.after or subject.kmp.installed
        best = best_tried((b, self._count(subject.kmp.name, b)[0]) for b in builds)
        return best, self._mismatches(subject.kmp.name, best)[0] if best else ()

    def _exact_kernel(self, build: KmpBuild) -> str | None:
        assert self.aftermath.fit is not None
        return next(
            (n.value for n in self.aftermath.fit.open[build.package.handle] if n.kind == "exact-kernel"), None
        )

    def _attempts(self, subject: Subject) -> tuple[Attempt, ...]:
        if self.aftermath.fit is None:
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
        self, subject: Subject, lost: tuple[str, ...], missing: tuple[Mismatch, ...]
    ) -> tuple[Cause, ...]:
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
        if absorbs(unit, kmp):
            causes.append(
                Cause(
                    "falls-back-to-in-tree",
                    f"without {kmp.name} the kernel's own modules would load, "
                    "which it was installed to replace",
                    tuple(sorted(kmp.modules.values())),
                )
            )
        return tuple(causes) or (Cause("missing", f"{kmp.name} would not load on {unit.nevra}"),)

    def _warnings(self, subject: Subject, decision: Decision) -> tuple[Warned, ...]:
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
