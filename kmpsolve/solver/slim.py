"""A universe made small without changing any answer: what a cache keeps of it.

Two things go. Packages that no solve can reach: whatever libsolv may install or update it finds by following
requirements, recommendations, supplements, names and obsoletes from what is installed, from the kernels and from
the KMPs. And symbols as such: all that the same kernels provide become one capability (`kmpsolve.cache.symbols`).
A requirement is to libsolv the set of packages that meet it, and these sets stay as they are; of a build's, those
that another one of its own implies are left out, and known only to who compares symbols. Where that is not certain
(a symbol that a KMP provides, that somebody else mentions, or whose CRCs libsolv would take for equal), the symbol
stays as it is.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, filterfalse
from pathlib import Path

import solv

from kmpsolve.cache.symbols import PREFIX, Symbols, pack_symbols
from kmpsolve.model.membership import membership
from kmpsolve.model.package import KmpBuild
from kmpsolve.solver.relations import RELATIONS, add_relation, relation, words
from kmpsolve.solver.universe import Universe

__all__ = ["slim"]

_FOLLOWED = (solv.SOLVABLE_REQUIRES, solv.SOLVABLE_RECOMMENDS)
_OFFERED = (solv.SOLVABLE_SUPPLEMENTS, solv.SOLVABLE_ENHANCES)
_ZEROS = re.compile(r"(?<=[a-f])0+(?=[0-9])")
_HARDWARE = "namespace:"


def slim(universe: Universe) -> tuple[dict[str, bytes], list[str]]:
    """The files to keep of a sealed universe, and the capabilities that stand for its classes of symbols.

    ``symbols`` are the packed symbols, and ``0.solv``, ``1.solv`` ... the repositories in their order.

    Parameters
    ----------
    universe
        Read from an rpmdb and repositories in full, and not planned on.
    """
    return _Slimming(universe).files()


class _Slimming:
    def __init__(self, universe: Universe) -> None:
        self.universe = universe
        self.pool = universe.pool
        self.kernels = [kernel.package.handle for kernel in universe.kernels]
        self.builds: dict[int, KmpBuild] = {}
        """The KMPs that were reached, by handle; the others are not read."""
        self.texts: dict[int, str] = {}

    def spell(self, capability: int) -> str:
        text = self.texts.get(capability)
        if text is None:
            text = self.texts[capability] = self.pool.dep2str(capability)
        return text

    def list_of(self, handle: int, key: int) -> list[int]:
        solvable = self.pool.id2solvable(handle)
        if key != solv.SOLVABLE_PROVIDES:
            return relation(solvable, key)
        found: list[int] = solvable.lookup_idarray(key)  # without files; `_named_files` knows who wants which
        return found

    # which packages

    def reachable(self) -> set[int]:
        """Handles of the packages that a solve may have to do with."""
        pool = self.pool
        by_name: dict[int, list[int]] = {}
        for solvable in pool.solvables_iter():
            by_name.setdefault(solvable.nameid, []).append(solvable.id)
        offering: dict[int, list[int]] = {}
        for key in _OFFERED:
            for handle, capabilities in self._having(key).items():
                offering.setdefault(handle, []).extend(capabilities)
        replacing = self._having(solv.SOLVABLE_OBSOLETES)
        found: set[int] = set()
        installed = self.universe.installed_handles
        waiting = [*self.kernels, *installed]
        for name, handles in by_name.items():
            if not installed.isdisjoint(handles) or pool.id2str(name).startswith("kernel-"):
                waiting += handles
        asked: set[int] = set()
        while waiting:
            while waiting:
                handle = waiting.pop()
                if handle not in found:
                    found.add(handle)
                    if (build := self.universe.kmp(handle)) is not None:
                        self.builds[handle] = build
                    waiting += self._met_by(handle, asked)
            names = {pool.id2solvable(handle).name for handle in found}
            for handle, offers in offering.items():
                if handle not in found and any(self._may_hold(c, found) for c in offers):
                    waiting.append(handle)
            for handle, obsoletes in replacing.items():
                if handle not in found and any(self.spell(c).partition(" ")[0] in names for c in obsoletes):
                    waiting.append(handle)
            waiting += self._helping() - found
        return found - self.universe.stand_ins

    def _having(self, key: int) -> dict[int, list[int]]:
        """The packages with such a list, and what is in it."""
        found: dict[int, list[int]] = {}
        for place in self.pool.Dataiterator(key):
            found.setdefault(place.solvid, []).append(place.id)
        return found

    def _helping(self) -> set[int]:
        """KMPs that may be added for a symbol that one of those reached needs, or for a module."""
        symbols = {self._symbol(c) for build in self.builds.values() for c in build.needs}
        modules = {module for build in self.builds.values() for module in build.modules}
        return self.universe.lending(symbols, modules)

    def _symbol(self, capability: int) -> str:
        return self.spell(capability).partition(" ")[0]

    def _met_by(self, handle: int, asked: set[int]) -> Iterator[int]:
        """Everything that may meet what a package wants; kernels and KMPs are there anyway."""
        build = self.builds.get(handle)
        needs = build.needs if build is not None else frozenset()
        for key in _FOLLOWED:
            for capability in self.list_of(handle, key):
                if capability not in asked and capability not in needs:
                    asked.add(capability)
                    # Whether anybody mentions it at all may matter, in whatever version.
                    name = self.pool.str2id(self.spell(capability).partition(" ")[0])
                    for part in (*self._parts(capability), name):
                        # rpm's own promises (rpmlib(...)) are the system solvable's, which is in no repo.
                        yield from (int(s.id) for s in self.pool.whatprovides(part) if s.repo is not None)

    def _parts(self, capability: int) -> Iterator[int]:
        """The capability; of a rich one, every word in it that can name something."""
        yield capability
        text = self.spell(capability)
        if text.startswith("("):
            for word in words(text):
                if number := self.pool.str2id(word, False):
                    yield number

    def _may_hold(self, capability: int, found: set[int]) -> bool:
        """Whether a condition may be met; of a rich one, any part is enough to say so."""
        return _HARDWARE in self.spell(capability) or any(
            int(s.id) in found for part in self._parts(capability) for s in self.pool.whatprovides(part)
        )

    # which symbols

    def classes(self, handles: Iterable[int]) -> tuple[dict[int, int], list[list[int]], list[str], list[int]]:
        """Class of each capability that is in one; of the classes the members, the names, the kernels as a mask."""
        table = self.universe.table
        provided = (frozenset(self.list_of(handle, solv.SOLVABLE_PROVIDES)) for handle in self.kernels)
        masks = membership(provided)
        alike = {h: self.universe.of_one_flavor(build) for h, build in self.builds.items()}
        needed = frozenset().union(*(build.needs for h, build in self.builds.items() if alike[h]))
        masks |= dict.fromkeys(needed - masks.keys(), 0)
        kept = self._mentioned_elsewhere(handles, alike)
        symbols, others = table.sorted_out(masks.keys())
        self.texts |= symbols | others
        kept.update(text.partition(" ")[0] for text in others.values() if not text.startswith("kmod("))
        parts = [text.partition(" = ") for text in symbols.values()]
        names = [name for name, _, _ in parts]
        kept |= _confused(names, [crc for _, _, crc in parts])
        kept.update(name for name in set(names) if ":" not in name or not table.usual(name))
        groups: dict[tuple[str, int], list[int]] = {}
        for capability, text in others.items():
            if text.partition(" ")[0] not in kept:  # a module
                groups.setdefault(("kmod", masks[capability]), []).append(capability)
        for capability, name in zip(symbols, names, strict=True):
            if name not in kept:
                flavor = name[5 : name.index(":")]
                groups.setdefault((flavor, masks[capability]), []).append(capability)
        members: list[list[int]] = []
        called: list[str] = []
        number: dict[int, int] = {}
        for (kind, _), capabilities in sorted(groups.items()):
            number |= dict.fromkeys(capabilities, len(members))
            called.append(
                f"{PREFIX}{kind}:{len(members)}" if kind == "kmod" else f"{PREFIX}ksym({kind}):{len(members)}"
            )
            members.append(sorted(capabilities, key=self.texts.__getitem__))
        return number, members, called, [mask for _, mask in sorted(groups)]

    def _mentioned_elsewhere(self, handles: Iterable[int], alike: Mapping[int, bool]) -> set[str]:
        """Names of symbols and modules that are no business between kernels and KMPs alone.

        Parameters
        ----------
        alike
            Of each build, whether all its symbols are of one flavor.
        """
        kernels = set(self.kernels)
        seen: set[int] = set()
        for handle in handles:
            build = self.builds.get(handle)
            for key in RELATIONS:
                if key == solv.SOLVABLE_PROVIDES and handle in kernels:
                    continue
                capabilities = self.list_of(handle, key)
                if key == solv.SOLVABLE_REQUIRES and build is not None and alike[handle]:
                    seen |= set(capabilities) - build.needs
                elif key == solv.SOLVABLE_PROVIDES and build is not None:
                    # A KMP may bring a module that the kernel has too: nobody chooses by that.
                    seen.update(build.exports.capabilities)
                else:
                    seen.update(capabilities)
        found: set[str] = set()
        for capability in seen:
            text = self.spell(capability)
            if "ksym(" in text or "kmod(" in text:
                found.update(words(text))
        return found

    # what is written

    def files(self) -> tuple[dict[str, bytes], list[str]]:
        """Everything, by file name; the names of the classes."""
        handles = sorted(self.reachable())
        number, members, names, masks = self.classes(handles)
        by_repository: dict[str, list[int]] = {}
        for handle in handles:
            by_repository.setdefault(self.pool.id2solvable(handle).repo.name, []).append(handle)
        members_in_order = list(chain.from_iterable(members))
        place_of = {capability: place for place, capability in enumerate(members_in_order)}
        needs: dict[int, list[int]] = {}
        found: dict[str, bytes] = {}
        # Before the first copy: who provides what is forgotten as soon as the pool grows.
        files = self._named_files(handles)
        for index, repo in enumerate(self.universe.repositories):
            mine = by_repository.get(repo, [])
            found[f"{index}.solv"] = self._solv(mine, number, names, masks, files)
            for place, handle in enumerate(mine):
                build = self.builds.get(handle)
                if build is not None and (own := build.needs & place_of.keys()):
                    needs[index << 24 | place] = sorted(map(place_of.__getitem__, own))
        classes = [list(map(self.texts.__getitem__, capabilities)) for capabilities in members]
        found["symbols"] = pack_symbols(Symbols(classes=classes, needs=needs))
        return found, names

    def _named_files(self, handles: Iterable[int]) -> dict[int, list[int]]:
        """Of each package the files that others name: copies have no list of files."""
        found: dict[int, list[int]] = {}
        capabilities = {
            part
            for handle in handles
            for key in RELATIONS
            if key != solv.SOLVABLE_PROVIDES
            for capability in self.list_of(handle, key)
            for part in self._parts(capability)
        }
        for capability in sorted(capabilities):
            if self.spell(capability).startswith("/"):
                for solvable in self.pool.whatprovides(capability):
                    found.setdefault(int(solvable.id), []).append(capability)
        return found

    def _solv(
        self,
        handles: Iterable[int],
        number: dict[int, int],
        names: list[str],
        masks: list[int],
        files: dict[int, list[int]],
    ) -> bytes:
        pool = self.pool
        repo = pool.add_repo("slim")
        kernels = set(self.kernels)
        for handle in handles:
            origin, copy = pool.id2solvable(handle), repo.add_solvable()
            copy.name, copy.evr, copy.arch = origin.name, origin.evr, origin.arch
            copy.vendor = self.universe.vendor_of(origin)
            for key in RELATIONS:
                packed = (key == solv.SOLVABLE_PROVIDES and handle in kernels) or (
                    key == solv.SOLVABLE_REQUIRES and handle in self.builds
                )
                capabilities = self.list_of(handle, key)
                if not packed:
                    add_relation(copy, key, capabilities)
                    continue
                add_relation(copy, key, filterfalse(number.__contains__, capabilities))
                if key == solv.SOLVABLE_REQUIRES:
                    classes = _telling({number[c] for c in capabilities if c in number}, masks)
                else:
                    bit = 1 << self.kernels.index(handle)
                    classes = {klass for klass, mask in enumerate(masks) if mask & bit}
                for klass in sorted(classes):
                    copy.add_deparray(key, pool.str2id(names[klass]))
            for capability in files.get(handle, ()):
                copy.add_deparray(solv.SOLVABLE_PROVIDES, capability)
        with tempfile.TemporaryDirectory(prefix="kmpsolve-slim-") as folder:
            path = Path(folder) / "slim.solv"
            stream = solv.xfopen(str(path), "w")
            repo.write(stream)
            stream.close()
            repo.free(True)
            return path.read_bytes()


def _telling(classes: Iterable[int], masks: Sequence[int]) -> set[int]:
    """Those that imply all the others: whatever kernel provides one of these provides what it implies.

    To the solver each requirement is a rule with every kernel that meets it; a build has dozens of classes, and
    nearly always one or two that imply the rest.
    """
    return {
        klass
        for klass in classes
        if not any(masks[other] & masks[klass] == masks[other] != masks[klass] for other in classes)
    }


def _confused(names: Sequence[str], crcs: Sequence[str]) -> set[str]:
    """The symbols of which libsolv, to which a CRC is a version, takes two CRCs for equal."""
    versions = list(zip(names, _ZEROS.sub("", " ".join(crcs)).split(), strict=True))
    if len(set(versions)) == len(versions):
        return set()
    return {name for (name, _), count in Counter(versions).items() if count > 1}
