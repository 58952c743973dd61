"""The door for programs: ``kmpsolve.plan``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from kmpsolve.config import read_config
from kmpsolve.model.plan import Plan
from kmpsolve.planner import plan as plan_universe
from kmpsolve.request import Request
from kmpsolve.session import load
from kmpsolve.sources import Sources

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
        Kernel flavors; by default all that are installed.
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
        If no plan can be made: unreadable input, an unknown kernel, a wrong configuration.
    """
    if root is None and (installed is None or repositories is None):
        root = "/"
    pairs = None
    if repositories is not None:
        entries = repositories.items() if isinstance(repositories, Mapping) else repositories
        pairs = tuple((alias, os.fspath(source)) for alias, source in entries)
    sources = Sources(
        root=Path(root) if root is not None else None,
        installed=os.fspath(installed) if installed is not None else None,
        repositories=pairs,
    )
    settings = read_config(sources.root, Path(config) if config is not None else None)
    if not running and sources.here:
        running = os.uname().release
    request = Request(kernel=kernel, flavors=tuple(flavors), running=running)
    loaded = load(sources, request, settings)
    return plan_universe(loaded.universe, loaded.request, loaded.inputs)
