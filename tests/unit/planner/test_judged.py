"""What somebody else's transaction does to the KMPs: the kernels and builds it brings and takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kmpsolve.errors import MetadataError
from kmpsolve.model.nevra import Nevra
from kmpsolve.model.plan import FlavorPlan, Inputs, KmpPlan, Plan, SkippedInput, Waived, Warned
from kmpsolve.planner.judgement import judge_transaction
from kmpsolve.request import KmpRule, Request, Waiver
from kmpsolve.zypp.transition import ZypperStep, read_transition
from kmpsolve.zypp.words import stopped
from tests.property.cases import acme, beta, kernel
from tests.support.packages import SUSE, PackageSpec
from tests.support.universes import sealed
from tests.support.worlds import KernelExtra, Noun, Tool

Step = tuple[str, Any]
"""How zypper announces it, and the package."""
NOW, NEXT = "kernel-default-6.4.0-10.1.x86_64", "kernel-default-6.4.0-20.1.x86_64"
REBUILD = acme("2.0", "a=2", krel="6.4.0-20")


def spec(noun: Noun | PackageSpec) -> PackageSpec:
    return noun if isinstance(noun, PackageSpec) else noun.spec()


def judged(
    folder: Path,
    installed: Sequence[Any],
    offered: Sequence[Any],
    steps: Iterable[Step],
    *,
    arguments: Sequence[str] = (),
    flavors: Sequence[str] | None = None,
    skipped: bool = False,
    rebuilding: Sequence[str] = (),
    also: Sequence[Noun] = (),
    **asked: Any,
) -> Plan:
    """The judgement of the steps that zypper announces (``M``, ``+`` or ``-``, and the package)."""
    of = sealed(
        folder,
        {"r": [spec(one) for one in offered], "also": [spec(one) for one in also]},
        [spec(one) for one in installed],
        rebuilding=rebuilding,
    )
    announced = [ZypperStep(kind, Nevra.parse(spec(one).nevra)) for kind, one in steps]
    transition = read_transition(of, announced, arguments=["zypper", *arguments])
    unread = (SkippedInput(alias="gone", reason="not there"),) if skipped else ()
    inputs = Inputs(root=None, repositories=(), skipped=unread)
    return judge_transaction(of, Request(today="2026-01-01", **asked), inputs, transition, flavors)


def only(plan: Plan) -> FlavorPlan:
    (flavor,) = plan.flavors
    return flavor


def told(plan: Plan, name: str = "acme-kmp-default") -> KmpPlan:
    (kmp,) = (kmp for kmp in only(plan).kmps if kmp.name == name)
    return kmp


def decided(plan: Plan, name: str = "acme-kmp-default") -> tuple[str, str, str | None]:
    """The verdict; a KMP's decision and the version that serves it."""
    kmp = told(plan, name)
    chosen = Nevra.parse(kmp.chosen).evr.version.partition("_")[0] if kmp.chosen else None
    return plan.verdict, kmp.decision, chosen


def warned(plan: Plan) -> dict[str, str]:
    return {warning.reference: warning.message for warning in only(plan).warnings}


# -- kernels that arrive --------------------------------------------------------------------------------------


def test_a_kernel_that_keeps_the_kmp(tmp_path: Path) -> None:
    new = kernel(2)
    plan = judged(tmp_path, [kernel(1), acme()], [new], [("M", new)], running="6.4.0-10-default")
    flavor = only(plan)
    assert decided(plan) == ("safe", "reuse", "1.0")
    assert told(plan).repository is None
    assert (told(plan).symbols_required, told(plan).mismatches, told(plan).causes) == (1, (), ())
    assert [(a.nevra, a.mismatches, a.cause) for a in told(plan).tried] == [
        ("acme-kmp-default-1.0_k6.4.0_10-1.x86_64", 0, None)
    ]
    assert [(k.nevra, k.running) for k in flavor.current] == [(NOW, True)]
    assert flavor.target is not None
    assert (flavor.target.nevra, flavor.target.uname_r, flavor.target.repository) == (
        NEXT,
        "6.4.0-20-default",
        "r",
    )
    assert flavor.zypper_would.target == NEXT
    assert flavor.zypper_would.kmps == {"acme-kmp-default": "acme-kmp-default-1.0_k6.4.0_10-1.x86_64"}
    assert [(row.uname_r, row.state, row.kmps["acme-kmp-default"].via) for row in flavor.boot_matrix] == [
        ("6.4.0-20-default", "new", "weak-updates"),
        ("6.4.0-10-default", "running", "native"),
    ]
    assert [(step.action, step.nevra, step.repository) for step in plan.transaction] == [
        ("install", NEXT, "r")
    ]
    assert (plan.complete, plan.command, flavor.newest_safe, flavor.ways_out) == (True, None, NEXT, ())
    assert flavor.warnings == ()


@pytest.mark.parametrize(("symbols", "safe"), [("a=1", "NEXT"), ("a=2", "NOW")])
def test_a_newer_kernel_that_does_not_come_along_may_be_the_newest_safe_one(
    tmp_path: Path, symbols: str, safe: str
) -> None:
    update = acme("1.1")
    plan = judged(tmp_path, [kernel(1), acme()], [kernel(2, symbols), update], [("M", update)])
    assert plan.verdict == "safe"
    assert only(plan).newest_safe == {"NEXT": NEXT, "NOW": NOW}[safe]


def test_a_kernel_that_goes_is_not_the_newest_safe_one(tmp_path: Path) -> None:
    plan = judged(tmp_path, [kernel(1), kernel(2, "a=1"), acme()], [], [("-", kernel(2, "a=1"))])
    assert (plan.verdict, only(plan).newest_safe) == ("nothing-to-do", NOW)


def test_nothing_is_said_of_what_runs_where_nobody_knows(tmp_path: Path) -> None:
    plan = judged(tmp_path, [kernel(1), acme()], [kernel(2)], [("M", kernel(2))])
    assert [k.running for k in only(plan).current] == [None]
    assert [row.state for row in only(plan).boot_matrix] == ["new", "installed"]


def test_a_kernel_that_does_not_keep_it(tmp_path: Path) -> None:
    new = kernel(2, "a=2")
    plan = judged(tmp_path, [kernel(1), acme()], [new], [("M", new)])
    kmp = told(plan)
    assert decided(plan) == ("blocked", "blocked", None)
    assert [(m.symbol, m.kind, m.wanted, m.found) for m in kmp.mismatches] == [("a", "disagrees", "1", "2")]
    assert [(cause.kind, cause.packages) for cause in kmp.causes] == [("symbols", (NEXT,))]
    assert "1 changed, 0 gone" in kmp.causes[0].message
    assert [(a.mismatches, a.cause) for a in kmp.tried] == [(1, "symbols")]
    assert kmp.symbols_required == 1
    assert plan.transaction == ()
    assert only(plan).newest_safe == NOW
    assert "newest-safe" in [way.kind for way in only(plan).ways_out]


def test_a_symbol_that_is_gone(tmp_path: Path) -> None:
    new = kernel(2, "a=2")
    plan = judged(
        tmp_path, [kernel(1, "a=1 b=1"), acme(symbols="a=1 b=1", exports="s=1")], [new], [("M", new)]
    )
    assert "1 changed, 1 gone" in told(plan).causes[0].message


def test_a_rebuild_that_comes_along(tmp_path: Path) -> None:
    new = kernel(2, "a=2")
    plan = judged(
        tmp_path, [kernel(1), acme()], [new, REBUILD], [("M", new), ("M", REBUILD)], flavors=["default"]
    )
    assert decided(plan) == ("safe", "fetch", "2.0")
    assert told(plan).repository == "r"
    assert only(plan).zypper_would.kmps == {"acme-kmp-default": REBUILD.spec().nevra}
    assert [(a.nevra.split("_")[0], a.repository, a.mismatches) for a in told(plan).tried] == [
        ("acme-kmp-default-1.0", None, 1),
        ("acme-kmp-default-2.0", "r", 0),
    ]


