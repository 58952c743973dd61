"""What a plan says that plain ``zypper up`` would do, and what the real one does.

The plan is made with the distribution's binding, so that both ask the same libsolv: later ones decide otherwise
between equal solutions, and exchange a kernel that stands beside a newer one for one that obsoletes it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.executed.execution import set_up
from tests.executed.universes import ANY, universe
from tests.property.test_oracle import FAMILIES
from tests.sandbox import Sandbox
from tests.support.bindings import VARIABLE
from tests.support.worlds import World

IN_EACH_FAMILY = 6
MANY = 60
_PLAN = """\
from tests.support.bindings import use_asked_for
use_asked_for()
import json, sys
import kmpsolve
from kmpsolve.errors import RequestError
try:
    print(kmpsolve.plan(**json.loads(sys.argv[1])).to_json())
except RequestError:  # the kernel that is asked for is of another vendor
    print("null")
"""


def _plan(sandbox: Sandbox, of: World) -> dict[str, Any] | None:
    asked = {"root": str(sandbox.root), "kernel": of.kernel, "running": of.running}
    done = subprocess.run(
        [sys.executable, "-c", _PLAN, json.dumps(asked)],
        env={**os.environ, VARIABLE: "distribution"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    plan: dict[str, Any] | None = json.loads(done.stdout)
    return plan


def differences(of: World) -> list[str]:
    """Where ``zypper up`` does something else than the plan says."""
    with Sandbox() as sandbox:
        set_up(sandbox, of)
        plan = _plan(sandbox, of)
        if plan is None:
            return []
        before = set(sandbox.installed())
        done = sandbox.run(["zypper", "--non-interactive", "update"])
        after = set(sandbox.installed())
    found = []
    for flavor in plan["flavors"]:
        would, kernel = flavor["zypper_would"], _name(flavor["current"][0]["nevra"])
        arrived = {nevra for nevra in after - before if _name(nevra) == kernel}
        if not (would["target"] in arrived if would["target"] else not arrived):
            found.append(f"{would['target']} was foretold, {sorted(arrived)} came: {done}")
        for name, nevra in would["kmps"].items():
            there = {one for one in after if _name(one) == name}
            if not (nevra in there if nevra else not there):
                found.append(f"{name}: {nevra} was foretold, {sorted(there)} are there: {done}")
    return found


def _name(nevra: str) -> str:
    return nevra.rsplit("-", 2)[0]


@pytest.mark.parametrize("family", [*FAMILIES, ANY])
def test_zypper_does_what_it_was_said_to_do(family: str) -> None:
    for of in (universe(family, number) for number in range(IN_EACH_FAMILY)):
        assert differences(of) == [], of.text()


@pytest.mark.deep
@pytest.mark.parametrize("family", [*FAMILIES, ANY])
def test_zypper_does_in_many_universes_what_it_was_said_to_do(family: str) -> None:
    for of in (universe(family, number) for number in range(IN_EACH_FAMILY, MANY)):
        assert differences(of) == [], of.text()
