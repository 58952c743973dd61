"""A flavor that ends: which kernel takes over, and what serves the KMPs there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kmpsolve.model.package import Package
from kmpsolve.planner import flavor_systems
from kmpsolve.planner.system import Kmp
from kmpsolve.planner.takeover import takeover
from kmpsolve.request import Request
from kmpsolve.solver.universe import Universe
from tests.support.packages import PackageSpec
from tests.support.universes import sealed


def kernel(flavor: str, release: str = "10", modules: str = "", **more: Any) -> PackageSpec:
    provides = (
        f"kernel-uname-r = 6.4.0-{release}-{flavor}",
        f"ksym({flavor}:a) = 1",
        *(f"kmod({module})" for module in modules.split()),
    )
    return PackageSpec(name=f"kernel-{flavor}", version="6.4.0", release=release, provides=provides, **more)


def kmp(
    name: str, version: str = "1", modules: str = "acme.ko", crc: str = "1", flavor: str = "longterm"
) -> PackageSpec:
    return PackageSpec(
        name=name,
        version=version,
        release="1",
        provides=tuple(f"kmod({module})" for module in modules.split()),
        requires=(f"ksym({flavor}:a) = {crc}",) if crc else (),
    )


OLD = kernel("default")
NEW = kernel("longterm")
DRIVER = kmp("acme-kmp-default", flavor="default")


def arrives(package: Package) -> bool:
    return not package.installed


def the_kmp(of: Universe) -> Kmp:
    (found,) = flavor_systems(of, Request())["default"].kmps
    return found


@pytest.mark.parametrize(
    ("driver", "offered", "taken"),
    [
        (DRIVER, [kmp("acme-kmp-longterm", "2")], "acme-kmp-longterm-2"),
        (DRIVER, [kmp("acme-kmp-longterm", "2"), kmp("acme-kmp-longterm", "10")], "acme-kmp-longterm-10"),
        (DRIVER, [kmp("acme-kmp-longterm", "2", crc="2")], None),
        (DRIVER, [kmp("acme-kmp-longterm", "2", modules="other.ko")], None),
        (DRIVER, [kmp("acme-kmp-longterm", "2", crc="")], None),  # nobody can tell
        (DRIVER, [kmp("renamed-kmp-longterm", "2", modules="acme.ko other.ko")], "renamed-kmp-longterm-2"),
        (DRIVER, [kmp("acme-kmp-default", "2", flavor="default")], None),
        (
            kmp(DRIVER.name, modules="", flavor="default"),
            [kmp("acme-kmp-longterm", "2")],
            "acme-kmp-longterm-2",
        ),
        (kmp(DRIVER.name, modules="", flavor="default"), [kmp("renamed-kmp-longterm", "2")], None),
    ],
)
def test_what_serves_a_kmp_there(
    tmp_path: Path, driver: PackageSpec, offered: list[PackageSpec], taken: str | None
) -> None:
    of = sealed(tmp_path, {"r": [NEW, *offered]}, [OLD, driver])
    found = takeover(of, arrives)
    assert found is not None
    assert all(build.flavor == "longterm" for group in found.builds.values() for build in group)
    build = found.build_for(the_kmp(of))
    assert (build and str(build.nevra).rpartition("-")[0]) == taken


def test_a_driver_without_kmp_in_its_name_is_called_by_the_whole_of_it(tmp_path: Path) -> None:
    def driver(name: str, version: str, flavor: str) -> PackageSpec:
        return PackageSpec(
            name=name,
            version=version,
            release="1",
            provides=(f"ksym({flavor}:own) = 1",),
            requires=(f"ksym({flavor}:a) = 1",),
        )

    offered = [NEW, driver("acme", "2", "longterm"), driver("other", "3", "longterm")]
    of = sealed(tmp_path, {"r": offered}, [OLD, driver("acme", "1", "default")])
    found = takeover(of, arrives)
    assert found is not None
    build = found.build_for(the_kmp(of))
    assert build is not None
    assert (build.name, str(build.nevra.evr)) == ("acme", "2-1")


@pytest.mark.parametrize(
    ("before", "after", "driver", "ships"),
    [
        ("", "acme.ko", DRIVER, True),
        ("", "acme.ko other.ko", DRIVER, True),
        ("", "other.ko", DRIVER, False),
        ("acme.ko", "acme.ko", DRIVER, False),  # it overrides the kernel's own on purpose
        ("", "acme.ko", kmp(DRIVER.name, modules="", flavor="default"), False),
    ],
)
def test_a_kernel_that_ships_the_modules(
    tmp_path: Path, before: str, after: str, driver: PackageSpec, ships: bool
) -> None:
    of = sealed(
        tmp_path, {"r": [kernel("longterm", modules=after)]}, [kernel("default", modules=before), driver]
    )
    found = takeover(of, arrives)
    assert found is not None
    assert found.ships(the_kmp(of)) == ships


@pytest.mark.parametrize(
    ("offered", "gone", "taken"),
    [
        ([NEW], OLD, "kernel-longterm-6.4.0-10"),
        ([NEW, kernel("longterm", "20")], OLD, "kernel-longterm-6.4.0-20"),
        ([kernel("longterm", "5")], None, "kernel-longterm-6.4.0-5"),  # what arrives, before what stays
        ([], None, "kernel-default-6.4.0-10"),
        ([], OLD, None),
    ],
)
def test_the_kernel_that_takes_over(
    tmp_path: Path, offered: list[PackageSpec], gone: PackageSpec | None, taken: str | None
) -> None:
    of = sealed(tmp_path, {"r": offered}, [OLD, DRIVER])
    found = takeover(of, lambda package: gone is None or str(package) != gone.nevra)
    assert (found and str(found.unit.nevra).rpartition(".")[0]) == taken


def test_the_kernel_that_obsoletes_the_one_that_goes_is_the_one_that_boots(tmp_path: Path) -> None:
    """Another flavor that stays gets a newer kernel in the same upgrade: nothing boots it in the old one's place."""
    heir, beside = kernel("azure", obsoletes=("kernel-default",)), kernel("rt", "20")
    of = sealed(tmp_path, {"r": [heir, beside]}, [OLD, kernel("rt"), DRIVER, kmp("acme-kmp-rt", flavor="rt")])
    ending = flavor_systems(of, Request())["default"].units
    found = takeover(of, lambda package: str(package) != OLD.nevra, ending)
    assert found is not None
    assert str(found.unit.nevra) == heir.nevra
    assert found.build_for(the_kmp(of)) is None


