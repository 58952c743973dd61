"""What could be done with each KMP on one kernel, best first."""

from __future__ import annotations

from dataclasses import dataclass

from kmpsolve.compat.judgement import Fit
from kmpsolve.model.package import KernelUnit, KmpBuild
from kmpsolve.model.plan import Decision
from kmpsolve.planner.system import FlavorSystem, Kmp, is_native, obsoleted_by
from kmpsolve.solver.projection import Stand

__all__ = ["LEVELS", "Option", "absorbs", "options", "overrides"]

LEVELS: tuple[Decision, ...] = ("reuse", "fetch", "builtin", "rebuild-on-host", "unverified", "blocked")
"""The order in which decisions are tried (contract, "Rules of judgement")."""


@dataclass(frozen=True, slots=True)
class Option:
    """One way to go on with a KMP.

    Parameters
    ----------
    build
        What serves the KMP then; ``None`` for builtin and blocked.
    stand
        How it takes part in the projection; ``None`` where the target takes every build away.
    """

    decision: Decision
    build: KmpBuild | None
    stand: Stand | None


def absorbs(unit: KernelUnit, kmp: Kmp) -> bool:
    """Whether the unit has every module of the KMP; one whose modules are unknown is never absorbed."""
    return bool(kmp.modules) and kmp.modules.keys() <= unit.modules.keys()


def overrides(kmp: Kmp) -> bool:
    """Whether the kernel that it is used on ships all its modules too, so that it overrides them."""
    return absorbs(kmp.used_on, kmp)


def options(
    kmp: Kmp, fit: Fit, system: FlavorSystem, *, headers: bool, installed_only: bool
) -> tuple[Option, ...]:
    """All options for `kmp` on the unit that `fit` judges; the last one is ``blocked``.

    Parameters
    ----------
    headers
        Whether what a package needs to rebuild itself for this kernel will be there.
    installed_only
        Leave candidates out: ask how the system stands as it is.
    """
    unit = fit.unit
    kept = [b for b in kmp.installed if not obsoleted_by(unit.obsoletes, b.nevra)]
    offered = (
        [] if installed_only else [b for b in kmp.candidates if not obsoleted_by(unit.obsoletes, b.nevra)]
    )
    # What was made for this kernel stands in its updates/ folder, and depmod takes it before any link.
    kept.sort(key=lambda build: not is_native(build, unit))
    found: list[Option] = []
    for decision, builds in (("reuse", kept), ("fetch", offered)):
        for build in builds:
            if fit.fits(build):
                found.append(Option(decision, build, Stand(build.package.handle, "compatible")))  # type: ignore[arg-type]
    shell = Stand(kept[0].package.handle, "shell") if kept else None
    if absorbs(unit, kmp) and (not overrides(kmp) or len(kept) < len(kmp.installed)):
        found.append(Option("builtin", None, shell))
    for build in kept + offered:
        if not build.versioned:
            decision = "rebuild-on-host" if build.rebuilds_on_host and headers else "unverified"
            found.append(Option(decision, build, Stand(build.package.handle, "as-is")))  # type: ignore[arg-type]
    found.append(Option("blocked", None, Stand(kmp.installed[0].package.handle, "given-up")))
    return tuple(sorted(found, key=lambda option: LEVELS.index(option.decision)))
