"""What a plan says of each KMP beside the decision: mismatches, builds tried, causes, warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kmpsolve.compat.judgement import Fit, best_tried
from kmpsolve.model.package import KmpBuild
from kmpsolve.model.plan import Attempt, Cause, KmpPlan, Mismatch, Warned
from kmpsolve.planner.causes import Causes, unverifiable, works_nowhere
from kmpsolve.planner.choice import Choice
from kmpsolve.planner.comparison import Comparison
from kmpsolve.planner.options import Option
from kmpsolve.planner.system import FlavorSystem, Kmp

__all__ = ["Details"]


class Details:
    """Mismatches, builds tried and causes, given the choice.

    Parameters
    ----------
    fit
        How the builds that may be chosen fit the kernel.
    offered
        The options of each KMP, by its name.
    """

    def __init__(
        self, system: FlavorSystem, fit: Fit, choice: Choice, offered: Mapping[str, tuple[Option, ...]]
    ) -> None:
        self.system = system
        self.choice = choice
        self.fit = fit
        self.compared = self._compared()
        self.causes = Causes(system, self.compared, choice, offered)

    def _compared(self) -> Comparison:
        """Every build beside the chosen ones, and beside the best tried of a KMP that has none."""
        system, fit = self.system, self.fit
        everything = [b for kmp in system.kmps for b in (*kmp.builds, *(b for b, _ in kmp.refused))]
        full = Fit(fit.unit, fit.open.beside(everything), fit.viable)
        providers: dict[str, tuple[KmpBuild, bool]] = {
            name: (option.build, True)
            for name, option in self.choice.options.items()
            if option.decision in ("reuse", "fetch") and option.build
        }
        left = [kmp for kmp in system.kmps if kmp.name not in providers]
        providers |= {build.name: (build, True) for build in self.choice.added}
        extras: dict[str, list[KmpBuild]] = {}
        for build in system.extras:
            extras.setdefault(build.name, []).append(build)
        for name, builds in extras.items():
            fitting = [build for build in builds if fit.fits(build)]
            providers.setdefault(name, ((fitting or builds)[0], bool(fitting)))
        serving = Comparison(full, providers)
        for kmp in left:  # what lends no symbol changes no number of mismatches
            best = best_tried((build, serving.count(kmp.name, build)[0]) for build in kmp.builds)
            assert best is not None
            providers[kmp.name] = (best, False)
        return Comparison(full, providers)

    def kmp(self, kmp: Kmp) -> KmpPlan:
        """The plan for one KMP."""
        option = self.choice.options[kmp.name]
        build = best = option.build
        missing: tuple[Mismatch, ...] = ()
        if best is None:
            best = best_tried((b, self.compared.count(kmp.name, b)[0]) for b in kmp.builds)
            assert best is not None
            missing = self.compared.mismatches(kmp.name, best)[0]
        causes = self.causes.of(kmp, best) if option.decision == "blocked" else ()
        return KmpPlan(
            name=kmp.name,
            decision=option.decision,
            installed=tuple(sorted(str(b.nevra) for b in kmp.installed)),
            chosen=str(build.nevra) if build else None,
            repository=build.package.repository if build else None,
            symbols_required=self.system.universe.table.count(best.package.handle, best.needs),
            mismatches=missing,
            tried=self._attempts(kmp, causes),
            causes=causes,
            waived=kmp.waived,
            warnings=self._warnings(kmp, option),
        )

    def _attempts(self, kmp: Kmp, causes: Sequence[Cause]) -> tuple[Attempt, ...]:
        around = ("missing", "conflict", "user-space", "module-dropped")
        system = next((cause.kind for cause in causes if cause.kind in around), None)
        attempts = [
            self.compared.attempt(kmp.name, build, otherwise=system if self.fit.fits(build) else None)
            for build in kmp.builds
        ]
        attempts += [self.compared.attempt(kmp.name, build, barred) for build, barred in kmp.refused]
        return tuple(sorted(attempts, key=lambda a: (a.nevra, a.repository or "")))

    def _warnings(self, kmp: Kmp, option: Option) -> tuple[Warned, ...]:
        warnings = set()
        damaged = sorted({d for b in kmp.installed for d in b.damaged})
        if damaged:
            shown = ", ".join(repr(d) for d in damaged)
            warnings.add(
                Warned(
                    reference="damaged-requires", message=f"{kmp.name} carries damaged requirements: {shown}"
                )
            )
        if not kmp.works_somewhere:
            warnings.add(works_nowhere(kmp))
        if option.build is not None:
            chosen = {m for o in self.choice.options.values() if o.build for m in o.build.modules}
            chosen |= {m for b in self.choice.added for m in b.modules}
            fallen = sorted(kmp.modules[m] for m in kmp.modules.keys() - chosen if m in kmp.used_on.modules)
            if fallen:
                warnings.add(
                    Warned(
                        reference="falls-back-to-in-tree",
                        message=f"{', '.join(fallen)} would come from the kernel itself, not from {kmp.name}",
                    )
                )
        if option.decision == "unverified":
            warnings.update(unverifiable(kmp, kmp.installed, self.fit.unit))
        return tuple(sorted(warnings))
