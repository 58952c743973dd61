"""KMPs that cannot all have their best: who gets what, one rule at a time."""

from __future__ import annotations

from typing import Any

from tests.property.acceptance import plan_of
from tests.support.worlds import Kernel, Kmp, Noun, Repository, Tool, World

OLD = Kernel(release="10.1", ksyms="a=1 b=1")
NEW = Kernel(release="20.1", ksyms="a=2 b=1")


def installed(name: str, symbols: str = "a=1", **more: Any) -> Kmp:
    """A build for the old kernel; with ``b=1`` it fits the new one, too."""
    return Kmp(name=name, krel="6.4.0-10", symbols=symbols, **{"modules": f"{name}.ko", **more})


def offered(name: str, version: str = "2.0", symbols: str = "a=2", **more: Any) -> Kmp:
    """A build for the new kernel; without symbols nobody can tell."""
    return Kmp(
        name=name, krel="6.4.0-20", version=version, symbols=symbols, **{"modules": f"{name}.ko", **more}
    )


def outcome(*packages: Noun) -> dict[str, str]:
    """For each KMP ``DECISION VERSION`` on the new kernel."""
    old = [package for package in packages if isinstance(package, Kmp) and package.krel == "6.4.0-10"]
    new = [package for package in packages if package not in old]
    repository = Repository(alias="r", packages=[NEW, *new])
    (flavor,) = plan_of(World(installed=[OLD, *old], repositories=[repository]))["flavors"]
    said = {}
    for kmp in flavor["kmps"]:
        version = (kmp["chosen"] or "").removeprefix(f"{kmp['name']}-").partition("_k")[0]
        said[kmp["name"].removesuffix("-kmp-default")] = f"{kmp['decision']} {version}".strip()
    return said


def test_one_steps_back_for_two() -> None:
    assert outcome(
        installed("acme"), installed("beta"), installed("corp"),
        offered("acme", conflicts="beta-kmp = 2.0; corp-kmp = 2.0"), offered("beta"), offered("corp"),
    ) == {"acme": "blocked", "beta": "fetch 2.0", "corp": "fetch 2.0"}  # fmt: skip


def test_one_steps_back_for_two_wherever_it_stands_in_the_alphabet() -> None:
    assert outcome(
        installed("acme"), installed("beta"), installed("corp"),
        offered("acme"), offered("beta"), offered("corp", conflicts="beta-kmp = 2.0; acme-kmp = 2.0"),
    ) == {"acme": "fetch 2.0", "beta": "fetch 2.0", "corp": "blocked"}  # fmt: skip


def test_of_equals_the_first_steps_back() -> None:
    assert outcome(
        installed("acme"), installed("beta"), offered("acme", conflicts="beta-kmp = 2.0"), offered("beta")
    ) == {"acme": "blocked", "beta": "fetch 2.0"}


def test_one_stays_unverified_for_two() -> None:
    assert outcome(
        installed("acme"), installed("beta"), installed("corp"),
        offered("acme", conflicts="beta-kmp = 2.0; corp-kmp = 2.0"), offered("acme", "3.0", ""),
        offered("beta"), offered("beta", "3.0", ""), offered("corp"), offered("corp", "3.0", ""),
    ) == {"acme": "unverified 3.0", "beta": "fetch 2.0", "corp": "fetch 2.0"}  # fmt: skip


def test_of_those_who_may_step_back_one_that_leaves_the_others_verified_does() -> None:
    assert outcome(
        installed("acme"), installed("beta"), installed("corp"),
        offered("acme", conflicts="beta-kmp = 2.0"), offered("beta", conflicts="corp-kmp = 2.0"),
        offered("corp"), offered("corp", "3.0", ""),
    ) == {"acme": "fetch 2.0", "beta": "blocked", "corp": "fetch 2.0"}  # fmt: skip


def test_blocked_is_worse_than_any_number_of_unverified() -> None:
    assert outcome(
        installed("acme"), installed("beta"), installed("corp"),
        offered("acme", conflicts="beta-kmp = 2.0; corp-kmp = 2.0"),
        offered("beta"), offered("beta", "3.0", ""), offered("corp"), offered("corp", "3.0", ""),
    ) == {"acme": "fetch 2.0", "beta": "unverified 3.0", "corp": "unverified 3.0"}  # fmt: skip


