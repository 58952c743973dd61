"""``kmpsolve verify``."""

from __future__ import annotations

import argparse
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from kmpsolve.cli.options import add_output, configuration, write_result
from kmpsolve.errors import MetadataError, PrivilegeError, RequestError, UsageError
from kmpsolve.model.jsontext import json_text
from kmpsolve.sources import Sources

if TYPE_CHECKING:
    from kmpsolve.machine.installed import Packaged
    from kmpsolve.machine.live import LiveMachine
    from kmpsolve.machine.reading import Disk
    from kmpsolve.metadata.content import Content
    from kmpsolve.metadata.rootpath import Root
    from kmpsolve.modules.kernel import Kernel

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``verify``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "examples:\n"
        "  kmpsolve verify\n"
        "  kmpsolve verify --remember && reboot\n"
        "  kmpsolve verify --booted\n\n"
        "--remember writes the loaded modules of KMPs to /var/lib/kmpsolve/before-reboot.json; --booted, after\n"
        "the reboot, tells which of them are missing, and how to boot the last good kernel. The unit\n"
        "kmpsolve-verify.service does both, at shutdown and after boot; it is installed, and off until\n"
        "systemctl enable kmpsolve-verify.service. With it on, health-checker (MicroOS) asks too.\n"
    )
    group = parser.add_argument_group("system")
    group.add_argument("--root", metavar="DIR", default="/", help="the system to look at (default /)")
    group.add_argument(
        "--installed", metavar="SRC", help="instead of the rpmdb: a folder of RPMs that are installed there"
    )
    group.add_argument("--running", metavar="UNAME-R", help="the kernel that runs (with --booted)")
    group.add_argument("--config", metavar="FILE", help="a configuration file to read after the system's")
    when = parser.add_mutually_exclusive_group()
    when.add_argument(
        "--booted",
        action="store_true",
        help="after a reboot: is each KMP's module the planned one, and loaded if it was before?",
    )
    when.add_argument(
        "--remember",
        action="store_true",
        help="before a reboot: write down which modules of KMPs are loaded, for --booted",
    )
    add_output(parser, ("text", "json"))


def run(options: argparse.Namespace) -> int:
    """Look at the disk and print; the exit code is 0, 4 or 110."""
    from kmpsolve.machine.booted import read_before, remember, verify_booted
    from kmpsolve.machine.verify import verify_disk

    if not Path(options.root).is_dir():
        raise RequestError(
            "there is no such folder",
            reference="root-missing",
            where=options.root,
            hint="Give --root a folder",
        )
    where = Sources(root=Path(options.root), installed=options.installed)
    settings = configuration(options, where, repositories=False)
    disk = _read(where)
    if options.remember:
        _write_state(disk, remember(disk, _machine(options, disk)))
        return 0
    report = verify_disk(disk, require_signed=settings.require_signed)
    if options.booted:
        report = verify_booted(report, disk, _machine(options, disk), read_before(disk.trees.root))
    if options.format == "json":
        text = json_text(report.to_json(), indent=2) + "\n"
    else:
        from kmpsolve.report.disk import render_verify
        from kmpsolve.report.terminal import Terminal

        terminal = Terminal.of(options.color, to_file=options.output is not None)
        text = render_verify(report, disk, terminal)
    write_result(text, options)
    return 4 if options.strict and report.exit_code == 110 else report.exit_code


def _read(where: Sources) -> Disk:
    from kmpsolve.machine.reading import read_disk
    from kmpsolve.metadata.rootpath import Root

    assert where.root is not None
    root = Root.at(where.root)
    content = _installed(where, root)
    # Metadata without lists of files says nothing of who owns what.
    files = dict(content.module_files) if content is not None else None
    try:
        return read_disk(root, files or None, _packaged(content))
    finally:
        if content is not None and content.primary is not None:
            content.primary.close()


def _installed(where: Sources, root: Root) -> Content | None:
    """The installed packages; ``None`` if the system has no rpmdb."""
    from kmpsolve.metadata.rpmdb import read_installed
    from kmpsolve.metadata.source import open_source

    if where.installed is not None:
        return open_source(where.installed, alias="@System")
    try:
        installed = read_installed(root)
    except MetadataError as error:
        if error.reference == "no-rpmdb":
            return None
        raise
    return installed.content if installed.stale is None else None


def _packaged(content: Content | None) -> Packaged:
    """Kernels as the installed packages describe them; loads the packages when the first one is asked for."""

    @cache
    def kernels() -> dict[str, Kernel]:
        from kmpsolve.modules.kernel import kernel_from_capabilities
        from kmpsolve.request import Policy
        from kmpsolve.solver.universe import Universe

        if content is None:
            return {}
        universe = Universe(Policy())
        universe.load(content)
        universe.seal()
        capabilities: dict[str, list[str]] = {}
        for kernel in universe.kernels:
            exported = universe.unit(kernel, ()).exports.capabilities
            capabilities.setdefault(kernel.uname_r, []).extend(map(universe.table.spell, exported))
        return {
            uname_r: kernel_from_capabilities(provides, source=f"the packages of {uname_r}", uname_r=uname_r)
            for uname_r, provides in capabilities.items()
        }

    return lambda uname_r: kernels().get(uname_r)


def _machine(options: argparse.Namespace, disk: Disk) -> LiveMachine:
    """This machine, or, below another root, the one whose /proc and /sys are mounted there."""
    from kmpsolve.machine.live import LiveMachine
    from kmpsolve.metadata.rootpath import Root

    root = disk.trees.root
    sys, proc = Root(root.folder / "sys"), Root(root.folder / "proc")
    running = options.running
    if running is None and root.is_machine:
        running = os.uname().release
    if running is None:
        running = (root.read("/proc/sys/kernel/osrelease") or "").strip()
    if not running:
        raise UsageError(
            "nobody can tell which kernel runs there",
            reference="running-unknown",
            where="--root",
            hint="give it with --running UNAME-R",
        )
    return LiveMachine(running, root=root, sys=sys, proc=proc)


def _write_state(disk: Disk, text: str) -> None:
    from kmpsolve.machine.booted import STATE
    from kmpsolve.report.files import write_whole

    path = disk.trees.root.path(STATE)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    except (PermissionError, MetadataError) as error:
        if not isinstance(error.__cause__ or error, PermissionError):
            raise
        raise PrivilegeError(
            "only root may write there", reference="not-root", where=str(path), hint="run it as root"
        ) from error
