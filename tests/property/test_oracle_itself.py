"""The oracle against answers worked out by hand; :mod:`tests.property.cases` has the worlds."""

from __future__ import annotations

import pytest
import solv
from hypothesis import given
from hypothesis import strategies as st

from tests.property.cases import CASES, acme, beta, kernel, made
from tests.property.strategies import worlds
from tests.support.oracle import (
    Blocked,
    Evr,
    Judgement,
    Outcome,
    Reading,
    System,
    answers,
    compare_versions,
    newest_safe,
    normal,
    vendor_class,
)
from tests.support.worlds import (
    Noun,
    Tool,
    World,
    world,
)


def answer(of: World, flavor: str = "default", reading: Reading | None = None) -> str:
    """The oracle's first answer in one line."""
    first = answers(of, reading)[flavor][0]
    target = f" {first.target.noun.release}" if first.target else ""

    def said(outcome: Outcome) -> str:
        kmps = [
            f"{name.partition('-kmp')[0]} {decision}" + (f" {build.noun.version}" if build else "")
            for name, (decision, build) in outcome.choices.items()
        ]
        also = [
            f"+{package.name.partition('-kmp')[0]} {package.noun.version}"
            for package in sorted(outcome.added | outcome.moved, key=lambda package: package.name)
        ]
        return ", ".join(kmps + also)

    if first.target is None:
        kmps = ", ".join(
            f"{name.partition('-kmp')[0]} {'/'.join(sorted({decision for decision, _ in may}))}".strip()
            for name, may in first.at_rest.items()
        )
    else:
        kmps = " or ".join(sorted({said(outcome) for outcome in first.outcomes}))
    system = System(of, reading or Reading())
    safe = newest_safe(system, flavor)
    release = safe.split("-")[-1].removesuffix(".x86_64") if safe else None
    return f"{first.verdict}{target} | {kmps} | newest-safe {release}"


def blocked(of: World, name: str = "acme", flavor: str = "default") -> Blocked:
    first = answers(of)[flavor][0]
    return Blocked(first.judgement, first.outcomes[0], f"{name}-kmp-{flavor}")


@pytest.mark.parametrize("name", CASES)
def test_answer(name: str) -> None:
    of, expected = CASES[name]
    assert answer(of) == expected


def test_each_flavor_is_planned_for_itself() -> None:
    of = made(
        [kernel(1), kernel(1, flavor="rt"), acme(), acme(flavor="rt")],
        [kernel(2, "a=2"), kernel(2, flavor="rt")],
    )
    assert answer(of) == "blocked 20.1 | acme blocked | newest-safe 10.1"
    assert answer(of, "rt") == "safe 20.1 | acme reuse 1.0 | newest-safe 20.1"


def test_uname_r_selects_its_flavor_alone() -> None:
    of = made([kernel(1), kernel(1, flavor="rt")], [kernel(2), kernel(2, flavor="rt")], kernel="6.4.0-20-rt")
    assert set(answers(of)) == {"rt"}


def test_transaction_of_a_fetch() -> None:
    of = made(
        [kernel(1), acme(modules="acme.ko acme_x.ko"), Tool(name="tools", requires="acme-kmp = 1.0")],
        [
            kernel(2, "a=2"),
            acme("2.0", "a=2"),
            acme("2.0", "a=2", name="extra", modules="acme_x.ko"),
            Tool(name="tools", version="2.0", requires="acme-kmp = 2.0"),
        ],
    )
    first = answers(of)["default"][0]
    assert sorted(package.nevra for package in first.judgement.arriving(first.outcomes[0])) == [
        "acme-kmp-default-2.0_k6.4.0_10-1.x86_64",
        "extra-kmp-default-2.0_k6.4.0_10-1.x86_64",
        "kernel-default-6.4.0-20.1.x86_64",
        "tools-2.0-1.x86_64",
    ]


def test_the_best_build_tried_has_the_fewest_mismatches() -> None:
    of = made(
        [kernel(1, "a=1 b=1"), acme(symbols="a=1 b=1")],
        [kernel(2, "a=2 b=2"), acme("2.0", "a=2 b=1"), acme("3.0", "a=1 b=1")],
    )
    (best,) = blocked(of).best
    assert best.noun.version == "2.0"
    assert blocked(of).mismatches(best) == {"b": {("disagrees", "2")}}


