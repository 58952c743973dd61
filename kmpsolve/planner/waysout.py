"""What a person can do about a blocked KMP: least loss first, removal of a driver last."""

from __future__ import annotations

from typing import Any

from kmpsolve.compat.judgement import open_needs
from kmpsolve.model.nevra import Nevra
from kmpsolve.model.package import KernelUnit, KmpBuild, Package
from kmpsolve.model.plan import Cause, WayOut
from kmpsolve.planner.command import quoted
from kmpsolve.planner.evaluation import Evaluation
from kmpsolve.planner.system import FlavorSystem, Kmp

HeldPatch = dict[str, Any]

__all__ = ["ways_out"]


def ways_out(
    system: FlavorSystem, evaluation: Evaluation, newest_safe: KernelUnit | None, command: str | None
) -> tuple[WayOut, ...]:
    """The ways out of a blocked plan for one flavor.

    Parameters
    ----------
    command
        What brings `newest_safe` with its KMPs; ``None`` if it stands already.
    """
    unit, table = evaluation.unit, system.universe.table
    held = held_patches(system, unit, newest_safe)
    counted = {kmp.name for kmp in system.kmps if kmp.counts}
    blocked = [p for p in evaluation.kmps if p.decision == "blocked" and p.name in counted]
    names = tuple(p.name for p in blocked)
    ways: list[WayOut] = []
    if newest_safe is not None and newest_safe.main.handle != unit.main.handle:
        if command:
            text = f"update to the newest kernel that keeps every driver, {newest_safe.nevra.evr}"
        else:
            text = f"stay on {newest_safe.nevra.evr}, the newest kernel that keeps every driver"
        ways.append(WayOut(kind="newest-safe", text=text, command=command, kmps=names, held_patches=held))
    for kmp_plan in blocked:
        for cause in cause_of(kmp_plan.causes, "vendor"):
            pick = cause.packages[0]
            ways.append(
                WayOut(
                    kind="vendor-change",
                    text=f"take {pick} from another vendor; it fits {unit.nevra.evr}",
                    command="zypper install --no-recommends --oldpackage "
                    f"{quoted(_spec(pick))} {unit.main.name}={unit.nevra.evr}",
                    kmps=(kmp_plan.name,),
                )
            )
        for cause in cause_of(kmp_plan.causes, "lock"):
            ways.append(
                WayOut(
                    kind="lock",
                    text=f"remove the lock that keeps {cause.packages[0]} out; it fits {unit.nevra.evr}",
                    command=f"zypper removelock {quoted(kmp_plan.name)}",
                    kmps=(kmp_plan.name,),
                )
            )

    def fits(build: KmpBuild) -> bool:
        return build.versioned and not open_needs(build, unit, table)

    fitting = {build.nevra for kmp in system.kmps for build in kmp.installed if fits(build)}
    for kmp, kmp_plan in zip(system.kmps, evaluation.kmps, strict=True):
        for twin in kmp.twins:
            if kmp_plan in blocked and fits(twin) and twin.nevra not in fitting:
                ways.append(
                    WayOut(
                        kind="fetch-with",
                        text=f"reinstall {twin} from {twin.package.repository}: it has other content there, "
                        f"which fits {unit.nevra.evr}",
                        command="zypper install --force "
                        + quoted(f"{twin.package.repository}:{_spec(str(twin))}"),
                        kmps=(kmp.name,),
                    )
                )
    krel = unit.uname_r.removesuffix(f"-{unit.flavor}")
    vendors: dict[str, list[str]] = {}
    for kmp, kmp_plan in zip(system.kmps, evaluation.kmps, strict=True):
        if kmp_plan in blocked and fitting.isdisjoint(build.nevra for build in kmp.installed):
            vendors.setdefault(kmp.installed[0].package.vendor or "its vendor", []).append(kmp.name)
    for vendor in sorted(vendors):
        ways.append(
            WayOut(
                kind="vendor-rebuild",
                text=f"ask {vendor} for a build of {', '.join(vendors[vendor])} "
                f"for kernel {krel} ({unit.flavor})",
                command=None,
                kmps=tuple(vendors[vendor]),
            )
        )
    if not unit.installed:
        ways.append(
            WayOut(
                kind="hold",
                text="hold this kernel back and update everything else",
                command="kmpsolve guard on && zypper up",
                kmps=names,
                held_patches=held,
            )
        )
    for name in names:
        ways.append(
            WayOut(
                kind="waiver",
                text=f"accept the loss on this host: a [[waiver]] for {name} in /etc/kmpsolve/kmpsolve.toml",
                command=None,
                kmps=(name,),
            )
        )
    locked = {kmp.name for kmp in system.kmps if any(map(system.universe.locked, _packages(kmp)))}
    for name in names:
        if name in locked:
            text = f"remove the lock on {name}, then {name} itself, if nothing needs it any more"
            ways.append(WayOut(kind="remove", text=text, command=None, kmps=(name,)))
        else:
            text = f"remove {name} if nothing needs it any more"
            ways.append(
                WayOut(kind="remove", text=text, command=f"zypper remove {quoted(name)}", kmps=(name,))
            )
    return tuple(ways)


def _packages(kmp: Kmp) -> list[Package]:
    return [build.package for build in kmp.installed]


def held_patches(
    system: FlavorSystem, unit: KernelUnit, newest_safe: KernelUnit | None
) -> tuple[HeldPatch, ...]:
    """The patches that do not arrive without `unit`: id, severity and CVEs, sorted by id.

    These are the ones with a kernel of the target's name that is newer than what can boot instead.
    """
    base = max(u.nevra.evr for u in (system.newest, *([newest_safe] if newest_safe else [])))
    found: dict[str, HeldPatch] = {}
    for patch in system.universe.patches:
        if patch.status == "retracted":
            continue
        for text in patch.packages:
            if text.startswith(f"{unit.main.name}-"):
                nevra = Nevra.parse(text)
                if nevra.name == unit.main.name and base < nevra.evr <= unit.nevra.evr:
                    found[patch.id] = {"id": patch.id, "severity": patch.severity, "cves": list(patch.cves)}
    return tuple(found[name] for name in sorted(found))


def cause_of(causes: tuple[Cause, ...], kind: str) -> list[Cause]:
    """The causes of one kind."""
    return [cause for cause in causes if cause.kind == kind]


def _spec(nevra: str) -> str:
    parsed = Nevra.parse(nevra)
    return f"{parsed.name}={parsed.evr}"
