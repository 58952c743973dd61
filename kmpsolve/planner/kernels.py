"""One flavor's kernels: the units that stand, and those that repositories offer."""

from __future__ import annotations

from collections.abc import Sequence

from kmpsolve.model.evr import Evr
from kmpsolve.model.package import KernelUnit, Package
from kmpsolve.model.relation import parse_relation
from kmpsolve.solver.universe import KernelPackage, Universe

__all__ = ["Kernels", "join_units", "requires_base", "requires_part", "serves"]


class Kernels:
    """What stands and what is on offer, under zypp's rules.

    Parameters
    ----------
    flavor
        A flavor with at least one installed kernel.
    """

    def __init__(self, universe: Universe, flavor: str) -> None:
        self._universe = universe
        kernels = [kernel for kernel in universe.kernels if kernel.flavor == flavor]
        self.units = join_units(universe, [k for k in kernels if k.package.installed])
        """The installed ones, oldest first."""
        self.newest = self.units[-1]
        self.arch = self.newest.main.nevra.arch
        self._parts = {kernel.part for kernel in kernels if kernel.package.installed}
        self._candidates: dict[tuple[bool, bool], list[KernelUnit]] = {}
        self._available = [k for k in kernels if not k.package.installed]
        self._parts_on_offer: dict[str, list[KernelPackage]] = {}
        for kernel in self._available:
            if kernel.part:
                self._parts_on_offer.setdefault(kernel.package.nevra.arch, []).append(kernel)

    def _unit_of_candidate(self, main: KernelPackage) -> KernelUnit:
        # What a lock holds goes along only where the lock holds the whole unit.
        barred = (None, "lock") if self._universe.locked(main.package) else (None,)
        chosen: dict[str, KernelPackage] = {}
        for kernel in sorted(
            self._parts_on_offer.get(main.package.nevra.arch, ()),
            key=lambda k: (
                k.package.priority,  # zypper takes it from there, whatever repository the kernel is from
                k.package.repository != main.package.repository,
                k.package.repository or "",
            ),
        ):
            if kernel.part in chosen or kernel.package.barred not in barred:
                continue
            if kernel.part == "base":
                wanted = requires_base(main, kernel)
            else:
                wanted = (kernel.part in self._parts or requires_part(main, kernel)) and serves(kernel, main)
            if wanted and self._universe.same_class(kernel.package.vendor, main.package.vendor):
                chosen[kernel.part] = kernel
        return self._universe.unit(main, chosen.values())

    def candidates(self, *, locked: bool = False, named: bool = False) -> list[KernelUnit]:
        """Available kernels by the name of the newest installed one, oldest first, best repository last.

        Parameters
        ----------
        locked
            Also those that a lock holds.
        named
            Also those that only count when named: locked, retracted, PTFs.
        """
        asked = (locked, named)
        if asked in self._candidates:
            return self._candidates[asked]
        installed = {str(unit.nevra) for unit in self.units}
        found: dict[str, KernelPackage] = {}
        for kernel in sorted(self._available, key=lambda k: (k.package.priority, k.package.repository or "")):
            package = kernel.package
            if (
                package.name != self.newest.main.name
                or package.nevra.arch != self.arch
                or str(package.nevra) in installed
                or not self._universe.policy.allows(package.vendor, instead_of=self.newest.main.vendor)
                or (package.barred == "lock" and not (locked or named))
                or (package.barred in ("retracted", "ptf") and not named)
            ):
                continue
            found.setdefault(str(package.nevra), kernel)
        units = [self._unit_of_candidate(kernel) for kernel in found.values()]
        self._candidates[asked] = sorted(units, key=lambda unit: (unit.nevra.evr, str(unit.nevra)))
        return self._candidates[asked]

    def every(self) -> list[KernelUnit]:
        """Kernels of this name, installed or available, oldest first, also what zypp would not choose."""
        units = {str(unit.nevra): unit for unit in [*self.candidates(), *self.units]}
        for kernel in sorted(self._available, key=lambda k: (k.package.priority, k.package.repository or "")):
            nevra = kernel.package.nevra
            if nevra.name == self.newest.main.name and nevra.arch == self.arch and str(nevra) not in units:
                units[str(nevra)] = self._unit_of_candidate(kernel)
        return sorted(units.values(), key=lambda unit: (unit.nevra.evr, str(unit.nevra)))

    def of_any_name(self, nevra: str) -> KernelUnit | None:
        """An available kernel of the flavor, also by another name or of another vendor: a dist-upgrade may bring it."""
        found = (k for k in self._available if k.part in ("", "base") and str(k.package.nevra) == nevra)
        main = min(found, key=lambda k: (k.package.priority, k.package.repository or ""), default=None)
        return None if main is None else self._unit_of_candidate(main)

    def of_other_vendors(self) -> list[Package]:
        """Available kernels of the same name that only a change of vendor would bring."""
        return [
            kernel.package
            for kernel in self._available
            if kernel.package.name == self.newest.main.name
            and not self._universe.policy.allows(kernel.package.vendor, instead_of=self.newest.main.vendor)
        ]

    def zypper_up_pick(self) -> KernelUnit | None:
        """The newest kernel that ``zypper up`` would bring, if it is newer than every installed one.

        For each installed kernel by itself libsolv keeps, of the candidates that are not older, those of
        the repositories with the best priority, the installed version included; the newest of these wins.
        (Measured on zypper 1.14.42.)
        """
        everything = [
            kernel.package
            for kernel in self._available
            if kernel.package.name == self.newest.main.name
            and kernel.package.nevra.arch == self.arch
            and kernel.package.barred is None
        ]
        picks: list[Package] = []
        for unit in self.units:
            if unit.main.name != self.newest.main.name:
                continue
            offers = [
                package
                for package in everything
                if package.nevra.evr >= unit.nevra.evr
                and self._universe.policy.allows(package.vendor, instead_of=unit.main.vendor)
            ]
            if offers:
                best = min(package.priority for package in offers)
                picks.append(max((p for p in offers if p.priority == best), key=lambda p: p.nevra.evr))
        newer = [p for p in picks if p.nevra.evr > self.newest.nevra.evr]
        if not newer:
            return None
        nevra = str(max(newer, key=lambda p: p.nevra.evr).nevra)
        return next((u for u in self.candidates() if str(u.nevra) == nevra), None)


