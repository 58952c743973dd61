"""Whether builds fit a kernel unit, by exact comparison of every symbol version.

A build is compatible with a kernel iff every symbol version, symset and exact kernel that it requires
is provided, exactly, by that kernel's unit, by itself, or by other chosen KMPs that are themselves
compatible. The last clause makes it a fixpoint over all builds, cycles included: start from all,
take out what misses something, until nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from kmpsolve.model.needs import Need
from kmpsolve.model.nevra import same_architecture
from kmpsolve.model.package import KernelUnit, KmpBuild
from kmpsolve.model.plan import Mismatch
from kmpsolve.model.symbols import SymbolTable

__all__ = ["Fit", "OpenNeeds", "best_tried", "count_mismatches", "judge", "mismatches", "open_needs"]


def open_needs(build: KmpBuild, unit: KernelUnit, table: SymbolTable) -> tuple[Need, ...]:
    """What `build` needs and neither `unit` nor the build itself provides, sorted by symbol."""
    classes, loose = _missing(build, unit, table)
    needs = table.needs(build.package.handle, [*classes, *loose])
    return tuple(sorted(needs, key=lambda need: (need.kind, need.name, need.value)))


def _missing(
    build: KmpBuild, unit: KernelUnit, table: SymbolTable
) -> tuple[Set[int], Mapping[int, tuple[str, str]]]:
    """The classes that are open, and what is in no class, with name part and value.

    A class is met by the kernels that provide it.
    """
    missing = build.needs - unit.exports.capabilities - build.exports.capabilities
    classes = table.classes_among(missing)
    loose = {c: version for c in missing - classes if (version := table.version(c)) is not None}
    return classes, build.exports.lacking(unit.exports.lacking(loose))


class OpenNeeds(Mapping[int, tuple[Need, ...]]):
    """For each build its `open_needs`, found out when they are asked for: most builds are of no further interest.

    Parameters
    ----------
    builds
        By handle.
    """

    def __init__(self, builds: Mapping[int, KmpBuild], unit: KernelUnit, table: SymbolTable) -> None:
        self.builds = builds
        self._unit = unit
        self._table = table
        self._known: dict[int, tuple[Need, ...]] = {}

    def __getitem__(self, handle: int) -> tuple[Need, ...]:
        known = self._known.get(handle)
        if known is None:
            known = self._known[handle] = open_needs(self.builds[handle], self._unit, self._table)
        return known

    def __iter__(self) -> Iterator[int]:
        return iter(self.builds)

    def __len__(self) -> int:
        return len(self.builds)

    def __contains__(self, handle: object) -> bool:
        return handle in self.builds

    def counted(self, handle: int) -> tuple[int, Iterable[tuple[str, str]]]:
        """How many are in classes, which only kernels provide; name part and value of the others."""
        build = self.builds[handle]
        classes, loose = _missing(build, self._unit, self._table)
        packed = self._table.classes
        return packed.count(handle, classes) if packed is not None else 0, loose.values()

    def beside(self, builds: Iterable[KmpBuild]) -> OpenNeeds:
        """The same with more builds."""
        more = {build.package.handle: build for build in builds}
        return OpenNeeds({**more, **self.builds}, self._unit, self._table)


@dataclass(frozen=True, slots=True)
class Fit:
    """How all builds of a flavor fit one kernel unit.

    Parameters
    ----------
    open
        For each build, its `open_needs`: those that only another KMP can meet.
    viable
        Builds that are compatible if the right other KMPs are chosen with them. A build without
        symbol versions is never among them.
    """

    unit: KernelUnit
    open: OpenNeeds
    viable: frozenset[int]

    def fits(self, build: KmpBuild) -> bool:
        """Whether `build` can be compatible with the unit."""
        return build.package.handle in self.viable


def judge(builds: Iterable[KmpBuild], unit: KernelUnit, table: SymbolTable) -> Fit:
    """Judge `builds` against `unit`: the greatest set of its architecture in which every need is met."""
    by_handle = {build.package.handle: build for build in builds}
    open_ = OpenNeeds(by_handle, unit, table)
    # The same symbols of another architecture are none: a dist-upgrade changes it where a KMP is there for no other.
    arch = unit.nevra.arch
    candidates = {
        handle: build
        for handle, build in by_handle.items()
        if build.versioned and (build.nevra.arch == arch or same_architecture(build.nevra.arch, arch))
    }
    alive = _without_hopeless(candidates, unit, table)
    asking: dict[tuple[str, str], list[int]] = {}
    for handle in alive:
        for need in open_[handle]:
            asking.setdefault((need.key, need.value), []).append(handle)
    offered: dict[tuple[str, str], int] = {}
    for build in alive.values():
        for offer in _offers(build, asking):
            offered[offer] = offered.get(offer, 0) + 1
    falling = [
        handle
        for handle in alive
        if any(n.kind == "exact-kernel" or (n.key, n.value) not in offered for n in open_[handle])
    ]
    while falling:
        dead = alive.pop(falling.pop(), None)
        if dead is None:
            continue
        for offer in _offers(dead, asking):
            offered[offer] -= 1
            if not offered[offer]:
                falling += asking[offer]
    return Fit(unit, open_, frozenset(alive))


def _without_hopeless(
    builds: dict[int, KmpBuild], unit: KernelUnit, table: SymbolTable
) -> dict[int, KmpBuild]:
    """Leave out builds with a need that neither the unit nor any build meets: one such need tells."""
    offered = frozenset().union(*(build.exports.capabilities for build in builds.values()))
    keys: frozenset[str] | None = None
    left: dict[int, KmpBuild] = {}
    for handle, build in builds.items():
        missing = build.needs - unit.exports.capabilities
        if table.classes_among(missing):
            continue
        if missing and not missing <= offered:
            if keys is None:
                keys = frozenset(key for other in builds.values() for key in other.exports)
            open_ = ((c, version) for c in missing - offered if (version := table.version(c)))
            if any(v[0] not in keys and unit.exports.lacking({c: v}) for c, v in open_):
                continue
        left[handle] = build
    return left


def _offers(build: KmpBuild, asking: Mapping[tuple[str, str], object]) -> list[tuple[str, str]]:
    """The symbol versions of `build` that somebody asks for."""
    return [
        (key, value) for key, values in build.exports.items() for value in values if (key, value) in asking
    ]


def mismatches(
    build: KmpBuild, fit: Fit, providers: Callable[[str], Sequence[tuple[KmpBuild, bool]]]
) -> tuple[tuple[Mismatch, ...], bool, bool]:
    """The symbols on which `build` and the unit (with the other KMPs) disagree.

    Parameters
    ----------
    providers
        For a capability, the other KMPs with it: the chosen build and True, or the best tried and False.

    Returns
    -------
    tuple
        The mismatches, sorted; whether a kernel symbol is among the reasons; whether another KMP is.
        An exact kernel that is another one is a cause, never a mismatch.
    """
    return _mismatches(fit.open[build.package.handle], fit, providers)


def count_mismatches(
    build: KmpBuild, fit: Fit, providers: Callable[[str], Sequence[tuple[KmpBuild, bool]]]
) -> tuple[int, bool, bool]:
    """As `mismatches`, but only how many there are: names and CRCs are not looked up."""
    in_classes, loose = fit.open.counted(build.package.handle)
    found, by_kernel, by_kmp = 0, in_classes > 0, False
    for key, value in loose:
        offers = _offers_of(key, value, providers)
        if offers is None:
            continue
        found += 1
        if offers and key not in fit.unit.exports:
            by_kmp = True
        else:
            by_kernel = True
    return found + in_classes, by_kernel, by_kmp


def _offers_of(
    key: str, value: str, providers: Callable[[str], Sequence[tuple[KmpBuild, bool]]]
) -> Sequence[tuple[KmpBuild, bool]] | None:
    """The KMPs that know a symbol's name; ``None`` if a chosen one provides it, or it is no symbol."""
    if key == "kernel-uname-r":
        return None
    offers = providers(key)
    return None if any(chosen and other.exports.has(key, value) for other, chosen in offers) else offers


