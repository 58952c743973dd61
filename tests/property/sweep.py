"""``python -m tests.property.sweep START END [FAMILY...]``: the planner against the oracle on worlds by number.

Unlike the deep test it goes on past a disagreement: it prints the family and the number of each, and at the end
of a family how many worlds were judged. ``tests.executed.universes.universe(FAMILY, NUMBER)`` makes one again.
The family ``any``, whose worlds have features of all others at random, is only swept if named.
"""

from __future__ import annotations

import sys

from kmpsolve.errors import RequestError
from tests.executed.universes import universe
from tests.property import bootmatrix
from tests.property.acceptance import disagreements, plan_of
from tests.property.test_oracle import FAMILIES
from tests.support.oracle import UndeterminedError, answers


def disagreement(family: str, number: int) -> list[str]:
    """What the contract does not allow of the plan for one world.

    Raises
    ------
    UndeterminedError
        If the contract does not say what a plan for it is.
    """
    of = universe(family, number)
    expected = answers(of)
    try:
        plan = plan_of(of)
    except RequestError as error:
        return [str(error)] if expected else []
    if not expected:
        return ["a plan for a kernel that no flavor has"]
    return disagreements(plan, of) or bootmatrix.disagreements(plan, of)


def main(start: str, end: str, *families: str) -> int:
    """Sweep and print; 1 if anything disagreed."""
    wrong = 0
    for family in families or FAMILIES:
        judged = left_aside = 0
        for number in range(int(start), int(end)):
            try:
                found = disagreement(family, number)
            except UndeterminedError:
                left_aside += 1
                continue
            judged += 1
            if found:
                wrong += 1
                print(family, number, *found, sep=" | ", flush=True)
        print(f"{family}: {judged} judged, {left_aside} left aside", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