def test_a_better_build_of_one_costs_no_decision_of_another() -> None:
    assert outcome(
        installed("acme"), installed("beta", "b=1"),
        offered("acme", "3.0", conflicts="beta-kmp = 1.0"), offered("acme"), offered("beta"),
    ) == {"acme": "fetch 2.0", "beta": "reuse 1.0"}  # fmt: skip


def test_what_is_broken_already_steps_back_first() -> None:
    assert outcome(
        installed("acme", "z=1"),
        installed("beta"),
        offered("acme", conflicts="beta-kmp = 2.0"),
        offered("beta"),
    ) == {"acme": "blocked", "beta": "fetch 2.0"}
    assert outcome(
        installed("acme"),
        installed("beta", "z=1"),
        offered("acme", conflicts="beta-kmp = 2.0"),
        offered("beta"),
    ) == {"acme": "fetch 2.0", "beta": "blocked"}


def test_two_broken_ones_do_not_outweigh_one_that_works() -> None:
    assert outcome(
        installed("acme"), installed("beta", "z=1"), installed("corp", "z=1"),
        offered("acme", conflicts="beta-kmp = 2.0; corp-kmp = 2.0"), offered("beta"), offered("corp"),
    ) == {"acme": "fetch 2.0", "beta": "blocked", "corp": "blocked"}  # fmt: skip


# -- modules that moved ---------------------------------------------------------------------------------------

BOTH = "acme.ko acme_x.ko"


def test_a_module_may_move_to_a_new_kmp_of_the_vendor() -> None:
    carrier = offered("carrier", modules="acme_x.ko")
    assert outcome(installed("acme", modules=BOTH), offered("acme"), carrier) == {"acme": "fetch 2.0"}


def test_a_module_may_not_move_to_another_vendor() -> None:
    """Although that vendor has a KMP on the system, so that its packages may join for that one."""
    carrier = offered("carrier", modules="acme_x.ko", vendor="Other GmbH")
    assert outcome(
        installed("acme", modules=BOTH),
        installed("beta", "b=1", vendor="Other GmbH"),
        offered("acme"),
        carrier,
    ) == {"acme": "blocked", "beta": "reuse 1.0"}


def test_a_module_may_move_to_any_kmp_that_is_installed() -> None:
    assert outcome(
        installed("acme", modules=BOTH), installed("beta", "b=1", vendor="Other GmbH"),
        offered("acme"), offered("beta", vendor="Other GmbH", modules="beta.ko acme_x.ko"),
    ) == {"acme": "fetch 2.0", "beta": "fetch 2.0"}  # fmt: skip


def test_what_carries_a_module_counts_among_those_who_compete() -> None:
    """acme needs the carrier, which excludes both others: one steps back for two."""
    carrier = offered("carrier", modules="acme_x.ko", conflicts="beta-kmp = 2.0; corp-kmp = 2.0")
    assert outcome(
        installed("acme", modules=BOTH), installed("beta"), installed("corp"),
        offered("acme"), offered("beta"), offered("corp"), carrier,
    ) == {"acme": "blocked", "beta": "fetch 2.0", "corp": "fetch 2.0"}  # fmt: skip


def test_nothing_joins_for_a_kmp_that_is_blocked() -> None:
    (flavor,) = plan_of(
        World(
            installed=[OLD, installed("acme", modules=BOTH)],
            repositories=[
                Repository(
                    alias="r",
                    packages=[NEW, offered("acme", symbols="a=1"), offered("carrier", modules="acme_x.ko")],
                )
            ],
        )
    )["flavors"]
    assert [kmp["decision"] for kmp in flavor["kmps"]] == ["blocked"]
    assert set(flavor["boot_matrix"][0]["kmps"]) == {"acme-kmp-default"}


def test_a_kernel_that_cannot_be_installed_blocks_every_kmp() -> None:
    kept = installed("beta", symbols="b=1")
    against = Tool(name="editor", conflicts="kernel-default = 6.4.0-20.1")
    repository = Repository(alias="r", packages=[NEW, offered("acme")])
    answer = plan_of(World(installed=[OLD, installed("acme"), kept, against], repositories=[repository]))
    (flavor,) = answer["flavors"]
    assert [kmp["decision"] for kmp in flavor["kmps"]] == ["blocked", "blocked"]
    (cause,) = {(cause["kind"], cause["message"]) for kmp in flavor["kmps"] for cause in kmp["causes"]}
    assert cause == (
        "conflict",
        "editor-1.0-1.x86_64 conflicts with kernel-default-6.4.0-20.1.x86_64",
    )
    assert flavor["newest_safe"] == "kernel-default-6.4.0-10.1.x86_64"
