"""Ways out of blocked plans, carried out by the real zypper, lead where they say."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

import kmpsolve
from tests.executed.execution import non_interactive, plan_in, set_up, shim
from tests.executed.universes import ANY, plans
from tests.property.test_oracle import FAMILIES
from tests.sandbox import Sandbox
from tests.support.worlds import World

_ASKS = 4
KINDS = {"newest-safe": "user space", "vendor-change": "vendors", "lock": "locks"}
"""Kinds of ways that end with a command, and a family of worlds that has them."""


def _ways(flavor: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [way for way in flavor["ways_out"] if way["kind"] == kind and way["command"]]


def _has(plan: dict[str, Any], kind: str) -> bool:
    return any(_ways(flavor, kind) for flavor in plan["flavors"])


def _plan_for(sandbox: Sandbox, of: World, flavor: str, nevra: str) -> dict[str, Any]:
    """The plan of one flavor for one kernel, as the system stands now."""
    version, release = nevra.rpartition(".")[0].rsplit("-", 2)[1:]
    named = f"{version}-{release}"
    plan = kmpsolve.plan(root=sandbox.root, kernel=named, running=of.running, flavors=[flavor])
    said: dict[str, Any] = json.loads(plan.to_json())
    return said


def astray(of: World, kind: str) -> list[str]:
    """What became of the first way of a kind and was not promised; [] if all is well."""
    with Sandbox(shared=[shim().parent]) as sandbox:
        set_up(sandbox, of)
        ways = [(f, way) for f in plan_in(sandbox, of)["flavors"] for way in _ways(f, kind)]
        if not ways:  # what an inventory takes for met, the rpmdb does not
            return []
        flavor, way = ways[0]
        before = sandbox.installed()
        for command in way["command"].split(" && "):
            done = sandbox.run(non_interactive(command))
            if done.code:
                # Builds that exclude each other: zypper asks which one is to go.
                asks = kind == "vendor-change" and done.code == _ASKS and sandbox.installed() == before
                return [] if asks else [str(done)]
        aim = flavor["newest_safe"] if kind == "newest-safe" else flavor["target"]["nevra"]
        plan = _plan_for(sandbox, of, flavor["flavor"], aim)
        kmps = {kmp["name"]: kmp for kmp in plan["flavors"][0]["kmps"]}
        mine = [kmps[name] for name in way["kmps"] if name in kmps]
        if kind == "lock":
            kept_out = [t["nevra"] for kmp in mine for t in kmp["tried"] if t["cause"] == "lock"]
            return [f"{way['text']}: still locked" for nevra in kept_out if nevra in way["text"]]
        found = [f"{way['command']}: {aim} is not there"] if aim not in sandbox.installed() else []
        if kind == "newest-safe" and (
            plan["verdict"] not in ("safe", "nothing-to-do") or plan["transaction"]
        ):
            found.append(f"{way['command']}: {plan['verdict']}, {plan['transaction']}")
        found += [f"{way['command']}: {kmp['causes']}" for kmp in mine if kmp["decision"] == "blocked"]
        return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_way_out_leads_where_it_says(kind: str) -> None:
    worlds = (of for of, plan in plans(KINDS[kind]) if _has(plan, kind))
    for of in itertools.islice(worlds, 3):
        assert astray(of, kind) == [], of.text()


@pytest.mark.deep
@pytest.mark.parametrize("family", [*FAMILIES, ANY])
def test_many_ways_out_lead_where_they_say(family: str) -> None:
    for of, plan in plans(family, range(200)):
        for kind in KINDS:
            if _has(plan, kind):
                assert astray(of, kind) == [], of.text()