def _mismatches(
    needs: Iterable[Need], fit: Fit, providers: Callable[[str], Sequence[tuple[KmpBuild, bool]]]
) -> tuple[tuple[Mismatch, ...], bool, bool]:
    found: list[Mismatch] = []
    by_kernel = by_kmp = False
    for need in needs:
        offers = _offers_of(need.key, need.value, providers)
        if offers is None:
            continue
        in_unit = fit.unit.exports.get(need.key)
        if in_unit is not None:
            by_kernel = True
            found.append(Mismatch(symbol=need.name, kind="disagrees", wanted=need.value, found=in_unit[0]))
        elif offers:
            by_kmp = True
            given = next((other for other, chosen in offers if chosen), offers[0][0]).exports[need.key]
            same = need.value in given
            found.append(
                Mismatch(
                    symbol=need.name,
                    kind="unknown" if same else "disagrees",
                    wanted=need.value,
                    found=need.value if same else given[0],
                )
            )
        else:
            by_kernel = True
            found.append(Mismatch(symbol=need.name, kind="unknown", wanted=need.value, found=None))
    return tuple(sorted(found)), by_kernel, by_kmp


def best_tried(candidates: Iterable[tuple[KmpBuild, int]]) -> KmpBuild | None:
    """The build that comes closest: fewest mismatches, then installed, then the higher EVR."""
    best: tuple[KmpBuild, int] | None = None
    for build, count in candidates:
        if best is None or _closer(build, count, *best):
            best = (build, count)
    return best[0] if best else None


def _closer(build: KmpBuild, count: int, than: KmpBuild, than_count: int) -> bool:
    if count != than_count:
        return count < than_count
    if build.package.installed != than.package.installed:
        return build.package.installed
    return build.nevra.evr > than.nevra.evr
