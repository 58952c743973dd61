"""What a person can do about a blocked KMP."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kmpsolve.metadata.content import Patch
from kmpsolve.model.plan import Inputs, WayOut
from kmpsolve.planner import plan
from kmpsolve.request import Request, Waiver
from tests.property.acceptance import plan_of
from tests.property.cases import acme, beta, kernel
from tests.support.universes import sealed
from tests.support.worlds import Noun, Repository, World


def ways(
    folder: Path,
    installed: Sequence[Any],
    offered: Sequence[Any],
    *,
    patches: Sequence[Patch] = (),
    locks: Sequence[str] = (),
    **asked: Any,
) -> list[WayOut]:
    specs = [noun.spec() for noun in offered]
    of = sealed(folder, {"r": specs}, [noun.spec() for noun in installed], locks=locks)
    of.patches_unread = lambda: patches
    found = plan(of, Request(today="2026-01-15", **asked), Inputs(root=None, repositories=(), skipped=()))
    (flavor,) = found.flavors
    assert flavor.verdict == "blocked"
    return list(flavor.ways_out)


def kinds(found: Sequence[WayOut]) -> list[str]:
    return [way.kind for way in found]


NEW = kernel(2, "a=2")


def test_least_loss_first_and_the_driver_last(tmp_path: Path) -> None:
    found = ways(tmp_path, [kernel(1), acme()], [NEW])
    assert kinds(found) == ["newest-safe", "vendor-rebuild", "hold", "waiver", "remove"]
    safe, rebuild, hold, waiver, remove = found
    assert safe.text == "stay on 6.4.0-10.1, the newest kernel that keeps every driver"
    assert rebuild.text == "ask ACME Inc. for a build of acme-kmp-default for kernel 6.4.0-20 (default)"
    assert hold.command == "kmpsolve guard on && zypper up"
    assert "[[waiver]] for acme-kmp-default" in waiver.text
    assert remove.command == "zypper remove acme-kmp-default"
    assert {way.kmps for way in found} == {("acme-kmp-default",)}


def test_a_safe_kernel_between(tmp_path: Path) -> None:
    found = ways(tmp_path, [kernel(1), acme()], [kernel(2), kernel(3, "a=3")])
    assert found[0].text == "update to the newest kernel that keeps every driver, 6.4.0-20.1"
    assert found[0].command == "zypper install --no-recommends kernel-default=6.4.0-20.1"


def test_a_safe_kernel_that_is_installed_but_not_the_newest(tmp_path: Path) -> None:
    found = ways(tmp_path, [kernel(1), kernel(2, "a=2"), acme()], [])
    assert (
        found[0].text == "boot 6.4.0-10.1, which is installed and the newest kernel that keeps every driver"
    )


def test_a_safe_kernel_on_offer_that_is_older_than_what_boots_next(tmp_path: Path) -> None:
    """Nothing boots it unless somebody says so."""
    found = ways(tmp_path, [kernel(1), kernel(3, "a=3"), acme()], [kernel(2), kernel(4, "a=3")])
    assert (
        found[0].text
        == "install 6.4.0-20.1, the newest kernel that keeps every driver, and choose it at boot"
    )
    assert found[0].command is not None
    assert "kernel-default=6.4.0-20.1" in found[0].command


def test_the_kernel_that_is_blocked_is_no_way_out(tmp_path: Path) -> None:
    """It is safe for its KMPs, and blocked for what it takes from a fallback kernel."""
    single, rebuild = acme(multiversion=False), acme("2.0", "a=2", multiversion=False)
    found = ways(tmp_path, [kernel(1), single], [NEW, rebuild], protect_fallback=True)
    assert kinds(found) == ["newest-safe", "hold"]
    assert found[0].text.startswith("stay on 6.4.0-10.1")


def test_what_does_not_count_needs_no_way_out(tmp_path: Path) -> None:
    """Waived, or broken before."""
    waiver = Waiver(kmp="beta-*", reason="tape is gone", expires="2099-01-01")
    installed = [kernel(1), acme(), beta(), acme(symbols="a=7", name="corp", modules="corp.ko")]
    found = ways(tmp_path, installed, [NEW], waivers=(waiver,))
    assert {kmp for way in found for kmp in way.kmps} == {"acme-kmp-default"}


def test_an_installed_kernel_cannot_be_held_back(tmp_path: Path) -> None:
    found = ways(tmp_path, [kernel(1), NEW, acme()], [])
    assert kinds(found) == ["newest-safe", "vendor-rebuild", "waiver", "remove"]


def test_vendors_are_asked_one_by_one(tmp_path: Path) -> None:
    nobody = beta(name="corp", modules="corp.ko", vendor="")
    installed = [kernel(1), acme(), beta(vendor="Beta GmbH"), acme(name="a2", modules="a2.ko"), nobody]
    found = [way for way in ways(tmp_path, installed, [NEW]) if way.kind == "vendor-rebuild"]
    assert [(way.text.partition(" for a build")[0], way.kmps) for way in found] == [
        ("ask ACME Inc.", ("a2-kmp-default", "acme-kmp-default")),
        ("ask Beta GmbH", ("beta-kmp-default",)),
        ("ask its vendor", ("corp-kmp-default",)),
    ]


def test_the_best_of_other_vendors_builds(tmp_path: Path) -> None:
    """By EVR, not by how it is spelled."""
    offered = [acme(number, "a=2", krel="6.4.0-20", vendor="Other GmbH") for number in ("2.0", "10.0")]
    (way,) = (w for w in ways(tmp_path, [kernel(1), acme()], [NEW, *offered]) if w.kind == "vendor-change")
    assert "acme-kmp-default=10.0_k6.4.0_20-1 " in str(way.command)


def test_another_vendor_s_build_for_a_locked_kernel(tmp_path: Path) -> None:
    foreign = acme("2.0", "a=2", krel="6.4.0-20", vendor="Other GmbH")
    found = ways(tmp_path, [kernel(1), acme()], [NEW, foreign], locks=["kernel-default"], kernel="6.4.0-20.1")
    (way,) = (w for w in found if w.kind == "vendor-change")
    assert str(way.command).startswith(
        "zypper install --no-recommends --oldpackage --force acme-kmp-default="
    )


def test_another_vendor_s_build(tmp_path: Path) -> None:
    foreign = acme("2.0", "a=2", krel="6.4.0-20", vendor="Other GmbH")
    (way,) = (w for w in ways(tmp_path, [kernel(1), acme()], [NEW, foreign]) if w.kind == "vendor-change")
    assert way.command == (
        "zypper install --no-recommends --oldpackage acme-kmp-default=2.0_k6.4.0_20-1 kernel-default=6.4.0-20.1"
    )


@pytest.mark.parametrize(("symbols", "offered"), [("a=2", True), ("a=9", False), ("", False)])
def test_other_content_under_the_same_name(tmp_path: Path, symbols: str, offered: bool) -> None:
    """zypper takes it for installed; only where it is known to fit it is worth it (bsc#1219345)."""
    found = ways(tmp_path, [kernel(1), acme()], [NEW, acme(symbols=symbols)])
    again = [way for way in found if way.kind == "fetch-with"]
    assert [way.command for way in again] == [
        "zypper install --force r:acme-kmp-default=1.0_k6.4.0_10-1"
    ] * offered


def test_other_content_of_what_is_not_blocked(tmp_path: Path) -> None:
    installed = [kernel(1, "a=1 b=1"), acme(), beta(symbols="b=1")]
    found = ways(tmp_path, installed, [kernel(2, "a=2 b=1"), beta(symbols="a=2")])
    assert "fetch-with" not in kinds(found)


def test_other_content_of_what_is_fetched_instead(tmp_path: Path) -> None:
    installed = [kernel(1, "a=1 b=1"), acme(), beta(symbols="b=1")]
    offered = [kernel(2, "a=2 b=2"), beta(symbols="b=2"), beta("2.0", "b=2", krel="6.4.0-20")]
    assert "fetch-with" not in kinds(ways(tmp_path, installed, offered))


def test_other_content_where_the_installed_one_fits_as_well(tmp_path: Path) -> None:
    """It is blocked for what the kernel takes away."""
    new = kernel(2, "a=1 b=1", obsoletes="acme-kmp-default")
    twin = acme(symbols="a=1 b=1")
    found = ways(tmp_path, [kernel(1), acme()], [new, twin], kernel="6.4.0-20.1")
    assert "fetch-with" not in kinds(found)


@pytest.mark.parametrize(
    ("lock", "command"),
    [
        ("acme-kmp-default", None),
        ("acme-kmp-default == 1.5_k6.4.0_9-1", None),
        ("acme-kmp-default == 3.0_k6.4.0_10-1", "zypper remove acme-kmp-default"),
    ],
)
def test_a_lock_has_to_go_before_the_driver(lock: str, command: str | None) -> None:
    """Even if it holds one of the builds only."""
    installed: list[Noun] = [kernel(1), acme(), acme("1.5", krel="6.4.0-9")]
    repository = Repository(alias="r", packages=[NEW])
    said = plan_of(World(installed=installed, repositories=[repository], locks=[lock]))
    way = said["flavors"][0]["ways_out"][-1]
    assert (way["kind"], way["command"]) == ("remove", command)


def test_a_lock_on_the_build_that_fits(tmp_path: Path) -> None:
    """It can be removed; whoever does so may take the build."""
    installed: list[Noun] = [kernel(1), acme()]
    repository = Repository(alias="r", packages=[NEW, acme("2.0", "a=2", krel="6.4.0-20")])
    of = World(installed=installed, repositories=[repository], locks=["acme-kmp-default == 2.0_k6.4.0_20-1"])
    found = {way["kind"]: way["command"] for way in plan_of(of)["flavors"][0]["ways_out"]}
    assert found["lock"] == "zypper removelock 'acme-kmp-default == 2.0_k6.4.0_20-1'"


def test_a_lock_on_a_build_that_its_vendor_keeps_out_as_well() -> None:
    """Without the lock nothing would be won."""
    other = acme("2.0", "a=2", krel="6.4.0-20", vendor="Other")
    of = World(
        installed=[kernel(1), acme()],
        repositories=[Repository(alias="r", packages=[NEW, other])],
        locks=[f"acme-kmp-default == {other.spec().evr}"],
    )
    (flavor,) = plan_of(of)["flavors"]
    assert flavor["verdict"] == "blocked"
    assert "lock" not in {way["kind"] for way in flavor["ways_out"]}


# -- the patches that wait ------------------------------------------------------------------------------------


def patch(number: int, *packages: str, status: str = "stable", severity: str = "important") -> Patch:
    return Patch(
        id=f"P-{number}",
        severity=severity,
        cves=(f"CVE-2026-{number}",),
        status=status,
        packages=packages,
    )


def named(release: str, name: str = "kernel-default") -> str:
    return f"{name}-6.4.0-{release}.x86_64"


PATCHES = [
    patch(9, named("30.1")),
    patch(1, named("10.1")),
    patch(2, named("20.1")),
    patch(3, named("25.1")),
    patch(4, named("40.1")),
    patch(5, named("30.1"), status="retracted"),
    patch(6, named("30.1", "kernel-default-devel")),
    patch(7, named("30.1", "kernel-rt")),
    patch(8, named("20.1"), named("21.1")),
]


@pytest.mark.parametrize(
    ("between", "waiting"),
    [([], ["P-2", "P-3", "P-8", "P-9"]), ([kernel(2)], ["P-3", "P-8", "P-9"])],
)
def test_the_patches_that_wait(tmp_path: Path, between: list[Noun], waiting: list[str]) -> None:
    """Newer than what can boot instead, up to the target."""
    target = kernel(3, "a=3")
    found = ways(tmp_path, [kernel(1), acme()], [*between, target], patches=PATCHES)
    assert [held["id"] for held in found[0].held_patches] == waiting
    assert found[0].held_patches[-1] == {"id": "P-9", "severity": "important", "cves": ["CVE-2026-9"]}
    (hold,) = (way for way in found if way.kind == "hold")
    assert hold.held_patches == found[0].held_patches


def test_an_older_safe_kernel_holds_back_no_more_than_the_newest_one_has(tmp_path: Path) -> None:
    installed = [kernel(1), kernel(2, "a=2"), acme()]
    found = ways(tmp_path, installed, [kernel(3, "a=3")], patches=PATCHES)
    assert found[0].text.startswith("boot 6.4.0-10.1")
    assert [held["id"] for held in found[0].held_patches] == ["P-3", "P-8", "P-9"]


def test_with_no_safe_kernel_the_newest_one_counts(tmp_path: Path) -> None:
    installed = [kernel(1), acme(symbols="")]
    found = ways(tmp_path, [*installed, beta()], [kernel(3, "a=3")], patches=PATCHES)
    assert kinds(found)[0] == "vendor-rebuild"
    (hold,) = (way for way in found if way.kind == "hold")
    assert [held["id"] for held in hold.held_patches] == ["P-2", "P-3", "P-8", "P-9"]
