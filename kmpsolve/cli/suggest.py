"""``kmpsolve suggest``."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kmpsolve.cli.options import (
    add_output,
    add_system,
    configuration,
    request,
    sources,
    tell_unread,
    told_after_repositories,
    write_result,
)
from kmpsolve.errors import UsageError
from kmpsolve.model.jsontext import json_text

if TYPE_CHECKING:
    from kmpsolve.model.modalias import Modaliases
    from kmpsolve.sources import Sources

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``suggest``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "examples:\n"
        "  kmpsolve suggest\n"
        "  find /sys -name modalias -exec cat {} + > devices && kmpsolve suggest --devices devices --root /mnt\n\n"
        "--devices takes a copy of /sys, a file with one modalias a line, or an inventory of kmpsolve collect.\n"
        "A KMP is suggested if a modalias() in its Supplements matches a device; the kernels are those of the\n"
        "system and its repositories that it works on.\n"
    )
    add_system(parser)
    parser.add_argument(
        "--devices",
        metavar="SRC",
        help="a copy of /sys, a list of modaliases, or an inventory (default: the system's /sys)",
    )
    add_output(parser, ("text", "json"))


def run(options: argparse.Namespace) -> int:
    """Match and print; 0 whether or not anything matches."""
    from kmpsolve.planner import flavor_systems
    from kmpsolve.planner.suggestion import suggest
    from kmpsolve.report.elsewhere import command_of_release
    from kmpsolve.session import load

    where = sources(options)
    with told_after_repositories(where):
        devices = _devices(options, where)
    loaded = load(where, request(options, where, None), configuration(options, where))
    systems = flavor_systems(loaded.universe, loaded.request).values()
    found = suggest(loaded.universe, loaded.request, systems, devices)
    named = (
        replace(one, command=command_of_release(one.command, options.releasever)) for one in found.suggestions
    )
    found = replace(found, suggestions=tuple(named))
    if options.format == "json":
        text = json_text(found.to_json(), indent=2) + "\n"
    else:
        from kmpsolve.report.disk import render_suggestions
        from kmpsolve.report.elsewhere import command_here
        from kmpsolve.report.terminal import Terminal

        here = (replace(one, command=command_here(one.command, where.folder)) for one in found.suggestions)
        found = replace(found, suggestions=tuple(here))
        text = render_suggestions(found, Terminal.of(options.color, to_file=options.output is not None))
    write_result(text, options)
    tell_unread(loaded.inputs, options)
    return 0


def _devices(options: argparse.Namespace, where: Sources) -> Modaliases:
    from kmpsolve.machine.devices import read_devices

    if options.devices is not None:
        return read_devices(Path(options.devices))
    if where.root is None or not (where.root / "sys").is_dir():
        raise UsageError(
            "the hardware of that system is not at hand",
            reference="no-devices",
            where="--devices",
            hint="save it there: find /sys -name modalias -exec cat {} + > FILE, and give --devices FILE",
        )
    return read_devices(where.root / "sys")