def test_a_rebuild_that_is_left_behind(tmp_path: Path) -> None:
    """The way out is the transaction that takes it along."""
    new = kernel(2, "a=2")
    plan = judged(tmp_path, [kernel(1), acme()], [new, REBUILD], [("M", new)])
    assert decided(plan) == ("blocked", "blocked", None)
    first = only(plan).ways_out[0]
    assert (first.kind, first.kmps) == ("fetch-with", ("acme-kmp-default",))
    assert first.text == "take the rebuilt KMP along with 6.4.0-20.1"
    assert first.command is not None
    assert "acme-kmp-default=2.0_k6.4.0_20-1" in first.command
    assert "kernel-default=6.4.0-20.1" in first.command
    assert only(plan).newest_safe == NEXT


def test_the_way_out_is_for_the_kernel_that_was_to_arrive(tmp_path: Path) -> None:
    """Not for the one that the ordinary plan would take."""
    new, newer = kernel(2, "a=2"), kernel(3)
    plan = judged(tmp_path, [kernel(1), acme()], [new, newer, REBUILD], [("M", new)])
    assert only(plan).ways_out[0].text == "take the rebuilt KMP along with 6.4.0-20.1"


def test_a_kernel_of_another_vendor_has_no_plan_of_its_own(tmp_path: Path) -> None:
    """What there is besides is offered."""
    new, other = kernel(2), kernel(3, "a=3", vendor="openSUSE")
    plan = judged(tmp_path, [kernel(1), acme()], [new, other], [("M", other)])
    assert decided(plan) == ("blocked", "blocked", None)
    first = only(plan).ways_out[0]
    assert (first.kind, first.text) == ("fetch-with", "the transaction that keeps every KMP on 6.4.0-20.1")
    assert first.command == "zypper install --no-recommends kernel-default=6.4.0-20.1"


def test_one_kmp_that_is_left_behind_takes_another_with_it(tmp_path: Path) -> None:
    new, rebuild = kernel(2, "a=2 b=1"), acme("2.0", "a=2", exports="s=5", krel="6.4.0-20")
    installed = [kernel(1, "a=1 b=1"), acme(exports="s=5"), beta(symbols="b=1 s=5")]
    plan = judged(tmp_path, installed, [new, rebuild], [("M", new)])
    assert only(plan).ways_out[0].kmps == ("acme-kmp-default", "beta-kmp-default")
    assert only(plan).ways_out[0].text == "take the rebuilt KMP along with 6.4.0-20.1"


def test_a_rebuild_of_a_kmp_that_is_not_lost_is_not_what_was_left_behind(tmp_path: Path) -> None:
    new, other = kernel(2, "a=1 b=2"), kernel(3, "a=3 b=1", vendor="openSUSE")
    rebuild = beta("2.0", "b=2", krel="6.4.0-20")
    installed = [kernel(1, "a=1 b=1"), acme(), beta(symbols="b=1")]
    plan = judged(tmp_path, installed, [new, other, rebuild], [("M", other)])
    assert only(plan).ways_out[0].text == "the transaction that keeps every KMP on 6.4.0-20.1"


def test_the_way_out_where_the_kernel_goes_that_keeps_it(tmp_path: Path) -> None:
    """Not onto the older one that would boot instead."""
    installed = [kernel(1, "z=1"), kernel(2), acme()]
    plan = judged(tmp_path, installed, [kernel(3)], [("-", kernel(2))])
    assert decided(plan) == ("blocked", "blocked", None)
    assert only(plan).ways_out[0].text == "the transaction that keeps every KMP on 6.4.0-30.1"


def test_with_nothing_to_do_instead_there_is_no_way_out(tmp_path: Path) -> None:
    plan = judged(tmp_path, [kernel(1), acme()], [], [("-", acme())])
    assert (only(plan).newest_safe, only(plan).ways_out) == (NOW, ())


def test_a_repository_that_was_not_read_matters_for_ways_out_only(tmp_path: Path) -> None:
    new = kernel(2)
    plan = judged(tmp_path, [kernel(1), acme()], [new], [("M", new)], skipped=True)
    assert (plan.verdict, plan.complete) == ("safe", False)


def test_notes_are_told(tmp_path: Path) -> None:
    note = Warned(reference="note", message="old")
    plan = judged(tmp_path, [kernel(1)], [kernel(2)], [("M", kernel(2))], notes=(note,))
    assert only(plan).warnings == (note,)


def test_live_patches_stay_behind(tmp_path: Path) -> None:
    patch = PackageSpec(
        name="kernel-livepatch-6_4_0-10-default", version="1", release="1", provides=("kmod(livepatch.ko)",)
    )
    new, older = kernel(2), kernel(0)
    plan = judged(tmp_path / "a", [kernel(1), patch], [new], [("M", new)])
    assert patch.nevra in warned(plan)["starts-unpatched"]
    assert "starts-unpatched" not in warned(
        judged(tmp_path / "b", [kernel(1), patch], [older], [("M", older)])
    )
    assert "starts-unpatched" not in warned(judged(tmp_path / "c", [kernel(1)], [new], [("M", new)]))
    gone = judged(tmp_path / "d", [kernel(1), patch], [], [("-", kernel(1))])
    assert "starts-unpatched" not in warned(gone)


# -- which flavors --------------------------------------------------------------------------------------------

RT = kernel(1, flavor="rt")
OF_NO_FLAVOR = PackageSpec(name="driver", version="1", release="1", provides=("kmod(d.ko)",))


@pytest.mark.parametrize(
    ("installed", "steps", "flavors"),
    [
        ([kernel(1), RT], [("M", kernel(2))], ["default"]),
        ([kernel(1), RT], [("M", kernel(2, flavor="rt"))], ["rt"]),
        ([kernel(1), RT], [("-", RT)], ["rt"]),
        ([kernel(1), RT], [("M", kernel(2)), ("M", kernel(2, flavor="rt"))], ["default", "rt"]),
        ([kernel(1), RT, acme()], [("M", acme("2.0", krel="6.4.0-20"))], ["default"]),
        ([kernel(1), RT], [("M", OF_NO_FLAVOR)], ["default", "rt"]),
        ([kernel(1)], [("M", kernel(2, flavor="rt"))], []),
        ([kernel(1), KernelExtra(release="10.1", flavor="rt", ksyms="x=1")], [("M", kernel(2, flavor="rt"))], []),
        ([kernel(1), kernel(1, flavor="rt", package="kernel-rt-base")], [("M", kernel(2, flavor="rt"))], ["rt"]),
        ([kernel(1), Tool(name="tool")], [("+", Tool(name="tool", version="2.0"))], []),
    ],
)  # fmt: skip
def test_the_flavors_that_it_touches(
    tmp_path: Path, installed: list[Noun], steps: list[Step], flavors: list[str]
) -> None:
    offered = [one for kind, one in steps if kind != "-"]
    plan = judged(tmp_path, installed, offered, steps)
    assert [flavor.flavor for flavor in plan.flavors] == flavors
    assert plan.verdict == ("safe" if offered and flavors else "nothing-to-do")


# -- KMPs that come and go ------------------------------------------------------------------------------------


def test_nothing_that_arrives_is_nothing_to_do(tmp_path: Path) -> None:
    """Of two kernels the one that no KMP needs goes."""
    plan = judged(tmp_path, [kernel(1), kernel(2), acme()], [], [("-", kernel(1))])
    assert decided(plan) == ("nothing-to-do", "reuse", "1.0")
    assert [(row.uname_r, row.state) for row in only(plan).boot_matrix] == [("6.4.0-20-default", "installed")]
    assert only(plan).zypper_would.target is None
    assert only(plan).target is not None


def test_the_only_kernel_that_it_works_on_goes(tmp_path: Path) -> None:
    plan = judged(tmp_path, [kernel(1), kernel(2, "a=2"), acme()], [], [("-", kernel(1))])
    assert decided(plan) == ("blocked", "blocked", None)
    assert warned(plan).keys() == set()


def test_a_kernel_that_goes_is_told(tmp_path: Path) -> None:
    """A rebuild stands in the place of the other; what it takes with it can no longer be booted."""
    again = kernel(1, release="10.2", obsoletes="kernel-default = 6.4.0-10.1")
    plan = judged(tmp_path, [kernel(0), kernel(1), acme()], [again], [("M", again)])
    assert decided(plan) == ("safe", "reuse", "1.0")
    assert warned(plan) == {}
    assert [(row.uname_r, row.state) for row in only(plan).boot_matrix] == [
        ("6.4.0-10-default", "new"),
        ("6.4.0-00-default", "installed"),
    ]


