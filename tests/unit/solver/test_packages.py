"""What zypp's rules say of each package: vendors, locks, retraction, PTFs, architectures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import solv

from kmpsolve.metadata.content import Content
from kmpsolve.metadata.locks import parse_locks
from kmpsolve.metadata.source import open_source
from kmpsolve.request import Policy
from kmpsolve.solver.universe import SYSTEM, Universe
from tests.support import rpmmd
from tests.support.packages import PackageSpec
from tests.support.universes import sealed

KERNEL = PackageSpec(
    name="kernel-default", version="1", release="1", provides=("kernel-uname-r = 1-default",)
)


def spec(name: str, arch: str = "x86_64", *provides: str) -> PackageSpec:
    return PackageSpec(name=name, version="1", release="1", arch=arch, provides=provides)


@pytest.mark.parametrize(
    ("package", "barred"),
    [
        (spec("a"), None),
        (spec("a", "noarch"), None),
        (spec("a", "i586"), None),
        (spec("a", "aarch64"), "architecture"),
        (spec("a", "x86_64", "retracted-patch-package()"), "retracted"),
        (spec("withdrawn"), "retracted"),
        (spec("a", "x86_64", "ptf()"), "ptf"),
        (spec("a", "x86_64", "ptf-package()"), "ptf"),
        (spec("held"), "lock"),
    ],
    ids=str,
)
def test_what_zypp_does_not_choose(tmp_path: Path, package: PackageSpec, barred: str | None) -> None:
    """An installed one is there, whatever it is; libsolv itself passes over other architectures."""
    of = sealed(tmp_path, {"r": [package]}, [KERNEL, package], retracted=[spec("withdrawn")], locks=("held",))
    for found in of.called(package.name):
        assert found.barred == (None if found.installed else barred)
        assert (found.handle in of.hidden) == (not found.installed and barred is not None)


@pytest.mark.parametrize(
    ("condition", "held"),
    [
        ("", {None, "r"}),
        ("repo: r", {"r"}),
        ("repo: elsewhere", set()),
        ("install_status: installed", {None}),
        ("install_status: not-installed", {"r"}),
    ],
)
def test_whom_a_lock_holds(tmp_path: Path, condition: str, held: set[str | None]) -> None:
    text = f"type: package\nmatch_type: exact\nsolvable_name: a\n{condition}\n"
    (lock,) = (block.lock for block in parse_locks(text).blocks if block.lock)
    of = Universe(Policy(locks=(lock,)))
    for alias in (SYSTEM, "r"):
        of.load(open_source(str(rpmmd.write(tmp_path / alias, [KERNEL, spec("a"), spec("b")])), alias=alias))
    of.seal()
    assert {package.repository for package in of.called("a") if of.locked(package)} == held
    assert not any(map(of.locked, of.called("b")))


def test_vendors_of_one_class_are_one_to_the_solver(tmp_path: Path) -> None:
    """Each package still tells its own; none at all is as good as an empty one."""
    vendors = ["ACME Inc.", "Other Corp", "ACME INC.", ""]
    specs = [replace(spec(f"p{number}"), vendor=vendor) for number, vendor in enumerate(vendors)]
    without = tmp_path / "none.solv"
    pool = solv.Pool()
    repo = pool.add_repo("without")
    bare = repo.add_solvable()
    bare.name, bare.evr, bare.arch = "p4", "1-1", "x86_64"
    bare.add_deparray(solv.SOLVABLE_PROVIDES, pool.Dep("p4").Rel(solv.REL_EQ, pool.Dep("1-1")))
    stream = solv.xfopen(str(without), "w")
    repo.write(stream)
    stream.close()
    of = Universe(Policy())
    of.load(open_source(str(rpmmd.write(tmp_path / "system", [KERNEL])), alias=SYSTEM))
    of.load(open_source(str(rpmmd.write(tmp_path / "r", specs)), alias="r"))
    of.load(Content(alias="s", source="s", solv=without, trusted=True))
    of.seal()
    packages = [of.called(f"p{number}")[0] for number in range(5)]
    assert [package.vendor for package in packages] == [*vendors, ""]
    assert [of.vendor_of(of.pool.id2solvable(package.handle)) for package in packages] == [*vendors, ""]
    spelled = [of.pool.id2solvable(package.handle).vendorid for package in packages]
    assert spelled[0] == spelled[2]
    assert len(set(spelled[:4])) == 3
    assert not of.same_class(vendors[0], vendors[1])
    assert of.same_class(vendors[0], vendors[2])
