"""What a dist-upgrade is judged to be: safe, blocked, or nothing to do, and what zypper would ask."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kmpsolve.model.plan import Inputs, Plan, SkippedInput
from kmpsolve.planner.distupgrade import plan_dist_upgrade
from kmpsolve.request import Request
from tests.property.cases import acme, kernel
from tests.support.universes import sealed
from tests.support.worlds import Noun, Tool

OFF = ("only-what-has-this-name",)
ON = ("provides:multiversion(kernel)",)


def upgraded(
    folder: Path,
    installed: Sequence[Any],
    offered: Sequence[Any],
    *,
    multiversion: tuple[str, ...] = OFF,
    skipped: bool = False,
) -> Plan:
    specs = [noun.spec() for noun in offered]
    of = sealed(folder, {"r": specs}, [noun.spec() for noun in installed], multiversion=multiversion)
    left = (SkippedInput(alias="gone", reason="not there"),) if skipped else ()
    inputs = Inputs(root=None, repositories=(), skipped=left)
    return plan_dist_upgrade(of, Request(), inputs, "zypper dist-upgrade")


def warned(of: Plan) -> dict[str, str]:
    return {w.reference: w.message for flavor in of.flavors for w in flavor.warnings}


def test_an_upgrade_that_keeps_every_kmp(tmp_path: Path) -> None:
    found = upgraded(tmp_path, [kernel(1), acme()], [kernel(2), acme("2.0")])
    assert (found.verdict, found.command, warned(found)) == ("safe", "zypper dist-upgrade", {})
    assert [step.action for step in found.transaction] == ["upgrade", "upgrade"]


def test_the_old_kernels_stay_where_multiversion_is_on(tmp_path: Path) -> None:
    installed, offered = [kernel(1), acme(), Tool(name="tool")], [kernel(2), Tool(name="tool", version="2.0")]
    found = upgraded(tmp_path, installed, offered, multiversion=ON)
    assert found.verdict == "safe"
    assert warned(found).keys() == {"multiversion-on"}


def test_an_upgrade_of_user_space_only_is_nothing_to_do(tmp_path: Path) -> None:
    found = upgraded(tmp_path, [kernel(1), acme(), Tool(name="tool")], [Tool(name="tool", version="2.0")])
    assert found.verdict == "nothing-to-do"
    assert [step.nevra for step in found.transaction] == ["tool-2.0-1.x86_64"]
    assert found.flavors[0].target is None


def test_a_kmp_that_works_on_an_older_kernel_only_is_not_kept(tmp_path: Path) -> None:
    """The upgrade changes nothing about it, but what boots next is without it, as the plain plan says."""
    installed = [kernel(1), kernel(2, "a=2"), acme(), Tool(name="tool")]
    found = upgraded(tmp_path, installed, [Tool(name="tool", version="2.0")])
    assert (found.verdict, found.transaction, found.command) == ("blocked", (), None)
    assert [cause.kind for cause in found.flavors[0].kmps[0].causes] == ["symbols"]
    (tmp_path / "nowhere").mkdir()
    installed = [kernel(1, "a=3"), kernel(2, "a=2"), acme(), Tool(name="tool")]
    found = upgraded(tmp_path / "nowhere", installed, [Tool(name="tool", version="2.0")])
    assert found.verdict == "nothing-to-do"


def test_a_kmp_that_nobody_can_verify_where_only_an_older_kernel_had_it(tmp_path: Path) -> None:
    found = upgraded(tmp_path, [kernel(1), kernel(2, "a=2"), acme()], [acme("2.0", "", krel="6.4.0-20")])
    assert (found.verdict, found.flavors[0].kmps[0].decision) == ("unverified", "unverified")


@pytest.mark.parametrize("symbols", ["a=2", ""])
@pytest.mark.parametrize("multiversion", [ON, OFF])
def test_an_upgrade_that_changes_the_architecture_of_a_kmp(
    tmp_path: Path, multiversion: tuple[str, ...], symbols: str
) -> None:
    """A dist-upgrade does that where the repositories have no other build; the kernel cannot load it."""
    offered = [kernel(2, "a=2"), acme("2.0", symbols, krel="6.4.0-20", arch="i586")]
    found = upgraded(tmp_path, [kernel(1), acme()], offered, multiversion=multiversion)
    (kmp,) = found.flavors[0].kmps
    assert (found.verdict, kmp.decision) == ("blocked", "blocked")
    assert ("acme-kmp-default-2.0_k6.4.0_20-1.i586", "architecture") in [
        (a.nevra, a.cause) for a in kmp.tried
    ]


def test_an_upgrade_that_changes_the_architecture_of_the_kernel(tmp_path: Path) -> None:
    found = upgraded(tmp_path, [kernel(1), acme()], [kernel(2, arch="i586")])
    assert (found.verdict, found.flavors[0].kmps[0].decision) == ("blocked", "blocked")
    assert [cause.kind for cause in found.flavors[0].kmps[0].causes] == ["architecture"]


def test_a_kmp_that_is_in_the_way_is_asked_about(tmp_path: Path) -> None:
    """And judged as if it went."""
    driver = acme(requires="tool = 1.0")
    offered: list[Noun] = [kernel(2), driver, Tool(name="tool", version="2.0")]
    found = upgraded(tmp_path, [kernel(1), driver, Tool(name="tool")], offered)
    assert (found.verdict, found.transaction, found.command) == ("blocked", (), None)
    assert "acme-kmp-default-1.0" in warned(found)["dist-upgrade-asks"]
    assert found.flavors[0].kmps[0].decision == "blocked"


def test_what_is_asked_about_is_not_safe_even_if_nothing_would_be_lost(tmp_path: Path) -> None:
    """The command does nothing without an answer, and another answer may keep the KMP and leave the kernel."""
    driver = acme(requires="tool = 1.0")
    offered: list[Noun] = [kernel(2, modules="acme.ko"), driver, Tool(name="tool", version="2.0")]
    found = upgraded(tmp_path, [kernel(1), driver, Tool(name="tool")], offered)
    assert found.flavors[0].kmps[0].decision == "builtin"
    assert (found.verdict, found.transaction, found.command) == ("blocked", (), None)


def test_user_space_that_is_in_the_way_refuses_it_all(tmp_path: Path) -> None:
    user = Tool(name="user", requires="tool = 1.0")
    offered: list[Noun] = [kernel(2), user, Tool(name="tool", version="2.0")]
    found = upgraded(tmp_path, [kernel(1), user, Tool(name="tool")], offered)
    assert (found.verdict, found.transaction, found.command) == ("blocked", (), None)
    assert found.flavors[0].verdict == "blocked"
    assert "user-1.0-1.x86_64" in warned(found)["dist-upgrade-asks"]


def test_what_else_is_in_the_way_once_the_kmp_goes(tmp_path: Path) -> None:
    driver, user = acme(requires="tool = 1.0"), Tool(name="user", requires="acme-kmp")
    offered: list[Noun] = [kernel(2), driver, user, Tool(name="tool", version="2.0")]
    found = upgraded(tmp_path, [kernel(1), driver, user, Tool(name="tool")], offered)
    asks = [w.message for w in found.flavors[0].warnings if w.reference == "dist-upgrade-asks"]
    assert ["user-1.0-1.x86_64" in message for message in asks] == [False, True]


def test_a_kmp_of_a_flavor_that_has_no_kernel_here(tmp_path: Path) -> None:
    """Told of once, as in an ordinary plan."""
    installed = [kernel(1), kernel(1, flavor="azure"), acme(), acme(flavor="rt")]
    found = upgraded(tmp_path, installed, [kernel(2), kernel(2, flavor="azure"), acme("2.0")])
    told = [w.message for f in found.flavors for w in f.warnings if w.reference == "already-broken"]
    assert told == ["acme-kmp-rt works on no kernel that is installed now: none is of flavor rt"]


def test_what_could_not_be_read(tmp_path: Path) -> None:
    found = upgraded(tmp_path / "safe", [kernel(1), acme()], [kernel(2)], skipped=True)
    assert (found.verdict, found.flavors[0].verdict) == ("unverified", "unverified")
    found = upgraded(tmp_path / "blocked", [kernel(1), acme()], [kernel(2, "a=2")], skipped=True)
    assert (found.verdict, found.flavors[0].verdict) == ("blocked", "blocked")
