"""A list of names, and what repositories know of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import kmpsolve
from kmpsolve.cli import main
from kmpsolve.model.plan import Plan
from tests.support import rpmmd
from tests.support.worlds import Kernel, Kmp, Noun, Tool

OLD = Kernel(release="10.1", ksyms="a=1")
NEW = Kernel(release="20.1", ksyms="a=2")
ACME = Kmp(name="acme", krel="6.4.0-10", symbols="a=1", modules="acme.ko")
LOOSE = Tool(name="acme", provides="kmod(acme.ko)", requires="ksym(default:a) = 1")


def plan(folder: Path, listing: str, **repositories: list[Noun]) -> Plan:
    (folder / "host.txt").write_text(listing)
    offered = {
        alias: rpmmd.write(folder / alias, [noun.spec() for noun in nouns])
        for alias, nouns in repositories.items()
    }
    return kmpsolve.plan(installed=folder / "host.txt", repositories=offered)


def listed(*nouns: Noun) -> str:
    return "".join(f"{noun.spec().nevra}\n" for noun in nouns)


@pytest.mark.parametrize("better", ["aa", "bb"])
@pytest.mark.parametrize(
    ("kmp", "other"),
    [(ACME, replace(ACME, symbols="a=2")), (LOOSE, replace(LOOSE, requires="ksym(default:a) = 2"))],
    ids=["by name", "by what it provides"],
)
def test_a_kmp_of_which_there_are_two_is_not_known(
    kmp: Kmp | Tool, other: Kmp | Tool, better: str, tmp_path: Path
) -> None:
    worse = "bb" if better == "aa" else "aa"
    offered: dict[str, list[Noun]] = {better: [OLD, NEW, kmp], worse: [other]}
    said = plan(tmp_path, listed(OLD, kmp), **offered)
    assert said.verdict == "unverified"
    assert [entry.decision for entry in said.flavors[0].kmps] == ["unverified"]


def test_a_kernel_of_which_there_are_two_is_not_known(tmp_path: Path) -> None:
    said = plan(tmp_path, listed(OLD, ACME), aa=[OLD, ACME], bb=[replace(OLD, ksyms="a=2")])
    assert said.verdict == "unverified"


def test_the_same_in_two_repositories_is_known(tmp_path: Path) -> None:
    other = replace(ACME, conflicts="emacs")
    assert plan(tmp_path, listed(OLD, ACME), aa=[OLD, NEW, ACME], bb=[OLD, other]).verdict == "blocked"


def test_an_epoch_of_0_is_none(tmp_path: Path) -> None:
    listing = listed(OLD, ACME).replace("-6.4.0-", "-0:6.4.0-").replace("-1.0_", "-0:1.0_")
    assert plan(tmp_path, listing, aa=[OLD, replace(NEW, ksyms="a=1"), ACME]).verdict == "safe"


def test_of_a_kernel_that_no_repository_has_nothing_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (said,) = plan(tmp_path, listed(OLD, ACME), aa=[ACME, Kernel(release="5.1")]).flavors
    assert said.verdict == "unverified"
    assert [warning.reference for warning in said.warnings] == ["kernel-not-known"]
    sources = ["--installed", str(tmp_path / "host.txt"), "--repo", str(tmp_path / "aa"), "--format", "json"]
    assert main(["matrix", *sources]) == 0
    assert json.loads(capsys.readouterr().out)["cells"] == [[None, 1]]
    main(["explain", "acme", *sources])
    assert [seen["mismatches"] for seen in json.loads(capsys.readouterr().out)["history"]] == [1, None]
    assert main(["diff", "6.4.0-10.1", "6.4.0-5.1", *sources]) == 3
    assert "the symbols of kernel-default-6.4.0-10.1.x86_64 are not known" in capsys.readouterr().err
