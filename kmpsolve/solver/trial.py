"""Loading a .solv file of unknown origin on trial.

libsolv trusts its cache files: a single wrong byte can make it abort, read outside its memory or never
end. Files that zypper or kmpsolve wrote for this machine are trusted; any other is loaded here first.
"""

from __future__ import annotations

from pathlib import Path

from kmpsolve.errors import MetadataError
from kmpsolve.solver.confinement import CannotReadError, confined

__all__ = ["trial_load"]

_SECONDS = 20
"""A cache of 40,000 packages with 1.7 million provides takes about one."""


def trial_load(path: Path) -> None:
    """Load a ``.solv`` file in a child process that has limits for memory and time.

    Parameters
    ----------
    path
        The file; its header has been looked at (`kmpsolve.metadata.solvfile`).

    Raises
    ------
    MetadataError
        ``damaged-solv``: libsolv refuses the file, crashes on it or does not end.
    """
    try:
        complaint = confined("trial", str(path), seconds=_SECONDS)
    except CannotReadError as error:
        raise _damaged(path, str(error)) from error.__cause__
    if complaint:
        raise _damaged(path, "libsolv cannot read all of it")


def _damaged(path: Path, reason: str) -> MetadataError:
    return MetadataError(
        f"{path.name} is a damaged .solv file ({reason})",
        reference="damaged-solv",
        where=str(path),
        hint="Write it again: zypper refresh --force, or give the repository's folder instead",
    )
