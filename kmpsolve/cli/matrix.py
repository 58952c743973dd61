"""``kmpsolve matrix``."""

from __future__ import annotations

import argparse
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from kmpsolve.cli.options import (
    add_output,
    add_system,
    configuration,
    request,
    sources,
    tell_unread,
    write_result,
)
from kmpsolve.errors import RequestError
from kmpsolve.model.jsontext import json_text
from kmpsolve.report.progress import Progress

if TYPE_CHECKING:
    from kmpsolve.compat.matrix import Matrix
    from kmpsolve.model.plan import Plan

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``matrix``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = (
        "Holds every build of every KMP, installed or in a repository, against every kernel, and "
        "shows how many of its symbol versions are missing there. The newest kernels come first; "
        "builds of other vendors, locked and retracted ones are shown too."
    )
    parser.epilog = (
        "examples:\n"
        "  kmpsolve matrix\n"
        "  kmpsolve matrix 'acme-*' --format csv -o acme.csv\n"
        "  kmpsolve matrix --format html -o matrix.html\n"
    )
    parser.add_argument("kmp", metavar="KMP", nargs="*", help="only KMPs of these names (* and ? allowed)")
    add_system(parser)
    add_output(parser, ("text", "json", "csv", "html"))


def run(options: argparse.Namespace) -> int:
    """Show the matrix; it is a table, not a verdict: exit 0."""
    from kmpsolve.compat.matrix import matrix
    from kmpsolve.planner import flavor_systems, plan
    from kmpsolve.planner.target import every_kernel
    from kmpsolve.session import load

    where = sources(options, system=options.format == "html")
    with Progress(options.quiet) as progress:
        progress.step("reading the system and its repositories")
        loaded = load(where, request(options, where, None), configuration(options, where))
        progress.step("holding every build against every kernel")
        standing = any(kernel.package.installed for kernel in loaded.universe.kernels)
        if standing:
            systems = flavor_systems(loaded.universe, loaded.request)
            units = [unit for system in systems.values() for unit in system.kernels.every()]
        else:
            units = every_kernel(loaded.universe, loaded.request.flavors)
        flavors = {unit.flavor for unit in units}
        builds = [
            build
            for build in loaded.universe.kmps
            if build.flavor in (*flavors, "")
            and any(fnmatchcase(build.name, name) for name in options.kmp or "*")
        ]
        if options.kmp and not builds:
            raise RequestError(
                f"no KMP {', '.join(options.kmp)} is installed or in a repository",
                reference="unknown-kmp",
                hint="see all of them: kmpsolve matrix",
            )
        found = matrix(loaded.universe.kmps, units, loaded.universe.table, loaded.universe.unread)
        found = found.only({str(build.nevra) for build in builds})
        result = None
        if standing and options.format in ("text", "html"):
            progress.step("looking for the newest safe kernel")
            result = plan(loaded.universe, loaded.request, loaded.inputs)
        text = _rendered(found, result, options)
    write_result(text, options)
    tell_unread(loaded.inputs, options)
    return 0


def _rendered(found: Matrix, result: Plan | None, options: argparse.Namespace) -> str:
    if options.format == "json":
        from kmpsolve.report.matrix import document

        return json_text(document(found), indent=2) + "\n"
    if options.format == "csv":
        from kmpsolve.report.matrix import render_csv

        return render_csv(found)
    marked = {flavor.newest_safe for flavor in result.flavors if flavor.newest_safe} if result else set()
    if options.format == "html":
        assert result is not None
        from kmpsolve.report.html.matrix import render_html

        return render_html(found, result)
    from kmpsolve.report.matrix import render_matrix
    from kmpsolve.report.terminal import Terminal

    return render_matrix(found, Terminal.of(options.color, to_file=options.output is not None), marked)
