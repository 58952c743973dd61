"""Where a system and its repositories are read from, and what opens each of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kmpsolve.errors import ConfigError, KmpsolveError, MetadataError, UsageError
from kmpsolve.metadata.database import SYSTEM
from kmpsolve.model.plan import SkippedInput

if TYPE_CHECKING:  # every verb has sources, and some read none of what this can read
    from kmpsolve.metadata.content import Content
    from kmpsolve.metadata.root import System

__all__ = ["Sources", "need_repositories", "open_installed", "openers", "root_folder"]


def root_folder(path: str | os.PathLike[str]) -> Path:
    """A root by its path from the top.

    zypper takes no other path, in the commands that are shown and in those that are run. Two slashes at the beginning
    are kept by POSIX, and mean nothing here. Links stay: /proc/PID/root leads elsewhere if resolved.
    """
    return Path("/" + os.path.abspath(path).lstrip("/"))  # noqa: PTH100


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the system and its repositories are read from.

    Parameters
    ----------
    root
        The system's root; ``None`` if nothing of any root is to be read.
    releasever
        What ``$releasever`` means in the root's repositories, to look at the next service pack.
    installed
        Instead of the root's rpmdb: a folder of RPMs, an rpm-md folder, a .solv file, an inventory.
    repositories
        Instead of the root's repositories: (alias, source) pairs; empty: none are needed.
    extra
        Besides these: (alias, source) pairs.

    Raises
    ------
    UsageError
        If an alias does not tell one repository from everything else.
    """

    root: Path | None = None
    releasever: str | None = None
    installed: str | None = None
    repositories: tuple[tuple[str, str], ...] | None = None
    extra: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        taken = {SYSTEM}
        for alias, _ in (*(self.repositories or ()), *self.extra):
            if alias in taken:
                raise UsageError(
                    f"two repositories have the alias {alias}"
                    if alias != SYSTEM
                    else f"{alias} stands for what is installed, and can be no repository's alias",
                    reference="alias-twice",
                    where="--repo",
                    hint="name them apart: --repo ALIAS=SRC",
                )
            taken.add(alias)

    @property
    def folder(self) -> str | None:
        """The root below which the system stands; ``None`` if it is on no disk here."""
        return str(self.root) if self.root is not None and self.installed is None else None

    @property
    def here(self) -> bool:
        """Whether the system is this machine's own; of any other nobody knows what runs there."""
        return self.root == Path("/") and self.installed is None


def openers(
    sources: Sources, system: System | None, skipped: list[SkippedInput]
) -> list[tuple[str, Callable[[], Content]]]:
    """What opens each repository, by alias; adds to `skipped` what cannot even be tried."""
    extra: list[tuple[str, Callable[[], Content]]] = [
        (alias, partial(_open, source, alias)) for alias, source in sorted(sources.extra)
    ]
    if sources.repositories is not None:
        given = sorted(sources.repositories)
        return [*((alias, partial(_open, source, alias)) for alias, source in given), *extra]
    assert system is not None
    skipped += [SkippedInput(alias=one.alias, reason=one.reason) for one in system.skipped]
    return [*((one.alias, one.open) for one in system.readable()), *extra]


def need_repositories(sources: Sources) -> None:
    """See to it that repositories are defined, where nothing else has to be right for that.

    Raises
    ------
    NoRepositoryError
        If none is defined or enabled.
    """
    from kmpsolve.metadata.root import read_root

    if sources.root is not None:
        with suppress(ConfigError, MetadataError):
            openers(sources, read_root(sources.root, releasever=sources.releasever), [])


def _open(source: str, alias: str) -> Content:
    from kmpsolve.metadata.source import open_source

    return open_source(source, alias=alias)


def open_installed(source: str) -> Content:
    """Open what is given instead of the root's rpmdb."""
    try:
        return _open(source, SYSTEM)
    except KmpsolveError as error:
        if error.where == SYSTEM:
            error.where = "--installed"
        raise
