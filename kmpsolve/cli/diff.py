"""``kmpsolve diff A B``."""

from __future__ import annotations

import argparse
import difflib
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
from kmpsolve.errors import MetadataError, NoRepositoryError, RequestError
from kmpsolve.model.jsontext import json_text
from kmpsolve.model.needs import flavor_of_uname
from kmpsolve.model.nevra import Nevra
from kmpsolve.report.progress import Progress
from kmpsolve.sources import Sources, need_repositories

if TYPE_CHECKING:
    from kmpsolve.compat.kabi import KabiDiff, Kernel
    from kmpsolve.compat.severities import Severities
    from kmpsolve.model.package import KernelUnit
    from kmpsolve.session import Loaded

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``diff``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = (
        "Compares what two kernels export and shows the symbols that were added, removed or "
        "changed, and which KMP builds fit the first and not the second. Symbols that hit the "
        "same KMPs stand together. Rules only leave changes out of the list: a module that uses "
        "such a symbol still does not load."
    )
    parser.epilog = (
        "examples:\n"
        "  kmpsolve diff 6.4.0-150600.23.25.1 6.4.0-150600.23.30.1\n"
        "  kmpsolve diff symvers-old.gz symvers-new.gz --rules severities --format csv\n"
        "\nThe exit code is 4 if a KMP that fits A does not fit B, else 0.\n"
    )
    kernel = "VERSION-RELEASE, UNAME-R or NEVRA of a kernel, a kernel RPM, a symvers file"
    parser.add_argument("a", metavar="A", help=kernel)
    parser.add_argument("b", metavar="B", help="the same, for the kernel that comes after it")
    parser.add_argument(
        "--rules", metavar="FILE", help="changes to tolerate, in the syntax of SUSE's kABI severities files"
    )
    add_system(parser)
    add_output(parser, ("text", "json", "csv", "html"))


def run(options: argparse.Namespace) -> int:
    """Compare two kernels; exit 4 if that hits a KMP."""
    from kmpsolve.compat.severities import Severities, read_severities

    files = [_file(text) for text in (options.a, options.b)]
    asked = options.repo is not None or options.installed is not None or options.root is not None
    where = sources(options, system=False)
    if None not in files:
        where = _without_need(where, options)
    with told_after_repositories(where):
        severities = read_severities(Path(options.rules)) if options.rules else Severities()
    with Progress(options.quiet) as progress:
        progress.step("reading the kernels")
        loaded = None
        if asked or None in files:
            from kmpsolve.session import load

            loaded = load(where, request(options, where, None), configuration(options, where))
        progress.step("comparing what they export")
        found = _compare(options, files, severities, loaded)
    write_result(_rendered(found, options), options)
    if loaded is not None:
        tell_unread(loaded.inputs, options)
    return 4 if found.hits else 0


def _without_need(where: Sources, options: argparse.Namespace) -> Sources:
    """Where the KMPs are that two files are held against: those are given, or a root's, which needs no repository."""
    if options.repo is not None:
        return where
    if options.root is None:
        return replace(where, root=None, repositories=())
    try:
        need_repositories(where)
    except NoRepositoryError:
        return replace(where, repositories=())
    return where


def _file(text: str) -> Path | None:
    """The file or folder that is meant, if one is."""
    path = Path(text)
    looks = "/" in text or text.endswith((".rpm", ".gz", ".xz", ".zst", ".symvers"))
    return path if looks or path.exists() else None


def _compare(
    options: argparse.Namespace, files: list[Path | None], severities: Severities, loaded: Loaded | None
) -> KabiDiff:
    from kmpsolve.compat.kabi import Kernel, difference

    if loaded is None:
        a, b = (_read(path) for path in files if path is not None)
        return difference(a, b, severities)
    universe = loaded.universe
    every = _kernels(loaded)
    flavors = sorted({build.flavor for build in universe.kmps})
    sides: list[tuple[Kernel, KernelUnit]] = []
    for text, path in zip((options.a, options.b), files, strict=True):
        if path is not None:
            kernel = _read(path)
            flavor = flavor_of_uname(kernel.uname_r)
            # A kernel is its own flavor's only, as one in a repository is; a mere list may be anybody's.
            spelled = [one for one in flavors if one in (flavor, "")] if flavor else flavors
            sides.append((kernel, kernel.unit(spelled, universe.table)))
        else:
            side = "B" if sides else "A"
            unit = _find(text, every, side)
            if not universe.unread.union(universe.told_in_part).isdisjoint(p.handle for p in unit.packages):
                raise MetadataError(
                    f"the symbols of {unit.nevra} are not known: no repository has it as it is installed",
                    reference="kernel-not-known",
                    where=side,
                    hint="Give its RPM or its symvers file instead, or add a repository that has it",
                )
            sides.append((Kernel.of_unit(unit, universe.table), unit))
    (a, unit_a), (b, unit_b) = sides
    return difference(a, b, severities, universe.kmps, (unit_a, unit_b), universe.table)


