"""Laws that a plan keeps whatever the world is."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, reject, settings

import kmpsolve
from kmpsolve.errors import KmpsolveError
from tests.property import bootmatrix
from tests.property.acceptance import plan_of
from tests.property.strategies import worlds
from tests.support.oracle import Reading, System
from tests.support.worlds import Kernel, Repository, Tool, World, lay_out

LAW = settings(
    max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
MIXED = ("chains", "modules", "pins", "conflicts", "renames", "vendors")


def _bytes(of: World, folder: Path, shuffle: int = 0) -> str:
    """The plan as text. Always from the same folder, since a plan names its sources."""
    shutil.rmtree(folder, ignore_errors=True)
    return json.dumps(kmpsolve.plan(**lay_out(of, folder, shuffle=shuffle)).to_dict())


@LAW
@given(worlds(*MIXED))
def test_what_is_reused_or_fetched_has_no_mismatches(of: World) -> None:
    for flavor in plan_of(of)["flavors"]:
        for kmp in flavor["kmps"]:
            if kmp["decision"] in ("reuse", "fetch"):
                assert kmp["mismatches"] == []
                (chosen,) = [tried for tried in kmp["tried"] if tried["nevra"] == kmp["chosen"]]
                assert (chosen["mismatches"], chosen["cause"]) == (0, None)
                assert chosen["repository"] == kmp["repository"]


@LAW
@given(worlds(*MIXED))
def test_a_mismatch_counts_in_what_was_tried(of: World) -> None:
    for flavor in plan_of(of)["flavors"]:
        for kmp in flavor["kmps"]:
            if kmp["decision"] == "blocked":
                assert len(kmp["mismatches"]) in {tried["mismatches"] for tried in kmp["tried"]}
                assert len(kmp["mismatches"]) <= kmp["symbols_required"]
                for mismatch in kmp["mismatches"]:
                    assert mismatch["kind"] in ("disagrees", "unknown")
                    crcs = [crc for crc in (mismatch["wanted"], mismatch["found"]) if crc is not None]
                    assert all(crc == crc.lower().removeprefix("0x").lstrip("0") for crc in crcs)


@pytest.mark.parametrize(
    "shuffle",
    [pytest.param(1, id="packages"), pytest.param(2, id="dependencies"), pytest.param(4, id="repositories")],
)
def test_what_has_no_order_changes_no_byte(shuffle: int) -> None:
    @LAW
    @given(worlds("chains", "modules", "pins", "renames", "symsets", "retracted"))
    def same(of: World) -> None:
        with tempfile.TemporaryDirectory(prefix="kmpsolve-law-") as folder:
            place = Path(folder) / "world"
            assert _bytes(of, place) == _bytes(of, place, shuffle)

    same()


@LAW
@given(worlds(*MIXED, "flavors"))
def test_the_same_world_gives_the_same_bytes(of: World) -> None:
    with tempfile.TemporaryDirectory(prefix="kmpsolve-law-") as folder:
        place = Path(folder) / "world"
        assert _bytes(of, place) == _bytes(of, place)


@LAW
@given(worlds(*MIXED))
def test_packages_that_have_nothing_to_do_with_it_change_nothing(of: World) -> None:
    """Neither user space, nor a kernel or a KMP of a flavor that is not installed."""
    assume(any(isinstance(noun, Tool) for noun in of.installed))
    kernel = next(noun for noun in of.installed if isinstance(noun, Kernel))
    tool = Tool(name="unrelated", requires="glibc")
    azure = replace(kernel, flavor="azure", release="99.1", modules="acme.ko beta.ko", obsoletes="")
    others = Repository(alias="z", packages=[tool, azure])
    more = replace(of, repositories=[*of.repositories, others])
    assert _answer(more) == _answer(of)


@LAW
@given(worlds("chains", "modules", "pins", "vendors"))
def test_a_carried_out_plan_leaves_nothing_to_do(of: World) -> None:
    plan = plan_of(of)
    assume(plan["verdict"] == "safe")
    after = bootmatrix.installed_after(System(of, Reading()), plan["transaction"])
    then = replace(of, installed=[package.noun for package in after])
    again = plan_of(then)
    assert (again["verdict"], again["transaction"]) == ("nothing-to-do", []), then.text()


@LAW
@given(worlds("chains", "modules", "pins", "vendors"))
def test_the_newest_safe_kernel_is_safe(of: World) -> None:
    for flavor in plan_of(of)["flavors"]:
        newest = flavor["newest_safe"]
        if newest is None:
            reject()
        release = newest.removeprefix(f"kernel-{flavor['flavor']}-").rpartition(".")[0]
        assert plan_of(replace(of, kernel=release))["verdict"] in ("safe", "nothing-to-do")


@LAW
@given(worlds("chains", "modules"))
def test_a_safe_plan_stays_safe_when_a_repository_gains_builds(of: World) -> None:
    """More candidates never turn a safe update into a blocked one; without user space nothing is lost."""
    fewer = replace(
        of,
        repositories=[
            replace(
                repository,
                packages=[noun for number, noun in enumerate(repository.packages) if _keeps(noun, number)],
            )
            for repository in of.repositories
        ],
    )
    if plan_of(fewer)["verdict"] == "safe":
        assert plan_of(of)["verdict"] == "safe"


def _keeps(noun: object, number: int) -> bool:
    return isinstance(noun, Kernel) or number % 2 == 0


def _answer(of: World) -> object:
    """What a plan decides, without its inputs."""
    try:
        plan = plan_of(of)
    except KmpsolveError as error:
        return error.reference
    return [plan["verdict"], plan["flavors"], plan["transaction"], plan["command"]]
