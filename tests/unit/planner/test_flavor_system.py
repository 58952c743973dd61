"""One flavor of a system: which kernels, which builds may replace which, and what counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kmpsolve.model.nevra import Nevra, same_architecture
from kmpsolve.model.relation import obsoleted_by
from kmpsolve.planner import flavor_systems
from kmpsolve.planner.system import FlavorSystem, Kmp, is_native, preference
from kmpsolve.request import KmpRule, Request, Waiver
from tests.property.cases import acme, beta, kernel
from tests.support.packages import PackageSpec
from tests.support.universes import sealed
from tests.support.worlds import Kernel, KernelExtra
from tests.support.worlds import Kmp as KmpNoun
from tests.unit.compat.building import kernel as unit_of
from tests.unit.compat.building import kmp as build_of
from tests.unit.machine.fakes import live

OTHER = "Other GmbH"


def spec(noun: Any) -> PackageSpec:
    return noun if isinstance(noun, PackageSpec) else noun.spec()


def system(
    folder: Path,
    installed: Sequence[Any],
    offered: Sequence[Any] = (),
    *,
    also: Sequence[Any] = (),
    retracted: Sequence[Any] = (),
    locks: Sequence[str] = (),
    flavor: str = "default",
    **asked: Any,
) -> FlavorSystem:
    repositories = {"r": [spec(one) for one in offered], "also": [spec(one) for one in also]}
    of = sealed(
        folder,
        repositories,
        [spec(one) for one in installed],
        retracted=[spec(one) for one in retracted],
        locks=locks,
    )
    return flavor_systems(of, Request(policy=of.policy, today="2026-01-15", **asked))[flavor]


def the_kmp(of: FlavorSystem, name: str = "acme-kmp-default") -> Kmp:
    (kmp,) = (kmp for kmp in of.kmps if kmp.name == name)
    return kmp


def versions(builds: Sequence[Any]) -> list[str]:
    return [f"{build.nevra.evr.version.partition('_')[0]} {build.package.repository}" for build in builds]


def releases(units: Sequence[Any]) -> list[str]:
    return [unit.nevra.evr.release for unit in units]


# -- words ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("x86_64", "x86_64", True),
        ("x86_64", "i586", False),
        ("noarch", "x86_64", True),
        ("x86_64", "noarch", True),
        ("i586", "i686", True),
        ("i386", "i686", True),
        ("i786", "i686", False),
    ],
)
def test_architectures(a: str, b: str, same: bool) -> None:
    assert same_architecture(a, b) == same


@pytest.mark.parametrize(
    ("capabilities", "obsoleted"),
    [
        ((), False),
        (("acme",), True),
        (("other", "acme"), True),
        (("other",), False),
        (("acme < 2",), False),
        (("acme < 1",), False),
        (("acme > 3",), False),
        (("acme <= 2",), True),
        (("acme < 3",), True),
        (("acme = 2",), True),
        (("acme = 3",), False),
        (("acme > 2",), False),
        (("acme >= 2",), True),
        (("acme > 1",), True),
        (("acme = 1", "acme = 2"), True),
        (("(acme or other)",), False),
    ],
)
def test_obsoletes(capabilities: tuple[str, ...], obsoleted: bool) -> None:
    assert obsoleted_by(capabilities, Nevra.parse("acme-2-1.noarch")) == obsoleted


@pytest.mark.parametrize(
    ("folders", "built_for", "native"),
    [
        (["6.4.0-20-default"], "", True),
        (["6.4.0-10-default", "6.4.0-20-default"], "", True),
        (["6.4.0-10-default"], "6.4.0_20", False),
        ([], "6.4.0_20", True),
        ([], "6.4.0_20_default", True),
        ([], "6.4.0_10", False),
        ([], "", False),
    ],
)
def test_a_build_made_for_a_kernel(folders: list[str], built_for: str, native: bool) -> None:
    """Files tell before names do."""
    build = replace(build_of("acme"), module_folders=frozenset(folders), built_for=built_for)
    assert is_native(build, unit_of("", uname_r="6.4.0-20-default")) == native


# -- kernels --------------------------------------------------------------------------------------------------


def test_kernels_on_offer(tmp_path: Path) -> None:
    """Of the name, the architecture and the vendor of the newest installed one."""
    locked = kernel(6)
    offered = [
        kernel(3),
        kernel(1),
        kernel(2),
        kernel(4, vendor=OTHER),
        kernel(5, arch="i586"),
        kernel(7, flavor="rt"),
        kernel(8, package="kernel-default-base"),
        kernel(7, package="kernel-default-base", vendor=OTHER),
        kernel(9),
    ]
    of = system(tmp_path, [kernel(1)], offered, retracted=[kernel(9)])
    assert releases(of.kernels.candidates()) == ["20.1", "30.1"]
    assert releases(of.kernels.candidates(named=True)) == ["20.1", "30.1", "90.1"]
    assert releases(of.kernels.candidates(locked=True)) == ["20.1", "30.1"]
    assert releases(of.kernels.every()) == ["10.1", "20.1", "30.1", "40.1", "90.1"]
    assert [str(p.nevra.evr.release) for p in of.kernels.of_other_vendors()] == ["40.1"]
    held = system(tmp_path / "held", [kernel(1)], [locked, kernel(9)], locks=["kernel-default"])
    assert releases(held.kernels.candidates()) == []
    assert releases(held.kernels.candidates(locked=True)) == ["60.1", "90.1"]
    assert releases(held.kernels.candidates(named=True)) == ["60.1", "90.1"]


def test_a_kernel_that_two_repositories_have(tmp_path: Path) -> None:
    of = system(tmp_path, [kernel(1)], [kernel(2)], also=[kernel(2)])
    (unit,) = of.kernels.candidates()
    assert unit.main.repository == "also"
    assert [unit.main.repository for unit in of.kernels.every()] == [None, "also"]
    foreign = [kernel(2, vendor=OTHER)]
    of = system(tmp_path / "foreign", [kernel(1)], foreign, also=foreign)
    assert [unit.main.repository for unit in of.kernels.every()] == [None, "also"]


def test_another_vendor_where_zypp_allows_it(tmp_path: Path) -> None:
    of = sealed(tmp_path, {"r": [spec(kernel(2, vendor=OTHER))]}, [spec(kernel(1))], allow_vendor_change=True)
    allowed = flavor_systems(of, Request(policy=of.policy))["default"]
    assert releases(allowed.kernels.candidates()) == ["20.1"]
    assert allowed.kernels.of_other_vendors() == []


BASE = kernel(2, package="kernel-default-base")
FOREIGN_BASE = replace(BASE, release="40.1", vendor=OTHER)


@pytest.mark.parametrize(
    ("installed", "offered", "picked"),
    [
        ([kernel(1)], [kernel(2), kernel(3)], "30.1"),
        ([kernel(2)], [kernel(1), kernel(2)], None),
        ([kernel(1)], [kernel(2), kernel(3, vendor=OTHER), kernel(3, arch="i586")], "20.1"),
        ([kernel(1)], [kernel(2), kernel(3, package="kernel-default-base")], "20.1"),
        ([kernel(1), BASE], [kernel(3, package="kernel-default-base")], "30.1"),
        ([kernel(1, vendor=OTHER), BASE], [replace(BASE, release="30.1"), FOREIGN_BASE], "30.1"),
        ([kernel(1, vendor=OTHER), kernel(2)], [kernel(3, vendor=OTHER), kernel(4)], "40.1"),
    ],
)  # fmt: skip
def test_what_zypper_up_brings(
    tmp_path: Path, installed: list[Kernel], offered: list[Kernel], picked: str | None
) -> None:
    found = system(tmp_path, installed, offered).kernels.zypper_up_pick()
    assert (found and found.nevra.evr.release) == picked


def test_extras_belong_to_the_kernel_of_exactly_their_version(tmp_path: Path) -> None:
    extras = [KernelExtra(release=f"{n}0.1", ksyms=f"x={n}") for n in (1, 2)]
    optional = KernelExtra(release="20.1", suffix="optional", ksyms="o=1")
    offered = [kernel(2), kernel(3), extras[1], optional]
    of = system(tmp_path, [kernel(1), extras[0]], offered)
    parts = {u.nevra.evr.release: [str(p.nevra.name) for p in u.packages] for u in of.kernels.candidates()}
    assert parts == {"20.1": ["kernel-default", "kernel-default-extra"], "30.1": ["kernel-default"]}
    assert [len(unit.packages) for unit in of.units] == [2]


@pytest.mark.parametrize(
    ("changes", "parts"),
    [({}, 2), ({"vendor": OTHER}, 1), ({"arch": "i586"}, 1), ({"release": "30.1"}, 1)],
)
def test_the_extra_of_a_kernel_on_offer(tmp_path: Path, changes: dict[str, str], parts: int) -> None:
    extra = KernelExtra(**({"release": "20.1", "ksyms": "x=1"} | changes))
    of = system(tmp_path, [kernel(1), KernelExtra(release="10.1", ksyms="x=1")], [kernel(2), extra])
    (unit,) = of.kernels.candidates()
    assert len(unit.packages) == parts


WITH_EXTRA = [kernel(1), KernelExtra(release="10.1", ksyms="x=1")]
EXTRA = KernelExtra(release="20.1", ksyms="x=2")


@pytest.mark.parametrize(
    ("locks", "parts"),
    [
        (["kernel-default-extra"], 1),
        (["kernel-default", "kernel-default-extra"], 2),
        (["kernel-default"], 2),
        ([], 2),
    ],
)
def test_the_extra_of_a_locked_kernel(tmp_path: Path, locks: list[str], parts: int) -> None:
    """What a lock holds goes along only where the lock holds the whole unit."""
    of = system(tmp_path, WITH_EXTRA, [kernel(2), EXTRA], locks=locks)
    assert [len(unit.packages) for unit in of.kernels.candidates(locked=True)] == [parts]


@pytest.mark.parametrize(
    ("requires", "parts"),
    [
        (("kernel-default = 6.4.0-20.1",), 2),
        (("kernel-default = 6.4.0-10.1",), 1),
        (("kernel-default = 6.4.0-10.1", "kernel-default = 6.4.0-20.1"), 2),
        (("kernel-default = 6.4.0-10.1", "kernel-default = 0:6.4.0-20.1"), 2),
        (("kernel-default >= 5",), 2),
        (("kernel-default-abi = 1",), 2),
        (("kernel-default-abi = 2",), 1),
        (("kernel-rt = 6.4.0-20.1",), 1),
        ((), 2),
    ],
)
def test_what_an_extra_requires_of_its_kernel(tmp_path: Path, requires: tuple[str, ...], parts: int) -> None:
    extra = replace(EXTRA.spec(), requires=requires)
    new = kernel(2, provides="kernel-default-abi = 1")
    (unit,) = system(tmp_path / "offered", WITH_EXTRA, [new, extra]).kernels.candidates()
    assert len(unit.packages) == parts
    assert [len(unit.packages) for unit in system(tmp_path / "installed", [new, extra]).units] == [parts]


@pytest.mark.parametrize(
    ("requires", "parts"),
    [
        (("kernel-default-base = 6.4.0-20.1",), 2),
        (("kernel-default-base = 6.4.0-10.1",), 1),
        (("kernel-default-base",), 2),
        (("kernel-default-base = 0:6.4.0-20.1",), 2),
        (("kernel-firmware",), 1),
        (("base-of-default = 2",), 2),
        (("base-of-default = 1",), 1),
        (("other", "kernel-default-base"), 2),
        (("other",), 1),
        ((), 1),
    ],
)
def test_a_base_that_the_kernel_requires(tmp_path: Path, requires: tuple[str, ...], parts: int) -> None:
    """As on Code 11; later they are alternatives."""
    base = kernel(2, package="kernel-default-base", provides="base-of-default = 2")
    new = replace(kernel(2).spec(), requires=requires)
    (unit,) = system(tmp_path, [kernel(1)], [new, base]).kernels.candidates()
    assert [package.name for package in unit.packages] == ["kernel-default", "kernel-default-base"][:parts]


def test_a_kernel_and_its_base_that_stand_together(tmp_path: Path) -> None:
    """The full one names the unit, whatever the release of its -base."""
    base = kernel(2, release="20.1.5", package="kernel-default-base", uname="6.4.0-20-default")
    (unit,) = system(tmp_path, [base, kernel(2)]).units
    assert [str(package.nevra) for package in unit.packages] == [
        "kernel-default-6.4.0-20.1.x86_64",
        "kernel-default-base-6.4.0-20.1.5.x86_64",
    ]
    of = system(tmp_path / "rebuilt", [kernel(2), kernel(2, release="20.2"), kernel(1)])
    assert [[str(p.nevra.evr.release) for p in unit.packages] for unit in of.units] == [["10.1"], ["20.2"]]


def test_a_retracted_extra(tmp_path: Path) -> None:
    of = system(tmp_path, WITH_EXTRA, [kernel(2), EXTRA], retracted=[EXTRA])
    assert [len(unit.packages) for unit in of.kernels.candidates()] == [1]


@pytest.mark.parametrize(("places", "taken"), [("r b a", "r"), ("b a", "a")])
def test_an_extra_that_several_repositories_have(tmp_path: Path, places: str, taken: str) -> None:
    """The kernel's own one comes first."""
    repositories = {
        name: [spec(one) for one in ([kernel(2)] if name == "r" else []) + [EXTRA] * (name in places.split())]
        for name in ("r", "b", "a")
    }
    of = sealed(tmp_path, repositories, [spec(one) for one in WITH_EXTRA])
    (unit,) = flavor_systems(of, Request(policy=of.policy))["default"].kernels.candidates()
    assert [package.repository for package in unit.packages] == ["r", taken]


