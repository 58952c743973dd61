"""Findings as text: the worst first, each with its rule on demand."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import Protocol

from kmpsolve.report.terminal import Terminal, Tone, printable

__all__ = ["finding_lines"]

_TONES: dict[str, Tone] = {"error": "bad", "warning": "doubt", "note": "strong"}
_ORDER = {"error": 0, "warning": 1, "note": 2}


class _Finding(Protocol):
    @property
    def reference(self) -> str: ...
    @property
    def severity(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def message(self) -> str: ...


def finding_lines(findings: Iterable[_Finding], terminal: Terminal) -> Iterator[str]:
    """Severity and subject on one line, the message below it."""
    for finding in sorted(findings, key=lambda f: (_ORDER[f.severity], f.subject, f.reference)):
        label = terminal.tone(f"{finding.severity:<8}", _TONES[finding.severity])
        yield f"  {label} {printable(finding.subject)}"
        yield from textwrap.wrap(
            printable(finding.message),
            width=terminal.width,
            initial_indent=" " * 11,
            subsequent_indent=" " * 11,
            break_long_words=False,
            break_on_hyphens=False,
        )
