"""The boot matrix: for every kernel that will be there, which build serves each KMP, and how."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from kmpsolve.model.nevra import same_architecture
from kmpsolve.model.package import KernelUnit, KmpBuild
from kmpsolve.model.plan import BootState, BuildInUse, KernelState, Via, Warned
from kmpsolve.model.relation import obsoleted_by
from kmpsolve.model.symbols import SymbolTable
from kmpsolve.planner.evaluation import Evaluation
from kmpsolve.planner.loading import loaded, unshadowed
from kmpsolve.planner.options import absorbs, overrides
from kmpsolve.planner.system import FlavorSystem, Kmp, is_native
from kmpsolve.solver.purging import purged_after
from kmpsolve.solver.transaction import Transacted

__all__ = ["Booted", "boot_matrix", "booted_after", "fallback_warnings", "fallbacks_lose"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Booted:
    """The boot matrix after a transaction, and what it takes from the kernels that stay.

    Parameters
    ----------
    lost
        KMPs that count and that one of these loses; sorted.
    """

    rows: tuple[BootState, ...]
    warnings: tuple[Warned, ...]
    lost: tuple[str, ...]


def _in_use(kmp: Kmp, builds: Sequence[KmpBuild], loads: KmpBuild | None, unit: KernelUnit) -> BuildInUse:
    if loads is not None:
        via: Via = "native" if is_native(loads, unit) else "weak-updates"
        return BuildInUse(build=str(loads.nevra), via=via)
    taken = any(obsoleted_by(unit.obsoletes, build.nevra) for build in kmp.installed)
    versionless = [
        build
        for build in unshadowed(builds, unit)
        if not build.versioned and same_architecture(build.nevra.arch, unit.nevra.arch)
    ]
    best = max(versionless, key=lambda b: (is_native(b, unit), b.nevra.evr), default=None)
    # What stands in the kernel's own updates folder goes before its own modules, whether it loads or not.
    hidden = best is not None and is_native(best, unit)
    if absorbs(unit, kmp) and (taken or not overrides(kmp)) and not hidden:
        return BuildInUse(build=None, via="builtin")
    if best is not None:
        return BuildInUse(build=str(best.nevra), via="unknown")
    return BuildInUse(build=None, via="none")


def boot_matrix(
    kmps: Iterable[Kmp],
    units: Sequence[KernelUnit],
    builds: Mapping[str, Sequence[KmpBuild]],
    extras: Iterable[KmpBuild],
    states: Mapping[str, KernelState],
    table: SymbolTable,
) -> tuple[BootState, ...]:
    """One row for each kernel, newest first.

    Parameters
    ----------
    units
        The kernels that will be there.
    builds
        For each KMP's name the builds that will be there for it, renames included.
    extras
        Other KMP builds that will be there.
    states
        By uname -r.
    """
    kmps, extras = list(kmps), list(extras)
    rows = []
    for unit in sorted(units, key=lambda u: u.nevra.evr, reverse=True):
        staying = {
            kmp.name: [b for b in builds[kmp.name] if not obsoleted_by(unit.obsoletes, b.nevra)]
            for kmp in kmps
        }
        loads = loaded(staying, extras, unit, table)
        uses = {kmp.name: _in_use(kmp, staying[kmp.name], loads.get(kmp.name), unit) for kmp in kmps}
        rows.append(BootState(uname_r=unit.uname_r, state=states[unit.uname_r], kmps=uses))
    return tuple(rows)


def fallback_losses(before: Sequence[BootState], after: Sequence[BootState]) -> list[tuple[BootState, str]]:
    """Kernels other than the new one, each with a KMP that served there before and does not after."""
    served = {(row.uname_r, name) for row in before for name, use in row.kmps.items() if use.via != "none"}
    return [
        (row, name)
        for row in after
        for name, use in row.kmps.items()
        if use.via == "none" and (row.uname_r, name) in served
    ]


def fallback_warnings(before: Sequence[BootState], after: Sequence[BootState]) -> tuple[Warned, ...]:
    """The `fallback_losses` in words, and the kernels that go."""
    warnings = []
    staying = {row.uname_r for row in after}
    for row, name in fallback_losses(before, after):
        what = "running kernel" if row.state == "running" else "fallback kernel"
        warnings.append(
            Warned(reference="fallback-loses", message=f"the {what} {row.uname_r} would lose {name}")
        )
    for row in before:
        if row.uname_r not in staying:
            warnings.append(
                Warned(
                    reference="kernel-goes",
                    message=f"kernel {row.uname_r} is removed by this update and can no longer be booted",
                )
            )
    return tuple(sorted(warnings))


def fallbacks_lose(
    kmps: Iterable[Kmp], before: Sequence[BootState], after: Sequence[BootState]
) -> tuple[str, ...]:
    """The KMPs that count and that a kernel which stays loses."""
    counted = {kmp.name for kmp in kmps if kmp.counts}
    return tuple(sorted(counted.intersection(name for _, name in fallback_losses(before, after))))


def booted_after(
    system: FlavorSystem, evaluation: Evaluation, target: KernelUnit | None, transacted: Transacted
) -> Booted:
    """What boots after a transaction."""
    gone = {p.handle for p in transacted.gone}
    arrived = {p.handle for p in transacted.arrived}
    states: dict[str, KernelState] = {}
    units = [u for u in system.units if u.main.handle not in gone]
    if target is not None and not target.installed:
        units = [u for u in units if u.uname_r != target.uname_r] + [target]
    next_boot = target.uname_r if target is not None else system.newest.uname_r
    purged = purged_after(system.universe, transacted.arrived, transacted.gone, next_boot)
    for unit in units:
        if unit.uname_r == system.request.running:
            states[unit.uname_r] = "running"
        elif not unit.installed:
            states[unit.uname_r] = "new"
        elif unit.main.handle in purged:
            states[unit.uname_r] = "purged-next"
        else:
            states[unit.uname_r] = "installed"
    builds: dict[str, list[KmpBuild]] = {}
    before: dict[str, list[KmpBuild]] = {}
    for kmp in system.kmps:
        before[kmp.name] = list(kmp.installed)
        there = [b for b in kmp.installed if b.package.handle not in gone]
        there += [b for b in kmp.candidates if b.package.handle in arrived]
        option = evaluation.choice.options[kmp.name]
        if option.build is not None and option.build not in there:
            there.append(option.build)
        builds[kmp.name] = there
    table = system.universe.table
    rows = boot_matrix(system.kmps, units, builds, evaluation.choice.added, states, table)
    rows = tuple(_as_decided(row, evaluation) for row in rows)
    warnings = tuple(_purge_warnings(rows))
    if target is None:
        return Booted(rows=rows, warnings=warnings, lost=())
    old_states: dict[str, KernelState] = {u.uname_r: "installed" for u in system.units}
    earlier = boot_matrix(system.kmps, system.units, before, (), old_states, table)
    return Booted(
        rows=rows,
        warnings=(*fallback_warnings(earlier, rows), *warnings),
        lost=fallbacks_lose(system.kmps, earlier, rows),
    )


def _as_decided(row: BootState, evaluation: Evaluation) -> BootState:
    """The row of the kernel that was decided on says what was decided."""
    if row.uname_r != evaluation.unit.uname_r:
        return row
    kmps = dict(row.kmps)
    for name, option in evaluation.choice.options.items():
        if option.decision == "builtin":
            kmps[name] = BuildInUse(build=None, via="builtin")
        elif option.build is not None and option.decision == "unverified":
            kmps[name] = BuildInUse(build=str(option.build), via="unknown")
        elif option.build is not None and option.decision in ("reuse", "fetch"):
            native = is_native(option.build, evaluation.unit)
            kmps[name] = BuildInUse(build=str(option.build), via="native" if native else "weak-updates")
    return replace(row, kmps=kmps)


def _purge_warnings(rows: Sequence[BootState]) -> Iterable[Warned]:
    """KMPs that only serve kernels which the next purge takes."""
    for name in rows[0].kmps if rows else ():
        serving = [row for row in rows if row.kmps[name].via in ("native", "weak-updates")]
        if serving and all(row.state == "purged-next" for row in serving):
            unames = ", ".join(row.uname_r for row in serving)
            yield Warned(
                reference="purge-takes-last",
                message=f"the next purge-kernels removes {unames}, the only kernel that {name} works on",
            )
