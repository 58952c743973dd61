"""The brute-force oracle: what `plan` may answer for a world, found by trying everything.

Written from the contract alone and for obviousness: every joint choice (for each KMP one of its builds, a
rename, the kernel's own modules, or blocked; KMPs added; packages of user space) is tried against the rules,
and the best ones by the contract's order are kept. There is no solver in it and no code of kmpsolve.

Where the contract leaves several answers, all of them are accepted. Where its words can be read in two ways,
:class:`Reading` names both; the first is what the oracle takes the words to mean.

``python -m tests.property.acceptance FILE`` shows the answer for a world beside kmpsolve's plan.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, cmp_to_key
from typing import TypeAlias

from tests.support.worlds import Kernel, KernelExtra, Kmp, Noun, Tool, World, pairs

# ---------------------------------------------------------------------------------------------------------
# EVRs and capabilities, as rpm defines them


def compare_versions(left: str, right: str) -> int:
    """Compare as rpm does: -1, 0 or 1."""
    while left or right:
        left, right = (re.sub(r"^[^A-Za-z0-9~^]+", "", text) for text in (left, right))
        if left[:1] == "~" or right[:1] == "~":
            if left[:1] != right[:1]:
                return -1 if left[:1] == "~" else 1
            left, right = left[1:], right[1:]
            continue
        if left[:1] == "^" or right[:1] == "^":
            if left[:1] != right[:1]:
                if not left or not right:
                    return -1 if not left else 1
                return 1 if right[:1] == "^" else -1
            left, right = left[1:], right[1:]
            continue
        if not left or not right:
            break
        segment = r"[0-9]+" if left[0].isdigit() else r"[A-Za-z]+"
        one, other = re.match(segment, left), re.match(segment, right)
        assert one is not None
        if other is None:  # a number is newer than letters
            return 1 if left[0].isdigit() else -1
        left, right = left[one.end() :], right[other.end() :]
        mine, yours = one[0], other[0]
        if mine.isdigit():
            mine, yours = mine.lstrip("0"), yours.lstrip("0")
            if len(mine) != len(yours):
                return 1 if len(mine) > len(yours) else -1
        if mine != yours:
            return 1 if mine > yours else -1
    return (left > "") - (right > "")


@dataclass(frozen=True, slots=True)
class Evr:
    epoch: int
    version: str
    release: str | None

    @staticmethod
    def read(text: str) -> Evr:
        epoch, _, rest = text.rpartition(":")
        version, dash, release = rest.partition("-")
        return Evr(int(epoch or 0), version, release if dash else None)

    def compare(self, other: Evr) -> int:
        """A side without a release matches every release."""
        if self.epoch != other.epoch:
            return 1 if self.epoch > other.epoch else -1
        by_version = compare_versions(self.version, other.version)
        if by_version or self.release is None or other.release is None:
            return by_version
        return compare_versions(self.release, other.release)

    def __gt__(self, other: Evr) -> bool:
        return self.compare(other) > 0


@dataclass(frozen=True, slots=True)
class Capability:
    name: str
    flag: str = ""
    evr: Evr | None = None

    @staticmethod
    def read(text: str) -> Capability:
        name, _, rest = text.partition(" ")
        flag, _, evr = rest.partition(" ")
        return Capability(name, flag, Evr.read(evr)) if evr else Capability(name)

    def met_by(self, provided: Capability) -> bool:
        if self.name != provided.name:
            return False
        if self.evr is None:
            return True
        if provided.evr is None:
            return False
        order = provided.evr.compare(self.evr)
        return (
            ("<" in self.flag and order < 0)
            or (">" in self.flag and order > 0)
            or ("=" in self.flag and order == 0)
        )


def normal(crc: str) -> str:
    """A CRC as the contract writes it: lower case, no 0x, no leading zeros."""
    return crc.lower().removeprefix("0x").lstrip("0") or "0"


def vendor_class(vendor: str) -> str:
    """Zypp's class of a vendor, without any configuration."""
    lower = vendor.lower()
    return "suse" if lower.startswith("suse") else lower


class UndeterminedError(Exception):
    """The contract does not say what a plan for this world is."""


# ---------------------------------------------------------------------------------------------------------
# The world, ready to be judged


@dataclass(eq=False, slots=True)
class Package:
    """A package of the world; the same NEVRA on the system and in repositories is one package."""

    noun: Noun
    nevra: str
    name: str
    evr: Evr
    arch: str
    vendor: str
    provides: tuple[Capability, ...]
    requires: tuple[Capability, ...]
    conflicts: tuple[Capability, ...]
    obsoletes: tuple[Capability, ...]
    flavor: str
    modules: frozenset[str]
    wants: Mapping[str, str]
    wanted_sets: Mapping[str, str]
    exact: str
    exports: Mapping[str, str]
    """What a kernel or a KMP provides: symbol -> CRC."""
    symsets: Mapping[str, str]
    uname_r: str
    spelled: tuple[Capability, ...]
    """What a KMP requires, symbols included, as rpm reads it."""
    given: tuple[Capability, ...]
    """What it provides, likewise."""
    installed: bool = False
    offers: list[tuple[int, str]] = field(default_factory=list)
    """(priority, alias) of the repositories that have it and did not retract it."""
    retracted_by: list[tuple[int, str]] = field(default_factory=list)

    @property
    def verifiable(self) -> bool:
        """Whether it says at all for which kernels it is."""
        return bool(self.wants or self.wanted_sets or self.exact)

    @property
    def priority(self) -> int:
        """The best priority of the repositories that have it; a smaller number is better."""
        return min(self.offers or self.retracted_by)[0]

    @property
    def repositories(self) -> set[str]:
        """Aliases from which it may come."""
        return {alias for priority, alias in self.offers or self.retracted_by if priority == self.priority}

    @property
    def multiversion(self) -> bool:
        return any(provided.name == "multiversion(kernel)" for provided in self.provides)

    def provides_capability(self, wanted: Capability) -> bool:
        return any(wanted.met_by(provided) for provided in self.provides)

    def gives(self, wanted: Capability) -> bool:
        """Whether rpm takes it for a provider of `wanted`: to rpm CRCs are versions."""
        return any(wanted.met_by(given) for given in self.given)

    def obsoletes_package(self, other: Package) -> bool:
        own = Capability(other.name, "=", other.evr)
        return any(obsoleted.met_by(own) for obsoleted in self.obsoletes)

    def conflicts_with(self, other: Package) -> bool:
        """One of the two excludes the other. No package excludes itself."""
        return self is not other and (
            any(other.provides_capability(conflict) for conflict in self.conflicts)
            or any(self.provides_capability(conflict) for conflict in other.conflicts)
        )

    def __repr__(self) -> str:
        return self.nevra


