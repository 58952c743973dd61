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

_SHOWN = 3
"""Verdicts of the hook; there are more in JSON."""


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
    said = [
        f"{printable(one['verdict'])}, {_moment(one['at'])} ({printable(one['action'])})"
        for one in found["last_verdicts"][:_SHOWN]
    ]
    if not said and last:
        said = [f"{printable(last['verdict'])}, {_moment(found['last_verdict_at'])}"]
    cache = found["cache"]
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
        f"  last          {said[0] if said else 'no verdict since the last boot'}",
        *(f"                {line}" for line in said[1:]),
        f"  repositories  {repositories}",
        f"  cache         {_size(cache) if cache else 'none'}",
        f"  keys          {len(found['keys'])} trusted by rpm",
        f"  versions      {versions}",
        f"  bindings      {bindings}",
    ]
    for one in found["findings"]:
        lines += ["", *terminal.wrapped(f"  {one['severity']:<8}  ", one["message"])]
        lines += terminal.wrapped("            ", one["hint"])
    return "".join(f"{line}\n" for line in lines)


def _size(cache: dict[str, Any]) -> str:
    return f"{cache['caches']} in {printable(cache['path'])}, {cache['bytes'] / 1e6:.1f} MB"


def _moment(seconds: int) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
    except (OverflowError, OSError, ValueError):
        return "at a time that is none"
