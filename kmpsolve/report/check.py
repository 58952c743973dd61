"""What ``check`` found, as text."""

from __future__ import annotations

from collections.abc import Iterator

from kmpsolve.modules.checkreport import CheckReport, Subject
from kmpsolve.report.findings import finding_lines
from kmpsolve.report.terminal import Terminal, Tone, printable
from kmpsolve.report.words import plural

__all__ = ["render_check"]

_TONES: dict[str, Tone] = {"safe": "good", "blocked": "bad", "unverified": "doubt"}
_WORDS = {"safe": "loads", "blocked": "would not load", "unverified": "cannot be checked"}
_SHOWN = 5


def render_check(report: CheckReport, terminal: Terminal) -> str:
    """The verdict, each subject on each kernel, then the findings."""
    return "\n".join(_lines(report, terminal)) + "\n"


def _lines(report: CheckReport, terminal: Terminal) -> Iterator[str]:
    bad = sum(subject.verdict == "blocked" for subject in report.subjects)
    errors = sum(finding.severity == "error" for finding in report.findings)
    total = len(report.subjects)
    if report.verdict == "safe":
        said = f"safe: all {total} load" if total != 1 else "safe: it loads"
    elif report.verdict == "unverified":
        said = "UNVERIFIED: not everything can be checked"
    elif bad:
        said = f"BLOCKED: {bad} of {total} would not load"
    else:
        said = f"WRONG: {plural(errors, 'error')}"
    yield terminal.tone(said, _TONES[report.verdict])
    yield ""
    for subject in report.subjects:
        yield from _subject(subject, terminal)
    if report.findings:
        yield ""
        yield from finding_lines(report.findings, terminal)


def _subject(subject: Subject, terminal: Terminal) -> Iterator[str]:
    label = terminal.tone(f"{_WORDS[subject.verdict]:<18}", _TONES[subject.verdict])
    where = f"on {printable(subject.kernel)}" if subject.kernel else "none of the kernels given is for it"
    yield f"  {label} {printable(subject.nevra or subject.path)}  {where}"
    for mismatch in subject.mismatches[:_SHOWN]:
        provider = printable(mismatch.provider)
        if mismatch.kind == "disagrees":
            detail = f"wants {mismatch.wanted}, {provider or 'kernel'} has {mismatch.found}"
        elif provider:
            detail = f"belongs to {provider}, which would not load"
        else:
            detail = "unknown symbol"
        yield f"      {printable(mismatch.symbol)}  {detail}"
    if len(subject.mismatches) > _SHOWN:
        yield f"      (+{len(subject.mismatches) - _SHOWN} more: --format json)"