@pytest.mark.parametrize("protect", [False, True])
def test_a_fallback_kernel_that_is_rebuilt_without_its_driver(tmp_path: Path, protect: bool) -> None:
    again = kernel(1, "a=2", release="10.2", obsoletes="kernel-default = 6.4.0-10.1")
    steps: list[Step] = [("M", again)]
    plan = judged(tmp_path, [kernel(1), kernel(2), acme()], [again], steps, protect_fallback=protect)
    assert decided(plan) == ("blocked" if protect else "safe", "reuse", "1.0")
    message = "the fallback kernel 6.4.0-10-default would lose acme-kmp-default"
    assert warned(plan) == {"fallback-loses": message}


@pytest.mark.parametrize("protect", [False, True])
def test_a_fallback_kernel_that_loses_its_driver(tmp_path: Path, protect: bool) -> None:
    single, rebuild = acme(multiversion=False), replace(REBUILD, multiversion=False)
    steps: list[Step] = [("M", kernel(2, "a=2")), ("+", rebuild)]
    offered = [kernel(2, "a=2"), rebuild]
    plan = judged(tmp_path, [kernel(1), single], offered, steps, protect_fallback=protect)
    assert decided(plan) == ("blocked" if protect else "safe", "fetch", "2.0")
    message = "the fallback kernel 6.4.0-10-default would lose acme-kmp-default"
    assert warned(plan) == {"fallback-loses": message}


def test_a_fallback_kernel_that_loses_what_does_not_count(tmp_path: Path) -> None:
    single, rebuild = acme(multiversion=False), replace(REBUILD, multiversion=False)
    steps: list[Step] = [("M", kernel(2, "a=2")), ("+", rebuild)]
    waived = (Waiver(kmp="acme-*", reason="", expires="2099-01-01"),)
    offered = [kernel(2, "a=2"), rebuild]
    plan = judged(tmp_path, [kernel(1), single], offered, steps, protect_fallback=True, waivers=waived)
    assert (plan.verdict, *warned(plan)) == ("safe", "fallback-loses")


def test_a_fallback_kernel_that_keeps_it_is_no_loss(tmp_path: Path) -> None:
    steps: list[Step] = [("M", kernel(2, "a=2")), ("M", REBUILD)]
    installed = [kernel(1), acme()]
    plan = judged(tmp_path, installed, [kernel(2, "a=2"), REBUILD], steps, protect_fallback=True)
    assert (plan.verdict, warned(plan)) == ("safe", {})


def test_the_kernel_that_boots_next_is_no_fallback(tmp_path: Path) -> None:
    """That it loses a driver blocks, and is not told twice."""
    worse = acme("2.0", "a=2", multiversion=False)
    plan = judged(tmp_path, [kernel(1), acme(multiversion=False)], [worse], [("+", worse)])
    assert decided(plan) == ("blocked", "blocked", None)
    assert warned(plan) == {}


def test_a_fallback_kernel_that_goes_loses_nothing(tmp_path: Path) -> None:
    installed = [kernel(0, "a=1 z=1"), kernel(1), acme(), beta(symbols="z=1")]
    plan = judged(tmp_path, installed, [], [("-", kernel(0, "a=1 z=1"))])
    assert warned(plan) == {}
    assert decided(plan, "beta-kmp-default")[:2] == ("blocked", "blocked")


def test_a_kmp_that_goes_along(tmp_path: Path) -> None:
    plan = judged(tmp_path, [kernel(1), acme()], [], [("-", acme())])
    kmp = told(plan)
    assert decided(plan) == ("blocked", "blocked", None)
    assert [(cause.kind, cause.packages) for cause in kmp.causes] == [("missing", ("acme-kmp-default",))]
    assert "would be removed" in kmp.causes[0].message
    assert only(plan).zypper_would.kmps == {"acme-kmp-default": None}
    assert (kmp.symbols_required, kmp.mismatches) == (1, ())


def test_a_kmp_that_a_person_names_may_go(tmp_path: Path) -> None:
    plan = judged(
        tmp_path, [kernel(1), acme()], [], [("-", acme())], arguments=["remove", "acme-kmp-default"]
    )
    assert plan.verdict == "nothing-to-do"
    assert warned(plan) == {"removed": "acme-kmp-default is removed, as asked for"}


def test_another_kmp_does_not_go_with_the_one_that_is_named(tmp_path: Path) -> None:
    plan = judged(
        tmp_path,
        [kernel(1), acme(), beta()],
        [],
        [("-", acme()), ("-", beta())],
        arguments=["remove", "acme-kmp-default"],
    )
    assert plan.verdict == "blocked"
    assert warned(plan).keys() == {"removed"}


def test_one_of_its_builds_may_go(tmp_path: Path) -> None:
    """The other one serves, so nothing is removed that anybody would miss."""
    older = acme(krel="6.4.0-5")
    asked = ["remove", older.spec().nevra]
    plan = judged(tmp_path, [kernel(1), older, acme("2.0")], [], [("-", older)], arguments=asked)
    assert decided(plan) == ("nothing-to-do", "reuse", "2.0")
    assert warned(plan) == {}


@pytest.mark.parametrize("arrives", [True, False])
def test_the_build_that_works_does_not_go_for_one_that_does_not(tmp_path: Path, arrives: bool) -> None:
    """Who names a build wants the other one, not to be without the driver."""
    worse = acme("2.0", "a=9", krel="6.4.0-20")
    steps: list[Step] = [("-", acme()), *[("M", worse)] * arrives]
    asked = ["install", "--", f"-acme-kmp-default={acme().spec().evr}"]
    installed = [kernel(1), acme(), *[worse] * (not arrives)]
    plan = judged(tmp_path, installed, [worse], steps, arguments=asked)
    assert decided(plan) == ("blocked", "blocked", None)
    assert warned(plan) == {}


def test_a_build_that_is_installed_again_is_fetched(tmp_path: Path) -> None:
    plan = judged(tmp_path, [kernel(1), acme()], [acme()], [("+", acme())])
    assert decided(plan) == ("safe", "fetch", "1.0")
    assert told(plan).repository == "r"
    assert [a.repository for a in told(plan).tried] == [None, "r"]


LOST = [kernel(1), kernel(2, "b=1"), acme(), beta(symbols="b=1")]
"""The kernel that boots next is without acme already."""


def test_what_was_lost_before_is_not_lost_by_this(tmp_path: Path) -> None:
    newer = beta("2.0", "b=1")
    plan = judged(tmp_path, LOST, [newer], [("+", newer)])
    assert decided(plan) == ("safe", "blocked", None)
    assert warned(plan).keys() == {"newest-installed-breaks"}
    assert NEXT in warned(plan)["newest-installed-breaks"]


def test_a_build_of_it_that_does_not_help_is_no_excuse(tmp_path: Path) -> None:
    newer = acme("2.0", krel="6.4.0-11")
    plan = judged(tmp_path, LOST, [newer], [("M", newer)])
    assert decided(plan) == ("blocked", "blocked", None)


def test_the_last_kernel_on_which_it_works_is_no_excuse(tmp_path: Path) -> None:
    plan = judged(tmp_path, LOST, [], [("-", kernel(1))])
    assert decided(plan) == ("blocked", "blocked", None)


def test_that_it_works_on_another_kernel_is_no_excuse(tmp_path: Path) -> None:
    """On the one that boots next it worked before, with a build of another KMP that is not loaded any more."""
    newer = acme("2.0", krel="6.4.0-20")
    installed = [kernel(1), kernel(2), acme(exports="s=5"), beta(symbols="a=1 s=5")]
    plan = judged(tmp_path, installed, [newer], [("M", newer)])
    assert decided(plan, "beta-kmp-default") == ("blocked", "blocked", None)
    assert [row.kmps["beta-kmp-default"].via for row in only(plan).boot_matrix] == ["none", "native"]


