"""Every fixture once more, its installed packages in a real rpmdb: the same plan as from metadata."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.sandbox import Sandbox
from tests.scenarios import runner
from tests.support import fixture, rpmbuild


@pytest.mark.parametrize("name", fixture.names())
def test_the_plan_from_the_rpmdb_is_the_same(name: str, tmp_path: Path) -> None:
    scenario = fixture.load(name)
    with Sandbox() as sandbox:
        sandbox.install_rpms(rpmbuild.build(scenario.installed))
        answer = runner.ask_root(scenario, sandbox.root, tmp_path)
    plan = json.loads(runner.plan_file(name).read_text(encoding="utf-8"))
    plan["inputs"]["root"] = str(sandbox.root)
    assert answer.exit == scenario.expected.exit, answer.stderr
    found, expected = (runner.comparable(one, between_sources=True) for one in (answer.plan, plan))
    assert json.dumps(found, indent=1) == json.dumps(expected, indent=1)


def test_commands_for_another_root_are_none_for_this_machine(tmp_path: Path) -> None:
    scenario = fixture.load("demo-blocked")
    with Sandbox() as sandbox:
        sandbox.install_rpms(rpmbuild.build(scenario.installed))
        text = runner.ask_root(scenario, sandbox.root, tmp_path, "text").stdout
    assert f"zypper --root {sandbox.root} install " in text
    assert f"kmpsolve guard on --root {sandbox.root} && zypper --root {sandbox.root} up" in text
    assert "zypper install" not in text
