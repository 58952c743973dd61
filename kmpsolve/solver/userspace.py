"""What the rest of the system has to do with kernels and KMPs: who leans on them, and what was unmet before."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property

import solv

from kmpsolve.model.package import KmpBuild, Package
from kmpsolve.model.symbols import SymbolTable
from kmpsolve.solver.kernels import KernelPackage
from kmpsolve.solver.relations import add_relation, relation, required, words

__all__ = ["SYSTEM", "Bystanders", "UserSpace"]

SYSTEM = "@System"

_MET = "kmpsolve:met:"

_OF_INVENTORIES = re.compile(r"kernel-(?!firmware)|kmod\(|\S+-kmp(?![^\s-])")

Bystanders = tuple[tuple[int, ...], frozenset[int], frozenset[int]]
"""Whom to verify, what counts as met, which installed ones stand side by side."""


class UserSpace:
    """The installed packages around the kernels and KMPs of a pool that shows the true system.

    Parameters
    ----------
    kernels
        All there are.
    kmps
        The installed ones.
    multiversion
        Reads the packages that may stand side by side.
    partial
        The system is known not to list everything.
    whole
        The system is known to list everything.
    """

    def __init__(
        self,
        pool: solv.Pool,
        table: SymbolTable,
        kernels: Sequence[KernelPackage],
        kmps: Sequence[KmpBuild],
        multiversion: Callable[[], Iterable[solv.XSolvable]],
        *,
        partial: bool,
        whole: bool,
    ) -> None:
        self._pool = pool
        self._table = table
        self._kernels = kernels
        self._installed_kernels = [kernel for kernel in kernels if kernel.package.installed]
        self._kmps = kmps
        self._multiversion = multiversion
        self._partial = partial
        self._whole = whole
        self._bystanders: dict[str, Bystanders] = {}
        self._met_by_kernels: dict[str, dict[int, frozenset[int]]] = {}
        self.kernels_and_kmps = frozenset(
            [kernel.package.handle for kernel in self._installed_kernels]
            + [build.package.handle for build in kmps]
        )
        self._taken: dict[int, set[int]] = {}
        self._granted: set[int] = set()
        self.stand_ins: set[int] = set()
        """Handles of packages that are not really there."""

    @cached_property
    def installed(self) -> frozenset[int]:
        """Every installed package."""
        system = self._pool.installed
        return frozenset(s.id for s in system.solvables) if system is not None else frozenset()

    @cached_property
    def unlisted(self) -> bool:
        """Whether the system lists no user space at all, as an inventory may."""
        return self._partial or all(
            handle in self.kernels_and_kmps or self._pool.id2solvable(handle).name.startswith("kernel-")
            for handle in self.installed
        )

    def _met(self, capability: int, without: frozenset[int] = frozenset()) -> bool:
        """Whether an installed package outside `without` provides a capability."""
        return any(
            solvable.repo is None or (solvable.repo.name == SYSTEM and solvable.id not in without)
            for solvable in self._pool.whatprovides(capability)
        )

    @cached_property
    def _requirements(self) -> dict[int, list[int]]:
        """Requirement -> installed packages that have it, kernels and KMPs left out."""
        asked: dict[int, list[int]] = {}
        for handle in sorted(self.installed - self.kernels_and_kmps):
            for capability in required(self._pool.id2solvable(handle)):
                asked.setdefault(capability, []).append(handle)
        return asked

    @cached_property
    def _spelled(self) -> dict[int, str]:
        """The requirements that may be about a kernel or a KMP: the word that they start with, or ``(``."""
        return {
            capability: "(" if text.startswith("(") else text.partition(" ")[0]
            for capability, text in zip(
                self._requirements, map(self._pool.dep2str, self._requirements), strict=True
            )
        }

    def _names_provided(self, handles: Iterable[int]) -> set[str]:
        provided = (relation(self._pool.id2solvable(h), solv.SOLVABLE_PROVIDES) for h in handles)
        return self._table.names(frozenset().union(*provided))

    def _kmps_of(self, flavor: str) -> frozenset[int]:
        return frozenset(b.package.handle for b in self._kmps if b.flavor in (flavor, ""))

    def bystanders(self, flavor: str) -> Bystanders:
        """What a projection of `flavor` has to keep whole; to be asked first while the true system shows."""
        known = self._bystanders.get(flavor)
        if known is not None:
            return known
        kernels = frozenset(k.package.handle for k in self._installed_kernels if k.flavor == flavor)
        kmps = self._kmps_of(flavor)
        moved = kernels | kmps
        verify: set[int] = set()
        provided = self._names_provided(kmps)
        for capability, word in self._spelled.items():
            asked_of_kmp = word == "(" or word in provided
            if asked_of_kmp and self._met(capability) and not self._met(capability, kmps):
                verify.update(self._requirements[capability])
        unmet: set[int] = set()
        for handle in verify:
            for capability in required(self._pool.id2solvable(handle)):
                if not self._met(capability, kernels):
                    unmet.add(capability)
        multiple = frozenset(s.id for s in self._multiversion()) - moved
        found = tuple(sorted(verify)), frozenset(unmet), multiple
        self._bystanders[flavor] = found
        return found

    def met_by_kernels(self, flavor: str) -> dict[int, frozenset[int]]:
        """Installed package -> rich requirements that the installed kernels of this flavor meet, and no KMP.

        ``(kernel-default = 1-1 if kernel-default)``, as PTFs have it, goes on being met by a kernel that stays
        beside the next one. To be asked first while the true system shows.
        """
        if flavor not in self._met_by_kernels:
            kernels = frozenset(k.package.handle for k in self._installed_kernels if k.flavor == flavor)
            of_kmps = self._names_provided(self._kmps_of(flavor))
            found: dict[int, set[int]] = {}
            for capability, word in self._spelled.items():
                if (
                    word == "("
                    and of_kmps.isdisjoint(words(self._pool.dep2str(capability)))
                    and self._met(capability)
                    and not self._met(capability, kernels)
                ):
                    for handle in self._requirements[capability]:
                        found.setdefault(handle, set()).add(capability)
            self._met_by_kernels[flavor] = {handle: frozenset(met) for handle, met in found.items()}
        return self._met_by_kernels[flavor]

    def pinned(self, flavor: str, arriving: Iterable[int]) -> Iterable[tuple[int, str, frozenset[int]]]:
        """Packages, installed or arriving, that need what only installed KMPs of this flavor provide: who, what,
        providers.
        """
        kmps = self._kmps_of(flavor)
        for handle in (*self.bystanders(flavor)[0], *arriving):
            for capability in required(self._pool.id2solvable(handle)):
                if self._met(capability) and not self._met(capability, kmps):
                    providers = frozenset(s.id for s in self._pool.whatprovides(capability))
                    yield handle, self._pool.dep2str(capability), providers

    @cached_property
    def leaning(self) -> frozenset[int]:
        """Installed packages, neither kernels nor KMPs, with a requirement that only these may meet."""
        names = self._names_provided(self.kernels_and_kmps)
        return frozenset(
            handle
            for capability, word in self._spelled.items()
            if word == "(" or word in names
            for handle in self._requirements[capability]
        )

    @cached_property
    def at_odds(self) -> tuple[int, ...]:
        """Installed packages, neither kernels nor KMPs, that conflict with an installed KMP all the same."""
        kmps = {build.package.handle for build in self._kmps}
        others = self.installed - self.kernels_and_kmps
        excluded: dict[int, bool] = {}
        found: dict[int, None] = {}
        for place in self._pool.installed.Dataiterator(solv.SOLVABLE_CONFLICTS) if others else ():
            if place.id not in excluded:
                excluded[place.id] = any(s.id in kmps for s in self._pool.whatprovides(place.id))
            if excluded[place.id] and place.solvid in others:
                found[place.solvid] = None
        return tuple(found)

    # what was unmet before

    def read_met_before(self, builds: Iterable[KmpBuild]) -> None:
        """Find out which requirements count as met, of these builds, the kernels and whatever comes with them.

        Of an installed one it is what is unmet on the true system already. In an inventory of kernels and KMPs
        only, of others also what an installed one requires, since rpm would not have it otherwise, and what
        neither the inventory nor a repository mentions; an rpmdb that lists no more than these is no inventory.
        User space that may go along with a KMP has a library as long as the installed version requires it.
        Instead of such a capability they require a token then, which an installed stand-in provides: nothing
        conflicts with that.
        """
        needs = {build.package.handle: build.needs for build in builds}
        concerned = {*needs, *(kernel.package.handle for kernel in self._kernels)}
        if self.unlisted:
            concerned |= self.installed - self.stand_ins
        concerned -= self._taken.keys()
        tokens: set[int] = set()
        for handle in concerned & self.installed:
            unmet = {capability for capability in self._asked(handle, needs) if not self._met(capability)}
            tokens |= self._take_as_met(handle, unmet)
            self._granted |= unmet
        waiting = list(concerned - self.installed) if self.unlisted else []
        while waiting:
            handle = waiting.pop()
            if handle in self._taken or handle in self.installed:
                continue
            unknown: set[int] = set()
            for capability in self._asked(handle, needs):
                providers = self._pool.whatprovides(capability)
                if capability in self._granted or not (
                    self._whole or providers or self._mentioned(capability) or self._listed(capability)
                ):
                    unknown.add(capability)
                else:
                    # rpm's own promises (rpmlib(...)) are the system solvable's, which is in no repo.
                    waiting += [int(p.id) for p in providers if p.repo is not None]
            tokens |= self._take_as_met(handle, unknown)
        for handle in self._renewals() if self.unlisted else ():
            if handle not in self._taken:
                tokens |= self._take_as_met(handle, self._granted.intersection(self._asked(handle, needs)))
        if tokens:
            stand_in = self._pool.installed.add_solvable()
            stand_in.name, stand_in.evr, stand_in.arch = "kmpsolve-met-on-the-host", "0-0", "noarch"
            add_relation(stand_in, solv.SOLVABLE_PROVIDES, sorted(tokens))
            self.stand_ins.add(int(stand_in.id))
            self._pool.createwhatprovides()

    def _renewals(self) -> Iterator[int]:
        """What is on offer by the names of installed packages that require something: it may go along with a KMP."""
        for handle in sorted(self.installed - self.kernels_and_kmps - self.stand_ins):
            solvable = self._pool.id2solvable(handle)
            if required(solvable):
                named = self._pool.whatprovides(solvable.nameid)
                yield from (
                    int(s.id) for s in named if s.nameid == solvable.nameid and s.id not in self.installed
                )

    def _asked(self, handle: int, needs: Mapping[int, frozenset[int]]) -> frozenset[int]:
        """What a package requires of others; a symbol is never taken for granted, nor what looks like one."""
        return frozenset(
            capability
            for capability in required(self._pool.id2solvable(handle)) - needs.get(handle, frozenset())
            if not self._table.is_class(capability) and self._table.need(capability) is None
        )

    def taken_as_met(self, packages: Iterable[Package]) -> set[str]:
        """What these require of a user space that nobody lists."""
        found = set[int]().union(*(self._taken.get(package.handle, ()) for package in packages))
        return {self._pool.dep2str(capability).removeprefix(_MET) for capability in found}

    def taken_as_absent(self, arriving: Iterable[Package], installed: Iterable[Package]) -> set[str]:
        """What arriving KMPs exclude, of packages that nobody lists; what an installed one excludes is not there."""

        def excluded(package: Package) -> set[int]:
            return set(relation(self._pool.id2solvable(package.handle), solv.SOLVABLE_CONFLICTS))

        beside = set[int]().union(*map(excluded, installed))
        return {
            self._pool.dep2str(capability)
            for package in arriving
            for capability in excluded(package) - beside
            if not (self._listed(capability) or self._is_known(capability))
        }

    def _is_known(self, capability: int) -> bool:
        """Whether an inventory would list what provides this: an installed package does, or a KMP or kernel."""
        providers = {int(s.id) for s in self._pool.whatprovides(capability)}
        name = self._pool.str2id(self._pool.dep2str(capability).partition(" ")[0])
        named = {int(s.id) for s in self._pool.whatprovides(name)}
        return bool(named & self.installed) or bool(providers and providers <= self.kernels_and_kmps)

    def _take_as_met(self, handle: int, capabilities: set[int]) -> set[int]:
        """Let a package require tokens instead of these; returns the tokens."""
        self._taken[handle] = capabilities
        tokens = {capability: self._token(capability) for capability in capabilities}
        if tokens:
            solvable = self._pool.id2solvable(handle)
            wanted = relation(solvable, solv.SOLVABLE_REQUIRES)
            solvable.unset(solv.SOLVABLE_REQUIRES)
            add_relation(solvable, solv.SOLVABLE_REQUIRES, (tokens.get(c, c) for c in wanted))
        return set(tokens.values())

    def _token(self, capability: int) -> int:
        text = self._pool.dep2str(capability)
        return capability if text.startswith(_MET) else self._pool.str2id(f"{_MET}{text}")

    def _listed(self, capability: int) -> bool:
        """Whether it is for a kernel or a KMP: an inventory of these that does not mention it has none."""
        return _OF_INVENTORIES.match(self._pool.dep2str(capability)) is not None

    def _mentioned(self, capability: int) -> bool:
        """Whether any package provides the name of a capability, in whatever version; of a rich one, any name."""
        ids = map(self._pool.str2id, words(self._pool.dep2str(capability)))
        return any(self._pool.whatprovides(number) for number in ids)
