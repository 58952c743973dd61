"""``kmpsolve plan``."""

from __future__ import annotations

import argparse
import json

from kmpsolve.cli.options import (
    EXIT_CODES,
    add_output,
    add_system,
    configuration,
    request,
    sources,
    write_result,
)

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``plan``."""
    add_system(parser)
    parser.add_argument(
        "--kernel",
        metavar="V",
        help="latest, newest-safe, VERSION-RELEASE or UNAME-R (default: what zypper up would pick)",
    )
    parser.add_argument(
        "--schema", action="store_true", help="print the JSON schema of --format json and stop"
    )
    add_output(parser, ("text", "json"))


def run(options: argparse.Namespace) -> int:
    """Plan and print; the exit code follows the verdict alone."""
    from kmpsolve.model.plan import Plan

    if options.schema:
        write_result(json.dumps(Plan.schema(), indent=2) + "\n", options)
        return 0
    from kmpsolve.planner import plan
    from kmpsolve.session import load

    where = sources(options)
    loaded = load(where, request(options, where, options.kernel), configuration(options, where))
    result = plan(loaded.universe, loaded.request, loaded.inputs)
    if options.format == "json":
        text = result.to_json()
    else:
        from kmpsolve.report.terminal import Terminal
        from kmpsolve.report.text import render_plan

        text = render_plan(result, Terminal.of(options.color, to_file=options.output is not None))
    write_result(text, options)
    code = EXIT_CODES[result.verdict]
    return 4 if options.strict and code == 110 else code