def test_what_arrives_served_nobody_before(tmp_path: Path) -> None:
    """The KMP lacked one symbol; the one that brings it arrives, and the one that brought another goes."""
    brings, brought = acme(exports="s=5"), beta(name="corp", modules="corp.ko", exports="t=5")
    installed = [kernel(1), beta(symbols="a=1 s=5 t=5"), brought]
    plan = judged(
        tmp_path,
        installed,
        [brings],
        [("M", brings), ("-", brought)],
        arguments=["remove", "corp-kmp-default"],
        already_broken="block",
    )
    assert decided(plan, "beta-kmp-default") == ("safe", "blocked", None)


@pytest.mark.parametrize("setting", ["warn", "block"])
def test_what_works_nowhere_is_not_lost(tmp_path: Path, setting: str) -> None:
    installed = [kernel(1), acme(symbols="a=7"), beta()]
    plan = judged(tmp_path, installed, [beta("2.0")], [("+", beta("2.0"))], already_broken=setting)
    assert decided(plan) == ("safe", "blocked", None)
    kmp = told(plan)
    assert [cause.kind for cause in kmp.causes] == ["already-broken"]
    assert [warning.reference for warning in kmp.warnings] == ["already-broken"]


@pytest.mark.parametrize(("setting", "verdict"), [("warn", "safe"), ("block", "blocked")])
def test_what_works_nowhere_on_a_new_kernel(tmp_path: Path, setting: str, verdict: str) -> None:
    installed = [kernel(1), acme(symbols="a=7")]
    plan = judged(tmp_path, installed, [kernel(2)], [("M", kernel(2))], already_broken=setting)
    assert (plan.verdict, told(plan).decision) == (verdict, "blocked")


def test_waived_and_ignored(tmp_path: Path) -> None:
    installed: list[Noun] = [kernel(1), acme(), beta()]
    new = kernel(2, "a=2")
    waiver = Waiver(kmp="acme-*", reason="tape is gone", expires="2099-01-01")
    rule = KmpRule(match="beta-*", on_blocked="ignore")
    plan = judged(tmp_path / "a", installed, [new], [("M", new)], waivers=(waiver,), kmp_rules=(rule,))
    assert (plan.verdict, told(plan).decision) == ("safe", "blocked")
    assert told(plan).waived == Waived(reason="tape is gone", expires="2099-01-01")
    assert told(plan, "beta-kmp-default").waived is None
    plan = judged(tmp_path / "b", installed, [new], [("M", new)], waivers=(waiver,))
    assert plan.verdict == "blocked"
    assert {kmp for way in only(plan).ways_out for kmp in way.kmps} == {"beta-kmp-default"}


# -- a KMP that was not there before --------------------------------------------------------------------------


def test_a_new_kmp_that_works(tmp_path: Path) -> None:
    new = acme()
    plan = judged(tmp_path, [kernel(1)], [new], [("M", new)])
    assert decided(plan) == ("safe", "fetch", "1.0")
    assert (told(plan).installed, told(plan).waived) == ((), None)


def test_a_new_kmp_that_does_not(tmp_path: Path) -> None:
    new = acme(symbols="a=2")
    plan = judged(tmp_path / "a", [kernel(1)], [new], [("M", new)])
    assert decided(plan) == ("blocked", "blocked", None)
    assert [cause.kind for cause in told(plan).causes] == ["symbols"]
    assert told(plan).warnings == ()
    ignoring = KmpRule(match="acme-*", on_blocked="ignore")
    plan = judged(tmp_path / "b", [kernel(1)], [new], [("M", new)], kmp_rules=(ignoring,))
    assert plan.verdict == "safe"
    counting = KmpRule(match="acme-*", on_blocked="abort")
    plan = judged(tmp_path / "c", [kernel(1)], [new], [("M", new)], kmp_rules=(counting,))
    assert plan.verdict == "blocked"
    waiver = Waiver(kmp="acme-*", reason="tape is gone", expires="2099-01-01")
    plan = judged(tmp_path / "d", [kernel(1)], [new], [("M", new)], waivers=(waiver,))
    assert (plan.verdict, told(plan).waived) == ("safe", Waived(reason="tape is gone", expires="2099-01-01"))


def test_a_new_kmp_that_obsoletes_its_own_name_is_new(tmp_path: Path) -> None:
    """As packages do that came back under an old name."""
    new = acme(symbols="a=2", obsoletes="acme-kmp-default")
    plan = judged(tmp_path, [kernel(1)], [new], [("M", new)])
    assert decided(plan) == ("blocked", "blocked", None)


def test_a_new_kmp_that_does_not_work_replaces_the_kernel_s_own_driver(tmp_path: Path) -> None:
    new, target = acme(symbols="a=9"), kernel(2, modules="acme.ko")
    plan = judged(tmp_path, [kernel(1)], [new, target], [("M", new), ("M", target)])
    assert decided(plan) == ("blocked", "blocked", None)
    assert [cause.kind for cause in told(plan).causes] == ["symbols", "falls-back-to-in-tree"]


def test_two_builds_of_a_new_kmp_are_one(tmp_path: Path) -> None:
    one, two = acme(krel="6.4.0-5"), acme("2.0", "a=2", krel="6.4.0-6")
    plan = judged(tmp_path, [kernel(1)], [one, two], [("M", one), ("M", two)])
    assert decided(plan) == ("safe", "fetch", "1.0")
    assert len(told(plan).tried) == 2


def test_a_rename_serves_under_the_name_that_it_obsoletes(tmp_path: Path) -> None:
    renamed = acme("2.0", "a=2", name="nova", krel="6.4.0-20", obsoletes="acme-kmp-default")
    new = kernel(2, "a=2")
    steps: list[Step] = [("M", new), ("M", renamed)]
    plan = judged(tmp_path, [kernel(1), acme()], [new, renamed], steps)
    assert decided(plan) == ("safe", "fetch", "2.0")
    assert [kmp.name for kmp in only(plan).kmps] == ["acme-kmp-default"]
    assert only(plan).zypper_would.kmps["acme-kmp-default"] == renamed.spec().nevra


def test_another_name_for_the_same_modules_is_another_kmp(tmp_path: Path) -> None:
    other = acme("2.0", "a=2", name="nova", krel="6.4.0-20")
    new = kernel(2, "a=2")
    plan = judged(tmp_path, [kernel(1), acme()], [new, other], [("M", new), ("M", other)])
    assert [(kmp.name, kmp.decision) for kmp in only(plan).kmps] == [
        ("acme-kmp-default", "blocked"),
        ("nova-kmp-default", "fetch"),
    ]


def test_a_kmp_of_another_flavor_serves_nobody_here(tmp_path: Path) -> None:
    other = acme("2.0", flavor="rt", krel="6.4.0-20")
    steps: list[Step] = [("M", kernel(2)), ("M", other)]
    plan = judged(tmp_path, [kernel(1), RT, acme()], [kernel(2), other], steps, flavors=["default"])
    assert [kmp.name for kmp in only(plan).kmps] == ["acme-kmp-default"]


# -- what serves ----------------------------------------------------------------------------------------------


def test_built_in(tmp_path: Path) -> None:
    new = kernel(2, "a=2", modules="acme.ko")
    plan = judged(tmp_path, [kernel(1), acme()], [new], [("M", new)])
    assert decided(plan) == ("safe", "builtin", None)


def test_the_kernel_s_own_driver_instead(tmp_path: Path) -> None:
    new = kernel(2, "a=2", modules="acme.ko")
    plan = judged(tmp_path, [kernel(1, modules="acme.ko"), acme()], [new], [("M", new)])
    assert decided(plan) == ("blocked", "blocked", None)
    assert [(c.kind, c.packages) for c in told(plan).causes] == [
        ("symbols", (NEXT,)),
        ("falls-back-to-in-tree", ("acme.ko",)),
    ]


def test_a_build_for_one_kernel_only(tmp_path: Path) -> None:
    bound = acme(symbols="", exact="6.4.0-10-default")
    plan = judged(tmp_path, [kernel(1), bound], [kernel(2)], [("M", kernel(2))])
    assert decided(plan) == ("blocked", "blocked", None)
    assert [(c.kind, c.packages) for c in told(plan).causes] == [("exact-kernel", ("6.4.0-10-default",))]
    assert [(a.mismatches, a.cause) for a in told(plan).tried] == [(0, "exact-kernel")]


