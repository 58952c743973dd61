"""The universe: the system and its repositories in one libsolv pool, handed out as model values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path

import solv

from kmpsolve.cache.symbols import PREFIX
from kmpsolve.errors import MetadataError
from kmpsolve.metadata.content import Content, Patch
from kmpsolve.model.evr import Evr
from kmpsolve.model.modalias import Modaliases
from kmpsolve.model.modules import Modules
from kmpsolve.model.nevra import Nevra
from kmpsolve.model.package import Barred, KernelUnit, KmpBuild, Package
from kmpsolve.model.symbols import Exports, SymbolTable, flavor_of_uname
from kmpsolve.request import Policy
from kmpsolve.solver.capabilities import Capabilities
from kmpsolve.solver.hardware import answer_for_hardware, hardware_patterns, matched_patterns
from kmpsolve.solver.joining import join
from kmpsolve.solver.trial import trial_load

__all__ = ["KernelPackage", "Universe"]

SYSTEM = "@System"

_KERNEL_NAME = re.compile(r"kernel-(?P<flavor>[A-Za-z0-9_]+)(?:-(?P<part>base|extra|optional))?")
_KMP_NAME = re.compile(r".+-kmp-(?P<flavor>[A-Za-z0-9_]+)")
_NOT_A_KMP = re.compile(r"kernel-(?!.*-kmp)|kgraft-patch-")
_LIVEPATCH = re.compile(r"kernel-livepatch-\d|kernel-\w+-livepatch|kgraft-patch-\d")
_VERSION_KREL = re.compile(r"_k(?P<krel>\d.*)$")
_VERSION_KREL_OLD = re.compile(r"_(?P<krel>\d+\.\d+.*)$")
_MODULE_FOLDER = re.compile(r"(?:/usr)?/lib/modules/([^/]+)/")
_HEADERS = re.compile(r"kernel-(?:\w+-)?(?:devel|source|syms|headers)|dkms")


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelPackage:
    """A kernel package before it is joined into a unit.

    Parameters
    ----------
    part
        ``""`` for kernel-FLAVOR itself, else base, extra or optional.
    provides
        Reads the integers of what it provides.
    requires
        Its requirements on kernel packages, as text.
    wanted
        All its requirements.
    """

    package: Package
    flavor: str
    part: str
    uname_r: str
    provides: Callable[[], frozenset[int]]
    requires: tuple[str, ...]
    wanted: frozenset[int]

    @property
    def capabilities(self) -> frozenset[int]:
        """All that it provides, symbols, modules and the rest."""
        return self.provides()


class Universe:
    """Loads contents and answers with kernels, KMPs and packages.

    Parameters
    ----------
    policy
        zypp's settings; locks, vendors and multiversion are applied here.
    rebuilt_on_host
        Tells of a package name whether the configuration says that it rebuilds itself.
    """

    def __init__(self, policy: Policy, rebuilt_on_host: Callable[[str], bool] = lambda _: False) -> None:
        self.policy = policy
        self._rebuilt_on_host = rebuilt_on_host
        self.pool = solv.Pool()
        self.pool.setdisttype(solv.Pool.DISTTYPE_RPM)
        self.table = SymbolTable(self.pool.dep2str)
        self._kinds = Capabilities(self.pool.dep2str, self.table)
        self.partial = False
        self.kernels: list[KernelPackage] = []
        self.kmps: list[KmpBuild] = []
        self.livepatches: list[Package] = []
        self.patches: list[Patch] = []
        self.arch = "noarch"
        self.hidden: frozenset[int] = frozenset()
        self.unread: frozenset[int] = frozenset()
        """Installed kernels whose symbols nobody knows; KMPs are taken to work on them now."""
        self._listed: frozenset[str] = frozenset()
        self._digests: Mapping[str, str] = {}
        self._retracted: set[str] = set()
        self._triggers: dict[str, tuple[str, ...]] = {}
        self._module_files: dict[tuple[str, str], tuple[str, ...]] = {}
        self._packages: dict[int, Package] = {}
        self._repos: dict[str, solv.Repo] = {}
        self._places: dict[str, Path | None] = {}
        self._bystanders: dict[str, tuple[tuple[int, ...], frozenset[int], frozenset[int]]] = {}

    # loading

    def load(self, content: Content) -> int:
        """Load one source; returns the number of packages in it.

        Raises
        ------
        MetadataError
            If libsolv cannot read it; the source is left out of the universe.
        """
        repo = self.pool.add_repo(content.alias)
        repo.priority = -content.priority
        if content.solv is not None:
            if not content.trusted:
                trial_load(content.solv)
            stream = solv.xfopen(str(content.solv))
            good = stream is not None and repo.add_solv(stream)
        else:
            assert content.primary is not None
            with content.primary as primary:
                stream = solv.xfopen_fd("primary.xml", primary.fileno())
                good = repo.add_rpmmd(stream, None)
        if stream is not None:
            stream.close()
        if not good:
            reason = self.pool.errstr
            repo.free(True)
            raise MetadataError(
                f"the package metadata cannot be read: {reason}",
                reference="malformed-metadata",
                where=content.source if content.alias == SYSTEM else content.alias,
                hint="refresh the repository, or have its owner create the metadata again",
            )
        self._repos[content.alias] = repo
        self._places[content.alias] = content.packages_at
        if content.alias == SYSTEM:
            self.pool.installed = repo
            self.partial = content.partial_system
            self._listed = content.listed
            self._digests = content.digests
        self._retracted |= content.retracted
        self.patches += content.patches
        self._triggers.update(content.triggers)
        for nevra, files in content.module_files.items():
            self._module_files[content.alias, nevra] = files
        return int(repo.nsolvables)

    def load_no_system(self) -> None:
        """Say that there is no system: only what repositories hold is asked about."""
        self._repos[SYSTEM] = self.pool.installed = self.pool.add_repo(SYSTEM)

    def seal(self) -> None:
        """Say that everything is loaded; finds kernels and KMPs."""
        if self._listed:
            self.unread = join(self.pool, self._listed, self._digests, self.policy.vendor_class)
        self._read_kernel_architecture()
        self._unify_vendors()
        self.pool.addfileprovides()
        self.pool.createwhatprovides()
        self._withdrawn = self.providers("retracted-patch-package()")
        self._ptf = self.providers("ptf()") | self.providers("ptf-package()")
        self._scan()
        self._read_met_before()
        self._lay_floor()
        self._match_hardware()
        self.hidden = self._find_hidden()

    def _find_hidden(self) -> frozenset[int]:
        """Candidates that zypp never chooses by itself: retracted, PTFs, locked ones."""
        handles = set(self._withdrawn | self._ptf)
        if self._retracted or self.policy.locks:
            handles.update(s.id for s in self.pool.solvables if self.package(s).barred)
        return frozenset(h for h in handles if not self.is_installed(h))

    def providers(self, capability: str) -> frozenset[int]:
        """Packages that provide a capability of this name, in whatever version."""
        return frozenset(s.id for s in self.pool.whatprovides(self.pool.str2id(capability)))

    def _read_kernel_architecture(self) -> None:
        """The architecture is that of the installed kernels, never this machine's."""
        arches: Counter[str] = Counter()
        others: Counter[str] = Counter()
        installed = self.pool.installed
        if installed is not None:
            for solvable in installed.solvables:
                if _KERNEL_NAME.fullmatch(solvable.name):
                    arches[solvable.arch] += 1
                others[solvable.arch] += 1
        for counted in (arches, others):
            counted.pop("noarch", None)
            if counted:
                self.arch = max(counted, key=lambda arch: (counted[arch], arch))
                break
        if self.arch == "noarch":
            for repo in self._repos.values():
                for solvable in repo.solvables:
                    if solvable.arch not in ("noarch", "src", "nosrc"):
                        self.arch = solvable.arch
                        break
        self.pool.setarch(self.arch)

    def _unify_vendors(self) -> None:
        """Spell all vendors of one class alike: libsolv knows no classes, only equal vendors."""
        spelled: dict[int, str] = {}
        self._vendors: dict[int, str] = {}
        classes: dict[str, list[int]] = {}
        for solvable in self.pool.solvables:
            vendorid = solvable.vendorid
            if vendorid not in spelled:
                spelled[vendorid] = solvable.vendor or ""
                classes.setdefault(self.policy.vendor_class(spelled[vendorid]), []).append(vendorid)
        self._vendor_names = spelled
        respell = {vendorid: ids[0] for ids in classes.values() for vendorid in ids if vendorid != ids[0]}
        if respell:
            for solvable in self.pool.solvables:
                if solvable.vendorid in respell:
                    self._vendors[solvable.id] = spelled[solvable.vendorid]
                    solvable.vendor = spelled[respell[solvable.vendorid]]

    # packages

    @property
    def packages(self) -> int:
        """How many packages there are, installed ones included."""
        return int(sum(repo.nsolvables for repo in self._repos.values()))

    def show_everything(self) -> None:
        """Consider every package, also what zypp would not choose by itself."""
        self.pool.set_considered_list([s.id for s in self.pool.solvables])
        self.pool.addfileprovides()
        self.pool.createwhatprovides()

    @property
    def repositories(self) -> tuple[str, ...]:
        """Aliases of what is loaded, in that order."""
        return tuple(self._repos)

    def first_handle(self, alias: str) -> int:
        """The handle of a repository's first package; the others follow."""
        return next((int(solvable.id) for solvable in self._repos[alias].solvables_iter()), 0)

    def vendor_of(self, solvable: solv.XSolvable) -> str:
        """A package's vendor as it spells itself."""
        return self._vendors.get(int(solvable.id), solvable.vendor or "")

    def package(self, solvable: solv.XSolvable) -> Package:
        """The value for a solvable; made once."""
        handle = int(solvable.id)
        known = self._packages.get(handle)
        if known is None:
            nevra = Nevra(solvable.name, Evr.parse(solvable.evr), solvable.arch)
            installed = solvable.repo.name == SYSTEM
            known = self._packages[handle] = Package(
                handle=handle,
                nevra=nevra,
                vendor=self.vendor_of(solvable),
                repository=None if installed else solvable.repo.name,
                priority=-int(solvable.repo.priority),
                barred=None if installed else self._barred(solvable, nevra),
            )
        return known

    def _barred(self, solvable: solv.XSolvable, nevra: Nevra) -> Barred | None:
        if nevra.arch != "noarch" and not self.pool.isknownarch(solvable.archid):
            return "architecture"
        if str(nevra) in self._retracted or solvable.id in self._withdrawn:
            return "retracted"
        if solvable.id in self._ptf:
            return "ptf"
        if self._lock_holds(nevra, solvable.repo.name):
            return "lock"
        return None

    def same_class(self, a: str, b: str) -> bool:
        """Whether zypp would exchange packages of vendor `a` and vendor `b`."""
        return self.policy.vendor_class(a) == self.policy.vendor_class(b)

    # kernels and KMPs

    def _having(self, pattern: str, keyname: int) -> list[solv.XSolvable]:
        found: list[solv.XSolvable] = self.pool.matchdeps(
            pattern, solv.Selection.SELECTION_GLOB, keyname
        ).solvables()
        return found

    def _places_of(self, start: str, keyname: int) -> solv.Dataiterator:
        """Where the name part of a capability starts like this, package by package."""
        return self.pool.Dataiterator(keyname, start, solv.Dataiterator.SEARCH_STRINGSTART)

    def _starting(self, start: str, keyname: int) -> set[int]:
        found: set[int] = set()
        places = self._places_of(start, keyname)
        for place in places:
            found.add(place.solvid)
            places.skip_solvable()
        return found

    def _find(self) -> tuple[set[int], set[int], dict[int, str]]:
        """Candidates for kernels and KMPs; those that provide symbols or modules; who provides which uname -r."""
        provides, requires = solv.SOLVABLE_PROVIDES, solv.SOLVABLE_REQUIRES
        symbolic = self._starting("ksym(", provides) | self._starting("kmod(", provides)
        found = self._starting("ksym(", requires)
        symbolic |= self._starting(PREFIX, provides)
        found |= self._starting(PREFIX, requires)
        unames: dict[int, str] = {}
        for place in self._places_of("kernel", provides):
            if place.str.startswith("kernel("):
                symbolic.add(place.solvid)
            elif place.str == "kernel-uname-r":
                found.add(place.solvid)
                text = self.pool.dep2str(place.id)
                if text.startswith("kernel-uname-r = "):
                    unames.setdefault(place.solvid, text[17:])
        for place in self._places_of("kernel", requires):
            if place.str.startswith("kernel(") or place.str == "kernel-uname-r":
                found.add(place.solvid)
        substring = solv.Dataiterator.SEARCH_SUBSTRING
        found.update(m.solvid for m in self.pool.Dataiterator(solv.SOLVABLE_NAME, "-kmp-", substring))
        for (alias, nevra), files in self._module_files.items():
            if any(re.search(r"/(updates|extra)/", path) for path in files):
                for s in self.pool.select(nevra, solv.Selection.SELECTION_CANON).solvables():
                    if s.repo.name == alias:
                        found.add(s.id)
        return found | symbolic, symbolic, unames

    def _scan(self) -> None:
        found, symbolic, unames = self._find()
        modules: list[solv.XSolvable] = []
        for handle in sorted(found):
            solvable = self.pool.id2solvable(handle)
            if solvable.arch in ("src", "nosrc"):
                continue
            name = solvable.name
            if _KERNEL_NAME.fullmatch(name):
                if handle in symbolic or handle in unames:
                    self.kernels.append(self._kernel(solvable, unames.get(handle, "")))
            elif _LIVEPATCH.match(name):
                if solvable.repo.name == SYSTEM:
                    self.livepatches.append(self.package(solvable))
            elif not _NOT_A_KMP.match(name):
                modules.append(solvable)
        flavors = {kernel.flavor for kernel in self.kernels}
        provided = [solvable.lookup_idarray(solv.SOLVABLE_PROVIDES) for solvable in modules]
        required = [frozenset(solvable.lookup_idarray(solv.SOLVABLE_REQUIRES)) for solvable in modules]
        self._kinds.learn(set().union(*provided, *required))
        for solvable, provides, requires in zip(modules, provided, required, strict=True):
            build = self._kmp(solvable, provides, requires, flavors)
            if build is not None:
                self.kmps.append(build)

    def _kernel(self, solvable: solv.XSolvable, uname_r: str) -> KernelPackage:
        match = _KERNEL_NAME.fullmatch(solvable.name)
        assert match is not None
        flavor, part = match["flavor"], match["part"] or ""
        package = self.package(solvable)
        if not uname_r:
            release = package.nevra.evr.release
            krel = release.rpartition(".")[0] or release
            uname_r = f"{package.nevra.evr.version}-{krel}-{flavor}"
        wanted = solvable.lookup_idarray(solv.SOLVABLE_REQUIRES)
        return KernelPackage(
            package=package,
            flavor=flavor_of_uname(uname_r) or flavor,
            part=part,
            uname_r=uname_r,
            provides=cache(partial(self._provided, package.handle)),
            requires=tuple(text for text in map(self.pool.dep2str, wanted) if text.startswith("kernel-")),
            wanted=frozenset(wanted),
        )

    def _provided(self, handle: int) -> frozenset[int]:
        return frozenset(self.pool.id2solvable(handle).lookup_idarray(solv.SOLVABLE_PROVIDES))

    def unit(self, main: KernelPackage, parts: Iterable[KernelPackage]) -> KernelUnit:
        """Join packages that serve one uname -r."""
        joined = [main, *sorted(parts, key=lambda part: part.part)]
        obsoletes: list[str] = []
        for kernel in joined:
            solvable = self.pool.id2solvable(kernel.package.handle)
            obsoletes += map(self.pool.dep2str, solvable.lookup_idarray(solv.SOLVABLE_OBSOLETES))
        return KernelUnit(
            flavor=main.flavor,
            uname_r=main.uname_r,
            main=main.package,
            packages=tuple(kernel.package for kernel in joined),
            exports=(exports := Exports(partial(_joint, joined), self.table)),
            modules=Modules(lambda: self.table.texts(exports.capabilities, "kmod(")),
            obsoletes=tuple(obsoletes),
        )

    def _kmp(
        self, solvable: solv.XSolvable, provides: list[int], requires: frozenset[int], flavors: set[str]
    ) -> KmpBuild | None:
        spell, kinds = self.pool.dep2str, self._kinds
        if not kinds.in_kernel.isdisjoint(provides):
            return None
        package = self.package(solvable)
        modules = kinds.modules.intersection(provides)
        exports = kinds.symbols.intersection(provides)
        needs = requires & kinds.needs
        damaged = [spell(capability) for capability in requires & kinds.damaged]
        tally = {
            flavor: those
            for flavor, those in kinds.by_flavor.items()
            if flavor and not (needs.isdisjoint(those) and exports.isdisjoint(those))
        }
        built_for = next((kinds.built_for[c] for c in reversed(provides) if c in kinds.built_for), "")
        files = self._module_files.get((solvable.repo.name, str(package.nevra)), ())
        folders = frozenset(match[1] for match in map(_MODULE_FOLDER.match, files) if match)
        named = _KMP_NAME.fullmatch(package.name)
        if not (modules or exports or needs or damaged or folders) and not (
            named and named["flavor"] in flavors
        ):
            return None
        if not (modules or exports or folders) and not named:
            return None
        if tally:
            flavor = max(tally, key=lambda f: (len(exports & tally[f]) + len(needs & tally[f]), f))
        elif named:
            flavor = named["flavor"]
        else:
            flavor = next(iter(sorted(filter(None, map(flavor_of_uname, folders)))), "")
            flavor = flavor or self._flavor_hint(solvable, flavors)
        version = package.nevra.evr.version
        if not built_for:
            match = _VERSION_KREL.search(version) or _VERSION_KREL_OLD.search(version)
            built_for = match["krel"] if match else ""
        triggers = self._triggers.get(str(package.nevra), ())
        return KmpBuild(
            package=package,
            flavor=flavor,
            needs=needs,
            damaged=tuple(sorted(damaged)),
            exports=Exports(lambda: exports, self.table),
            modules=Modules(lambda: map(spell, modules)),
            obsoletes=tuple(map(spell, solvable.lookup_idarray(solv.SOLVABLE_OBSOLETES))),
            built_for=built_for.replace("-", "_"),
            module_folders=folders,
            multiversion=not kinds.multiversion.isdisjoint(provides),
            rebuilds_on_host=any(map(_HEADERS.fullmatch, triggers)) or self._rebuilt_on_host(package.name),
        )

    def _flavor_hint(self, solvable: solv.XSolvable, flavors: set[str]) -> str:
        """The flavor that a package without symbols and without a telling name enhances."""
        for keyname in (solv.SOLVABLE_ENHANCES, solv.SOLVABLE_SUPPLEMENTS, solv.SOLVABLE_REQUIRES):
            for capability in solvable.lookup_idarray(keyname):
                for flavor in sorted(flavors):
                    if re.search(rf"\bkernel-{re.escape(flavor)}\b", self.pool.dep2str(capability)):
                        return flavor
        return ""

    # the rest of the system

    @cached_property
    def installed_kmp_names(self) -> frozenset[str]:
        """Names of the KMPs on the system."""
        return frozenset(build.name for build in self.kmps if build.package.installed)

    @cached_property
    def _kernel_and_kmp_handles(self) -> frozenset[int]:
        return frozenset(
            [kernel.package.handle for kernel in self.kernels] + [b.package.handle for b in self.kmps]
        )

    @cached_property
    def locked_user_space(self) -> tuple[int, ...]:
        """Installed packages, neither kernels nor KMPs, that a lock keeps as they are."""
        if not self.policy.locks or self.pool.installed is None:
            return ()
        return tuple(
            solvable.id
            for solvable in self.pool.installed.solvables
            if solvable.id not in self._kernel_and_kmp_handles and self.locked(self.package(solvable))
        )

    def locked(self, package: Package) -> bool:
        """Whether a lock holds `package`."""
        return self._lock_holds(package.nevra, package.repository or SYSTEM)

    def _lock_holds(self, nevra: Nevra, alias: str) -> bool:
        return any(
            lock.matches(nevra.name, nevra.evr, nevra.arch, alias, alias == SYSTEM)
            for lock in self.policy.locks
        )

    def _met(self, capability: int, without: frozenset[int] = frozenset()) -> bool:
        """Whether an installed package outside `without` provides a capability on the true system."""
        return any(
            solvable.repo is None or (solvable.repo.name == SYSTEM and solvable.id not in without)
            for solvable in self.pool.whatprovides(capability)
        )

    @cached_property
    def _requirements(self) -> dict[int, list[int]]:
        """Requirement -> installed packages that have it, kernels and KMPs left out."""
        asked: dict[int, list[int]] = {}
        if self.pool.installed is not None:
            for solvable in self.pool.installed.solvables:
                if solvable.id not in self._kernel_and_kmp_handles:
                    for capability in solvable.lookup_idarray(solv.SOLVABLE_REQUIRES):
                        asked.setdefault(capability, []).append(solvable.id)
        return asked

    def prepare(self, flavor: str) -> None:
        """Learn from the true system what a projection of `flavor` has to keep whole."""
        if flavor in self._bystanders:
            return
        kernels = frozenset(
            k.package.handle for k in self.kernels if k.package.installed and k.flavor == flavor
        )
        kmps = frozenset(
            b.package.handle for b in self.kmps if b.package.installed and b.flavor in (flavor, "")
        )
        moved = kernels | kmps
        verify: set[int] = set()
        spell = self.pool.dep2str
        provided = {
            spell(capability).partition(" ")[0]
            for handle in kmps
            for capability in self.pool.id2solvable(handle).lookup_idarray(solv.SOLVABLE_PROVIDES)
        }
        for capability, packages in self._requirements.items():
            text = spell(capability)
            asked_of_kmp = text.startswith("(") or text.partition(" ")[0] in provided
            if asked_of_kmp and self._met(capability) and not self._met(capability, kmps):
                verify.update(packages)
        unmet: set[int] = set()
        for handle in verify:
            for capability in self.pool.id2solvable(handle).lookup_idarray(solv.SOLVABLE_REQUIRES):
                if not self._met(capability, kernels):
                    unmet.add(capability)
        multiple = {
            solvable.id
            for job in self._multiversion_solvables()
            for solvable in job
            if solvable.repo.name == SYSTEM and solvable.id not in moved
        }
        self._bystanders[flavor] = (tuple(sorted(verify)), frozenset(unmet), frozenset(multiple))

    def pinned(self, flavor: str) -> tuple[tuple[Package, str, frozenset[int]], ...]:
        """Installed packages that need what only KMPs of this flavor provide: who, what, providers."""
        self.prepare(flavor)
        kmps = frozenset(
            b.package.handle for b in self.kmps if b.package.installed and b.flavor in (flavor, "")
        )
        found = []
        for handle in self._bystanders[flavor][0]:
            for capability in self.pool.id2solvable(handle).lookup_idarray(solv.SOLVABLE_REQUIRES):
                if self._met(capability) and not self._met(capability, kmps):
                    providers = frozenset(s.id for s in self.pool.whatprovides(capability))
                    package = self.package(self.pool.id2solvable(handle))
                    found.append((package, self.pool.dep2str(capability), providers))
        return tuple(found)

    def bystanders(
        self, flavor: str, moved: frozenset[int]
    ) -> tuple[tuple[int, ...], frozenset[int], frozenset[int]]:
        """For a projection: whom to verify, what counts as met, which installed ones stand side by side."""
        self.prepare(flavor)
        return self._bystanders[flavor]

    def _multiversion_solvables(self) -> list[list[solv.XSolvable]]:
        found = []
        for spec in self.policy.multiversion:
            if spec.startswith("provides:"):
                found.append(list(self.pool.whatprovides(self.pool.Dep(spec.removeprefix("provides:")))))
            else:
                selection = self.pool.select(
                    spec, solv.Selection.SELECTION_NAME | solv.Selection.SELECTION_GLOB
                )
                found.append(list(selection.solvables()))
        return found

    def met_before(self, package: Package) -> frozenset[int]:
        """Requirements of a KMP that count as met, by handle-free capability integers.

        For an installed one, what is unmet on the true system already; for an inventory of kernels and
        KMPs only, also what neither it nor a repository mentions.
        """
        return self._met_before.get(package.handle, frozenset())

    def _read_met_before(self) -> None:
        self._met_before: dict[int, frozenset[int]] = {}
        self.user_space_unknown: set[str] = set()
        for build in self.kmps:
            solvable = self.pool.id2solvable(build.package.handle)
            kept = set()
            for capability in frozenset(solvable.lookup_idarray(solv.SOLVABLE_REQUIRES)) - build.needs:
                providers = self.pool.whatprovides(capability)
                if build.package.installed:
                    # rpm's own promises (rpmlib(...)) are the system solvable's, which is in no repo.
                    if not any(p.repo is None or p.repo.name == SYSTEM for p in providers):
                        kept.add(capability)
                elif self._kernels_and_kmps_only and not providers and not self._mentioned(capability):
                    kept.add(capability)
            if kept:
                self._met_before[build.package.handle] = frozenset(kept)
                if self._kernels_and_kmps_only:
                    texts = (self.pool.dep2str(c) for c in kept if self.table.need(c) is None)
                    self.user_space_unknown.update(texts)

    def _lay_floor(self) -> None:
        """Let an installed stand-in provide what counts as met for builds from repositories."""
        met = {
            capability
            for build in self.kmps
            if not build.package.installed
            for capability in self._met_before.get(build.package.handle, ())
        }
        if met and self.pool.installed is not None:
            floor = self.pool.installed.add_solvable()
            floor.name, floor.evr, floor.arch = "kmpsolve-met-on-the-host", "0-0", "noarch"
            for capability in sorted(met):
                floor.add_deparray(solv.SOLVABLE_PROVIDES, capability)
            self.pool.createwhatprovides()

    @cached_property
    def _kernels_and_kmps_only(self) -> bool:
        """Whether the system lists no user space at all, as an inventory may."""
        return self.partial or all(
            handle in self._kernel_and_kmp_handles or self.belongs_to_kernels(handle)
            for handle in self.installed_handles
        )

    def _mentioned(self, capability: int) -> bool:
        """Whether any package provides the name of a capability, in whatever version."""
        name = self.pool.dep2str(capability).partition(" ")[0]
        return bool(self.pool.whatprovides(self.pool.str2id(name)))

    @contextmanager
    def naming(self, packages: Iterable[Package]) -> Iterator[None]:
        """A context in which `packages` count although zypp would not choose some of them by itself."""
        named = self.hidden & {package.handle for package in packages}
        if not named:
            yield
            return
        self.show_true_system(named)
        try:
            yield
        finally:
            self.show_true_system()

    def show_true_system(self, named: frozenset[int] = frozenset()) -> None:
        """Consider every package again, on the system as it is.

        Parameters
        ----------
        named
            Packages that count although zypp would not choose them by itself.
        """
        hidden = self.hidden - named
        self.pool.set_considered_list([s.id for s in self.pool.solvables if s.id not in hidden])
        self.pool.addfileprovides()
        self.pool.createwhatprovides()
        self._match_hardware()

    @cached_property
    def _hardware_patterns(self) -> tuple[str, ...]:
        return hardware_patterns(self.pool)

    def supplemented(self, package: Package, devices: Modaliases) -> tuple[str, ...]:
        """The patterns for which a package supplements this machine's hardware, sorted."""
        return matched_patterns(self.pool, self.pool.id2solvable(package.handle), devices, SYSTEM)

    def _match_hardware(self) -> None:
        """Let Supplements on hardware count as they do for zypper, where the machine is at hand."""
        if self.policy.devices is not None and self._hardware_patterns:
            answer_for_hardware(self.pool, self._hardware_patterns, self.policy.devices())

    @cached_property
    def locked_kernels_and_kmps(self) -> tuple[int, ...]:
        """Installed kernels and KMPs that a lock keeps as they are."""
        return tuple(
            package.handle
            for package in [k.package for k in self.kernels] + [b.package for b in self.kmps]
            if package.installed and self.policy.locks and self.locked(package)
        )

    def obsoleting(self, name: str) -> tuple[tuple[Package, tuple[str, ...]], ...]:
        """Packages that obsolete packages called `name`, with all their Obsoletes."""
        spell = self.pool.dep2str
        return tuple(
            (self.package(s), tuple(map(spell, s.lookup_idarray(solv.SOLVABLE_OBSOLETES))))
            for s in self._having(name, solv.SOLVABLE_OBSOLETES)
        )

    def called(self, name: str) -> list[Package]:
        """All packages of a name, installed ones included."""
        return [self.package(s) for s in self.pool.select(name, solv.Selection.SELECTION_NAME).solvables()]

    def is_installed(self, handle: int) -> bool:
        """Whether a handle is an installed package."""
        return self.package(self.pool.id2solvable(handle)).installed

    def name_of(self, handle: int) -> str:
        """The NEVRA behind a handle."""
        return str(self.package(self.pool.id2solvable(handle)))

    def siblings(self, name: str, unit: KernelUnit) -> list[Package]:
        """Packages of a name that belong to exactly this kernel: same version and release."""
        return [
            package
            for package in map(
                self.package, self.pool.select(name, solv.Selection.SELECTION_NAME).solvables()
            )
            if package.nevra.evr == unit.nevra.evr
        ]

    def headers(self, unit: KernelUnit) -> tuple[Package, ...] | None:
        """kernel-FLAVOR-devel for a unit: installed already, or on offer where some version is installed.

        ``None`` if what rebuilds itself on the host would not find them.
        """
        name = f"kernel-{unit.flavor}-devel"
        found = [self.package(s) for s in self.pool.select(name, solv.Selection.SELECTION_NAME).solvables()]
        matching = [p for p in self.siblings(name, unit) if p.barred is None]
        if any(p.installed for p in matching):
            return ()
        if matching and any(p.installed for p in found):
            return (min(matching, key=lambda p: (p.priority, p.repository or "")),)
        return None

    def installed_evrs(self, names: Iterable[str]) -> dict[str, list[Evr]]:
        """EVRs of the installed packages of these names."""
        found: dict[str, list[Evr]] = {}
        for name in names:
            for solvable in self.pool.select(name, solv.Selection.SELECTION_NAME).solvables():
                if solvable.repo.name == SYSTEM:
                    found.setdefault(name, []).append(self.package(solvable).nevra.evr)
        return found

    # what purging asks

    @cached_property
    def installed_handles(self) -> frozenset[int]:
        """Every installed package."""
        installed = self.pool.installed
        return frozenset(s.id for s in installed.solvables) if installed is not None else frozenset()

    @cached_property
    def leaning(self) -> frozenset[int]:
        """Installed packages, neither kernels nor KMPs, with a requirement that only these may meet."""
        names = {
            self.pool.dep2str(capability).partition(" ")[0]
            for handle in self._kernel_and_kmp_handles & self.installed_handles
            for capability in self.pool.id2solvable(handle).lookup_idarray(solv.SOLVABLE_PROVIDES)
        }
        return frozenset(
            handle
            for capability, packages in self._requirements.items()
            if (text := self.pool.dep2str(capability)).partition(" ")[0] in names or text.startswith("(")
            for handle in packages
        )

    def belongs_to_kernels(self, handle: int) -> bool:
        """Whether a package is one of a kernel's siblings, such as -devel, -source or -syms."""
        name: str = self.pool.id2solvable(handle).name
        return name.startswith("kernel-")

    def symbol_capabilities(self, handle: int) -> frozenset[int]:
        """The capabilities of a kernel or KMP that symbol requirements may name."""
        provider = self._symbol_providers.get(handle)
        return provider.capabilities if provider is not None else frozenset()

    @cached_property
    def _symbol_providers(self) -> dict[int, KernelPackage | Exports]:
        kernels = {kernel.package.handle: kernel for kernel in self.kernels}
        return {**kernels, **{build.package.handle: build.exports for build in self.kmps}}

    def own_provides(self, handle: int) -> tuple[Evr, ...]:
        """The EVRs with which a package provides its own name."""
        solvable = self.pool.id2solvable(handle)
        lead = f"{solvable.name} = "
        return tuple(
            Evr.parse(text.removeprefix(lead))
            for text in map(self.pool.dep2str, solvable.lookup_idarray(solv.SOLVABLE_PROVIDES))
            if text.startswith(lead)
        )

    def file_of(self, package: Package) -> Path | None:
        """The RPM of a package from a repository, if it lies on this machine."""
        place = self._places.get(package.repository or SYSTEM)
        if place is None:
            return None
        location, _ = self.pool.id2solvable(package.handle).lookup_location()
        if not location:
            return None
        path = place / location
        # The location is the repository's word: it may not lead out of its folder.
        inside = path.resolve().is_relative_to(place.resolve())
        return path if inside and path.is_file() else None

    def spelled(self, exports: Exports) -> list[str]:
        """The capabilities of an exports set as text, sorted."""
        return sorted(self.table.texts(exports.capabilities))


def _joint(kernels: Iterable[KernelPackage]) -> frozenset[int]:
    return frozenset().union(*(kernel.capabilities for kernel in kernels))
