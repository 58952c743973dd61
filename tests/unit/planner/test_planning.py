"""What a plan tells of a flavor beside the decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from kmpsolve.model.plan import FlavorPlan, Inputs, Plan, SkippedInput
from kmpsolve.planner import plan
from kmpsolve.request import KmpRule, Request, Waiver
from tests.property.acceptance import plan_of
from tests.property.cases import acme, beta, kernel
from tests.support.packages import PackageSpec
from tests.support.universes import sealed
from tests.support.worlds import Noun, Repository, Tool, World


def planned(
    folder: Path,
    installed: Sequence[Any],
    offered: Sequence[Any],
    *,
    skipped: bool = False,
    unread: Sequence[str] = (),
    rebuilding: Sequence[str] = (),
    locks: Sequence[str] = (),
    policy: Mapping[str, Any] = MappingProxyType({}),
    **asked: Any,
) -> Plan:
    def specs(nouns: Sequence[Noun | PackageSpec]) -> list[PackageSpec]:
        return [noun if isinstance(noun, PackageSpec) else noun.spec() for noun in nouns]

    of = sealed(folder, {"r": specs(offered)}, specs(installed), rebuilding=rebuilding, locks=locks, **policy)
    of.unread = frozenset(k.package.handle for k in of.kernels if str(k.package) in unread)
    left = (SkippedInput(alias="gone", reason="not there"),) if skipped else ()
    inputs = Inputs(root=None, repositories=(), skipped=left)
    return plan(of, Request(today="2026-01-15", **asked), inputs)


def only(of: Plan) -> FlavorPlan:
    (flavor,) = of.flavors
    return flavor


def warned(of: Plan, reference: str) -> list[str]:
    return [w.message for flavor in of.flavors for w in flavor.warnings if w.reference == reference]


# -- waivers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expires", "told"),
    [
        ("2026-01-14", "waiver-expired"),
        ("2026-01-15", "waiver-expires-soon"),
        ("2026-01-29", "waiver-expires-soon"),
        ("2026-01-30", ""),
    ],
)
def test_a_waiver_s_end_is_announced(tmp_path: Path, expires: str, told: str) -> None:
    """Of one KMP among others."""
    waiver = Waiver(kmp="acme-*", reason="tape is gone", expires=expires)
    found = planned(tmp_path, [kernel(1), acme(), beta()], [], waivers=(waiver,))
    assert [w.reference for w in only(found).warnings] == ([told] if told else [])


def test_a_waiver_for_no_kmp_is_told(tmp_path: Path) -> None:
    waiver = Waiver(kmp="other-*", reason="tape is gone", expires="2020-01-01")
    found = planned(tmp_path, [kernel(1), acme()], [], waivers=(waiver,))
    assert [w.reference for w in only(found).warnings] == ["waiver-unused"]


# -- what is not known ----------------------------------------------------------------------------------------

OLD = kernel(1).spec().nevra


@pytest.mark.parametrize(
    ("kmps", "offered", "skipped", "unread", "verdict"),
    [
        ([], [], False, [OLD], "nothing-to-do"),
        ([acme()], [], False, [OLD], "unverified"),
        ([acme()], [kernel(2)], False, [OLD], "safe"),
        ([acme()], [kernel(2, "a=2")], False, [OLD], "blocked"),
        ([], [], True, [], "unverified"),
        ([acme()], [kernel(2)], True, [], "unverified"),
        ([acme()], [kernel(2, "a=2")], True, [], "blocked"),
    ],
)
def test_what_could_not_be_read(
    tmp_path: Path,
    kmps: list[Noun],
    offered: list[Noun],
    skipped: bool,
    unread: list[str],
    verdict: str,
) -> None:
    found = planned(tmp_path, [kernel(1), *kmps], offered, skipped=skipped, unread=unread)
    assert found.verdict == only(found).verdict == verdict
    assert (only(found).newest_safe in unread) == (not kmps and bool(unread))  # no KMP, nothing to be read


# -- fallback kernels -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("protect", "verdict"), [(False, "safe"), (True, "blocked")])
def test_a_fallback_kernel_that_loses_a_driver(tmp_path: Path, protect: bool, verdict: str) -> None:
    """Among other things that are told of fallback kernels."""
    single, rebuild = acme(multiversion=False), acme("2.0", "a=2", multiversion=False)
    installed = [kernel(0, "z=1"), kernel(1), single, beta(symbols="z=1")]
    offered = [kernel(2, "a=2", modules="beta.ko"), rebuild]
    found = planned(tmp_path, installed, offered, protect_fallback=protect)
    assert found.verdict == verdict
    assert len(warned(found, "fallback-loses")) == 1
    assert len(warned(found, "purge-takes-last")) == 1


def test_a_fallback_kernel_that_keeps_its_drivers_is_protected(tmp_path: Path) -> None:
    found = planned(tmp_path, [kernel(1), acme()], [kernel(2)], protect_fallback=True)
    assert found.verdict == "safe"


@pytest.mark.parametrize(
    "asked",
    [
        {"waivers": (Waiver(kmp="acme-*", reason="", expires="2027-01-01"),)},
        {"kmp_rules": (KmpRule(match="acme-*", on_blocked="ignore"),)},
    ],
    ids=["waived", "ignored"],
)
def test_what_does_not_count_does_not_block_for_a_fallback_kernel(
    tmp_path: Path, asked: dict[str, Any]
) -> None:
    offered = [kernel(2, "a=2"), acme("2.0", "a=2", multiversion=False)]
    installed = [kernel(1), acme(multiversion=False)]
    found = planned(tmp_path, installed, offered, protect_fallback=True, **asked)
    assert found.verdict == "safe"
    assert len(warned(found, "fallback-loses")) == 1
    assert only(found).newest_safe == kernel(2).spec().nevra


# -- what goes ------------------------------------------------------------------------------------------------

LENDER, BORROWER = acme(exports="s=2", multiversion=False), beta(symbols="a=7 s=2")
REBUILD = acme("2.0", "a=2", multiversion=False)


def test_what_is_removed_is_told_by_kmp_and_not_by_build(tmp_path: Path) -> None:
    other = beta("1.1", "a=7", krel="6.4.0-9")
    found = planned(tmp_path, [kernel(1), LENDER, BORROWER, other], [kernel(2, "a=2"), REBUILD])
    assert [step.nevra for step in found.transaction if step.action == "erase"] == [BORROWER.spec().nevra]
    assert warned(found, "removed") == []


def test_what_one_flavor_loses_by_another_is_told(tmp_path: Path) -> None:
    broken = beta(symbols="a=7", flavor="rt", requires="acme-kmp = 1.0")
    installed = [kernel(1), kernel(1, flavor="rt"), acme(multiversion=False), broken]
    offered = [kernel(2, "a=2"), kernel(2, flavor="rt"), REBUILD]
    found = planned(tmp_path, installed, offered)
    assert found.verdict == "safe"
    message = "the update removes beta-kmp-rt, which does not work on the kernel"
    assert warned(found, "removed") == [message]


def test_a_broken_kmp_does_not_go_for_another_flavor_where_nothing_new_is_planned_for_its_own(
    tmp_path: Path,
) -> None:
    broken = beta(symbols="a=7", flavor="rt", requires="acme-kmp = 1.0")
    installed = [kernel(1), kernel(1, flavor="rt"), acme(multiversion=False), broken]
    found = planned(tmp_path, installed, [kernel(2, "a=2"), REBUILD])
    assert [flavor.verdict for flavor in found.flavors] == ["blocked", "nothing-to-do"]


def test_a_build_that_one_flavor_uses_does_not_go_for_another(tmp_path: Path) -> None:
    user = beta(flavor="rt", requires="acme-kmp = 1.0")
    installed = [kernel(1), kernel(1, flavor="rt"), acme(multiversion=False), user]
    offered = [kernel(2, "a=2"), kernel(2, flavor="rt"), REBUILD]
    found = planned(tmp_path, installed, offered)
    assert (found.verdict, found.transaction) == ("blocked", ())


def test_what_is_in_the_way_and_needed_elsewhere_stays(tmp_path: Path) -> None:
    """A broken KMP, which a KMP of another flavor requires."""
    user = beta(flavor="rt", symbols="a=7", name="corp", requires="beta-kmp = 1.0")
    installed = [kernel(1), kernel(1, flavor="rt"), LENDER, BORROWER, user]
    found = planned(tmp_path, installed, [kernel(2, "a=2"), REBUILD])
    assert (found.verdict, found.transaction) == ("blocked", ())


def test_of_two_flavors_that_exclude_each_other_each_is_told_by_itself(tmp_path: Path) -> None:
    """What its fallback kernel would lose, too."""
    installed = [kernel(1), kernel(1, flavor="rt"), LENDER, beta(flavor="rt", multiversion=False)]
    rebuilds = [
        replace(REBUILD, conflicts="beta-kmp = 2.0"),
        beta("2.0", "a=2", flavor="rt", multiversion=False),
    ]
    found = planned(tmp_path, installed, [kernel(2, "a=2"), kernel(2, "a=2", flavor="rt"), *rebuilds])
    assert [flavor.verdict for flavor in found.flavors] == ["safe", "blocked"]
    lost = {name for message in warned(found, "fallback-loses") for name in message.split() if "kmp" in name}
    assert lost == {"acme-kmp-default", "beta-kmp-rt"}
    assert "newest-safe" not in {way.kind for way in found.flavors[1].ways_out}


@pytest.mark.parametrize("rebuilds", [0, 1, 2])
def test_one_package_name_for_two_flavors(tmp_path: Path, rebuilds: int) -> None:
    """As kmod packages have it: multiversion keeps both builds on the system, and each plan its own."""

    def driver(version: str, symbols: str = "a=1", **more: str) -> PackageSpec:
        return replace(acme(version, symbols, **more).spec(), name="acme-driver")

    installed = [kernel(1), kernel(1, flavor="rt"), driver("1.0"), driver("1.1", flavor="rt")]
    offered = [driver(f"{number + 2}.0", "a=2", krel=f"6.4.0-{number + 15}") for number in range(rebuilds)]
    found = planned(tmp_path, installed, [kernel(2, "a=2"), kernel(2, flavor="rt"), *offered])
    decisions = [(flavor.flavor, flavor.verdict, flavor.kmps[0].decision) for flavor in found.flavors]
    changed = ("safe", "fetch") if rebuilds else ("blocked", "blocked")
    assert decisions == [("default", *changed), ("rt", "safe", "reuse")]
    newest = [f"acme-driver-{rebuilds + 1}.0_k6.4.0_{rebuilds + 14}-1.x86_64"] if rebuilds else []
    assert [step.nevra for step in found.transaction if "driver" in step.nevra] == newest


def test_nothing_goes_where_nothing_new_is_planned(tmp_path: Path) -> None:
    """Though two newer builds would be loaded for want of a word on which KMP is linked first."""
    standing = [
        acme(exports="s=1", krel="6.4.0-8"),
        acme("2.0", "a=1 t=1", exports="s=2", krel="6.4.0-9"),
        beta(exports="t=1", krel="6.4.0-8"),
        beta("2.0", "a=1 s=1", exports="t=2", krel="6.4.0-9"),
    ]
    locked = beta(name="corp", symbols="a=7", modules="corp.ko", flavor="rt")
    refused = kernel(2, flavor="rt", obsoletes="corp-kmp-rt")
    found = planned(
        tmp_path, [kernel(1), kernel(1, flavor="rt"), *standing, locked], [refused], locks=["corp-kmp-rt"]
    )
    assert [flavor.verdict for flavor in found.flavors] == ["nothing-to-do", "blocked"]
    assert warned(found, "removed") == []


def test_a_build_that_no_kernel_needs_does_not_go_for_another_flavor(tmp_path: Path) -> None:
    """Where nothing new is planned for its own one."""
    older, newer = beta(flavor="rt", krel="6.4.0-5"), beta("2.0", flavor="rt")
    rebuild = acme("2.0", "a=2", conflicts="beta-kmp = 1.0")
    installed = [kernel(1), kernel(1, flavor="rt"), acme(), older, newer]
    found = planned(tmp_path, installed, [kernel(2, "a=2"), rebuild])
    assert {flavor.flavor: flavor.verdict for flavor in found.flavors} == {
        "default": "blocked",
        "rt": "nothing-to-do",
    }


def test_a_way_out_removes_what_the_safe_kernel_would_load_first(tmp_path: Path) -> None:
    own, older = acme("2.0", "a=1"), acme(exports="s=1", krel="6.4.0-5")
    installed = [kernel(1), own, older, beta(symbols="a=1 s=1")]
    found = planned(tmp_path, installed, [kernel(2, "a=2")])
    first = only(found).ways_out[0]
    assert (found.verdict, only(found).newest_safe) == ("blocked", OLD)
    assert (first.kind, first.command) == (
        "newest-safe",
        "zypper install --no-recommends -- -acme-kmp-default=2.0_k6.4.0_10-1",
    )


def test_a_way_out_where_the_safe_kernel_stands(tmp_path: Path) -> None:
    found = planned(tmp_path, [kernel(1), acme()], [kernel(2, "a=2")])
    assert (only(found).ways_out[0].kind, only(found).ways_out[0].command) == ("newest-safe", None)


def test_with_nothing_new_there_is_no_way_out(tmp_path: Path) -> None:
    found = planned(tmp_path, [kernel(1), acme(symbols="a=7")], [], already_broken="block")
    assert (found.verdict, only(found).target, only(found).ways_out) == ("blocked", None, ())


# -- modules --------------------------------------------------------------------------------------------------


def test_modules_of_the_kernel_that_a_kmp_has(tmp_path: Path) -> None:
    installed = [kernel(1, modules="x.ko y.ko"), acme(modules="acme.ko x.ko")]
    assert only(planned(tmp_path / "a", installed, [kernel(2)])).modules_lost == ("y.ko",)
    unread = [kernel(1).spec().nevra]
    assert only(planned(tmp_path / "unread", installed, [kernel(2)], unread=unread)).modules_lost == ()


def clashes(found: Plan) -> list[str]:
    return [w.message for k in only(found).kmps for w in k.warnings if w.reference == "name-clash"]


def test_two_kmps_with_one_module(tmp_path: Path) -> None:
    """What is rebuilt on the host is linked nowhere."""
    twin = beta(modules="acme.ko")
    found = planned(tmp_path / "a", [kernel(1), acme(), twin], [kernel(2)])
    assert len(clashes(found)) == 2
    assert twin.spec().nevra in clashes(found)[0]
    found = planned(tmp_path / "b", [kernel(1), acme(), beta(symbols="", modules="acme.ko")], [kernel(2)])
    assert len(clashes(found)) == 2
    headers = [PackageSpec(name="kernel-default-devel", version="6.4.0", release=f"{n}0.1") for n in (1, 2)]
    installed = [kernel(1), *headers, acme(), replace(twin, symbols="")]
    found = planned(tmp_path / "c", installed, [kernel(2)], rebuilding=[twin.spec().name])
    assert (found.verdict, clashes(found)) == ("safe", [])


def test_live_patches_are_told_of_a_new_kernel_only(tmp_path: Path) -> None:
    patch = PackageSpec(
        name="kernel-livepatch-6_4_0-10-default", version="1", release="1", provides=("kmod(livepatch.ko)",)
    )
    installed = [kernel(1), acme(), patch]
    assert len(warned(planned(tmp_path / "a", installed, [kernel(2)]), "starts-unpatched")) == 1
    named = planned(tmp_path / "b", installed, [kernel(2)], kernel="6.4.0-10.1")
    assert warned(named, "starts-unpatched") == []


# -- what zypper would do -------------------------------------------------------------------------------------


def would(
    installed: Sequence[Noun], low: Sequence[Noun], high: Sequence[Noun] = (), locks: Sequence[str] = ()
) -> tuple[str | None, str | None]:
    repositories = [Repository(alias="low", packages=list(low))]
    if high:
        repositories.append(Repository(alias="high", packages=list(high), priority=50))
    said = plan_of(World(installed=list(installed), repositories=repositories, locks=list(locks)))
    (flavor,) = said["flavors"]
    return flavor["zypper_would"]["target"], flavor["zypper_would"]["held_because"]


LOCKED = "a lock holds the newer kernel"
HIDDEN = "a repository of higher priority does not have the newer kernel"


def foreign(number: int) -> Noun:
    return kernel(number, vendor="openSUSE")


@pytest.mark.parametrize(
    ("low", "high", "locks", "expected"),
    [
        ([kernel(3)], [], [], ("kernel-default-6.4.0-30.1.x86_64", None)),
        ([kernel(3)], [], ["kernel-default == 6.4.0-30.1"], (None, LOCKED)),
        ([kernel(1)], [], ["kernel-default == 6.4.0-10.1"], (None, None)),
        ([kernel(1)], [], [], (None, None)),
        ([kernel(3)], [kernel(2)], [], (None, HIDDEN)),
        ([foreign(3)], [], [], (None, "the newer kernel comes from another vendor (openSUSE)")),
        ([foreign(2)], [], [], (None, None)),
        ([foreign(1)], [], [], (None, None)),
    ],
)
def test_what_holds_the_newer_kernel(
    low: list[Noun], high: list[Noun], locks: list[str], expected: tuple[str | None, str | None]
) -> None:
    assert would([kernel(2)], low, high, locks) == expected


def test_of_two_kernels_that_zypper_brings_the_newer_one_is_told() -> None:
    """An update requires the other one."""
    update = Tool(name="tool", version="2.0", requires="kernel-default = 6.4.0-20.1")
    installed: list[Noun] = [kernel(1), Tool(name="tool")]
    assert would(installed, [kernel(4), kernel(2), update])[0] == "kernel-default-6.4.0-40.1.x86_64"


def test_an_installed_kmp_of_another_architecture_is_not_reused(tmp_path: Path) -> None:
    found = plan_of(
        World(
            installed=[kernel(1), acme(arch="i586")],
            repositories=[Repository(alias="r", packages=[kernel(2), acme("2.0", krel="6.4.0-20")])],
        )
    )
    (kmp,) = found["flavors"][0]["kmps"]
    assert kmp["decision"] != "reuse"
    assert "already-broken" in {warning["reference"] for warning in kmp["warnings"]}


def test_a_build_for_i686_serves_a_kernel_for_i586() -> None:
    """The machine can do what is installed on it: no new kernel is blocked for that."""
    old, new = replace(kernel(1), arch="i586"), replace(kernel(2), arch="i586")
    world = World(installed=[old, acme(arch="i686")], repositories=[Repository(alias="r", packages=[new])])
    found = plan_of(world)
    assert [kmp["decision"] for kmp in found["flavors"][0]["kmps"]] == ["reuse"]
    assert [step["nevra"] for step in found["transaction"]] == ["kernel-default-6.4.0-20.1.i586"]


@pytest.mark.parametrize("flavors", [(), ("default",)])
@pytest.mark.parametrize("taken", ["kernel-rt", "acme-kmp-rt"])
def test_what_would_take_another_flavor_away_is_not_done(
    tmp_path: Path, taken: str, flavors: tuple[str, ...]
) -> None:
    """The new kernel obsoletes the other flavor's, or its KMP, which has nothing newer itself."""
    installed: list[Noun] = [kernel(1), acme(), kernel(1, flavor="rt")]
    if taken.startswith("acme"):
        installed.append(acme(flavor="rt"))
    found = planned(tmp_path, installed, [kernel(2, obsoletes=taken)], flavors=flavors)
    assert (found.verdict, found.transaction, found.command) == ("blocked", (), None)
    (default,) = (flavor for flavor in found.flavors if flavor.flavor == "default")
    assert any(taken in w.message and "flavor rt" in w.message for w in default.warnings)
    (tmp_path / "beside").mkdir()
    assert planned(tmp_path / "beside", installed, [kernel(2)], flavors=flavors).verdict == "safe"


