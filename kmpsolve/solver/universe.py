"""The universe: the system and its repositories in one libsolv pool, handed out as model values."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import solv

from kmpsolve.metadata.content import Content, Patch
from kmpsolve.model.evr import Evr
from kmpsolve.model.modalias import Modaliases
from kmpsolve.model.nevra import Nevra
from kmpsolve.model.package import KernelUnit, KmpBuild, Package
from kmpsolve.model.symbols import Exports, SymbolTable
from kmpsolve.request import LockRule, Policy
from kmpsolve.solver.finding import find
from kmpsolve.solver.hardware import answer_for_hardware, hardware_patterns, matched_patterns
from kmpsolve.solver.joining import join
from kmpsolve.solver.kernels import KernelPackage, read_kernel, unit_of
from kmpsolve.solver.kmps import Kmps
from kmpsolve.solver.packages import Packages
from kmpsolve.solver.relations import copy_package
from kmpsolve.solver.sources import kernel_architecture, load_into
from kmpsolve.solver.userspace import SYSTEM, Bystanders, UserSpace

__all__ = ["SYSTEM", "KernelPackage", "Universe"]


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
        self.partial = self.whole = False
        self.kernels: list[KernelPackage] = []
        self.livepatches: list[Package] = []
        self.in_tree: list[Package] = []
        """Installed in-tree KMPs that belong to no unit, since no KMP needs their symbols."""
        self.patches_unread: Callable[[], Iterable[Patch]] | None = None
        """Reads patches that no content told; nobody but who asks for patches waits for it."""
        self._patches: list[Patch] = []
        self.hidden: frozenset[int] = frozenset()
        self._left_out: frozenset[int] = frozenset()
        self.unread: frozenset[int] = frozenset()
        """Installed kernels whose symbols nobody knows; KMPs are taken to work on them now."""
        self.told_in_part: frozenset[int] = frozenset()
        """Installed kernels of which no more is known than what the KMPs installed beside them need."""
        self._listed: frozenset[str] = frozenset()
        self._digests: Mapping[str, str] = {}
        self._retracted: dict[str, frozenset[str]] = {}
        self._triggers: dict[str, tuple[str, ...]] = {}
        self._module_files: dict[tuple[str, str], tuple[str, ...]] = {}
        self._repos: dict[str, solv.Repo] = {}
        self._places: dict[str, Path | None] = {}
        self._packages = Packages(self.pool, policy, self._retracted)

    # loading

    def load(self, content: Content) -> int:
        """Load one source; returns the number of packages in it.

        Raises
        ------
        MetadataError
            If libsolv cannot read it; the source is left out of the universe.
        """
        return self._register(content, load_into(self.pool, content))

    def load_part(self, content: Content, place: Path, numbers: Iterable[int]) -> dict[int, int]:
        """Load a system whose packages stand in a ``.solv`` file of ours, among others.

        Parameters
        ----------
        content
            What is known of it besides.
        numbers
            Which packages, counted from 0.

        Returns
        -------
        dict
            Handle -> number.
        """
        several = load_into(self.pool, Content(alias="", source=content.source, solv=place, trusted=True))
        first = next((int(solvable.id) for solvable in several.solvables_iter()), 0)
        repo = self.pool.add_repo(content.alias)
        handles = {
            int(copy_package(repo, self.pool.id2solvable(first + number)).id): number for number in numbers
        }
        several.free(True)
        self._register(content, repo)
        return handles

    def _register(self, content: Content, repo: solv.Repo) -> int:
        self._repos[content.alias] = repo
        self._places[content.alias] = content.packages_at
        if content.alias == SYSTEM:
            self.pool.installed = repo
            self.partial, self.whole = content.partial_system, content.whole_system
            self._listed = content.listed
            self._digests = content.digests
        if content.retracted:
            self._retracted[content.alias] = content.retracted
        self._patches += content.patches
        self._triggers.update(content.triggers)
        for nevra, files in content.module_files.items():
            self._module_files[content.alias, nevra] = files
        return int(repo.nsolvables)

    def load_no_system(self) -> None:
        """Say that there is no system: only what repositories hold is asked about."""
        self._repos[SYSTEM] = self.pool.installed = self.pool.add_repo(SYSTEM)

    def seal(self, *, one_system: bool = True) -> None:
        """Say that everything is loaded; finds kernels and KMPs.

        Parameters
        ----------
        one_system
            False if the installed packages are those of many hosts, of whatever architecture.
        """
        if self._listed:
            self.unread, self.told_in_part = join(
                self.pool, self._listed, self._digests, self.policy.vendor_class
            )
        if one_system:
            self.pool.setarch(kernel_architecture(self.pool, self._repos.values()))
        self._packages.unify_vendors()
        self.pool.addfileprovides()
        self.pool.createwhatprovides()
        self.hidden = self._packages.find_hidden()
        self._scan()
        if one_system and self.installed_handles:
            self._user_space.read_met_before(
                self.near_kmps() if self._user_space.unlisted else self.installed_kmps
            )
        self._match_hardware()

    def _scan(self) -> None:
        found = find(self.pool, self._module_files, classes=self.table.classes is not None)
        self.kernels = [read_kernel(self.pool, self._packages.of(h), u) for h, u in found.kernels.items()]
        self.livepatches = [p for p in map(self._packages.of, found.livepatches) if p.installed]
        self._kmps = Kmps(
            self.pool,
            self.table,
            found.modular,
            self.package,
            flavors={kernel.flavor for kernel in self.kernels},
            triggers=self._triggers,
            module_files=self._module_files,
            rebuilt_on_host=self._rebuilt_on_host,
        )
        lending = self._kmps.lending_in_tree()
        self.kernels += [read_kernel(self.pool, self._packages.of(handle), "") for handle in lending]
        self.in_tree = [
            package
            for package in map(self._packages.of, self._kmps.in_tree)
            if package.installed and package.handle not in lending
        ]
        self._user_space = UserSpace(
            self.pool,
            self.table,
            self.kernels,
            self._kmps.installed,
            self._multiversion_solvables,
            partial=self.partial,
            whole=self.whole,
        )

    # packages

    @property
    def patches(self) -> Sequence[Patch]:
        """The patches of all repositories."""
        if self.patches_unread is not None:
            unread, self.patches_unread = self.patches_unread, None
            self._patches += unread()
        return self._patches

    @property
    def packages(self) -> int:
        """How many packages there are, installed ones included."""
        return int(sum(repo.nsolvables for repo in self._repos.values()))

    def providers(self, capability: str) -> frozenset[int]:
        """Packages that provide a capability of this name, in whatever version."""
        return self._packages.providers(capability)

    def show_everything(self) -> None:
        """Consider every package, also what zypp would not choose by itself."""
        self.leave_out(())

    def leave_out(self, handles: Collection[int]) -> None:
        """Consider every package but these."""
        self._left_out = frozenset(handles)
        self.pool.set_disabled_list([])  # libsolv's map of them does not grow with the pool
        if handles:
            self.pool.set_disabled_list(sorted(handles))
        self.pool.addfileprovides()
        self.pool.createwhatprovides()

    @property
    def repositories(self) -> tuple[str, ...]:
        """Aliases of what is loaded: the system, then the repositories in the order in which they were loaded."""
        return tuple(sorted(self._repos, key=lambda alias: alias != SYSTEM))

    def first_handle(self, alias: str) -> int:
        """The handle of a repository's first package; the others follow."""
        return next((int(solvable.id) for solvable in self._repos[alias].solvables_iter()), 0)

    def vendor_of(self, solvable: solv.XSolvable) -> str:
        """A package's vendor as it spells itself."""
        return self._packages.vendor_of(solvable)

    def package(self, solvable: solv.XSolvable) -> Package:
        """The value for a solvable; made once."""
        return self._packages.value(solvable)

    def locked(self, package: Package) -> bool:
        """Whether a lock holds `package`."""
        return any(self._packages.locks_on(package))

    def locks_on(self, package: Package) -> Iterator[LockRule]:
        """The locks that hold `package`."""
        return self._packages.locks_on(package)

    def retracted(self, package: Package) -> bool:
        """Whether a repository retracts the NEVRA of a package, which may be installed."""
        return any(str(package.nevra) in nevras for nevras in self._retracted.values()) or any(
            other.nevra == package.nevra and other.barred == "retracted"
            for other in self.called(package.name)
        )

    def replaces(self, new: Package, old: Package) -> bool:
        """Whether an installed package cannot stay where a new one comes in."""
        solvable = self.pool.id2solvable(new.handle)
        if new.name == old.name and new.handle not in self._multiversion:
            return True
        excluded = solvable.lookup_idarray(solv.SOLVABLE_CONFLICTS)
        return any(old.handle == s.id for capability in excluded for s in self.pool.whatprovides(capability))

    @cached_property
    def _multiversion(self) -> frozenset[int]:
        return frozenset(int(solvable.id) for solvable in self._multiversion_solvables())

    def same_class(self, a: str, b: str) -> bool:
        """Whether zypp would exchange packages of vendor `a` and vendor `b`."""
        return self.policy.vendor_class(a) == self.policy.vendor_class(b)

    # kernels and KMPs

    def unit(self, main: KernelPackage, parts: Iterable[KernelPackage]) -> KernelUnit:
        """Join packages that serve one uname -r."""
        return unit_of(self.pool, self.table, main, parts)

    @property
    def standing_flavors(self) -> frozenset[str]:
        """Flavors of which a kernel is installed."""
        return frozenset(k.flavor for k in self.kernels if k.package.installed and k.part in ("", "base"))

    @property
    def kmps(self) -> list[KmpBuild]:
        """Every KMP build there is, which takes its time to read."""
        return self._kmps.everything

    def kmp(self, handle: int) -> KmpBuild | None:
        """The KMP build behind a handle; ``None`` if it is something else."""
        return self._kmps.build(handle)

    def knows_in_tree(self, nevra: Nevra) -> bool:
        """Whether this is an in-tree KMP, installed or on offer."""
        return any(self._packages.of(handle).nevra == nevra for handle in self._kmps.in_tree)

    def of_one_flavor(self, build: KmpBuild) -> bool:
        """Whether all symbols that a build needs are of one flavor."""
        return self._kmps.of_one_flavor(build)

    @property
    def installed_kmps(self) -> list[KmpBuild]:
        """The builds on the system."""
        return self._kmps.installed

    def near_kmps(self, names: Iterable[str] = ()) -> list[KmpBuild]:
        """The builds that may matter to what is installed and to KMPs of these names (`Kmps.near`)."""
        return self._kmps.near(names)

    def lending(self, symbols: Collection[str], modules: Iterable[str]) -> set[int]:
        """Handles of the builds with one of these symbols or modules (`Kmps.lending`)."""
        return self._kmps.lending(symbols, modules)

    def widened(self) -> list[KmpBuild]:
        """Every KMP build, now that any of them may be chosen."""
        if self._user_space.unlisted:
            self._user_space.read_met_before(self.kmps)
        return self.kmps

    @property
    def kmp_handles(self) -> frozenset[int]:
        """Of every build there is."""
        return self._kmps.handles

    @cached_property
    def installed_kmp_names(self) -> frozenset[str]:
        """Names of the KMPs on the system."""
        return frozenset(build.name for build in self.installed_kmps)

    # the rest of the system

    @property
    def installed_handles(self) -> frozenset[int]:
        """Every installed package."""
        return self._user_space.installed

    @property
    def leaning(self) -> frozenset[int]:
        """Installed packages, neither kernels nor KMPs, with a requirement that only these may meet."""
        return self._user_space.leaning

    def taken_as_met(self, packages: Iterable[Package]) -> set[str]:
        """What these, and the installed KMPs, require of a user space that an inventory does not list."""
        if not self._user_space.unlisted:
            return set()
        return self._user_space.taken_as_met([*(build.package for build in self.installed_kmps), *packages])

    def taken_as_absent(self, packages: Iterable[Package]) -> set[str]:
        """What KMPs among these exclude of a user space that an inventory does not list."""
        if self.whole or not self._user_space.unlisted:
            return set()
        kmps = [package for package in packages if self.kmp(package.handle)]
        return self._user_space.taken_as_absent(kmps, [build.package for build in self.installed_kmps])

    @property
    def stand_ins(self) -> set[int]:
        """Handles of installed packages that are not really there (`UserSpace.read_met_before`)."""
        return self._user_space.stand_ins

    def bystanders(self, flavor: str) -> Bystanders:
        """What a projection of `flavor` has to keep whole."""
        return self._user_space.bystanders(flavor)

    @property
    def at_odds(self) -> tuple[int, ...]:
        """Installed packages that conflict with an installed KMP all the same; to be asked as `bystanders` is."""
        return self._user_space.at_odds

    def met_by_kernels(self, flavor: str) -> dict[int, frozenset[int]]:
        """Requirements of installed packages that a projection of `flavor` may take for met."""
        return self._user_space.met_by_kernels(flavor)

    def pinned(
        self, flavor: str, arriving: Iterable[Package] = ()
    ) -> tuple[tuple[Package, str, frozenset[int]], ...]:
        """Packages, installed or arriving, that need what only installed KMPs of this flavor provide: who, what,
        providers.
        """
        handles = [package.handle for package in arriving]
        return tuple(
            (self._packages.of(handle), capability, providers)
            for handle, capability, providers in self._user_space.pinned(flavor, handles)
        )

    @cached_property
    def locked_user_space(self) -> tuple[int, ...]:
        """Installed packages, neither kernels nor KMPs, that a lock keeps as they are."""
        if not self.policy.locks:
            return ()
        around = self.installed_handles - self._user_space.kernels_and_kmps
        return tuple(handle for handle in sorted(around) if self.locked(self._packages.of(handle)))

    @cached_property
    def locked_kernels_and_kmps(self) -> tuple[int, ...]:
        """Installed kernels and KMPs that a lock keeps as they are."""
        packages = [k.package for k in self.kernels] + [b.package for b in self.installed_kmps]
        return tuple(p.handle for p in packages if p.installed and self.locked(p))

    @property
    def multiversion_specs(self) -> tuple[str, ...]:
        """zypp's ``multiversion``; bytes that are no text name no package, and libsolv takes none."""
        return tuple(
            spec for spec in self.policy.multiversion if spec == spec.encode(errors="ignore").decode()
        )

    def _multiversion_solvables(self) -> list[solv.XSolvable]:
        found = []
        for spec in self.multiversion_specs:
            if spec.startswith("provides:"):
                found += self.pool.whatprovides(self.pool.Dep(spec.removeprefix("provides:")))
            else:
                found += self.pool.select(spec, solv.Selection.SELECTION_NAME).solvables()
        return found

    @contextmanager
    def naming(self, packages: Iterable[Package]) -> Iterator[None]:
        """A context in which `packages` count although zypp would not choose some of them by itself."""
        with self.showing(self.hidden & {package.handle for package in packages}):
            yield

    @contextmanager
    def showing(self, named: frozenset[int]) -> Iterator[None]:
        """A context in which the solver sees the true system and of what is hidden these."""
        before = self._left_out
        if before == self.hidden - named:
            yield
            return
        self.show_true_system(named)
        try:
            yield
        finally:
            self.show_true_system(self.hidden - before)

    def show_true_system(self, named: frozenset[int] = frozenset()) -> None:
        """Consider every package again, on the system as it is.

        Parameters
        ----------
        named
            Packages that count although zypp would not choose them by itself.
        """
        self.leave_out(self.hidden - named)
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

    def obsoleting(self, name: str) -> tuple[tuple[Package, tuple[str, ...]], ...]:
        """Packages that obsolete packages called `name`, with all their Obsoletes."""
        spell = self.pool.dep2str
        return tuple(
            (self.package(s), tuple(map(spell, s.lookup_idarray(solv.SOLVABLE_OBSOLETES))))
            for s in self.pool.matchdeps(
                name, solv.Selection.SELECTION_GLOB, solv.SOLVABLE_OBSOLETES
            ).solvables()
        )

    def called(self, name: str) -> list[Package]:
        """All packages of a name, installed ones included."""
        return [self.package(s) for s in self.pool.select(name, solv.Selection.SELECTION_NAME).solvables()]

    def is_installed(self, handle: int) -> bool:
        """Whether a handle is an installed package."""
        return self._packages.of(handle).installed

    def name_of(self, handle: int) -> str:
        """The NEVRA behind a handle."""
        return str(self._packages.of(handle))

    def siblings(self, name: str, unit: KernelUnit) -> list[Package]:
        """Packages of a name that belong to exactly this kernel."""
        return [package for package in self.called(name) if unit.made_with(package.nevra)]

    def headers(self, unit: KernelUnit) -> tuple[Package, ...] | None:
        """kernel-FLAVOR-devel for a unit: installed already, or on offer where some version is installed.

        Those on offer are of the kernel's vendor class, as its other parts are. ``None`` if what rebuilds itself
        on the host would not find them.
        """
        found = self.called(f"kernel-{unit.flavor}-devel")
        matching = [
            p
            for p in found
            if unit.made_with(p.nevra)
            and p.barred is None
            and (p.installed or self.same_class(p.vendor, unit.main.vendor))
        ]
        if any(p.installed for p in matching):
            return ()
        if matching and any(p.installed for p in found):
            return (min(matching, key=lambda p: (p.priority, p.repository or "")),)
        return None

    def installed_evrs(self, names: Iterable[str]) -> dict[str, list[Evr]]:
        """EVRs of the installed packages of these names."""
        found = {name: [p.nevra.evr for p in self.called(name) if p.installed] for name in names}
        return {name: evrs for name, evrs in found.items() if evrs}

    def file_of(self, package: Package) -> Path | None:
        """The RPM of a package from a repository, if it lies on this machine."""
        place = self._places.get(package.repository or SYSTEM)
        if place is None:
            return None
        # Of a package without a location some bindings say None and a number, and others the number alone.
        told = self.pool.id2solvable(package.handle).lookup_location()
        if isinstance(told, int) or not told or not told[0]:
            return None
        path = place / told[0]
        # The location is the repository's word: it may not lead out of its folder.
        inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(place))
        # pathlib passes on what else may be wrong with a name or a folder; nobody can look there, and that is all.
        return path if inside and os.path.isfile(path) else None  # noqa: PTH113

    def spelled(self, exports: Exports) -> list[str]:
        """The capabilities of an exports set as text, sorted."""
        return sorted(self.table.texts(exports.capabilities))
