"""Which of several builds of one KMP a kernel loads, as depmod and weak-modules have it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kmpsolve.model.package import KmpBuild
from kmpsolve.planner.loading import loaded, loaded_before, loaded_parts, unshadowed
from tests.unit.compat.building import TABLE, kernel, kmp

UNAME = "6.4.0-20-default"
UNIT = kernel("x=1", uname_r=UNAME)


def build(
    version: str, needs: str = "x=1", modules: str = "a", *, own: bool = False, gives: str = ""
) -> KmpBuild:
    """A build of acme; its `own` files stand below the folder of the kernel."""
    made = kmp("acme", needs, gives, evr=f"{version}-1")
    folders = frozenset([UNAME if own else "6.4.0-10-default"])
    return replace(made, modules={m: f"{m}.ko" for m in modules.split()}, module_folders=folders)


@pytest.mark.parametrize(
    ("of_native", "of_other", "hidden"),
    [("a", "a", True), ("a b", "b c", True), ("a", "b", False), ("", "a", True), ("a", "", True)],
)
def test_a_native_build_hides_what_has_a_module_of_its_names(
    of_native: str, of_other: str, hidden: bool
) -> None:
    native, other = build("1", "x=2", of_native, own=True), build("2", "x=1", of_other)
    assert unshadowed([other, native], UNIT) == ([native] if hidden else [other, native])
    assert loaded_before(other, [native, other], [], UNIT, TABLE) == ([native] if hidden else [])
    assert loaded_before(native, [native, other], [], UNIT, TABLE) == []
    assert loaded({"acme": [other, native]}, [], UNIT, TABLE) == ({} if hidden else {"acme": other})


@pytest.mark.parametrize(
    ("needs", "modules", "first"), [("x=1", "a", True), ("x=2", "a", False), ("x=1", "b", True)]
)
def test_of_those_that_work_the_newest_is_linked(needs: str, modules: str, first: bool) -> None:
    newer, older = build("2", needs, modules), build("1")
    assert loaded_before(older, [newer, older], [], UNIT, TABLE) == ([newer] if first else [])
    assert loaded_before(newer, [newer, older], [], UNIT, TABLE) == []
    works = needs == "x=1"
    assert loaded({"acme": [older, newer]}, [], UNIT, TABLE) == {"acme": newer if works else older}


def test_a_newer_build_works_with_what_is_chosen_of_others_or_not_at_all() -> None:
    newer, older = build("2", "x=1 s=1"), build("1")
    lender, other = kmp("lend", "x=1", "s=1"), kmp("lend", "x=1", "s=2")
    assert loaded_before(older, [newer, older], [lender], UNIT, TABLE) == [newer]
    assert loaded_before(older, [newer, older], [other], UNIT, TABLE) == []


def test_a_newer_build_may_be_linked_before_the_one_that_it_needs_in_the_end() -> None:
    """What lends it the symbol works through the older build only; which is looked at first is not known."""
    newer, older = build("2", "x=1 s=1"), build("1", gives="t=1")
    lender = kmp("lend", "x=1 t=1", "s=1")
    assert loaded_before(older, [newer, older], [lender], UNIT, TABLE) == [newer]


def test_a_newer_build_without_symbol_versions_is_not_linked() -> None:
    assert loaded_before(build("1"), [build("2", "")], [], UNIT, TABLE) == []


def test_what_is_not_loaded_lends_no_symbols() -> None:
    """The newer build is linked; the KMP that needs what only the older one exports works no more."""
    newer, older, user = build("2"), build("1", gives="s=1"), kmp("user", "x=1 s=1")
    assert loaded({"acme": [newer, older], "user": [user]}, [], UNIT, TABLE) == {"acme": newer}
    assert loaded({"acme": [older], "user": [user]}, [], UNIT, TABLE) == {"acme": older, "user": user}
    assert loaded({"user": [user]}, [older], UNIT, TABLE) == {"user": user}


def test_where_the_newest_falls_with_what_it_needs_the_next_one_is_linked() -> None:
    """It needs a build that is itself not loaded."""
    newest, next_one = build("2", "x=1 s=1"), build("1")
    lends, instead = kmp("lend", "x=1", "s=1", evr="1-1"), kmp("lend", "x=1", evr="2-1")
    found = loaded({"acme": [newest, next_one], "lend": [lends, instead]}, [], UNIT, TABLE)
    assert found == {"acme": next_one, "lend": instead}


@pytest.mark.parametrize(("modules", "both"), [("b", True), ("a", False), ("a b", False), ("", False)])
def test_another_package_for_the_same_kmp_is_linked_too_if_it_has_other_modules(
    modules: str, both: bool
) -> None:
    one, older = build("2", gives="s=1"), build("1")
    other = build("1.5", modules=modules)
    other = replace(other, package=replace(other.package, nevra=replace(other.nevra, name="other")))
    needy = kmp("needy", "x=1 s=1")
    found = loaded_parts({"acme": [older, other, one], "needy": [needy]}, [], UNIT, TABLE)
    assert found == {"acme": [one, other] if both else [one], "needy": [needy]}
