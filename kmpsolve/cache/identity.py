"""What a cache was made from: the same name only for the same rpmdb and the same repositories, bit for bit."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

from kmpsolve.errors import MetadataError
from kmpsolve.metadata.database import find_database
from kmpsolve.metadata.repository import Repository
from kmpsolve.metadata.root import System
from kmpsolve.version import __version__

__all__ = ["name_of"]

_SETTLED = 1.0
"""Seconds: a file that changed later than this before it was looked at may change again within the same tick
of the file system's clock, and look the same."""


def name_of(system: System, *, solver: str) -> str | None:
    """A name for everything that a plan reads of packages; ``None`` if it may change unnoticed.

    Each file counts with its place on disk, size and times, zypper's caches also with the cookie that zypper
    keeps beside them, and with where it keeps what it downloads.

    Parameters
    ----------
    system
        Whose rpmdb and repositories.
    solver
        Tells versions of libsolv apart.
    """
    try:
        files = [_file(path) for path in find_database(system.root).witnesses]
        repositories = [_repository(one) for one in system.repositories if one.location is not None]
    except (OSError, MetadataError):
        return None
    if None in files or None in repositories:
        return None
    parts = [__version__, solver, str(system.root.folder), files, repositories]
    return hashlib.sha256(json.dumps(parts).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _file(path: Path) -> list[object] | None:
    status = path.stat()
    if max(status.st_mtime, status.st_ctime) > time.time() - _SETTLED:
        return None
    times = [status.st_mtime_ns, status.st_ctime_ns]
    return [os.fspath(path), status.st_dev, status.st_ino, status.st_size, *times]


def _repository(repository: Repository) -> list[object] | None:
    assert repository.location is not None
    solv = Path(repository.location)
    if repository.location.count("://") or not solv.is_file():
        return None
    cookie = solv.with_name("cookie")
    # Patches are read beside the .solv file: which of these files has them, only repomd.xml would tell.
    beside = sorted((repository.metadata / "repodata").iterdir()) if repository.metadata is not None else []
    files = [_file(path) for path in (solv, *beside)]
    if None in files:
        return None
    text = cookie.read_text(errors="replace") if cookie.is_file() else ""
    packages = os.fspath(repository.packages) if repository.packages is not None else None
    return [repository.alias, repository.priority, repository.refreshed, packages, text, files]
