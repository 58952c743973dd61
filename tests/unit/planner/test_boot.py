"""What serves a KMP on a kernel, where a plan's own decisions do not hide it: a blocked plan's target."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kmpsolve.model.package import KernelUnit, KmpBuild
from kmpsolve.model.plan import BuildInUse
from kmpsolve.planner.boot import boot_matrix
from kmpsolve.planner.system import Kmp
from tests.unit.compat.building import TABLE, kernel, kmp

MODULES = {"acme": "acme.ko"}
NEWEST = BuildInUse(build="acme-kmp-default-2-1.x86_64", via="weak-updates")
OLD, NEW = "6.4.0-10-default", "6.4.0-20-default"


def on(unit: KernelUnit, *builds: KmpBuild, used_on: KernelUnit) -> BuildInUse:
    acme = Kmp(
        name="acme-kmp-default",
        installed=builds,
        candidates=(),
        refused=(),
        twins=(),
        modules=MODULES,
        used_on=used_on,
        works_somewhere=True,
        counts=True,
        waived=None,
    )
    rows = boot_matrix([acme], [unit], {acme.name: builds}, (), {unit.uname_r: "new"}, TABLE)
    return rows[0].kmps[acme.name]


@pytest.mark.parametrize(
    ("obsoletes", "ships", "shipped", "expected"),
    [
        ((), {}, {}, NEWEST),
        (("acme-kmp-default < 2",), {}, {}, NEWEST),
        (("acme-kmp-default",), {}, {}, BuildInUse(build=None, via="none")),
        (("acme-kmp-default",), MODULES, {}, BuildInUse(build=None, via="builtin")),
        # What the kernel takes on purpose is no silent fall-back.
        (("acme-kmp-default",), MODULES, MODULES, BuildInUse(build=None, via="builtin")),
    ],
)
def test_a_build_that_the_kernel_obsoletes_serves_nobody(
    obsoletes: tuple[str, ...], ships: dict[str, str], shipped: dict[str, str], expected: BuildInUse
) -> None:
    builds = kmp("acme", "x=1", evr="2-1"), kmp("acme", "x=1", evr="1-1")
    unit = replace(kernel("x=1", uname_r=NEW), obsoletes=obsoletes, modules=ships)
    old = replace(kernel("x=1", uname_r=OLD), modules=shipped)
    assert on(unit, *builds, used_on=old) == expected


def test_the_kernel_s_own_module_in_place_of_a_build_that_does_not_fit() -> None:
    build, other = kmp("acme", "x=2", evr="2-1"), kmp("acme", "x=2", evr="1-1")
    old = replace(kernel("x=2", uname_r=OLD), modules=MODULES)
    for obsoletes, via in (((), "none"), (("acme-kmp-default < 2",), "builtin")):
        unit = replace(kernel("x=1", uname_r=NEW), modules=MODULES, obsoletes=obsoletes)
        assert on(unit, build, other, used_on=old) == BuildInUse(build=None, via=via)  # type: ignore[arg-type]
    assert on(unit, build, used_on=replace(old, modules={})) == BuildInUse(build=None, via="builtin")
