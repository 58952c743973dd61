"""What only this run of zypper has: RPM files, and repositories that were given for one command.

Afterwards no repository has these packages, so that a command that names them by NAME=EVR finds nothing.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from kmpsolve.model.package import Package
from kmpsolve.model.plan import Plan, WayOut
from kmpsolve.planner.command import quoted, word_for
from kmpsolve.solver.universe import Universe
from kmpsolve.zypp.commandline import global_options

__all__ = ["with_what_was_given"]

_FILES = "_tmpRPMcache_"
"""Where zypper keeps the files of a command line (its TMP_RPM_REPO_ALIAS)."""
_INSTALL = "zypper install "
_TRUST = "--no-gpg-checks"
_UNSIGNED = "--allow-unsigned-rpm"


def with_what_was_given(
    plan: Plan,
    universe: Universe,
    arrived: Iterable[Package],
    *,
    first: Collection[str],
    arguments: Sequence[str],
) -> Plan:
    """A plan whose ways out give zypper again what it was given; without a command where that cannot be told.

    Parameters
    ----------
    arrived
        The packages of the transaction.
    first
        Aliases of the repositories that zypper was given with the command.
    arguments
        zypper's command line.
    """
    given = [package for package in arrived if package.repository in first]
    if not given:
        return plan
    words = _files(universe, [p for p in given if p.repository == _FILES], arguments)
    before = list(_options(arguments))
    after = [_UNSIGNED] if _UNSIGNED in arguments else []

    def again(way: WayOut) -> WayOut:
        return replace(way, command=_again(way.command, words, before, after))

    return replace(
        plan,
        flavors=tuple(replace(f, ways_out=tuple(map(again, f.ways_out))) for f in plan.flavors),
    )


def _files(
    universe: Universe, packages: Sequence[Package], arguments: Sequence[str]
) -> dict[str, str | None]:
    """What a command calls a package -> the file that was named; ``None`` if nobody can tell which one it was."""
    files = [word for word in arguments[1:] if word.endswith(".rpm") and not word.startswith("-")]
    by_name = {PurePosixPath(file).name: file for file in files}
    only = files[0] if len(files) == len(packages) == 1 else None
    found: dict[str, str | None] = {}
    for package in packages:
        nevra = package.nevra
        name = f"{nevra.name}-{nevra.evr.version}-{nevra.evr.release}.{nevra.arch}.rpm"
        found[word_for(universe, package)] = by_name.get(name, only)
    return found


def _options(arguments: Sequence[str]) -> Iterator[str]:
    """Of the options before the verb, those that give a repository for this command, or take it on trust."""
    for name, value in global_options(arguments):
        if name in ("--plus-repo", "-p") and value:
            yield from ("--plus-repo", value)
        elif name == _TRUST:
            yield name


def _again(
    command: str | None, words: Mapping[str, str | None], before: Sequence[str], after: Sequence[str]
) -> str | None:
    if command is None or not command.startswith(_INSTALL) or " && " in command:
        return command
    asked = shlex.split(command)[2:]
    told = [given for word in asked if (given := words.get(word, word)) is not None]
    if len(told) < len(asked):
        return None
    return " ".join(map(quoted, ["zypper", *before, "install", *after, *told]))
