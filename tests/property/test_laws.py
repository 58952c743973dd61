"""Laws that a plan keeps whatever the world is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, reject, settings
from pydantic import TypeAdapter

import kmpsolve
from kmpsolve.errors import KmpsolveError, RequestError
from kmpsolve.model.plan import Inputs, Plan
from tests.property import bootmatrix
from tests.property.acceptance import plan_of
from tests.property.strategies import FEATURES, worlds
from tests.support.oracle import Reading, System
from tests.support.packages import SUSE
from tests.support.worlds import ACME, Kernel, Kmp, Noun, Repository, Tool, World, lay_out

EXAMPLES = int(os.environ.get("KMPSOLVE_LAWS", "60"))
LAW = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
COSTLY = settings(LAW, max_examples=EXAMPLES // 3)
"""Where many a world has nothing to say, or another program has to be started."""

PLAN = TypeAdapter(Plan)
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
                (chosen,) = [
                    tried
                    for tried in kmp["tried"]
                    if (tried["nevra"], tried["repository"]) == (kmp["chosen"], kmp["repository"])
                ]
                assert (chosen["mismatches"], chosen["cause"]) == (0, None)


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
    [
        pytest.param(1, id="packages on offer"),
        pytest.param(2, id="dependencies"),
        pytest.param(4, id="repositories"),
    ],
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
@given(worlds("chains", "modules", "pins", "renames", "symsets", "retracted"))
def test_the_order_of_the_installed_packages_decides_nothing(of: World) -> None:
    """It is the order in which they were installed; what libsolv, and so zypper, would do may depend on it."""
    plan, other = plan_of(of), plan_of(of, shuffle=8)
    for flavor in (*plan["flavors"], *other["flavors"]):
        del flavor["zypper_would"]
    assert plan | {"inputs": None} == other | {"inputs": None}


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
    assume(_broken(then) >= _broken(of))  # what arrives may be what a KMP lacked, but on the next kernel only
    again = plan_of(then)
    assert (again["verdict"], again["transaction"]) == ("nothing-to-do", []), then.text()


def _broken(of: World) -> set[str]:
    """The KMPs that work on no installed kernel."""
    system = System(of, Reading())
    kmps = [entry for flavor in system.flavors for entry in system.kmps(flavor).items()]
    return {name for name, builds in kmps if system.is_broken(builds)}


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
@given(worlds(*MIXED, "chains"))
def test_no_module_is_lost_in_a_safe_plan(of: World) -> None:
    """What a working KMP had is there on the target: from a build that works on it, or from the kernel."""
    plan = plan_of(of)
    before = System(of, Reading())
    installed = bootmatrix.installed_after(before, plan["transaction"])
    after = System(replace(of, installed=[package.noun for package in installed]), Reading())
    for flavor in plan["flavors"]:
        if flavor["verdict"] == "safe":
            (kernel,) = [k for k in after.kernels(flavor["flavor"]) if k.nevra == flavor["target"]["nevra"]]
            there = after.unit(kernel).modules.union(*(build.modules for build in after.working(kernel)))
            for builds in before.kmps(flavor["flavor"]).values():
                assert before.is_broken(builds) or before.modules(builds) <= there


@COSTLY
@given(worlds(*MIXED, "priorities"))
def test_another_repository_never_makes_a_safe_update_blocked(of: World) -> None:
    """Of KMPs and user space, that is: another kernel is another question."""
    *others, last = of.repositories
    kernels = replace(last, packages=[noun for noun in last.packages if isinstance(noun, Kernel)])
    assume(last.packages != kernels.packages)
    assume(plan_of(replace(of, repositories=[*others, kernels]))["verdict"] == "safe")
    assert plan_of(of)["verdict"] == "safe"


@LAW
@given(worlds("chains", "modules", "pins"))
def test_a_rename_with_obsoletes_keeps_the_verdict(of: World) -> None:
    kmp = next((noun for noun in of.installed if isinstance(noun, Kmp)), None)
    if kmp is None:
        reject()
    renamed = [
        replace(repository, packages=[_renamed(noun, kmp) for noun in repository.packages])
        for repository in of.repositories
    ]
    assume(renamed != of.repositories)
    assert plan_of(replace(of, repositories=renamed))["verdict"] == plan_of(of)["verdict"]


def _renamed(noun: Noun, like: Kmp) -> Noun:
    """A build of the same KMP under another name, which stands for the old one in every respect."""
    if not isinstance(noun, Kmp) or (noun.name, noun.flavor) != (like.name, like.flavor):
        return noun
    spec = noun.spec()
    provides = (
        f"{noun.name}-kmp = {spec.evr}; {noun.name}-kmp = {noun.version}; {spec.name} = {spec.evr}; "
        f"{noun.provides}"
    )
    return replace(noun, name=f"{noun.name}-renamed", provides=provides, obsoletes=spec.name)


@COSTLY
@given(worlds("chains", "modules", "conflicts", "renames"))
def test_user_space_pinned_to_a_kmp_never_makes_blocked_safe(of: World) -> None:
    assume(plan_of(of)["verdict"] == "blocked")
    pinned = [noun for noun in of.installed if isinstance(noun, Kmp)]
    tools = [Tool(name=f"{kmp.name}-pin", requires=f"{kmp.name}-kmp = {kmp.version}") for kmp in pinned]
    assert plan_of(replace(of, installed=[*of.installed, *tools]))["verdict"] == "blocked"


@LAW
@given(worlds("chains", "modules", "renames", "vendors"))
def test_how_a_vendor_is_spelled_changes_nothing(of: World) -> None:
    """Within a class, that is: all of SUSE's names are one, and case does not count."""
    spelled = replace(
        of,
        installed=[_respelled(noun) for noun in of.installed],
        repositories=[
            replace(repository, packages=[_respelled(noun) for noun in repository.packages])
            for repository in of.repositories
        ],
    )
    assert _without_texts(_answer(spelled)) == _without_texts(_answer(of))


