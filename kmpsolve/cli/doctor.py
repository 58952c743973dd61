"""``kmpsolve doctor``."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path
from typing import Any

from kmpsolve.cli.options import add_output, write_result
from kmpsolve.model.jsontext import json_text
from kmpsolve.report.terminal import Terminal, printable

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``doctor``."""
    parser.add_argument("--root", metavar="DIR", default="/", help="the system to look at (default /)")
    add_output(parser, ("text", "json"))


def run(options: argparse.Namespace) -> int:
    """Tell what stands between this machine and a broken driver."""
    from kmpsolve.zypp.health import health

    found = health(Path(options.root))
    as_json = options.format == "json"
    terminal = Terminal.of(options.color, to_file=options.output is not None)
    write_result(json_text(found, indent=2) + "\n" if as_json else _text(found, terminal), options)
    return 0


def _text(found: dict[str, Any], terminal: Terminal) -> str:
    hook, guard, last = found["hook"], found["guard"], found["last_verdict"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items() if version)
    bindings = ", ".join(f"{name} {version or 'missing'}" for name, version in found["bindings"].items())
    state = (
        "working" if hook["reachable"] else "installed, not working" if hook["installed"] else "not installed"
    )
    states = Counter(one["state"] for one in found["repositories"])
    repositories = ", ".join(f"{number} {name}" for name, number in sorted(states.items())) or "none"
    verdict = "no verdict since the last boot"
    if last:
        verdict = f"{printable(last['verdict'])}, {_moment(found['last_verdict_at'])}"
    lines = [
        terminal.tone("protected", "good") if found["protected"] else terminal.tone("NOT PROTECTED", "bad"),
        f"  hook          {state}  ({hook['path']})",
        f"  guard         {'on' if guard['on'] else 'off'}",
        *(
            f"                holds {printable(lock['name'])} {printable(lock['evr'])}"
            for lock in guard["holds"]
        ),
        *(
            f"                keeps {printable(lock['name'])} {printable(lock['evr'])}"
            for lock in guard["keeps"]
        ),
        f"  last          {verdict}",
        f"  repositories  {repositories}",
        f"  keys          {len(found['keys'])} trusted by rpm",
        f"  versions      {versions}",
        f"  bindings      {bindings}",
    ]
    for one in found["findings"]:
        lines += ["", *terminal.wrapped(f"  {one['severity']:<8}  ", one["message"])]
        lines += terminal.wrapped("            ", one["hint"])
    return "".join(f"{line}\n" for line in lines)


def _moment(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
