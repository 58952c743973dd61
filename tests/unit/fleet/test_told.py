"""Modules that no package owns, judged from what an inventory tells."""

from __future__ import annotations

from kmpsolve.machine.told import ToldDisk
from kmpsolve.metadata.content import ToldModule
from kmpsolve.model.plan import Mismatch


def module(name: str, needs: dict[str, str] | None, exports: dict[str, str] | None = None) -> ToldModule:
    uname_r = "6.4.0-1-default"
    path = f"/lib/modules/{uname_r}/updates/{name}.ko"
    return ToldModule(module=name, path=path, uname_r=uname_r, needs=needs, exports=exports or {})


def test_each_is_held_against_the_new_kernel_and_its_neighbours() -> None:
    disk = ToldDisk(
        [
            module("fits", {"kfree": "1"}),
            module("changed", {"kfree": "2", "gone": "5"}),
            module("lower", {"kfree": "1"}, {"lower_symbol": "7"}),
            module("upper", {"lower_symbol": "7"}),
            module("plain", {}),
            module("unreadable", None),
        ]
    )
    told = disk.unmanaged(
        "default", "6.4.0-2-default", "", lambda: ["ksym(default:kfree) = 01", "kmod(x.ko)"]
    )
    assert {one.module: one.state for one in told} == {
        "fits": "loads",
        "changed": "blocked",
        "lower": "loads",
        "upper": "loads",
        "plain": "unverified",
        "unreadable": "unverified",
    }
    (changed,) = [one for one in told if one.module == "changed"]
    assert changed.mismatches == (
        Mismatch(symbol="gone", kind="unknown", wanted="5", found=None),
        Mismatch(symbol="kfree", kind="disagrees", wanted="2", found="1"),
    )


def test_other_flavors_are_left_out() -> None:
    assert ToldDisk([module("fits", {"kfree": "1"})]).unmanaged("rt", "6.4.0-2-rt", "", list) == ()