def test_a_kmp_of_a_flavor_that_has_no_kernel_here(tmp_path: Path) -> None:
    """It is part of no flavor's plan, and told of once."""
    stranded = acme(symbols="a=1", flavor="rt")
    offered = [kernel(2, "a=2"), kernel(2, flavor="azure"), REBUILD]
    message = "acme-kmp-rt works on no kernel that is installed now: none is of flavor rt"
    installed = [kernel(1), kernel(1, flavor="azure"), acme(), stranded]
    found = planned(tmp_path / "a", installed, offered)
    assert warned(found, "already-broken") == [message]
    assert (found.verdict, [k.name for f in found.flavors for k in f.kmps]) == ("safe", ["acme-kmp-default"])
    of_one = planned(tmp_path / "b", installed, offered, flavors=("default",))
    assert warned(of_one, "already-broken") == [message]
    there = planned(tmp_path / "c", [*installed, kernel(1, flavor="rt")], offered, flavors=("default",))
    assert warned(there, "already-broken") == []


@pytest.mark.parametrize(
    ("asked", "offered", "told"),
    [
        ("newest-safe", [], True),
        ("6.4.0-10.1", [], True),
        ("6.4.0-20.1", [REBUILD], False),
        ("6.4.0-30.1", [kernel(3)], False),
    ],
)
def test_an_older_kernel_than_the_one_that_boots_next(
    tmp_path: Path, asked: str, offered: list[Noun], told: bool
) -> None:
    """It is judged as asked for; that it has to be chosen at boot is told."""
    found = planned(tmp_path, [kernel(1), kernel(2, "a=2"), acme()], offered, kernel=asked)
    assert found.verdict == "safe"
    assert ["kernel-default-6.4.0-20.1" in message for message in warned(found, "boots-another")] == [
        True
    ] * told


