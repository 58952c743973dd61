"""What the rest of the system has to do with kernels and KMPs: who leans on them, and what was unmet before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

import solv

from kmpsolve.model.package import KmpBuild, Package
from kmpsolve.model.symbols import SymbolTable
from kmpsolve.solver.kernels import KernelPackage
from kmpsolve.solver.relations import required

__all__ = ["SYSTEM", "Bystanders", "UserSpace"]

SYSTEM = "@System"

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
    ) -> None:
        self._pool = pool
        self._table = table
        self._kernels = kernels
        self._installed_kernels = [kernel for kernel in kernels if kernel.package.installed]
        self._kmps = kmps
        self._multiversion = multiversion
        self._partial = partial
        self._bystanders: dict[str, Bystanders] = {}
        self.kernels_and_kmps = frozenset(
            [kernel.package.handle for kernel in self._installed_kernels]
            + [build.package.handle for build in kmps]
        )
        self._met_before: dict[int, frozenset[int]] = {}
        self._read: set[int] = set()

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
        provided = (self._pool.id2solvable(h).lookup_idarray(solv.SOLVABLE_PROVIDES) for h in handles)
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
        multiple = self.installed.intersection(s.id for s in self._multiversion()) - moved
        found = tuple(sorted(verify)), frozenset(unmet), multiple
        self._bystanders[flavor] = found
        return found

    def pinned(self, flavor: str) -> Iterable[tuple[int, str, frozenset[int]]]:
        """Installed packages that need what only KMPs of this flavor provide: who, what, providers."""
        kmps = self._kmps_of(flavor)
        for handle in self.bystanders(flavor)[0]:
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

    # what was unmet before

    def met_before(self, package: Package) -> frozenset[int]:
        """Requirements of a package that count as met, by handle-free capability integers.

        For an installed kernel or KMP, what is unmet on the true system already; for an inventory of kernels
        and KMPs only, also what neither it nor a repository mentions.
        """
        return self._met_before.get(package.handle, frozenset())

    def read_met_before(self, builds: Iterable[KmpBuild]) -> None:
        """Find out what counts as met for these builds, and for the kernels.

        Let an installed stand-in provide it for packages from repositories.
        """
        needs = {build.package.handle: build.needs for build in builds}
        waiting = list(needs)
        waiting += [k.package.handle for k in self._kernels if self.unlisted or k.package.installed]
        floor: set[int] = set()
        while waiting:
            handle = waiting.pop()
            if handle in self._read:
                continue
            self._read.add(handle)
            kept = set()
            asked = required(self._pool.id2solvable(handle))
            for capability in asked - needs.get(handle, frozenset()):
                # A symbol is never taken for granted, nor what looks like one.
                if self._table.is_class(capability) or self._table.need(capability) is not None:
                    continue
                providers = self._pool.whatprovides(capability)
                if handle in self.installed:
                    # rpm's own promises (rpmlib(...)) are the system solvable's, which is in no repo.
                    if not any(p.repo is None or p.repo.name == SYSTEM for p in providers):
                        kept.add(capability)
                elif not providers and not self._mentioned(capability):
                    kept.add(capability)
                else:
                    waiting += [int(p.id) for p in providers if p.repo is not None and p.id not in self._read]
            self._met_before[handle] = frozenset(kept)
            if handle not in self.installed:
                floor |= kept
        if floor:
            self._lay(floor)

    def taken_as_met(self, packages: Iterable[Package]) -> set[str]:
        """What these require of a user space that nobody lists."""
        found = frozenset[int]().union(*map(self.met_before, packages))
        return set(map(self._pool.dep2str, found))

    def _lay(self, capabilities: set[int]) -> None:
        if self._pool.installed is not None:
            floor = self._pool.installed.add_solvable()
            floor.name, floor.evr, floor.arch = "kmpsolve-met-on-the-host", "0-0", "noarch"
            for capability in sorted(capabilities):
                floor.add_deparray(solv.SOLVABLE_PROVIDES, capability)
            self._pool.createwhatprovides()

    def _mentioned(self, capability: int) -> bool:
        """Whether any package provides the name of a capability, in whatever version."""
        name = self._pool.dep2str(capability).partition(" ")[0]
        return bool(self._pool.whatprovides(self._pool.str2id(name)))
