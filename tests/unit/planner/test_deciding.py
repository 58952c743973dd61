"""Which kernel a flavor's plan is about, and when nothing is to be done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import kmpsolve
from tests.property.cases import acme, beta, kernel, made
from tests.support.worlds import Noun, Tool, World, lay_out


def decided(of: World, folder: Path, configuration: str = "") -> tuple[str, str | None, set[str]]:
    """Verdict and target of the flavor default, and what is warned of."""
    file = folder / "kmpsolve.toml"
    file.write_text(configuration, encoding="utf-8")
    plan = kmpsolve.plan(**lay_out(of, folder), config=str(file))
    (flavor,) = (one for one in plan.flavors if one.flavor == "default")
    target = flavor.target.nevra.removeprefix("kernel-default-6.4.0-") if flavor.target else None
    return flavor.verdict, target, {warned.reference for warned in flavor.warnings}


def test_the_newest_safe_kernel_stands_already(tmp_path: Path) -> None:
    of = made([kernel(1), acme()], [kernel(2, "a=2")], kernel="newest-safe")
    assert decided(of, tmp_path) == ("nothing-to-do", None, set())


def test_the_newest_safe_kernel_is_an_older_one(tmp_path: Path) -> None:
    of = made([kernel(1), kernel(2, "a=2"), acme()], [], kernel="newest-safe")
    assert decided(of, tmp_path) == ("safe", "10.1.x86_64", {"boots-another"})


def test_the_newest_safe_kernel_is_installed_but_lacks_a_build(tmp_path: Path) -> None:
    rebuild = acme("2.0", "a=2", krel="6.4.0-20")
    of = made([kernel(1), kernel(2, "a=2"), acme()], [rebuild], kernel="newest-safe")
    assert decided(of, tmp_path) == ("safe", "20.1.x86_64", set())


def test_no_kernel_is_safe(tmp_path: Path) -> None:
    of = made([kernel(1), acme(symbols="")], [kernel(2)], kernel="newest-safe")
    assert decided(of, tmp_path) == ("unverified", "20.1.x86_64", {"no-safe-kernel"})


BROKEN = 'already_broken = "block"\n'
IGNORED = '[[kmp]]\nmatch = "*"\non_blocked = "ignore"\n'


@pytest.mark.parametrize(
    ("symbols", "configuration", "expected"),
    [
        ("a=1", "", ("blocked", "20.1.x86_64", {"newest-installed-breaks"})),
        ("a=1", IGNORED, ("nothing-to-do", None, set())),
        ("a=7", "", ("nothing-to-do", None, set())),
        ("a=7", BROKEN, ("blocked", None, set())),
        ("a=7", BROKEN + IGNORED, ("nothing-to-do", None, set())),
    ],
)
def test_what_the_newest_installed_kernel_does_not_keep(
    tmp_path: Path, symbols: str, configuration: str, expected: Sequence[Any]
) -> None:
    """What works on the older one is lost; what works nowhere is at most told."""
    of = made([kernel(1), kernel(2, "a=2"), acme(symbols=symbols)], [])
    verdict, target, warned = decided(of, tmp_path, configuration)
    assert (verdict, target, warned & {"newest-installed-breaks"}) == tuple(expected)


@pytest.mark.parametrize("unsure", [False, True])
def test_zypper_removes_nothing_that_is_locked(tmp_path: Path, unsure: bool) -> None:
    """Not even a KMP that works nowhere, where the target's kernel replaces it."""
    of = made(
        [kernel(1), acme(symbols="a=7"), *([beta(symbols="")] if unsure else [])],
        [kernel(2, obsoletes="acme-kmp-default")],
        locks=["acme-kmp-default"],
    )
    assert decided(of, tmp_path) == ("blocked", "20.1.x86_64", {"conflict"})


@pytest.mark.parametrize(
    ("system", "obsoletes", "lock"),
    [
        ([acme(symbols="a=7")], "acme-kmp-default", "acme-kmp-default"),
        ([acme(symbols="a=7"), beta()], "acme-kmp-default", "acme-kmp-default"),
        ([], "kernel-default < 6.4.0-20", "kernel-default == 6.4.0-10.1"),
        ([kernel(0)], "kernel-default = 6.4.0-10.1", "kernel-default == 6.4.0-10.1"),
    ],
)
def test_a_kernel_that_replaces_what_is_locked_is_not_the_newest_safe_one(
    tmp_path: Path, system: list[Noun], obsoletes: str, lock: str
) -> None:
    of = made([kernel(1), *system], [kernel(2, obsoletes=obsoletes)], locks=[lock], kernel="newest-safe")
    assert decided(of, tmp_path)[:2] == ("nothing-to-do", None)


def test_user_space_keeps_what_it_had_of_another_flavor_and_need_not_get_what_it_lacked(
    tmp_path: Path,
) -> None:
    tool = Tool(name="tool", requires="acme-kmp; kernel-rt; missing")
    of = made([kernel(1), kernel(1, flavor="rt"), acme(), tool], [kernel(2)])
    assert decided(of, tmp_path) == ("safe", "20.1.x86_64", set())