def test_the_installed_build_comes_before_a_higher_evr() -> None:
    of = made([kernel(1), acme()], [kernel(2, "b=1"), acme("3.0")])
    (best,) = blocked(of).best
    assert best.noun.version == "1.0"
    assert blocked(of).mismatches(best) == {"a": {("unknown", None)}}
    assert blocked(of).causes == [{"symbols"}]


@pytest.mark.parametrize(("exported", "kind"), [("5", "unknown"), ("6", "disagrees")])
def test_a_symbol_of_a_blocked_kmp_is_a_mismatch(exported: str, kind: str) -> None:
    installed: list[Noun] = [kernel(1), acme(symbols="s=5"), beta("2.0", exports=f"s={exported}")]
    if exported == "6":  # only the best build of the KMP that provides it counts
        installed.append(beta("1.0", exports="s=5", krel="6.4.0-11"))
    of = made(installed, [kernel(2, "a=2")])
    (best,) = blocked(of).best
    assert blocked(of).mismatches(best) == {"s": {(kind, exported)}}


def test_exact_kernel_is_a_cause_and_never_a_mismatch() -> None:
    of = made([kernel(1), acme(symbols="", exact="6.4.0-10-default")], [kernel(2)])
    (best,) = blocked(of).best
    assert blocked(of).mismatches(best) == {}
    assert blocked(of).causes == [{"exact-kernel"}]


@pytest.mark.parametrize(
    ("of", "cause"),
    [
        (CASES["a build that drops a module does not do"][0], "module-dropped"),
        (CASES["or blocks"][0], "user-space"),
        (CASES["a conflict with an installed package blocks"][0], "conflict"),
        (CASES["an overridden in-tree driver is no builtin"][0], "falls-back-to-in-tree"),
        (CASES["an already broken KMP loses nothing and does not count"][0], "already-broken"),
        (CASES["a changed CRC blocks"][0], "symbols"),
    ],
)
def test_causes(of: World, cause: str) -> None:
    assert {cause} in blocked(of).causes


def test_rules_that_are_switched_off_switch_on_again() -> None:
    of = CASES["or blocks"][0]
    system = System(of, Reading())
    target = system.candidate_kernels("default")[0]
    assert Judgement(system, target).outcomes()[0].choices["acme-kmp-default"][0] == "blocked"
    relaxed = Judgement(system, target, frozenset({"user-space"}))
    assert relaxed.outcomes()[0].choices["acme-kmp-default"][0] == "fetch"


@pytest.mark.parametrize(
    ("left", "right", "order"),
    [
        ("1.0", "1.0", 0),
        ("1.0", "1.0.1", -1),
        ("2", "10", -1),
        ("1.0~rc1", "1.0", -1),
        ("1.0^git", "1.0", 1),
        ("1.0^git", "1.0.1", -1),
        ("a", "1", -1),
        ("2.1_k6.4.0_10", "2.1_k6.4.0_9", 1),
        ("1e010abc", "1e10abc", 0),
        ("00abc1de", "0abc01de", 0),
        ("10.1.2", "10.1", 1),
    ],
)
def test_versions(left: str, right: str, order: int) -> None:
    assert compare_versions(left, right) == order
    assert compare_versions(right, left) == -order


@given(st.text("01a.~^_", min_size=1, max_size=6), st.text("01a.~^_", min_size=1, max_size=6))
def test_versions_compare_as_in_libsolv(left: str, right: str) -> None:
    pool = solv.Pool()
    pool.setdisttype(solv.Pool.DISTTYPE_RPM)
    repo = pool.add_repo("versions")
    one, other = repo.add_solvable(), repo.add_solvable()
    one.evr, other.evr = left, right
    order = one.evrcmp(other)
    assert compare_versions(left, right) == (order > 0) - (order < 0)


def test_words() -> None:
    assert normal("0x00ABc") == "abc"
    assert normal("000") == "0"
    assert vendor_class("SUSE LLC <https://www.suse.com/>") == vendor_class("SUSE Linux Products GmbH")
    assert vendor_class("openSUSE") != vendor_class("openSUSE Build Service")
    assert Evr.read("2:1.0-3") == Evr(2, "1.0", "3")


@given(worlds("chains", "pins", "modules", "renames", "priorities", "retracted"))
def test_a_world_s_text_is_the_world(of: World) -> None:
    assert world(of.text()) == of
