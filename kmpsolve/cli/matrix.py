"""``kmpsolve matrix``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
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
    from kmpsolve.compat.matrix import Matrix, Row
    from kmpsolve.model.package import KernelUnit
    from kmpsolve.model.plan import Plan
    from kmpsolve.session import Loaded
    from kmpsolve.solver.universe import Universe
    from kmpsolve.sources import Sources

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
    from kmpsolve.planner import plan

    where = sources(options, system=False)
    with Progress(options.quiet) as progress:
        loaded, found, keep = _matrix(where, options, progress)
        flavors = {column.flavor for column in found.kernels}

        def wanted(row: Row) -> bool:
            named = any(fnmatchcase(row.name, name) for name in options.kmp or "*")
            return named and row.flavor in (*flavors, "")

        found = found.only(wanted)
        there = {row.name for row in found.builds}
        if nobody := [name for name in options.kmp if not any(fnmatchcase(one, name) for one in there)]:
            raise RequestError(
                f"no KMP {', '.join(nobody)} is installed or in a repository",
                reference="unknown-kmp",
                hint="see all of them: kmpsolve matrix",
            )
        result = None
        if _standing(loaded.universe) and options.format in ("text", "html"):
            progress.step("looking for the newest safe kernel")
            result = plan(loaded.universe, loaded.request, loaded.inputs)
        text = _rendered(found, result, options)
    write_result(text, options)
    tell_unread(loaded.inputs, options)
    if keep is not None:
        from kmpsolve.cache.background import afterwards

        afterwards(keep)
    return 0


def _matrix(
    where: Sources, options: argparse.Namespace, progress: Progress
) -> tuple[Loaded, Matrix, Callable[[], object] | None]:
    """What was read, the matrix of all KMPs, and what is to be written for the next run."""
    from kmpsolve.compat.matrix import matrix
    from kmpsolve.compat.remembered import recall, remember
    from kmpsolve.session import load

    progress.step("reading the system and its repositories")
    asked, config = request(options, where, None), configuration(options, where)
    loaded = load(where, asked, config, cached=True)
    units = _units(loaded)
    name = loaded.cache
    found = recall(name, units) if name is not None else None
    if found is not None:
        return loaded, found, None
    if loaded.from_cache:
        loaded = load(where, asked, config)
        units = _units(loaded)
    progress.step("holding every build against every kernel")
    universe = loaded.universe
    found = matrix(universe.kmps, units, universe.table, universe.unread, universe.told_in_part)

    if name is None:
        return loaded, found, None

    def keep() -> None:
        remember(name, units, found)
        if loaded.keep is not None:
            loaded.keep()

    return loaded, found, keep


def _standing(universe: Universe) -> bool:
    return any(kernel.package.installed for kernel in universe.kernels)


def _units(loaded: Loaded) -> list[KernelUnit]:
    from kmpsolve.planner import flavor_systems
    from kmpsolve.planner.target import every_kernel

    if not _standing(loaded.universe):
        return every_kernel(loaded.universe, loaded.request.flavors)
    systems = flavor_systems(loaded.universe, loaded.request)
    return [unit for system in systems.values() for unit in system.kernels.every()]


def _rendered(found: Matrix, result: Plan | None, options: argparse.Namespace) -> str:
    if options.format == "json":
        from kmpsolve.report.matrix import document

        return json_text(document(found), indent=2) + "\n"
    if options.format == "csv":
        from kmpsolve.report.matrix import render_csv

        return render_csv(found)
    marked = {flavor.newest_safe for flavor in result.flavors if flavor.newest_safe} if result else set()
    if options.format == "html":
        from kmpsolve.report.html.matrix import render_html

        return render_html(found, result)
    from kmpsolve.report.matrix import render_matrix
    from kmpsolve.report.terminal import Terminal

    return render_matrix(found, Terminal.of(options.color, to_file=options.output is not None), marked)
