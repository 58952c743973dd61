"""One rule at a time, on the smallest system that shows it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import kmpsolve
from tests.property.acceptance import plan_of
from tests.support.packages import SUSE
from tests.support.worlds import Kernel, KernelExtra, Kmp, Noun, Repository, Tool, World, lay_out

OLD = Kernel(release="10.1", ksyms="a=1")
NEW = Kernel(release="20.1", ksyms="a=2")
ACME = Kmp(name="acme", krel="6.4.0-10", symbols="a=1", modules="acme.ko")
REBUILD = Kmp(name="acme", krel="6.4.0-20", version="2.0", symbols="a=2", modules="acme.ko")
FETCHED = ("fetch", "acme-kmp-default-2.0_k6.4.0_20-1.x86_64")
BARE = Kmp(name="bare", krel="6.4.0-10", modules="bare.ko")
"""Without symbol versions."""
EDITOR = Tool(name="editor")
"""With user space on the list, what it lacks is known."""


def plan(installed: list[Noun], offered: list[Noun], **asked: Any) -> dict[str, Any]:
    return plan_of(
        World(installed=installed, repositories=[Repository(alias="r", packages=offered)], **asked)
    )


def decided(answer: dict[str, Any], name: str = "acme-kmp-default") -> tuple[str, str | None]:
    """Decision and chosen NEVRA of a KMP."""
    (kmp,) = [kmp for flavor in answer["flavors"] for kmp in flavor["kmps"] if kmp["name"] == name]
    return kmp["decision"], kmp["chosen"]


def served(answer: dict[str, Any], uname_r: str, name: str = "acme-kmp-default") -> tuple[str | None, str]:
    """Build and way of a KMP in the boot matrix."""
    (row,) = [row for row in answer["flavors"][0]["boot_matrix"] if row["uname_r"] == uname_r]
    return row["kmps"][name]["build"], row["kmps"][name]["via"]


# -- what a kernel absorbs ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kmp", "before", "after", "decision"),
    [
        ("acme.ko", "loop.ko", "acme.ko loop.ko", "builtin"),
        ("acme.ko", "", "acme.ko", "builtin"),
        ("acme.ko", "acme.ko", "acme.ko", "blocked"),
        ("acme.ko", "loop.ko", "loop.ko", "blocked"),
        ("acme.ko acme_x.ko", "acme.ko", "acme.ko acme_x.ko", "builtin"),
        ("acme.ko acme_x.ko", "loop.ko", "acme.ko", "blocked"),
        ("", "loop.ko", "loop.ko", "blocked"),
    ],
)
def test_builtin(kmp: str, before: str, after: str, decision: str) -> None:
    answer = plan(
        [
            Kernel(release="10.1", ksyms="a=1", modules=before),
            Kmp(name="acme", krel="6.4.0-10", symbols="a=1", modules=kmp),
        ],
        [Kernel(release="20.1", ksyms="a=2", modules=after)],
    )
    assert decided(answer) == (decision, None)
    via = "builtin" if decision == "builtin" else "none"
    assert served(answer, "6.4.0-20-default") == (None, via)


@pytest.mark.parametrize("before", ["loop.ko", "acme.ko"])
@pytest.mark.parametrize("bound", ["", " < 3", " = 1.0_k6.4.0_10-1"])
def test_a_kernel_that_obsoletes_the_kmp_takes_its_place(before: str, bound: str) -> None:
    """Even where the old kernel had the module as well, and the build would fit."""
    obsoletes = f"acme-kmp-default{bound}"
    answer = plan(
        [Kernel(release="10.1", ksyms="a=1", modules=before), ACME],
        [Kernel(release="20.1", ksyms="a=1", modules="acme.ko", obsoletes=obsoletes)],
        kernel="6.4.0-20.1",
    )
    assert decided(answer) == ("builtin", None)
    assert served(answer, "6.4.0-20-default") == (None, "builtin")
    erased = [step["nevra"] for step in answer["transaction"] if step["action"] == "erase"]
    assert erased == ["acme-kmp-default-1.0_k6.4.0_10-1.x86_64"]


@pytest.mark.parametrize(("before", "via"), [("loop.ko", "builtin"), ("acme.ko", "none")])
def test_a_fallback_kernel_that_has_the_modules_itself(before: str, via: str) -> None:
    """It serves with them, unless the KMP is there to replace just these."""
    first = Kernel(release="10.1", ksyms="a=1", modules=before)
    fallback = Kernel(release="15.1", ksyms="a=9", modules="acme.ko")
    answer = plan([first, fallback, ACME], [Kernel(release="20.1", ksyms="a=1")])
    assert served(answer, "6.4.0-15-default") == (None, via)
    assert served(answer, "6.4.0-20-default")[1] == "weak-updates"


def test_a_kmp_of_unknown_modules_is_never_built_in() -> None:
    """Not even where the kernel obsoletes it: nobody can tell that the kernel has what it had."""
    unknown = Kmp(name="acme", krel="6.4.0-10", symbols="a=1")
    answer = plan(
        [OLD, unknown],
        [Kernel(release="20.1", ksyms="a=2", modules="acme.ko", obsoletes="acme-kmp-default")],
        kernel="6.4.0-20.1",
    )
    assert decided(answer) == ("blocked", None)


def test_what_the_kernel_obsoletes_is_not_fetched() -> None:
    build = Kmp(name="acme", krel="6.4.0-20", version="2.0", symbols="a=2", modules="acme.ko")
    absorbing = Kernel(release="20.1", ksyms="a=2", modules="acme.ko", obsoletes="acme-kmp-default")
    assert decided(plan([OLD, ACME], [absorbing, build], kernel="6.4.0-20.1")) == ("builtin", None)
    partly = Kernel(release="20.1", ksyms="a=2", modules="acme.ko", obsoletes="acme-kmp-default < 2")
    answer = plan([OLD, ACME], [partly, build], kernel="6.4.0-20.1")
    assert decided(answer) == ("fetch", "acme-kmp-default-2.0_k6.4.0_20-1.x86_64")


def test_a_build_that_a_kernel_which_stays_obsoletes_is_no_candidate() -> None:
    """zypper would refuse it, whatever the target says; what else there is gets its turn."""
    absorbing = Kernel(release="15.1", ksyms="a=5", modules="acme.ko", obsoletes="acme-kmp-default < 2")
    kept = Kmp(name="acme", krel="6.4.0-10", version="3.0", symbols="a=1", modules="acme.ko")
    lower = Kmp(name="acme", krel="6.4.0-20", symbols="a=2", modules="acme.ko")
    plain = Kernel(release="20.1", ksyms="a=2", modules="loop.ko")
    answer = plan([OLD, absorbing, kept], [plain, lower], kernel="6.4.0-20.1")
    (kmp,) = answer["flavors"][0]["kmps"]
    assert [tried["cause"] for tried in kmp["tried"]] == ["conflict", "symbols"]
    assert (kmp["decision"], {cause["kind"] for cause in kmp["causes"]}) == (
        "blocked",
        {"symbols", "conflict"},
    )
    answer = plan([OLD, absorbing, kept], [plain, lower, REBUILD], kernel="6.4.0-20.1")
    assert (answer["verdict"], decided(answer)) == ("safe", FETCHED)
    # Its rebuild takes its place, and says nothing against it.
    renewed = Kernel(release="15.2", ksyms="a=2", obsoletes="kernel-default = 6.4.0-15.1")
    for beside in ([], [plain]):
        answer = plan([OLD, absorbing, kept], [renewed, *beside, lower], kernel="6.4.0-15.2")
        assert decided(answer) == ("fetch", "acme-kmp-default-1.0_k6.4.0_20-1.x86_64")


@pytest.mark.parametrize("excluding", ["held", "coming", "replacing"])
def test_a_build_that_a_locked_kmp_excludes_is_no_candidate(excluding: str) -> None:
    said = "acme-kmp = 2.0" if excluding == "held" else ""
    held = Kmp(name="beta", krel="6.4.0-10", version="5.0", symbols="b=1", modules="beta.ko", conflicts=said)
    coming = replace(
        REBUILD,
        conflicts="beta-kmp = 5.0" if excluding == "coming" else "",
        obsoletes="beta-kmp-default = 5.0_k6.4.0_10-1" if excluding == "replacing" else "",
    )
    lesser = replace(REBUILD, version="1.5")
    older = Kmp(name="beta", krel="6.4.0-20", version="4.0", symbols="b=2", modules="beta.ko")
    asked: dict[str, Any] = {"locks": [f"beta-kmp-default == {held.spec().evr}"]}
    installed: list[Noun] = [Kernel(release="10.1", ksyms="a=1 b=1"), ACME, held]
    offered: list[Noun] = [Kernel(release="20.1", ksyms="a=2 b=2"), older, coming]
    answer = plan(installed, offered, **asked)
    assert (answer["verdict"], decided(answer)) == ("blocked", ("blocked", None))
    answer = plan(installed, [*offered, lesser], **asked)
    assert answer["verdict"] == "safe"
    assert decided(answer) == ("fetch", "acme-kmp-default-1.5_k6.4.0_20-1.x86_64")


def test_what_a_locked_kmp_excludes_is_not_added_for_a_module() -> None:
    held = Kmp(name="beta", krel="6.4.0-10", version="5.0", symbols="b=1", modules="beta.ko")
    whole = replace(ACME, modules="acme.ko acme_x.ko")
    better = Kmp(
        name="ax",
        krel="6.4.0-20",
        version="9",
        symbols="a=2",
        modules="acme_x.ko",
        conflicts="beta-kmp = 5.0",
    )
    older = Kmp(name="beta", krel="6.4.0-20", version="4.0", symbols="b=2", modules="beta.ko")
    installed: list[Noun] = [Kernel(release="10.1", ksyms="a=1 b=1"), whole, held]
    offered: list[Noun] = [Kernel(release="20.1", ksyms="a=2 b=2"), older, REBUILD, better]
    locks = [f"beta-kmp-default == {held.spec().evr}"]
    assert plan(installed, offered, locks=locks)["verdict"] == "blocked"
    lesser = replace(better, name="ay", version="1", conflicts="")
    answer = plan(installed, [*offered, lesser], locks=locks)
    assert (answer["verdict"], decided(answer)) == ("safe", FETCHED)


# -- which build ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("excluding", ["kmp", "tool", "other"])
def test_packages_that_stand_beside_each_other_though_they_conflict(excluding: str) -> None:
    """It counts as met, as zypper lets it be; but nothing new may come that one of them excludes."""
    conflicts = "acme-kmp" if excluding != "kmp" else ""
    tool = Tool(name="tool", conflicts=conflicts if excluding == "tool" else "")
    other = Kmp(
        name="other",
        krel="6.4.0-10",
        symbols="b=1",
        modules="other.ko",
        conflicts=conflicts if excluding == "other" else "",
    )
    acme = replace(ACME, conflicts="tool" if excluding == "kmp" else "")
    installed: list[Noun] = [Kernel(release="10.1", ksyms="a=1 b=1"), acme, other, tool]
    fitting = Kernel(release="20.1", ksyms="a=1 b=1")
    newer = replace(REBUILD, symbols="a=1", conflicts=acme.conflicts)
    answer = plan(installed, [fitting, newer])
    assert (answer["verdict"], decided(answer)) == (
        "safe",
        ("reuse", "acme-kmp-default-1.0_k6.4.0_10-1.x86_64"),
    )
    assert [step["action"] for step in answer["transaction"]] == ["install"]
    breaking = Kernel(release="20.1", ksyms="a=2 b=1")
    answer = plan(installed, [breaking, replace(REBUILD, conflicts=acme.conflicts)])
    assert (answer["verdict"], decided(answer)) == ("blocked", ("blocked", None))


def test_of_builds_from_several_vendors_each_may_be_followed() -> None:
    other = Kmp(name="acme", krel="6.4.0-10", version="1.1", symbols="a=1", modules="acme.ko", vendor="Other")
    mine = replace(ACME, krel="6.4.0-9")
    assert decided(plan([OLD, mine, other], [NEW, REBUILD])) == FETCHED
    assert decided(plan([OLD, mine, other], [NEW, replace(REBUILD, vendor="Other")])) == FETCHED
    assert decided(plan([OLD, mine, other], [NEW, replace(REBUILD, vendor="Third")])) == ("blocked", None)


def test_the_build_made_for_the_kernel_serves_it_whatever_its_version() -> None:
    newer = Kmp(name="acme", krel="6.4.0-10", version="3.0", symbols="a=1", modules="acme.ko")
    native = Kmp(name="acme", krel="6.4.0-20", version="2.0", symbols="a=1", modules="acme.ko")
    answer = plan([OLD, newer, native], [Kernel(release="20.1", ksyms="a=1")])
    assert decided(answer) == ("reuse", "acme-kmp-default-2.0_k6.4.0_20-1.x86_64")
    assert served(answer, "6.4.0-20-default") == ("acme-kmp-default-2.0_k6.4.0_20-1.x86_64", "native")
    assert served(answer, "6.4.0-10-default") == ("acme-kmp-default-3.0_k6.4.0_10-1.x86_64", "native")


def test_of_builds_made_for_others_the_newest_serves() -> None:
    one = Kmp(name="acme", krel="6.4.0-5", version="1.0", symbols="a=1", modules="acme.ko")
    two = Kmp(name="acme", krel="6.4.0-10", version="2.0", symbols="a=1", modules="acme.ko")
    answer = plan([OLD, one, two], [Kernel(release="20.1", ksyms="a=1")])
    assert decided(answer) == ("reuse", "acme-kmp-default-2.0_k6.4.0_10-1.x86_64")
    assert served(answer, "6.4.0-20-default") == ("acme-kmp-default-2.0_k6.4.0_10-1.x86_64", "weak-updates")


@pytest.mark.parametrize(
    ("modules", "shadows"),
    [("acme.ko", True), ("acme.ko acme_x.ko", True), ("", True), ("other.ko", False)],
)
def test_what_stands_in_the_kernel_s_own_folder_is_loaded_before_a_link(modules: str, shadows: bool) -> None:
    """Whether it works or not, if it has a module of the same name; so it goes where a link is to serve."""
    kernel = Kernel(release="20.1", ksyms="a=1 b=1", modules="other.ko")
    stale = Kmp(name="acme", krel="6.4.0-20", version="2.0", symbols="b=1", modules=modules)
    target = replace(kernel, release="20.2", ksyms="a=1", obsoletes="kernel-default = 6.4.0-20.1")
    linked = replace(ACME, modules="acme.ko acme_x.ko")
    fallback = replace(OLD, ksyms="a=1 b=1", modules="other.ko")
    answer = plan([fallback, kernel, linked, stale, EDITOR], [target], kernel="6.4.0-20.2")
    chosen = "acme-kmp-default-1.0_k6.4.0_10-1.x86_64"
    assert (answer["verdict"], decided(answer)) == ("safe", ("reuse", chosen))
    erased = {step["nevra"] for step in answer["transaction"] if step["action"] == "erase"}
    assert ("acme-kmp-default-2.0_k6.4.0_20-1.x86_64" in erased) == shadows
    warned = [w["message"] for w in answer["flavors"][0]["warnings"] if w["reference"] == "removed"]
    assert len(warned) == shadows
    assert all("acme-kmp-default-2.0_k6.4.0_20-1.x86_64" in message for message in warned)


def test_a_kernel_whose_own_build_does_not_work_is_without_the_driver() -> None:
    """The boot matrix of a kernel that nothing is done about, where an older build would fit."""
    stale = Kmp(name="acme", krel="6.4.0-15", version="2.0", symbols="b=1", modules="acme.ko")
    first = replace(OLD, ksyms="a=1 b=1")
    answer = plan(
        [first, Kernel(release="15.1", ksyms="a=1"), ACME, stale], [Kernel(release="20.1", ksyms="a=1")]
    )
    assert served(answer, "6.4.0-15-default") == (None, "none")
    assert served(answer, "6.4.0-10-default")[1] == "native"
    assert served(answer, "6.4.0-20-default") == ("acme-kmp-default-1.0_k6.4.0_10-1.x86_64", "weak-updates")


def test_at_rest_a_kernel_loads_its_own_build_and_not_the_one_that_another_kmp_needs() -> None:
    """With nothing new the one that is in the way goes, and the boot matrix says so."""
    own = Kmp(name="acme", krel="6.4.0-10", version="2.0", symbols="a=1", modules="acme.ko")
    older = Kmp(name="acme", krel="6.4.0-5", symbols="a=1", exports="s=1", modules="acme.ko")
    beta = Kmp(name="beta", krel="6.4.0-10", symbols="a=1 s=1", modules="beta.ko")
    answer = plan([OLD, own, older, beta], [])
    assert answer["verdict"] == "safe"
    assert answer["transaction"] == [
        {"action": "erase", "nevra": "acme-kmp-default-2.0_k6.4.0_10-1.x86_64", "repository": None}
    ]
    assert decided(answer, "beta-kmp-default")[0] == "reuse"
    assert served(answer, "6.4.0-10-default") == ("acme-kmp-default-1.0_k6.4.0_5-1.x86_64", "weak-updates")
    again = plan([OLD, older, beta], [])
    assert (again["verdict"], again["transaction"]) == ("nothing-to-do", [])


def test_what_a_kernel_loads_is_whole_only_with_what_it_loads_of_others() -> None:
    """A build linked for its version takes a symbol away; then what needs it serves nobody there."""
    fallback = Kernel(release="15.1", ksyms="a=1")
    one = Kmp(name="acme", krel="6.4.0-5", symbols="a=1", exports="s=1", modules="acme.ko")
    two = replace(one, krel="6.4.0-10", version="2.0", exports="")
    beta = Kmp(name="beta", krel="6.4.0-10", symbols="a=1 s=1", modules="beta.ko")
    answer = plan([OLD, fallback, one, two, beta], [], kernel="6.4.0-10.1")
    assert served(answer, "6.4.0-15-default", "beta-kmp-default")[0] is not None
    assert answer["transaction"] != []
    removed = [w for w in answer["flavors"][0]["warnings"] if w["reference"] == "removed"]
    assert [step["nevra"] in removed[0]["message"] for step in answer["transaction"]] == [True]


def test_a_broken_kmp_takes_no_decision_from_one_that_counts() -> None:
    """Neither is better by the contract; what nobody loses by stays as it is."""
    broken = Kmp(name="beta", krel="6.4.0-10", symbols="a=7", modules="beta.ko")
    both = replace(
        ACME, name="acme-ng", modules="acme.ko beta.ko", obsoletes="acme-kmp-default; beta-kmp-default"
    )
    answer = plan([OLD, ACME, broken], [Kernel(release="20.1", ksyms="a=1"), both])
    assert decided(answer)[0] == "reuse"
    assert decided(answer, "beta-kmp-default") == ("blocked", None)


def test_a_broken_kmp_is_not_mended_where_that_is_refused() -> None:
    """Rpm removes what needed its old build, which user space wants to stay; it is left as it is."""
    lender = replace(ACME, symbols="a=7", exports="s=1", multiversion=False)
    broken = Kmp(name="beta", krel="6.4.0-10", symbols="s=1", modules="beta.ko")
    tool = Tool(name="beta-tools", requires="beta-kmp = 1.0")
    offered: list[Noun] = [NEW, replace(REBUILD, multiversion=False)]
    answer = plan([OLD, lender, broken, tool], offered)
    assert (answer["verdict"], decided(answer)) == ("safe", ("blocked", None))
    assert [step["nevra"] for step in answer["transaction"]] == [NEW.spec().nevra]
    assert answer["flavors"][0]["newest_safe"] == NEW.spec().nevra
    assert decided(plan([OLD, lender, broken, EDITOR], offered)) == FETCHED


def test_a_broken_kmp_in_the_way_is_removed_and_told() -> None:
    lender = replace(ACME, exports="s=1", multiversion=False)
    broken = Kmp(name="beta", krel="6.4.0-10", symbols="a=7 s=1", modules="beta.ko")
    answer = plan([OLD, lender, broken], [NEW, replace(REBUILD, multiversion=False)])
    assert (answer["verdict"], decided(answer)) == ("safe", FETCHED)
    assert decided(answer, "beta-kmp-default") == ("blocked", None)
    removed = [w["message"] for w in answer["flavors"][0]["warnings"] if w["reference"] == "removed"]
    assert removed == ["the update removes beta-kmp-default, which does not work on the kernel"]


@pytest.mark.parametrize("said_by", ["installed", "fetched"])
@pytest.mark.parametrize("absorbed", ["", " beta.ko"], ids=["broken", "builtin"])
def test_a_build_that_excludes_an_installed_kmp_is_not_fetched(said_by: str, absorbed: str) -> None:
    """Whichever of the two says so: a KMP that the kernel cannot use is not removed for another one."""
    beta = Kmp(name="beta", krel="6.4.0-10", symbols="a=1" if absorbed else "a=7", modules="beta.ko")
    build = REBUILD
    if said_by == "installed":
        beta = replace(beta, conflicts="acme-kmp = 2.0")
    else:
        build = replace(REBUILD, conflicts="beta-kmp-default")
    target = replace(NEW, modules="loop.ko" + absorbed)
    answer = plan([OLD, ACME, beta, EDITOR], [target, build])
    assert (answer["verdict"], decided(answer)) == ("blocked", ("blocked", None))
    assert [cause["kind"] for cause in answer["flavors"][0]["kmps"][0]["causes"]] == ["conflict"]


@pytest.mark.parametrize("vendor", [ACME.vendor, SUSE], ids=["same vendor", "another vendor"])
@pytest.mark.parametrize("symbols", ["a=1", "a=7"], ids=["lost", "broken"])
def test_a_build_that_removes_another_kmp_without_replacing_it_is_not_fetched(
    vendor: str, symbols: str
) -> None:
    """Who may not replace the other one, being of another vendor, may not remove it either."""
    beta = Kmp(name="beta", krel="6.4.0-10", symbols=symbols, modules="beta.ko")
    acme, build = (replace(kmp, vendor=vendor) for kmp in (ACME, REBUILD))
    build = replace(build, obsoletes="beta-kmp-default")
    answer = plan([OLD, acme, beta, EDITOR], [NEW, build])
    assert (answer["verdict"], decided(answer)) == ("blocked", ("blocked", None))
    kmp = answer["flavors"][0]["kmps"][0]
    (cause,) = kmp["causes"]
    assert cause["kind"] == "conflict"
    assert "obsoletes beta-kmp-default-1.0_k6.4.0_10-1.x86_64" in cause["message"]
    assert {tried["cause"] for tried in kmp["tried"]} == {"symbols", "conflict"}


def test_a_kmp_that_excludes_the_kernel_takes_no_other_one_along() -> None:
    beta = Kmp(
        name="beta", krel="6.4.0-10", symbols="a=1", modules="beta.ko", conflicts="kernel-default > 6.4.0-15"
    )
    answer = plan([OLD, ACME, beta, EDITOR], [NEW, REBUILD])
    assert (answer["verdict"], decided(answer)) == ("blocked", FETCHED)
    assert decided(answer, "beta-kmp-default") == ("blocked", None)


def test_a_kmp_that_is_added_counts_in_the_boot_matrix() -> None:
    build = Kmp(name="acme", krel="6.4.0-20", version="2.0", symbols="a=2 core=7", modules="acme.ko")
    core = Kmp(name="acme-core", krel="6.4.0-20", symbols="a=2", exports="core=7", modules="core.ko")
    answer = plan([OLD, ACME], [NEW, build, core])
    assert decided(answer) == ("fetch", "acme-kmp-default-2.0_k6.4.0_20-1.x86_64")
    assert {step["nevra"] for step in answer["transaction"]} == {
        "acme-core-kmp-default-1.0_k6.4.0_20-1.x86_64",
        "acme-kmp-default-2.0_k6.4.0_20-1.x86_64",
        "kernel-default-6.4.0-20.1.x86_64",
    }
    assert served(answer, "6.4.0-20-default") == ("acme-kmp-default-2.0_k6.4.0_20-1.x86_64", "native")
    assert served(answer, "6.4.0-10-default") == ("acme-kmp-default-1.0_k6.4.0_10-1.x86_64", "native")


def test_a_fallback_kernel_may_need_a_kmp_that_is_added() -> None:
    """The build that came for the new kernel fits the old one as well, together with what came along."""
    first = Kernel(release="10.1", ksyms="a=1 b=1")
    build = Kmp(name="acme", krel="6.4.0-20", version="2.0", symbols="b=1 core=7", modules="acme.ko")
    core = Kmp(name="acme-core", krel="6.4.0-20", symbols="b=1", exports="core=7", modules="core.ko")
    old = Kmp(name="acme", krel="6.4.0-10", symbols="a=1", modules="acme.ko", multiversion=False)
    answer = plan(
        [first, old], [Kernel(release="20.1", ksyms="a=2 b=1"), replace(build, multiversion=False), core]
    )
    assert decided(answer) == ("fetch", "acme-kmp-default-2.0_k6.4.0_20-1.x86_64")
    chosen = "acme-kmp-default-2.0_k6.4.0_20-1.x86_64"
    assert served(answer, "6.4.0-20-default") == (chosen, "native")
    assert served(answer, "6.4.0-10-default") == (chosen, "weak-updates")


# -- a KMP that was split in two -------------------------------------------------------------------------------

WHOLE = replace(ACME, modules="acme.ko acme_x.ko")


def part(name: str, modules: str, obsoletes: str = "", symbols: str = "a=2", **more: Any) -> Kmp:
    return Kmp(
        name=name,
        krel="6.4.0-20",
        version="2.0",
        symbols=symbols,
        modules=modules,
        obsoletes=obsoletes,
        **more,
    )


@pytest.mark.parametrize(
    ("one", "obsoletes", "multiversion"),
    [
        ("acme", "acme-kmp-default < 2.0", True),
        ("acme_core", "acme-kmp-default", True),
        ("acme_core", "acme-kmp-default < 2.0", True),
        ("acme_core", "acme-kmp-default", False),
    ],
)
def test_both_parts_of_a_split_kmp_come(one: str, obsoletes: str, multiversion: bool) -> None:
    """Each replaces the old name, and only together they have its modules."""
    old = replace(WHOLE, multiversion=multiversion)
    offered: list[Noun] = [
        part(one, "acme.ko", "" if one == "acme" else obsoletes, multiversion=multiversion),
        part("acme_x", "acme_x.ko", obsoletes, multiversion=multiversion),
    ]
    answer = plan([OLD, old, EDITOR], [NEW, *offered])
    assert (answer["verdict"], *decided(answer)) == ("safe", "fetch", offered[0].spec().nevra)
    arriving = {step["nevra"] for step in answer["transaction"] if step["action"] != "erase"}
    assert arriving == {noun.spec().nevra for noun in (NEW, *offered)}


@pytest.mark.parametrize("multiversion", [True, False])
@pytest.mark.parametrize("moved", ["acme_x.ko", ""])
def test_a_kmp_that_takes_over_a_part_of_another_one_serves_both(moved: str, multiversion: bool) -> None:
    """Obsoletes name the builds from before the part moved: both KMPs go on in their newer builds."""
    beta = Kmp(name="beta", krel="6.4.0-10", symbols="a=1", modules="beta.ko", multiversion=multiversion)
    old = replace(WHOLE if moved else ACME, multiversion=multiversion)
    left = part("acme", "acme.ko", multiversion=multiversion)
    taking = part("beta", f"beta.ko {moved}", "acme-kmp-default < 2.0", multiversion=multiversion)
    answer = plan([OLD, old, beta, EDITOR], [NEW, left, taking])
    assert (answer["verdict"], *decided(answer)) == ("safe", "fetch", left.spec().nevra)
    assert decided(answer, "beta-kmp-default") == ("fetch", taking.spec().nevra)


@pytest.mark.parametrize("lacking", ["one", "other", "both"])
def test_a_part_of_a_split_kmp_without_symbol_versions(lacking: str) -> None:
    """It may be what is chosen; it is never added beside that."""
    one = part("acme", "acme.ko", symbols="" if lacking in ("one", "both") else "a=2")
    symbols = "" if lacking in ("other", "both") else "a=2"
    other = part("acme_x", "acme_x.ko", "acme-kmp-default < 2.0", symbols)
    answer = plan([OLD, WHOLE, EDITOR], [NEW, one, other])
    assert answer["verdict"] == ("unverified" if lacking == "one" else "blocked")
    assert decided(answer)[0] == answer["verdict"]


def test_two_parts_that_only_together_serve_two_kmps_serve_none() -> None:
    """Another KMP needs what one part exports, and the other part has no symbol versions."""
    whole = replace(WHOLE, exports="x=1")
    needy = Kmp(name="beta", krel="6.4.0-10", symbols="x=1", modules="beta.ko")
    one = part("acme", "acme.ko", exports="x=1")
    other = part("acme_x", "acme_x.ko", "acme-kmp-default < 2.0", "")
    answer = plan([OLD, whole, needy, EDITOR], [NEW, one, other])
    assert answer["verdict"] == "blocked"


# -- without symbol versions ----------------------------------------------------------------------------------


def test_headers_make_nobody_rebuild_who_does_not() -> None:
    headers: list[Noun] = [
        Tool(name="kernel-default-devel", version="6.4.0", release="10.1"),
        Tool(name="kernel-default-devel", version="6.4.0", release="20.1"),
    ]
    answer = plan([OLD, BARE, headers[0]], [NEW, headers[1]])
    assert decided(answer, "bare-kmp-default") == ("unverified", "bare-kmp-default-1.0_k6.4.0_10-1.x86_64")


def test_without_symbol_versions_the_newest_or_the_native_build_may_serve() -> None:
    other = Kmp(name="bare", krel="6.4.0-5", version="2.0", modules="bare.ko")
    answer = plan([OLD, BARE, other], [NEW])
    name = "bare-kmp-default"
    assert served(answer, "6.4.0-20-default", name) == ("bare-kmp-default-2.0_k6.4.0_5-1.x86_64", "unknown")
    assert served(answer, "6.4.0-10-default", name) == ("bare-kmp-default-1.0_k6.4.0_10-1.x86_64", "unknown")


@pytest.mark.parametrize(
    ("bare", "target", "kind", "said"),
    [
        (
            replace(BARE, requires="kernel-default = 6.4.0-10.1"),
            NEW,
            "missing",
            "kernel-default = 6.4.0-10.1",
        ),
        (BARE, replace(NEW, provides="n = 1"), "conflict", "conflicts with"),
    ],
)
def test_what_keeps_out_a_kmp_without_symbol_versions_is_told(
    bare: Kmp, target: Kernel, kind: str, said: str
) -> None:
    answer = plan([OLD, replace(bare, conflicts="n"), EDITOR], [target])
    (kmp,) = answer["flavors"][0]["kmps"]
    (cause,) = kmp["causes"]
    assert (kmp["decision"], cause["kind"]) == ("blocked", kind)
    assert said in cause["message"]
    assert "bare-kmp-default-1.0_k6.4.0_10-1.x86_64" in cause["packages"]


# -- user space ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("requires", ["{0}", "({0} if kernel-default)", "({0} or editor-x)"])
def test_what_requires_a_kernel_has_it_as_long_as_it_stays(requires: str) -> None:
    """PTFs require so that a package which is installed at all is theirs."""
    ptf = Tool(name="ptf-1", requires=requires.format("kernel-default = 6.4.0-10.1"))
    answer = plan([OLD, ACME, ptf], [NEW, REBUILD])
    assert (answer["verdict"], decided(answer)) == ("safe", FETCHED)
    replacing = Kernel(release="10.2", ksyms="a=1", obsoletes="kernel-default = 6.4.0-10.1")
    assert plan([OLD, ACME, ptf], [replacing], kernel="6.4.0-10.2")["verdict"] == "blocked"


def test_packages_that_stand_beside_each_other_may_do_so() -> None:
    """As kernel-default-devel does, which is neither kernel nor KMP."""
    both: list[Noun] = [
        Tool(name="kernel-default-devel", version=version, provides="multiversion(kernel)")
        for version in ("1", "2")
    ]
    answer = plan([OLD, ACME, *both], [NEW, REBUILD])
    assert decided(answer) == FETCHED
    assert [step["action"] for step in answer["transaction"]] == ["install", "install"]


@pytest.mark.parametrize(("locks", "verdict"), [([], "safe"), (["acme-tools == 1.0-1"], "blocked")])
def test_locked_user_space_goes_nowhere(locks: list[str], verdict: str) -> None:
    answer = plan(
        [OLD, ACME, Tool(name="acme-tools", requires="acme-kmp = 1.0")],
        [
            NEW,
            REBUILD,
            Tool(name="acme-tools", version="2.0", requires="acme-kmp = 2.0"),
        ],
        locks=locks,
    )
    assert answer["verdict"] == verdict
    causes = [cause["kind"] for cause in answer["flavors"][0]["kmps"][0]["causes"]]
    assert causes == (["user-space"] if locks else [])


@pytest.mark.parametrize(
    ("locks", "version"), [([], "2.0_k6.4.0_20"), (["acme-kmp-default"], "1.0_k6.4.0_10")]
)
def test_what_zypper_would_do_with_a_locked_kmp(locks: list[str], version: str) -> None:
    """Where it would be replaced, that is; the lock is on the installed build alone."""
    old, new = replace(ACME, multiversion=False), replace(REBUILD, symbols="a=1", multiversion=False)
    locked = [f"{name} == 1.0_k6.4.0_10-1" for name in locks]
    answer = plan([OLD, old, EDITOR], [replace(NEW, ksyms="a=1"), new], locks=locked)
    (would,) = answer["flavors"][0]["zypper_would"]["kmps"].values()
    assert would == f"acme-kmp-default-{version}-1.x86_64"


def test_what_packages_say_is_told_by_their_names() -> None:
    """Not in the order in which they were read."""
    tools = [
        Tool(name="acme-tools", version=version, requires="acme-kmp = 9.0") for version in ("3.0", "2.0")
    ]
    answer = plan([OLD, ACME, Tool(name="acme-tools", requires="acme-kmp = 1.0")], [NEW, REBUILD, *tools])
    message = answer["flavors"][0]["kmps"][0]["causes"][0]["message"]
    assert message.index("acme-tools-2.0") < message.index("acme-tools-3.0")


def test_a_flavor_is_blocked_by_what_another_one_needs() -> None:
    """Each could be updated by itself, but not both: that is not safe, with nothing to carry out."""
    rt: dict[str, Any] = {"flavor": "rt", "multiversion": False}
    installed: list[Noun] = [OLD, replace(OLD, flavor="rt"), ACME, replace(ACME, **rt), EDITOR]
    excluding = replace(REBUILD, conflicts="acme-kmp-rt = 2.0_k6.4.0_20-1")
    offered: list[Noun] = [NEW, replace(NEW, flavor="rt"), excluding, replace(REBUILD, **rt)]
    answer = plan(installed, offered)
    assert [flavor["verdict"] for flavor in answer["flavors"]] == ["safe", "blocked"]
    assert (answer["verdict"], answer["transaction"], answer["command"]) == ("blocked", [], None)
    (warning,) = [w for w in answer["flavors"][1]["warnings"] if w["reference"] == "conflict"]
    assert "acme-kmp-default-2.0_k6.4.0_20-1.x86_64" in warning["message"]
    for flavor in ("default", "rt"):
        others = [noun for noun in installed if isinstance(noun, Tool) or noun.flavor == flavor]
        assert plan(others, offered)["verdict"] == "safe"


@pytest.mark.parametrize("flavor", ["default", "rt"])
def test_what_is_bound_to_an_installed_kernel_keeps_it(flavor: str) -> None:
    """The kernel stays, beside the new one; neither that nor what was unmet before is in the way."""
    bound = Tool(name="crash", requires=f"kernel-{flavor} = 6.4.0-10.1; nowhere")
    answer = plan([OLD, replace(OLD, flavor="rt"), ACME, bound], [NEW, REBUILD])
    assert (answer["verdict"], decided(answer)) == ("safe", FETCHED)
    assert [step["action"] for step in answer["transaction"]] == ["install", "install"]


def in_tree(name: str, release: str, exports: str, requires: str = "") -> Tool:
    return Tool(
        name=f"{name}-kmp-default",
        version="6.4.0",
        release=release,
        provides=f"kmp_in_kernel; multiversion(kernel); kmod({name}.ko); ksym(default:{exports}",
        requires=f"kernel-default = 6.4.0-{release}; {requires}",
        vendor=SUSE,
    )


@pytest.mark.parametrize(
    ("offered", "decision"),
    [
        ([in_tree("dlm", "20.1", "lock) = d1")], "reuse"),
        ([in_tree("dlm", "20.1", "lock) = d2")], "blocked"),
        ([], "blocked"),
    ],
    ids=["as it was", "changed", "absent"],
)
def test_symbols_of_an_in_tree_kmp_are_the_kernels_own(offered: list[Noun], decision: str) -> None:
    """What works with it on one kernel is not broken, and loses it on a kernel that comes without."""
    user = replace(ACME, symbols="a=1 lock=d1")
    answer = plan([OLD, in_tree("dlm", "10.1", "lock) = d1"), user], [replace(NEW, ksyms="a=1"), *offered])
    assert decided(answer)[0] == decision
    assert answer["verdict"] == ("safe" if decision == "reuse" else "blocked"), "it counts: it worked before"
    names = {step["nevra"].partition("-6.4")[0] for step in answer["transaction"]}
    assert names == ({"kernel-default", "dlm-kmp-default"} if decision == "reuse" else set())
    assert [kmp["name"] for kmp in answer["flavors"][0]["kmps"]] == ["acme-kmp-default"]


@pytest.mark.parametrize(
    ("before", "beside", "told"),
    [
        ("", [], True),
        ("acme-tools < 2.2", [], False),
        ("", [Tool(name="acme-tools", version="2.3")], False),
    ],
    ids=["unknown", "absent before", "listed"],
)
def test_what_a_rebuild_excludes_of_a_user_space_that_nobody_lists(
    before: str, beside: list[Noun], told: bool
) -> None:
    """An inventory of kernels and KMPs cannot say that it is not there."""
    rebuilt = replace(REBUILD, conflicts="acme-tools < 2.2")
    answer = plan([OLD, replace(ACME, conflicts=before), *beside], [NEW, rebuilt])
    warnings = {w["reference"]: w["message"] for w in answer["flavors"][0]["warnings"]}
    assert answer["verdict"] == "safe"
    assert warnings.get("user-space-not-checked", "").endswith("taken as absent: acme-tools < 2.2") == told


def test_a_kmp_that_requires_the_package_of_one_kernel() -> None:
    """Its symbols fit; "nothing provides" a kernel that is installed would be no answer."""
    answer = plan(
        [OLD, replace(ACME, requires="kernel-default = 6.4.0-10.1")], [replace(NEW, ksyms=OLD.ksyms)]
    )
    (kmp,) = answer["flavors"][0]["kmps"]
    (cause,) = kmp["causes"]
    assert (kmp["decision"], cause["kind"]) == ("blocked", "missing")
    assert cause["message"].endswith("requires kernel-default = 6.4.0-10.1, which is another kernel")


def test_an_in_tree_kmp_that_is_not_installed_is_no_part_of_the_kernel() -> None:
    """Who needs its symbols does not work today, and an update brings nothing that nobody has."""
    answer = plan([OLD, replace(ACME, symbols="a=1 lock=d1")], [NEW, in_tree("dlm", "20.1", "lock) = d1")])
    (kmp,) = answer["flavors"][0]["kmps"]
    assert (kmp["decision"], [cause["kind"] for cause in kmp["causes"]]) == ("blocked", ["already-broken"])
    assert (answer["verdict"], len(answer["transaction"])) == ("safe", 1)


def test_an_in_tree_kmp_brings_the_one_that_it_needs() -> None:
    old, new = (
        [in_tree("dlm", n, "lock) = d1"), in_tree("md", n, "md) = e1", "ksym(default:lock) = d1")]
        for n in ("10.1", "20.1")
    )
    user = replace(ACME, symbols="md=e1")
    answer = plan([OLD, *old, user], [NEW, *new])
    assert (answer["verdict"], len(answer["transaction"])) == ("safe", 3)
    assert plan([OLD, *old, user], [NEW, new[1]])["verdict"] == "blocked"


@pytest.mark.parametrize(
    ("offered", "installed", "told"),
    [
        (["20.1"], [], ["add dlm-kmp-default=6.4.0-20.1"]),
        (["19.1"], [], ["no repository has it for this one"]),
        (["20.1"], ["20.1"], []),
    ],
)
def test_an_in_tree_kmp_that_nobody_needs_is_told_and_left(
    offered: list[str], installed: list[str], told: list[str]
) -> None:
    dlm = {n: in_tree("dlm", n, f"lock) = d{n[:2]}") for n in ("10.1", "19.1", "20.1")}
    there: list[Noun] = [OLD, ACME, dlm["10.1"], *(dlm[n] for n in installed)]
    answer = plan(there, [NEW, REBUILD, *(dlm[n] for n in offered)])
    assert (answer["verdict"], len(answer["transaction"])) == ("safe", 2)
    warnings = [w for w in answer["flavors"][0]["warnings"] if w["reference"] == "in-tree-left-behind"]
    assert [w["message"].rpartition(": ")[2] for w in warnings] == told


# -- what a build requires beside the kernel's symbols ---------------------------------------------------------


def test_a_damaged_requirement_that_a_kernel_happens_to_meet_does_not_bind_to_it() -> None:
    damaged = replace(ACME, requires="modversions")
    answer = plan([replace(OLD, provides="modversions"), damaged, EDITOR], [replace(NEW, ksyms="a=1")])
    assert decided(answer) == ("reuse", "acme-kmp-default-1.0_k6.4.0_10-1.x86_64")


def test_a_build_that_rpm_could_not_install_is_not_chosen() -> None:
    """To rpm CRCs are versions, and ``0abc01de`` is not ``abc01de``; the next build is written as it should be."""
    other = replace(REBUILD, version="1.9", symbols="a=0abc01de")
    offered: list[Noun] = [replace(NEW, ksyms="a=0abc01de"), replace(REBUILD, symbols="a=abc01de")]
    answer = plan([OLD, ACME, EDITOR], offered)
    assert decided(answer) == ("blocked", None)
    assert [cause["kind"] for cause in answer["flavors"][0]["kmps"][0]["causes"]] == ["missing"]
    answer = plan([OLD, ACME, EDITOR], [*offered, other])
    assert (answer["verdict"], decided(answer)[1]) == ("safe", "acme-kmp-default-1.9_k6.4.0_20-1.x86_64")


@pytest.mark.parametrize(
    ("is_installed", "vendor", "verdict"),
    [(True, "Other GmbH", "safe"), (False, "ACME Inc.", "safe"), (False, "Other GmbH", "blocked")],
)
def test_whose_symbols_a_build_may_use(is_installed: bool, vendor: str, verdict: str) -> None:
    """Those of an installed KMP, whoever made it; a new one comes in from the same vendor only."""
    core = Kmp(name="core", krel="6.4.0-10", symbols="a=1", exports="s=1", modules="core.ko", vendor=vendor)
    installed: list[Noun] = [OLD, ACME, EDITOR, *([core] if is_installed else [])]
    rebuilt = replace(core, krel="6.4.0-20", version="2.0", symbols="a=2", exports="s=2")
    answer = plan(installed, [NEW, replace(REBUILD, symbols="a=2 s=2"), rebuilt])
    assert answer["verdict"] == verdict
    assert decided(answer) == (FETCHED if verdict == "safe" else ("blocked", None))


def test_an_extra_comes_from_the_repository_of_the_best_priority() -> None:
    """As zypper takes it, whatever repository the kernel is from."""
    extra = KernelExtra(release="20.1", modules="x.ko")
    kernels = Repository(alias="r1", packages=[NEW, extra])
    better = Repository(alias="r2", packages=[extra], priority=90)
    answer = plan_of(
        World(installed=[OLD, KernelExtra(release="10.1", modules="x.ko")], repositories=[kernels, better])
    )
    assert [(step["nevra"], step["repository"]) for step in answer["transaction"]] == [
        ("kernel-default-6.4.0-20.1.x86_64", "r1"),
        ("kernel-default-extra-6.4.0-20.1.x86_64", "r2"),
    ]


def test_an_added_kmp_comes_from_the_repository_of_the_best_priority() -> None:
    build = replace(REBUILD, symbols="a=2 core=7")
    core = Kmp(name="acme-core", krel="6.4.0-20", symbols="a=2", exports="core=7", modules="core.ko")
    repositories = [
        Repository(alias="r1", packages=[NEW, build, core]),
        Repository(alias="r2", packages=[core], priority=50),
    ]
    answer = plan_of(World(installed=[OLD, ACME], repositories=repositories))
    taken = {step["nevra"]: step["repository"] for step in answer["transaction"]}
    assert taken["acme-core-kmp-default-1.0_k6.4.0_20-1.x86_64"] == "r2"


def test_a_build_with_a_damaged_requirement_serves_only_where_it_is_installed() -> None:
    """What looks like a symbol and is none holds nothing up; but zypper installs nothing that lacks something."""
    damaged = replace(ACME, requires="ksym(x")
    assert decided(plan([OLD, damaged, EDITOR], [replace(NEW, ksyms=OLD.ksyms)])) == (
        "reuse",
        "acme-kmp-default-1.0_k6.4.0_10-1.x86_64",
    )
    answer = plan([OLD, ACME, EDITOR], [NEW, replace(REBUILD, requires="ksym(x")])
    assert (answer["verdict"], decided(answer)) == ("blocked", ("blocked", None))


def test_a_kmp_that_is_given_up_for_user_space_gives_no_other_one_its_symbols() -> None:
    """Its new build does not keep the tool that is bound to the old one, and the other KMP needs the new one."""
    core = Kmp(name="core", krel="6.4.0-10", symbols="a=1", exports="s=1", modules="core.ko")
    user = Kmp(name="user", krel="6.4.0-10", symbols="a=1 s=1", modules="user.ko")
    rebuilt = [
        replace(core, krel="6.4.0-20", version="2.0", symbols="a=2", exports="s=2"),
        replace(user, krel="6.4.0-20", version="2.0", symbols="a=2 s=2"),
    ]
    answer = plan([OLD, core, user, Tool(name="tool", requires="core-kmp = 1.0")], [NEW, *rebuilt])
    assert answer["verdict"] == "blocked"
    assert [kmp["decision"] for kmp in answer["flavors"][0]["kmps"]] == ["blocked", "blocked"]


def test_user_space_that_may_stand_beside_itself_stays_so() -> None:
    both: list[Noun] = [
        Tool(name="tool", version=version, requires="acme-kmp", provides="multiversion(kernel)")
        for version in ("1", "2")
    ]
    answer = plan([OLD, ACME, *both], [NEW, REBUILD])
    assert decided(answer) == FETCHED
    assert [step["action"] for step in answer["transaction"]] == ["install", "install"]


def test_what_an_installed_build_requires_of_user_space_holds_on_the_target() -> None:
    old, new = replace(OLD, ksyms="a=1 b=1"), replace(NEW, ksyms="a=1 b=2")
    bound = replace(ACME, requires="tool = 1.0-1")
    other = Kmp(name="other", krel="6.4.0-10", symbols="b=1", modules="other.ko")
    rebuilt = replace(other, krel="6.4.0-20", version="2.0", symbols="b=2", requires="tool = 2.0-1")
    tool = Tool(name="tool")
    offered: list[Noun] = [new, rebuilt, replace(tool, version="2.0")]
    answer = plan([old, bound, other, tool], offered)
    assert answer["verdict"] == "blocked"
    assert "blocked" in {kmp["decision"] for kmp in answer["flavors"][0]["kmps"]}
    assert plan([old, ACME, other, tool], offered)["verdict"] == "safe"


def test_a_kernel_that_replaces_locked_user_space_cannot_be_installed() -> None:
    """Which the kernel's own solve finds out, before the transaction is asked."""
    answer = plan([OLD, EDITOR], [replace(NEW, obsoletes="editor")], locks=["editor"])
    told = [w["message"] for w in answer["flavors"][0]["warnings"] if w["reference"] == "conflict"]
    assert answer["verdict"] == "blocked"
    assert any("editor" in message and "would refuse" not in message for message in told)


