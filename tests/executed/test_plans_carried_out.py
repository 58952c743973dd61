"""The transactions of 200 random universes, carried out by the real zypper (1,300 others in the deep run).

Every universe is one for which there is something to do: real RPMs, a plan read from the real rpmdb and
repositories, its command, then purge-kernels. What fails prints the smallest world that does; put it in a
file and see all of it with ``python -m tests.executed.execution FILE``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice

import pytest

from kmpsolve.errors import KmpsolveError
from tests.executed.execution import Planned, disagreements
from tests.executed.universes import planned, smallest
from tests.property.test_oracle import FAMILIES
from tests.support.worlds import Kernel, Kmp, Repository, World

IN_EACH_FAMILY = 16
MANY = 100


def _check(of: World) -> None:
    if disagreements(of):
        of = smallest(of, _fails)
        raise AssertionError("\n".join([*disagreements(of), of.text()]))


def _fails(of: World) -> bool:
    try:
        return bool(disagreements(of))
    except KmpsolveError:  # no kernel is left in it, or not the one that is asked for
        return False


def test_there_are_200_universes() -> None:
    assert IN_EACH_FAMILY * len(FAMILIES) >= 200


WORLD = World(
    installed=[
        Kernel(release="10.1", ksyms="a=1"),
        Kernel(release="20.1", ksyms="a=1"),
        Kmp(name="acme", krel="6.4.0-10", symbols="a=1", modules="acme.ko"),
        Kmp(name="beta", krel="6.4.0-10", symbols="a=1", modules="beta.ko", multiversion=False),
    ],
    repositories=[
        Repository(
            alias="r1",
            packages=[
                Kernel(release="30.1", ksyms="a=2"),
                Kmp(name="acme", krel="6.4.0-30", version="2.0", symbols="a=2", modules="acme.ko"),
                Kmp(
                    name="beta",
                    krel="6.4.0-30",
                    version="0.9",
                    symbols="a=2",
                    modules="beta.ko",
                    multiversion=False,
                ),
            ],
        )
    ],
)


def _without_acme(plan: Planned) -> None:
    plan["command"] = plan["command"].replace("acme-kmp-default=2.0_k6.4.0_30-1", "")


def _without_acme_from_the_start(plan: Planned) -> None:
    _without_acme(plan)
    plan["transaction"] = [step for step in plan["transaction"] if "acme" not in step["nevra"]]


def _without_oldpackage(plan: Planned) -> None:
    plan["command"] = plan["command"].replace("--oldpackage", "")


def _unknown_package(plan: Planned) -> None:
    plan["command"] += " nothing-of-the-kind"


def _keeping_all_kernels(plan: Planned) -> None:
    for row in plan["flavors"][0]["boot_matrix"]:
        row["state"] = "installed"


def _by_the_other_build(plan: Planned) -> None:
    for row in plan["flavors"][0]["boot_matrix"]:
        row["kmps"]["acme-kmp-default"]["build"] = "acme-kmp-default-1.0_k6.4.0_10-1.x86_64"


@pytest.mark.parametrize(
    ("alter", "complaint"),
    [
        (_without_acme, "too few"),
        (_without_acme_from_the_start, "acme-kmp-default: ['acme.ko'] do not load on"),
        (_without_oldpackage, "too few"),
        (_unknown_package, "zypper refused"),
        (_keeping_all_kernels, "purge takes"),
        (_by_the_other_build, "acme-kmp-default is served by one of"),
    ],
)
def test_a_wrong_plan_is_found_out(alter: Callable[[Planned], None], complaint: str) -> None:
    assert disagreements(WORLD) == []
    assert complaint in " ".join(disagreements(WORLD, alter))


def test_of_packages_with_one_nevra_zypper_takes_the_one_that_was_chosen() -> None:
    fitting = Kmp(name="acme", krel="6.4.0-30", version="2.0", symbols="a=2", modules="acme.ko")
    of_old = replace(fitting, symbols="a=1")
    noarch = replace(of_old, arch="noarch")
    of = World(
        installed=[WORLD.installed[1], WORLD.installed[2]],
        repositories=[
            Repository(alias="r1", packages=[Kernel(release="30.1", ksyms="a=2"), of_old], priority=50),
            Repository(alias="r2", packages=[fitting, noarch]),
        ],
    )
    assert disagreements(of) == []


@pytest.mark.parametrize("asked_for", ["latest", "6.4.0-30"])
@pytest.mark.parametrize("retracted", [(), ("kernel-default-6.4.0-30.1.x86_64",)])
@pytest.mark.parametrize(
    "lock", ["kernel-default", "kernel-default == 6.4.0-30.1", "kernel-default == 6.4.0-10.1"]
)
def test_zypper_takes_the_kernel_that_was_asked_for_in_spite_of_a_lock(
    asked_for: str, retracted: tuple[str, ...], lock: str
) -> None:
    of = replace(
        WORLD, repositories=[replace(WORLD.repositories[0], retracted=list(retracted))], locks=[lock]
    )
    assert disagreements(replace(of, kernel=asked_for)) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_zypper_leaves_what_the_plan_said(family: str) -> None:
    for of in islice(planned(family), IN_EACH_FAMILY):
        _check(of)


@pytest.mark.deep
@pytest.mark.parametrize("family", FAMILIES)
def test_zypper_leaves_what_many_plans_said(family: str) -> None:
    for of in islice(planned(family), IN_EACH_FAMILY, IN_EACH_FAMILY + MANY):
        _check(of)
