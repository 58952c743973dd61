"""``kmpsolve apply``."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kmpsolve.cli.options import EXIT_CODES, add_output, configuration, request
from kmpsolve.cli.streams import complain, deliver
from kmpsolve.errors import MetadataError, PrivilegeError
from kmpsolve.model.nevra import Nevra
from kmpsolve.model.plan import Plan, Step
from kmpsolve.report.terminal import printable

if TYPE_CHECKING:
    from kmpsolve.session import Loaded

__all__ = ["add_arguments", "run"]

_BLOCKED = 4
_DECLINED = 4
"""As zypper ends where whom it asks says no."""
_COMMIT_FAILED = 8
_DONE = frozenset((0, 102, 103, 106, 107))
"""zypper's codes for a run that did what it should; those above 100 tell something besides."""
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*=(?:[0-9]+:)?[A-Za-z0-9_.+~^]+-[A-Za-z0-9_.+~^]+")
"""NAME=EVR; rpm allows no other characters in them (% and braces are macros)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``apply``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "examples:\n"
        "  kmpsolve apply\n"
        "  kmpsolve apply --kernel newest-safe --non-interactive\n\n"
        "zypper downloads everything first. The KMPs among it are then looked into: a module that needs other\n"
        "symbols than its package says, a changed signature or a corrupted package stops it with exit code 4,\n"
        "and so does, under require_signed, whatever is not signed. Then zypper installs, and what is\n"
        "installed is compared with the plan.\n"
    )
    group = parser.add_argument_group("system")
    group.add_argument("--root", metavar="DIR", default="/", help="the system to change (default /)")
    group.add_argument("--flavor", metavar="F", action="append", help="only kernels of this flavor")
    group.add_argument("--running", metavar="UNAME-R", help="the kernel that runs")
    group.add_argument("--config", metavar="FILE", help="a configuration file to read after the system's")
    parser.add_argument(
        "--kernel",
        metavar="V",
        help="latest, newest-safe, VERSION-RELEASE or UNAME-R (default: what zypper up would pick)",
    )
    parser.add_argument("-n", "--non-interactive", action="store_true", help="do not ask")
    add_output(parser, ("text",))


def run(options: argparse.Namespace) -> int:
    """Plan, show, ask, let zypper do it, and look whether it did."""
    from kmpsolve.metadata.rootpath import Root
    from kmpsolve.metadata.rpmdb import installed_nevras
    from kmpsolve.planner import plan
    from kmpsolve.report.words import plural
    from kmpsolve.session import load
    from kmpsolve.sources import Sources
    from kmpsolve.zypp.lockfile import zypp_lock

    if os.geteuid() != 0:
        raise PrivilegeError("only root may do this", reference="not-root", hint="Run it as root")
    root = Path(options.root)
    with zypp_lock(root):
        # What is planned on must not be changed by somebody else while it is read.
        where = Sources(root=root)
        options.installed = None
        settings = configuration(options, where)
        loaded = load(where, request(options, where, options.kernel), settings)
        planned = plan(loaded.universe, loaded.request, loaded.inputs)
    _show(planned, options)
    code = EXIT_CODES[planned.verdict]
    strict = options.strict or settings.unverified == "abort"
    if planned.verdict == "unverified" and strict and not _only_signatures(loaded):
        return _BLOCKED
    if planned.verdict == "blocked" or planned.command is None:
        return code
    if not options.non_interactive and not _agreed():
        complain("kmpsolve: nothing was changed")
        return _DECLINED
    below = [] if root == Path("/") else ["--root", str(root)]
    verb, *words = _arguments(planned)
    zypper = ["zypper", "--non-interactive", *below]
    deliver()
    if any(step.action != "erase" for step in planned.transaction):
        fetched = _download([*zypper, verb, "--download-only", *words])
        if fetched not in _DONE:
            return fetched
        planned = plan(loaded.universe, loaded.request, loaded.inputs)
        code = EXIT_CODES[planned.verdict]
        if not _arrived_as_planned(loaded, planned, root, options):
            return _BLOCKED
        if planned.verdict == "unverified" and strict:
            return _BLOCKED
    done = subprocess.run([*zypper, verb, *words], check=False).returncode
    # Not by rpm --root, which looks where this machine's database is, and begins one there if there is none.
    wrong = list(_differences(planned.transaction, installed_nevras(Root.at(root))))
    for line in wrong:
        complain(f"kmpsolve: {line}")
    if wrong:  # a new kernel may be there without its drivers, and boots next
        below_root = "" if root == Path("/") else f" --root {shlex.quote(str(root))}"
        complain(f"kmpsolve: before a reboot, see what is left to do: kmpsolve plan{below_root}")
    if not wrong and not options.quiet:
        complain(f"kmpsolve: done as planned: {plural(len(planned.transaction), 'step')}")
    return done or (_COMMIT_FAILED if wrong else code)


def _show(planned: Plan, options: argparse.Namespace) -> None:
    from kmpsolve.cli.options import write_result
    from kmpsolve.report.elsewhere import typed_here
    from kmpsolve.report.terminal import Terminal
    from kmpsolve.report.text import render_plan

    terminal = Terminal.of(options.color, to_file=options.output is not None)
    write_result(render_plan(typed_here(planned, options.root), terminal), options)
    for step in planned.transaction:
        where = f"  from {step.repository}" if step.repository else ""
        print(printable(f"  {step.action:<9}  {step.nevra}{where}"))


def _arguments(planned: Plan) -> list[str]:
    """What zypper is to do; no package decides how an argument begins: an option, another package's removal.

    Raises
    ------
    MetadataError
        ``unsafe-name``, for a name or EVR that rpmbuild would not let anybody write.
    """
    verb, *words = shlex.split(planned.command or "")[1:]
    erased = {f"-{_spec(step)}": _spec(step) for step in planned.transaction if step.action == "erase"}
    named = {_word(step, words): _spec(step) for step in planned.transaction if step.action != "erase"}
    known = named | erased
    for word, spec in known.items():
        if _PLAIN.fullmatch(spec) is None or (word in named and word[0] in "-+~!"):
            raise MetadataError(
                f"{word} is nothing that zypper could be told safely",
                reference="unsafe-name",
                hint="Look at the repository that it comes from",
            )
    flags = [word for word in words if word not in known and word != "--"]
    return [verb, *flags, "--", *(word for word in words if word in known)]


def _spec(step: Step) -> str:
    nevra = Nevra.parse(step.nevra)
    return f"{nevra.name}={nevra.evr}"


def _word(step: Step, words: Collection[str]) -> str:
    """What the command calls a package: by its repository and architecture too where others share name and EVR."""
    nevra = Nevra.parse(step.nevra)
    aliases, arches = ("", f"{step.repository}:"), ("", f".{nevra.arch}")
    spellings = (f"{alias}{nevra.name}{arch}={nevra.evr}" for alias in aliases for arch in arches)
    return next((spelled for spelled in spellings if spelled in words), _spec(step))


def _only_signatures(loaded: Loaded) -> bool:
    """Whether nothing is in doubt but signatures, which the downloaded RPMs will tell."""
    from kmpsolve.planner import plan

    lenient = replace(loaded.request, require_signed=False)
    return plan(loaded.universe, lenient, loaded.inputs).verdict != "unverified"


def _download(command: list[str]) -> int:
    """Let zypper fetch the packages; what went wrong, in its own words and with its own code."""
    # What the commit hook says is said when the packages are installed.
    done = subprocess.run(command, stderr=subprocess.PIPE, check=False)
    if done.returncode not in _DONE:
        sys.stderr.buffer.write(done.stderr)
        complain("kmpsolve: not everything was downloaded; nothing was changed")
    return done.returncode


def _arrived_as_planned(loaded: Loaded, planned: Plan, root: Path, options: argparse.Namespace) -> bool:
    """Look into what was downloaded and say what was found; whether it may be installed."""
    from kmpsolve.metadata.rootpath import Root
    from kmpsolve.metadata.rpmdb import public_keys
    from kmpsolve.report.findings import finding_lines
    from kmpsolve.report.terminal import Terminal
    from kmpsolve.report.words import few
    from kmpsolve.zypp.arrival import look_into

    if planned.verdict == "blocked":
        _show(planned, options)
        complain("kmpsolve: the downloaded packages are not signed as required; nothing was changed")
        return False
    arrival = look_into(loaded, planned, [key.armored for key in public_keys(Root(root))])
    for line in finding_lines(arrival.findings, Terminal.of(options.color, to_file=True)):
        print(line, file=sys.stderr)
    if arrival.missing:
        complain(f"kmpsolve: not checked: zypper does not keep the download of {few(arrival.missing)}")
    if arrival.refused:
        complain("kmpsolve: stopped before anything was installed: see above")
    elif arrival.looked_into and not options.quiet:
        said = "as planned" if arrival.sure else "not everything can be checked, nothing speaks against it"
        complain(f"kmpsolve: looked into {few(arrival.looked_into)}: {said}")
    return not arrival.refused


def _agreed() -> bool:
    print("Continue? [y/n] (n): ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _differences(steps: Iterable[Step], installed: frozenset[str]) -> Iterable[str]:
    for step in steps:
        if step.action == "erase" and step.nevra in installed:
            yield f"not as planned: {step.nevra} is still installed"
        elif step.action != "erase" and step.nevra not in installed:
            yield f"not as planned: {step.nevra} is not installed"
