"""The door for programs: ``kmpsolve.plan``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from kmpsolve.config import read_config
from kmpsolve.errors import NoRepositoryError, UsageError
from kmpsolve.model.plan import Plan
from kmpsolve.planner import plan as plan_universe
from kmpsolve.request import Request
from kmpsolve.session import load
from kmpsolve.sources import Sources, root_folder

__all__ = ["plan"]


def plan(
    *,
    root: str | os.PathLike[str] | None = None,
    installed: str | os.PathLike[str] | None = None,
    repositories: Mapping[str, str | os.PathLike[str]] | Iterable[tuple[str, str]] | None = None,
    kernel: str | None = None,
    flavors: Sequence[str] = (),
    running: str | None = None,
    config: str | os.PathLike[str] | None = None,
) -> Plan:
    """Plan a kernel update; the same as ``kmpsolve plan``.

    Parameters
    ----------
    root
        The system; by default ``/`` unless both `installed` and `repositories` are given.
    installed
        Instead of the rpmdb: a folder of RPMs, an rpm-md folder, a ``.solv`` file, an inventory.
    repositories
        Instead of the root's: alias -> rpm-md folder, folder of RPMs, ``.solv`` file or address.
    kernel
        ``latest``, ``newest-safe``, VERSION-RELEASE or UNAME-R; by default what ``zypper up`` would pick.
    flavors
        Kernel flavors, or one; by default all that are installed.
    running
        The uname -r of the running kernel, where it is not this machine's.
    config
        A configuration file to read after the root's.

    Returns
    -------
    Plan
        Blocked is a plan too, never an exception.

    Raises
    ------
    KmpsolveError
        If no plan can be made: unreadable input, no repository, an unknown kernel, a wrong configuration.
    """
    given = {"root": root, "installed": installed, "kernel": kernel, "running": running, "config": config}
    for name, value in given.items():
        _refuse_empty(name, value)
    if root is None and (installed is None or repositories is None):
        root = "/"
    pairs = None
    if repositories is not None:
        entries = repositories.items() if isinstance(repositories, Mapping) else repositories
        pairs = tuple((alias, os.fspath(source)) for alias, source in entries)
        for alias, source in pairs:
            _refuse_empty(f"the source of {alias}", source)
        if not pairs:  # nobody would know of a new kernel, and there would be nothing to do
            raise NoRepositoryError(
                "no repository is given",
                reference="no-repository",
                where="repositories",
                hint="give one, or None to read the root's",
            )
    sources = Sources(
        root=root_folder(root) if root is not None else None,
        installed=os.fspath(installed) if installed is not None else None,
        repositories=pairs,
    )
    settings = read_config(sources.root, Path(config) if config is not None else None)
    if not running and sources.here:
        running = os.uname().release
    # A string is a sequence of strings too, of its letters.
    wanted = (flavors,) if isinstance(flavors, str) else tuple(flavors)
    request = Request(kernel=kernel, flavors=wanted, running=running)
    loaded = load(sources, request, settings)
    return plan_universe(loaded.universe, loaded.request, loaded.inputs)


def _refuse_empty(name: str, value: str | os.PathLike[str] | None) -> None:
    """An empty text is a program's unset variable: as a path it would be the folder that one happens to be in."""
    if value == "":
        raise UsageError(f"{name} is empty", reference="usage", hint="give something, or leave it out")
