"""Masks of the sets that an element is in, against asking each set."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kmpsolve.model.membership import membership


@given(st.lists(st.frozensets(st.integers(0, 12)), max_size=9))
def test_as_asking_each_set(sets: list[frozenset[int]]) -> None:
    expected = {
        element: sum(1 << number for number, one in enumerate(sets) if element in one)
        for element in frozenset().union(*sets)
    }
    assert membership(sets) == expected


def test_nothing() -> None:
    assert membership([]) == {}
