"""``kmpsolve doctor``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from kmpsolve.cli.options import add_output, write_result

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``doctor``."""
    parser.add_argument("--root", metavar="DIR", default="/", help="the system to look at (default /)")
    add_output(parser, ("text", "json"))


def run(options: argparse.Namespace) -> int:
    """Tell what stands between this machine and a broken driver."""
    from kmpsolve.zypp.health import health

    found = health(Path(options.root))
    text = json.dumps(found, indent=2) + "\n" if options.format == "json" else _text(found)
    write_result(text, options)
    return 0


def _text(found: dict[str, Any]) -> str:
    hook, guard, last = found["hook"], found["guard"], found["last_verdict"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items() if version)
    bindings = ", ".join(f"{name} {version or 'missing'}" for name, version in found["bindings"].items())
    state = (
        "working" if hook["reachable"] else "installed, not working" if hook["installed"] else "not installed"
    )
    lines = [
        "protected" if found["protected"] else "NOT PROTECTED",
        f"  hook      {state}  ({hook['path']})",
        f"  guard     {'on' if guard['on'] else 'off'}",
        *(f"            holds {lock['name']} {lock['evr']}" for lock in guard["holds"]),
        *(f"            keeps {lock['name']} {lock['evr']}" for lock in guard["keeps"]),
        f"  last      {last['verdict'] if last else 'no verdict since the last boot'}",
        f"  versions  {versions}",
        f"  bindings  {bindings}",
        *(f"  problem   {problem}" for problem in found["problems"]),
    ]
    return "\n".join(lines) + "\n"
