"""The command line: one module a verb, each imported only when it is called."""

from __future__ import annotations

from kmpsolve.cli.entry import main

__all__ = ["main"]