def test_an_extra_that_only_an_older_kernel_has_is_updated_too(tmp_path: Path) -> None:
    """As zypper up does (measured)."""
    extras = [KernelExtra(release=f"{n}0.1", ksyms=f"x={n}") for n in (1, 3)]
    (unit,) = system(tmp_path, [kernel(1), kernel(2), extras[0]], [kernel(3), extras[1]]).kernels.candidates()
    assert [package.name for package in unit.packages] == ["kernel-default", "kernel-default-extra"]


def test_an_extra_that_is_not_installed_is_not_wanted(tmp_path: Path) -> None:
    """Though the newest kernel has one on offer."""
    extras = [KernelExtra(release=f"{n}0.1", ksyms=f"x={n}") for n in (1, 2)]
    (unit,) = system(tmp_path, [kernel(1)], [kernel(2), *extras]).kernels.candidates()
    assert len(unit.packages) == 1


def test_an_installed_kernel_of_another_vendor_is_not_on_offer(tmp_path: Path) -> None:
    of = system(tmp_path, [kernel(1, vendor=OTHER), kernel(2)], [kernel(3)])
    assert of.kernels.of_other_vendors() == []
    assert releases(of.units) == ["10.1", "20.1"]


def test_what_belongs_to_another_flavor(tmp_path: Path) -> None:
    installed = [kernel(1), kernel(2, flavor="rt"), acme(), beta(flavor="rt")]
    of = system(tmp_path, installed, [kernel(3), kernel(4, flavor="rt")])
    assert (releases(of.units), releases(of.kernels.candidates())) == (["10.1"], ["30.1"])
    assert [kmp.name for kmp in of.kmps] == ["acme-kmp-default"]


