"""One line on stderr for whoever waits at a terminal for more than a second."""

from __future__ import annotations

import sys
import threading
from types import TracebackType
from typing import Self

__all__ = ["Progress"]

_PATIENCE = 1.0
"""Seconds before anything is said."""


class Progress:
    """Says which step takes so long; nothing in pipes, nothing with --quiet, nothing within a second.

    Parameters
    ----------
    quiet
        Say nothing at all.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._shown = not quiet and sys.stderr.isatty()
        self._step = ""
        self._written = 0
        self._lock = threading.Lock()
        self._timer = threading.Timer(_PATIENCE, self._late)
        self._timer.daemon = True
        self._waiting = True

    def __enter__(self) -> Self:
        if self._shown:
            self._timer.start()
        return self

    def step(self, text: str) -> None:
        """What is done now, in the -ing form."""
        with self._lock:
            self._step = text
            if not self._waiting:
                self._write()

    def _late(self) -> None:
        with self._lock:
            if self._shown:
                self._waiting = False
                self._write()

    def _write(self) -> None:
        line = f"kmpsolve: {self._step} ..."
        sys.stderr.write(f"\r{line:<{self._written}}")
        sys.stderr.flush()
        self._written = len(line)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        with self._lock:
            self._shown = False
            if self._written:
                sys.stderr.write(f"\r{'':<{self._written}}\r")
                sys.stderr.flush()
