"""Options that several verbs share, so that they mean the same everywhere."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from kmpsolve.cli.streams import complain, deliver
from kmpsolve.config import Config, read_config
from kmpsolve.errors import ConfigError, MetadataError, RequestError
from kmpsolve.metadata.variables import without_password
from kmpsolve.model.plan import Inputs, Verdict
from kmpsolve.request import Request
from kmpsolve.sources import Sources, need_repositories

__all__ = [
    "EXIT_CODES",
    "add_output",
    "add_system",
    "configuration",
    "request",
    "sources",
    "tell_unread",
    "told_after_repositories",
    "write_result",
]

EXIT_CODES: dict[Verdict, int] = {"safe": 0, "nothing-to-do": 0, "blocked": 4, "unverified": 110}


def add_system(parser: argparse.ArgumentParser) -> None:
    """Options that say which system and which repositories are read."""
    group = parser.add_argument_group("system and repositories")
    group.add_argument("--root", metavar="DIR", help="the system to read (default /)")
    group.add_argument(
        "--installed",
        metavar="SRC",
        help="instead of the rpmdb: an inventory, a folder of RPMs, an rpm-md folder, a .solv file",
    )
    group.add_argument(
        "--repo",
        metavar="[ALIAS=]SRC",
        action="append",
        help="instead of the root's repositories: an rpm-md folder, a folder of RPMs, a .solv file, a URL",
    )
    group.add_argument(
        "--releasever", metavar="V", help="read the root's repositories as those of another release"
    )
    group.add_argument("--flavor", metavar="F", action="append", help="only kernels of this flavor")
    group.add_argument("--running", metavar="UNAME-R", help="the kernel that runs")
    group.add_argument("--config", metavar="FILE", help="a configuration file to read after the system's")


def add_output(parser: argparse.ArgumentParser, formats: tuple[str, ...]) -> None:
    """Options that say how results are shown."""
    group = parser.add_argument_group("output")
    group.add_argument("--format", choices=formats, default="text", help="default: text")
    group.add_argument("-o", "--output", metavar="FILE", help="write the result there instead of to stdout")
    group.add_argument("--color", choices=("auto", "always", "never"), default="auto")
    group.add_argument(
        "--strict", action="store_true", help="exit 4 instead of 110 if something is unverified"
    )
    group.add_argument("-v", "--verbose", action="store_true", help="tell the chain behind an error")
    group.add_argument("-q", "--quiet", action="store_true", help="nothing but results and errors")


def sources(options: argparse.Namespace, *, system: bool = True) -> Sources:
    """Where to read from; with both --installed and --repo no root is read unless it is given.

    Parameters
    ----------
    system
        Whether the verb asks about a system. One that does not reads none beside --repo.
    """
    pairs: list[tuple[str, str]] | None = None
    if options.repo is not None:
        pairs = _aliases_and_sources(options.repo)
    root = options.root
    if root is None and (pairs is None or (system and options.installed is None)):
        root = "/"
    return Sources(
        root=Path(root) if root is not None else None,
        releasever=options.releasever,
        installed=options.installed,
        repositories=tuple(pairs) if pairs is not None else None,
    )


def _aliases_and_sources(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Split each [ALIAS=]SRC; without an alias it is the last part of SRC, or SRC where that is taken.

    A SRC that is given twice without an alias counts once. An alias is shown, so it has no password.
    """
    named: list[tuple[str, str]] = []
    unnamed: dict[str, str] = {}
    for text in texts:
        alias, equals, source = text.partition("=")
        alias = _readable(alias)
        if equals and alias and source and not {"/", "?"} & set(alias):
            named.append((alias, source))
        else:
            unnamed[text] = _readable(without_password(text))
    short = [Path(shown.rstrip("/")).name or shown for shown in unnamed.values()]
    taken = {alias for alias, _ in named} | {alias for alias in short if short.count(alias) > 1}
    for (source, shown), alias in zip(unnamed.items(), short, strict=True):
        named.append((shown if alias in taken else alias, source))
    return named


def _readable(name: str) -> str:
    """A name without the bytes that are no text: libsolv takes none, and nobody could read it."""
    return name.encode(errors="backslashreplace").decode()


def configuration(options: argparse.Namespace, where: Sources, *, repositories: bool = True) -> Config:
    """The configuration of the root that is read, then --config's.

    Parameters
    ----------
    repositories
        Whether the verb reads some: that there are none is then said before anything about the configuration.
    """
    path = Path(options.config) if options.config else None
    with told_after_repositories(where) if repositories else nullcontext():
        if path is not None and not path.exists():
            raise ConfigError(
                "there is no such file",
                reference="wrong-configuration",
                where=str(path),
                hint="Name one that is there, or leave --config out",
            )
        return read_config(where.root, path)


@contextmanager
def told_after_repositories(where: Sources) -> Iterator[None]:
    """Whatever else is wrong with the input is told only where repositories are defined (the order of exit codes).

    Raises
    ------
    NoRepositoryError
        Instead of what was raised inside, if none is defined or enabled.
    """
    try:
        yield
    except (ConfigError, MetadataError, RequestError):
        need_repositories(where)
        raise


def request(options: argparse.Namespace, where: Sources, kernel: str | None) -> Request:
    """What is asked for; this machine's kernel counts as running on its own root only."""
    running = options.running
    if running is None and where.here:
        running = os.uname().release
    return Request(kernel=kernel, flavors=tuple(options.flavor or ()), running=running)


def tell_unread(inputs: Inputs, options: argparse.Namespace) -> None:
    """Name the repositories that were not read, for verbs whose result has no place for it."""
    for skipped in () if options.quiet else inputs.skipped:
        complain(f"kmpsolve: not read: {skipped.alias}: {skipped.reason}")


def write_result(text: str, options: argparse.Namespace) -> None:
    """To stdout, or to a file that is there whole or not at all."""
    if options.output is None or options.output == "-":
        deliver([text])
        return
    from kmpsolve.report.files import write_output

    write_output(Path(options.output), text)
