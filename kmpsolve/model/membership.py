"""Which of many kernels provide a capability, as a bit mask."""

from __future__ import annotations

from collections.abc import Iterable, Set

__all__ = ["membership"]


def membership(sets: Iterable[Set[int]]) -> dict[int, int]:
    """Element -> mask of the sets that it is in.

    Kernels that follow each other have nearly everything in common, so that only changes are looked at one
    by one.
    """
    masks: dict[int, int] = {}
    since: dict[int, int] = {}
    before: Set[int] = frozenset()
    number = 0
    for here in sets:
        for element in before - here:
            masks[element] = masks.get(element, 0) | (1 << number) - since.pop(element)
        since.update(dict.fromkeys(here - before, 1 << number))
        before = here
        number += 1
    for element, first in since.items():
        masks[element] = masks.get(element, 0) | (1 << number) - first
    return masks
