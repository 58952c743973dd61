"""What a boot projection asks of the whole system, beside the KMPs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import kmpsolve
from kmpsolve.planner.kernels import join_units
from kmpsolve.solver.projection import Projection
from tests.support import rpmmd
from tests.support.packages import PackageSpec
from tests.support.universes import sealed
from tests.support.worlds import Kernel, Kmp, Tool

OLD, NEW = Kernel(release="10.1", ksyms="a=1"), Kernel(release="20.1", ksyms="a=2")
ACME = Kmp(name="acme", krel="6.4.0-10", symbols="a=1", modules="acme.ko")
FIXED = Kmp(name="acme", krel="6.4.0-20", version="2.0", symbols="a=2", modules="acme.ko")


def test_what_the_target_requires_comes_along(tmp_path: Path) -> None:
    for requires, solved, companions in (("dracut", True, ["dracut-1.0-1.x86_64"]), ("nowhere", False, [])):
        target = replace(NEW.spec(), requires=(requires,))
        offered = [target, Tool(name="dracut").spec(), Tool(name="other").spec()]
        of = sealed(tmp_path / requires, {"r": offered}, [OLD.spec(), Tool(name="shell").spec()])
        (unit,) = join_units(of, [kernel for kernel in of.kernels if not kernel.package.installed])
        with Projection(of, unit, {}, (), {}) as seen:
            outcome = seen.solve((), frozenset())
        assert outcome.solved == solved
        assert [str(package) for package in outcome.companions] == companions


def made(folder: Path, installed: list[PackageSpec], offered: list[PackageSpec]) -> kmpsolve.Plan:
    system = rpmmd.write(folder / "system", [OLD.spec(), ACME.spec(), *installed])
    repository = rpmmd.write(folder / "r", [NEW.spec(), *offered])
    return kmpsolve.plan(installed=system, repositories={"r": repository})


def test_what_stands_side_by_side_does_so_for_a_kmp_as_well(tmp_path: Path) -> None:
    """A companion with ``multiversion(kernel)`` takes nobody's place; any other one does."""
    headers = [
        Tool(name="headers", version=version, provides="multiversion(kernel)").spec()
        for version in ("1", "2")
    ]
    user = Tool(name="user", requires="headers = 1").spec()
    fixed = replace(FIXED, requires="headers = 2").spec()
    plan = made(tmp_path / "1", [headers[0], user], [headers[1], fixed])
    assert plan.verdict == "safe"
    assert [step.nevra for step in plan.transaction if "headers" in step.nevra] == ["headers-2-1.x86_64"]
    single = [replace(one, provides=()) for one in headers]
    assert made(tmp_path / "2", [single[0], user], [single[1], fixed]).verdict == "blocked"


def test_what_was_unmet_before_is_no_package_in_a_proof(tmp_path: Path) -> None:
    tool = Tool(name="tool", requires="acme-kmp = 1.0; nowhere").spec()
    plan = made(tmp_path, [tool], [replace(FIXED, version="1.0", conflicts="nowhere").spec()])
    (kmp,) = plan.flavors[0].kmps
    assert [(cause.kind, cause.packages) for cause in kmp.causes] == [
        ("user-space", ("tool-1.0-1.x86_64",)),
        ("conflict", ("acme-kmp-default-1.0_k6.4.0_20-1.x86_64",)),
    ]
