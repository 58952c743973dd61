"""A progress bar on stderr, for whoever waits at a terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

__all__ = ["Bar"]

_PATIENCE = 0.5
_EVERY = 0.1
_WIDTH = 30


class Bar:
    """Drawn by whoever does the work, so that no thread is there when processes are forked.

    Parameters
    ----------
    quiet
        Show nothing at all.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._shown = not quiet and sys.stderr.isatty()
        self._next = time.monotonic() + _PATIENCE
        self._written = 0

    def __enter__(self) -> Self:
        return self

    def step(self, what: str, done: int, total: int | None) -> None:
        """Say how far `what` (in the -ing form) has come."""
        moment = time.monotonic()
        if not self._shown or moment < self._next:
            return
        self._next = moment + _EVERY
        line = f"kmpsolve: {what} {done:,}"
        if total:
            full = _WIDTH * done // total
            line = f"kmpsolve: {what} [{'#' * full}{'.' * (_WIDTH - full)}] {done:,}/{total:,}"
        sys.stderr.write(f"\r{line:<{self._written}}")
        sys.stderr.flush()
        self._written = len(line)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._written:
            sys.stderr.write(f"\r{'':<{self._written}}\r")
            sys.stderr.flush()
