"""The transactions of 200 random universes, carried out by the real zypper (1,100 in the deep run).

Every universe is one for which there is something to do: real RPMs, a plan read from the real rpmdb and the
repositories, its command, then purge-kernels. What fails prints the world as text; put it in a file and see
all of it with ``python -m tests.executed.execution FILE``.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, given, reject, settings

from kmpsolve.errors import RequestError
from tests.executed.execution import disagreements
from tests.property.acceptance import plan_of
from tests.property.strategies import worlds
from tests.property.test_oracle import FAMILIES
from tests.support.worlds import World

UNIVERSES = 19  # for each of eleven families
MANY = 100


def check(of: World) -> None:
    try:
        assume(plan_of(of)["transaction"])
    except RequestError:
        reject()
    found = disagreements(of)
    if found:
        raise AssertionError("\n".join([*found, of.text()]))


@pytest.mark.parametrize("family", FAMILIES)
def test_zypper_leaves_what_the_plan_said(family: str) -> None:
    @settings(
        max_examples=UNIVERSES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(worlds(*FAMILIES[family]))
    def carried_out(of: World) -> None:
        check(of)

    carried_out()


@pytest.mark.deep
@pytest.mark.parametrize("family", FAMILIES)
def test_zypper_leaves_what_many_plans_said(family: str) -> None:
    @settings(
        max_examples=MANY,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(worlds(*FAMILIES[family]))
    def carried_out(of: World) -> None:
        check(of)

    carried_out()