def test_a_symbol_is_named_before_the_one_kernel(tmp_path: Path) -> None:
    bound = acme(symbols="a=1", exact="6.4.0-10-default")
    plan = judged(tmp_path, [kernel(1), bound], [kernel(2, "a=2")], [("M", kernel(2, "a=2"))])
    assert [c.kind for c in told(plan).causes] == ["symbols", "exact-kernel"]
    assert [(a.mismatches, a.cause) for a in told(plan).tried] == [(1, "symbols")]


def test_symbols_of_another_kmp_that_has_no_build(tmp_path: Path) -> None:
    installed = [kernel(1, "a=1 b=1"), acme(exports="s=5"), beta(symbols="b=1 s=5")]
    new = kernel(2, "a=2 b=1")
    plan = judged(tmp_path, installed, [new], [("M", new)])
    found = told(plan, "beta-kmp-default")
    assert [(m.symbol, m.kind, m.wanted, m.found) for m in found.mismatches] == [("s", "unknown", "5", "5")]
    assert [cause.kind for cause in found.causes] == ["kmp"]
    assert [(a.mismatches, a.cause) for a in found.tried] == [(1, "kmp")]


def test_a_build_in_the_kernel_s_own_folder_that_does_not_work(tmp_path: Path) -> None:
    """It keeps the one that would work from being linked."""
    native = acme("2.0", "z=1", krel="6.4.0-20")
    plan = judged(tmp_path, [kernel(1), acme()], [kernel(2), native], [("M", kernel(2)), ("M", native)])
    assert decided(plan) == ("blocked", "blocked", None)
    assert [(c.kind, c.packages) for c in told(plan).causes] == [("missing", (native.spec().nevra,))]
    why = f"{native.spec().nevra} is loaded before {acme().spec().nevra} on {NEXT}, and does not work"
    assert told(plan).causes[0].message == why
    assert why in " ".join(" ".join(stopped(plan, [])).split())


def test_a_driver_that_the_kernel_had_and_has_no_more(tmp_path: Path) -> None:
    new = kernel(2, "a=2")
    plan = judged(tmp_path, [kernel(1, modules="acme.ko"), acme()], [new], [("M", new)])
    assert [cause.kind for cause in told(plan).causes] == ["symbols"]


def test_symbols_come_from_the_build_that_is_loaded(tmp_path: Path) -> None:
    """Not from one that works as well, nor from one that nobody can verify, nor from the KMP's own other one."""
    new = kernel(2, "a=1 b=2")
    one, two = acme(exports="s=5"), acme("2.0", exports="s=6", krel="6.4.0-11")
    user = beta(symbols="b=1 s=5")
    bare = acme(symbols="", exports="s=5")
    own = beta("3.0", "b=2 own=5", krel="6.4.0-20")
    old = kernel(1, "a=1 b=1")

    def missed(name: str, *installed: Noun) -> list[tuple[str, str, str | None]]:
        plan = judged(tmp_path / name, [old, user, *installed], [new, own], [("M", new)])
        assert told(plan, "beta-kmp-default").decision == "blocked"
        assert own.spec().nevra in {a.nevra for a in told(plan, "beta-kmp-default").tried}
        return [(m.symbol, m.kind, m.found) for m in told(plan, "beta-kmp-default").mismatches]

    assert missed("one", one) == [("b", "disagrees", "2")]
    assert missed("both", one, two) == [("b", "disagrees", "2"), ("s", "disagrees", "6")]
    assert missed("bare", bare) == [("b", "disagrees", "2"), ("s", "unknown", "5")]


def test_symbols_of_its_own_kmp_come_from_the_build_itself(tmp_path: Path) -> None:
    other = acme("3.0", "a=1 own=5", krel="6.4.0-20")
    plan = judged(tmp_path, [kernel(1), acme(exports="own=5")], [kernel(2), other], [("M", kernel(2))])
    assert decided(plan) == ("safe", "reuse", "1.0")
    assert [(a.mismatches, a.cause) for a in told(plan).tried] == [(0, None), (1, "symbols")]


def test_symbols_of_another_kmp_whose_new_build_has_others(tmp_path: Path) -> None:
    installed = [kernel(1, "a=1 b=1"), acme(exports="s=5"), beta(symbols="b=1 s=5")]
    new, rebuilt = kernel(2, "a=2 b=1"), acme("2.0", "a=2", exports="s=6", krel="6.4.0-20")
    plan = judged(tmp_path, installed, [new, rebuilt], [("M", new), ("M", rebuilt)])
    found = told(plan, "beta-kmp-default")
    assert [(m.symbol, m.kind, m.wanted, m.found) for m in found.mismatches] == [("s", "disagrees", "5", "6")]
    assert [cause.kind for cause in found.causes] == ["kmp"]


def test_the_build_that_comes_closest_is_told(tmp_path: Path) -> None:
    """Of those that will be there; what only a repository has is tried and comes no closer."""
    old = kernel(1, "a=1 b=1 c=1")
    far, near = acme(symbols="a=1 b=1 c=1", krel="6.4.0-5"), acme("0.9", "a=1 b=1", krel="6.4.0-6")
    offered = [kernel(2, "a=2 b=2 c=2"), acme("3.0", "a=1", krel="6.4.0-20")]
    plan = judged(tmp_path, [old, far, near], offered, [("M", offered[0])])
    assert told(plan).symbols_required == 2
    assert [m.symbol for m in told(plan).mismatches] == ["a", "b"]
    assert [(a.nevra.split("_")[0], a.mismatches) for a in told(plan).tried] == [
        ("acme-kmp-default-0.9", 2),
        ("acme-kmp-default-1.0", 3),
        ("acme-kmp-default-3.0", 1),
    ]


def test_what_zypp_keeps_out_is_tried_all_the_same(tmp_path: Path) -> None:
    """Whatever else speaks against it."""
    new = kernel(2, "a=2 b=2")

    def foreign(version: str, symbols: str, **more: Any) -> Noun:
        return acme(version, symbols, krel="6.4.0-20", vendor="Other GmbH", **more)

    builds = [
        foreign("3.0", "a=2"),
        foreign("3.1", "a=9"),
        foreign("3.2", "a=2 s=5"),
        foreign("3.3", "", exact="6.4.0-10-default"),
    ]
    installed = [kernel(1, "a=1 b=1"), acme(), beta(symbols="b=1", exports="s=5")]
    plan = judged(tmp_path, installed, [new, *builds], [("M", new)])
    assert [(a.nevra.split("_")[0], a.mismatches, a.cause) for a in told(plan).tried] == [
        ("acme-kmp-default-1.0", 1, "symbols"),
        ("acme-kmp-default-3.0", 0, "vendor"),
        ("acme-kmp-default-3.1", 1, "vendor"),
        ("acme-kmp-default-3.2", 1, "vendor"),
        ("acme-kmp-default-3.3", 0, "vendor"),
    ]
    assert "vendor-change" in [way.kind for way in only(plan).ways_out]


def test_builds_tried_are_sorted_by_repository(tmp_path: Path) -> None:
    foreign = replace(REBUILD, vendor="Other GmbH")
    new = kernel(2, "a=2")
    plan = judged(tmp_path, [kernel(1), acme()], [new, REBUILD], [("M", new)], also=[foreign])
    assert [(a.repository, a.cause) for a in told(plan).tried] == [
        (None, "symbols"),
        ("also", "vendor"),
        ("r", None),
    ]


BARE = acme(symbols="")


def test_without_symbol_versions_nobody_can_tell(tmp_path: Path) -> None:
    plan = judged(tmp_path / "a", [kernel(1), BARE], [kernel(2)], [("M", kernel(2))])
    assert decided(plan) == ("unverified", "unverified", "1.0")
    assert [w.reference for w in told(plan).warnings] == ["no-symbol-versions"]
    newer = beta("2.0")
    plan = judged(tmp_path / "b", [kernel(1), BARE, beta()], [newer], [("+", newer)])
    assert decided(plan) == ("safe", "unverified", "1.0"), "the kernel that boots next booted before"


def test_one_without_symbol_versions_that_is_waived_does_not_count(tmp_path: Path) -> None:
    waiver = Waiver(kmp="*", reason="tape is gone", expires="2099-01-01")
    plan = judged(tmp_path, [kernel(1), BARE], [kernel(2)], [("M", kernel(2))], waivers=(waiver,))
    assert decided(plan) == ("safe", "unverified", "1.0")


