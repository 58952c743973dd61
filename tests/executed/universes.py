"""Random universes by family and number: the same two are the same world everywhere."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from kmpsolve.errors import RequestError
from tests.property.acceptance import plan_of
from tests.property.strategies import FEATURES, _Dice, _Maker
from tests.property.test_oracle import FAMILIES
from tests.support.worlds import Repository, World


class _Random(_Dice):
    """Dice that do not shrink: every world is as likely as the next."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)  # noqa: S311 - worlds, no secrets

    def upto(self, most: int) -> int:
        return self._random.randint(0, most)


ANY = "any"
"""A family beside the others: what each of its worlds has is at random."""


def universe(family: str, number: int) -> World:
    """One world of a family."""
    dice = _Random(f"{family} {number}")
    features = [f for f in FEATURES if dice.one_in(3)] if family == ANY else FAMILIES[family]
    return _Maker(dice, frozenset(features)).make()


def plans(family: str, numbers: Iterable[int] | None = None) -> Iterator[tuple[World, dict[str, Any]]]:
    """The worlds of a family, of these numbers or without an end, with their plans."""
    for number in itertools.count() if numbers is None else numbers:
        of = universe(family, number)
        try:
            plan = plan_of(of)
        except RequestError:  # the kernel that is asked for is of another vendor
            continue
        yield of, plan


def planned(family: str) -> Iterator[World]:
    """The worlds of a family for which there is something to do, without an end.

    Not those in which something is taken as met: zypper would not do it, since nothing is listed that meets it.
    """
    for of, plan in plans(family):
        warned = {warning["reference"] for flavor in plan["flavors"] for warning in flavor["warnings"]}
        if plan["transaction"] and "user-space-not-checked" not in warned:
            yield of


def smallest(of: World, fails: Callable[[World], bool]) -> World:
    """Leave out of a world what it fails without."""
    shrinking = True
    while shrinking:
        shrinking = False
        for smaller in _smaller(of):
            if fails(smaller):
                of, shrinking = smaller, True
                break
    return of


def _smaller(of: World) -> Iterator[World]:
    for number in range(len(of.installed)):
        yield replace(of, installed=_without(of.installed, number))
    for place, repository in enumerate(of.repositories):
        rest = _without(of.repositories, place)
        yield replace(of, repositories=rest)
        for number in range(len(repository.packages)):
            fewer: Repository = replace(repository, packages=_without(repository.packages, number))
            yield replace(of, repositories=[*rest[:place], fewer, *rest[place:]])


def _without(entries: list[Any], number: int) -> list[Any]:
    return entries[:number] + entries[number + 1 :]
