"""Findings as text: the worst first; a command to paste stays in one line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kmpsolve.modules.findings import Finding
from kmpsolve.report.terminal import Terminal, Tone, printable

__all__ = ["finding_lines"]

_TONES: dict[str, Tone] = {"error": "bad", "warning": "doubt", "note": "strong"}
_ORDER = {"error": 0, "warning": 1, "note": 2}
_LEAD = " " * 11
_COMMAND_AFTER = ":  "


def finding_lines(findings: Iterable[Finding], terminal: Terminal) -> Iterator[str]:
    """Severity, reference and subject on one line, below it the message and the source of the rule."""
    for finding in sorted(findings, key=lambda f: (_ORDER[f.severity], f.subject, f.reference)):
        label = terminal.tone(f"{finding.severity:<8}", _TONES[finding.severity])
        yield f"  {label} {finding.reference}  {printable(finding.subject)}"
        text, colon, command = finding.message.partition(_COMMAND_AFTER)
        yield from terminal.wrapped(_LEAD, text + colon.rstrip())
        if command:
            yield f"{_LEAD}{printable(command)}"
        yield from terminal.wrapped(_LEAD, f"[{finding.rule}]")
