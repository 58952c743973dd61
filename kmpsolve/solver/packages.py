"""The packages of a pool as values, and what zypp's rules say of each: vendors, locks, retraction."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import solv

from kmpsolve.model.evr import Evr
from kmpsolve.model.nevra import Nevra
from kmpsolve.model.package import Barred, Package
from kmpsolve.request import LockRule, Policy
from kmpsolve.solver.relations import vendor_of
from kmpsolve.solver.userspace import SYSTEM

__all__ = ["Packages"]


class Packages:
    """Makes the value for each solvable once.

    Parameters
    ----------
    retracted
        By alias the NEVRAs that a repository's updateinfo retracts: there, and nowhere else, as for libsolv.
    """

    def __init__(self, pool: solv.Pool, policy: Policy, retracted: Mapping[str, Collection[str]]) -> None:
        self._pool = pool
        self._policy = policy
        self._retracted = retracted
        self._vendors: dict[int, str] = {}
        self._values: dict[int, Package] = {}
        self._withdrawn: frozenset[int] = frozenset()
        self._ptf: frozenset[int] = frozenset()

    def unify_vendors(self) -> None:
        """Spell all vendors of one class alike: libsolv knows no classes, only equal vendors."""
        spelled: dict[int, str] = {}
        classes: dict[str, list[int]] = {}
        for solvable in self._pool.solvables_iter():
            vendorid = solvable.vendorid
            if vendorid not in spelled:
                spelled[vendorid] = vendor_of(solvable)
                classes.setdefault(self._policy.vendor_class(spelled[vendorid]), []).append(vendorid)
        respell = {vendorid: ids[0] for ids in classes.values() for vendorid in ids if vendorid != ids[0]}
        if respell:
            for solvable in self._pool.solvables_iter():
                if solvable.vendorid in respell:
                    self._vendors[solvable.id] = spelled[solvable.vendorid]
                    solvable.vendor = spelled[respell[solvable.vendorid]]

    def find_hidden(self) -> frozenset[int]:
        """Candidates that zypp never chooses by itself: retracted, PTFs, locked ones."""
        self._withdrawn = self.providers("retracted-patch-package()")
        self._ptf = self.providers("ptf()") | self.providers("ptf-package()")
        handles = set(self._withdrawn | self._ptf)
        if self._retracted or self._policy.locks:
            handles.update(s.id for s in self._pool.solvables_iter() if self.value(s).barred)
        return frozenset(h for h in handles if not self.of(h).installed)

    def providers(self, capability: str) -> frozenset[int]:
        """Packages that provide a capability of this name, in whatever version."""
        return frozenset(s.id for s in self._pool.whatprovides(self._pool.str2id(capability)))

    def vendor_of(self, solvable: solv.XSolvable) -> str:
        """A package's vendor as it spells itself."""
        known = self._vendors.get(int(solvable.id))
        return vendor_of(solvable) if known is None else known

    def of(self, handle: int) -> Package:
        """The value for a handle."""
        return self._values.get(handle) or self.value(self._pool.id2solvable(handle))

    def value(self, solvable: solv.XSolvable) -> Package:
        """The value for a solvable."""
        handle = int(solvable.id)
        known = self._values.get(handle)
        if known is None:
            nevra = Nevra(solvable.name, Evr.parse(solvable.evr), solvable.arch)
            repo = solvable.repo
            installed = repo.name == SYSTEM
            known = self._values[handle] = Package(
                handle=handle,
                nevra=nevra,
                vendor=self.vendor_of(solvable),
                repository=None if installed else repo.name,
                priority=-int(repo.priority),
                barred=None if installed else self._barred(solvable, nevra, repo.name),
            )
        return known

    def _barred(self, solvable: solv.XSolvable, nevra: Nevra, alias: str) -> Barred | None:
        if not self._pool.isknownarch(solvable.archid):
            return "architecture"
        retracted = self._retracted.get(alias)
        if solvable.id in self._withdrawn or (retracted and str(nevra) in retracted):
            return "retracted"
        if solvable.id in self._ptf:
            return "ptf"
        if any(self._locks_on(nevra, alias)):
            return "lock"
        return None

    def locks_on(self, package: Package) -> Iterator[LockRule]:
        """The locks that hold a package."""
        return self._locks_on(package.nevra, package.repository or SYSTEM)

    def _locks_on(self, nevra: Nevra, alias: str) -> Iterator[LockRule]:
        for lock in self._policy.locks:
            if lock.matches(nevra.name, nevra.evr, nevra.arch, alias, alias == SYSTEM):
                yield lock
