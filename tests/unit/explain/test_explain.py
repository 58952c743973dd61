"""``kmpsolve explain``: the whole story of one KMP."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from kmpsolve.cli import main
from kmpsolve.explain.modulefiles import module_hits
from kmpsolve.modules.module import Module
from tests.scenarios import runner
from tests.support import fixture, rpmmd
from tests.support.packages import PackageSpec
from tests.support.worlds import Kernel, Kmp

CASES = [
    ("demo-blocked", "acme-storage-kmp-default"),
    ("demo-blocked", "ofed"),
    ("demo-blocked", "acme-nic-kmp"),
    ("kiwi-ethercat-rt", "ethercat"),
    ("openzfs-wait-on-bit", "zfs"),
    ("geckolinux-exact-kernel", "bcm43xx"),
    ("lustre-on-zfs", "lustre-osd-zfs"),
    ("chain-lower-blocked", "disk"),
    ("chain-only-lower-rebuilt", "disk"),
    ("conflict", "acme"),
    ("vendor-other", "acme"),
    ("rebuild-fails-too", "acme"),
    ("builtin", "acme"),
    ("no-symbol-versions", "acme"),
    ("rebuilt-on-host-configured", "nvidia"),
    ("already-broken", "acme"),
    ("waiver", "mpt3sas"),
    ("symsets-abort", "acme"),
]


def _ask(name: str, work: Path, *words: str) -> runner.Answer:
    return runner.ask(fixture.load(name), "rpm-md", work, "explain", *words)


@pytest.mark.parametrize(("name", "kmp"), CASES)
def test_text(name: str, kmp: str, tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    answer = _ask(name, tmp_path, kmp)
    assert answer.stderr == ""
    assert answer.stdout == snapshot


@pytest.mark.parametrize("name", fixture.names())
def test_json_is_the_entry_of_the_plan_with_its_history(name: str, tmp_path: Path) -> None:
    (tmp_path / "plan").mkdir()
    plan = runner.ask(fixture.load(name), "rpm-md", tmp_path / "plan").plan
    for flavor in plan["flavors"]:
        for entry in flavor["kmps"][:2]:
            work = tmp_path / entry["name"]
            work.mkdir()
            answer = _ask(name, work, entry["name"], "--format", "json")
            document: dict[str, Any] = json.loads(answer.stdout)
            assert {key: document[key] for key in entry} == entry
            history = {seen["kernel"]: seen for seen in document["history"]}
            assert len(history) == len(document["history"])
            assert {kernel["nevra"] for kernel in flavor["current"]} <= history.keys()
            target = flavor["target"]["nevra"] if flavor["target"] else flavor["current"][0]["nevra"]
            if entry["decision"] in ("reuse", "fetch"):
                assert (history[target]["mismatches"], history[target]["fits"]) == (0, True)
            elif entry["decision"] == "blocked":
                assert history[target]["mismatches"] == len(entry["mismatches"])
                assert history[target]["fits"] is False
            elif entry["decision"] == "unverified":
                assert history[target]["mismatches"] is None
            counts = {(b["nevra"], b["repository"]): len(b["mismatches"]) for b in document["builds"]}
            assert counts == {(a["nevra"], a["repository"]): a["mismatches"] for a in entry["tried"]}


@pytest.mark.parametrize(("name", "code"), [("already-broken", 0), ("already-broken-blocks", 4)])
def test_what_was_broken_before_blocks_where_it_counts(name: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "plan").mkdir()
    answer = _ask(name, tmp_path, "acme")
    assert "BLOCKED" in answer.stdout
    assert answer.exit == runner.ask(fixture.load(name), "rpm-md", tmp_path / "plan").exit == code


def test_every_symbol_says_since_when(tmp_path: Path) -> None:
    document = json.loads(_ask("demo-blocked", tmp_path, "acme-storage", "--format", "json").stdout)
    new = "kernel-default-6.4.0-150600.23.30.1.x86_64"
    assert document["changed_in"] == dict.fromkeys(
        ("bio_alloc_bioset", "bio_put_many", "blk_mq_submit_bio"), new
    )
    assert (document["works_up_to"], document["since"]) == ("kernel-default-6.4.0-150600.23.27.1.x86_64", new)


@pytest.mark.parametrize(
    ("asked", "message", "hint"),
    [
        (
            "acme-strage-kmp-default",
            "no KMP acme-strage-kmp-default is installed",
            "acme-storage-kmp-default",
        ),
        ("xyzzy", "no KMP xyzzy is installed", "kmpsolve plan"),
    ],
)
def test_unknown(asked: str, message: str, hint: str, tmp_path: Path) -> None:
    answer = _ask("demo-blocked", tmp_path, asked)
    assert (answer.exit, answer.stdout) == (3, "")
    first, second = answer.stderr.splitlines()
    assert message in first
    assert hint in second


def test_only_in_a_repository(tmp_path: Path) -> None:
    scenario = fixture.load("lustre-on-zfs")
    here = [package for package in scenario.installed if not package.name.startswith("zfs-kmp")]
    answer = runner.ask(
        dataclasses.replace(scenario, installed=tuple(here)), "rpm-md", tmp_path, "explain", "zfs-kmp-default"
    )
    assert answer.exit == 3
    assert "zfs-kmp-default is not installed; it is in zfs" in answer.stderr


@pytest.mark.parametrize("words", [["--flavor", "rt"], ["--kernel", "6.4.0-1-rt"]])
def test_a_kmp_of_a_flavor_that_was_not_asked_for(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kernels = [Kernel(release="1.1", ksyms="a=1", flavor=flavor).spec() for flavor in ("default", "rt")]
    kmp = Kmp(name="acme", krel="6.4.0-1", symbols="a=1").spec()
    system = str(rpmmd.write(tmp_path / "system", [*kernels, kmp]))
    offered = str(rpmmd.write(tmp_path / "r", [*kernels, kmp]))
    place = ["--installed", system, "--repo", offered]
    assert main(["explain", kmp.name, *place, *words]) == 3
    told = capsys.readouterr().err
    assert "acme-kmp-default is for flavor default, and this is about rt" in told
    assert main(["explain", kmp.name, *place]) == 0


@pytest.mark.parametrize(("changed", "other"), [("default", "rt"), ("rt", "default")])
def test_a_kmp_for_every_flavor_is_told_where_it_fares_worst(
    changed: str, other: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Red Hat's requirements name no flavor."""

    def kernel(flavor: str, release: str, crc: str) -> PackageSpec:
        spec = Kernel(release=release, flavor=flavor).spec()
        return dataclasses.replace(spec, provides=(*spec.provides, f"kernel(a) = 0x{crc}"))

    kmp = PackageSpec(
        name="kmod-acme",
        version="1",
        release="1",
        provides=("kmod(acme.ko)",),
        requires=("kernel(a) = 0x1",),
    )
    here = [kernel("default", "1.1", "1"), kernel("rt", "1.1", "1"), kmp]
    system = str(rpmmd.write(tmp_path / "system", here))
    offered = [kernel(changed, "2.1", "2"), kernel(other, "2.1", "1")]
    place = ["--installed", system, "--repo", str(rpmmd.write(tmp_path / "r", offered))]
    assert main(["explain", "kmod-acme", *place, "--format", "json"]) == 4
    told = json.loads(capsys.readouterr().out)
    assert (told["flavor"], told["decision"]) == (changed, "blocked")
    assert main(["explain", "kmod-acme", *place, "--flavor", other]) == 0


