"""The comparison of plans with the oracle notices what is wrong: every single change to a right plan."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.property import bootmatrix
from tests.property.acceptance import disagreements, plan_of
from tests.support.worlds import Kernel, Kmp, Repository, Tool, World

WORLD = World(
    installed=[
        Kernel(release="10.1", ksyms="a=1 b=1 c=1"),
        Kmp(name="acme", krel="6.4.0-10", symbols="a=1", modules="acme.ko acme_x.ko"),
        Kmp(name="beta", krel="6.4.0-10", symbols="b=1", modules="beta.ko"),
        Tool(name="tools", requires="acme-kmp = 1.0"),
    ],
    repositories=[
        Repository(
            alias="r1",
            packages=[
                Kernel(release="20.1", ksyms="a=2 b=1 c=2"),
                Kmp(name="acme", krel="6.4.0-20", version="2.0", symbols="a=2", modules="acme.ko"),
                Kmp(name="acme", krel="6.4.0-20", version="1.5", symbols="a=2", modules="acme.ko"),
                Kmp(name="extra", krel="6.4.0-20", symbols="a=2", modules="acme_x.ko"),
                Tool(name="tools", version="2.0", requires="acme-kmp = 2.0"),
            ],
        )
    ],
)
BLOCKED = World(
    installed=[*WORLD.installed, Kmp(name="corp", krel="6.4.0-10", symbols="a=1 c=1", modules="corp.ko")],
    repositories=WORLD.repositories,
)
Change = Callable[[dict[str, Any]], None]


def _kmp(plan: dict[str, Any], name: str) -> dict[str, Any]:
    found = next(kmp for kmp in plan["flavors"][0]["kmps"] if kmp["name"] == f"{name}-kmp-default")
    assert isinstance(found, dict)
    return found


def _set(name: str, **values: object) -> Change:
    return lambda plan: _kmp(plan, name).update(values)


def _flavor(**values: object) -> Change:
    return lambda plan: plan["flavors"][0].update(values)


def _drop_step(name: str) -> Change:
    def change(plan: dict[str, Any]) -> None:
        plan["transaction"] = [step for step in plan["transaction"] if not step["nevra"].startswith(name)]

    return change


def _step(name: str, **values: object) -> Change:
    def change(plan: dict[str, Any]) -> None:
        next(step for step in plan["transaction"] if step["nevra"].startswith(name)).update(values)

    return change


def _matrix(row: int, name: str, **values: object) -> Change:
    return lambda plan: plan["flavors"][0]["boot_matrix"][row]["kmps"][f"{name}-kmp-default"].update(values)


SAFE_CHANGES: dict[str, Change] = {
    "overall verdict": lambda plan: plan.update(verdict="unverified"),
    "flavor's verdict": _flavor(verdict="unverified"),
    "incomplete": lambda plan: plan.update(complete=False),
    "no target": _flavor(target=None),
    "newest safe": _flavor(newest_safe="kernel-default-6.4.0-10.1.x86_64"),
    "no newest safe": _flavor(newest_safe=None),
    "no current kernel": _flavor(current=[]),
    "a KMP is missing": lambda plan: plan["flavors"][0]["kmps"].pop(),
    "installed builds": _set("acme", installed=[]),
    "a worse decision": _set("beta", decision="builtin", chosen=None),
    "a better decision": _set("acme", decision="reuse", chosen="acme-kmp-default-1.0_k6.4.0_10-1.x86_64"),
    "a worse candidate": _set("acme", chosen="acme-kmp-default-1.5_k6.4.0_20-1.x86_64"),
    "no build chosen": _set("acme", chosen=None),
    "a repository for an installed build": _set("beta", repository="r1"),
    "no repository": _set("acme", repository=None),
    "symbols": _set("acme", symbols_required=2),
    "mismatches": _set(
        "acme", mismatches=[{"symbol": "a", "kind": "disagrees", "wanted": "2", "found": "3"}]
    ),
    "the kernel is not installed": _drop_step("kernel"),
    "the build is not fetched": _drop_step("acme"),
    "the module is not followed": _drop_step("extra"),
    "user space stays behind": _drop_step("tools"),
    "something more": lambda plan: plan["transaction"].append(
        {"action": "install", "nevra": "acme-kmp-default-1.5_k6.4.0_20-1.x86_64", "repository": "r1"}
    ),
    "something goes": lambda plan: plan["transaction"].append(
        {"action": "erase", "nevra": "beta-kmp-default-1.0_k6.4.0_10-1.x86_64", "repository": None}
    ),
    "another action for the kernel": _step("kernel", action="upgrade"),
    "another action for user space": _step("tools", action="install"),
    "another repository": _step("acme", repository="r2"),
    "no command": lambda plan: plan.update(command=None),
}
BLOCKED_CHANGES: dict[str, Change] = {
    "safe after all": _set("corp", decision="reuse", chosen="corp-kmp-default-1.0_k6.4.0_10-1.x86_64"),
    "no cause": _set("corp", causes=[]),
    "another cause": _set("corp", causes=[{"kind": "conflict"}]),
    "already broken": lambda plan: _kmp(plan, "corp")["causes"].append({"kind": "already-broken"}),
    "no mismatch": _set("corp", mismatches=[]),
    "a mismatch less": lambda plan: _kmp(plan, "corp")["mismatches"].pop(),
    "another CRC found": lambda plan: _kmp(plan, "corp")["mismatches"][0].update(found="7"),
    "another CRC wanted": lambda plan: _kmp(plan, "corp")["mismatches"][0].update(wanted="7"),
    "another kind": lambda plan: _kmp(plan, "corp")["mismatches"][0].update(kind="unknown"),
    "nothing tried": _set("corp", tried=[]),
    "fewer mismatches tried": lambda plan: _kmp(plan, "corp")["tried"][0].update(mismatches=1),
    "a transaction": lambda plan: plan.update(
        transaction=[{"action": "install", "nevra": "kernel-default-6.4.0-20.1.x86_64", "repository": "r1"}],
        command="zypper install kernel-default",
    ),
    "a command": lambda plan: plan.update(command="zypper install kernel-default"),
    "the kernel is safe": _flavor(newest_safe="kernel-default-6.4.0-20.1.x86_64"),
}
MATRIX_CHANGES: dict[str, Change] = {
    "no row": lambda plan: plan["flavors"][0]["boot_matrix"].pop(),
    "another state": lambda plan: plan["flavors"][0]["boot_matrix"][0].update(state="purged-next"),
    "no build on the target": _matrix(0, "acme", build=None),
    "another way on the target": _matrix(0, "acme", via="weak-updates"),
    "lost on the fallback": _matrix(1, "beta", build=None, via="none"),
    "another build on the fallback": _matrix(1, "acme", build="acme-kmp-default-2.0_k6.4.0_20-1.x86_64"),
}


@pytest.mark.parametrize(
    ("of", "change"),
    [pytest.param(WORLD, change, id=name) for name, change in (SAFE_CHANGES | MATRIX_CHANGES).items()]
    + [pytest.param(BLOCKED, change, id=name) for name, change in BLOCKED_CHANGES.items()],
)
def test_a_changed_plan_is_not_accepted(of: World, change: Change) -> None:
    plan = plan_of(of)
    assert disagreements(plan, of) + bootmatrix.disagreements(plan, of) == []
    changed = copy.deepcopy(plan)
    change(changed)
    assert changed != plan
    assert disagreements(changed, of) or bootmatrix.disagreements(changed, of)