def devel(number: int, flavor: str = "default") -> PackageSpec:
    return PackageSpec(name=f"kernel-{flavor}-devel", version="6.4.0", release=f"{number}0.1")


@pytest.mark.parametrize(
    ("standing", "steps", "decision"),
    [
        ([devel(1)], [], "unverified"),
        ([devel(1)], [("M", devel(2))], "rebuild-on-host"),
        ([devel(1), devel(2)], [], "rebuild-on-host"),
        ([devel(1), devel(2)], [("-", devel(1))], "rebuild-on-host"),
        ([devel(1), devel(2)], [("-", devel(2))], "unverified"),
        ([devel(2)], [("+", devel(3))], "unverified"),
        ([devel(2)], [("M", devel(3))], "rebuild-on-host"),
        ([devel(1)], [("+", devel(2))], "rebuild-on-host"),
        ([devel(2, "rt")], [], "unverified"),
    ],
)
def test_what_rebuilds_itself_needs_the_headers(
    tmp_path: Path, standing: list[PackageSpec], steps: list[Step], decision: str
) -> None:
    """The ones for the kernel that boots next: they are there, or arrive."""
    installed = [kernel(1), BARE, beta(symbols=""), *standing]
    offered = [kernel(2), devel(2), devel(3)]
    plan = judged(tmp_path, installed, offered, [("M", kernel(2)), *steps], rebuilding=["acme-kmp-default"])
    assert decided(plan) == ("unverified", decision, "1.0")
    named = [w.message for w in told(plan).warnings if w.reference == "headers-missing"]
    lacking = f"acme-kmp-default rebuilds itself, but {devel(2).nevra.removesuffix('.x86_64')} is neither"
    assert [text.startswith(lacking) for text in named] == [True] * (decision == "unverified")
    assert told(plan, "beta-kmp-default").decision == "unverified"


def test_one_build_that_rebuilds_itself_will_do(tmp_path: Path) -> None:
    """Beside one of another name that does not."""
    renamed = acme("3.0", "", name="nova", obsoletes="acme-kmp-default < 1.0", krel="6.4.0-11")
    installed = [kernel(1), acme("0.9", "", krel="6.4.0-5"), BARE, devel(1), devel(2)]
    steps: list[Step] = [("M", kernel(2)), ("M", renamed)]
    plan = judged(tmp_path, installed, [kernel(2), renamed], steps, rebuilding=["acme-kmp-default"])
    assert decided(plan) == ("safe", "rebuild-on-host", "3.0")


# -- modules --------------------------------------------------------------------------------------------------


def test_a_build_that_drops_a_module(tmp_path: Path) -> None:
    new = kernel(2, "a=2")
    steps: list[Step] = [("M", new), ("M", REBUILD)]
    plan = judged(tmp_path, [kernel(1), acme(modules="acme.ko acme_x.ko")], [new, REBUILD], steps)
    assert decided(plan) == ("blocked", "blocked", None)
    assert [(c.kind, c.packages) for c in told(plan).causes] == [("module-dropped", ("acme_x.ko",))]


def test_a_build_that_nobody_can_verify_and_that_drops_a_module(tmp_path: Path) -> None:
    new, bare = kernel(2, "a=2"), acme("2.0", "", krel="6.4.0-20")
    steps: list[Step] = [("M", new), ("M", bare)]
    plan = judged(tmp_path / "dropped", [kernel(1), acme(modules="acme.ko acme_x.ko")], [new, bare], steps)
    assert decided(plan) == ("blocked", "blocked", None)
    assert [(c.kind, c.packages) for c in told(plan).causes] == [("module-dropped", ("acme_x.ko",))]
    plan = judged(tmp_path / "kept", [kernel(1), acme()], [new, bare], steps)
    assert decided(plan) == ("unverified", "unverified", "2.0")


@pytest.mark.parametrize(("before", "verdict"), [("a=1", "unverified"), ("", "safe"), ("a=9", "safe")])
def test_a_build_that_nobody_can_verify_in_the_place_of_another(
    tmp_path: Path, before: str, verdict: str
) -> None:
    """On the same kernel: what was known to work is known no longer."""
    bare = acme("2.0", "")
    plan = judged(tmp_path, [kernel(1), acme(symbols=before, multiversion=False)], [bare], [("+", bare)])
    assert decided(plan) == (verdict, "unverified", "2.0")


@pytest.mark.parametrize(("built_for", "decision"), [("6.4.0-20", "unverified"), ("6.4.0-15", "builtin")])
def test_a_kernel_with_the_module_and_a_build_for_it_that_nobody_can_verify(
    tmp_path: Path, built_for: str, decision: str
) -> None:
    """In the kernel's own updates folder it is loaded in place of the kernel's module."""
    new, bare = kernel(2, "a=2", modules="acme.ko"), acme("2.0", "", krel=built_for)
    plan = judged(tmp_path, [kernel(1), acme()], [new, bare], [("M", new), ("M", bare)])
    assert told(plan).decision == decision
    assert plan.verdict == ("unverified" if decision == "unverified" else "safe")


@pytest.mark.parametrize("by_kernel", [False, True])
def test_a_module_that_somebody_else_gives(tmp_path: Path, by_kernel: bool) -> None:
    new = kernel(2, "a=2", modules="acme_x.ko" if by_kernel else "")
    other = beta("2.0", "a=2", modules="beta.ko" if by_kernel else "beta.ko acme_x.ko", krel="6.4.0-20")
    installed = [kernel(1), acme(modules="acme.ko acme_x.ko"), beta()]
    offered = [new, REBUILD, other]
    plan = judged(tmp_path, installed, offered, [("M", one) for one in offered])
    assert decided(plan) == ("safe", "fetch", "2.0")


def test_a_module_of_a_build_that_does_not_serve_is_given_by_nobody(tmp_path: Path) -> None:
    """It is the older build of another KMP that has it, which the new kernel does not load."""
    new = kernel(2, "a=2")
    other = beta("2.0", "a=2", krel="6.4.0-20")
    installed = [kernel(1), acme(modules="acme.ko acme_x.ko"), beta(modules="beta.ko acme_x.ko")]
    offered = [new, REBUILD, other]
    plan = judged(tmp_path, installed, offered, [("M", one) for one in offered])
    assert decided(plan) == ("blocked", "blocked", None)
    assert [cause.kind for cause in told(plan).causes] == ["module-dropped"]


@pytest.mark.parametrize("version", ["1.9", "2.0", "2.1"])
def test_both_parts_of_a_split_kmp_give_their_modules_and_symbols(tmp_path: Path, version: str) -> None:
    """Whichever of the two is the newer one."""
    new, needy = kernel(2, "a=2"), beta(symbols="x=1")
    one = acme("2.0", "a=2", krel="6.4.0-20", exports="x=1")
    other = acme(
        version,
        "a=2",
        krel="6.4.0-20",
        name="acme_x",
        modules="acme_x.ko",
        obsoletes="acme-kmp-default < 1.5",
    )
    installed = [kernel(1), acme(modules="acme.ko acme_x.ko", exports="x=1"), needy]
    steps: list[Step] = [("M", new), ("M", one), ("M", other), ("-", installed[1])]
    plan = judged(tmp_path / "both", installed, [new, one, other], steps)
    assert (decided(plan)[:2], decided(plan, "beta-kmp-default")[1]) == (("safe", "fetch"), "reuse")
    plan = judged(tmp_path / "one", installed, [new, one, other], [("M", new), ("M", other)])
    assert decided(plan)[0] == "blocked"


def test_what_an_older_build_had_is_not_lost_again(tmp_path: Path) -> None:
    """The build that serves now is without the module already."""
    installed = [kernel(1), acme(modules="acme.ko acme_x.ko", krel="6.4.0-5"), acme("2.0")]
    plan = judged(tmp_path, installed, [kernel(2)], [("M", kernel(2))])
    assert decided(plan) == ("safe", "reuse", "2.0")


