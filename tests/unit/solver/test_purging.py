"""What a purge takes along with a kernel, and what keeps it from taking the kernel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kmpsolve.metadata.source import open_source
from kmpsolve.request import Policy
from kmpsolve.solver.purging import purged_after
from kmpsolve.solver.universe import SYSTEM, Universe
from tests.support import rpmmd
from tests.support.packages import PackageSpec
from tests.support.universes import sealed
from tests.support.worlds import Kernel, KernelExtra, Kmp, Noun, Tool

RUNNING = "6.4.0-20-default"
OLD = Kernel(release="10.1", ksyms="a=1 b=1", modules="e.ko")
NEW = Kernel(release="20.1", ksyms="a=1 b=2", modules="e.ko")
DEVEL = [
    PackageSpec(
        name="kernel-default-devel", version="6.4.0", release=release, provides=("multiversion(kernel)",)
    )
    for release in ("10.1", "20.1")
]


def acme(symbols: str = "a=1 b=1", **more: str) -> Kmp:
    return Kmp(**({"name": "acme", "krel": "6.4.0-10", "symbols": symbols, "modules": "acme.ko"} | more))  # type: ignore[arg-type]


def driver(*provides: str, vendor: str = "ACME Inc.") -> PackageSpec:
    """A KMP that nobody knows by its name."""
    return PackageSpec(
        name="driver",
        version="1",
        release="1",
        vendor=vendor,
        provides=provides,
        requires=("ksym(default:a) = 1", "ksym(default:b) = 1"),
    )


def purged(of: Universe, arrived: tuple[str, ...] = ()) -> list[str]:
    new = [package for name in arrived for package in of.called(name) if not package.installed]
    found = purged_after(of, new, (), RUNNING)
    return sorted(of.name_of(handle).rpartition("-")[0] for handle in found)


def after(
    folder: Path,
    *installed: Noun | PackageSpec,
    locks: tuple[str, ...] = (),
    kernels: tuple[Kernel, Kernel] = (OLD, NEW),
) -> list[str]:
    """Names and versions of what a purge takes that keeps the latest kernel, which is the running one."""
    specs = [one if isinstance(one, PackageSpec) else one.spec() for one in (*kernels, *installed)]
    return purged(sealed(folder, {}, specs, keep="latest,running", locks=locks))


KERNEL, KMP = "kernel-default-6.4.0", "acme-kmp-default-1.0_k6.4.0_10"


@pytest.mark.parametrize(
    ("build", "goes"),
    [
        (acme("b=1"), True),
        (acme("a=1 b=1"), True),
        (acme("a=1"), False),
        (acme("a=1 nobody=9"), False),
        (acme("a=1", requires="nowhere = 1"), False),
        (acme("b=1 own=5", exports="own=5"), True),
        (acme("", requires="kernel-default = 6.4.0-10.1"), True),
    ],
)
def test_a_kmp_goes_with_the_only_kernel_that_meets_what_it_requires(
    tmp_path: Path, build: Kmp, goes: bool
) -> None:
    assert after(tmp_path / "1", build) == [KMP] * goes + [KERNEL]
    assert after(tmp_path / "2", build, kernels=(NEW, OLD)) == [KMP] * goes + [KERNEL]


def test_a_kmp_goes_with_the_one_that_it_needs(tmp_path: Path) -> None:
    base = acme("b=1", exports="s=5")
    user = acme("a=1 s=5", name="user", modules="user.ko")
    other = acme("a=1", name="other", modules="other.ko", exports="s=5")
    assert after(tmp_path / "1", base, user) == [KMP, KERNEL, KMP.replace("acme", "user")]
    assert after(tmp_path / "2", base, user, other) == [KMP, KERNEL]


@pytest.mark.parametrize("gives", ["kmod(driver.ko)", "ksym(default:d) = 1"])
def test_modules_and_symbols_make_a_package_one_that_may_go(tmp_path: Path, gives: str) -> None:
    assert after(tmp_path, driver(gives)) == ["driver-1", KERNEL]


def test_files_of_modules_do_not(tmp_path: Path) -> None:
    """zypper looks at capabilities only, so that it keeps the kernel of such a driver."""
    specs = [OLD.spec(), NEW.spec(), driver()]
    told = {driver().nevra: ("/lib/modules/6.4.0-10-default/updates/driver.ko",)}
    of = Universe(Policy(keep="latest,running"))
    system = open_source(str(rpmmd.write(tmp_path, specs)), alias=SYSTEM)
    of.load(replace(system, module_files=told))
    of.seal()
    assert [build.name for build in of.installed_kmps] == ["driver"]
    assert purged(of) == []


def test_what_belongs_to_a_kernel_goes_with_it(tmp_path: Path) -> None:
    extra = KernelExtra(release="10.1", modules="x.ko")
    assert after(tmp_path, extra, *DEVEL) == [
        KERNEL,
        "kernel-default-devel-6.4.0",
        "kernel-default-extra-6.4.0",
    ]


def test_user_space_that_would_have_to_go_keeps_the_kernel(tmp_path: Path) -> None:
    tool = Tool(name="tool", requires="acme-kmp = 1.0")
    assert after(tmp_path / "1", acme(), tool) == []
    assert after(tmp_path / "2", acme(), tool, Tool(name="more", provides="acme-kmp = 1.0")) == [KMP, KERNEL]
    assert after(tmp_path / "3", acme(), Tool(name="tool", requires="more"), Tool(name="more")) == [
        KMP,
        KERNEL,
    ]


def test_a_lock_keeps_the_kernel_and_what_would_go_with_it(tmp_path: Path) -> None:
    assert after(tmp_path / "1", acme(), locks=("acme-kmp-default",)) == []
    assert after(tmp_path / "2", acme(), locks=("kernel-default",)) == []
    assert after(tmp_path / "3", acme(), locks=("somebody",)) == [KMP, KERNEL]


def test_no_lock_holds_what_the_transaction_brings(tmp_path: Path) -> None:
    """It had to be lifted, or the package could not have come."""
    of = sealed(
        tmp_path,
        {"r": [acme().spec()]},
        [OLD.spec(), NEW.spec()],
        keep="latest,running",
        locks=("acme-kmp-default",),
    )
    assert purged(of, ("acme-kmp-default",)) == [KMP, KERNEL]


def test_a_lock_that_was_lifted_for_it_holds_nothing_else(tmp_path: Path) -> None:
    for lock, goes in (("kernel-default", [KERNEL]), ("kernel-default == 6.4.0-10.1", [])):
        of = sealed(
            tmp_path / str(len(lock)),
            {"r": [NEW.spec()]},
            [OLD.spec()],
            keep="latest,running",
            locks=(lock,),
        )
        new = [kernel.package for kernel in of.kernels if not kernel.package.installed]
        gone = purged_after(of, new, (), RUNNING)
        assert [of.name_of(handle).rpartition("-")[0] for handle in gone] == goes
