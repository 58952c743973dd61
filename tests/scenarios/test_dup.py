"""``kmpsolve plan --dup`` against the real zypper's dist-upgrade, and what becomes of KMPs whose flavor ends."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox import Sandbox
from tests.scenarios import runner
from tests.scenarios.test_commands import PLAIN, set_up
from tests.support import fixture, repository, rpmbuild
from tests.support.packages import PackageSpec

# As the upgrade guide asks: the old kernels are to go.
_OFF = "[main]\nmultiversion = only-what-has-this-name\n"
_ON = "[main]\nmultiversion = provides:multiversion(kernel)\n"


def _judge(root: Path) -> dict[str, Any]:
    plan: dict[str, Any] = runner.kmpsolve(["plan", "--dup", "--format", "json", "--root", str(root)]).plan
    return plan


def _carried_out(name: str, tmp_path: Path, zypp_conf: str) -> None:
    scenario = fixture.load(name)
    root = runner.make_root(scenario, tmp_path / "root", tmp_path)
    with Sandbox() as sandbox:
        set_up(sandbox, scenario, root)
        sandbox.write("/etc/zypp/zypp.conf", zypp_conf)
        plan = _judge(sandbox.root)
        before = set(sandbox.installed())
        done = sandbox.zypper("dist-upgrade")
        after = set(sandbox.installed())
    asks = {
        w["message"] for f in plan["flavors"] for w in f["warnings"] if w["reference"] == "dist-upgrade-asks"
    }
    assert bool(asks) == (done.code != 0), done
    standing = {
        k["nevra"].rsplit("-", 2)[0] for f in plan["flavors"] for k in f["current"] if k["nevra"] in after
    }
    beside = any(nevra.rsplit("-", 2)[0] in standing for nevra in after - before)
    warned = {w["reference"] for f in plan["flavors"] for w in f["warnings"]}
    assert done.code != 0 or ("multiversion-on" in warned) == beside, done
    if plan["verdict"] != "blocked":
        assert {s["nevra"] for s in plan["transaction"] if s["action"] != "erase"} == after - before, done
        erased = {s["nevra"] for s in plan["transaction"] if s["action"] == "erase"}
        assert erased <= before - after, done
    elif not asks:
        # What is blocked was no false alarm: zypper did leave the system as the plan says it would.
        for flavor in plan["flavors"]:
            for name, build in flavor["zypper_would"]["kmps"].items():
                there = {nevra for nevra in after if nevra.rsplit("-", 2)[0] == name}
                assert (build in there) if build else not there, done


@pytest.mark.parametrize("name", PLAIN)
def test_the_plan_is_what_zypper_does(name: str, tmp_path: Path) -> None:
    _carried_out(name, tmp_path, _OFF)


@pytest.mark.deep
@pytest.mark.parametrize("name", PLAIN)
def test_the_plan_is_what_zypper_does_with_multiversion(name: str, tmp_path: Path) -> None:
    _carried_out(name, tmp_path, _ON)


# -- another flavor takes over --------------------------------------------------------------------------------

_FETCH = fixture.load("fetch")
_OLD, _DRIVER = _FETCH.installed
_OFFERED = [spec for entry in _FETCH.repositories for spec in entry.packages]
_NEW = next(spec for spec in _OFFERED if spec.name == "kernel-default")
_REBUILD = next(spec for spec in _OFFERED if spec.version.startswith("2.2"))


def _of_flavor(spec: PackageSpec, flavor: str, **changes: Any) -> PackageSpec:
    """The same package for a kernel of another flavor."""

    def other(texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(text.replace("default", flavor) for text in texts)

    return dataclasses.replace(
        spec,
        name=spec.name.replace("default", flavor),
        provides=other(spec.provides),
        requires=other(spec.requires),
        conflicts=other(spec.conflicts),
        files=other(spec.files),
        **changes,
    )


def _longterm(spec: PackageSpec, **changes: Any) -> PackageSpec:
    """The same package for kernel-longterm, which replaces kernel-default."""
    return _of_flavor(spec, "longterm", obsoletes=(spec.name,), **changes)


def _rt(spec: PackageSpec) -> PackageSpec:
    """The same package for kernel-rt, which stands beside."""
    return _of_flavor(spec, "rt")


def _dup(offered: list[PackageSpec], installed: tuple[PackageSpec, ...] = (_OLD, _DRIVER)) -> dict[str, Any]:
    words = ["--installed", str(repository.rpm_md(installed)), "--repo", str(repository.rpm_md(offered))]
    plan: dict[str, Any] = runner.kmpsolve(["plan", "--dup", "--format", "json", *words]).plan
    return plan


def test_a_flavor_that_ends_and_its_driver_with_it() -> None:
    plan = _dup([_longterm(_NEW)])
    (flavor,) = plan["flavors"]
    assert (plan["verdict"], plan["transaction"], plan["command"]) == ("blocked", [], None)
    assert flavor["target"]["nevra"] == _longterm(_NEW).nevra
    (kmp,) = flavor["kmps"]
    assert (kmp["decision"], kmp["causes"][0]["kind"]) == ("blocked", "missing")
    assert "takes over" in kmp["causes"][0]["message"]


@pytest.mark.parametrize("form", ["text", "html", "dot"])
@pytest.mark.parametrize(
    "kernel",
    [_longterm(_NEW), dataclasses.replace(_NEW, vendor="openSUSE")],
    ids=["another flavor", "another vendor"],
)
def test_a_kernel_that_only_a_dist_upgrade_brings_is_told_of_in_every_form(
    kernel: PackageSpec, form: str, tmp_path: Path
) -> None:
    (tmp_path / "etc/zypp").mkdir(parents=True)  # zypp's own settings: a dist-upgrade may change vendors
    words = [
        "--installed",
        str(repository.rpm_md([_OLD, _DRIVER])),
        "--repo",
        str(repository.rpm_md([kernel])),
    ]
    answer = runner.kmpsolve(["plan", "--dup", "--format", form, "--root", str(tmp_path), *words])
    assert (answer.exit, answer.stderr) == (4, "")
    assert _DRIVER.name in answer.stdout


def test_the_same_base_name_for_the_flavor_that_takes_over() -> None:
    driver = _longterm(_REBUILD)
    plan = _dup([_longterm(_NEW), driver])
    (flavor,) = plan["flavors"]
    assert plan["verdict"] == "safe"
    (kmp,) = flavor["kmps"]
    assert (kmp["name"], kmp["decision"], kmp["chosen"]) == (_DRIVER.name, "fetch", driver.nevra)
    assert {(step["action"], step["nevra"]) for step in plan["transaction"]} == {
        ("install", _longterm(_NEW).nevra),
        ("install", driver.nevra),
        ("erase", _OLD.nevra),
        ("erase", _DRIVER.nevra),
    }


def test_the_text_names_what_takes_over() -> None:
    driver = _longterm(_REBUILD)
    offered = repository.rpm_md([_longterm(_NEW), driver])
    words = ["--installed", str(repository.rpm_md([_OLD, _DRIVER])), "--repo", str(offered)]
    lines = runner.kmpsolve(["plan", "--dup", *words]).stdout.splitlines()
    assert any(f"-> {_longterm(_NEW).name} {_NEW.evr}" in line for line in lines)
    assert any(f"as {driver.name} from" in line for line in lines)
    lines = runner.kmpsolve(
        ["plan", "--dup", *words[:1], str(repository.rpm_md([_OLD, _DRIVER, driver])), *words[2:]]
    ).stdout.splitlines()
    assert any(line.startswith("  reuse") and f"{driver.name}, " in line for line in lines)


def test_what_nobody_can_tell_is_not_said_to_keep_working() -> None:
    """It did not work before either, so that the upgrade is safe."""
    broken = dataclasses.replace(_DRIVER, requires=("ksym(default:kfree) = 1",))
    installed = repository.rpm_md([_OLD, broken])
    offered = repository.rpm_md([_NEW, dataclasses.replace(_REBUILD, requires=())])
    words = ["plan", "--dup", "--installed", str(installed), "--repo", str(offered)]
    answer = runner.kmpsolve(words)
    assert answer.exit == 0
    assert "safe: 0 of 1 KMP work on it, 1 unverified" in " ".join(answer.stdout.split())


def test_the_same_base_name_without_symbol_versions() -> None:
    driver = dataclasses.replace(_longterm(_REBUILD), requires=())
    plan = _dup([_longterm(_NEW), driver])
    assert plan["verdict"] == "unverified"
    (kmp,) = plan["flavors"][0]["kmps"]
    assert (kmp["decision"], kmp["chosen"], kmp["causes"]) == ("unverified", driver.nevra, [])
    assert [warning["reference"] for warning in kmp["warnings"]] == ["no-symbol-versions"]


def test_a_flavor_that_gives_way_to_one_beside_which_another_is_updated() -> None:
    """kernel-rt is installed too and gets newer: its driver is of no use to what boots in the old one's place."""
    heir = _longterm(_OLD)
    plan = _dup([heir, _rt(_NEW), _rt(_REBUILD)], (_OLD, _DRIVER, _rt(_OLD), _rt(_DRIVER)))
    assert plan["verdict"] == "blocked"
    ended = next(flavor for flavor in plan["flavors"] if flavor["flavor"] == "default")
    assert ended["target"]["nevra"] == heir.nevra
    assert ended["kmps"][0]["decision"] == "blocked"


