"""What a plan says of each KMP beside the decision: mismatches, builds tried, causes, warnings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from kmpsolve.compat.judgement import Fit, best_tried, count_mismatches, mismatches
from kmpsolve.model.package import KmpBuild
from kmpsolve.model.plan import Attempt, Cause, CauseKind, KmpPlan, Mismatch, Warned
from kmpsolve.model.relation import obsoleted_by
from kmpsolve.planner.choice import Choice
from kmpsolve.planner.options import Option, absorbs
from kmpsolve.planner.system import FlavorSystem, Kmp
from kmpsolve.solver.projection import GIVEN_UP
from kmpsolve.solver.reasons import Reason

__all__ = ["Details"]


class Details:
    """Mismatches, builds tried and causes, given the choice.

    Parameters
    ----------
    fit
        How the builds that may be chosen fit the kernel.
    offered
        The options of each KMP, by its name.
    installed_only
        Whether nothing is fetched, since nothing new is asked for.
    """

    def __init__(
        self,
        system: FlavorSystem,
        fit: Fit,
        choice: Choice,
        offered: Mapping[str, tuple[Option, ...]],
        installed_only: bool,
    ) -> None:
        self.system = system
        self.fit = fit
        self.choice = choice
        self.offered = offered
        self.installed_only = installed_only
        tried = [build for kmp in system.kmps for build in (*kmp.builds, *(b for b, _ in kmp.refused))]
        self.full = Fit(fit.unit, fit.open.beside(tried), fit.viable)
        self._settle_providers()

    def _settle_providers(self) -> None:
        """For each KMP the build that its symbols are looked up in: the chosen one, else the best tried.

        Which build is best depends on mismatches, and these on which builds are best; a few rounds settle it.
        """
        self._by_key: dict[str, list[tuple[str, tuple[KmpBuild, bool]]]] | None = None
        chosen = {
            name: o.build
            for name, o in self.choice.options.items()
            if o.decision in ("reuse", "fetch") and o.build
        }
        self.providers: dict[str, tuple[KmpBuild, bool]] = {name: (b, True) for name, b in chosen.items()}
        for build in self.choice.added:
            self.providers[build.name] = (build, True)
        extras: dict[str, list[KmpBuild]] = {}
        for build in self.system.extras:
            extras.setdefault(build.name, []).append(build)
        for name, builds in extras.items():
            if name not in self.providers:
                fitting = [b for b in builds if self.fit.fits(b)]
                self.providers[name] = ((fitting or builds)[0], bool(fitting))
        left = [kmp for kmp in self.system.kmps if kmp.name not in chosen]
        for kmp in left:
            self.providers[kmp.name] = (kmp.installed[0], False)
        for _ in range(len(left) + 1):
            settled = {
                kmp.name: (best, False)
                for kmp in left
                if (best := best_tried((b, self.count(kmp.name, b)[0]) for b in self._tried(kmp)))
            }
            if all(self.providers[name] == settled[name] for name in settled):
                break
            self.providers.update(settled)
            self._by_key = None

    def _tried(self, kmp: Kmp) -> tuple[KmpBuild, ...]:
        return kmp.builds

    def mismatches(self, name: str, build: KmpBuild) -> tuple[tuple[Mismatch, ...], bool, bool]:
        """What `build`, tried for KMP `name`, misses on the unit."""
        return mismatches(build, self.full, self._others(name, build))

    def count(self, name: str, build: KmpBuild) -> tuple[int, bool, bool]:
        """As `mismatches`, but only how many."""
        return count_mismatches(build, self.full, self._others(name, build))

    def _others(self, name: str, build: KmpBuild) -> Callable[[str], Sequence[tuple[KmpBuild, bool]]]:
        def providers(key: str) -> list[tuple[KmpBuild, bool]]:
            return [
                entry
                for other, entry in self._providers_of(key)
                if other != name and entry[0].name != build.name
            ]

        return providers

    def _providers_of(self, key: str) -> list[tuple[str, tuple[KmpBuild, bool]]]:
        if self._by_key is None:
            self._by_key = {}
            for name, entry in self.providers.items():
                for provided in entry[0].exports:
                    self._by_key.setdefault(provided, []).append((name, entry))
        return self._by_key.get(key, [])

    def _exact_kernel(self, build: KmpBuild) -> str | None:
        return next((n.value for n in self.full.open[build.package.handle] if n.kind == "exact-kernel"), None)

    def kmp(self, kmp: Kmp) -> KmpPlan:
        """The plan for one KMP."""
        option = self.choice.options[kmp.name]
        missing: tuple[Mismatch, ...] = ()
        if option.build is not None:
            best = option.build
        else:
            counted = [(b, self.count(kmp.name, b)[0]) for b in self._tried(kmp)]
            chosen = best_tried(counted)
            assert chosen is not None
            best = chosen
            missing = self.mismatches(kmp.name, best)[0]
        causes = self._causes(kmp, option, best) if option.decision == "blocked" else ()
        build = option.build
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
        attempts = []
        system_causes: list[CauseKind] = [
            c.kind for c in causes if c.kind in ("missing", "conflict", "user-space", "module-dropped")
        ]
        for build in self._tried(kmp):
            found, by_kernel, by_kmp = self.count(kmp.name, build)
            cause: CauseKind | None = None
            if by_kernel:
                cause = "symbols"
            elif by_kmp:
                cause = "kmp"
            elif self._exact_kernel(build) is not None:
                cause = "exact-kernel"
            elif system_causes and self.fit.fits(build):
                cause = system_causes[0]
            attempts.append(Attempt(str(build.nevra), build.package.repository, found, cause))
        for build, barred in kmp.refused:
            found, *_ = self.count(kmp.name, build)
            attempts.append(Attempt(str(build.nevra), build.package.repository, found, barred))
        return tuple(sorted(attempts, key=lambda a: (a.nevra, a.repository or "")))

    def _causes(self, kmp: Kmp, option: Option, best: KmpBuild) -> tuple[Cause, ...]:
        unit = self.fit.unit
        if not kmp.works_somewhere:
            text = f"{kmp.name} works on no installed kernel, so the update takes nothing from it"
            return (Cause("already-broken", text),)
        causes: list[Cause] = []
        better = [o for o in self.offered[kmp.name] if o.decision not in ("blocked", "unverified")]
        if better:
            causes += self._system_causes(kmp)
        else:
            found, by_kernel, by_kmp = self.mismatches(kmp.name, best)
            if by_kernel:
                own = [m for m in found if not self._provided_by_kmp(m.symbol, best)]
                changed = sum(m.kind == "disagrees" for m in own)
                causes.append(
                    Cause(
                        "symbols",
                        f"{unit.nevra} changed or dropped symbols that {best} uses: "
                        f"{changed} changed, {len(own) - changed} gone",
                        (str(unit.nevra),),
                    )
                )
            if by_kmp:
                names = sorted({name for m in found for name in self._provided_by_kmp(m.symbol, best)})
                causes.append(
                    Cause(
                        "kmp",
                        f"{best} needs symbols of {', '.join(names)}, which has no build that fits",
                        tuple(names),
                    )
                )
            if exact := self._exact_kernel(best):
                causes.append(Cause("exact-kernel", f"{best} was built for kernel {exact} only", (exact,)))
            if absorbs(unit, kmp):
                causes.append(
                    Cause(
                        "falls-back-to-in-tree",
                        f"without {kmp.name} the kernel's own modules would load, which it replaces",
                        tuple(sorted(kmp.modules.values())),
                    )
                )
            if any(obsoleted_by(unit.obsoletes, b.nevra) for b in kmp.installed):
                lost = tuple(sorted(kmp.modules[m] for m in kmp.modules.keys() - unit.modules.keys()))
                causes.append(
                    Cause(
                        "module-dropped",
                        f"{unit.nevra} obsoletes {kmp.name} but lacks {', '.join(lost)}",
                        lost,
                    )
                )
        causes += self._refusals(kmp)
        if not causes:  # no symbol speaks against what has no symbol versions: the system does
            causes += self._system_causes(kmp)
        if not causes:
            causes.append(Cause("conflict", f"{kmp.name} cannot be kept on {unit.nevra}"))
        return tuple(causes)

    def _refusals(self, kmp: Kmp) -> list[Cause]:
        """Builds that fit but that zypp's rules keep out."""
        words: dict[CauseKind, str] = {
            "vendor": "comes from another vendor",
            "lock": "is locked",
            "retracted": "was retracted",
            "architecture": "is for another architecture",
        }
        causes = []
        for kind, text in words.items():
            names = sorted(
                {
                    str(build.nevra)
                    for build, barred in kmp.refused
                    if barred == kind
                    and build.versioned
                    and not self.count(kmp.name, build)[0]
                    and self._exact_kernel(build) is None
                }
            )
            if names:
                causes.append(Cause(kind, f"{', '.join(names)} would fit but {text}", tuple(names)))
        return causes

    def _provided_by_kmp(self, symbol: str, build: KmpBuild) -> list[str]:
        """Names of KMPs, other than the one of `build`, that provide the symbol when the unit does not."""
        keys = {n.key for n in self.full.open[build.package.handle] if n.name == symbol}
        if any(key in self.fit.unit.exports for key in keys):
            return []
        return [
            name
            for key in sorted(keys)
            for name, (other, _) in self._providers_of(key)
            if other.name != build.name
        ]

    def _system_causes(self, kmp: Kmp) -> list[Cause]:
        """Why the system keeps out a build whose symbols fit."""
        universe = self.system.universe
        causes: list[Cause] = []
        everywhere = set(self.fit.unit.modules)
        for other in self.system.kmps:
            for o in self.offered[other.name]:
                if o.build is not None:
                    everywhere |= o.build.modules.keys()
        for build in self.system.extras:
            if self.fit.fits(build) and universe.same_class(
                build.package.vendor, kmp.installed[0].package.vendor
            ):
                everywhere |= build.modules.keys()
        lost = tuple(sorted(kmp.modules[m] for m in kmp.modules.keys() - everywhere))
        reasons = self.choice.reasons.get(kmp.name, ()) or self.choice.impossible
        if lost:
            causes.append(
                Cause(
                    "module-dropped",
                    f"no package that fits {self.fit.unit.nevra} offers {', '.join(lost)}",
                    lost,
                )
            )
        kinds: dict[CauseKind, set[str]] = {}
        kmps = universe.kmp_handles | {p.handle for p in self.fit.unit.packages}
        # That a KMP is served by one build or none is nothing that packages say.
        alone = [r for r in reasons if r.kind == "same-name" or r.capability.startswith(GIVEN_UP)]
        lending = {handle for r in alone for handle in (r.package, r.other)}
        for reason in reasons:
            if reason.capability.startswith(GIVEN_UP):
                continue
            touched = [h for h in (reason.package, reason.other) if h]
            outside = [h for h in touched if h not in kmps]
            kind: CauseKind | None = None
            if reason.kind == "conflict":
                kind = "conflict"
            elif reason.kind == "missing" and not any(map(universe.is_installed, outside)):
                kind = "missing"
            elif outside:
                kind = "user-space"
            if kind is not None:
                kinds.setdefault(kind, set()).update(universe.name_of(h) for h in touched)
        for kind in ("user-space", "conflict", "missing"):
            if kind in kinds:
                text = self.sentence(reasons) or f"{', '.join(sorted(kinds[kind]))} cannot stay together"
                causes.append(Cause(kind, text, tuple(sorted(kinds[kind]))))
        lenders = sorted({universe.name_of(h) for h in lending - {b.package.handle for b in kmp.builds}})
        if lenders:
            text = f"{kmp.name} would need {', '.join(lenders)}, which cannot be used together"
            causes.append(Cause("kmp", text, tuple(lenders)))
        return causes

    def sentence(self, reasons: Iterable[Reason]) -> str:
        """The reasons in words, without what only the solver knows of."""
        universe = self.system.universe
        # By name: in which order packages were read means nothing.
        told = sorted(
            (r for r in reasons if r.package and "kmpsolve" not in r.capability),
            key=lambda r: (
                r.kind,
                universe.name_of(r.package),
                universe.name_of(r.other) if r.other else "",
                r.capability,
            ),
        )
        parts = []
        for reason in told:
            who = universe.name_of(reason.package)
            if reason.kind == "missing":
                parts.append(f"nothing provides {reason.capability} needed by {who}")
            elif reason.kind == "requires":
                parts.append(f"{who} requires {reason.capability}")
            elif reason.kind == "conflict" and reason.other:
                parts.append(f"{who} conflicts with {universe.name_of(reason.other)}")
        return "; ".join(dict.fromkeys(parts))

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
            warnings.add(
                Warned(
                    reference="already-broken", message=f"{kmp.name} works on no kernel that is installed now"
                )
            )
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
            warnings.add(
                Warned(
                    reference="no-symbol-versions",
                    message=f"{kmp.name} was built without symbol versions: nobody can tell whether it loads",
                )
            )
            if any(b.rebuilds_on_host for b in kmp.installed):
                devel = f"kernel-{self.fit.unit.flavor}-devel-{self.fit.unit.nevra.evr}"
                warnings.add(
                    Warned(
                        reference="headers-missing",
                        message=f"{kmp.name} rebuilds itself, but {devel} is neither installed nor planned",
                    )
                )
        return tuple(sorted(warnings))