def test_a_kmp_without_any_kernel_of_its_flavor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kernel = Kernel(release="1.1", ksyms="a=1").spec()
    kmp = Kmp(name="acme", krel="6.4.0-1", symbols="a=1", flavor="rt").spec()
    system = str(rpmmd.write(tmp_path / "system", [kernel, kmp]))
    assert main(["explain", kmp.name, "--installed", system, "--repo", system]) == 3
    told = capsys.readouterr().err
    assert "acme-kmp-rt is for flavor rt, of which no kernel is installed" in told
    assert "leave out" not in told


@pytest.mark.parametrize("build", ["2.1_k6.4.0_150600.23.25-1", "2.2_k6.4.0_150600.23.25-1"])
def test_a_build_stands_for_its_kmp(build: str, tmp_path: Path) -> None:
    """JSON names builds by their NEVRA."""
    nevra = f"acme-storage-kmp-default-{build}.x86_64"
    answer = _ask("demo-blocked", tmp_path, nevra, "--format", "json")
    document = json.loads(answer.stdout)
    assert (answer.exit, document["name"]) == (4, "acme-storage-kmp-default")
    assert nevra in [attempt["nevra"] for attempt in document["tried"]]


def test_another_kernel(tmp_path: Path) -> None:
    answer = _ask(
        "demo-blocked", tmp_path, "acme-storage", "--kernel", "6.4.0-150600.23.27.1", "--format", "json"
    )
    assert answer.exit == 0
    assert json.loads(answer.stdout)["decision"] == "reuse"


def test_which_modules_are_hit() -> None:
    first = Module(name="a", path="/lib/modules/x/updates/a.ko.xz", versions={"kfree": "1", "bio": "2"})
    second = Module(name="b", path="b.ko", versions={"kfree": "1"})
    hits = module_hits([first, second], ["bio", "gone"])
    assert [(hit.module, hit.symbols) for hit in hits] == [("a.ko.xz", ("bio",)), ("b.ko", ())]
