"""The transactions of 209 random universes, carried out by the real zypper (1,100 others in the deep run).

Every universe is one for which there is something to do: real RPMs, a plan read from the real rpmdb and
repositories, its command, then purge-kernels. What fails prints the smallest world that does; put it in a
file and see all of it with ``python -m tests.executed.execution FILE``.
"""

from __future__ import annotations

from itertools import islice

import pytest

from kmpsolve.errors import KmpsolveError
from tests.executed.execution import disagreements
from tests.executed.universes import planned, smallest
from tests.property.test_oracle import FAMILIES
from tests.support.worlds import World

IN_EACH_FAMILY = 19
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


@pytest.mark.parametrize("family", FAMILIES)
def test_zypper_leaves_what_the_plan_said(family: str) -> None:
    for of in islice(planned(family), IN_EACH_FAMILY):
        _check(of)


@pytest.mark.deep
@pytest.mark.parametrize("family", FAMILIES)
def test_zypper_leaves_what_many_plans_said(family: str) -> None:
    for of in islice(planned(family), IN_EACH_FAMILY, IN_EACH_FAMILY + MANY):
        _check(of)