def _kernels(loaded: Loaded) -> list[KernelUnit]:
    """The kernels of the asked flavors; those of flavors that are not installed stand for themselves."""
    from kmpsolve.planner import flavor_systems

    universe, request = loaded.universe, loaded.request
    installed = {kernel.flavor for kernel in universe.kernels if kernel.package.installed}
    systems = flavor_systems(universe, request) if installed else {}
    units = [unit for system in systems.values() for unit in system.kernels.every()]
    asked = set(request.flavors) or {kernel.flavor for kernel in universe.kernels}
    others = [k for k in universe.kernels if not k.part and k.flavor in asked - systems.keys()]
    units += {str(k.package.nevra): universe.unit(k, ()) for k in others}.values()
    return units


def _read(path: Path) -> Kernel:
    """The kernel in a file or folder.

    Raises
    ------
    MetadataError
        If it cannot be read.
    RequestError
        If there are several, or the symbols that it exports are not all known.
    """
    from kmpsolve.compat.kabi import Kernel
    from kmpsolve.modules.kernel import read_kernels

    if not path.exists():
        raise RequestError(
            "there is no such file", reference="source-missing", where=str(path), hint="Check its path"
        )
    kernels = read_kernels(path)
    if len(kernels) > 1:
        raise RequestError(
            f"holds {len(kernels)} kernels: {', '.join(kernel.label for kernel in kernels)}",
            reference="several-kernels",
            where=str(path),
            hint="give one of them",
        )
    (kernel,) = kernels
    gap = kernel.symvers.gap
    if {*kernel.symvers.crcs.values()} == {"0"}:
        gap = "its symbols have no versions, as those of a kernel that was built without them"
    if gap:
        raise RequestError(
            f"cannot be compared: {gap}",
            reference="incomplete-symbols",
            where=str(path),
            hint="give the kernel's RPM or its symvers file",
        )
    symvers = kernel.symvers
    return Kernel.of_list(
        kernel.label,
        symvers.crcs,
        symsets=symvers.symsets,
        modules=symvers.modules,
        namespaces=symvers.namespaces,
        uname_r=kernel.uname_r,
        arch=Nevra.parse(kernel.nevra).arch if kernel.nevra else "noarch",
    )


def _find(text: str, units: list[KernelUnit], side: str) -> KernelUnit:
    for spelled in (_nevra, _uname, _evr, _evr_without_rebuild):
        found = [unit for unit in units if spelled(unit) == text]
        if found:
            flavors = {unit.flavor for unit in found}
            if len(flavors) > 1:
                first = max(
                    (unit for unit in found if unit.flavor == min(flavors)), key=lambda unit: unit.nevra.evr
                )
                raise RequestError(
                    f"{text} is there for {' and '.join(sorted(flavors))}",
                    reference="ambiguous-kernel",
                    where=side,
                    hint=f"say which: --flavor {first.flavor}, or {first.nevra}",
                )
            best = max(found, key=lambda unit: unit.nevra.evr)
            arches = {unit.nevra.arch for unit in found if unit.nevra.evr == best.nevra.evr}
            if len(arches) > 1:
                raise RequestError(
                    f"{text} is there for {' and '.join(sorted(arches))}",
                    reference="ambiguous-kernel",
                    where=side,
                    hint=f"say which: {best.nevra}",
                )
            return best
    known = list(dict.fromkeys(map(_evr, units)))
    near = difflib.get_close_matches(text, known, n=2, cutoff=0.6)
    raise RequestError(
        f"no kernel {text} is installed or in a repository",
        reference="unknown-kernel",
        where=side,
        hint=f"did you mean {' or '.join(near)}?" if near else "see the kernels: kmpsolve matrix",
    )


def _nevra(unit: KernelUnit) -> str:
    return str(unit.nevra)


def _uname(unit: KernelUnit) -> str:
    return unit.uname_r


def _evr(unit: KernelUnit) -> str:
    return str(unit.nevra.evr)


def _evr_without_rebuild(unit: KernelUnit) -> str:
    return _evr(unit).rpartition(".")[0]


def _rendered(found: KabiDiff, options: argparse.Namespace) -> str:
    from kmpsolve.report import diff

    if options.format == "json":
        return json_text(diff.document(found), indent=2) + "\n"
    if options.format == "csv":
        return diff.render_csv(found)
    if options.format == "html":
        from kmpsolve.report.html.diff import render_html

        return render_html(found)
    from kmpsolve.report.terminal import Terminal

    return diff.render_diff(
        found, Terminal.of(options.color, to_file=options.output is not None), options.verbose
    )
