"""Epoch, version and release, ordered as rpm orders them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["Evr", "rpmvercmp"]

_SEGMENT = re.compile(r"[0-9]+|[A-Za-z]+|~|\^")
_EPOCH = re.compile(r"[0-9]{1,10}")
"""rpm keeps it in 32 bits."""


def _rank(segment: str | None) -> tuple[int, int, str]:
    """Sort key of one segment; ``None`` is the end of the shorter string."""
    if segment == "~":
        return (0, 0, "")
    if segment is None:
        return (1, 0, "")
    if segment == "^":
        return (2, 0, "")
    if segment[0].isdigit():
        digits = segment.lstrip("0")
        return (4, len(digits), digits)  # compares as the number does, however long it is
    return (3, 0, segment)


@lru_cache(maxsize=65536)
def _key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key of a version or a release; no segment ranks as its end does, so that the shorter one is told there."""
    return (*map(_rank, _SEGMENT.findall(text)), _rank(None))


def rpmvercmp(a: str, b: str) -> int:
    """Compare two version or release strings as rpm does; returns -1, 0 or 1.

    Runs of digits compare as numbers, runs of letters as text, digits beat letters, ``~`` sorts before
    the end of the string and ``^`` just after it; everything else only separates (rpm's rpmvercmp.c).
    """
    if a == b:
        return 0
    left, right = _key(a), _key(b)
    return (left > right) - (left < right)


@dataclass(frozen=True, slots=True)
class Evr:
    """An epoch, a version and a release.

    Two spellings that rpm holds for the same (``1.0`` and ``1.00``) compare equal here too. An Evr
    without a release (``release == ""``), as in ``Requires: foo = 1.0``, compares by epoch and version
    only against any other.
    """

    epoch: int
    version: str
    release: str

    @classmethod
    def parse(cls, text: str) -> Evr:
        """Read ``[epoch:]version[-release]``; the release is what follows the last dash."""
        head, colon, rest = text.partition(":")
        told = colon != "" and _EPOCH.fullmatch(head) is not None
        epoch, rest = (int(head), rest) if told else (0, text)
        version, dash, release = rest.rpartition("-")
        return cls(epoch, version, release) if dash else cls(epoch, rest, "")

    def compare(self, other: Evr) -> int:
        """-1, 0 or 1, as rpm orders them."""
        if self.epoch != other.epoch:
            return -1 if self.epoch < other.epoch else 1
        order = rpmvercmp(self.version, other.version)
        if order == 0 and self.release and other.release:
            order = rpmvercmp(self.release, other.release)
        return order

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Evr) and self.compare(other) == 0

    def __lt__(self, other: Evr) -> bool:
        return self.compare(other) < 0

    def __le__(self, other: Evr) -> bool:
        return self.compare(other) <= 0

    def __gt__(self, other: Evr) -> bool:
        return self.compare(other) > 0

    def __ge__(self, other: Evr) -> bool:
        return self.compare(other) >= 0

    def __hash__(self) -> int:
        return hash((self.epoch, _key(self.version)))

    def __str__(self) -> str:
        text = f"{self.version}-{self.release}" if self.release else self.version
        return f"{self.epoch}:{text}" if self.epoch else text
