"""What ``verify`` and ``suggest`` found, as text."""

from __future__ import annotations

from collections.abc import Iterator

from kmpsolve.machine.reading import Disk
from kmpsolve.machine.verifyreport import VerifyReport
from kmpsolve.model.nevra import Nevra
from kmpsolve.planner.suggestion import Suggestion, Suggestions
from kmpsolve.report.findings import finding_lines
from kmpsolve.report.terminal import Terminal, Tone, printable
from kmpsolve.report.words import few, plural

__all__ = ["render_suggestions", "render_verify"]


def render_verify(report: VerifyReport, disk: Disk, terminal: Terminal) -> str:
    """The verdict, then what is wrong, the worst first."""
    return "\n".join(_verify(report, disk, terminal)) + "\n"


def _verify(report: VerifyReport, disk: Disk, terminal: Terminal) -> Iterator[str]:
    kernels = ", ".join(printable(kernel.tree.uname_r) for kernel in disk.kernels)
    what = f"{plural(len(disk.offers), 'KMP build')} on {plural(len(disk.kernels), 'kernel')}: {kernels}"
    errors = sum(finding.severity == "error" for finding in report.findings)
    warnings = sum(finding.severity == "warning" for finding in report.findings)
    said: tuple[str, Tone]
    if report.verdict == "blocked":
        said = (f"WRONG: {plural(errors, 'error')}" if errors else "WRONG", "bad")
    elif report.verdict == "unverified":
        said = ("UNVERIFIED: not every module can be checked", "doubt")
    elif warnings:
        said = (f"safe: no driver is missing; {plural(warnings, 'warning')}", "good")
    else:
        said = ("safe: the disk is as it should be", "good")
    yield from terminal.flow([said, (f"({what})", "plain")], indent=2, gap=2)
    if report.findings:
        yield ""
        yield from finding_lines(report.findings, terminal)


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
    elif one.unverified:
        state = terminal.tone("cannot be checked, as it tells no symbol versions", "doubt")
    else:
        state = terminal.tone("fits no kernel", "bad")
    yield f"  {printable(build.name)} {build.evr} ({where}): {state}"
    yield f"    drives   {few(one.devices, 3)}"
    if one.kernels:
        yield f"    kernels  {few(one.kernels, 3)}"
    if one.command:
        yield f"    install  {printable(one.command)}"
