"""What a kernel brings along, what has to go for it, and its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kmpsolve.model.plan import Plan
from kmpsolve.planner import flavor_systems
from kmpsolve.planner.evaluation import evaluate
from kmpsolve.request import Request, Waiver
from tests.property.cases import acme, beta, kernel
from tests.support.packages import PackageSpec
from tests.support.universes import sealed
from tests.support.worlds import Tool
from tests.unit.planner.test_planning import planned


def steps(of: Plan) -> list[tuple[str, str]]:
    return [(step.action, step.nevra) for step in of.transaction]


NEW = ("install", "kernel-default-6.4.0-20.1.x86_64")


# -- what comes along -----------------------------------------------------------------------------------------


def devel(number: int) -> PackageSpec:
    return PackageSpec(
        name="kernel-default-devel",
        version="6.4.0",
        release=f"{number}0.1",
        provides=("multiversion(kernel)",),
    )


@pytest.mark.parametrize(
    ("kmps", "installed", "brought"),
    [
        ([acme(symbols="")], [devel(1)], True),
        ([acme(symbols=""), beta()], [devel(1)], True),
        ([beta()], [devel(1)], False),
        ([acme(symbols="")], [devel(1), devel(2)], False),
    ],
)
def test_headers_come_along_for_what_rebuilds_itself(
    tmp_path: Path, kmps: Sequence[Any], installed: Sequence[Any], brought: bool
) -> None:
    offered = [kernel(2), devel(2)]
    found = planned(tmp_path, [kernel(1), *kmps, *installed], offered, rebuilding=["acme-kmp-default"])
    assert found.verdict == "safe"
    assert steps(found) == [NEW, *[("install", devel(2).nevra)] * brought]


@pytest.mark.parametrize(
    "offered",
    [
        replace(devel(2), requires=("kernel-devel = 6.4.0-20.1",)),
        replace(devel(2), vendor="Other Corp"),
    ],
    ids=["that need what nobody has", "of another vendor"],
)
def test_headers_that_cannot_come_along_leave_it_unverified(tmp_path: Path, offered: Any) -> None:
    found = planned(
        tmp_path,
        [kernel(1), acme(symbols=""), devel(1)],
        [kernel(2), offered],
        rebuilding=["acme-kmp-default"],
    )
    assert (found.verdict, steps(found)) == ("unverified", [NEW])
    assert "headers-missing" in [w.reference for w in found.flavors[0].kmps[0].warnings]


@pytest.mark.parametrize(
    ("offered", "brought"),
    [("20.1", True), ("20", True), ("20.2", False), ("20.1.2", True), ("2", False), ("30.1", False)],
)
def test_headers_of_a_base_have_the_kernels_shorter_release(
    tmp_path: Path, offered: str, brought: bool
) -> None:
    """The -base of a kernel 6.4.0-20.1 is called 6.4.0-20.1.2; its -devel is the kernel's."""
    old, new = (
        replace(kernel(n), package="kernel-default-base", release=f"{n}0.1.2", uname=f"6.4.0-{n}0-default")
        for n in (1, 2)
    )
    headers = replace(devel(2), release=offered)
    found = planned(
        tmp_path, [old, acme(symbols=""), devel(1)], [new, headers], rebuilding=["acme-kmp-default"]
    )
    assert found.verdict == ("safe" if brought else "unverified")
    assert [nevra for _, nevra in steps(found)] == [new.spec().nevra, *[headers.nevra] * brought]
    if not brought:
        said = {w.reference: w.message for w in found.flavors[0].kmps[0].warnings}
        assert "kernel-default-devel for 6.4.0-20-default" in said["headers-missing"]


# -- what has to go -------------------------------------------------------------------------------------------


def test_a_newer_build_that_works_only_beside_the_chosen_one_of_its_own_kmp_stays(tmp_path: Path) -> None:
    """Only one of the two is loaded."""
    older, newer = acme(exports="s=1", krel="6.4.0-5"), acme("2.0", "a=1 s=1", krel="6.4.0-6")
    found = planned(tmp_path, [kernel(1), older, newer, beta(symbols="a=1 s=1")], [kernel(2)])
    assert (found.verdict, steps(found)) == ("safe", [NEW])


def test_a_newer_build_that_works_beside_an_added_kmp_goes(tmp_path: Path) -> None:
    core = acme(name="core", exports="c=5", modules="core.ko", krel="6.4.0-20")
    older, newer = acme(exports="t=1", krel="6.4.0-5"), acme("2.0", "a=1 c=5", krel="6.4.0-6")
    users = [beta(symbols="a=1 c=5"), beta(symbols="a=1 t=1", name="corp", modules="corp.ko")]
    installed = [kernel(1, "a=1 c=5"), older, newer, *users]
    found = planned(tmp_path, installed, [kernel(2), core])
    assert found.verdict == "safe"
    assert ("erase", newer.spec().nevra) in steps(found)


def test_nothing_goes_for_a_build_that_nobody_can_verify(tmp_path: Path) -> None:
    """Though what stands in the kernel's own folder would be loaded before it."""
    bare, native = acme(symbols="", krel="6.4.0-5"), acme("2.0", "z=1", krel="6.4.0-20")
    found = planned(tmp_path, [kernel(1), bare, native], [kernel(2)])
    assert (found.verdict, steps(found)) == ("unverified", [NEW])


# -- the verdict ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("waived", "verdict"), [(False, "unverified"), (True, "safe")])
def test_a_signature_that_nobody_looked_at(tmp_path: Path, waived: bool, verdict: str) -> None:
    waiver = Waiver(kmp="*", reason="tape is gone", expires="2099-01-01")
    rebuild = acme("2.0", "a=2", krel="6.4.0-20")
    found = planned(
        tmp_path,
        [kernel(1), acme()],
        [kernel(2, "a=2"), rebuild],
        require_signed=True,
        waivers=(waiver,) if waived else (),
    )
    assert found.verdict == verdict


@pytest.mark.parametrize(
    ("installed", "changes", "said"),
    [
        (
            [Tool(name="tool")],
            {"conflicts": ("tool",)},
            "kernel-default-6.4.0-20.1.x86_64 conflicts with tool-1.0-1.x86_64",
        ),
        (
            [],
            {"requires": ("nowhere",)},
            "nothing provides nowhere needed by kernel-default-6.4.0-20.1.x86_64",
        ),
    ],
)
def test_a_kernel_that_cannot_be_installed(
    tmp_path: Path, installed: Sequence[Any], changes: dict[str, Any], said: str
) -> None:
    """Where there is no KMP either."""
    new = replace(kernel(2).spec(), **changes)
    system = [kernel(1), Tool(name="editor"), *installed]
    of = sealed(tmp_path, {"r": [new]}, [noun.spec() for noun in system])
    here = flavor_systems(of, Request())["default"]
    (unit,) = here.kernels.candidates()
    found = evaluate(here, unit)
    assert found.verdict == "blocked"
    assert [(w.reference, w.message) for w in found.warnings] == [("conflict", said)]


def test_at_rest_nothing_is_fetched_whatever_is_on_offer(tmp_path: Path) -> None:
    """Not for a KMP that works nowhere, beside one that nobody can verify."""
    installed = [kernel(1), acme(symbols=""), beta(symbols="a=7")]
    offered = [beta("2.0"), beta(name="nova", modules="nova.ko")]
    found = planned(tmp_path, installed, offered)
    assert (found.verdict, found.transaction) == ("nothing-to-do", ())
    assert [kmp.decision for kmp in found.flavors[0].kmps] == ["unverified", "blocked"]
