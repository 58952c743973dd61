"""Why a KMP does not go with a kernel: what its symbols say, and what the rest of the system says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kmpsolve.model.package import KernelUnit, KmpBuild
from kmpsolve.model.plan import Cause, CauseKind, Warned
from kmpsolve.model.relation import covers, obsoleted_by, parse_relation
from kmpsolve.planner.choice import Choice
from kmpsolve.planner.comparison import Comparison
from kmpsolve.planner.options import Option, absorbs
from kmpsolve.planner.system import FlavorSystem, Kmp
from kmpsolve.solver.projection import GIVEN_UP
from kmpsolve.solver.reasons import Reason
from kmpsolve.solver.universe import Universe

__all__ = ["Causes", "sentence", "symbol_causes", "unverifiable", "works_nowhere"]


def symbol_causes(kmp: Kmp, best: KmpBuild, compared: Comparison) -> list[Cause]:
    """What keeps the build of a KMP that comes closest from fitting, told by symbols and modules alone."""
    unit = compared.unit
    found, by_kernel, by_kmp = compared.mismatches(kmp.name, best)
    causes = []
    if by_kernel:
        own = [m for m in found if not compared.lenders(m.symbol, best)]
        changed = sum(m.kind == "disagrees" for m in own)
        text = f"{unit.nevra} changed or dropped symbols that {best} uses: {changed} changed, {len(own) - changed} gone"
        causes.append(Cause("symbols", text, (str(unit.nevra),)))
    if by_kmp:
        names = tuple(sorted({name for m in found for name in compared.lenders(m.symbol, best)}))
        causes.append(Cause("kmp", f"{best} needs symbols of {_lenders(names, compared)}", names))
    if exact := compared.exact_kernel(best):
        causes.append(Cause("exact-kernel", f"{best} was built for kernel {exact} only", (exact,)))
    if absorbs(unit, kmp):
        text = f"without {kmp.name} the kernel's own modules would load, which it replaces"
        causes.append(Cause("falls-back-to-in-tree", text, tuple(sorted(kmp.modules.values()))))
    return causes


def _lenders(names: Iterable[str], compared: Comparison) -> str:
    """Other KMPs, by name, each with why it does not give its symbols as they are needed."""
    return ", and of ".join(
        f"{name}, of which {build} has other versions" if serves else f"{name}, which has no build that fits"
        for name, (build, serves) in ((name, compared.providers[name]) for name in names)
    )


def works_nowhere(kmp: Kmp) -> Warned:
    """The warning for a KMP that has nothing to lose."""
    return Warned(reference="already-broken", message=f"{kmp.name} works on no kernel that is installed now")


def unverifiable(kmp: Kmp, builds: Iterable[KmpBuild], unit: KernelUnit) -> list[Warned]:
    """The warnings for a KMP of which symbols tell nothing, and which of these builds may have to make anew."""
    text = f"{kmp.name} was built without symbol versions: nobody can tell whether it loads"
    warnings = [Warned(reference="no-symbol-versions", message=text)]
    if any(build.rebuilds_on_host for build in builds):
        devel = f"kernel-{unit.flavor}-devel"
        # A -base alone does not tell the release of its siblings.
        devel += f" for {unit.uname_r}" if unit.nevra.name.endswith("-base") else f"-{unit.nevra.evr}"
        text = f"{kmp.name} rebuilds itself, but {devel} is neither installed nor planned"
        warnings.insert(0, Warned(reference="headers-missing", message=text))
    return warnings


def sentence(reasons: Iterable[Reason], universe: Universe) -> str:
    """The solver's reasons in words, without what only the solver knows of."""
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
        if reason.kind == "missing" and _another_kernel(reason.capability, universe):
            parts.append(f"{who} requires {reason.capability}, which is another kernel")
        elif reason.kind == "missing":
            parts.append(f"nothing provides {reason.capability} needed by {who}")
        elif reason.kind == "requires":
            parts.append(f"{who} requires {reason.capability}")
        elif reason.kind == "conflict" and reason.other:
            parts.append(f"{who} conflicts with {universe.name_of(reason.other)}")
    return "; ".join(dict.fromkeys(parts))


def _another_kernel(capability: str, universe: Universe) -> bool:
    """Whether there is a kernel that is meant, so that "nothing provides" it would not be understood."""
    relation = parse_relation(capability)
    return relation is not None and any(covers(relation, one.package.nevra) for one in universe.kernels)