def _respelled(noun: Noun) -> Noun:
    spelling = {SUSE: "SUSE Linux Products GmbH", "SUSE Linux Products GmbH": SUSE, ACME: "acme INC."}
    return replace(noun, vendor=spelling.get(noun.vendor, noun.vendor))


def _without_texts(answer: Any) -> Any:
    """An answer without what names vendors to people."""
    if isinstance(answer, dict):
        texts = ("text", "message", "held_because")
        return {key: _without_texts(value) for key, value in answer.items() if key not in texts}
    return [_without_texts(entry) for entry in answer] if isinstance(answer, list) else answer


@COSTLY
@given(worlds(*MIXED, "flavors"))
def test_solv_files_give_the_same_bytes_as_rpm_md(of: World) -> None:
    with tempfile.TemporaryDirectory(prefix="kmpsolve-law-") as folder:
        asked = lay_out(of, Path(folder))
        cached = asked | {
            "installed": _solv(asked["installed"]),
            "repositories": {alias: _solv(path) for alias, path in asked["repositories"].items()},
        }
        assert _judged(kmpsolve.plan(**cached)) == _judged(kmpsolve.plan(**asked))


def _solv(folder: str) -> str:
    """An rpm-md repository as zypper caches it."""
    file = f"{folder}.solv"
    subprocess.run(["repo2solv", "-o", file, folder], check=True)
    return file


def _judged(plan: Plan) -> str:
    """A plan's JSON without where it was read from."""
    return replace(plan, inputs=Inputs(root=None, repositories=(), skipped=())).to_json()


@LAW
@given(worlds("chains", "modules", "pins"))
def test_a_retracted_kernel_is_as_good_as_none(of: World) -> None:
    installed = {noun.spec().nevra for noun in of.installed}
    offered = [noun for repository in of.repositories for noun in repository.packages]
    kernels = [noun for noun in offered if isinstance(noun, Kernel) and noun.spec().nevra not in installed]
    assume(kernels)
    nevra = kernels[-1].spec().nevra
    retracted = [replace(repository, retracted=[nevra]) for repository in of.repositories]
    deleted = [
        replace(repository, packages=[noun for noun in repository.packages if noun.spec().nevra != nevra])
        for repository in of.repositories
    ]
    assert _answer(replace(of, repositories=retracted)) == _answer(replace(of, repositories=deleted))


@COSTLY
@given(worlds(*MIXED))
def test_masking_what_has_nothing_to_do_with_it_changes_nothing(of: World) -> None:
    assert _answer(replace(of, locks=["unrelated", "kernel-azure == 6.4.0-99.1"])) == _answer(of)


@LAW
@given(worlds(*FEATURES))
def test_a_plan_is_what_its_json_says(of: World) -> None:
    with tempfile.TemporaryDirectory(prefix="kmpsolve-law-") as folder:
        try:
            plan = kmpsolve.plan(**lay_out(of, Path(folder)))
        except RequestError:
            reject()
    text = plan.to_json()
    assert PLAN.validate_json(text) == plan
    assert json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n" == text


def _answer(of: World) -> object:
    """What a plan decides, without its inputs."""
    try:
        plan = plan_of(of)
    except KmpsolveError as error:
        return error.reference
    return [plan["verdict"], plan["flavors"], plan["transaction"], plan["command"]]
