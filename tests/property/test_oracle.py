"""The planner against the brute-force oracle, on a thousand small worlds (20,000 in the deep run).

What fails prints the world as text; put it in a file and look at both answers with
``python -m tests.property.acceptance FILE``.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, reject, settings

from kmpsolve.errors import RequestError
from tests.property import bootmatrix
from tests.property.acceptance import disagreements, plan_of
from tests.property.cases import CASES
from tests.property.strategies import FEATURES, worlds
from tests.support.oracle import UndeterminedError, answers
from tests.support.worlds import World

FAMILIES: dict[str, tuple[str, ...]] = {
    "symbols": (),
    "chains": ("chains",),
    "modules": ("modules", "renames"),
    "chains and modules": ("chains", "modules", "renames"),
    "absorbed": ("modules", "obsoletes", "pins"),
    "user space": ("pins", "conflicts", "scripts"),
    "vendors": ("vendors", "retracted", "renames"),
    "other requirements": ("exact", "symsets", "versionless"),
    "requests": ("targets", "flavors", "extras", "retracted"),
    "kernels": ("base", "rebuilds", "damaged"),
    "priorities": ("priorities", "chains", "vendors"),
    "locks": ("locks", "pins", "modules", "targets"),
    "everything": FEATURES,
}


def check(of: World) -> None:
    try:
        expected = answers(of)
    except UndeterminedError:
        reject()
    if not expected:  # no flavor has the kernel that is asked for
        with pytest.raises(RequestError):
            plan_of(of)
        return
    plan = plan_of(of)
    found = disagreements(plan, of) or bootmatrix.disagreements(plan, of)
    if found:
        raise AssertionError("\n".join(["the contract does not allow this plan:", *found, of.text()]))


@pytest.mark.parametrize("name", CASES)
def test_the_plan_is_the_one_worked_out_by_hand(name: str) -> None:
    check(CASES[name][0])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_oracle_accepts_the_plan(family: str) -> None:
    @settings(
        max_examples=91,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(worlds(*FAMILIES[family]))
    def accepted(of: World) -> None:
        check(of)

    accepted()


@pytest.mark.deep
@pytest.mark.parametrize("family", FAMILIES)
def test_the_oracle_accepts_many_plans(family: str) -> None:
    @settings(
        max_examples=1_820,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(worlds(*FAMILIES[family]))
    def accepted(of: World) -> None:
        check(of)

    accepted()