def _package(noun: Noun) -> Package:
    spec = noun.spec()
    evr = Evr(0, spec.version, spec.release)
    symbol_versions = ("ksym(", "kernel(")
    exact = ("kernel-uname-r = ",) if isinstance(noun, Kmp) else ()
    kmp = noun if isinstance(noun, Kmp) else None
    ksyms = noun.exports if isinstance(noun, Kmp) else noun.ksyms if not isinstance(noun, Tool) else ""

    def crcs(text: str) -> dict[str, str]:
        return {symbol: normal(crc) for symbol, crc in pairs(text).items()}

    def capabilities(texts: Iterable[str]) -> tuple[Capability, ...]:
        return tuple(Capability.read(text) for text in texts if not text.startswith(symbol_versions + exact))

    return Package(
        noun=noun,
        nevra=spec.nevra,
        name=spec.name,
        evr=evr,
        arch=spec.arch,
        vendor=spec.vendor,
        provides=(Capability(spec.name, "=", evr), *capabilities(spec.provides)),
        requires=capabilities((*spec.requires, *spec.post)),
        conflicts=capabilities(spec.conflicts),
        obsoletes=capabilities(spec.obsoletes),
        flavor="" if isinstance(noun, Tool) else noun.flavor,
        modules=frozenset() if isinstance(noun, Tool) else frozenset(noun.modules.split()),
        wants=crcs(kmp.symbols) if kmp else {},
        wanted_sets=crcs(kmp.symsets) if kmp else {},
        exact=kmp.exact if kmp else "",
        exports=crcs(ksyms),
        symsets=crcs(noun.symsets) if isinstance(noun, Kernel) else {},
        uname_r=noun.uname_r if isinstance(noun, Kernel) else "",
        spelled=tuple(map(Capability.read, (*spec.requires, *spec.post))),
        given=tuple(map(Capability.read, spec.provides)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How the contract's words are taken where they can be read in two ways. The defaults are ours."""

    versionless_candidate: bool = True
    """A candidate without symbol versions may be chosen, as `unverified`, where nothing else is left; not for a KMP
    that is broken already (contract)."""
    blocked_kmps_stay: bool = True
    """A KMP that is blocked stays installed: what conflicts with it or obsoletes it is not fetched."""
    old_builds_conflict: bool = False
    """Builds that a multiversion fetch leaves behind count in conflicts with other packages."""
    modules_of_all_builds: bool = True
    """The modules of a KMP are those of all its installed builds, not only of the one it is used with."""
    upgrade_resolves_conflict: bool = False
    """A package of user space may be upgraded only because the installed one conflicts."""
    vendor_classes_rank: bool = True
    """`then same vendor`: all of one class are the same vendor, not only those spelt alike."""
    renames_rank_by_evr: bool = True
    """A build of another name is compared by EVR with those of the KMP's own name."""
    locked_units_stay_whole: bool = True
    """Whoever names a locked kernel has named its locked -extra with it."""


READINGS: tuple[Reading, ...] = tuple(
    replace(Reading(), **{entry.name: not getattr(Reading(), entry.name)}) for entry in fields(Reading)
)
"""Every reading that differs from ours in one point."""


@dataclass(eq=False, slots=True)
class Unit:
    """A kernel unit: what serves one uname -r."""

    kernel: Package
    extras: tuple[Package, ...]
    ksyms: Mapping[str, str]
    symsets: Mapping[str, str]
    modules: frozenset[str]

    @property
    def packages(self) -> tuple[Package, ...]:
        return (self.kernel, *self.extras)

    def obsoletes(self, package: Package) -> bool:
        """Installing it removes `package`; what is installed already removes nothing any more."""
        return any(not member.installed and member.obsoletes_package(package) for member in self.packages)


class System:
    """The world with every package made one, and what the rules ask of it."""

    def __init__(self, world: World, reading: Reading) -> None:
        self.world = world
        self.reading = reading
        known: dict[str, Package] = {}
        for noun in world.installed:
            package = known.setdefault(noun.spec().nevra, _package(noun))
            assert package.noun == noun, f"{package} twice with different content"
            package.installed = True
        for repository in world.repositories:
            for noun in repository.packages:
                package = known.setdefault(noun.spec().nevra, _package(noun))
                assert package.noun == noun, f"{package} twice with different content"
                offer = (repository.priority, repository.alias)
                (package.retracted_by if package.nevra in repository.retracted else package.offers).append(
                    offer
                )
        self.packages = list(known.values())
        self.installed = [package for package in self.packages if package.installed]
        self.tools = [package for package in self.installed if isinstance(package.noun, Tool)]

    def kernels(self, flavor: str) -> list[Package]:
        """Installed kernels, oldest first."""
        return by_evr(p for p in self.installed if isinstance(p.noun, Kernel) and p.flavor == flavor)

    @cached_property
    def flavors(self) -> list[str]:
        return sorted({p.flavor for p in self.installed if isinstance(p.noun, Kernel)})

    def kmps(self, flavor: str) -> dict[str, list[Package]]:
        """Installed builds of each KMP, oldest first."""
        names: dict[str, list[Package]] = {}
        for build in by_evr(p for p in self.installed if isinstance(p.noun, Kmp) and p.flavor == flavor):
            names.setdefault(build.name, []).append(build)
        return dict(sorted(names.items()))

    def is_candidate(self, package: Package, like: Collection[Package], relax: Collection[str] = ()) -> bool:
        """Whether zypp would take `package` from a repository in place of the installed packages `like`."""
        offered = package.offers or (package.retracted_by if "retracted" in relax else [])
        return (
            not package.installed
            and bool(offered)
            and ("lock" in relax or not self.is_locked(package))
            and any(package.arch == one.arch for one in like)
            and (
                "vendor" in relax
                or any(vendor_class(package.vendor) == vendor_class(one.vendor) for one in like)
            )
        )

    def is_locked(self, package: Package) -> bool:
        return any(
            lock in (package.name, f"{package.name} == {package.evr.version}-{package.evr.release}")
            for lock in self.world.locks
        )

    def candidate_kernels(self, flavor: str, relax: Collection[str] = ()) -> list[Package]:
        """Kernels that may be installed, oldest first: of the package name of the newest installed one."""
        newest = self.kernels(flavor)[-1]
        return by_evr(
            p
            for p in self.packages
            if isinstance(p.noun, Kernel) and p.name == newest.name and self.is_candidate(p, [newest], relax)
        )

    def candidates(self, builds: Sequence[Package], relax: Collection[str] = ()) -> list[Package]:
        """Builds in the repositories that may stand in for `builds`: of the same name, or renames."""
        return [
            p
            for p in self.packages
            if isinstance(p.noun, Kmp)
            and p.flavor == builds[0].flavor
            and self.is_candidate(p, builds, relax)
            and (p.name == builds[0].name or all(p.obsoletes_package(build) for build in builds))
        ]

    def unit(self, kernel: Package) -> Unit:
        """The kernel, and its -extra and -optional if the system has such packages now."""
        mine = [
            p
            for p in self.packages
            if isinstance(p.noun, KernelExtra) and p.flavor == kernel.flavor and p.evr == kernel.evr
        ]
        now = {p.name: p for p in self.installed if isinstance(p.noun, KernelExtra)}
        whole = self.reading.locked_units_stay_whole and self.is_locked(kernel)
        relax = {"lock"} if whole and not kernel.installed else set()
        extras = tuple(
            p for p in mine if p.installed or (p.name in now and self.is_candidate(p, [now[p.name]], relax))
        )
        ksyms = dict(kernel.exports)
        for extra in extras:
            ksyms |= extra.exports
        modules = kernel.modules.union(*(extra.modules for extra in extras))
        return Unit(kernel, extras, ksyms, kernel.symsets, modules)

    def working(self, kernel: Package) -> set[Package]:
        """The installed builds that work on an installed kernel: remove what does not until all is well."""
        unit = self.unit(kernel)
        builds = {
            p
            for p in self.installed
            if isinstance(p.noun, Kmp) and p.flavor == kernel.flavor and p.verifiable
        }
        while True:
            bad = {build for build in builds if missing(build, unit, builds)}
            if not bad:
                return builds
            builds -= bad

    def loaded(self, kernel: Package) -> dict[str, Package]:
        """Of each KMP the build that an installed kernel loads and that works there."""
        return loads(self.unit(kernel), self.kmps(kernel.flavor))

    def used_on(self, builds: Sequence[Package]) -> Package:
        """The newest installed kernel on which the KMP works, else the newest installed."""
        kernels = self.kernels(builds[0].flavor)
        for kernel in reversed(kernels):
            if not self.working(kernel).isdisjoint(builds):
                return kernel
        return kernels[-1]

    def is_broken(self, builds: Sequence[Package]) -> bool:
        """Its installed builds work on no installed kernel."""
        return all(build.verifiable for build in builds) and all(
            self.working(kernel).isdisjoint(builds) for kernel in self.kernels(builds[0].flavor)
        )

    def modules(self, builds: Sequence[Package]) -> frozenset[str]:
        """The modules that a KMP brings to the system now."""
        if not self.reading.modules_of_all_builds:
            working = self.working(self.used_on(builds))
            builds = [build for build in builds if build in working][-1:] or builds[-1:]
        return frozenset().union(*(build.modules for build in builds))

    def met_now(self, wanted: Capability) -> bool:
        return any(package.provides_capability(wanted) for package in self.installed)

    def known_to_lack(self, wanted: Capability) -> bool:
        """Whether an inventory without user space may still know that something is missing.

        Not what an installed package requires: rpm would not have it otherwise.
        """
        if not self.tools and any(wanted in package.requires for package in self.installed):
            return self.met_now(wanted)
        return bool(self.tools) or any(
            provided.name == wanted.name for package in self.packages for provided in package.provides
        )


def by_evr(packages: Iterable[Package]) -> list[Package]:
    """Oldest first."""

    def compare(one: Package, other: Package) -> int:
        return one.evr.compare(other.evr)

    return sorted(packages, key=cmp_to_key(compare))


def missing(build: Package, unit: Unit, others: Iterable[Package]) -> list[str]:
    """Symbols, symsets and exact kernels that neither the unit, nor itself, nor `others` provide exactly."""
    lacking = [
        symbol
        for symbol, crc in build.wants.items()
        if unit.ksyms.get(symbol) != crc
        and build.exports.get(symbol) != crc
        and not any(other.exports.get(symbol) == crc for other in others)
    ]
    lacking += [name for name, value in build.wanted_sets.items() if unit.symsets.get(name) != value]
    if build.exact and build.exact != unit.kernel.uname_r:
        lacking.append("kernel-uname-r")
    return lacking


def is_native(build: Package, kernel: Package) -> bool:
    """Whether the build stands in the kernel's own folder, which depmod looks into before weak-updates."""
    assert isinstance(build.noun, Kmp)
    assert isinstance(kernel.noun, Kernel)
    return build.noun.krel == kernel.noun.krel


def hides(build: Package, other: Package, kernel: Package) -> bool:
    """Whether no module of `other` is linked for the kernel, because that of `build` is there already."""
    own = is_native(build, kernel) and not is_native(other, kernel)
    return own and (not build.modules or not other.modules or bool(build.modules & other.modules))


def loads(unit: Unit, kmps: Mapping[str, Sequence[Package]]) -> dict[str, Package]:
    """What the unit loads of each KMP and what works so: its own build, else the newest of those that work.

    A build that works only with what is not loaded does not work: then the next one is linked.
    """
    refuted: set[Package] = set()
    while True:
        left = {
            name: [
                b for b in builds if b not in refuted and not any(hides(o, b, unit.kernel) for o in builds)
            ]
            for name, builds in kmps.items()
        }
        working = {build for builds in left.values() for build in builds if build.verifiable}
        while bad := {build for build in working if missing(build, unit, working)}:
            working -= bad
        taken: dict[str, Package] = {}
        for name, builds in left.items():
            for build in by_evr(working.intersection(builds)):
                if name not in taken or not is_native(taken[name], unit.kernel):
                    taken[name] = build
        alone = set(taken.values())
        while bad := {build for build in alone if missing(build, unit, alone)}:
            alone -= bad
        if alone == set(taken.values()):
            return taken
        refuted |= set(taken.values()) - alone


# ---------------------------------------------------------------------------------------------------------
# Joint choices for one target

RANKS = ("reuse", "fetch", "builtin", "rebuild-on-host", "unverified", "blocked")
Choice: TypeAlias = tuple[str, Package | None]


@dataclass(eq=False, slots=True)
class Outcome:
    """One joint choice: for each KMP its decision and build, KMPs that are added, user space that moves."""

    choices: dict[str, Choice]
    added: frozenset[Package]
    moved: frozenset[Package]
    """Packages of user space that are installed or upgraded."""

    @property
    def chosen(self) -> list[Package]:
        builds = [build for decision, build in self.choices.values() if build is not None]
        return list(dict.fromkeys([*builds, *self.added]))

    def count(self, decision: str, counted: Collection[str]) -> int:
        return sum(self.choices[name][0] == decision for name in counted)

    def __repr__(self) -> str:
        said = [
            f"{name}: {decision} {build or ''}".strip() for name, (decision, build) in self.choices.items()
        ]
        said += [f"added: {package}" for package in self.added]
        said += [f"moved: {package}" for package in self.moved]
        return "{" + "; ".join(said) + "}"


class Judgement:
    """Every joint choice for one flavor and one target kernel.

    `relax` switches rules off, to find out which of them blocks a KMP: modules, conflict, missing (what a
    build requires) or user-space (what others require). With `sparing` nothing is fetched for what is broken.
    """

    def __init__(
        self, system: System, kernel: Package, relax: frozenset[str] = frozenset(), *, sparing: bool = False
    ) -> None:
        self.system = system
        self.sparing = sparing
        self.reading = system.reading
        self.relax = relax
        self.unit = system.unit(kernel)
        replaced = [old for old in system.kernels(kernel.flavor) if self.unit.obsoletes(old)]
        extras = [
            p for p in system.installed if isinstance(p.noun, KernelExtra) and p.flavor == kernel.flavor
        ]
        self.is_refused = any(
            extra.evr == old.evr and not self.unit.obsoletes(extra) for extra in extras for old in replaced
        )
        """It takes the place of a kernel whose -extra stays, and requires that one."""
        self.kmps = system.kmps(kernel.flavor)
        self.modules = {name: system.modules(builds) for name, builds in self.kmps.items()}
        self.broken = {name for name, builds in self.kmps.items() if system.is_broken(builds)}
        self.counted = [name for name in self.kmps if name not in self.broken]
        self.addable = [
            p
            for p in system.packages
            if isinstance(p.noun, Kmp)
            and p.flavor == kernel.flavor
            and p.name not in self.kmps
            and p.verifiable
            and system.is_candidate(p, [b for builds in self.kmps.values() for b in builds], relax)
            and not self.unit.obsoletes(p)
        ]
        self.movable = self._movable()

    def _movable(self) -> list[Package]:
        """Packages of user space that may go along: upwards and of the vendor's class, or new."""
        installed = {tool.name: tool for tool in self.system.tools}

        def may_move(package: Package) -> bool:
            now = installed.get(package.name)
            if now is None:
                return bool(package.offers) and not package.installed and not self.system.is_locked(package)
            return self.system.is_candidate(package, [now]) and package.evr > now.evr

        return [p for p in self.system.packages if isinstance(p.noun, Tool) and may_move(p)]

    def options(self, name: str) -> list[Choice]:
        """What could become of the KMP `name`, whatever becomes of the others."""
        builds = self.kmps[name]
        mine = [build for build in builds if not self.unit.obsoletes(build)]
        others = [
            build for build in self.system.candidates(builds, self.relax) if not self.unit.obsoletes(build)
        ]
        if self.sparing and name in self.broken:
            others = []
        everything = [p for p in self.system.packages if isinstance(p.noun, Kmp)]

        def hopeless(build: Package) -> bool:
            return bool(missing(build, self.unit, everything))

        options: list[Choice] = [("reuse", b) for b in mine if b.verifiable and not hopeless(b)]
        options += [("fetch", b) for b in others if b.verifiable and not hopeless(b)]
        if self.is_builtin(name):
            options.append(("builtin", None))
        versionless = [b for b in mine if not b.verifiable]
        if self.reading.versionless_candidate and name not in self.broken:
            versionless += [b for b in others if not b.verifiable]
        options += [("unverified", b) for b in versionless]
        options.append(("blocked", None))
        return options

    def is_builtin(self, name: str) -> bool:
        """The target has every module, and not only those that the old kernel had as well."""
        builds, modules = self.kmps[name], self.modules[name]
        old = self.system.unit(self.system.used_on(builds)).modules
        absorbed = any(self.unit.obsoletes(build) for build in builds)
        return modules <= self.unit.modules and (absorbed or not modules <= old)

    def outcomes(self) -> list[Outcome]:
        """All acceptable joint choices; if there is none, that all are blocked, which is then not valid.

        What does not count spoils no plan by being fetched: where zypper refuses that, it stays as it is.
        """
        found = self._outcomes()
        if not self.sparing and any(
            outcome.choices[name][0] == "fetch" and not outcome.count("blocked", self.counted)
            for outcome in found
            for name in self.broken
        ):
            sparing = Judgement(self.system, self.unit.kernel, self.relax, sparing=True)._outcomes()
            refused = all(self.verdict(outcome) == "blocked" for outcome in found)
            if refused and any(self.verdict(outcome) != "blocked" for outcome in sparing):
                return sparing
        return found

    def _outcomes(self) -> list[Outcome]:
        by_cost: dict[tuple[int, int], list[dict[str, Choice]]] = {}
        for combination in itertools.product(*(self.options(name) for name in self.kmps)):
            choices = dict(zip(self.kmps, combination, strict=True))
            outcome = Outcome(choices, frozenset(), frozenset())
            cost = outcome.count("blocked", self.counted), outcome.count("unverified", self.counted)
            by_cost.setdefault(cost, []).append(choices)
        for _, group in sorted(by_cost.items(), key=lambda entry: entry[0]):
            valid = [outcome for choices in group for outcome in self.complete(choices)]
            if valid:
                return self._best(valid)
        # Not even the kernel alone: what an already broken KMP, which does not count, gives to user space goes.
        return [Outcome(dict.fromkeys(self.kmps, ("blocked", None)), frozenset(), frozenset())]

    def verdict(self, best: Outcome) -> str:
        """What the KMPs that count make of the kernel, and the rest of the system."""
        if best.count("blocked", self.counted) or not self.is_valid(best):
            return "blocked"
        if self.is_refused or any(self.is_asked_for(b, best) for b in self.leaving_for_good(best)):
            return "blocked"
        if any(self.system.is_locked(build) for build in self.leaving(best)):
            return "blocked"  # zypper removes what a lock holds for nobody
        return "unverified" if best.count("unverified", self.counted) else "safe"

    def complete(self, choices: dict[str, Choice]) -> list[Outcome]:
        """The valid outcomes with these choices that add and move no more than they must."""
        builds = [build for _, build in choices.values() if build is not None and build.verifiable]
        if any(missing(build, self.unit, builds + self.addable) for build in builds):
            return []  # no addition can help
        found: list[Outcome] = []
        for joining in _subsets(self.addable + self.movable):
            if any(joining >= outcome.added | outcome.moved for outcome in found):
                continue
            added = frozenset(p for p in joining if isinstance(p.noun, Kmp))
            outcome = Outcome(choices, added, joining - added)
            if self.is_valid(outcome):
                found.append(outcome)
        return found

    # -- the rules ----------------------------------------------------------------------------------------

    def is_valid(self, outcome: Outcome) -> bool:
        return (
            self.is_one_of_each(outcome)
            and self.is_compatible(outcome)
            and ("modules" in self.relax or self.covers_modules(outcome))
            and self.additions_are_needed(outcome)
            and self.replaces_nothing_kept(outcome)
            and ("conflict" in self.relax or self.is_free_of_conflicts(outcome))
            and self.keeps_the_rest(outcome)
        )

    def leaving_for_good(self, outcome: Outcome) -> set[Package]:
        """Builds that would stay for user space, built in or broken, and that zypper does not let stay."""
        return {
            build
            for build in self.leaving(outcome)
            if outcome.choices.get(build.name, ("", None))[0] in ("builtin", "blocked")
            and not self.unit.obsoletes(build)
        }

    def is_asked_for(self, build: Package, outcome: Outcome) -> bool:
        """Whether user space requires something of `build` that nothing else gives when it is gone."""
        leaving = self.leaving(outcome)
        there = [p for p in (*self.staying(outcome), *self.unit.packages) if p not in leaving]
        there += self.arriving(outcome)
        return any(
            build.provides_capability(wanted) and not _meets(there, wanted)
            for tool in (*self.system.tools, *outcome.moved)
            for wanted in tool.requires
        )

    def is_one_of_each(self, outcome: Outcome) -> bool:
        """The target boots with one build of a KMP and one version of a tool."""
        names = [package.name for package in (*outcome.chosen, *outcome.moved)]
        return len(names) == len(set(names))

    def is_compatible(self, outcome: Outcome) -> bool:
        """Every verified build has every symbol from the unit, itself, or another chosen compatible build."""
        verified = [build for build in outcome.chosen if build.verifiable]
        return not any(missing(build, self.unit, verified) for build in verified)

    def covers_modules(self, outcome: Outcome) -> bool:
        """No module may vanish, unless its KMP is blocked anyway."""
        there = self.unit.modules.union(*(build.modules for build in outcome.chosen))
        return all(
            self.modules[name] <= there
            for name, (decision, _) in outcome.choices.items()
            if decision not in ("blocked", "builtin")
        )

    def additions_are_needed(self, outcome: Outcome) -> bool:
        """A KMP is added for a module or a symbol of one whose vendor class it shares."""

        def needed_by(addition: Package, name: str | None, build: Package) -> bool:
            if vendor_class(addition.vendor) != vendor_class(build.vendor):
                return False
            lost = self.modules[name] - build.modules if name else frozenset()
            symbols = any(addition.exports.get(symbol) == crc for symbol, crc in build.wants.items())
            capabilities = any(addition.provides_capability(wanted) for wanted in build.requires)
            return bool(addition.modules & lost) or symbols or capabilities

        needing: list[tuple[str | None, Package]] = [
            (name, build) for name, (_, build) in outcome.choices.items() if build is not None
        ]
        needing += [(None, addition) for addition in outcome.added]
        return all(
            any(needed_by(addition, name, build) for name, build in needing if build is not addition)
            for addition in outcome.added
        )

    def arriving(self, outcome: Outcome) -> list[Package]:
        """What the transaction installs."""
        wanted = [*self.unit.packages, *outcome.chosen, *outcome.moved]
        return [package for package in wanted if not package.installed]

    def staying(self, outcome: Outcome) -> list[Package]:
        """Installed KMP builds and user space that still serve the target's system."""
        moved = {package.name for package in outcome.moved}
        kept = [tool for tool in self.system.tools if tool.name not in moved]
        kept += [p for p in self.system.installed if isinstance(p.noun, Kmp) and p.name not in self.kmps]
        for name, (decision, build) in outcome.choices.items():
            if decision == "blocked" and name in self.counted:  # then nothing at all is done
                kept += self.kmps[name]
            elif decision in ("builtin", "blocked"):
                kept += [b for b in self.kmps[name] if not self.unit.obsoletes(b)]
            elif build is not None and build.installed:
                kept.append(build)
        return kept

    def leaving(self, outcome: Outcome) -> set[Package]:
        """Installed kernels and builds that something else replaces, and what that leaves broken."""
        arriving = self.arriving(outcome)
        builds = [build for builds in self.kmps.values() for build in builds]
        leaving = {
            package
            for package in self.system.installed
            if isinstance(package.noun, Kernel | KernelExtra) and self.unit.obsoletes(package)
        }
        leaving |= {
            build
            for build in builds
            if self.unit.obsoletes(build)
            or any(new.obsoletes_package(build) or new.conflicts_with(build) for new in arriving)
            or (not build.multiversion and self.is_replaced(build, outcome))
        }
        leaving |= self.outrun(outcome)
        return leaving | self.stranded(outcome, leaving)

    def stranded(self, outcome: Outcome, leaving: set[Package]) -> set[Package]:
        """Builds that are used no more and required something of what leaves: for rpm they cannot stay."""
        stranded: set[Package] = set()
        installed = self.system.installed
        while True:
            there = [p for p in installed if p not in leaving | stranded] + self.arriving(outcome)
            more = {
                build
                for build in installed
                if isinstance(build.noun, Kmp) and build not in [*outcome.chosen, *leaving, *stranded]
                if any(_meets(installed, wanted) and not _meets(there, wanted) for wanted in build.spelled)
            }
            if not more:
                return stranded
            stranded |= more

    def outrun(self, outcome: Outcome) -> set[Package]:
        """Installed builds that the kernel would load instead of the chosen ones: they must not stay."""
        found: set[Package] = set()
        for name, (decision, chosen) in outcome.choices.items():
            if chosen is None or decision not in ("reuse", "fetch") or is_native(chosen, self.unit.kernel):
                continue
            others = [build for build in outcome.chosen if build is not chosen and build.verifiable]
            for build in self.kmps[name]:
                newer = build.evr > chosen.evr and build.verifiable
                works = not missing(build, self.unit, others)
                if build is not chosen and (hides(build, chosen, self.unit.kernel) or (newer and works)):
                    found.add(build)
        return found

    @staticmethod
    def is_replaced(build: Package, outcome: Outcome) -> bool:
        """Another build of the same name comes from a repository."""
        _, chosen = outcome.choices[build.name]
        return chosen is not None and not chosen.installed and chosen.name == build.name

    def replaces_nothing_kept(self, outcome: Outcome) -> bool:
        """What arrives obsoletes nothing that another decision keeps."""
        arriving = [package for package in self.arriving(outcome) if package not in self.unit.packages]
        kept = self.staying(outcome)
        if not self.reading.blocked_kmps_stay:
            kept = [p for p in kept if outcome.choices.get(p.name, ("", None))[0] != "blocked"]

        def gives_way(old: Package, new: Package) -> bool:
            """A rename that nobody can verify replaces a broken KMP as well, though that is not used through it."""
            decision, _ = outcome.choices.get(old.name, ("", None))
            return decision == "blocked" and old.name in self.broken and not new.verifiable

        return not any(
            new.obsoletes_package(old) and not gives_way(old, new)
            for new in arriving
            for old in kept + arriving
            if new is not old
        )

    def is_free_of_conflicts(self, outcome: Outcome) -> bool:
        arriving, staying = self.arriving(outcome), self.staying(outcome)
        against = list(staying)
        if not self.reading.blocked_kmps_stay:
            against = [p for p in against if outcome.choices.get(p.name, ("", None))[0] != "blocked"]
        if self.reading.old_builds_conflict:
            against += [b for builds in self.kmps.values() for b in builds if b not in against]
        if not self.reading.upgrade_resolves_conflict:
            against += self.system.tools
        return not any(
            new.conflicts_with(old)
            for new in arriving
            for old in (*against, *arriving)
            if old.name != new.name  # builds of one KMP for one kernel replace each other
        )

    def keeps_the_rest(self, outcome: Outcome) -> bool:
        """What arrives finds all it requires; what stays loses nothing that it had."""
        arriving, staying = self.arriving(outcome), self.staying(outcome)
        there = [*self.unit.packages, *arriving, *staying]

        def is_met(wanted: Capability) -> bool:
            return any(package.provides_capability(wanted) for package in there)

        def judged(package: Package) -> bool:
            decision = outcome.choices.get(package.name, ("", None))[0]
            arrives = isinstance(package.noun, Kernel) and not package.installed
            return arrives or (
                isinstance(package.noun, Kmp | Tool) and decision not in ("builtin", "blocked")
            )

        for package in [*arriving, *staying]:
            if not judged(package):
                continue
            rule = "user-space" if isinstance(package.noun, Tool) else "missing"
            for wanted in package.requires:
                if is_met(wanted) or rule in self.relax:
                    continue
                if package.installed and not self.system.met_now(wanted):
                    continue  # it was unmet before
                if not package.installed and not self.system.known_to_lack(wanted):
                    continue
                return False
        return True

    # -- the order ----------------------------------------------------------------------------------------

    def _best(self, valid: list[Outcome]) -> list[Outcome]:
        """Keep those in which no KMP's decision, and then no KMP's build, could be better for free."""

        def decisions(outcome: Outcome) -> tuple[int, ...]:
            return tuple(RANKS.index(decision) for decision, _ in outcome.choices.values())

        vectors = {decisions(outcome) for outcome in valid}
        best = {
            vector
            for vector in vectors
            if not any(
                other != vector and all(a <= b for a, b in zip(other, vector, strict=True))
                for other in vectors
            )
        }
        kept = [outcome for outcome in valid if decisions(outcome) in best]
        return [
            outcome
            for outcome in kept
            if not any(
                decisions(other) == decisions(outcome) and self.has_better_builds(other, outcome)
                for other in kept
            )
        ]

    def has_better_builds(self, one: Outcome, other: Outcome) -> bool:
        """Every KMP has the same or a better build, and one has a better one."""
        better = False
        for name in self.kmps:
            mine, yours = one.choices[name][1], other.choices[name][1]
            if mine is yours or mine is None or yours is None:
                continue
            if not self.is_better(name, mine, yours):
                return False
            better = True
        return better

    def is_better(self, name: str, one: Package, other: Package) -> bool:
        if one.installed != other.installed:
            return one.installed
        if one.installed:
            # The build made for this very kernel stands in updates/ and wins, whatever its version.
            native = is_native(one, self.unit.kernel)
            if native != is_native(other, self.unit.kernel):
                return native
            return one.evr > other.evr
        one_priority, other_priority = one.priority, other.priority
        if one_priority != other_priority:
            return one_priority < other_priority
        if not self.reading.vendor_classes_rank:
            mine = {build.vendor.lower() for build in self.kmps[name]}
            if (one.vendor.lower() in mine) != (other.vendor.lower() in mine):
                return one.vendor.lower() in mine
        if one.name != other.name and not self.reading.renames_rank_by_evr:
            return one.name == name
        return one.evr > other.evr


def _meets(packages: Iterable[Package], wanted: Capability) -> bool:
    return any(package.provides_capability(wanted) or package.gives(wanted) for package in packages)


def _subsets(packages: Sequence[Package]) -> Iterator[frozenset[Package]]:
    """All subsets, small ones first."""
    for size in range(len(packages) + 1):
        for subset in itertools.combinations(packages, size):
            yield frozenset(subset)


# ---------------------------------------------------------------------------------------------------------
# What the plan may say


@dataclass(eq=False, slots=True)
class Answer:
    """An acceptable answer for one flavor.

    With `judgement` the flavor has been planned for `kernel` and the KMPs are as in one of `outcomes`.
    """

    flavor: str
    verdict: str
    target: Package | None
    judgement: Judgement
    outcomes: list[Outcome]
    newest_safe: set[str | None]
    at_rest: dict[str, set[tuple[str, str | None]]] = field(default_factory=dict)
    """Without a target: what each KMP's decision and build may be; nothing is checked where it is empty."""


def answers(world: World, reading: Reading | None = None) -> dict[str, list[Answer]]:
    """Return the acceptable answers for each flavor of `world`; {} if no flavor has the kernel asked for."""
    system = System(world, reading or Reading())
    flavors = system.flavors
    if world.kernel:
        by_uname = [f for f in flavors if any(k.uname_r == world.kernel for k in _nameable(system, f))]
        flavors = by_uname or flavors
    found = {flavor: _flavor_answers(system, flavor) for flavor in flavors}
    if any(found.values()):
        known = {flavor: own or [_without_kernel(system, flavor)] for flavor, own in found.items()}
        return {flavor: own + _kept_out(own, flavor, known) for flavor, own in known.items()}
    return {}


def _kept_out(own: list[Answer], flavor: str, known: Mapping[str, list[Answer]]) -> list[Answer]:
    """The flavor blocked, where what it needs excludes what another one needs: either may give way."""
    others = [answer for name, answers in known.items() if name != flavor for answer in answers]
    return [
        replace(answer, verdict="blocked")
        for answer in own
        if answer.verdict != "blocked" and any(_exclude_each_other(answer, other) for other in others)
    ]


def _exclude_each_other(one: Answer, other: Answer) -> bool:
    return any(
        new.conflicts_with(package) or new.obsoletes_package(package) or package.obsoletes_package(new)
        for mine in one.outcomes
        for yours in other.outcomes
        for new in one.judgement.arriving(mine)
        for package in other.judgement.arriving(yours)
    )


def _nameable(system: System, flavor: str) -> list[Package]:
    """Kernels that ``--kernel VERSION`` may name: retracted and locked ones too."""
    newest = system.kernels(flavor)[-1]
    installed = [kernel for kernel in system.kernels(flavor) if kernel.name == newest.name]
    return by_evr([*installed, *system.candidate_kernels(flavor, {"retracted", "lock"})])


def _flavor_answers(system: System, flavor: str) -> list[Answer]:
    newest = system.kernels(flavor)[-1]
    safe = newest_safe(system, flavor)
    asked = system.world.kernel
    relax = {"lock"} if asked == "latest" else set()
    newer = [kernel for kernel in system.candidate_kernels(flavor, relax) if kernel.evr > newest.evr]
    if asked in (None, "latest") or (asked == "newest-safe" and safe is None):
        # Where no kernel is safe, the question is what becomes of the one that would come anyway.
        picked = _pick(system, flavor, newer, asked)
        return [_for_target(system, picked, {safe}) if picked else _without_news(system, flavor, safe)]
    if asked == "newest-safe":
        target = next(kernel for kernel in _nameable(system, flavor) if kernel.nevra == safe)
    else:
        named = [
            k for k in _nameable(system, flavor) if asked in (k.uname_r, f"{k.evr.version}-{k.evr.release}")
        ] or [
            k
            for k in _nameable(system, flavor)
            if (
                (k.evr.release or "").rpartition(".")[0]
                and asked == f"{k.evr.version}-{k.evr.release}".rpartition(".")[0]
            )
            or f"{asked}-{flavor}" == k.uname_r
        ]
        if not named:
            return []
        target = named[-1]
    found = [_for_target(system, target, {safe})]
    if target is newest:
        found.append(_without_news(system, flavor, safe))
    return found


def _pick(system: System, flavor: str, newer: list[Package], asked: str | None) -> Package | None:
    """The latest kernel, or the one that ``zypper up`` would pick.

    Measured with zypper 1.14.42: a repository of higher priority that has the newest installed kernel, and
    nothing newer, hides newer ones elsewhere; one that has older kernels only does not.
    """
    if asked == "latest" or not newer:
        return newer[-1] if newer else None
    newest = system.kernels(flavor)[-1]
    seen = [newest] if newest.offers else []
    best = min(kernel.priority for kernel in [*seen, *newer])
    picked = [kernel for kernel in [*seen, *newer] if kernel.priority == best][-1]
    return None if picked is newest else picked


def _for_target(system: System, kernel: Package, safe: set[str | None]) -> Answer:
    judgement = Judgement(system, kernel)
    outcomes = judgement.outcomes()
    if len({judgement.verdict(outcome) for outcome in outcomes}) > 1:
        raise UndeterminedError("only some of the choices can be carried out")
    return Answer(kernel.flavor, judgement.verdict(outcomes[0]), kernel, judgement, outcomes, safe)


def _without_news(system: System, flavor: str, safe: str | None) -> Answer:
    """No kernel is newer than the newest installed one, which boots next."""
    kernels = system.kernels(flavor)
    newest = kernels[-1]
    judgement = Judgement(system, newest)
    loaded = system.loaded(newest)
    at_rest: dict[str, set[tuple[str, str | None]]] = {}
    for name, builds in judgement.kmps.items():
        versionless = [
            b for b in builds if not b.verifiable and not any(hides(other, b, newest) for other in builds)
        ]
        if name in loaded:
            at_rest[name] = {("reuse", loaded[name].nevra)}
        elif name in judgement.broken:
            at_rest[name] = set()
        elif judgement.is_builtin(name):
            at_rest[name] = {("builtin", None)}
        elif versionless:
            at_rest[name] = {("unverified", None), *(("unverified", build.nevra) for build in versionless)}
        else:  # it works on another installed kernel but not on this one
            return _for_target(system, newest, {safe})
    keeps = {safe} | (
        {newest.nevra} if not any(("unverified", None) in may for may in at_rest.values()) else set()
    )
    return Answer(flavor, "nothing-to-do", None, judgement, [], keeps, at_rest)


def _without_kernel(system: System, flavor: str) -> Answer:
    """The kernel that is asked for is one of another flavor only: nothing-to-do, with a warning."""
    judgement = Judgement(system, system.kernels(flavor)[-1])
    return Answer(flavor, "nothing-to-do", None, judgement, [], {newest_safe(system, flavor)})


def newest_safe(system: System, flavor: str) -> str | None:
    """The newest kernel, installed or candidate, on which no counted KMP is blocked or unverified."""
    newest = system.kernels(flavor)[-1]
    installed = [kernel for kernel in system.kernels(flavor) if kernel.name == newest.name]
    for kernel in reversed(by_evr([*installed, *system.candidate_kernels(flavor)])):
        judgement = Judgement(system, kernel)
        if judgement.verdict(judgement.outcomes()[0]) == "safe":
            return kernel.nevra
    return None


# -- mismatches and causes of what is blocked -------------------------------------------------------------

Mismatch: TypeAlias = tuple[str, str | None]
"""Kind and what was found."""


class Blocked:
    """What the contract lets a plan say about a KMP that is blocked in `outcome`."""

    def __init__(self, judgement: Judgement, outcome: Outcome, name: str) -> None:
        self.judgement = judgement
        self.outcome = outcome
        self.name = name
        self.others = [build for build in outcome.chosen if build.verifiable and build.name != name]
        self.builds = [*judgement.kmps[name], *judgement.system.candidates(judgement.kmps[name])]

    @cached_property
    def is_clear(self) -> bool:
        """Whether the contract says which of the builds is the best one tried."""
        return all(build.verifiable and not self.judgement.unit.obsoletes(build) for build in self.builds)

    def mismatches(self, build: Package) -> dict[str, set[Mismatch | None]]:
        """For every symbol that the build lacks, what may be said of it; None: it need not be listed."""
        unit = self.judgement.unit
        said: dict[str, set[Mismatch | None]] = {}
        lacking = missing(build, unit, self.others)
        for name in build.wanted_sets:
            if name in lacking:
                found = unit.symsets.get(name)
                said[name] = {("disagrees", found) if found else ("unknown", None)}
        for symbol, crc in build.wants.items():
            if symbol in lacking:
                said[symbol] = self._symbol(build, symbol, crc)
        return said

    def _symbol(self, build: Package, symbol: str, crc: str) -> set[Mismatch | None]:
        judgement = self.judgement
        providers: list[Mapping[str, str]] = [judgement.unit.ksyms, *(other.exports for other in self.others)]
        said: set[Mismatch | None] = {
            ("disagrees", exports[symbol]) for exports in [*providers, build.exports] if symbol in exports
        }
        if said:
            return said
        for name in judgement.kmps:
            if name != self.name and self.outcome.choices[name][0] in ("blocked", "builtin", "unverified"):
                other = Blocked(judgement, self.outcome, name)
                if any(symbol in build.exports for build in other.builds):
                    given = {best.exports.get(symbol) for best in other.best}
                    said |= {("unknown" if found in (crc, None) else "disagrees", found) for found in given}
        for build in judgement.system.packages:  # of a KMP that is not installed
            stranger = build.flavor == self.builds[0].flavor and build.name not in judgement.kmps
            if isinstance(build.noun, Kmp) and stranger and symbol in build.exports:
                found = build.exports[symbol]
                said |= {("unknown", None), ("unknown" if found == crc else "disagrees", found)}
                said |= {None} if found == crc and build in judgement.addable else set()
        return said or {("unknown", None)}

    @cached_property
    def best(self) -> list[Package]:
        """The builds that may pass for the best one tried: fewest mismatches, then installed, then EVR."""

        found = []
        for build in self.builds:
            low, _ = self.mismatches_count(build)
            beaten = False
            for other in self.builds:
                if other is build:
                    continue
                _, high = self.mismatches_count(other)
                mine, yours = (low, not build.installed), (high, not other.installed)
                if yours < mine or (yours == mine and (other.evr > build.evr) and (other.name == build.name)):
                    beaten = True
            if not beaten:
                found.append(build)
        return found

    def mismatches_count(self, build: Package) -> tuple[int, int]:
        """The least and the most that may be counted."""
        lacking = [
            name for name in missing(build, self.judgement.unit, self.others) if name != "kernel-uname-r"
        ]
        addable = {(symbol, crc) for p in self.judgement.addable for symbol, crc in p.exports.items()}
        sure = [name for name in lacking if (name, build.wants.get(name, "")) not in addable]
        return len(sure), len(lacking)

    @cached_property
    def causes(self) -> list[set[str]]:
        """Kinds of cause that must be named: one of each set."""
        judgement, unit = self.judgement, self.judgement.unit
        if self.name in judgement.broken:
            return [{"already-broken"}]
        must: list[set[str]] = []
        kmps = [p for p in judgement.system.packages if isinstance(p.noun, Kmp)]
        lacking = [missing(build, unit, kmps) for build in self.builds]
        of_kmps = {symbol for kmp in kmps for symbol in kmp.exports}
        if not self.is_clear or judgement.is_builtin(self.name):
            pass  # what blocks it is not what its builds lack
        elif all(any(name not in {"kernel-uname-r", *of_kmps} for name in names) for names in lacking):
            must.append({"symbols"})
        elif all(names == ["kernel-uname-r"] for names in lacking):
            must.append({"exact-kernel"})
        old = judgement.system.unit(judgement.system.used_on(judgement.kmps[self.name])).modules
        modules = judgement.modules[self.name]
        if (
            all(lacking)
            and modules <= unit.modules
            and modules <= old
            and not any(unit.obsoletes(build) for build in judgement.kmps[self.name])
        ):
            must.append({"falls-back-to-in-tree"})
        rules = {
            "modules": {"module-dropped"},
            "conflict": {"conflict"},
            "missing": {"missing", "user-space"},
            "user-space": {"user-space"},
        }
        freeing = []
        sure = False
        for rule, kinds in rules.items():
            relaxed = Judgement(judgement.system, unit.kernel, frozenset({rule})).outcomes()
            chosen = [outcome.choices[self.name] for outcome in relaxed]
            if all(decision != "blocked" for decision, _ in chosen):
                sure = all(decision in ("reuse", "fetch") for decision, _ in chosen)
                builds = [build for _, build in chosen if build is not None]
                renamed = any(  # what is obsoleted excludes what obsoletes it
                    build is not None and build.name != name
                    for outcome in (self.outcome, *relaxed)
                    for name, (_, build) in outcome.choices.items()
                )
                lent = any(
                    missing(build, unit, []) for build in builds
                )  # by another KMP, which is kept from it
                others = {"conflict", "kmp"} if renamed else {"kmp"} if lent else set()
                freeing.append(kinds | others)
        return must + (freeing if len(freeing) == 1 and sure else [])
