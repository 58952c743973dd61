"""``kmpsolve plan``."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from kmpsolve.cli.options import (
    EXIT_CODES,
    add_output,
    add_system,
    configuration,
    request,
    sources,
    write_result,
)
from kmpsolve.errors import UsageError
from kmpsolve.report.progress import Progress

if TYPE_CHECKING:
    from kmpsolve.explain.story import Stories
    from kmpsolve.model.plan import Plan
    from kmpsolve.session import Loaded

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``plan``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "examples:\n"
        "  kmpsolve plan\n"
        "  kmpsolve plan --dup --releasever 15.7\n"
        "  kmpsolve plan --kernel newest-safe --format html -o plan.html\n"
        "  kmpsolve plan --installed host.json --repo updates=/srv/mirror/updates --format json\n"
    )
    add_system(parser)
    parser.add_argument(
        "--kernel",
        metavar="V",
        help="latest, newest-safe, VERSION-RELEASE or UNAME-R (default: what zypper up would pick)",
    )
    parser.add_argument(
        "--dup",
        action="store_true",
        help="judge what zypper dist-upgrade would do; with --releasever: a migration to that release",
    )
    parser.add_argument(
        "--schema", action="store_true", help="print the JSON schema of --format json and stop"
    )
    add_output(parser, ("text", "json", "html", "dot"))


def run(options: argparse.Namespace) -> int:
    """Plan and print; the exit code follows the verdict alone."""
    if options.schema:
        from kmpsolve.model.plan import Plan

        write_result(json.dumps(Plan.schema(), indent=2) + "\n", options)
        return 0
    if options.dup and options.kernel is not None:
        raise UsageError(
            "a dist-upgrade takes the kernel that the repositories have",
            reference="kernel-of-dup",
            where="--dup --kernel",
            hint="give one of the two",
        )
    from kmpsolve.planner import plan
    from kmpsolve.report.elsewhere import of_release
    from kmpsolve.session import load

    where = sources(options)
    with Progress(options.quiet) as progress:
        progress.step("reading the system and its repositories")
        asked = request(options, where, options.kernel)
        loaded = load(where, asked, configuration(options, where), cached=not options.dup)
        progress.step("holding every KMP against the kernels")
        if options.dup:
            from kmpsolve.planner.distupgrade import plan_dist_upgrade

            command = "zypper dist-upgrade"
            result = plan_dist_upgrade(loaded.universe, loaded.request, loaded.inputs, command)
        else:
            result = plan(loaded.universe, loaded.request, loaded.inputs)
        result = of_release(result, options.releasever)
        text = _rendered(result, loaded, options, where.folder)
    write_result(text, options)
    if loaded.keep is not None:
        from kmpsolve.cache.background import afterwards

        afterwards(loaded.keep)
    code = EXIT_CODES[result.verdict]
    return 4 if options.strict and code == 110 else code


def _blocked(result: Plan, loaded: Loaded) -> Stories:
    """The stories of the KMPs that are lost: telling them takes imports, and time."""
    if not any(kmp.decision == "blocked" for flavor in result.flavors for kmp in flavor.kmps):
        return {}
    from kmpsolve.explain.story import stories

    return stories(loaded.universe, loaded.request, result, lambda kmp: kmp.decision == "blocked")


def _rendered(result: Plan, loaded: Loaded, options: argparse.Namespace, root: str | None) -> str:
    if options.format == "json":
        return result.to_json()
    from kmpsolve.report.elsewhere import typed_here

    result = typed_here(result, root)
    if options.format == "html":
        from kmpsolve.explain.story import stories
        from kmpsolve.report.html.plan import render_html

        return render_html(result, stories(loaded.universe, loaded.request, result))
    blocked = _blocked(result, loaded)
    if options.format == "dot":
        from kmpsolve.report.dot import render_dot

        return render_dot(result, blocked)
    from kmpsolve.report.terminal import Terminal
    from kmpsolve.report.text import render_plan

    return render_plan(result, Terminal.of(options.color, to_file=options.output is not None), blocked)
