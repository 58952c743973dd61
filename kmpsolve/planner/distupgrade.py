"""What a change of release does to the KMPs: ``zypper dist-upgrade``, solved and then judged.

A dist-upgrade brings every package to what the repositories have, also to an older version, and removes
what another package obsoletes. With multiversion switched off, as the upgrade guide asks, the old kernels
go; a flavor may go with them, or give way to another.
"""

from __future__ import annotations

from dataclasses import replace

from kmpsolve.model.plan import FlavorPlan, Inputs, Plan, Warned, worst
from kmpsolve.planner.aftermath import transition_of
from kmpsolve.planner.deciding import flavor_systems
from kmpsolve.planner.judgement import judge_transaction
from kmpsolve.planner.planning import with_stranded
from kmpsolve.request import Request
from kmpsolve.solver.transaction import Transacted, dist_upgrade
from kmpsolve.solver.universe import Universe

__all__ = ["plan_dist_upgrade"]


def plan_dist_upgrade(universe: Universe, request: Request, inputs: Inputs, command: str) -> Plan:
    """Judge what ``zypper dist-upgrade`` would do.

    Where it would stop and ask it is blocked: with ``-n`` it does nothing, and what becomes of the KMPs is for
    the answer to decide. A flavor that was not asked for is told of where it loses something: the upgrade is of all
    of them. If an installed KMP is in the way, the KMPs are judged as after the answer that lets it go.

    Parameters
    ----------
    universe
        Sealed and whole: a dist-upgrade moves all packages.
    command
        The zypper command that carries it out.

    Raises
    ------
    MetadataError
        If the system has no kernel.
    RequestError
        For a flavor that is not installed.
    """
    systems = flavor_systems(universe, request)
    selected = frozenset(systems)
    if request.flavors:
        systems = flavor_systems(universe, replace(request, flavors=()))
    warnings: set[Warned] = set()
    done = dist_upgrade(universe)
    refused = bool(done.reasons)
    if refused:
        kmps = [build.package for build in universe.installed_kmps]
        warnings.add(_asks(universe, done))
        done = dist_upgrade(universe, losing=kmps)
    plan = judge_transaction(
        universe, request, inputs, transition_of(universe, done), tuple(systems), losses_only=False
    )
    if done.reasons:
        warnings.add(_asks(universe, done))
    kernels = {unit.main.handle: unit.main.name for system in systems.values() for unit in system.units}
    stays = {name for handle, name in kernels.items() if handle not in {p.handle for p in done.gone}}
    if any(package.name in stays for package in done.arrived):
        warnings.add(
            Warned(
                reference="multiversion-on",
                message="the old kernels and their KMPs stay beside the new ones; the upgrade guide asks "
                "to switch multiversion off in zypp.conf first",
            )
        )
    entries = tuple(
        replace(
            flavor,
            warnings=tuple(sorted({*flavor.warnings, *warnings})),
            verdict=worst((flavor.verdict, "blocked")) if refused else flavor.verdict,
        )
        for flavor in plan.flavors
        if flavor.flavor in selected or flavor.verdict in ("blocked", "unverified")
    )
    entries = with_stranded(universe, entries)
    verdict = worst(flavor.verdict for flavor in entries)
    if not plan.complete and verdict in ("safe", "nothing-to-do"):
        verdict = "unverified"
        entries = tuple(replace(flavor, verdict=worst((flavor.verdict, verdict))) for flavor in entries)
    entries = tuple(replace(flavor, target=None) if _unchanged(flavor) else flavor for flavor in entries)
    steps = () if verdict == "blocked" else plan.transaction
    return replace(
        plan, verdict=verdict, flavors=entries, transaction=steps, command=command if steps else None
    )


def _unchanged(flavor: FlavorPlan) -> bool:
    """Whether there is nothing to do for a flavor: the kernel that boots next does so already, and keeps every KMP."""
    boots = flavor.target.nevra if flavor.target else None
    return flavor.verdict == "nothing-to-do" and boots == flavor.current[0].nevra


def _asks(universe: Universe, done: Transacted) -> Warned:
    names = sorted({universe.name_of(h) for r in done.reasons for h in (r.package, r.other) if h})
    return Warned(
        reference="dist-upgrade-asks",
        message=f"zypper dist-upgrade would stop and ask about {', '.join(names)}",
    )