def test_a_kmp_that_is_lost_is_lost_for_what_it_lacks(tmp_path: Path) -> None:
    """Not for its modules."""
    new, broken = kernel(2, "a=2"), acme("2.0", "a=3", modules="other.ko", krel="6.4.0-20")
    plan = judged(tmp_path, [kernel(1), acme()], [new, broken], [("M", new), ("M", broken)])
    assert [cause.kind for cause in told(plan).causes] == ["symbols"]


def test_what_it_had_on_the_kernel_that_it_is_used_on_counts(tmp_path: Path) -> None:
    """Not on the newest one, which is without it."""
    target, rebuild = kernel(3, "a=3"), acme("2.0", "a=3", krel="6.4.0-30")
    installed = [kernel(1), kernel(2, "a=2"), acme(modules="acme.ko acme_x.ko")]
    plan = judged(tmp_path, installed, [target, rebuild], [("M", target), ("M", rebuild)])
    assert decided(plan) == ("blocked", "blocked", None)
    assert [(c.kind, c.packages) for c in told(plan).causes] == [("module-dropped", ("acme_x.ko",))]


@pytest.mark.parametrize(("along", "verdict"), [(True, "safe"), (False, "blocked")])
def test_an_in_tree_kmp_that_comes_along_or_not(tmp_path: Path, along: bool, verdict: str) -> None:
    old, new = (
        Tool(
            name="dlm-kmp-default",
            version="6.4.0",
            release=release,
            provides="kmp_in_kernel; multiversion(kernel); kmod(dlm.ko); ksym(default:lock) = d1",
            requires=f"kernel-default = 6.4.0-{release}",
            vendor=SUSE,
        )
        for release in ("10.1", "20.1")
    )
    steps: list[Step] = [("M", kernel(2)), *[("M", new)] * along]
    plan = judged(tmp_path, [kernel(1), old, acme(symbols="a=1 lock=d1")], [kernel(2), new], steps)
    assert plan.verdict == verdict


@pytest.mark.parametrize("along", [True, False])
def test_an_in_tree_kmp_that_no_kmp_needs_and_that_comes_or_not(tmp_path: Path, along: bool) -> None:
    old, new = (
        Tool(name="dlm-kmp-default", version="6.4.0", release=release, provides="kmp_in_kernel; kmod(dlm.ko)")
        for release in ("10.1", "20.1")
    )
    steps: list[Step] = [("M", kernel(2)), *[("M", new)] * along]
    plan = judged(tmp_path, [kernel(1), old, acme()], [kernel(2), new], steps)
    assert (plan.verdict, "in-tree-left-behind" in warned(plan)) == ("safe", not along)


def test_a_kernel_of_which_its_repository_tells_nothing(tmp_path: Path) -> None:
    """It is known by name, and that is not enough."""
    bare = Tool(name="kernel-default", version="6.4.0", release="20.1", vendor=SUSE)
    with pytest.raises(MetadataError, match="is in no repository that could be read"):
        judged(tmp_path, [kernel(1), acme()], [bare], [("M", bare)])


@pytest.mark.parametrize("name", ["acme-kmp-default-debuginfo", "acme-kmp-tools"])
@pytest.mark.parametrize(("symbols", "verdict"), [("a=1", "safe"), ("a=2", "blocked")])
def test_what_comes_along_and_is_only_named_after_a_kmp(
    tmp_path: Path, name: str, symbols: str, verdict: str
) -> None:
    """It keeps nobody from looking at the kernel."""
    new, beside = kernel(2, symbols), Tool(name=name, version="2.0")
    steps: list[Step] = [("M", new), ("+", beside)]
    plan = judged(tmp_path, [kernel(1), acme(), Tool(name=name)], [new, beside], steps)
    assert plan.verdict == verdict
    assert [step.repository for step in plan.transaction] == ["r", "r"] * (verdict == "safe")


def test_a_kmp_for_no_flavor_of_which_its_repository_tells_nothing(tmp_path: Path) -> None:
    bare = Tool(name="acme-kmp", version="2.0")
    with pytest.raises(MetadataError, match="is in no repository that could be read"):
        judged(tmp_path, [kernel(1), acme()], [bare], [("M", bare)])


def test_what_is_only_named_after_a_kmp_and_comes_from_nowhere(tmp_path: Path) -> None:
    """Nobody can tell what is in it."""
    new, beside = kernel(2), Tool(name="acme-kmp-tools")
    with pytest.raises(MetadataError, match=r"acme-kmp-tools-.* is in no repository that could be read"):
        judged(tmp_path, [kernel(1), acme()], [new], [("M", new), ("+", beside)])


def test_modules_of_the_kernel_that_go_with_its_extra(tmp_path: Path) -> None:
    extra = KernelExtra(release="10.1", ksyms="x=1", modules="x.ko")
    plan = judged(tmp_path, [kernel(1, modules="y.ko"), extra], [], [("-", extra)])
    assert only(plan).modules_lost == ("x.ko",)


def test_modules_of_the_kernel_that_a_rebuild_has(tmp_path: Path) -> None:
    new, rebuild = kernel(2, "a=2"), acme("2.0", "a=2", modules="acme.ko z.ko", krel="6.4.0-20")
    plan = judged(tmp_path, [kernel(1, modules="z.ko"), acme()], [new, rebuild], [("M", new), ("M", rebuild)])
    assert only(plan).modules_lost == ()


def test_modules_of_the_kernel_that_nobody_has_any_more(tmp_path: Path) -> None:
    old, new = kernel(1, modules="x.ko y.ko z.ko"), kernel(2, modules="y.ko")
    steps: list[Step] = [("M", new), ("M", beta(modules="z.ko"))]
    plan = judged(tmp_path / "a", [old, acme()], [new, beta(modules="z.ko")], steps)
    assert only(plan).modules_lost == ("x.ko",)
    plan = judged(
        tmp_path / "b", [old, acme()], [acme("2.0", krel="6.4.0-11")], [("M", acme("2.0", krel="6.4.0-11"))]
    )
    assert only(plan).modules_lost == ()
    plan = judged(tmp_path / "c", [old, kernel(0)], [], [("-", kernel(0))])
    assert only(plan).modules_lost == ()


# -- user space -----------------------------------------------------------------------------------------------

BOUND = Tool(name="tools", requires="acme-kmp = 1.0")


def test_user_space_that_is_bound_to_the_build_out_of_use(tmp_path: Path) -> None:
    """rpm is content with the old build, which stays; the new kernel loads the other one."""
    new = kernel(2, "a=2")
    steps: list[Step] = [("M", new), ("M", REBUILD)]
    plan = judged(tmp_path, [kernel(1), acme(), BOUND, beta(symbols="a=2 a=2")], [new, REBUILD], steps)
    kmp = told(plan)
    assert decided(plan) == ("blocked", "blocked", None)
    assert (kmp.chosen, kmp.repository) == (None, None)
    assert [(cause.kind, cause.packages) for cause in kmp.causes] == [("user-space", ("tools-1.0-1.x86_64",))]
    assert "tools-1.0-1.x86_64 requires acme-kmp = 1.0" in kmp.causes[0].message
    assert "acme-kmp-default-2.0_k6.4.0_20-1.x86_64 does not give" in kmp.causes[0].message


@pytest.mark.parametrize(
    ("requires", "steps", "verdict"),
    [
        ("acme-kmp = 1.0", [], "blocked"),
        ("acme-kmp", [], "safe"),
        ("acme-kmp = 1.0", [("+", Tool(name="tools", version="2.0"))], "safe"),
        ("acme-kmp = 1.0", [("-", Tool(name="tools", requires="acme-kmp = 1.0"))], "safe"),
        ("beta-kmp = 1.0", [], "safe"),
        ("acme-kmp = 7.0", [], "safe"),
    ],
)
def test_user_space_that_moves_or_is_served(
    tmp_path: Path, requires: str, steps: list[Step], verdict: str
) -> None:
    new = kernel(2, "a=2 b=1")
    installed = [
        kernel(1, "a=1 b=1"),
        acme(),
        beta(symbols="b=1"),
        Tool(name="tools", requires=requires),
    ]
    offered = [new, REBUILD, Tool(name="tools", version="2.0")]
    plan = judged(tmp_path, installed, offered, [("M", new), ("M", REBUILD), *steps])
    assert plan.verdict == verdict


