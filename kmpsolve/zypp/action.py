"""What the hook does about a verdict: stop the transaction, hold the kernel back besides, or let it pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from kmpsolve.config import Config
from kmpsolve.model.plan import FlavorPlan, KmpPlan, Plan
from kmpsolve.planner.signing import REQUIRED
from kmpsolve.request import Request

__all__ = ["action", "counted", "falling"]


def action(plan: Plan, config: Config) -> str:
    """abort, hold or warn: the strictest of what the configuration says of each KMP that is lost or in doubt.

    Parameters
    ----------
    plan
        The judgement, with the KMPs that count (see `counted`).
    """
    asked = {word for flavor in plan.flavors for word in _asked(flavor, config)}
    return next((word for word in ("abort", "hold") if word in asked), "warn")


def _asked(flavor: FlavorPlan, config: Config) -> Iterator[str]:
    if flavor.verdict == "blocked":
        lost = {kmp.name for kmp in flavor.kmps if kmp.decision == "blocked"}
        if config.protect_fallback:
            lost |= falling(flavor)
        rules = [Request(kmp_rules=config.kmp_rules).rule(name) for name in lost]
        yield from ((rule.on_blocked if rule else None) or config.on_blocked for rule in rules)
        if not lost:
            yield config.on_blocked
    if flavor.verdict == "unverified" or (flavor.verdict == "blocked" and _doubtful(flavor)):
        yield config.unverified


def falling(flavor: FlavorPlan) -> set[str]:
    """The KMPs that a kernel which stays would lose."""
    told = {w.message.rpartition(" ")[2] for w in flavor.warnings if w.reference == "fallback-loses"}
    return {kmp.name for kmp in flavor.kmps} & told


def _doubtful(flavor: FlavorPlan) -> bool:
    """Whether a KMP beside those that are lost cannot be verified on another kernel than boots now."""
    if any(w.reference == REQUIRED for kmp in flavor.kmps for w in kmp.warnings):
        return True
    stays = flavor.target is not None and flavor.target.nevra in [one.nevra for one in flavor.current[:1]]
    return not stays and any(kmp.decision == "unverified" for kmp in flavor.kmps)


def counted(plan: Plan, config: Config) -> Plan:
    """The judgement without the KMPs whose loss is none: waived, ignored, unused, or lost before."""
    return replace(
        plan,
        flavors=tuple(
            replace(flavor, kmps=tuple(kmp for kmp in flavor.kmps if _counts(kmp, flavor, config)))
            for flavor in plan.flavors
        ),
    )


def _counts(kmp: KmpPlan, flavor: FlavorPlan, config: Config) -> bool:
    rule = Request(kmp_rules=config.kmp_rules).rule(kmp.name)
    excused = {"removed", "newest-installed-breaks"}
    if kmp.waived is not None or (rule is not None and rule.on_blocked == "ignore"):
        return False
    unused = bool(kmp.installed) and any(w.reference == "not-in-use" for w in kmp.warnings)
    if rule is not None and rule.scope == "in-use" and unused:
        return False
    if config.already_broken != "block" and any(cause.kind == "already-broken" for cause in kmp.causes):
        return False
    return not any(w.reference in excused and w.message.startswith(f"{kmp.name} ") for w in flavor.warnings)
