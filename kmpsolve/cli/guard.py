"""``kmpsolve guard``."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from kmpsolve.cli.options import add_output, tell_unread, write_result
from kmpsolve.errors import PrivilegeError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``guard``."""
    parser.add_argument("action", choices=("on", "off", "sync", "status"))
    parser.add_argument("--root", metavar="DIR", default="/", help="the system to guard (default /)")
    parser.add_argument("--config", metavar="FILE", help="a configuration file to read after the system's")
    parser.add_argument("--running", metavar="UNAME-R", help="the kernel that runs")
    add_output(parser, ("text", "json"))


def run(options: argparse.Namespace) -> int:
    """Switch the guard, or bring its locks in line with what the repositories have now."""
    from kmpsolve.zypp import guard
    from kmpsolve.zypp.lockfile import zypp_lock

    root = Path(options.root)
    if options.action != "status":
        if os.geteuid() != 0:
            raise PrivilegeError("only root may do this", reference="not-root", hint="Run it as root")
        with zypp_lock(root):
            if options.action != "sync":
                guard.switch(root, _library(), on=options.action == "on")
            if options.action != "off":
                return _sync(options, root)
    _show(options, root, [])
    return 0


def _sync(options: argparse.Namespace, root: Path) -> int:
    from kmpsolve.config import read_config
    from kmpsolve.request import Request
    from kmpsolve.session import nothing_read
    from kmpsolve.zypp import guard, words
    from kmpsolve.zypp.reading import every_patch, read_caches
    from kmpsolve.zypp.survey import free_patches, survey

    config = read_config(root, Path(options.config) if options.config else None)
    running = options.running or (os.uname().release if root == Path("/") else None)
    request = Request(running=running)
    loaded = read_caches(root, request, config, without_holds=True, patches=True).loaded
    if not loaded.inputs.repositories:
        raise nothing_read(loaded.inputs.skipped)
    guarded = survey(loaded, doubtful=config.unverified == "abort")
    guard.write(guarded, root, loaded, keep=config.keep_last_good)
    told = words.held(guarded)
    if guarded.held:
        told += words.patch_command(free_patches(loaded, guarded, every_patch(root)))
    tell_unread(loaded.inputs, options)
    _show(options, root, told)
    if loaded.inputs.skipped:  # what breaks a KMP may be there, and is not held
        return 4 if options.strict else 110
    return 0


def _library() -> Path:
    """The folder that kmpsolve is installed in."""
    return Path(__file__).parents[2]


def _show(options: argparse.Namespace, root: Path, told: list[str]) -> None:
    from kmpsolve.metadata.locks import parse_locks
    from kmpsolve.metadata.rootpath import Root
    from kmpsolve.zypp import guard
    from kmpsolve.zypp.blindspots import executable
    from kmpsolve.zypp.lockfile import HOLD

    on = guard.installed_service(root)
    runs = on and executable(Root.at(root).path(guard.SERVICE))
    locks = guard.standing(root)
    path = guard.locks_path(root)
    problems = parse_locks(path.read_text(errors="replace") if path.is_file() else "").problems
    holds = [lock for lock in locks if lock.comment == HOLD]
    keeps = [lock for lock in locks if lock.comment != HOLD]
    if options.format == "json":
        document = {
            "schema_version": 1,
            "on": on,
            "runs": runs,
            "holds": [{"name": lock.name, "evr": lock.evr} for lock in holds],
            "keeps": [{"name": lock.name, "evr": lock.evr} for lock in keeps],
            "problems": list(problems),
        }
        write_result(json.dumps(document, indent=2) + "\n", options)
        return
    lines = [f"guard: {'on' if on else 'off'}", *told]
    if on and not runs:
        lines.append(f"  zypper cannot start {guard.SERVICE}: install kmpsolve again, then kmpsolve guard on")
    lines += [f"  holds  {lock.name} {lock.evr}" for lock in holds]
    lines += [f"  keeps  {lock.name} {lock.evr}" for lock in keeps]
    lines += [f"  {path} {problem}" for problem in problems]
    write_result("\n".join(lines) + "\n", options)
