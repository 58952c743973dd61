"""Which kernel the plan is for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kmpsolve.errors import RequestError
from kmpsolve.model.evr import Evr
from kmpsolve.model.package import KernelUnit
from kmpsolve.model.plan import Warned
from kmpsolve.planner.kernels import requires_base, requires_part, serves
from kmpsolve.planner.system import FlavorSystem
from kmpsolve.solver.universe import KernelPackage, Universe

__all__ = ["Aim", "aims", "every_kernel", "kernels_named"]


@dataclass(frozen=True, slots=True)
class Aim:
    """The kernel of one flavor that was asked for; ``None``: there is nothing new."""

    unit: KernelUnit | None
    warnings: tuple[Warned, ...] = ()
    absent: bool = False
    """The kernel that was named does not exist for this flavor: nothing is to be done about it."""


def aims(systems: dict[str, FlavorSystem], kernel: str | None) -> dict[str, Aim]:
    """For each flavor the kernel that ``--kernel`` asks for; ``newest-safe`` is not decided here.

    Raises
    ------
    RequestError
        If no selected flavor has the kernel that was named.
    """
    if kernel in (None, "newest-safe"):
        return {flavor: Aim(system.kernels.zypper_up_pick()) for flavor, system in systems.items()}
    if kernel == "latest":
        return {flavor: _latest(system) for flavor, system in systems.items()}
    found = {flavor: _named(system, kernel) for flavor, system in systems.items()}
    by_uname = {flavor: aim for flavor, (aim, uname) in found.items() if aim is not None and uname}
    if by_uname:
        return {flavor: _asked_for(systems[flavor], unit) for flavor, unit in by_uname.items()}
    if not any(unit for unit, _ in found.values()):
        others = sorted(
            {
                f"{p.nevra} ({p.vendor})"
                for s in systems.values()
                for p in s.kernels.of_other_vendors()
                if _spelled(kernel, p.nevra.evr)
            }
        )
        hint = (
            f"it is only there from another vendor, which zypp's vendor rules keep out: {', '.join(others)}"
            if others
            else "see the kernels with: zypper search --details 'kernel-*', or kmpsolve matrix"
        )
        raise RequestError(
            f"no kernel {kernel} is installed or in a repository",
            reference="unknown-kernel",
            where="--kernel",
            hint=hint,
        )
    return {
        flavor: _asked_for(systems[flavor], unit)
        if unit
        else Aim(
            None,
            (Warned(reference="kernel-not-for-flavor", message=f"there is no kernel-{flavor} {kernel}"),),
            absent=True,
        )
        for flavor, (unit, _) in found.items()
    }


def _asked_for(system: FlavorSystem, unit: KernelUnit, *warnings: Warned) -> Aim:
    """A kernel that was asked for, though zypp would not choose it by itself."""
    bars = {unit.main.barred, "lock" if not unit.installed and system.universe.locked(unit.main) else None}
    words = {
        "lock": "is locked; zypper install --force takes it nevertheless, and removes the lock",
        "ptf": "is a PTF",
        "retracted": "was retracted by its maker",
    }
    barred = (
        Warned(reference=f"target-{bar}", message=f"{unit.nevra} {text}")
        for bar, text in words.items()
        if bar in bars
    )
    return Aim(unit, (*warnings, *barred))


def _latest(system: FlavorSystem) -> Aim:
    candidates = [u for u in system.kernels.candidates(locked=True) if u.nevra.evr > system.newest.nevra.evr]
    if not candidates:
        return Aim(None)
    unit = candidates[-1]
    usual = system.kernels.zypper_up_pick()
    if usual is not None and usual.nevra == unit.nevra:
        return Aim(unit)
    instead = str(usual.nevra) if usual else "none"
    return _asked_for(
        system,
        unit,
        Warned(
            reference="not-what-zypper-picks",
            message=f"zypper up would pick {instead}: a lock or a priority keeps {unit.nevra} out",
        ),
    )


def _spelled(kernel: str, evr: Evr, uname_r: str = "", flavor: str = "") -> bool:
    """Whether VERSION-RELEASE, with or without the rebuild counter, means this EVR.

    Of a -base, whose release is longer by more than the counter, only the uname -r tells what is without it.
    """
    if uname_r == f"{kernel}-{flavor}":
        return True
    wanted = Evr.parse(kernel)
    if evr.version != wanted.version or (wanted.epoch and wanted.epoch != evr.epoch):
        return False
    return wanted.release in (evr.release, evr.release.rpartition(".")[0]) and bool(wanted.release)


def _named(system: FlavorSystem, kernel: str) -> tuple[KernelUnit | None, bool]:
    units = [*system.kernels.candidates(named=True), *system.units]
    by_uname = [unit for unit in units if unit.uname_r == kernel]
    matching = by_uname or [u for u in units if _spelled(kernel, u.nevra.evr, u.uname_r, u.flavor)]
    exact = [unit for unit in matching if Evr.parse(kernel).release == unit.nevra.evr.release]
    # Of several rebuilds that are meant, none is named: what zypp would not choose is not among them.
    free = [unit for unit in matching if unit.main.barred is None]
    return max(exact or free or matching, key=lambda unit: unit.nevra.evr, default=None), bool(by_uname)


def kernels_named(universe: Universe, kernel: str | None, flavors: tuple[str, ...]) -> list[KernelUnit]:
    """Kernels for a question that needs no system: all that VERSION-RELEASE or UNAME-R names.

    Where there is none, no architecture is the right one: repositories may hold several.

    Parameters
    ----------
    kernel
        ``None`` or ``latest`` for the newest of each flavor and architecture.
    flavors
        Empty for all.

    Raises
    ------
    RequestError
        If there is none.
    """
    at_large = not universe.standing_flavors
    mains = [
        k
        for k in universe.kernels
        if k.part in ("", "base")
        and (at_large or k.package.barred != "architecture")
        and (not flavors or k.flavor in flavors)
    ]

    def kind(k: KernelPackage) -> tuple[str, str]:
        return k.flavor, k.package.nevra.arch if at_large else ""

    by_evr = sorted(mains, key=lambda k: (k.package.nevra.evr, k.part == "", k.package.installed))
    at_home = {k.flavor: k.part for k in by_evr if k.package.installed}
    parts: dict[tuple[str, str, str], set[str]] = {}
    for main in mains:
        parts.setdefault((*kind(main), main.uname_r), set()).add(main.part)

    def stands_back(k: KernelPackage) -> bool:
        # A -base has a longer release than the whole kernel beside it, which makes it no newer.
        return len(parts[*kind(k), k.uname_r]) > 1 and k.part != at_home.get(k.flavor, "")

    found: dict[tuple[str, str, str], KernelPackage] = {}
    # Retracted kernels and PTFs only count where nothing else is meant.
    for main in sorted(
        by_evr, key=lambda k: (k.package.barred not in ("retracted", "ptf"), not stands_back(k))
    ):
        evr = main.package.nevra.evr
        if kernel is None or kernel == "latest":
            found[*kind(main), ""] = main
        elif kernel == main.uname_r or _spelled(kernel, evr, main.uname_r, main.flavor):
            found[*kind(main), main.uname_r] = main
    if not found:
        raise RequestError(
            f"no kernel {kernel or ''}".rstrip() + " is installed or in a repository",
            reference="unknown-kernel",
            where="--kernel",
            hint="see the kernels with: kmpsolve matrix",
        )
    return [universe.unit(main, _parts_of(main, universe.kernels)) for _, main in sorted(found.items())]


def every_kernel(universe: Universe, flavors: tuple[str, ...]) -> list[KernelUnit]:
    """All kernels there are, for a question that needs no system.

    Raises
    ------
    RequestError
        If there is none.
    """
    mains: dict[str, KernelPackage] = {}
    for kernel in universe.kernels:
        whole = kernel.part == "" or (kernel.part == "base" and kernel.package.barred != "architecture")
        if whole and (not flavors or kernel.flavor in flavors):
            mains.setdefault(str(kernel.package), kernel)
    if not mains:
        raise RequestError(
            "there is no kernel in the repositories",
            reference="unknown-kernel",
            hint="Add a repository that has one",
        )
    return [universe.unit(main, _parts_of(main, universe.kernels)) for main in mains.values()]


def _parts_of(main: KernelPackage, kernels: Sequence[KernelPackage]) -> list[KernelPackage]:
    """What belongs to the unit of `main`: what it requires (-base on Code 11), and what is installed now.

    That is -extra, -optional and in-tree KMPs, in the build for this kernel.
    """
    kernels = [k for k in kernels if k.package.nevra.arch == main.package.nevra.arch]
    same = (k for k in kernels if k.part == "base" and k.part != main.part and k.uname_r == main.uname_r)
    chosen = [k for k in same if k.flavor == main.flavor and requires_base(main, k)][:1]
    own = [k for k in kernels if k.flavor == main.flavor and k.part not in ("", "base")]
    for part in sorted({k.part for k in own if k.package.installed or requires_part(main, k)}):
        builds = [k for k in own if k.part == part and k.package.barred is None and serves(k, main)]
        chosen += sorted(builds, key=lambda k: (not k.package.installed, k.package.priority))[:1]
    return chosen
