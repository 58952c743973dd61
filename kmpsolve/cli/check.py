"""``kmpsolve check``."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
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
from kmpsolve.errors import MetadataError, RequestError, UsageError
from kmpsolve.model.jsontext import json_text

if TYPE_CHECKING:
    from kmpsolve.model.package import KernelUnit
    from kmpsolve.modules.checkreport import CheckReport
    from kmpsolve.modules.kernel import Kernel
    from kmpsolve.solver.universe import Universe
    from kmpsolve.sources import Sources

__all__ = ["add_arguments", "run"]

_MOST = 8 << 20
"""Bytes of keys or certificates."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``check``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "examples:\n"
        "  kmpsolve check acme-kmp-default.rpm --against kernel-default.rpm\n"
        "  kmpsolve check /mnt/driver-disk --against /lib/modules/$(uname -r) --against installer-kernel.rpm\n"
        "  mokutil --list-enrolled > enrolled; kmpsolve check acme.rpm --certificates enrolled --require-signed\n\n"
        "Everything given counts as installed together. Packages other than KMPs are left out, but for\n"
        "N-ueficert, whose certificates count as enrolled.\n"
    )
    parser.add_argument(
        "paths", metavar="FILE|DIR", nargs="+", help="KMP RPMs, folders of them (driver disks), .ko files"
    )
    parser.add_argument(
        "--kernel",
        metavar="V",
        help="latest, newest-safe, VERSION-RELEASE or UNAME-R (default: what zypper up would pick)",
    )
    parser.add_argument(
        "--against",
        metavar="FILE|DIR",
        action="append",
        help="instead: a kernel RPM, a folder of them, a symvers file, or /lib/modules/X",
    )
    parser.add_argument(
        "--certificates",
        metavar="FILE|DIR",
        help="certificates that sign modules, or what mokutil --list-enrolled prints (default: signatures are"
        " noted)",
    )
    parser.add_argument(
        "--keys",
        metavar="FILE",
        action="append",
        help="public keys that sign RPMs (default: signatures are noted)",
    )
    parser.add_argument(
        "--require-signed", action="store_true", help="an unsigned or unknown signature is an error"
    )
    add_system(parser)
    add_output(parser, ("text", "json"))


def run(options: argparse.Namespace) -> int:
    """Check and print; exit 4 if something would not load or is wrong, 110 if nobody can tell."""
    from kmpsolve.modules.check import check

    if options.kernel is not None and options.against:
        raise UsageError(
            "give --kernel or --against, not both", reference="usage", hint="see kmpsolve check --help"
        )
    where = sources(options, system=False)
    with nullcontext() if options.against else told_after_repositories(where):
        paths = [_existing(text) for text in options.paths]
    if options.against:
        from kmpsolve.modules.kernel import read_kernels

        kernels = [kernel for text in options.against for kernel in read_kernels(_existing(text))]
        require_signed = options.require_signed
    else:
        settings = configuration(options, where)
        require_signed = options.require_signed or settings.require_signed
        kernels = _from_repositories(options, where)
    certificates = _existing(options.certificates) if options.certificates else None
    keys = [_bytes(_existing(text)) for text in options.keys] if options.keys else None
    report = check(paths, kernels, certificates=certificates, keys=keys, require_signed=require_signed)
    as_json = options.format == "json"
    write_result(
        json_text(report.to_json(), indent=2) + "\n" if as_json else _render(report, options), options
    )
    return 4 if options.strict and report.exit_code == 110 else report.exit_code


def _render(report: CheckReport, options: argparse.Namespace) -> str:
    from kmpsolve.report.check import render_check
    from kmpsolve.report.terminal import Terminal

    return render_check(report, Terminal.of(options.color, to_file=options.output is not None))


def _existing(text: str) -> Path:
    path = Path(text)
    if not path.exists():
        raise RequestError(
            "there is no such file or folder", reference="source-missing", where=text, hint="Check its path"
        )
    return path


def _bytes(path: Path) -> bytes:
    """A file of keys or certificates, or a pipe; what has no end is none."""
    try:
        with path.open("rb") as file:
            found = file.read(_MOST + 1)
    except OSError as error:
        raise MetadataError(
            f"cannot be read: {error.strerror}",
            reference="file-unreadable",
            where=str(path),
            hint="Check its path and its permissions",
        ) from error
    if len(found) > _MOST:
        raise MetadataError(
            "is too large for keys or certificates",
            reference="file-unreadable",
            where=str(path),
            hint=f"Give a file of at most {_MOST >> 20} MiB",
        )
    return found


def _from_repositories(options: argparse.Namespace, where: Sources) -> list[Kernel]:
    """The kernels that --kernel names, of every selected flavor."""
    from kmpsolve.planner.deciding import kernels_meant
    from kmpsolve.session import load

    loaded = load(where, request(options, where, options.kernel), configuration(options, where))
    tell_unread(loaded.inputs, options)
    return [_kernel(unit, loaded.universe) for unit in kernels_meant(loaded.universe, loaded.request)]


def _kernel(unit: KernelUnit, universe: Universe) -> Kernel:
    """A kernel of the universe, with as much of it as is known and not only taken for granted."""
    from kmpsolve.modules.kernel import kernel_from_capabilities

    handles = {package.handle for package in unit.packages}
    assumed = not handles.isdisjoint(universe.unread)
    return kernel_from_capabilities(
        () if assumed else universe.spelled(unit.exports),
        source=unit.main.repository or "installed",
        uname_r=unit.uname_r,
        nevra=str(unit.nevra),
        whole=not assumed and handles.isdisjoint(universe.told_in_part),
    )
