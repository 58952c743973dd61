"""Plans carried out by the real zypper: exactly the transaction, or a word about what is not."""

from __future__ import annotations

import dataclasses
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.host import DRIVER, MIDDLE, NEW, NEWER_TOOL, OLD, REBUILD, TOOL, Host, specs, without_root
from tests.scenarios import runner
from tests.support import fixture, rpmbuild
from tests.support.packages import PackageSpec


def _plan(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(runner.plan_file(name).read_text(encoding="utf-8"))
    return document


WITH_A_TRANSACTION = [name for name in fixture.names() if _plan(name)["transaction"]]


def test_there_are_transactions() -> None:
    assert len(WITH_A_TRANSACTION) > 30


@pytest.mark.parametrize("name", WITH_A_TRANSACTION)
def test_the_command_does_exactly_what_the_plan_says(name: str, tmp_path: Path) -> None:
    scenario = fixture.load(name)
    plan = _plan(name)
    root = runner.make_root(scenario, tmp_path / "root", tmp_path)
    with Host(hook=False, more=scenario.installed, shared=[tmp_path]) as host:
        shutil.rmtree(host.path("/etc/zypp"))
        shutil.copytree(root / "etc/zypp", host.path("/etc/zypp"))
        host.write("/etc/zypp/systemCheck", "")
        arch = plan["flavors"][0]["arch"]
        conf = host.path("/etc/zypp/zypp.conf")
        conf.write_text(f"{conf.read_text()}arch = {arch}\n")
        before = set(host.installed())
        words = shlex.split(plan["command"])
        assert words[0] == "zypper"
        ended = host.zypper(*words[1:])
        assert ended.code == (106 if plan["inputs"]["skipped"] else 0), str(ended)
        after = set(host.installed())
        arrived = {step["nevra"] for step in plan["transaction"] if step["action"] != "erase"}
        erased = {step["nevra"] for step in plan["transaction"] if step["action"] == "erase"}
        names = {
            step["nevra"].rsplit("-", 2)[0]
            for step in plan["transaction"]
            if step["action"] in ("upgrade", "downgrade")
        }
        replaced = {nevra for nevra in before - after if nevra.rsplit("-", 2)[0] in names}
        assert after - before == arrived, str(ended)
        assert before - after == erased | replaced, str(ended)


def test_apply() -> None:
    with Host(OLD, DRIVER, TOOL) as host:
        host.add("updates", specs(NEW, REBUILD, NEWER_TOOL))
        ended = host.kmpsolve("apply", "--non-interactive")
        assert ended.code == 0, str(ended)
        assert host.installed() == sorted([DRIVER, REBUILD, OLD, NEW, TOOL])
        assert ended.stdout.index(
            "kernel-default 6.4.0-150600.23.25.1 -> 6.4.0-150600.23.30.1"
        ) < ended.stdout.index("Resolving package dependencies")
        assert "kmpsolve: done as planned: 2 steps" in ended.stderr
        # No fixture's module is a real one; tests/modules/test_apply.py has those.
        assert "acme.ko is no readable kernel module" in ended.stderr
        assert f"looked into {REBUILD}: not everything can be checked" in ended.stderr
        assert "comes along and works" in ended.stderr  # the hook looks at it too
        again = host.kmpsolve("apply", "--non-interactive")
        assert again.code == 0, str(again)
        assert "nothing to do" in again.stdout


def test_a_kernel_that_a_lock_holds_and_that_is_asked_for() -> None:
    """zypper takes it by force and drops the lock; looking at what was downloaded does not yet."""
    with Host(OLD, DRIVER, TOOL) as host:
        host.add("updates", specs(NEW, REBUILD))
        assert host.zypper("addlock", "kernel-default").code == 0
        refused = host.run(["kmpsolve", "apply", "--kernel", "latest"], stdin="n\n")
        assert refused.code == 4, str(refused)
        assert "zypper install --force takes it nevertheless, and removes the lock" in " ".join(
            refused.stdout.split()
        )
        assert "kernel-default" in host.locks()
        ended = host.kmpsolve("apply", "--kernel", "latest", "--non-interactive")
        assert ended.code == 0, str(ended)
        assert host.installed() == sorted([DRIVER, REBUILD, OLD, NEW, TOOL])
        assert host.locks() == ""


def test_a_system_with_its_rpmdb_elsewhere() -> None:
    """Below another root it may lie where this machine's rpm does not look."""
    with Host() as host:
        root, database = "/srv/system", "/var/lib/rpm"
        host.write("/etc/rpm/macros", "%_dbpath /opt/rpmdb\n")
        host.path(f"{root}/etc").mkdir(parents=True)
        place = ["rpm", "--root", root, "--dbpath", database]
        for words in (["--initdb"], ["-i", "--nodeps", *map(str, rpmbuild.build(specs(OLD, DRIVER)))]):
            ended = host.run([*place, *words])
            assert ended.code == 0, str(ended)
        host.add("updates", specs(NEW, REBUILD))
        shutil.copytree(host.path("/etc/zypp"), host.path(f"{root}/etc/zypp"))
        ended = host.kmpsolve("apply", "--non-interactive", "--root", root)
        assert ended.code == 0, str(ended)
        assert "kmpsolve: done as planned: 2 steps" in ended.stderr
        there = host.run([*place, "-qa", "--qf", "%{NEVRA}\n"]).stdout.split()
        assert sorted(there) == sorted([OLD, NEW, DRIVER, REBUILD])
        assert not host.path(f"{root}/opt").exists()


def test_of_two_packages_with_one_nevra_it_takes_the_one_that_was_chosen() -> None:
    rebuild = specs(REBUILD)[0]
    other = dataclasses.replace(rebuild, requires=specs(DRIVER)[0].requires)
    with Host(OLD, DRIVER) as host:
        host.add("updates", specs(NEW))
        host.add("acme", [rebuild])
        host.add("acme-copy", [other], priority=50)
        ended = host.kmpsolve("apply", "--non-interactive")
        assert ended.code == 0, str(ended)
        required = host.run(["rpm", "-q", "--requires", REBUILD]).stdout.split("\n")
        assert set(rebuild.requires) <= set(required), str(ended)


@pytest.mark.parametrize(("answer", "done"), [("y\n", True), ("n\n", False), ("", False)])
def test_it_asks(answer: str, done: bool) -> None:
    with Host(OLD, DRIVER) as host:
        host.add("updates", specs(NEW, REBUILD))
        ended = host.run(["kmpsolve", "apply"], stdin=answer)
        assert "Continue? [y/n] (n): " in ended.stderr
        assert (NEW in host.installed()) == done, str(ended)
        assert ended.code == (0 if done else 4), str(ended)


def test_through_zypper() -> None:
    with Host(OLD, DRIVER) as host:
        host.add("updates", specs(MIDDLE, NEW))
        ended = host.run(["zypper", "kmp", "apply", "-n", "--kernel", "newest-safe"])
        assert ended.code == 0, str(ended)
        assert "kmpsolve: done as planned: 1 step\n" in ended.stderr
        assert host.installed() == sorted([DRIVER, OLD, MIDDLE])


def test_it_refuses_what_plan_refuses() -> None:
    with Host(OLD, DRIVER) as host:
        host.add("updates", specs(NEW))
        before = host.rpmdb()
        ended = host.run(["zypper", "kmp", "apply", "-n"])
        assert ended.code == 4, str(ended)
        assert "BLOCKED" in ended.stdout
        assert host.rpmdb() == before


def test_it_says_what_is_not_as_planned() -> None:
    """A scriptlet that fails: zypper says so with its exit code, and the package is not there."""
    failing = dataclasses.replace(specs(REBUILD)[0], scripts=(("pre", "exit 1"),))
    shell = PackageSpec(name="shell", version="1", release="1", provides=("/bin/sh",))
    with Host(OLD, DRIVER, more=[shell]) as host:
        host.add("updates", [*specs(NEW), failing])
        ended = host.kmpsolve("apply", "-n")
        assert ended.code not in (0, 4, 110), str(ended)
        assert f"not as planned: {REBUILD} is not installed" in ended.stderr
        assert NEW in host.installed()  # and it boots next, without the driver
        last = ended.stderr.splitlines()[-1]
        assert last == "kmpsolve: before a reboot, see what is left to do: kmpsolve plan"
        assert (
            f"acme-kmp-default={REBUILD.removeprefix('acme-kmp-default-')[:-7]}"
            in host.kmpsolve("plan").stdout
        )


def test_a_repository_that_is_gone_keeps_nobody_from_the_others() -> None:
    with Host(OLD, DRIVER) as host:
        host.add("updates", specs(NEW, REBUILD))
        host.zypper("ref")
        host.add_repository("gone", "dir:/nowhere")
        ended = host.kmpsolve("apply", "-n")
        assert ended.code == 106, str(ended)
        assert "Not read: gone" in ended.stdout
        assert {NEW, REBUILD} <= set(host.installed())


def test_what_cannot_be_downloaded() -> None:
    with Host(OLD, DRIVER) as host:
        folder = host.add("updates", specs(NEW, REBUILD))
        host.run(["cp", "-r", str(folder), "/srv/updates"])
        host.add_repository("updates", "dir:/srv/updates")
        host.zypper("ref")
        host.run(["sh", "-c", "rm /srv/updates/acme*.rpm"])
        before = host.rpmdb()
        ended = host.kmpsolve("apply", "-n")
        assert ended.code not in (0, 110), str(ended)
        assert "not everything was downloaded; nothing was changed" in ended.stderr
        assert host.rpmdb() == before


def test_only_root_and_only_with_the_lock() -> None:
    with Host(OLD, DRIVER) as host:
        host.add("updates", specs(NEW, REBUILD))
        host.zypper("ref")
        ended = without_root(host, "apply", "-n")
        assert ended.code == 5, str(ended)
        ended = host.run(
            ["sh", "-c", "sleep 9 & echo $! > /run/zypp.pid; kmpsolve apply -n; echo code $?; kill $!"]
        )
        assert "code 7" in ended.stdout
        assert host.installed() == [DRIVER, OLD]
