"""What could be done with each KMP on one kernel, best first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kmpsolve.compat.judgement import Fit
from kmpsolve.model.package import KernelUnit, KmpBuild
from kmpsolve.model.plan import Decision
from kmpsolve.model.relation import obsoleted_by
from kmpsolve.planner.loading import unshadowed
from kmpsolve.planner.system import Kmp, is_native
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
    kmp: Kmp, fit: Fit, *, headers: bool, at_rest: Mapping[str, KmpBuild] | None
) -> tuple[Option, ...]:
    """All options for `kmp` on the unit that `fit` judges; the last one is ``blocked``.

    Parameters
    ----------
    headers
        Whether what a package needs to rebuild itself for this kernel will be there.
    at_rest
        Ask how the system stands as it is: no candidate counts, and of each KMP only the build that the
        kernel loads.
    """
    unit = fit.unit
    kept = [b for b in kmp.installed if not obsoleted_by(unit.obsoletes, b.nevra)]
    offered = [b for b in kmp.candidates if not obsoleted_by(unit.obsoletes, b.nevra)]
    # What was made for this kernel is loaded before any link.
    kept.sort(key=lambda build: not is_native(build, unit))
    staying = [build.package.handle for build in kept]
    shell = Stand(staying[0], "shell", tuple(staying[1:])) if staying else None
    shrunk = len(kept) < len(kmp.installed)
    if at_rest is not None:
        offered = []
        kept = [b for b in unshadowed(kept, unit) if b is at_rest.get(kmp.name) or not b.versioned]
    found: list[Option] = []
    for decision, builds in (("reuse", kept), ("fetch", offered)):
        for build in builds:
            if fit.fits(build):
                found.append(Option(decision, build, Stand(build.package.handle, "compatible")))  # type: ignore[arg-type]
    if absorbs(unit, kmp) and (not overrides(kmp) or shrunk):
        found.append(Option("builtin", None, shell))
    # A KMP that works nowhere is used where something works for certain, else it stays as lost as it is.
    for build in kept + (offered if kmp.works_somewhere else []):
        if not build.versioned:
            decision = "rebuild-on-host" if build.rebuilds_on_host and headers else "unverified"
            found.append(Option(decision, build, Stand(build.package.handle, "as-is")))  # type: ignore[arg-type]
    # What the target takes away from user space is lost, unless nothing is going to be done at all.
    first, *others = (build.package.handle for build in kmp.installed)
    given_up = Stand(first, "given-up", tuple(others)) if kmp.counts or staying else Stand(first, "gone")
    found.append(Option("blocked", None, given_up))
    return tuple(sorted(found, key=lambda option: LEVELS.index(option.decision)))