# -- builds ---------------------------------------------------------------------------------------------------


def test_builds_that_may_replace_an_installed_one(tmp_path: Path) -> None:
    """Higher EVR first, and why zypp would not choose the others."""
    withdrawn = acme("5.0")
    offered = [
        acme("2.0"),
        acme("3.0"),
        acme("4.0", vendor=OTHER),
        acme("4.5", arch="i586"),
        withdrawn,
        acme("6.0", name="nova", obsoletes="acme-kmp-default"),
        acme("7.0", name="nova", obsoletes="other-kmp-default"),
        acme("8.0", name="nova"),
        acme("1.0", "a=9"),
        acme("0.5", obsoletes="old-kmp"),
        acme("5.5", name="nova", obsoletes="acme-kmp-default < 1.0"),
    ]
    of = system(tmp_path, [kernel(1), acme("0.9"), acme()], offered, retracted=[withdrawn])
    kmp = the_kmp(of)
    assert versions(kmp.installed) == ["1.0 None", "0.9 None"]
    assert versions(kmp.candidates) == ["6.0 r", "5.5 r", "3.0 r", "2.0 r", "0.5 r"]
    assert [(build.nevra.evr.version.partition("_")[0], why) for build, why in kmp.refused] == [
        ("4.0", "vendor"),
        ("4.5", "architecture"),
        ("5.0", "retracted"),
    ]
    assert versions(kmp.twins) == ["1.0 r"]


