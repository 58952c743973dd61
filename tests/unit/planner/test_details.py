"""Why a KMP is blocked, which builds were tried, and what is warned of: everything but the decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import kmpsolve
from kmpsolve.model.plan import KmpPlan
from tests.property.acceptance import plan_of
from tests.property.cases import acme, beta, kernel
from tests.support import repository
from tests.support.worlds import Noun, Repository, Tool, World
from tests.unit.planner.test_planning import only, planned

OTHER = "Other GmbH"


def told(
    folder: Path, installed: Sequence[Any], offered: Sequence[Any], name: str = "acme", **asked: Any
) -> KmpPlan:
    found = only(planned(folder, installed, offered, **asked))
    (kmp,) = (kmp for kmp in found.kmps if kmp.name == f"{name}-kmp-default")
    return kmp


def kinds(kmp: KmpPlan) -> list[str]:
    assert kmp.decision == "blocked"
    assert all(cause.message and "kmpsolve" not in cause.message for cause in kmp.causes)
    return [cause.kind for cause in kmp.causes]


def missed(kmp: KmpPlan) -> list[tuple[str, str, str | None]]:
    return [(m.symbol, m.kind, m.found) for m in kmp.mismatches]


def tried(kmp: KmpPlan) -> dict[str, tuple[int, str | None]]:
    return {
        a.nevra.removeprefix("kmp-").partition("_")[0].replace("-kmp-default", ""): (a.mismatches, a.cause)
        for a in kmp.tried
    }


# -- whose symbols a build misses -----------------------------------------------------------------------------

OLD = kernel(1, "a=1 b=1 c=5")
NEW = kernel(2, "a=1 b=2")
USER = beta(symbols="b=1 c=5")


@pytest.mark.parametrize(
    ("others", "found"),
    [
        ([], [("b", "disagrees", "2"), ("c", "unknown", None)]),
        ([acme(exports="c=5")], [("b", "disagrees", "2")]),
        ([acme(exports="c=6")], [("b", "disagrees", "2"), ("c", "disagrees", "6")]),
        ([acme(symbols="", exports="c=5")], [("b", "disagrees", "2"), ("c", "unknown", "5")]),
        ([acme(symbols="b=1", exports="c=5")], [("b", "disagrees", "2"), ("c", "unknown", "5")]),
    ],
)
def test_symbols_of_the_build_that_serves(tmp_path: Path, others: list[Noun], found: list[Any]) -> None:
    """One that nobody can verify, or that does not work, gives none, but knows their names."""
    assert missed(told(tmp_path, [OLD, USER, *others], [NEW], "beta")) == found


CORE = acme("1.0", name="core", exports="c=5", modules="core.ko", krel="6.4.0-20")


@pytest.mark.parametrize(
    ("offered", "found", "causes"),
    [
        ([CORE], [("b", "disagrees", "2")], ["symbols"]),
        (
            [CORE, acme("2.0", "a=9", name="core", exports="c=6", modules="core.ko", krel="6.4.0-20")],
            [("b", "disagrees", "2")],
            ["symbols"],
        ),
        (
            [acme("2.0", "a=9", name="core", exports="c=5", modules="core.ko", krel="6.4.0-20")],
            [("b", "disagrees", "2"), ("c", "unknown", "5")],
            ["symbols", "kmp"],
        ),
    ],
)
def test_symbols_of_a_kmp_that_could_be_added(
    tmp_path: Path, offered: list[Noun], found: list[Any], causes: list[str]
) -> None:
    """Of its builds the one that fits counts."""
    kmp = told(tmp_path, [OLD, USER], [NEW, *offered], "beta")
    assert (missed(kmp), kinds(kmp)) == (found, causes)
    named = [cause.packages for cause in kmp.causes if cause.kind == "kmp"]
    assert named in ([], [("core-kmp-default",)])


def test_symbols_of_a_kmp_that_is_added(tmp_path: Path) -> None:
    installed = [OLD, USER, acme(symbols="b=1")]
    kmp = told(tmp_path, installed, [NEW, CORE, acme("2.0", "b=2 c=5", krel="6.4.0-20")], "beta")
    assert missed(kmp) == [("b", "disagrees", "2")]


def test_symbols_of_the_build_that_is_added(tmp_path: Path) -> None:
    """Not of a better one that nobody can use."""
    newer = acme("2.0", name="core", exports="c=6", modules="core.ko", krel="6.4.0-20")
    installed = [OLD, beta(symbols="b=1 c=6"), acme(symbols="b=1")]
    offered = [NEW, CORE, newer, acme("2.0", "b=2 c=5", krel="6.4.0-20")]
    kmp = told(tmp_path, installed, offered, "beta")
    assert missed(kmp) == [("b", "disagrees", "2"), ("c", "disagrees", "5")]


def test_what_fits_and_is_kept_out_is_not_what_is_broken(tmp_path: Path) -> None:
    lonely = acme("2.0", conflicts="tool", krel="6.4.0-20")
    kmp = told(tmp_path, [kernel(1), acme(symbols="a=9"), Tool(name="tool")], [kernel(2), lonely])
    assert kinds(kmp) == ["already-broken"]
    assert tried(kmp) == {"acme-1.0": (1, "symbols"), "acme-2.0": (0, None)}


@pytest.mark.parametrize("beside", [[], [acme(symbols="b=1", name="corp", modules="corp.ko")]])
def test_which_build_of_a_lost_kmp_its_symbols_are_looked_up_in(tmp_path: Path, beside: list[Noun]) -> None:
    """The one that comes closest, not the installed one."""
    installed = [kernel(1, "a=1 b=1 c=1"), acme(symbols="b=1 c=1"), beta(), *beside]
    closer = acme("2.0", "b=1", exports="s=6", krel="6.4.0-20")
    older = beta("0.9", "a=1 s=5", krel="6.4.0-9")
    kmp = told(tmp_path, installed, [kernel(2, "a=1 b=2 c=2"), closer, older], "beta")
    assert tried(kmp) == {"beta-0.9": (1, "kmp"), "beta-1.0": (0, None)}


def test_symbols_are_looked_up_neither_in_what_replaces_a_build_nor_in_its_other_builds(
    tmp_path: Path,
) -> None:
    """Not even where these serve under the name of another KMP."""
    both = {"obsoletes": "acme-kmp-default; beta-kmp-default", "modules": "acme.ko beta.ko", "name": "nova"}
    offered = [
        kernel(2, "a=2"),
        acme("2.0", "a=2", exports="s=5", **both),
        acme("1.0", "a=2 s=5", **both),
    ]
    kmp = told(tmp_path / "one", [kernel(1), acme(symbols="a=1 s=5")], offered)
    assert (kmp.decision, kmp.chosen) == ("fetch", "nova-kmp-default-2.0_k6.4.0_10-1.x86_64")
    assert kmp.symbols_required == 1
    assert tried(kmp) == {"acme-1.0": (2, "symbols"), "nova-1.0": (1, "symbols"), "nova-2.0": (0, None)}
    kmp = told(tmp_path / "two", [kernel(1), acme(), beta()], offered)
    assert tried(kmp)["nova-1.0"] == (1, "symbols")


def test_a_symset_with_the_name_of_a_symbol(tmp_path: Path) -> None:
    """The kernel has the symbol, so no other KMP is to blame."""
    lender = beta(symbols="z=1", exports="x=1")
    installed = [kernel(1, "x=1 z=1", symsets="x=aa"), acme(symbols="x=1", symsets="x=aa"), lender]
    kmp = told(tmp_path, installed, [kernel(2, "x=2")])
    assert "1 changed, 1 gone" in kmp.causes[0].message


# -- builds tried ---------------------------------------------------------------------------------------------


def test_builds_tried_are_sorted_by_repository() -> None:
    build = acme("2.0", "a=2", krel="6.4.0-20")
    foreign = acme("2.0", "a=2", krel="6.4.0-20", vendor=OTHER)
    repositories = [
        Repository(alias="r2", packages=[kernel(2, "a=2"), build]),
        Repository(alias="r1", packages=[foreign]),
    ]
    said = plan_of(World(installed=[kernel(1), acme()], repositories=repositories))
    (kmp,) = said["flavors"][0]["kmps"]
    assert [(a["repository"], a["cause"]) for a in kmp["tried"]] == [
        (None, "symbols"),
        ("r1", "vendor"),
        ("r2", None),
    ]


def test_what_the_system_keeps_out_is_a_cause_only_for_what_fits(tmp_path: Path) -> None:
    """Nobody can tell whether the one without symbol versions does."""
    offered = [
        kernel(2, "a=2"),
        acme("2.0", "a=2", conflicts="editor", krel="6.4.0-20"),
        acme("3.0", "", conflicts="editor", krel="6.4.0-20"),
    ]
    kmp = told(tmp_path, [kernel(1), acme(), Tool(name="editor")], offered)
    assert kinds(kmp) == ["conflict"]
    assert tried(kmp) == {"acme-1.0": (1, "symbols"), "acme-2.0": (0, "conflict"), "acme-3.0": (0, None)}


def test_only_what_fits_is_kept_out_by_a_rule(tmp_path: Path) -> None:
    def foreign(version: str, symbols: str, **more: Any) -> Noun:
        return acme(version, symbols, vendor=OTHER, krel="6.4.0-20", **more)

    offered = [
        kernel(2, "a=2 b=2"),
        foreign("2.0", "a=2"),
        foreign("2.1", ""),
        foreign("2.2", "a=9"),
        foreign("2.3", "", exact="6.4.0-10-default"),
        foreign("2.4", "a=2 s=5"),
    ]
    installed = [kernel(1, "a=1 b=1"), acme(), beta(symbols="b=1", exports="s=5")]
    kmp = told(tmp_path, installed, offered)
    assert [(c.kind, c.packages) for c in kmp.causes[1:]] == [
        ("vendor", ("acme-kmp-default-2.0_k6.4.0_20-1.x86_64",))
    ]


# -- the kernel's own modules ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "causes"),
    [
        ("acme.ko", "acme.ko", ["symbols", "falls-back-to-in-tree"]),
        ("acme.ko", "", ["symbols"]),
        ("", "", ["symbols"]),
    ],
)
def test_a_driver_of_the_kernel_s_own(tmp_path: Path, before: str, after: str, causes: list[str]) -> None:
    new = kernel(2, "a=2", modules=after)
    assert kinds(told(tmp_path, [kernel(1, modules=before), acme()], [new])) == causes


def test_a_kernel_that_takes_the_kmp_and_lacks_a_module(tmp_path: Path) -> None:
    new = kernel(2, modules="acme.ko", obsoletes="acme-kmp-default")
    kmp = told(tmp_path, [kernel(1), acme(modules="acme.ko acme_x.ko")], [new], kernel="6.4.0-20.1")
    assert [(c.kind, c.packages) for c in kmp.causes] == [("module-dropped", ("acme_x.ko",))]


def test_a_kernel_that_takes_one_of_two_builds(tmp_path: Path) -> None:
    new = kernel(2, "a=2", obsoletes="acme-kmp-default < 2.0")
    kmp = told(tmp_path, [kernel(1), acme(), acme("2.0", krel="6.4.0-9")], [new], kernel="6.4.0-20.1")
    assert kinds(kmp) == ["symbols", "module-dropped"]


# -- modules that nobody offers -------------------------------------------------------------------------------

WHOLE = acme(modules="acme.ko acme_x.ko")
PART = acme("2.0", "a=2", krel="6.4.0-20")


def extra(symbols: str = "a=2", **more: Any) -> Noun:
    return acme("2.0", symbols, name="extra", modules="acme_x.ko", krel="6.4.0-20", **more)


@pytest.mark.parametrize(
    ("installed", "offered", "causes"),
    [
        ([], [], ["module-dropped"]),
        ([], [extra("a=9")], ["module-dropped"]),
        ([], [extra(conflicts="editor")], ["conflict"]),
        ([beta(symbols="", vendor=OTHER)], [extra(vendor=OTHER)], ["module-dropped"]),
        (
            [beta()],
            [beta("2.0", "a=2", modules="beta.ko acme_x.ko", conflicts="editor")],
            ["module-dropped"],
        ),
    ],
)
def test_a_module_that_no_build_has(
    tmp_path: Path, installed: list[Noun], offered: list[Noun], causes: list[str]
) -> None:
    """Or that somebody has who cannot come."""
    system = [kernel(1), WHOLE, Tool(name="editor"), *installed]
    assert kinds(told(tmp_path, system, [kernel(2, "a=2"), PART, *offered])) == causes


# -- what the system keeps out --------------------------------------------------------------------------------


def test_user_space_that_is_bound_to_the_old_build(tmp_path: Path) -> None:
    system = [kernel(1), acme(), Tool(name="tools", requires="acme-kmp = 1.0")]
    kmp = told(tmp_path, system, [kernel(2, "a=2"), PART])
    assert [(c.kind, c.packages) for c in kmp.causes] == [("user-space", ("tools-1.0-1.x86_64",))]


def test_user_space_whose_update_is_locked(tmp_path: Path) -> None:
    """That acme is given up for it is no reason of its own."""
    tools = Tool(name="tools", requires="acme-kmp = 1.0")
    update = Tool(name="tools", version="2.0", requires="acme-kmp = 2.0")
    kmp = told(tmp_path, [kernel(1), acme(), tools], [kernel(2, "a=2"), PART, update], locks=["tools"])
    assert [(c.kind, c.message) for c in kmp.causes] == [
        ("user-space", "tools-1.0-1.x86_64 requires acme-kmp = 1.0")
    ]


def test_a_build_that_requires_one_of_another_kmp_that_does_not_fit(tmp_path: Path) -> None:
    """No package of user space is to blame."""
    installed = [kernel(1), acme(), beta()]
    offered = [
        kernel(2, "a=2"),
        acme("2.0", "a=2", requires="beta-kmp = 2.0", krel="6.4.0-20"),
        beta("2.0", "a=9", krel="6.4.0-20"),
        beta("2.1", "a=2", krel="6.4.0-20"),
    ]
    kmp = told(tmp_path, installed, offered)
    assert "user-space" not in kinds(kmp)


def test_a_build_that_is_given_up_for_user_space_lends_nothing(tmp_path: Path) -> None:
    installed = [
        kernel(1),
        acme(exports="s=2"),
        acme("2.0", krel="6.4.0-20"),
        beta(symbols="a=1 s=2"),
        Tool(name="tools", requires="acme-kmp = 2.0"),
    ]
    kmp = told(tmp_path, installed, [kernel(3)], "beta")
    assert kinds(kmp) == ["kmp"]
    assert "which cannot be used together" in kmp.causes[0].message


def test_a_conflict_is_told_with_both_its_sides(tmp_path: Path) -> None:
    system = [kernel(1), acme(), Tool(name="editor")]
    build = acme("2.0", "a=2", conflicts="editor", krel="6.4.0-20")
    kmp = told(tmp_path, system, [kernel(2, "a=2"), build])
    assert [cause.message for cause in kmp.causes] == [
        f"{build.spec().nevra} conflicts with editor-1.0-1.x86_64"
    ]


# -- modules that come from the kernel ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "warned"),
    [("acme_x.ko", "acme_x.ko", True), ("", "acme_x.ko", False)],
)
def test_a_module_that_the_kernel_had_all_along(
    tmp_path: Path, before: str, after: str, warned: bool
) -> None:
    new = kernel(2, "a=2", modules=after)
    kmp = told(tmp_path, [kernel(1, modules=before), WHOLE], [new, PART])
    assert kmp.decision == "fetch"
    assert [w.reference for w in kmp.warnings if w.reference != "signature-not-checked"] == [
        "falls-back-to-in-tree"
    ] * warned


def test_a_module_that_an_added_kmp_has(tmp_path: Path) -> None:
    new = kernel(2, "a=2", modules="acme_x.ko")
    offered = [new, acme("2.0", "a=2 x=1", krel="6.4.0-20"), extra(exports="x=1")]
    kmp = told(tmp_path, [kernel(1, modules="acme_x.ko"), WHOLE], offered)
    assert kmp.decision == "fetch"
    assert "falls-back-to-in-tree" not in {w.reference for w in kmp.warnings}


@pytest.mark.parametrize(("there", "kind", "found"), [(" s=6", "symbols", "6"), ("", "kmp", "5")])
def test_the_symbols_of_a_kmp_that_the_kernel_takes_away(
    tmp_path: Path, there: str, kind: str, found: str
) -> None:
    """Its build would fit and have them, so that those of what needs it fit as well."""
    installed = [kernel(1), acme(exports="s=5"), beta(symbols="s=5")]
    absorbing = kernel(2, f"a=1{there}", modules="acme.ko", obsoletes="acme-kmp-default")
    kmp = told(tmp_path, installed, [absorbing], "beta", kernel="6.4.0-20.1")
    assert (kinds(kmp), tried(kmp)) == ([kind], {"beta-1.0": (1, kind)})
    assert [m[2] for m in missed(kmp)] == [found]


# -- without symbol versions ----------------------------------------------------------------------------------


def test_headers_are_missing_for_the_one_build_that_rebuilds_itself() -> None:
    bare, rebuilt = acme("2.0", "").spec(), acme("1.0", "", krel="6.4.0-9").spec()
    installed = [kernel(1).spec(), bare, replace(rebuilt, triggers=("kernel-default-devel",))]
    found = kmpsolve.plan(
        installed=str(repository.rpm_folder(installed)),
        repositories={"r": str(repository.rpm_md([kernel(2).spec()]))},
    )
    (kmp,) = only(found).kmps
    assert kmp.decision == "unverified"
    assert [w.reference for w in kmp.warnings] == ["headers-missing", "no-symbol-versions"]