def test_the_same_base_name_but_for_another_kernel() -> None:
    misfit = _longterm(_DRIVER)
    plan = _dup([_longterm(_NEW), misfit])
    assert plan["verdict"] == "blocked"
    assert plan["flavors"][0]["kmps"][0]["decision"] == "blocked"


def test_a_kernel_that_is_gone_without_a_word() -> None:
    """Nothing replaces it, so zypper leaves it alone, and nothing is to do."""
    plan = _dup([dataclasses.replace(_REBUILD, name="unrelated", provides=(), requires=())])
    assert plan["verdict"] == "nothing-to-do"


def test_a_repository_that_cannot_be_read_is_no_safe_upgrade(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    words = ["--installed", str(repository.rpm_md([_OLD])), "--repo", str(repository.rpm_md([_NEW]))]
    answer = runner.kmpsolve(
        ["plan", "--dup", "--format", "json", *words, "--repo", str(tmp_path / "broken")]
    )
    assert (answer.exit, answer.plan["verdict"], answer.plan["complete"]) == (110, "unverified", False)


@pytest.mark.parametrize("later", [0, 3600])
def test_a_rebuild_of_the_same_nevra_is_told_by_when_it_was_built(
    later: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """zypper brings one that was built at another time, and nothing of the same time, whatever is in it."""
    with Sandbox() as sandbox:
        monkeypatch.setattr(rpmbuild, "BUILD_TIME", rpmbuild.BUILD_TIME - later)
        rpmbuild._digest.cache_clear()
        sandbox.install_rpms(rpmbuild.build([_OLD, _DRIVER]))
        monkeypatch.undo()
        rpmbuild._digest.cache_clear()
        changed = dataclasses.replace(_OLD, provides=_NEW.provides)
        sandbox.add_repository("main", f"dir:{repository.rpm_md([changed])}")
        plan = _judge(sandbox.root)
        sandbox.zypper("dist-upgrade")
        assert (_DRIVER.nevra in sandbox.installed()) == (later == 0)
    assert plan["verdict"] == ("blocked" if later else "nothing-to-do")


def test_a_flavor_that_was_not_asked_for_and_loses_its_driver() -> None:
    """The command is for all of them, so that no part of it is safe alone."""
    installed = repository.rpm_md([_OLD, _DRIVER, _rt(_OLD), _rt(_DRIVER)])
    words = ["plan", "--dup", "--installed", str(installed)]
    kept, lost = [_NEW, _REBUILD, _rt(_NEW), _rt(_REBUILD)], [_NEW, _REBUILD, _rt(_NEW)]
    for offered, told in ((kept, ["default"]), (lost, ["default", "rt"])):
        words += ["--repo", str(repository.rpm_md(offered)), "--flavor", "default"]
        plan: dict[str, Any] = runner.kmpsolve([*words, "--format", "json"]).plan
        assert [flavor["flavor"] for flavor in plan["flavors"]] == told
        assert (plan["verdict"] == "blocked", plan["command"] is None) == (offered is lost, offered is lost)
        text = runner.kmpsolve(words).stdout
        assert (_rt(_DRIVER).name in text) == (offered is lost)
        del words[-4:]


def test_a_build_that_fits_and_is_left_behind_is_told_of() -> None:
    """Another package is in its way: there is no lack of builds to tell of."""
    other = dataclasses.replace(_DRIVER, name="other", version="1", provides=(), requires=(), conflicts=())
    blocking = dataclasses.replace(other, conflicts=(f"{_DRIVER.name} = {_REBUILD.evr}",))
    installed = repository.rpm_md([_OLD, _DRIVER, blocking])
    offered = repository.rpm_md([_NEW, _REBUILD, blocking])
    words = ["plan", "--dup", "--installed", str(installed), "--repo", f"r={offered}"]
    text = " ".join(runner.kmpsolve(words).stdout.split())
    assert "tried 2.1 (installed): this one; 2.2 (r): fits" in text
    assert "no other build" not in text


def test_a_kernel_cannot_be_asked_for() -> None:
    answer = runner.kmpsolve(["plan", "--dup", "--kernel", "latest"])
    assert (answer.exit, answer.stdout) == (2, "")
    assert "give one of the two" in answer.stderr


def test_the_command_names_the_release(tmp_path: Path) -> None:
    scenario = fixture.load("reuse")
    root = runner.make_root(scenario, tmp_path / "root", tmp_path)
    words = ["--installed", str(repository.rpm_md(scenario.installed)), "--root", str(root)]
    plan = runner.kmpsolve(["plan", "--dup", "--releasever", "15.7", "--format", "json", *words]).plan
    assert json.dumps(plan["command"]) == '"zypper --releasever 15.7 dist-upgrade"'


def test_the_plain_plan_for_another_release_names_it_in_its_command(tmp_path: Path) -> None:
    """zypper knows none of these packages in the repositories of the release that is installed."""
    with Sandbox() as sandbox:
        sandbox.install_rpms(rpmbuild.build([_OLD, _DRIVER]))
        folder = "/var/releases"
        for release, specs in (("1", [_OLD, _DRIVER]), ("2", [_NEW, _REBUILD])):
            sandbox.run(["mkdir", "-p", folder])
            sandbox.run(["cp", "-a", str(repository.rpm_md(specs)), f"{folder}/{release}"])
        sandbox.add_repository("main", f"dir:{folder}/$releasever")
        words = ["--releasever", "2", "--format", "json", "--root", str(sandbox.root)]
        plan: dict[str, Any] = runner.kmpsolve(["plan", *words]).plan
        assert plan["command"].startswith("zypper --releasever 2 install ")
        done = sandbox.zypper(*shlex.split(plan["command"])[1:])
        assert done.code == 0, done
        assert {_NEW.nevra, _REBUILD.nevra} <= set(sandbox.installed())
