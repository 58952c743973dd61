"""KMPs: recognised by what they provide and require, and read as far as somebody asks.

A distribution and its partners offer thousands of builds, each with hundreds of symbols; a system uses a dozen
of these KMPs. What a KMP provides is read of all of them, what it requires only of those that are *near*: the
builds of installed KMPs, what obsoletes these, and KMPs with a symbol that one of the near ones asks for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property

import solv

from kmpsolve.model.modules import Modules
from kmpsolve.model.needs import flavor_of_uname
from kmpsolve.model.package import KmpBuild, Package
from kmpsolve.model.symbols import Exports, SymbolTable
from kmpsolve.solver.capabilities import Capabilities
from kmpsolve.solver.kernels import KMOD_NAME
from kmpsolve.solver.relations import relation, required

__all__ = ["Kmps"]

_KMP_NAME = re.compile(r".+-kmp-(?P<flavor>[A-Za-z0-9_]+)")
_VERSION_KREL = re.compile(r"_k(?P<krel>\d.*)$")
_VERSION_KREL_OLD = re.compile(r"_(?P<krel>\d+\.\d+.*)$")
_MODULE_FOLDER = re.compile(r"(?:/usr)?/lib/modules/([^/]+)/")
_HEADERS = re.compile(r"kernel-(?:(?P<flavor>\w+)-)?(?:devel|source|syms|headers)|dkms")


class Kmps:
    """The KMP builds of a pool.

    Parameters
    ----------
    modular
        Handles of what may be a KMP.
    package
        The value for a solvable.
    flavors
        Flavors of the kernels.
    triggers, module_files
        As told by RPM headers: NEVRA -> names, (alias, NEVRA) -> paths.
    rebuilt_on_host
        Tells of a package name whether the configuration says that it rebuilds itself.
    """

    def __init__(
        self,
        pool: solv.Pool,
        table: SymbolTable,
        modular: Iterable[int],
        package: Callable[[solv.XSolvable], Package],
        *,
        flavors: set[str],
        triggers: Mapping[str, tuple[str, ...]],
        module_files: Mapping[tuple[str, str], tuple[str, ...]],
        rebuilt_on_host: Callable[[str], bool],
    ) -> None:
        self._pool = pool
        self._table = table
        self._kinds = Capabilities(table)
        self._package = package
        self._flavors = flavors
        self._triggers = triggers
        self._module_files = module_files
        self._rebuilt_on_host = rebuilt_on_host
        solvables = {handle: pool.id2solvable(handle) for handle in modular}
        provided = {h: s.lookup_idarray(solv.SOLVABLE_PROVIDES) for h, s in solvables.items()}
        self._kinds.learn(set().union(*provided.values()))
        in_kernel = self._kinds.in_kernel
        self._provided = {h: p for h, p in provided.items() if in_kernel.isdisjoint(p)}
        self._names = {h: s.name for h, s in solvables.items() if h in self._provided}
        others = ((h, solvables[h].name) for h in provided.keys() - self._provided.keys())
        self._in_tree = {h: (name, provided[h]) for h, name in others if _KMP_NAME.fullmatch(name)}
        self._builds: dict[int, KmpBuild | None] = {}
        self._near: dict[frozenset[str], list[KmpBuild]] = {}
        system = pool.installed
        self.installed = self._read(h for h in self._provided if solvables[h].repo == system)

    @property
    def in_tree(self) -> Iterable[int]:
        """Handles of all in-tree KMPs."""
        return self._in_tree

    def lending_in_tree(self) -> tuple[int, ...]:
        """In-tree KMPs, installed and on offer, by the names of those whose symbols an installed KMP needs.

        They are no KMPs, but for who needs them they are as much a part of the kernel as its -extra is; so are
        those that these need in turn.
        """
        system = self._pool.installed
        there = {h for h in self._in_tree if self._pool.id2solvable(h).repo == system}
        needed = set[int]().union(*(build.needs for build in self.installed))
        names: set[str] = set()
        while lending := {h for h in there if not needed.isdisjoint(self._in_tree[h][1])}:
            there -= lending
            names.update(self._in_tree[h][0] for h in lending)
            needed.update(*(required(self._pool.id2solvable(h)) for h in lending))
        return tuple(sorted(h for h, (name, _) in self._in_tree.items() if name in names))

    @cached_property
    def everything(self) -> list[KmpBuild]:
        """Every build there is."""
        return self._read(self._provided)

    def build(self, handle: int) -> KmpBuild | None:
        """The build behind a handle; ``None`` if it is something else."""
        return next(iter(self._read([handle])), None) if handle in self._provided else None

    @cached_property
    def handles(self) -> frozenset[int]:
        """Of every build there is; only those are read for it that do not show what they are at once."""
        modules = self._kinds.modules | self._kinds.symbols
        doubtful = {h for h, p in self._provided.items() if modules.isdisjoint(p)}
        sure = self._provided.keys() - doubtful
        return frozenset(sure).union(build.package.handle for build in self._read(doubtful))

    def of_one_flavor(self, build: KmpBuild) -> bool:
        """Whether all symbols that a build needs are of one flavor."""
        flavors = (those for flavor, those in self._kinds.by_flavor.items() if flavor)
        return sum(not build.needs.isdisjoint(those) for those in flavors) <= 1

    def near(self, names: Iterable[str] = ()) -> list[KmpBuild]:
        """The builds that may matter to what is installed and to KMPs of these names.

        What else is on offer can be of use only for a module that nobody near has, or to something outside
        of kernels and KMPs that requires it by name.
        """
        names = frozenset(build.name for build in self.installed).union(names)
        if names not in self._near:
            self._near[names] = self._find_near(names)
        return self._near[names]

    def _find_near(self, names: frozenset[str]) -> list[KmpBuild]:
        near = {h for h, name in self._names.items() if name in names} | self._replacing
        exporting = self._exporting
        read = waiting = self._read(near)
        while waiting:
            needs = frozenset[int]().union(*(build.needs for build in waiting))
            asked = {key for key, _ in self._table.versions(self._loose(needs))}
            found = {h for key in asked & exporting.keys() for h in exporting[key]} - near
            near |= found
            waiting = self._read(found)
            read = read + waiting
        return sorted(read, key=lambda build: build.package.handle)

    def lending(self, symbols: Iterable[str], modules: Iterable[str]) -> set[int]:
        """Handles of the builds with one of these symbols, by their capabilities' name parts, or modules."""
        found = {handle for key in symbols for handle in self._exporting.get(key, ())}
        found.update(handle for module in modules for handle in self._bringing.get(module, ()))
        return found & self.handles

    @cached_property
    def _bringing(self) -> dict[str, list[int]]:
        """Module -> the builds with it."""
        found: dict[str, list[int]] = {}
        for handle, provided in self._provided.items():
            for module in self._modules(self._kinds.modules.intersection(provided)):
                found.setdefault(module, []).append(handle)
        return found

    def _modules(self, capabilities: Collection[int]) -> Modules:
        return Modules(lambda: [map(self._pool.dep2str, capabilities)])

    @cached_property
    def _replacing(self) -> frozenset[int]:
        """What obsoletes something."""
        return frozenset(filter(self._obsoletes, self._names))

    @cached_property
    def _exporting(self) -> dict[str, list[int]]:
        """Symbol, by its capability's name part -> the builds that export it."""
        found: dict[str, list[int]] = {}
        for handle, provided in self._provided.items():
            for key, _ in self._table.versions(self._kinds.symbols.intersection(provided)):
                found.setdefault(key, []).append(handle)
        return found

    def _loose(self, capabilities: frozenset[int]) -> frozenset[int]:
        """Those in no class: what is in one, no KMP provides."""
        return capabilities - self._table.classes_among(capabilities)

    def _obsoletes(self, handle: int) -> bool:
        return bool(self._pool.id2solvable(handle).lookup_idarray(solv.SOLVABLE_OBSOLETES))

    def _read(self, handles: Iterable[int]) -> list[KmpBuild]:
        """The builds among these packages, in order."""
        handles = sorted(handles)
        if new := [handle for handle in handles if handle not in self._builds]:
            required = [self._required(handle) for handle in new]
            self._kinds.learn(frozenset().union(*required))
            for handle, requires in zip(new, required, strict=True):
                solvable = self._pool.id2solvable(handle)
                self._builds[handle] = self._build(solvable, self._provided[handle], requires)
        return [build for build in map(self._builds.__getitem__, handles) if build is not None]

    def _required(self, handle: int) -> frozenset[int]:
        found = required(self._pool.id2solvable(handle))
        return found if self._table.classes is None else found.union(self._table.classes.needed(handle))

    def _build(
        self, solvable: solv.XSolvable, provides: list[int], requires: frozenset[int]
    ) -> KmpBuild | None:
        spell, kinds = self._pool.dep2str, self._kinds
        package = self._package(solvable)
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
        # Where there is no kernel-core, it is not Red Hat's way of naming packages.
        by_name = named is not None or (
            "core" in self._flavors and KMOD_NAME.fullmatch(package.name) is not None
        )
        if not (modules or exports or needs or damaged or folders) and not (
            by_name and (named is None or named["flavor"] in self._flavors)
        ):
            return None
        if not (modules or exports or folders) and not by_name:
            return None
        if len(tally) == 1:
            (flavor,) = tally
        elif named and named["flavor"] in tally:
            flavor = named["flavor"]
        elif tally:
            flavor = max(tally, key=lambda f: (len(exports & tally[f]) + len(needs & tally[f]), f))
        elif named:
            flavor = named["flavor"]
        else:
            flavor = next(iter(sorted(filter(None, map(flavor_of_uname, folders)))), "")
            flavor = flavor or self._flavor_hint(solvable)
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
            exports=Exports(lambda: exports, self._table),
            modules=self._modules(modules),
            obsoletes=tuple(map(spell, solvable.lookup_idarray(solv.SOLVABLE_OBSOLETES))),
            built_for=built_for.replace("-", "_"),
            module_folders=folders,
            multiversion=not kinds.multiversion.isdisjoint(provides),
            rebuilds_on_host=_runs_on_headers(triggers, flavor) or self._rebuilt_on_host(package.name),
        )

    def _flavor_hint(self, solvable: solv.XSolvable) -> str:
        """The flavor that a package without symbols and without a telling name enhances."""
        for keyname in (solv.SOLVABLE_ENHANCES, solv.SOLVABLE_SUPPLEMENTS, solv.SOLVABLE_REQUIRES):
            for capability in relation(solvable, keyname):
                for flavor in sorted(self._flavors):
                    if re.search(rf"\bkernel-{re.escape(flavor)}\b", self._pool.dep2str(capability)):
                        return flavor
        return ""


def _runs_on_headers(triggers: Iterable[str], flavor: str) -> bool:
    """Whether one of these packages brings headers for kernels of a flavor; those of another one build nothing."""
    found = filter(None, map(_HEADERS.fullmatch, triggers))
    return any(match["flavor"] in (None, flavor) for match in found)
