"""One flavor of a system, sorted for planning: its kernels, its KMPs, and what may replace them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from kmpsolve.compat.judgement import Fit, judge
from kmpsolve.model.evr import Evr
from kmpsolve.model.nevra import Nevra, same_architecture
from kmpsolve.model.package import KernelUnit, KmpBuild, Package
from kmpsolve.model.plan import CauseKind, Waived
from kmpsolve.request import Request
from kmpsolve.solver.universe import KernelPackage, Universe

__all__ = [
    "FlavorSystem",
    "Kmp",
    "is_native",
    "obsoleted_by",
    "preference",
    "requires_base",
]

_RELATION = re.compile(r"(?P<name>\S+)(?: (?P<op>[<>=]+) (?P<evr>\S+))?")


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


def obsoleted_by(capabilities: Iterable[str], nevra: Nevra) -> bool:
    """Whether one of `capabilities` (an Obsoletes list) names the package.

    Obsoletes match package names, not provides (rpm, and libsolv for rpm).
    """
    for capability in capabilities:
        match = _RELATION.fullmatch(capability)
        if match is None or match["name"] != nevra.name:
            continue
        if match["op"] is None:
            return True
        order = nevra.evr.compare(Evr.parse(match["evr"]))
        if (
            (order < 0 and "<" in match["op"])
            or (order > 0 and ">" in match["op"])
            or (order == 0 and "=" in match["op"])
        ):
            return True
    return False


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
        kernels = [kernel for kernel in universe.kernels if kernel.flavor == flavor]
        self.units = join_units(self.universe, [k for k in kernels if k.package.installed])
        self.newest = self.units[-1]
        self.arch = self.newest.main.nevra.arch
        self._parts = {
            kernel.part
            for kernel in kernels
            if kernel.package.installed
            and (kernel.part in ("extra", "optional") or kernel.uname_r == self.newest.uname_r)
        }
        self._candidates: dict[tuple[bool, bool], list[KernelUnit]] = {}
        self._fits: dict[tuple[int, bool], Fit] = {}
        self._available = [k for k in kernels if not k.package.installed]
        self._parts_on_offer: dict[str, list[KernelPackage]] = {}
        for kernel in self._available:
            if kernel.part:
                self._parts_on_offer.setdefault(kernel.package.nevra.arch, []).append(kernel)
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
                    and build.flavor == self.flavor
                    and same_architecture(build.nevra.arch, self.arch)
                    and universe.policy.vendor_class(build.package.vendor) in classes
                ),
                key=lambda build: preference(build, ""),
            )
        )

    # kernels

    def _unit_of_candidate(self, main: KernelPackage) -> KernelUnit:
        # What a lock holds goes along only where the lock holds the whole unit.
        barred = (None, "lock") if self.universe.locked(main.package) else (None,)
        chosen: dict[str, KernelPackage] = {}
        for kernel in sorted(
            self._parts_on_offer.get(main.package.nevra.arch, ()),
            key=lambda k: (
                k.package.priority,  # zypper takes it from there, whatever repository the kernel is from
                k.package.repository != main.package.repository,
                k.package.repository or "",
            ),
        ):
            if kernel.part in chosen or kernel.part == main.part or kernel.package.barred not in barred:
                continue
            if kernel.part == "base":
                wanted = requires_base(main, kernel)
            else:
                wanted = kernel.part in self._parts and _serves(kernel, main)
            if wanted and self.universe.same_class(kernel.package.vendor, main.package.vendor):
                chosen[kernel.part] = kernel
        return self.universe.unit(main, chosen.values())

    def _vendor_allowed(self, vendor: str, instead_of: str) -> bool:
        return self.request.policy.allow_vendor_change or self.universe.same_class(vendor, instead_of)

    def candidate_kernels(self, *, locked: bool = False, named: bool = False) -> list[KernelUnit]:
        """Available kernels by the name of the newest installed one, oldest first, best repository last.

        Parameters
        ----------
        locked
            Also those that a lock holds.
        named
            Also those that only count when named: locked, retracted, PTFs.
        """
        asked = (locked, named)
        if asked in self._candidates:
            return self._candidates[asked]
        installed = {str(unit.nevra) for unit in self.units}
        found: dict[str, KernelPackage] = {}
        for kernel in sorted(self._available, key=lambda k: (k.package.priority, k.package.repository or "")):
            package = kernel.package
            if (
                package.name != self.newest.main.name
                or package.nevra.arch != self.arch
                or str(package.nevra) in installed
                or not self._vendor_allowed(package.vendor, self.newest.main.vendor)
                or (package.barred == "lock" and not (locked or named))
                or (package.barred in ("retracted", "ptf") and not named)
            ):
                continue
            found.setdefault(str(package.nevra), kernel)
        units = [self._unit_of_candidate(kernel) for kernel in found.values()]
        self._candidates[asked] = sorted(units, key=lambda unit: (unit.nevra.evr, str(unit.nevra)))
        return self._candidates[asked]

    def every_kernel(self) -> list[KernelUnit]:
        """Kernels of this name, installed or available, oldest first, also what zypp would not choose."""
        units = {str(unit.nevra): unit for unit in [*self.candidate_kernels(), *self.units]}
        for kernel in sorted(self._available, key=lambda k: (k.package.priority, k.package.repository or "")):
            nevra = kernel.package.nevra
            if nevra.name == self.newest.main.name and nevra.arch == self.arch and str(nevra) not in units:
                units[str(nevra)] = self._unit_of_candidate(kernel)
        return sorted(units.values(), key=lambda unit: (unit.nevra.evr, str(unit.nevra)))

    def other_vendor_kernels(self) -> list[Package]:
        """Available kernels of the same name that only a change of vendor would bring."""
        return [
            kernel.package
            for kernel in self._available
            if kernel.package.name == self.newest.main.name
            and not self._vendor_allowed(kernel.package.vendor, self.newest.main.vendor)
        ]

    def zypper_up_pick(self) -> KernelUnit | None:
        """The newest kernel that ``zypper up`` would bring, if it is newer than every installed one.

        For each installed kernel by itself libsolv keeps, of the candidates that are not older, those of
        the repositories with the best priority, the installed version included; the newest of these wins.
        (Measured on zypper 1.14.42.)
        """
        everything = [
            kernel.package
            for kernel in self._available
            if kernel.package.name == self.newest.main.name
            and kernel.package.nevra.arch == self.arch
            and kernel.package.barred is None
        ]
        picks: list[Package] = []
        for unit in self.units:
            if unit.main.name != self.newest.main.name:
                continue
            offers = [
                package
                for package in everything
                if package.nevra.evr >= unit.nevra.evr
                and self._vendor_allowed(package.vendor, unit.main.vendor)
            ]
            if offers:
                best = min(package.priority for package in offers)
                picks.append(max((p for p in offers if p.priority == best), key=lambda p: p.nevra.evr))
        newer = [p for p in picks if p.nevra.evr > self.newest.nevra.evr]
        if not newer:
            return None
        nevra = str(max(newer, key=lambda p: p.nevra.evr).nevra)
        return next((u for u in self.candidate_kernels() if str(u.nevra) == nevra), None)

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
        vendor = installed[0].package.vendor
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
            elif not self._vendor_allowed(build.package.vendor, vendor):
                barred = "vendor"
            if barred is None:
                candidates.append(build)
            else:
                refused.append((build, barred))
        klass = self.request.policy.vendor_class(vendor)
        candidates.sort(
            key=lambda b: preference(
                b, "" if self.request.policy.vendor_class(b.package.vendor) == klass else "other"
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


def join_units(universe: Universe, kernels: Sequence[KernelPackage]) -> tuple[KernelUnit, ...]:
    """The units that packages of one flavor make up when they stand together, oldest first."""
    by_uname: dict[str, list[KernelPackage]] = {}
    parts = [k for k in kernels if k.part in ("extra", "optional")]
    for kernel in kernels:
        if kernel.part in ("", "base"):
            by_uname.setdefault(kernel.uname_r, []).append(kernel)
    units = []
    for members in by_uname.values():
        members.sort(key=lambda k: (k.part == "", k.package.nevra.evr), reverse=True)
        main = members[0]
        rest = [k for k in members[1:] if k.package.name != main.package.name]
        rest += [k for k in parts if _serves(k, main)]
        units.append(universe.unit(main, rest))
    return tuple(sorted(units, key=lambda unit: (unit.nevra.evr, str(unit.nevra))))


def _serves(part: KernelPackage, main: KernelPackage) -> bool:
    """Whether an -extra or -optional belongs to exactly this kernel, by what it requires of it."""
    exact = [text.partition(" = ") for text in part.requires if " = " in text]
    if not exact:
        return part.package.nevra.evr == main.package.nevra.evr
    own = any(
        name == main.package.name and Evr.parse(evr) == main.package.nevra.evr for name, _, evr in exact
    )
    return own or bool(part.wanted & main.capabilities)


def requires_base(main: KernelPackage, base: KernelPackage) -> bool:
    """Whether a kernel requires this -base, as on Code 11, where both make up the unit."""
    if main.wanted & base.capabilities:
        return True
    for text in main.requires:
        match = _RELATION.fullmatch(text)
        if match and match["name"] == base.package.name:
            return match["op"] is None or Evr.parse(match["evr"]) == base.package.nevra.evr
    return False