class Causes:
    """Why each KMP that is blocked is.

    Parameters
    ----------
    offered
        The options of each KMP, by its name.
    """

    def __init__(
        self,
        system: FlavorSystem,
        compared: Comparison,
        choice: Choice,
        offered: Mapping[str, tuple[Option, ...]],
    ) -> None:
        self.system = system
        self.universe = system.universe
        self.compared = compared
        self.choice = choice
        self.offered = offered

    def of(self, kmp: Kmp, best: KmpBuild) -> tuple[Cause, ...]:
        """The causes, at least one.

        Parameters
        ----------
        best
            The build that comes closest.
        """
        unit = self.compared.unit
        if not kmp.works_somewhere:
            text = f"{kmp.name} works on no installed kernel, so the update takes nothing from it"
            return (Cause("already-broken", text),)
        fitting = any(o.decision not in ("blocked", "unverified") for o in self.offered[kmp.name])
        causes = self._of_system(kmp) if fitting else []
        # What fits by itself may lack the symbols of a KMP that the kernel takes away.
        if not fitting or (not causes and self.compared.count(kmp.name, best)[0]):
            causes += symbol_causes(kmp, best, self.compared)
            if any(obsoleted_by(unit.obsoletes, b.nevra) for b in kmp.installed):
                lost = tuple(sorted(kmp.modules[m] for m in kmp.modules.keys() - unit.modules.keys()))
                text = f"{unit.nevra} obsoletes {kmp.name} but lacks {', '.join(lost)}"
                causes.append(Cause("module-dropped", text, lost))
        causes += self._refusals(kmp)
        if not causes and not fitting:
            # Where nothing is to change, a build on offer that fits explains nothing; what is installed does.
            nearest = min(kmp.installed, key=lambda build: self.compared.count(kmp.name, build)[0])
            causes += symbol_causes(kmp, nearest, self.compared)
        if not causes:  # no symbol speaks against what has no symbol versions: the system does
            causes += self._of_system(kmp)
        if not causes and (lost := self._carried_by_others(kmp)):
            text = f"{', '.join(lost)} is only in packages that cannot be used on {unit.nevra}"
            causes.append(Cause("module-dropped", text, lost))
        return tuple(causes) or (Cause("conflict", f"{kmp.name} cannot be kept on {unit.nevra}"),)

    def _refusals(self, kmp: Kmp) -> list[Cause]:
        """Builds that fit but that zypp's rules keep out."""
        words: dict[CauseKind, str] = {
            "vendor": "comes from another vendor",
            "lock": "is locked",
            "retracted": "was retracted or is a PTF",
            "architecture": "is for another architecture",
            "conflict": "cannot stand beside what stays installed",
        }
        causes = []
        for kind, text in words.items():
            names = sorted(
                {
                    str(build.nevra)
                    for build, barred in kmp.refused
                    if barred == kind
                    and build.versioned
                    and not self.compared.count(kmp.name, build)[0]
                    and self.compared.exact_kernel(build) is None
                }
            )
            if names:
                causes.append(Cause(kind, f"{', '.join(names)} would fit but {text}", tuple(names)))
        return causes

    def _of_system(self, kmp: Kmp) -> list[Cause]:
        """Why the system keeps out a build whose symbols fit."""
        causes: list[Cause] = []
        if lost := self._offered_nowhere(kmp):
            text = f"no package that fits {self.compared.unit.nevra} offers {', '.join(lost)}"
            causes.append(Cause("module-dropped", text, lost))
        reasons = self.choice.reasons.get(kmp.name, ()) or self.choice.impossible
        kinds: dict[CauseKind, set[str]] = {}
        for reason in reasons:
            if not reason.capability.startswith(GIVEN_UP) and (kind := self._kind(reason)) is not None:
                touched = filter(None, (reason.package, reason.other))
                kinds.setdefault(kind, set()).update(map(self.universe.name_of, touched))
        for kind in ("user-space", "conflict", "missing"):
            if kind in kinds:
                names = tuple(sorted(kinds[kind]))
                text = sentence(reasons, self.universe) or f"{', '.join(names)} cannot stay together"
                causes.append(Cause(kind, text, names))
        # That a KMP is served by one build or none is nothing that packages say.
        alone = [r for r in reasons if r.kind == "same-name" or r.capability.startswith(GIVEN_UP)]
        lending = {handle for reason in alone for handle in (reason.package, reason.other)}
        lending -= {b.package.handle for b in kmp.builds}
        removing = {
            build.package.handle: obsoleted
            for build in kmp.candidates
            if (obsoleted := self._obsoleted(build) & lending)
        }
        for handle, obsoleted in removing.items():
            names = tuple(sorted(map(self.universe.name_of, obsoleted)))
            text = f"{self.universe.name_of(handle)} obsoletes {', '.join(names)} and does not replace it"
            causes.append(Cause("conflict", text, names))
        lending = lending.difference(*removing.values())
        lenders = sorted(map(self.universe.name_of, lending))
        if lenders:
            text = f"{kmp.name} would need {', '.join(lenders)}, which cannot be used together"
            causes.append(Cause("kmp", text, tuple(lenders)))
        return causes

    def _obsoleted(self, build: KmpBuild) -> set[int]:
        """Installed builds of other KMPs that a build removes."""
        return {
            other.package.handle
            for kmp in self.system.kmps
            for other in kmp.installed
            if other.name != build.name and obsoleted_by(build.obsoletes, other.nevra)
        }

    def _offered_nowhere(self, kmp: Kmp) -> tuple[str, ...]:
        """Modules of a KMP that nothing which may be chosen has."""
        everywhere = set(self.compared.unit.modules)
        for options in self.offered.values():
            for option in options:
                if option.build is not None:
                    everywhere |= option.build.modules.keys()
        vendor = kmp.installed[0].package.vendor
        for build in self.system.extras:
            if self.compared.fit.fits(build) and self.universe.same_class(build.package.vendor, vendor):
                everywhere |= build.modules.keys()
        return tuple(sorted(kmp.modules[m] for m in kmp.modules.keys() - everywhere))

    def _carried_by_others(self, kmp: Kmp) -> tuple[str, ...]:
        """Modules of a KMP that no build of its own has, nor anything that is used."""
        serving = [*self.offered[kmp.name], *self.choice.options.values()]
        builds = [*self.choice.added, *(option.build for option in serving if option.build is not None)]
        there = set(self.compared.unit.modules).union(*(build.modules for build in builds))
        return tuple(sorted(kmp.modules[m] for m in kmp.modules.keys() - there))

    def _kind(self, reason: Reason) -> CauseKind | None:
        inside = self.universe.kmp_handles | {p.handle for p in self.compared.unit.packages}
        outside = [handle for handle in (reason.package, reason.other) if handle and handle not in inside]
        if reason.kind == "conflict":
            return "conflict"
        if "kmpsolve" in reason.capability:
            return None  # a symbol of another KMP, which is among the mismatches
        if reason.kind == "missing" and not any(map(self.universe.is_installed, outside)):
            return "missing"
        return "user-space" if outside else None