def test_a_build_for_a_newer_machine(tmp_path: Path) -> None:
    of = system(tmp_path, [kernel(1, arch="i586"), acme(arch="i586")], [acme("2.0", arch="i686")])
    assert [why for _, why in the_kmp(of).refused] == ["architecture"]


def test_a_locked_build(tmp_path: Path) -> None:
    of = system(tmp_path, [kernel(1), acme()], [acme("2.0")], locks=["acme-kmp-default"])
    kmp = the_kmp(of)
    assert (kmp.candidates, [why for _, why in kmp.refused]) == ((), ["lock"])


def test_the_same_build_in_two_repositories(tmp_path: Path) -> None:
    builds = [acme("2.0"), acme("1.0", "a=9")]
    foreign = acme("2.0", vendor=OTHER)
    kmp = the_kmp(system(tmp_path, [kernel(1), acme()], builds, also=builds))
    assert (versions(kmp.candidates), versions(kmp.twins)) == (["2.0 also", "2.0 r"], ["1.0 also", "1.0 r"])
    kmp = the_kmp(system(tmp_path / "foreign", [kernel(1), acme()], [foreign], also=[foreign]))
    assert versions([build for build, _ in kmp.refused]) == ["2.0 also", "2.0 r"]


def test_the_vendor_s_own_build_comes_before_a_newer_one_of_another(tmp_path: Path) -> None:
    of = sealed(
        tmp_path,
        {"r": [spec(acme("2.0")), spec(acme("3.0", vendor=OTHER))]},
        [spec(kernel(1)), spec(acme())],
        allow_vendor_change=True,
    )
    kmp = the_kmp(flavor_systems(of, Request(policy=of.policy))["default"])
    assert (versions(kmp.candidates), kmp.refused) == (["2.0 r", "3.0 r"], ())


