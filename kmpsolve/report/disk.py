"""What ``verify`` and ``suggest`` found, as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from kmpsolve.machine.reading import Disk
from kmpsolve.machine.verify import VerifyReport
from kmpsolve.model.nevra import Nevra
from kmpsolve.planner.suggestion import Suggestion, Suggestions
from kmpsolve.report.terminal import Terminal, Tone, printable
from kmpsolve.report.words import few, plural

__all__ = ["render_suggestions", "render_verify"]

_TONES: dict[str, Tone] = {"error": "bad", "warning": "doubt", "note": "strong"}
_ORDER = {"error": 0, "warning": 1, "note": 2}


def render_verify(report: VerifyReport, disk: Disk, terminal: Terminal) -> str:
    """The verdict, then what is wrong, the worst first."""
    return "\n".join(_verify(report, disk, terminal)) + "\n"


def _verify(report: VerifyReport, disk: Disk, terminal: Terminal) -> Iterator[str]:
    kernels = ", ".join(printable(kernel.tree.uname_r) for kernel in disk.kernels)
    what = f"{plural(len(disk.offers), 'KMP build')} on {plural(len(disk.kernels), 'kernel')} ({kernels})"
    errors = sum(finding.severity == "error" for finding in report.findings)
    if report.verdict == "safe":
        said = terminal.tone("safe: the disk is as it should be", "good")
    elif report.verdict == "blocked":
        said = terminal.tone(f"WRONG: {plural(errors, 'error')}" if errors else "WRONG", "bad")
    else:
        said = terminal.tone("UNVERIFIED: not every module can be checked", "doubt")
    yield f"{what}    {said}"
    findings = sorted(report.findings, key=lambda f: (_ORDER[f.severity], f.subject, f.reference))
    if findings:
        yield ""
    for finding in findings:
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


def render_suggestions(found: Suggestions, terminal: Terminal) -> str:
    """The KMPs for this machine's hardware, those that fit the kernel in use first."""
    return "\n".join(_suggestions(found, terminal)) + "\n"


def _suggestions(found: Suggestions, terminal: Terminal) -> Iterator[str]:
    number = len(found.suggestions)
    if not number:
        yield f"no KMP in the repositories is made for any of the {plural(found.devices, 'device')} here"
        return
    yield f"{plural(number, 'KMP')} for the {plural(found.devices, 'device')} here"
    for one in found.suggestions:
        yield ""
        yield from _suggestion(one, terminal)


def _suggestion(one: Suggestion, terminal: Terminal) -> Iterator[str]:
    build = Nevra.parse(one.build)
    where = f"from {printable(one.repository)}" if one.repository else "installed"
    if one.fits_now:
        state = terminal.tone("fits the newest installed kernel", "good")
    elif one.kernels:
        state = terminal.tone("fits another kernel only", "doubt")
    else:
        state = terminal.tone("fits no kernel", "bad")
    yield f"  {printable(build.name)} {build.evr} ({where}): {state}"
    yield f"    drives   {few(one.devices, 3)}"
    if one.kernels:
        yield f"    kernels  {few(one.kernels, 3)}"
    if one.command:
        yield f"    install  {printable(one.command)}"
