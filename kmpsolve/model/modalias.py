"""Modaliases: the name that a device gives itself, and the patterns of those who drive it.

A device says ``pci:v00008086d0000265A...`` in its ``modalias`` file below /sys; a module's alias, or a
package's ``Supplements: modalias(kernel-default:pci:v00008086d*)``, is a shell pattern that matches it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

__all__ = ["Modaliases", "pattern_to_regex", "unescaped"]

_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_LITERAL = re.compile(r"[^*?\[\\]*")


def unescaped(pattern: str) -> str:
    """A pattern as it was meant: a dependency cannot hold commas and spaces, so they are written ``%2c``.

    libzypp undoes this before it matches (zypp/sat/detail/PoolImpl.cc).
    """
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), pattern)


def _bracket(pattern: str, place: int) -> tuple[str, int] | None:
    """The regular expression for the bracket at `place`, and where it ends; ``None`` if nothing does."""
    place += 1
    negated = pattern[place : place + 1] in ("!", "^")
    place += negated
    members: list[str] = []
    while place < len(pattern) and (pattern[place] != "]" or not members):
        first, place = _member(pattern, place)
        # A dash before the closing bracket is itself.
        if pattern[place : place + 1] == "-" and pattern[place + 1 : place + 2] not in ("]", ""):
            last, place = _member(pattern, place + 1)
            if first <= last:
                members.append(f"{re.escape(first)}-{re.escape(last)}")
            else:
                members.append("")  # from high to low: contains nothing
        else:
            members.append(re.escape(first))
    if place >= len(pattern):
        return None
    content = "".join(members)
    if negated:
        return (f"[^{content}]" if content else "."), place + 1
    return (f"[{content}]" if content else r"[^\s\S]"), place + 1


def _member(pattern: str, place: int) -> tuple[str, int]:
    if pattern[place] == "\\" and place + 1 < len(pattern):
        place += 1
    return pattern[place], place + 1


@lru_cache(maxsize=65536)
def pattern_to_regex(pattern: str) -> re.Pattern[str]:
    """A shell pattern as fnmatch(3) reads it without flags: ``*``, ``?``, ``[ab]``, ``[!a]``, ``[a-f]``.

    Python's own fnmatch knows neither the backslash nor ``[^a]``. What stands between two asterisks is matched
    at the first place where it can be and not tried again: a stranger's pattern cannot make that last long.
    """
    pieces: list[list[str]] = [[]]
    place = 0
    while place < len(pattern):
        sign, parts = pattern[place], pieces[-1]
        if sign == "*":
            pieces.append([])
            place += 1
        elif sign == "?":
            parts.append(".")
            place += 1
        elif sign == "[" and (bracket := _bracket(pattern, place)):
            parts.append(bracket[0])
            place = bracket[1]
        elif sign == "\\" and place + 1 < len(pattern):
            parts.append(re.escape(pattern[place + 1]))
            place += 2
        elif sign == "\\":  # escapes nothing, and such a pattern matches nothing
            parts.append(r"[^\s\S]")
            place += 1
        elif sign == "[":
            parts.append(r"\[")
            place += 1
        else:
            match = _LITERAL.match(pattern, place)
            assert match is not None
            parts.append(re.escape(match[0]))
            place = match.end()
    first, *between = ("".join(piece) for piece in pieces)
    last = f".*{between.pop()}" if between else ""
    return re.compile(first + "".join(f"(?>.*?{piece})" for piece in between if piece) + last, re.DOTALL)


class Modaliases:
    """The devices of a machine, asked with patterns.

    Parameters
    ----------
    devices
        Modaliases as the devices say them.
    """

    def __init__(self, devices: Iterable[str]) -> None:
        self.devices = tuple(sorted({device for device in devices if device}))
        self._by_bus: dict[str, list[str]] = {}
        for device in self.devices:
            self._by_bus.setdefault(device.partition(":")[0], []).append(device)

    def __len__(self) -> int:
        return len(self.devices)

    def matching(self, pattern: str) -> tuple[str, ...]:
        """The devices that a pattern matches, sorted."""
        bus = pattern.partition(":")[0]
        plain = not any(sign in bus for sign in "*?[\\")
        among: Iterable[str] = self._by_bus.get(bus, ()) if plain and ":" in pattern else self.devices
        # A kernel has 30,000 patterns: most are refused by what stands before their first wildcard.
        literal = _LITERAL.match(pattern)
        assert literal is not None
        among = [device for device in among if device.startswith(literal[0])]
        if not among:
            return ()
        matches = pattern_to_regex(pattern).fullmatch
        return tuple(device for device in among if matches(device))
