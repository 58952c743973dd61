"""The command line: one module a verb, each imported only when it is called."""

from __future__ import annotations

from typing import NoReturn

from kmpsolve.cli.entry import main
from kmpsolve.ending import end

__all__ = ["command", "main"]


def command() -> NoReturn:
    """`main` as a process of its own."""
    end(main())
