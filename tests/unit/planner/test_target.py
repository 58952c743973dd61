"""Which kernel a plan is for: what plain ``zypper up`` picks (measured), and what ``--kernel`` names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kmpsolve.errors import RequestError
from tests.property.acceptance import plan_of
from tests.support.packages import SUSE
from tests.support.worlds import Kernel, Kmp, Noun, Repository, World

OTHER = "Other GmbH"


def kernel(release: str, vendor: str = SUSE, **more: Any) -> Kernel:
    return Kernel(release=release, ksyms="a=1", vendor=vendor, **more)


def named(evr: str, name: str = "kernel-default") -> str:
    return f"{name}-6.4.0-{evr}.x86_64"


def flavor(of: World, name: str = "default") -> dict[str, Any]:
    (found,) = [entry for entry in plan_of(of)["flavors"] if entry["flavor"] == name]
    assert isinstance(found, dict)
    return found


def target(of: World, name: str = "default") -> str | None:
    said = flavor(of, name)["target"]
    return said["nevra"] if said else None


def warned(of: World) -> set[str]:
    return {warning["reference"] for warning in flavor(of)["warnings"]}


def offers(
    *packages: Noun, priority: int = 99, alias: str = "r", retracted: tuple[str, ...] = ()
) -> Repository:
    return Repository(alias=alias, packages=list(packages), priority=priority, retracted=list(retracted))


@pytest.mark.parametrize(
    ("installed", "high", "low", "picked"),
    [
        ("1", "2", "3", "2"),
        ("1", "1", "3", None),  # the repository of higher priority has what is installed, and nothing newer
        ("1", "0", "3", "3"),  # an older build there does not hold
        ("2", "1", "2 3", "3"),
        ("1 2", "1", "3", "3"),
        ("1 2", "2", "3", None),
        ("1 3", "", "2", None),
        ("1", "", "1", None),
        ("1", "2 4", "3 5", "4"),
        ("1", "", "", None),
    ],
)
def test_what_zypper_up_picks(installed: str, high: str, low: str, picked: str | None) -> None:
    of = World(
        installed=[kernel(f"{number}0.1") for number in installed.split()],
        repositories=[
            offers(*(kernel(f"{number}0.1") for number in high.split()), alias="high", priority=50),
            offers(*(kernel(f"{number}0.1") for number in low.split()), alias="low"),
        ],
    )
    assert target(of) == (named(f"{picked}0.1") if picked else None)


def test_vendors() -> None:
    assert target(
        World(installed=[kernel("1")], repositories=[offers(kernel("2"), kernel("3", OTHER))])
    ) == named("2")
    assert target(World(installed=[kernel("1")], repositories=[offers(kernel("3", OTHER))])) is None
    classmate = kernel("3", "SUSE Linux Products GmbH")
    assert target(World(installed=[kernel("1")], repositories=[offers(kernel("2"), classmate)])) == named("3")


def test_locked_and_retracted_kernels_are_passed_over() -> None:
    repositories = [offers(kernel("2"), kernel("3"))]
    assert target(World(installed=[kernel("1")], repositories=repositories)) == named("3")
    locked = World(installed=[kernel("1")], repositories=repositories, locks=["kernel-default == 6.4.0-3"])
    assert target(locked) == named("2")
    retracted = offers(kernel("2"), kernel("3"), retracted=(named("3"),))
    assert target(World(installed=[kernel("1")], repositories=[retracted])) == named("2")


def test_what_one_repository_retracts_another_one_may_offer() -> None:
    """As for zypper, which marks the packages of the repository that says so."""
    withdrawn = offers(kernel("3"), retracted=(named("3"),))
    other = offers(kernel("2"), kernel("3"), alias="other")
    of = World(installed=[kernel("1")], repositories=[withdrawn, other])
    assert target(of) == named("3")
    assert [step["repository"] for step in plan_of(of)["transaction"]] == ["other"]


@pytest.mark.parametrize("near", [[], [kernel("2")]], ids=["nothing else", "a kernel of better priority"])
def test_a_kernel_that_an_update_of_a_kmp_requires_is_told(near: list[Noun]) -> None:
    """No pick of ``zypper up`` (a priority keeps it out), and yet what boots after it."""
    acme = Kmp(name="acme", krel="6.4.0-1", symbols="a=1", modules="acme.ko")
    update = Kmp(name="acme", krel="6.4.0-3", version="2.0", symbols="b=1", modules="acme.ko")
    far = Kernel(release="3", ksyms="a=2 b=1")
    of = World(
        installed=[kernel("1"), acme],
        repositories=[
            offers(kernel("1"), update, *near, alias="near", priority=50),
            offers(far, alias="far"),
        ],
    )
    said = flavor(of)
    assert said["zypper_would"]["target"] == named("3")
    assert target(of) == (named("2") if near else None)
    told = [w["message"] for w in said["warnings"] if w["reference"] == "kernel-pulled-in"]
    assert len(told) == 1
    assert named("3") in told[0]
    assert told[0].endswith("kmpsolve plan --kernel 6.4.0-3")
    assert "kernel-pulled-in" not in warned(replace(of, kernel="6.4.0-3"))
    assert "kernel-pulled-in" not in warned(replace(of, repositories=[offers(update, far)]))


def test_latest_looks_past_locks_and_priorities_and_says_so() -> None:
    locked = World(
        installed=[kernel("1")],
        repositories=[offers(kernel("2"), kernel("3"))],
        locks=["kernel-default == 6.4.0-3"],
        kernel="latest",
    )
    assert target(locked) == named("3")
    assert {"not-what-zypper-picks", "target-lock"} <= warned(locked)
    hidden = World(
        installed=[kernel("1")],
        repositories=[offers(kernel("2"), alias="a", priority=50), offers(kernel("3"), alias="b")],
        kernel="latest",
    )
    assert target(hidden) == named("3")
    assert warned(hidden) & {"not-what-zypper-picks", "target-lock"} == {"not-what-zypper-picks"}
    plain = World(installed=[kernel("1")], repositories=[offers(kernel("2"), kernel("3"))], kernel="latest")
    assert target(plain) == named("3")
    assert "not-what-zypper-picks" not in warned(plain)
    for newest in ("2", "3", "03"):  # the last one is spelled otherwise, and no newer
        of = World(installed=[kernel("3")], repositories=[offers(kernel(newest))], kernel="latest")
        assert target(of) is None


def test_latest_where_zypper_would_pick_none() -> None:
    of = World(
        installed=[kernel("1")],
        repositories=[offers(kernel("2"))],
        locks=["kernel-default == 6.4.0-2"],
        kernel="latest",
    )
    assert target(of) == named("2")
    assert any("zypper up would pick none" in w["message"] for w in flavor(of)["warnings"])


BUILDS = [kernel("10.1"), kernel("10.2"), kernel("20.1"), kernel("20.2"), kernel("30.1")]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("6.4.0-20.1", "20.1"),
        ("6.4.0-20.2", "20.2"),
        ("6.4.0-20", "20.2"),
        ("6.4.0-20-default", "20.2"),
        ("6.4.0-30", "30.1"),
        ("6.4.0-10.2", "10.2"),
        ("6.4.0-10-default", "10.2"),
    ],
)
def test_named_kernels(asked: str, found: str) -> None:
    of = World(installed=[kernel("5.1")], repositories=[offers(*BUILDS)], kernel=asked)
    assert target(of) == named(found)


@pytest.mark.parametrize(
    "asked",
    ["6.4.0-40", "6.4.0", "6.4.0-", "6.4.0-2", "6.5.0-20.1", "1:6.4.0-20.1", "6.4.0-20-rt", "20.1", "x"],
)
def test_unknown_kernels(asked: str) -> None:
    with pytest.raises(RequestError) as caught:
        plan_of(World(installed=[kernel("5.1")], repositories=[offers(*BUILDS)], kernel=asked))
    assert caught.value.reference == "unknown-kernel"


@pytest.mark.parametrize("asked", ["6.4.0-20", "6.4.0-20.1", "6.4.0-20.1.3", "6.4.0-20-default"])
def test_a_base_may_be_named_by_what_its_kernel_is_called(asked: str) -> None:
    """Its release is longer than that of the kernel which it is a part of (5.14.14-1.1.22.7)."""
    old, new = (
        kernel(f"{number}.1.3", package="kernel-default-base", uname=f"6.4.0-{number}-default")
        for number in ("10", "20")
    )
    of = World(installed=[old], repositories=[offers(new)], kernel=asked)
    assert target(of) == named("20.1.3", "kernel-default-base")


def test_an_exact_release_goes_before_a_rebuild_of_it() -> None:
    of = World(
        installed=[kernel("5")], repositories=[offers(kernel("20"), kernel("20.1"))], kernel="6.4.0-20"
    )
    assert target(of) == named("20")


@pytest.mark.parametrize("asked", ["6.4.0-20", "6.4.0-20-default"])
def test_a_name_for_several_rebuilds_does_not_name_a_retracted_one(asked: str) -> None:
    retracted = offers(kernel("20.1"), kernel("20.2"), retracted=(named("20.2"),))
    of = World(installed=[kernel("5.1")], repositories=[retracted], kernel=asked)
    assert (target(of), "target-retracted" in warned(of)) == (named("20.1"), False)
    alone = replace(of, repositories=[offers(kernel("20.2"), retracted=(named("20.2"),))])
    assert (target(alone), "target-retracted" in warned(alone)) == (named("20.2"), True)


def test_a_kernel_of_another_vendor_is_told() -> None:
    of = World(
        installed=[kernel("1")], repositories=[offers(kernel("2"), kernel("3", OTHER))], kernel="6.4.0-3"
    )
    with pytest.raises(RequestError) as caught:
        plan_of(of)
    assert caught.value.hint is not None
    assert OTHER in caught.value.hint
    with pytest.raises(RequestError) as caught:
        plan_of(replace(of, kernel="6.4.0-4"))
    assert caught.value.hint is not None
    assert OTHER not in caught.value.hint


def test_an_installed_kernel_may_be_named() -> None:
    of = World(installed=[kernel("1"), kernel("2")], repositories=[offers(kernel("3"))], kernel="6.4.0-1")
    assert target(of) == named("1")


def test_a_retracted_or_locked_kernel_that_is_named_is_warned_of() -> None:
    retracted = offers(kernel("2"), retracted=(named("2"),))
    of = World(installed=[kernel("1")], repositories=[retracted], kernel="6.4.0-2")
    assert (target(of), "target-retracted" in warned(of)) == (named("2"), True)
    of = World(
        installed=[kernel("1")],
        repositories=[offers(kernel("2"))],
        kernel="6.4.0-2",
        locks=["kernel-default == 6.4.0-2"],
    )
    assert (target(of), "target-lock" in warned(of)) == (named("2"), True)
    of = replace(of, repositories=[retracted])
    assert (target(of), warned(of) & {"target-lock", "target-retracted"}) == (
        named("2"),
        {"target-lock", "target-retracted"},
    )
    of = World(installed=[kernel("1")], repositories=[offers(kernel("2"))], kernel="6.4.0-2")
    assert not {"target-lock", "target-retracted"} & warned(of)


def test_two_flavors() -> None:
    installed: list[Noun] = [kernel("1"), kernel("1", flavor="rt")]
    both = [offers(kernel("2"), kernel("2", flavor="rt"), kernel("3", flavor="rt"))]
    plain = World(installed=installed, repositories=both)
    assert (target(plain), target(plain, "rt")) == (named("2"), named("3", "kernel-rt"))
    by_version = World(installed=installed, repositories=both, kernel="6.4.0-2")
    assert (target(by_version), target(by_version, "rt")) == (named("2"), named("2", "kernel-rt"))
    of_one = World(installed=installed, repositories=both, kernel="6.4.0-3")
    assert (target(of_one), target(of_one, "rt")) == (None, named("3", "kernel-rt"))
    assert "kernel-not-for-flavor" in warned(of_one)
    by_uname = World(installed=installed, repositories=both, kernel="6.4.0-2-rt")
    assert [entry["flavor"] for entry in plan_of(by_uname)["flavors"]] == ["rt"]
    assert target(by_uname, "rt") == named("2", "kernel-rt")


def test_nothing_is_done_about_a_flavor_that_has_no_such_kernel() -> None:
    """Not even where its newest kernel breaks a KMP already: nobody asked about that."""
    breaking = Kernel(release="2", ksyms="a=2", vendor=SUSE)
    driver = Kmp(name="acme", krel="6.4.0-1", symbols="a=1")
    of = World(
        installed=[kernel("1"), breaking, driver, kernel("1", flavor="rt")],
        repositories=[offers(kernel("3", flavor="rt"))],
        kernel="6.4.0-3",
    )
    assert flavor(of)["verdict"] == "nothing-to-do"
    assert flavor(replace(of, kernel=None))["verdict"] == "blocked"
    # A build that fits and is not to be fetched is no reason; what the installed one lacks is.
    rebuild = Kmp(name="acme", krel="6.4.0-2", version="2.0", symbols="a=2")
    offering = replace(of, repositories=[offers(kernel("3", flavor="rt"), rebuild)])
    (kmp,) = flavor(offering)["kmps"]
    assert (kmp["decision"], [cause["kind"] for cause in kmp["causes"]]) == ("blocked", ["symbols"])
    assert driver.spec().nevra in kmp["causes"][0]["message"]
