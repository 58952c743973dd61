""".solv files: libsolv's own cache format, as zypper writes it below /var/cache/zypp/solv."""

from __future__ import annotations

import shlex
import struct
from pathlib import Path

from kmpsolve.metadata.content import Content
from kmpsolve.metadata.files import open_regular
from kmpsolve.metadata.origin import Origin

__all__ = ["MAGIC", "open_solv", "package_count"]

MAGIC = b"SOLV"

_HEADER = struct.Struct(">4sI7I")
"""Magic, format version, and the numbers of ids, relations, folders, packages, keys, schemata; flags."""

_VERSIONS = (8, 9)
"""The format versions that today's libsolv reads."""


def open_solv(path: Path, *, alias: str, priority: int = 99, source: str | None = None) -> Content:
    """Look at the header of a ``.solv`` file.

    Whether the rest is sound only libsolv can tell, and it may crash on a damaged file: the solver
    lets a child process load it first (`kmpsolve.solver.trial`).

    Parameters
    ----------
    path
        The file.
    alias, priority
        The repository's, as in `Content`.
    source
        How the user or the configuration named it; by default, the path.

    Raises
    ------
    MetadataError
        If it cannot be read or is none.
    """
    origin = Origin(
        alias=alias,
        remedy=f"Write it again: zypper refresh {shlex.quote(alias)}, or give the repository's folder instead",
    )
    with open_regular(path, path.name, origin) as file:
        header = file.read(_HEADER.size)
    if not header.startswith(MAGIC):
        raise origin.damaged(f"{path.name} is no .solv file", "not-solv")
    if len(header) < _HEADER.size:
        raise origin.damaged(f"{path.name} is a damaged .solv file: it ends in its header", "damaged-solv")
    version = _HEADER.unpack(header)[1]
    if version not in _VERSIONS:
        raise origin.damaged(
            f"{path.name} is a .solv file of format {version}, which is not known", "unknown-solv-format"
        )
    return Content(alias=alias, source=source or str(path), priority=priority, solv=path)


def package_count(path: Path) -> int | None:
    """How many packages the header of a ``.solv`` file speaks of; ``None`` if it has no header any more."""
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER.size)
    except OSError:
        return None
    return int(_HEADER.unpack(header)[5]) if len(header) == _HEADER.size else None
