"""Which builds fit a kernel, and what the others miss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmpsolve.compat.judgement import best_tried, count_mismatches, judge, mismatches, open_needs
from kmpsolve.model.package import KernelUnit, KmpBuild
from kmpsolve.model.plan import Mismatch
from kmpsolve.model.symbols import Exports, SymbolTable
from tests.unit.compat.building import TABLE, Classes, kernel, kmp

Providers = Callable[[str], Sequence[tuple[KmpBuild, bool]]]


def fitting(unit: KernelUnit, *builds: KmpBuild) -> list[str]:
    """Names of the builds that fit, without ``-kmp-default``."""
    fit = judge(builds, unit, TABLE)
    return [build.name.removesuffix("-kmp-default") for build in builds if fit.fits(build)]


@pytest.mark.parametrize(
    ("needs", "gives", "fits"),
    [
        ("x=1", "x=1 y=2", True),
        ("x=1 y=2", "x=1", False),
        ("x=1", "x=2", False),
        ("x=1", "", False),
        ("x=01", "x=1", True),
        ("x=1e010abc", "x=1e10abc", False),
        ("x=1", "x=1 x=2", True),
        ("{fs}=00ff", "{fs}=ff", True),
        ("{fs}=ff", "fs=ff", False),
        ("exact=6.4.0-20-default", "", True),
        ("exact=6.4.0-10-default", "", False),
        ("x=1 exact=6.4.0-10-default", "x=1", False),
        ("", "x=1", False),
    ],
)
def test_one_build(needs: str, gives: str, fits: bool) -> None:
    assert fitting(kernel(gives), kmp("a", needs)) == ["a"] * fits


def test_a_build_meets_its_own_needs() -> None:
    assert fitting(kernel("x=1"), kmp("a", "x=1 own=2", "own=2")) == ["a"]
    assert fitting(kernel("x=1"), kmp("a", "x=1 own=2", "own=3")) == []


def test_a_build_without_symbol_versions_meets_nobodys_needs() -> None:
    assert fitting(kernel("x=1"), kmp("bare", "", "s=1"), kmp("a", "x=1 s=1")) == []


def test_what_falls_takes_down_what_needed_it() -> None:
    lowest = kmp("lowest", "x=2", "a=1")
    middle, top = kmp("middle", "a=1", "b=1"), kmp("top", "b=1")
    beside = kmp("beside", "x=1")
    assert fitting(kernel("x=1"), top, middle, lowest, beside) == ["beside"]
    assert fitting(kernel("x=2"), top, middle, lowest, beside) == ["top", "middle", "lowest"]


def test_one_provider_that_stands_is_enough() -> None:
    user = kmp("user", "s=1")
    bad, good = kmp("bad", "x=2", "s=1"), kmp("good", "x=1", "s=1")
    assert fitting(kernel("x=1"), bad, user, good) == ["user", "good"]
    assert fitting(kernel("x=1"), bad, kmp("bad2", "x=3", "s=1"), user) == []


def test_providers_that_fall_late() -> None:
    """Each provider stands on something that falls; with the last one its user falls."""
    builds = [
        kmp("user", "s=1"),
        kmp("one", "p=1", "s=1"),
        kmp("two", "q=1", "s=1"),
        kmp("three", "q=1 p=1", "s=1"),
        kmp("p", "x=1 q=1", "p=1"),
        kmp("q", "exact=6.4.0-10-default", "q=1"),
    ]
    assert fitting(kernel("x=1"), *builds) == []


def test_no_kmp_makes_a_kernel_another_one() -> None:
    liar = kmp("liar", "x=1", "exact=6.4.0-10-default")
    assert fitting(kernel("x=1"), liar, kmp("a", "x=1 exact=6.4.0-10-default")) == ["liar"]


def test_a_cycle_stands_or_falls_together() -> None:
    one, other = kmp("one", "x=1 b=1", "a=1"), kmp("other", "a=1", "b=1")
    assert fitting(kernel("x=1"), one, other) == ["one", "other"]
    assert fitting(kernel("x=2"), one, other) == []


def test_another_version_of_a_kmps_symbol_is_another_symbol() -> None:
    users = kmp("old", "s=1"), kmp("new", "s=2")
    assert fitting(kernel("x=1"), kmp("lib", "x=1", "s=2"), *users) == ["lib", "new"]
    assert fitting(kernel("x=1"), kmp("lib", "x=1", "s=1 s=2"), *users) == ["lib", "old", "new"]


@st.composite
def systems(draw: st.DrawFn) -> tuple[str, list[KmpBuild]]:
    def words(names: str, most: int) -> str:
        chosen = draw(st.lists(st.sampled_from(names), max_size=most, unique=True))
        return " ".join(f"{name}={draw(st.integers(1, 2))}" for name in chosen)

    count = draw(st.integers(1, 7))
    builds = [kmp(f"k{number}", words("xyabcd", 3), words("abcd", 2)) for number in range(count)]
    return words("xya", 3), builds


def naive(unit: KernelUnit, builds: list[KmpBuild]) -> list[KmpBuild]:
    """Take out what misses something until nobody does."""
    alive = [build for build in builds if build.versioned]
    while True:
        kept = [
            build
            for build in alive
            if all(
                unit.exports.meets(need) or any(other.exports.meets(need) for other in alive)
                for need in map(TABLE.need, build.needs)
                if need is not None
            )
        ]
        if kept == alive:
            return alive
        alive = kept


@settings(max_examples=400, deadline=None, derandomize=True)
@given(systems())
def test_the_greatest_set_that_stands(system: tuple[str, list[KmpBuild]]) -> None:
    gives, builds = system
    unit = kernel(gives)
    fit = judge(builds, unit, TABLE)
    assert [build for build in builds if fit.fits(build)] == naive(unit, builds)


def test_open_needs_are_sorted_and_leave_out_what_is_met() -> None:
    build = kmp("a", "b=1 a=1 x=1 own=1 exact=6.4.0-10-default", "own=1")
    assert [need.name for need in open_needs(build, kernel("x=1 a=2"), TABLE)] == [
        "6.4.0-10-default",
        "a",
        "b",
    ]
    fit = judge([build], kernel("x=1 a=2"), TABLE)
    assert fit.open[build.package.handle] == open_needs(build, kernel("x=1 a=2"), TABLE)
    assert list(fit.open) == [build.package.handle]
    assert build.package.handle in fit.open
    assert -1 not in fit.open


# -- mismatches ----------------------------------------------------------------------------------------------


def missed(unit: KernelUnit, build: KmpBuild, providers: Providers) -> tuple[list[Mismatch], bool, bool]:
    fit = judge([build], unit, TABLE)
    found, by_kernel, by_kmp = mismatches(build, fit, providers)
    assert count_mismatches(build, fit, providers) == (len(found), by_kernel, by_kmp)
    return list(found), by_kernel, by_kmp


def nobody(key: str) -> Sequence[tuple[KmpBuild, bool]]:
    return ()


def test_what_the_kernel_changed_and_what_it_dropped() -> None:
    found, by_kernel, by_kmp = missed(kernel("x=00ab x=cd"), kmp("a", "z=1 x=1 {fs}=f"), nobody)
    assert found == [
        Mismatch(symbol="fs", kind="unknown", wanted="f", found=None),
        Mismatch(symbol="x", kind="disagrees", wanted="1", found="ab"),
        Mismatch(symbol="z", kind="unknown", wanted="1", found=None),
    ]
    assert (by_kernel, by_kmp) == (True, False)


def test_another_exact_kernel_is_no_mismatch() -> None:
    assert missed(kernel("x=1"), kmp("a", "x=1 exact=6.4.0-10-default"), nobody) == ([], False, False)
    found, *_ = missed(kernel("x=1"), kmp("a", "x=2 exact=6.4.0-10-default y=1"), nobody)
    assert [mismatch.symbol for mismatch in found] == ["x", "y"]


@pytest.mark.parametrize(
    ("offers", "expected", "by_kmp"),
    [
        ([("s=1", True)], [], False),
        ([("s=2", True)], [("disagrees", "2")], True),
        ([("s=2", False)], [("disagrees", "2")], True),
        ([("s=1", False)], [("unknown", "1")], True),
        ([("s=2", True), ("s=1", True)], [], False),
        ([("s=1", False), ("s=2", True)], [("disagrees", "2")], True),
        ([("s=2", False), ("s=3", False)], [("disagrees", "2")], True),
        ([("s=2 s=3", True)], [("disagrees", "2")], True),
    ],
)
def test_symbols_of_other_kmps(
    offers: list[tuple[str, bool]], expected: list[tuple[str, str]], by_kmp: bool
) -> None:
    """A chosen build decides; what only a build has that is not chosen is there and yet not to be had."""

    def providers(key: str) -> Sequence[tuple[KmpBuild, bool]]:
        assert key == "ksym(default:s)"
        return [(kmp("lib", "x=1", gives), chosen) for gives, chosen in offers]

    found, by_kernel, by_kmps = missed(kernel("x=1"), kmp("a", "x=1 s=1"), providers)
    assert [(mismatch.kind, mismatch.found) for mismatch in found] == expected
    assert (by_kernel, by_kmps) == (False, by_kmp)


def test_what_the_kernel_exports_is_the_kernels_whoever_else_has_it() -> None:
    lib = kmp("lib", "x=1", "s=3")
    found, by_kernel, by_kmp = missed(kernel("x=1 s=2"), kmp("a", "s=1"), lambda _: [(lib, True)])
    assert [(mismatch.kind, mismatch.found) for mismatch in found] == [("disagrees", "2")]
    assert (by_kernel, by_kmp) == (True, False)


def test_symbols_that_are_packed_into_a_class() -> None:
    """A class is met by the kernels that provide it and by nobody else; its symbols are counted all the same."""
    table = SymbolTable(["ksym(default:w) = 1", "packed"].__getitem__)
    table.classes = Classes(1)
    none = Exports(tuple, table)
    build = replace(kmp("a"), needs=frozenset({0, 1}), exports=none)
    lib = replace(kmp("lib"), needs=frozenset({0}), exports=Exports(lambda: [1], table))
    unit = replace(kernel(""), exports=none)
    fit = judge([build, lib], unit, table)
    assert not fit.fits(build)
    assert count_mismatches(build, fit, nobody) == (3, True, False)
    assert [mismatch.symbol for mismatch in mismatches(build, fit, nobody)[0]] == ["w", "x", "y"]
    chosen = [(replace(kmp("w"), exports=Exports(lambda: [0], table)), True)]
    assert count_mismatches(build, fit, lambda _: chosen) == (2, True, False)
    table.classes = Classes(1, required="y")
    assert count_mismatches(build, fit, lambda _: chosen) == (1, True, False)
    assert judge([build], replace(unit, exports=Exports(lambda: [0, 1], table)), table).fits(build)


# -- the best one tried --------------------------------------------------------------------------------------


def test_the_best_one_tried() -> None:
    old, new = kmp("a", evr="1-1"), kmp("a", evr="2-1")
    offered, newer = kmp("a", evr="3-1", installed=False), kmp("a", evr="4-1", installed=False)
    assert best_tried([]) is None
    assert best_tried([(old, 3), (offered, 2), (new, 4)]) is offered
    assert best_tried([(newer, 2), (old, 2), (offered, 2)]) is old
    assert best_tried([(old, 2), (new, 2)]) is new
    assert best_tried([(new, 2), (old, 2)]) is new
    assert best_tried([(offered, 0), (newer, 0)]) is newer


def test_of_equals_the_first_is_the_best_one_tried() -> None:
    first, second = kmp("a", evr="1-1"), kmp("a", evr="1-1")
    assert best_tried([(first, 2), (second, 2)]) is first