def test_a_kernel_that_gives_way_keeps_no_build_out(tmp_path: Path) -> None:
    """It obsoletes the build; where kernels replace each other it is gone by then."""
    absorbing = kernel(1, "a=5", modules="acme.ko", obsoletes="acme-kmp-default < 2")
    installed: list[Noun] = [absorbing, acme("3.0", "a=5")]
    offered: list[Noun] = [kernel(2, "a=2"), acme("1.0", "a=2", krel="6.4.0-20")]
    beside, instead = (
        planned(tmp_path / kind[-1], installed, offered, policy={"multiversion": kind})
        for kind in (("provides:multiversion(kernel)",), ("only-what-has-this-name",))
    )
    assert [(only(of).kmps[0].decision, of.verdict) for of in (beside, instead)] == [
        ("blocked", "blocked"),
        ("fetch", "safe"),
    ]


def test_a_kernel_that_gives_way_to_a_locked_one_that_is_named(tmp_path: Path) -> None:
    absorbing = kernel(1, "a=5", modules="acme.ko", obsoletes="acme-kmp-default < 2")
    renewed = kernel(2, "a=2", obsoletes="kernel-default = 6.4.0-10.1")
    offered: list[Noun] = [renewed, acme("1.0", "a=2", krel="6.4.0-20")]
    found = planned(
        tmp_path, [absorbing, acme("3.0", "a=5")], offered, locks=["kernel-default"], kernel="6.4.0-20.1"
    )
    assert only(found).kmps[0].decision == "fetch"


def test_builds_of_the_vendors_that_are_there_come_before_others(tmp_path: Path) -> None:
    installed = [kernel(1), acme(krel="6.4.0-9"), acme("1.1", vendor="Other")]
    offered = [
        kernel(2, "a=2"),
        *(acme(f"{v}.0", "a=2", krel="6.4.0-20", vendor=who) for v, who in ((2, "Other"), (3, "Third"))),
    ]
    found = planned(tmp_path, installed, offered, policy={"allow_vendor_change": True})
    assert (only(found).kmps[0].chosen or "").startswith("acme-kmp-default-2.0")
