"""One flavor of a system, sorted for planning: its kernels, its KMPs, and what may replace them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from kmpsolve.compat.judgement import Fit, judge
from kmpsolve.model.evr import Evr
from kmpsolve.model.nevra import same_architecture
from kmpsolve.model.package import KernelUnit, KmpBuild
from kmpsolve.model.plan import CauseKind, Waived
from kmpsolve.model.relation import Relation, covers, obsoleted_by, parse_relation
from kmpsolve.planner.kernels import Kernels
from kmpsolve.planner.signing import Signatures
from kmpsolve.request import Request
from kmpsolve.solver.universe import Universe

__all__ = [
    "FlavorSystem",
    "Kmp",
    "is_native",
    "preference",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kmp:
    """One installed KMP, by package name.

    Parameters
    ----------
    installed
        Its builds on the system, newest first.
    candidates
        Builds that may replace it, best first (contract: priority, vendor, EVR).
    refused
        Builds that zypp would not choose, and why.
    twins
        Packages in repositories with the NEVRA of an installed build; their content may differ, but zypper
        takes them for installed (bsc#1219345).
    used_on
        The newest installed kernel on which it works, else the newest installed one.
    works_somewhere
        Whether any installed build is compatible with any installed kernel. A KMP without symbol
        versions counts as working: nobody can tell.
    counts
        Whether the verdict depends on it.
    """

    name: str
    installed: tuple[KmpBuild, ...]
    candidates: tuple[KmpBuild, ...]
    refused: tuple[tuple[KmpBuild, CauseKind], ...]
    twins: tuple[KmpBuild, ...]
    modules: dict[str, str]
    used_on: KernelUnit
    works_somewhere: bool
    counts: bool
    waived: Waived | None

    @property
    def builds(self) -> tuple[KmpBuild, ...]:
        """Installed builds and candidates."""
        return self.installed + self.candidates


def is_native(build: KmpBuild, unit: KernelUnit) -> bool:
    """Whether `build` was made for `unit`: its files stand below that kernel's folder.

    Where files are unknown, the kernel release in its capabilities or version tells.
    """
    if build.module_folders:
        return unit.uname_r in build.module_folders
    krel = unit.uname_r.removesuffix(f"-{unit.flavor}").replace("-", "_")
    return build.built_for in (krel, unit.uname_r.replace("-", "_"))


class FlavorSystem:
    """What stands and what is on offer for one flavor.

    Parameters
    ----------
    flavor
        A flavor with at least one installed kernel.
    """

    def __init__(self, universe: Universe, request: Request, flavor: str) -> None:
        self.universe = universe
        self.request = request
        self.flavor = flavor
        self.kernels = Kernels(universe, flavor)
        self.units = self.kernels.units
        self.newest = self.kernels.newest
        self.arch = self.kernels.arch
        self.signatures = Signatures(universe, request)
        self._fits: dict[tuple[int, bool], Fit] = {}
        self._take(universe.near_kmps())
        self.kmps = self._read_kmps()
        self.extras = self._find_extras()
        """KMPs that are not installed and may be added for a module or a symbol."""

    def _take(self, builds: Sequence[KmpBuild]) -> None:
        self.dedicated = [b for b in builds if b.flavor in (self.flavor, "")]
        """The builds that count here."""
        self.elsewhere = self.universe.kmp_handles - {b.package.handle for b in builds}
        """Builds on offer that are of no use as far as kernels and KMPs go."""

    def widen(self) -> bool:
        """Let every build on offer count from now on; False if that changes nothing."""
        if not self.elsewhere:
            return False
        self._take(self.universe.widened())
        self.extras = self._find_extras()
        self._fits.clear()
        return True

    def _find_extras(self) -> tuple[KmpBuild, ...]:
        universe = self.universe
        names = {kmp.name for kmp in self.kmps}
        # What replaces a KMP may stand beside another package that does, where the KMP was split in two.
        known = {build.package.handle for kmp in self.kmps for build in kmp.candidates}
        beside = {
            build.package.handle
            for kmp in self.kmps
            for build in kmp.candidates
            if not all(obsoleted_by(build.obsoletes, b.nevra) for b in kmp.builds if b.name != build.name)
        }
        classes = {universe.policy.vendor_class(kmp.installed[0].package.vendor) for kmp in self.kmps}
        return tuple(
            sorted(
                (
                    build
                    for build in self.dedicated
                    if build.name not in names
                    and build.package.handle not in known - beside
                    and build.package.barred is None
                    and not self._excluded(build)
                    and build.flavor == self.flavor
                    and same_architecture(build.nevra.arch, self.arch)
                    and universe.policy.vendor_class(build.package.vendor) in classes
                ),
                key=lambda build: preference(build, ""),
            )
        )

    # KMPs

    def _read_kmps(self) -> tuple[Kmp, ...]:
        by_name: dict[str, list[KmpBuild]] = {}
        for build in self.dedicated:
            if build.package.installed:
                by_name.setdefault(build.name, []).append(build)
        everything = [build for builds in by_name.values() for build in builds]
        self.standing = {unit.uname_r: judge(everything, unit, self.universe.table) for unit in self.units}
        """How the installed builds fit the installed kernels, by uname -r."""
        return tuple(self._read_kmp(name, by_name[name]) for name in sorted(by_name))

    @cached_property
    def _offered(self) -> dict[str, list[KmpBuild]]:
        """Builds from repositories by name; by the empty one, those that obsolete something."""
        found: dict[str, list[KmpBuild]] = {"": []}
        for build in self.dedicated:
            if not build.package.installed:
                found.setdefault(build.name, []).append(build)
                if build.obsoletes:
                    found[""].append(build)
        return found

    def _may_replace(self, name: str) -> list[KmpBuild]:
        renaming = [build for build in self._offered[""] if build.name != name]
        return self._offered.get(name, []) + renaming

    def _read_kmp(self, name: str, installed: list[KmpBuild]) -> Kmp:
        installed.sort(key=lambda build: (build.nevra.evr, str(build.nevra)), reverse=True)
        present = {str(build.nevra) for build in installed}
        locked = [build for build in installed if self.universe.locked(build.package)]
        policy = self.universe.policy
        # Whose builds stand side by side, of theirs zypper takes newer ones.
        vendors = {build.package.vendor for build in installed}
        candidates: list[KmpBuild] = []
        refused: list[tuple[KmpBuild, CauseKind]] = []
        twins: list[KmpBuild] = []
        for build in self._may_replace(name):
            if build.name != name and not any(obsoleted_by(build.obsoletes, old.nevra) for old in installed):
                continue
            if str(build.nevra) in present:
                twins.append(build)
                continue
            barred: CauseKind | None = None
            if not same_architecture(build.nevra.arch, self.arch) or build.package.barred == "architecture":
                barred = "architecture"
            elif build.package.barred in ("retracted", "ptf"):
                barred = "retracted"
            elif build.package.barred == "lock" or any(
                obsoleted_by(build.obsoletes, old.nevra) or self.universe.replaces(build.package, old.package)
                for old in locked
            ):
                barred = "lock"
            elif not any(policy.allows(build.package.vendor, instead_of=vendor) for vendor in vendors):
                barred = "vendor"
            elif self._excluded(build):
                barred = "conflict"
            if barred is None:
                candidates.append(build)
            else:
                refused.append((build, barred))
        candidates.sort(
            key=lambda b: preference(
                b, "" if any(self.universe.same_class(b.package.vendor, v) for v in vendors) else "other"
            )
        )
        modules: dict[str, str] = {}
        for build in installed:
            modules.update(build.modules)
        works_on = [
            unit for unit in self.units if any(self.standing[unit.uname_r].fits(b) for b in installed)
        ]
        versionless = any(not build.versioned for build in installed)
        works = bool(works_on) or versionless
        rule, waiver = self.request.rule(name), self.request.waiver(name)
        ignored = rule is not None and rule.on_blocked == "ignore"
        unused = rule is not None and rule.scope == "in-use" and not self._in_use(modules)
        broken_counts = self.request.already_broken == "block"
        return Kmp(
            name=name,
            installed=tuple(installed),
            candidates=tuple(candidates),
            refused=tuple(sorted(refused, key=lambda r: (str(r[0].nevra), r[0].package.repository or ""))),
            twins=tuple(sorted(twins, key=lambda b: preference(b, ""))),
            modules=modules,
            used_on=works_on[-1] if works_on else self.newest,
            works_somewhere=works,
            counts=waiver is None and not (ignored or unused) and (works or broken_counts),
            waived=Waived(reason=waiver.reason, expires=waiver.expires) if waiver else None,
        )

    @cached_property
    def _held(self) -> tuple[KmpBuild, ...]:
        """Installed builds of any flavor that a lock keeps as they are."""
        return tuple(b for b in self.universe.installed_kmps if self.universe.locked(b.package))

    @cached_property
    def _obsoleted(self) -> dict[str, list[tuple[Relation, KernelUnit]]]:
        """What installed kernels obsolete, by name."""
        found: dict[str, list[tuple[Relation, KernelUnit]]] = {}
        for unit in self.units:
            for relation in filter(None, map(parse_relation, unit.obsoletes)):
                found.setdefault(relation[0], []).append((relation, unit))
        return found

    def _stays(self, unit: KernelUnit) -> bool:
        """Whether an installed kernel stays whichever other one comes."""
        return not any(
            obsoleted_by(new.obsoletes, unit.nevra) or self.universe.replaces(new.main, unit.main)
            for new in self.kernels.candidates(named=True)
        )

    def _excluded(self, build: KmpBuild) -> bool:
        """Whether zypper could not install a build beside what stays on the system whatever is planned."""
        universe = self.universe
        obsoleting = self._obsoleted.get(build.name, ())
        if any(covers(relation, build.nevra) and self._stays(unit) for relation, unit in obsoleting):
            return True
        return any(
            obsoleted_by(build.obsoletes, held.nevra)
            or universe.replaces(build.package, held.package)
            or universe.replaces(held.package, build.package)
            for held in self._held
        )

    def _in_use(self, modules: dict[str, str]) -> bool:
        """Whether this machine uses one of these modules; offline, or if none is known, it counts as such."""
        machine = self.request.machine
        return machine is None or not modules or any(machine.uses(name) for name in modules)

    def judge(self, unit: KernelUnit, *, installed_only: bool = False) -> Fit:
        """How every build that may be chosen fits `unit`."""
        asked = (unit.main.handle, installed_only)
        if asked not in self._fits:
            builds = [b for kmp in self.kmps for b in (kmp.installed if installed_only else kmp.builds)]
            if not installed_only:
                builds += self.extras
            distinct = {b.package.handle: b for b in builds}
            self._fits[asked] = judge(distinct.values(), unit, self.universe.table)
        return self._fits[asked]


def preference(build: KmpBuild, vendor: str) -> tuple[int, str, _Descending, str, str]:
    """Sort key: repository priority, then the vendor of the installed build, then the higher EVR."""
    return (
        build.package.priority,
        vendor,
        _Descending(build.nevra.evr),
        build.package.repository or "",
        str(build.nevra),
    )


@dataclass(frozen=True, slots=True)
class _Descending:
    evr: Evr

    def __lt__(self, other: _Descending) -> bool:
        return other.evr < self.evr
