"""zypp's ini files: zypp.conf, repository definitions, vendor classes.

Not configparser's dialect: there are no continuation lines and no inline comments, keys keep their case, the
last of two equal keys wins, a section may be opened again, and a line without ``=`` is an error (libzypp's
IniParser).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Entry", "IniSyntaxError", "entries", "is_true"]

_NOT_IN_KEYS = ":/?|,\\"
_TRUE = frozenset({"1", "yes", "true", "always", "on", "+"})
_FALSE = frozenset({"0", "no", "false", "never", "off", "-"})


class IniSyntaxError(ValueError):
    """A line that libzypp calls garbage; `line` is its number, from 1."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: a section's beginning (no key, no value), an assignment, or a bare value (no key)."""

    section: str
    line: int
    key: str | None = None
    value: str | None = None


def entries(text: str) -> Iterator[Entry]:
    """Read an ini file line by line.

    A bare value is a line without an assignment; it continues the value before it for the few keys that may
    have several lines, and is an error anywhere else: the caller decides.

    Raises
    ------
    IniSyntaxError
        If a section's name has no end.
    """
    section = ""
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if not stripped or stripped[0] in ";#":
            continue
        if stripped[0] == "[":
            end = stripped.rfind("]")
            if end < 0:
                raise IniSyntaxError(number)
            section = stripped[1:end]
            yield Entry(section, number)
            continue
        key, equals, value = stripped.partition("=")
        if not equals or any(character in key for character in _NOT_IN_KEYS):
            yield Entry(section, number, None, stripped)
        else:
            yield Entry(section, number, key.rstrip(), value.lstrip())


def is_true(value: str, default: bool) -> bool:
    """Read a truth value as zypp does: words, or a number; anything else is the default."""
    lower = value.lower()
    if lower in _TRUE:
        return True
    if lower in _FALSE:
        return False
    digits = lower.lstrip("+-")
    return digits.strip("0") != "" if digits.isascii() and digits.isdigit() else default