def join_units(universe: Universe, kernels: Sequence[KernelPackage]) -> tuple[KernelUnit, ...]:
    """The units that packages of one flavor make up when they stand together, oldest first."""
    by_uname: dict[str, list[KernelPackage]] = {}
    parts = [k for k in kernels if k.part not in ("", "base")]
    for kernel in kernels:
        if kernel.part in ("", "base"):
            by_uname.setdefault(kernel.uname_r, []).append(kernel)
    units = []
    for members in by_uname.values():
        members.sort(key=lambda k: (k.part == "", k.package.nevra.evr), reverse=True)
        main = members[0]
        rest = [k for k in members[1:] if k.package.name != main.package.name]
        rest += [k for k in parts if serves(k, main)]
        units.append(universe.unit(main, rest))
    return tuple(sorted(units, key=lambda unit: (unit.nevra.evr, str(unit.nevra))))


def serves(part: KernelPackage, main: KernelPackage) -> bool:
    """Whether an -extra, -optional or in-tree KMP belongs to exactly this kernel, by what it requires of it."""
    exact = [text.partition(" = ") for text in part.requires if " = " in text]
    if not exact:
        return part.package.nevra.evr == main.package.nevra.evr
    own = any(
        name == main.package.name and Evr.parse(evr) == main.package.nevra.evr for name, _, evr in exact
    )
    return own or bool(part.wanted & main.capabilities)


def requires_part(main: KernelPackage, part: KernelPackage) -> bool:
    """Whether a kernel requires this part, as Red Hat's do; -extra and -optional only come where they are."""
    return part.part.startswith("modules") and bool(main.wanted & part.capabilities)


def requires_base(main: KernelPackage, base: KernelPackage) -> bool:
    """Whether a kernel requires this -base, as on Code 11, where both make up the unit."""
    if main.wanted & base.capabilities:
        return True
    for text in main.requires:
        relation = parse_relation(text)
        if relation is not None and relation[0] == base.package.name:
            return relation[2] in (None, base.package.nevra.evr)
    return False
