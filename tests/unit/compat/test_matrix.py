"""The matrix: how many symbols of each build each kernel lacks, in its order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kmpsolve.compat.matrix import Cell, Matrix, Row, matrix, unique_builds
from kmpsolve.compat.remembered import recall, remember
from kmpsolve.model.package import KernelUnit, KmpBuild
from kmpsolve.model.symbols import Exports, SymbolTable
from tests.unit.compat.building import TABLE, Classes, kernel, kmp


def of_flavor(flavor: str, unit: KernelUnit) -> KernelUnit:
    return replace(unit, flavor=flavor)


def from_repository(alias: str, build: KmpBuild, *, priority: int = 99) -> KmpBuild:
    return replace(build, package=replace(build.package, repository=alias, priority=priority))


def test_what_each_kernel_lacks_is_counted_for_itself() -> None:
    kernels = [
        kernel(gives, evr=f"6.4.0-{n}.1") for n, gives in enumerate(["", "x=1", "x=1 y=1", "x=1 y=1 z=1"])
    ]
    build = kmp("a", "x=1 y=1 z=1")
    assert matrix([build], kernels, TABLE).cells == (
        (Cell(0, True), Cell(1, False), Cell(2, False), Cell(3, False)),
    )
    found = matrix([build], [kernel("x=1"), kernel("y=1 z=1"), kernel("x=1 z=1")], TABLE)
    assert [cell and cell.mismatches for cell in found.cells[0]] == [2, 1, 1]


def test_kernels_stand_by_flavor_the_newest_first() -> None:
    kernels = [
        of_flavor(flavor, kernel("x=1", evr=evr))
        for flavor, evr in [("rt", "6.4.0-30.1"), ("azure", "6.4.0-20.1"), ("rt", "6.4.0-40.1")]
    ]
    found = matrix([kmp("a", "x=1")], kernels, TABLE)
    assert [str(unit.nevra.evr) for unit in found.kernels] == ["6.4.0-20.1", "6.4.0-40.1", "6.4.0-30.1"]
    assert found.cells == ((None, None, None),)


def test_another_exact_kernel_is_not_counted_and_does_not_fit() -> None:
    build = kmp("a", "x=1 exact=6.4.0-10-default")
    right = kernel("x=1", uname_r="6.4.0-10-default", evr="6.4.0-10.1")
    found = matrix([build], [kernel("x=1"), right], TABLE)
    assert found.cells == ((Cell(0, False), Cell(0, True)),)


def test_symbols_of_other_kmps_count_where_these_fit() -> None:
    """A symbol of the build itself counts everywhere, and one that the kernel has in another spelling."""
    lib, user = kmp("lib", "x=1", "s=1"), kmp("user", "y=0ab s=1 own=2 mine=3", "own=2 mine=3")
    found = matrix([lib, user], [kernel("x=1 y=ab"), kernel("x=2 y=ab")], TABLE)
    assert [build.name for build in found.builds] == ["lib-kmp-default", "user-kmp-default"]
    assert found.cells == ((Cell(0, True), Cell(1, False)), (Cell(0, True), Cell(1, False)))


def test_symbols_that_are_packed_into_a_class() -> None:
    table = SymbolTable(["ksym(default:w) = 1", "packed"].__getitem__)
    table.classes = Classes(1)
    build = replace(kmp("a"), needs=frozenset({0, 1}), exports=Exports(tuple, table))

    def unit(*capabilities: int) -> KernelUnit:
        return replace(kernel(""), exports=Exports(lambda: capabilities, table))

    assert matrix([build], [unit(), unit(0), unit(1), unit(0, 1)], table).cells == (
        (Cell(3, False), Cell(2, False), Cell(1, False), Cell(0, True)),
    )


def test_a_kernel_of_which_only_a_part_is_told() -> None:
    """What the installed KMPs need of it is known; that another build misses something says nothing then."""
    there, fitting = kmp("a", "x=1 y=1"), from_repository("r", kmp("b", "x=1", installed=False))
    lacking = from_repository("r", kmp("c", "x=1 z=1", installed=False))
    known = kernel("x=1")
    found = matrix([there, fitting, lacking], [known], TABLE, told_in_part={known.main.handle})
    assert found.cells == ((Cell(1, False),), (Cell(0, True),), (None,))


def test_one_build_for_each_nevra() -> None:
    """An installed one, else that of the best priority, else of the first alias; the newest first."""
    installed, new = kmp("a", evr="1-1"), kmp("a", evr="2-1", installed=False)
    offered = kmp("a", evr="1-1", installed=False)
    other = kmp("b", evr="3-1", installed=False)
    builds = [
        from_repository("r2", new),
        from_repository("r0", new, priority=100),
        from_repository("r1", new),
        from_repository("r1", offered, priority=1),
        installed,
        other,
    ]
    for order in (builds, builds[::-1]):
        found = unique_builds(order)
        assert [str(build.nevra.evr) for build in found] == ["2-1", "1-1", "3-1"]
        assert [build.package.repository for build in found] == ["r1", None, "r1"]


def test_only_some_rows() -> None:
    one, two = kmp("a", "x=1"), kmp("b", "x=2")
    found = matrix([one, two], [kernel("x=1")], TABLE).only(lambda row: row.name == two.name)
    assert found == Matrix(
        kernels=found.kernels, builds=(Row(two.nevra, "default", None),), cells=((Cell(1, False),),)
    )


def test_a_matrix_is_kept_for_its_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KMPSOLVE_CACHE", str(tmp_path))
    one, two = kernel("x=1", evr="6.4.0-20.1"), kernel("x=2", evr="6.4.0-30.1")
    elsewhere = replace(two, packages=(replace(two.main, repository="r"),))
    exact = kmp("a", "x=1 exact=6.4.0-10-default", evr="2:1-1")
    offered = from_repository("r", kmp("b", "x=2", installed=False))
    found = matrix([exact, offered, kmp("plain")], [one, two], TABLE)
    assert recall("these", [one, two]) is None
    assert remember("these", [one, two], found)
    assert recall("these", [one, two]) == found
    for sources, units in (("others", [one, two]), ("these", [one]), ("these", [one, elsewhere])):
        assert recall(sources, units) is None
