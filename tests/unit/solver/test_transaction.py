"""What zypp's policies let into a transaction, beside what is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kmpsolve.model.package import Package
from kmpsolve.solver.transaction import Transacted, dist_upgrade, transact, update_everything
from kmpsolve.solver.universe import Universe
from tests.support.packages import PackageSpec
from tests.support.universes import sealed
from tests.support.worlds import Kernel, Kmp

OTHER = "Other GmbH"


def spec(name: str, version: str = "1", **more: Any) -> PackageSpec:
    return PackageSpec(name=name, version=version, release="1", **more)


def from_repository(of: Universe, name: str) -> list[Package]:
    return [package for package in of.called(name) if not package.installed]


def steps(done: Transacted) -> list[str]:
    return [f"{step.action} {step.nevra.rpartition('-')[0]}" for step in done.steps]


def test_a_lock_keeps_user_space(tmp_path: Path) -> None:
    driver = spec("acme-kmp-default", obsoletes=("tool",))
    of = sealed(tmp_path / "free", {"r": [driver]}, [spec("tool")])
    assert steps(transact(of, from_repository(of, driver.name))) == [
        "install acme-kmp-default-1",
        "erase tool-1",
    ]
    of = sealed(tmp_path / "locked", {"r": [driver]}, [spec("tool")], locks=["tool"])
    assert transact(of, from_repository(of, driver.name)).reasons


def test_what_is_barred_comes_in_for_nobody(tmp_path: Path) -> None:
    of = sealed(tmp_path, {"r": [spec("a", requires=("b",)), spec("b")]})
    (wanted,), (other,) = from_repository(of, "a"), from_repository(of, "b")
    assert steps(transact(of, [wanted])) == ["install a-1", "install b-1"]
    assert transact(of, [wanted], barred=[other.handle]).reasons


def test_what_is_only_recommended_stays_away(tmp_path: Path) -> None:
    of = sealed(tmp_path, {"r": [spec("a", recommends=("b",)), spec("b")]})
    assert steps(transact(of, from_repository(of, "a"))) == ["install a-1"]


@pytest.mark.parametrize("allowed", [False, True])
def test_a_change_of_vendor(tmp_path: Path, allowed: bool) -> None:
    offered = [spec("a", requires=("b = 2-1",)), spec("b", "2", vendor=OTHER)]
    of = sealed(tmp_path, {"r": offered}, [spec("b")], allow_vendor_change=allowed)
    done = transact(of, from_repository(of, "a"))
    assert (steps(done), bool(done.reasons)) == (
        (["install a-1", "upgrade b-2"], False) if allowed else ([], True)
    )
    assert steps(update_everything(of)) == (["upgrade b-2"] if allowed else [])


@pytest.mark.parametrize("allowed", [False, True])
def test_a_change_of_vendor_by_a_dist_upgrade(tmp_path: Path, allowed: bool) -> None:
    of = sealed(tmp_path, {"r": [spec("b", "2", vendor=OTHER)]}, [spec("b")], dup_allow_vendor_change=allowed)
    assert steps(dist_upgrade(of)) == (["upgrade b-2"] if allowed else [])
    assert steps(update_everything(of)) == []


def test_a_dist_upgrade_goes_back_renames_and_changes_architectures(tmp_path: Path) -> None:
    offered = [spec("back"), spec("new", obsoletes=("old",)), spec("arch", arch="x86_64")]
    of = sealed(tmp_path, {"r": offered}, [spec("back", "2"), spec("old"), spec("arch", arch="i586")])
    assert steps(dist_upgrade(of)) == ["upgrade arch-1", "downgrade back-1", "install new-1", "erase old-1"]


def test_what_was_asked_before_does_not_decide(tmp_path: Path) -> None:
    """zypper's solver sees what it must not take, and may choose otherwise than one that does not see it."""
    old = Kernel(release="10.1", ksyms="a=1", modules="loop.ko")
    acme = Kmp(name="acme", krel="6.4.0-10", symbols="a=1", modules="acme.ko")
    beta = replace(acme, name="beta", modules="beta.ko")
    both = "beta-kmp-default; acme-kmp-default"
    heir = replace(acme, name="beta-ng", version="4.0", modules="acme.ko beta.ko", obsoletes=both)
    retracted = replace(
        acme, name="acme-ng", provides="acme-kmp-default = 9", obsoletes="acme-kmp-default"
    ).spec()
    retracted = replace(retracted, provides=(*retracted.provides, "retracted-patch-package()"))
    of = sealed(tmp_path, {"r": [retracted, heir.spec()]}, [old.spec(), acme.spec(), beta.spec()])
    assert steps(update_everything(of)) == []
    of.show_true_system()
    assert steps(update_everything(of)) == []


@pytest.mark.parametrize("kept_out", ["retracted", "ptf"])
@pytest.mark.parametrize("ask", [dist_upgrade, update_everything])
def test_what_zypp_never_takes_by_itself(tmp_path: Path, ask: Any, kept_out: str) -> None:
    newest = spec("tool", "3", provides=("ptf()",) if kept_out == "ptf" else ())
    of = sealed(
        tmp_path,
        {"r": [spec("tool", "2"), newest]},
        [spec("tool")],
        retracted=[newest] if kept_out == "retracted" else [],
    )
    assert steps(ask(of)) == ["upgrade tool-2"]


def test_a_locked_package_does_not_move(tmp_path: Path) -> None:
    kernel = spec("kernel-default", provides=("kernel-uname-r = 1-1-default",))
    newer = spec("kernel-default", "2", provides=("kernel-uname-r = 2-1-default",))
    offered = [newer, spec("tool", "2")]
    for ask in (dist_upgrade, update_everything):
        of = sealed(
            tmp_path / ask.__name__, {"r": offered}, [kernel, spec("tool")], locks=["tool", kernel.name]
        )
        assert steps(ask(of)) == []


def test_the_same_version_of_another_architecture_is_no_downgrade(tmp_path: Path) -> None:
    of = sealed(tmp_path, {"r": [spec("tool")]}, [spec("tool", arch="noarch")])
    assert steps(transact(of, from_repository(of, "tool"))) == ["upgrade tool-1"]