def test_builds_are_preferred_by_priority_vendor_and_version() -> None:
    build = build_of("acme", evr="2-1")
    package = replace(build.package, repository="r", priority=99)
    better = replace(build, package=replace(package, priority=50))
    here, newer = replace(build, package=package), build_of("acme", evr="10-1")
    newer = replace(newer, package=replace(newer.package, repository="r", priority=99))
    assert preference(better, "other") < preference(newer, "")
    assert preference(here, "") < preference(newer, "other")
    assert preference(newer, "") < preference(here, "")


def test_kmps_that_may_be_added(tmp_path: Path) -> None:
    """Not installed, of this flavor and architecture, of a vendor whose KMP is installed."""
    withdrawn = beta("1.5")
    offered = [
        beta("2.0"),
        beta("1.0"),
        withdrawn,
        beta("3.0", vendor=OTHER),
        beta("4.0", arch="i586"),
        beta("5.0", flavor="rt"),
        acme("2.0"),
        acme(),
        acme("6.0", name="nova", obsoletes="acme-kmp-default"),
        PackageSpec(name="driver", version="1", release="1", vendor="ACME Inc.", provides=("kmod(d.ko)",)),
    ]
    of = system(tmp_path, [kernel(1), kernel(1, flavor="rt"), acme()], offered, retracted=[withdrawn])
    assert of.widen()
    assert not of.widen()
    assert [f"{b.name} {v}" for b, v in zip(of.extras, versions(of.extras), strict=True)] == [
        "beta-kmp-default 2.0 r",
        "beta-kmp-default 1.0 r",
    ]