@pytest.mark.parametrize(
    ("running", "told"),
    [
        (None, ["running-retracted"]),
        ("6.4.0-20-default", ["running-retracted"]),
        ("6.4.0-10-default", []),
    ],
)
def test_who_runs_a_retracted_kernel_is_told(running: str | None, told: list[str]) -> None:
    of = World(
        installed=[OLD, NEW, ACME],
        repositories=[Repository(alias="r", packages=[NEW], retracted=["kernel-default-6.4.0-20.1.x86_64"])],
        running=running,
    )
    warnings = [warning["reference"] for warning in plan_of(of)["flavors"][0]["warnings"]]
    assert [reference for reference in warnings if "retracted" in reference] == told


@pytest.mark.parametrize(
    ("waived", "told"),
    [
        ("acme-*", {("default",), ("rt",)}),
        ("none-*", {("default", "waiver-unused"), ("rt", "waiver-unused")}),
    ],
)
def test_a_waiver_for_another_flavor_s_kmp_is_used(
    waived: str, told: set[tuple[str, ...]], tmp_path: Path
) -> None:
    of = World(
        installed=[OLD, ACME, replace(OLD, flavor="rt"), replace(ACME, name="tape", flavor="rt")],
        repositories=[Repository(alias="r", packages=[NEW])],
    )
    config = tmp_path / "kmpsolve.toml"
    config.write_text(f'[[waiver]]\nkmp = "{waived}"\nreason = "spare"\nexpires = 2099-01-01\n')
    flavors = kmpsolve.plan(**lay_out(of, tmp_path), config=config).flavors
    assert {
        (flavor.flavor, *(warning.reference for warning in flavor.warnings)) for flavor in flavors
    } == told