def test_a_build_behind_one_in_the_kernels_own_folder_serves_nobody(tmp_path: Path) -> None:
    fits = kmp("acme-kmp-longterm", "1")
    native = kmp("acme-kmp-longterm", "2_k6.4.0_10", crc="2")
    of = sealed(tmp_path, {"r": [NEW, fits, native]}, [OLD, DRIVER])
    found = takeover(of, arrives)
    assert found is not None
    assert found.build_for(the_kmp(of)) is None


def test_a_driver_without_symbol_versions_is_not_said_to_be_lost(tmp_path: Path) -> None:
    unversioned = kmp("acme-kmp-longterm", "2", crc="")
    of = sealed(tmp_path, {"r": [NEW, unversioned]}, [OLD, DRIVER])
    found = takeover(of, arrives)
    assert found is not None
    build = found.unverified_for(the_kmp(of))
    assert build is not None
    assert str(build) == unversioned.nevra


def test_what_is_not_there_serves_nobody(tmp_path: Path) -> None:
    of = sealed(tmp_path, {"r": [NEW, kmp("acme-kmp-longterm", "2")]}, [OLD, DRIVER])
    found = takeover(of, lambda package: package.nevra.name.startswith("kernel-"))
    assert found is not None
    assert found.builds == {}


def test_an_extra_of_another_flavor_is_not_part_of_it(tmp_path: Path) -> None:
    extra = PackageSpec(
        name="kernel-rt-extra",
        version="6.4.0",
        release="10",
        provides=("ksym(rt:x) = 1", "kmod(acme.ko)"),
    )
    found = takeover(sealed(tmp_path, {"r": [NEW]}, [kernel("rt"), extra]), lambda _: True)
    assert found is not None
    assert [str(package) for package in found.unit.packages] == [NEW.nevra]