@pytest.mark.parametrize(
    ("requires", "along", "verdict"),
    [
        ("acme-kmp = 1.0", (), "blocked"),
        ("acme-kmp = 1.0", ("compat",), "safe"),
        ("acme-kmp >= 2.0", (), "safe"),
        ("kmod(acme.ko)", (), "safe"),
    ],
)
@pytest.mark.parametrize("before", [[], [Tool(name="tools")], [BOUND]])
def test_user_space_that_arrives_for_the_build_out_of_use(
    tmp_path: Path, requires: str, along: tuple[str, ...], verdict: str, before: list[Noun]
) -> None:
    """zypper installs it beside the old build, which stays and is not loaded."""
    new, tool = kernel(2, "a=2"), Tool(name="tools", version="2.0", requires=requires)
    brought = [tool, *(Tool(name=name, provides="acme-kmp = 1.0") for name in along)]
    steps: list[Step] = [("M", new), ("M", REBUILD), *(("+", one) for one in brought)]
    plan = judged(tmp_path, [kernel(1), acme(), *before], [new, REBUILD, *brought], steps, also=[tool])
    assert plan.verdict == verdict
    wanted = ["tools-2.0-1.x86_64 requires acme-kmp = 1.0, which " + REBUILD.spec().nevra + " does not give"]
    assert [c.message for c in told(plan).causes] == wanted * (verdict == "blocked")


def test_user_space_that_is_bound_to_another_kmp_out_of_use_blocks_that_one(tmp_path: Path) -> None:
    new = kernel(2, "a=2 b=1")
    installed = [
        kernel(1, "a=1 b=1"),
        acme(),
        beta(),
        Tool(name="tools", requires="beta-kmp = 1.0"),
        beta(symbols="b=1", name="corp", modules="corp.ko"),
    ]
    rebuilt = [REBUILD, beta("2.0", "a=2", krel="6.4.0-20")]
    plan = judged(tmp_path, installed, [new, *rebuilt], [("M", new), *(("M", one) for one in rebuilt)])
    assert {kmp.name: kmp.decision for kmp in only(plan).kmps} == {
        "acme-kmp-default": "fetch",
        "beta-kmp-default": "blocked",
        "corp-kmp-default": "reuse",
    }


def test_where_the_same_build_serves_user_space_has_what_it_had(tmp_path: Path) -> None:
    """That it is bound to another build is nothing new."""
    installed = [kernel(1), acme(krel="6.4.0-5"), acme("2.0"), BOUND]
    plan = judged(tmp_path, installed, [kernel(2)], [("M", kernel(2))])
    assert decided(plan) == ("safe", "reuse", "2.0")


# -- no kernel of the flavor is left --------------------------------------------------------------------------


def test_no_kernel_is_left(tmp_path: Path) -> None:
    plan = judged(tmp_path, [kernel(1), acme()], [], [("-", kernel(1))])
    flavor = only(plan)
    assert decided(plan) == ("blocked", "blocked", None)
    assert [(c.kind, c.packages) for c in told(plan).causes] == [("missing", ("kernel-default",))]
    assert "no kernel-default would be left" in told(plan).causes[0].message
    assert (flavor.target, flavor.boot_matrix, flavor.modules_lost) == (None, (), ())
    assert (told(plan).tried, told(plan).mismatches, told(plan).symbols_required) == ((), (), 0)
    assert flavor.zypper_would.target is None


def longterm(noun: Any, **changes: Any) -> Any:
    return replace(noun, flavor="longterm", **changes)


LONGTERM = longterm(kernel(2), obsoletes="kernel-default")


@pytest.mark.parametrize(
    ("arriving", "decision", "cause"),
    [
        ([], "blocked", "takes over, and nothing for it does"),
        ([longterm(acme("2.0", krel="6.4.0-20"))], "fetch", ""),
        ([longterm(acme("2.0", "a=2", krel="6.4.0-20"))], "blocked", "takes over, and nothing for it does"),
    ],
)
def test_another_flavor_takes_over(tmp_path: Path, arriving: list[Noun], decision: str, cause: str) -> None:
    steps: list[Step] = [("M", LONGTERM), *(("M", one) for one in arriving)]
    plan = judged(tmp_path, [kernel(1), acme()], [LONGTERM, *arriving], steps, flavors=["default"])
    kmp = told(plan)
    assert (plan.verdict, kmp.decision) == ("safe" if decision == "fetch" else "blocked", decision)
    assert kmp.chosen == (arriving[0].spec().nevra if decision == "fetch" else None)
    assert cause in "".join(c.message for c in kmp.causes)
    target = only(plan).target
    assert target is not None
    assert target.nevra == "kernel-longterm-6.4.0-20.1.x86_64"


def test_a_kernel_of_another_flavor_that_was_there_takes_over(tmp_path: Path) -> None:
    standing = longterm(acme("2.0", krel="6.4.0-20"))
    installed = [kernel(1), acme(), longterm(kernel(2)), standing]
    plan = judged(tmp_path, installed, [], [("-", kernel(1))])
    assert decided(plan) == ("nothing-to-do", "reuse", "2.0")


@pytest.mark.parametrize(
    ("version", "expected"), [("1.0", ("fetch", [])), ("2.0", ("blocked", ["user-space"]))]
)
def test_user_space_of_a_flavor_that_ends(
    tmp_path: Path, version: str, expected: tuple[str, list[str]]
) -> None:
    """The old builds stay, of use to no kernel; what the new flavor's build gives counts."""
    driver = longterm(acme(version, krel="6.4.0-20"))
    plan = judged(
        tmp_path,
        [kernel(1), acme(), beta(), BOUND],
        [LONGTERM, driver],
        [("M", LONGTERM), ("M", driver)],
        flavors=["default"],
    )
    assert (told(plan).decision, [cause.kind for cause in told(plan).causes]) == expected
    assert told(plan, "beta-kmp-default").decision == "blocked"


def test_a_new_kmp_where_a_flavor_ends(tmp_path: Path) -> None:
    """Nobody can tell whether it loads, but the kernel that takes over has its modules."""
    new = replace(LONGTERM, modules="d.ko")
    steps: list[Step] = [("M", new), ("M", OF_NO_FLAVOR)]
    plan = judged(tmp_path, [kernel(1)], [new, OF_NO_FLAVOR], steps, flavors=["default"])
    assert told(plan, "driver").decision == "builtin"


@pytest.mark.parametrize(("before", "decision"), [("", "builtin"), ("acme.ko", "blocked")])
def test_the_kernel_that_takes_over_has_the_driver(tmp_path: Path, before: str, decision: str) -> None:
    new = longterm(kernel(2, modules="acme.ko"), obsoletes="kernel-default")
    installed = [kernel(1, modules=before), acme()]
    plan = judged(tmp_path, installed, [new], [("M", new)], flavors=["default"])
    assert told(plan).decision == decision
    assert told(plan).chosen is None


# -- signatures -----------------------------------------------------------------------------------------------


def test_a_rebuild_that_nobody_looked_at(tmp_path: Path) -> None:
    new = kernel(2, "a=2")
    steps: list[Step] = [("M", new), ("M", REBUILD)]
    plan = judged(tmp_path / "a", [kernel(1), acme()], [new, REBUILD], steps, require_signed=True)
    assert decided(plan) == ("unverified", "fetch", "2.0")
    assert [w.reference for w in told(plan).warnings] == ["signature-required"]
    assert REBUILD.spec().nevra in told(plan).warnings[0].message
    plan = judged(tmp_path / "b", [kernel(1), acme()], [new, REBUILD], steps)
    assert plan.verdict == "safe"
    assert [w.reference for w in told(plan).warnings] == ["signature-not-checked"]
    waiver = Waiver(kmp="*", reason="tape is gone", expires="2099-01-01")
    plan = judged(
        tmp_path / "c", [kernel(1), acme()], [new, REBUILD], steps, require_signed=True, waivers=(waiver,)
    )
    assert plan.verdict == "safe"


def test_a_certificate_that_arrives_is_told(tmp_path: Path) -> None:
    certificate = PackageSpec(name="acme-ueficert", version="2", release="1")
    plan = judged(
        tmp_path, [kernel(1), acme()], [kernel(2), certificate], [("M", kernel(2)), ("+", certificate)]
    )
    assert certificate.nevra in warned(plan)["new-certificate"]
