"""The time it is: the clock's, or what SOURCE_DATE_EPOCH says, so that the same input gives the same bytes."""

from __future__ import annotations

import os
import time

from kmpsolve.errors import ConfigError

__all__ = ["now", "today"]

_VARIABLE = "SOURCE_DATE_EPOCH"
_END = 253402300800
"""Seconds: the year 10,000, which no ISO date can tell."""


def now() -> int:
    """Seconds since the epoch.

    Raises
    ------
    ConfigError
        If SOURCE_DATE_EPOCH is no number of seconds.
    """
    said = os.environ.get(_VARIABLE, "")
    if not said:
        return int(time.time())
    if not (said.isascii() and said.isdigit()) or len(said) > len(str(_END)) or int(said) >= _END:
        raise ConfigError(
            "is no number of seconds since 1970",
            reference="malformed-clock",
            where=_VARIABLE,
            hint=f"unset {_VARIABLE}",
        )
    return int(said)


def today() -> str:
    """The ISO date that waivers are held against; errors as for `now`."""
    return time.strftime("%Y-%m-%d", time.gmtime(now()))
