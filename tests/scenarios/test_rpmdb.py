"""Every fixture once more, its installed packages in a real rpmdb: the same plan as from metadata."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import kmpsolve
from tests.sandbox import Sandbox
from tests.scenarios import runner
from tests.support import fixture, repository, rpmbuild
from tests.support.worlds import Kernel, Kmp


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


def test_what_an_rpmdb_does_not_list_is_not_there(tmp_path: Path) -> None:
    """Of an inventory of kernels and KMPs the same is taken as met, with a warning: nobody can tell."""
    kernels = [Kernel(release=f"{number}.1", ksyms=f"a={number}").spec() for number in (10, 20)]
    driver = Kmp(name="acme", krel="6.4.0-10", symbols="a=10", modules="acme.ko").spec()
    rebuilt = Kmp(name="acme", krel="6.4.0-20", symbols="a=20", modules="acme.ko")
    demanding = replace(rebuilt, version="2.0", requires="libnew")
    offered = repository.rpm_md([kernels[1], rebuilt.spec(), demanding.spec()])
    with Sandbox() as sandbox:
        sandbox.install_rpms(rpmbuild.build([kernels[0], driver]))
        sandbox.add_repository("r", f"dir:{offered}")
        there = kmpsolve.plan(root=sandbox.root)
        assert [kmp.chosen for kmp in there.flavors[0].kmps] == [rebuilt.spec().nevra]
        assert there.command is not None
        ended = sandbox.zypper(*there.command.split()[1:])
        assert ended.code == 0, ended
        assert sandbox.installed() == sorted(
            [kernels[0].nevra, kernels[1].nevra, driver.nevra, rebuilt.spec().nevra]
        )
    inventory = repository.rpm_folder([kernels[0], driver])
    here = kmpsolve.plan(installed=inventory, repositories={"r": str(offered)})
    assert [kmp.chosen for kmp in here.flavors[0].kmps] == [demanding.spec().nevra]
    assert "user-space-not-checked" in [warning.reference for warning in here.flavors[0].warnings]


def test_commands_for_another_root_are_none_for_this_machine(tmp_path: Path) -> None:
    scenario = fixture.load("demo-blocked")
    with Sandbox() as sandbox:
        sandbox.install_rpms(rpmbuild.build(scenario.installed))
        text = runner.ask_root(scenario, sandbox.root, tmp_path, "text").stdout
    assert f"zypper --root {sandbox.root} install " in text
    assert f"kmpsolve guard on --root {sandbox.root} && zypper --root {sandbox.root} up" in text
    assert "zypper install" not in text