# -- what counts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kmp", "asked", "works", "counts"),
    [
        (acme(), {}, True, True),
        (acme(symbols=""), {}, True, True),
        (acme(symbols="a=7"), {}, False, False),
        (acme(symbols="a=7"), {"already_broken": "block"}, False, True),
        (acme(), {"waivers": (Waiver(kmp="acme*", reason="x", expires="2099-01-01"),)}, True, False),
        (acme(), {"waivers": (Waiver(kmp="acme*", reason="x", expires="2001-01-01"),)}, True, True),
        (acme(), {"kmp_rules": (KmpRule(match="acme*", on_blocked="ignore"),)}, True, False),
        (acme(), {"kmp_rules": (KmpRule(match="acme*", on_blocked="abort"),)}, True, True),
        (acme(), {"kmp_rules": (KmpRule(match="acme*", scope="in-use"),)}, True, True),
    ],
)
def test_which_kmps_count(
    tmp_path: Path, kmp: KmpNoun, asked: dict[str, Any], works: bool, counts: bool
) -> None:
    found = the_kmp(system(tmp_path, [kernel(1), kmp], **asked))
    assert (found.works_somewhere, found.counts) == (works, counts)
    waived = bool(asked.get("waivers")) and not counts
    assert (found.waived is not None) == waived


@pytest.mark.parametrize(
    ("modules", "scope", "counts"),
    [
        ("virtio_blk.ko", "in-use", True),
        ("unused.ko", "in-use", False),
        ("unused.ko virtio_blk.ko", "in-use", True),
        ("", "in-use", True),
        ("unused.ko", "all", True),
    ],
)
def test_what_this_machine_does_not_use(tmp_path: Path, modules: str, scope: str, counts: bool) -> None:
    rules = (KmpRule(match="*", scope=scope),)
    machine = live("virtio", tmp_path / "machine")
    of = system(tmp_path / "system", [kernel(1), acme(modules=modules)], kmp_rules=rules, machine=machine)
    assert the_kmp(of).counts == counts


def test_one_build_that_nobody_can_verify_may_work(tmp_path: Path) -> None:
    of = system(tmp_path, [kernel(1), acme("0.9", "", krel="6.4.0-9"), acme(symbols="a=7")])
    assert the_kmp(of).works_somewhere


def test_the_kernel_on_which_it_is_used(tmp_path: Path) -> None:
    installed = [kernel(1), kernel(2), kernel(3, "a=3"), acme(), acme("0.9", "z=1"), beta(symbols="a=7")]
    of = system(tmp_path, installed)
    assert [
        the_kmp(of, name).used_on.nevra.evr.release for name in ("acme-kmp-default", "beta-kmp-default")
    ] == [
        "20.1",
        "30.1",
    ]


def test_what_is_of_no_use_to_what_is_installed_counts_only_once_it_has_to(tmp_path: Path) -> None:
    of = system(tmp_path, [kernel(1), acme()], [kernel(2), beta()])
    (unit,) = of.kernels.candidates()
    assert (len(of.judge(unit).viable), of.extras, len(of.elsewhere)) == (1, (), 1)
    assert of.widen()
    assert (len(of.judge(unit).viable), len(of.extras), len(of.elsewhere)) == (2, 1, 0)
    assert not of.widen()


def test_how_builds_fit_is_asked_with_and_without_those_on_offer(tmp_path: Path) -> None:
    offered = [kernel(2, "a=2"), acme("2.0", "a=2 s=1"), beta("1.0", "a=2", exports="s=1")]
    of = system(tmp_path, [kernel(1), acme()], offered)
    (unit,) = of.kernels.candidates()
    of.widen()
    (rebuild,) = the_kmp(of).candidates
    assert of.judge(unit).fits(rebuild)
    assert not of.judge(unit, installed_only=True).fits(rebuild)
    assert of.judge(unit) is of.judge(unit)
