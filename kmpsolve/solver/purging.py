"""What the next purge-kernels takes from the system that a transaction leaves."""

from __future__ import annotations

from collections.abc import Iterable

import solv

from kmpsolve.model.evr import Evr
from kmpsolve.model.package import Package
from kmpsolve.purge import Candidate, purged
from kmpsolve.solver.relations import required
from kmpsolve.solver.universe import Universe

__all__ = ["own_provides", "purged_after"]


def purged_after(
    universe: Universe, arrived: Iterable[Package], gone: Iterable[Package], running: str
) -> frozenset[int]:
    """Handles of the packages that ``zypper purge-kernels`` would remove at the next boot.

    Parameters
    ----------
    arrived, gone
        What the transaction brings and takes. A lock that holds something of what arrives goes with that, and
        what else it held is free (measured: libzypp takes it out of its file).
    running
        The uname -r that will run then: the kernel that boots next.
    """
    arrived = list(arrived)
    with universe.naming(arrived):
        return _purged_after(universe, arrived, gone, running)


def _purged_after(
    universe: Universe, arrived: Iterable[Package], gone: Iterable[Package], running: str
) -> frozenset[int]:
    left_out = {package.handle for package in gone}
    new = {package.handle for package in arrived}
    lifted = {lock for package in arrived for lock in universe.locks_on(package)}
    present = sorted((universe.installed_handles - left_out) | new)
    kernel_like = {kernel.package.handle: kernel for kernel in universe.kernels}
    builds = {h: build for h in present if (build := universe.kmp(h)) is not None}
    pool = universe.pool
    leaning = universe.leaning
    concerned = [h for h in present if h in builds or h in leaning or _belongs_to_kernels(universe, h)]
    position = {handle: index for index, handle in enumerate(concerned)}
    everyone = set(present)
    kernels = universe.providers("kernel-uname-r")
    multiversion = universe.providers("multiversion(kernel)")
    exports = [
        (
            index,
            kernel_like[handle].capabilities
            if handle in kernel_like
            else builds[handle].exports.capabilities,
        )
        for handle, index in position.items()
        if handle in kernel_like or handle in builds
    ]
    candidates = []
    for handle in concerned:
        solvable = pool.id2solvable(handle)
        package = universe.package(solvable)
        build = builds.get(handle)
        symbols: frozenset[int] = build.needs if build else frozenset()
        needs = _providers(symbols, exports)
        for capability in required(solvable):
            if capability in symbols:
                continue
            providers = {p.id for p in pool.whatprovides(capability)} & everyone
            if providers and providers <= position.keys():
                needs.add(frozenset(position[p] for p in providers))
        candidates.append(
            Candidate(
                name=package.name,
                evr=package.nevra.evr,
                arch=package.nevra.arch,
                own_provides=own_provides(universe, handle),
                is_kernel=handle in kernels,
                multiversion=handle in multiversion,
                has_modules=handle in kernel_like
                or (build is not None and bool(build.modules or len(build.exports))),
                locked=package.installed and not lifted.issuperset(universe.locks_on(package)),
                needs=tuple(sorted(needs, key=sorted)),
            )
        )
    return frozenset(concerned[index] for index in purged(candidates, universe.policy.keep, running))


def _belongs_to_kernels(universe: Universe, handle: int) -> bool:
    """Whether a package is a kernel or one of its siblings, such as -devel, -source or -syms."""
    name: str = universe.pool.id2solvable(handle).name
    return name.startswith("kernel-")


def own_provides(universe: Universe, handle: int) -> tuple[Evr, ...]:
    """The EVRs with which a package provides its own name, sorted as in an RPM's header."""
    solvable = universe.pool.id2solvable(handle)
    lead = f"{solvable.name} = "
    exactly = solv.Dataiterator.SEARCH_STRING
    places = solvable.Dataiterator(solv.SOLVABLE_PROVIDES, solvable.name, exactly)
    texts = (universe.pool.dep2str(place.id) for place in places)
    found = {Evr.parse(text.removeprefix(lead)) for text in texts if text.startswith(lead)}
    return tuple(sorted(found, key=lambda evr: (evr, str(evr))))


def _providers(symbols: frozenset[int], exports: list[tuple[int, frozenset[int]]]) -> set[frozenset[int]]:
    """Who provides each of `symbols`, without repeats and without those that nobody provides."""
    groups: list[tuple[frozenset[int], tuple[int, ...]]] = [(symbols, ())] if symbols else []
    for index, capabilities in exports:
        parted = []
        for members, providers in groups:
            provided = members & capabilities
            if provided:
                parted.append((provided, (*providers, index)))
            if len(provided) < len(members):
                parted.append((members - provided if provided else members, providers))
        groups = parted
    return {frozenset(providers) for _, providers in groups if providers}