LOCKED = "acme-kmp-default == 1.0_k6.4.0_10-1"


@pytest.mark.parametrize(
    "offered",
    [
        replace(REBUILD, multiversion=False),
        Kmp(name="new", krel="6.4.0-20", symbols="a=2", modules="acme.ko", obsoletes="acme-kmp-default"),
        replace(REBUILD, conflicts="acme-kmp = 1.0"),
    ],
    ids=["replaces", "obsoletes", "conflicts"],
)
def test_what_a_locked_build_keeps_out_is_not_fetched(offered: Kmp) -> None:
    answer = plan([OLD, ACME], [NEW, offered], locks=[LOCKED])
    assert decided(answer) == ("blocked", None)
    (flavor,) = answer["flavors"]
    assert [cause["kind"] for cause in flavor["kmps"][0]["causes"]] == ["symbols", "lock"]
    assert "lock" in [way["kind"] for way in flavor["ways_out"]]
    beside = replace(REBUILD, version="1.5")
    answer = plan([OLD, ACME], [NEW, offered, beside], locks=[LOCKED])
    assert decided(answer) == ("fetch", beside.spec().nevra)


@pytest.mark.parametrize(
    ("required", "verdict"),
    [
        ("fs-tools = 2", "safe"),
        ("kernel-firmware-fs", "safe"),
        ("kernel-default-base = 6.4.0-20.1", "blocked"),
        ("fs-kmp = 2", "blocked"),
        ("kmod(fs.ko)", "blocked"),
    ],
)
def test_an_inventory_of_kernels_and_kmps_has_no_others_of_these(required: str, verdict: str) -> None:
    assert plan([OLD, ACME], [NEW, replace(REBUILD, requires=required)])["verdict"] == verdict


def test_a_module_that_only_a_blocked_kmp_brings_is_the_cause() -> None:
    acme = replace(ACME, modules="acme.ko acme_x.ko")
    corp = Kmp(name="corp", krel="6.4.0-10", symbols="a=1", modules="corp.ko corp_x.ko")
    rebuilt = replace(REBUILD, modules="acme.ko")
    moved = Kmp(name="corp", krel="6.4.0-20", version="2.0", symbols="a=2", modules="acme_x.ko corp.ko")
    (flavor,) = plan([OLD, acme, corp], [NEW, rebuilt, moved])["flavors"]
    told = {
        kmp["name"]: [(cause["kind"], cause["packages"]) for cause in kmp["causes"]] for kmp in flavor["kmps"]
    }
    assert told == {
        "acme-kmp-default": [("module-dropped", ["acme_x.ko"])],
        "corp-kmp-default": [("module-dropped", ["corp_x.ko"])],
    }
