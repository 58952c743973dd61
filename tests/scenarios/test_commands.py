"""The command of every plan, given to the real zypper, does what the plan's transaction says."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from kmpsolve.model.nevra import Nevra
from tests.sandbox import Sandbox
from tests.scenarios import runner
from tests.support import fixture, repository, rpmbuild
from tests.support.fixture import Scenario

# zypper works for its own machine's architecture, and refuses a repository that it cannot read.
SCENARIOS = [
    scenario
    for scenario in map(fixture.load, fixture.names())
    if scenario.expected.complete and {spec.arch for spec in scenario.installed} <= {"x86_64", "noarch"}
]
WITH_TRANSACTION = [scenario.name for scenario in SCENARIOS if scenario.expected.transaction]
BLOCKED = [scenario.name for scenario in SCENARIOS if scenario.expected.verdict == "blocked"]
# A plain update is for all flavors and names no kernel.
# Debian's repo2solv, unlike SUSE's, does not mark retracted packages for zypper.
PLAIN = [
    scenario.name
    for scenario in SCENARIOS
    if scenario.request.kernel is None
    and scenario.request.flavor is None
    and not any(patch.status == "retracted" for entry in scenario.repositories for patch in entry.patches)
]


def set_up(sandbox: Sandbox, scenario: Scenario, root: Path) -> None:
    """Give the sandbox the packages, repositories and zypp configuration of `scenario`."""
    sandbox.install_rpms(rpmbuild.build(scenario.installed))
    if scenario.system is not None:
        for path in root.glob("etc/zypp/**/*"):
            if path.is_file() and path.suffix != ".repo":
                sandbox.write(f"/{path.relative_to(root)}", path.read_text(encoding="utf-8"))
    for entry in scenario.repositories:
        folder = repository.rpm_md(entry.packages, entry.patches)
        sandbox.add_repository(entry.alias, f"dir:{folder}", priority=entry.priority)


@pytest.mark.parametrize("name", WITH_TRANSACTION)
def test_zypper_does_what_the_plan_says(name: str, tmp_path: Path) -> None:
    scenario = fixture.load(name)
    plan = runner.ask(scenario, scenario.sources[0], tmp_path).plan
    with Sandbox() as sandbox:
        set_up(sandbox, scenario, tmp_path / "root")
        before = set(sandbox.installed())
        done = sandbox.run(_non_interactive(plan["command"]))
        after = set(sandbox.installed())
    assert done.code == 0, done
    steps = {(step["action"], step["nevra"]) for step in plan["transaction"]}
    assert after - before == {nevra for action, nevra in steps if action != "erase"}, done
    replaced = {
        nevra
        for nevra in before
        for action, new in steps
        if action in ("upgrade", "downgrade") and _name(nevra) == _name(new)
    }
    assert before - after == {nevra for action, nevra in steps if action == "erase"} | replaced, done


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_update_does_what_the_plan_says_it_would(name: str, tmp_path: Path) -> None:
    scenario = fixture.load(name)
    plan = runner.ask(scenario, scenario.sources[0], tmp_path).plan
    with Sandbox() as sandbox:
        set_up(sandbox, scenario, tmp_path / "root")
        before = set(sandbox.installed())
        done = sandbox.zypper("update")
        after = set(sandbox.installed())
    assert done.code == 0, done
    kernels = {
        spec.nevra
        for entry in scenario.repositories
        for spec in entry.packages
        if any(provided.startswith("kernel-uname-r") for provided in spec.provides)
    }
    targets = {flavor["zypper_would"]["target"] for flavor in plan["flavors"]} - {None}
    # kernel-default-base comes along where the kernel requires it, and is no target then.
    new = {nevra for nevra in (after - before) & kernels if "-base-" not in nevra or nevra in targets}
    assert new == targets, done
    for flavor in plan["flavors"]:
        for kmp, build in flavor["zypper_would"]["kmps"].items():
            there = {nevra for nevra in after if _name(nevra) == kmp}
            assert (build in there) if build else not there, done
            assert there - before <= {build}, done


@pytest.mark.parametrize("name", BLOCKED)
def test_the_ways_out_lead_out(name: str, tmp_path: Path) -> None:
    scenario = fixture.load(name)
    plan = runner.ask(scenario, scenario.sources[0], tmp_path).plan
    walked = [
        (flavor["flavor"], way)
        for flavor in plan["flavors"]
        for way in flavor["ways_out"]
        if way["command"] and way["command"].startswith("zypper ")
    ]
    assert [way for flavor in plan["flavors"] for way in flavor["ways_out"] if way["command"]]
    for flavor, way in walked:
        assert way["kmps"]
        with Sandbox() as sandbox:
            set_up(sandbox, scenario, tmp_path / "root")
            before = sandbox.installed()
            done = sandbox.run(_non_interactive(way["command"]))
            after = sandbox.installed()
            assert done.code == 0, done
            if way["kind"] != "lock":
                assert after != before, done
            assert _blocked_now(scenario, sandbox, flavor, way) == [], done


def _blocked_now(scenario: Scenario, sandbox: Sandbox, flavor: str, way: dict[str, Any]) -> list[str]:
    """The KMPs, of those that a way out is for, that the kernel booted next is still without."""
    request = scenario.request
    words = ["plan", "--format", "json", "--root", str(sandbox.root), "--flavor", flavor]
    if way["kind"] not in ("lock", "remove"):  # it chose a kernel, and the newest one stays what it is
        words += ["--kernel", _newest_kernel(sandbox, flavor)]
    elif request.kernel is not None:
        words += ["--kernel", request.kernel]
    if request.configuration is not None:
        words += ["--config", str(sandbox.write("/tmp/kmpsolve.toml", request.configuration))]
    answer = runner.kmpsolve(words)
    assert answer.exit in (0, 4, 110), answer.stderr
    (entry,) = answer.plan["flavors"]
    return [k["name"] for k in entry["kmps"] if k["decision"] == "blocked" and k["name"] in way["kmps"]]


def _newest_kernel(sandbox: Sandbox, flavor: str) -> str:
    listed = sandbox.run(["rpm", "-q", "--last", "--whatprovides", "kernel-uname-r"]).stdout.split()
    kernels = [
        Nevra.parse(word)
        for word in listed
        if word.startswith((f"kernel-{flavor}-6", f"kernel-{flavor}-3", f"kernel-{flavor}-base-"))
    ]
    newest = max(kernels, key=lambda nevra: nevra.evr).evr
    return f"{newest.version}-{newest.release}"


def _non_interactive(command: str) -> list[str]:
    program, *arguments = shlex.split(command)
    return [program, "--non-interactive", *arguments]


def _name(nevra: str) -> str:
    return nevra.rsplit("-", 2)[0]
