"""Writing results to files: whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterable
from pathlib import Path

from kmpsolve.errors import MetadataError

__all__ = ["begin_beside", "forget_drafts", "write_output", "write_whole"]

_ABANDONED = 60
"""Seconds; a process that cannot be seen from here, such as one in a container, is done with a draft by then."""


def _is_device(path: Path) -> bool:
    """Whether it is a device, a pipe, or what stands for a file that is open already."""
    place = os.path.realpath(path.parent)
    open_already = place in ("/dev", "/dev/fd", "/dev/pts") or place.startswith("/proc/")
    return open_already or (path.exists() and not path.is_file())


def write_whole(path: Path, text: str | Iterable[str], *, mode: int = 0o644) -> None:
    """Write beside, then rename; on any failure the old file stays as it was.

    A link is replaced, never followed. What is no regular file, such as ``/dev/null`` or a pipe, is written
    to and stays what it is.

    Parameters
    ----------
    text
        Also in pieces, where the whole would be large.

    Raises
    ------
    MetadataError
        If it cannot be written.
    """
    try:
        if _is_device(path):
            with path.open("w", encoding="utf-8", errors="backslashreplace") as stream:
                stream.writelines((text,) if isinstance(text, str) else text)
            return
        forget_drafts(path)
        descriptor, name = begin_beside(path)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as stream:
                stream.writelines((text,) if isinstance(text, str) else text)
                stream.flush()
                os.fsync(stream.fileno())
                os.fchmod(stream.fileno(), mode)
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise MetadataError(
            f"cannot be written: {error.strerror}",
            reference="output-unwritable",
            where=str(path),
            hint="Write elsewhere with -o, or look at the folder and its permissions",
        ) from error


def write_output(path: Path, text: str | Iterable[str]) -> None:
    """Write what a user asked for with ``-o``: for nobody's eyes for whom a ``>`` would not have been either.

    The umask decides about a new file, and the one that is replaced about a new content.

    Raises
    ------
    MetadataError
        If it cannot be written.
    """
    umask = os.umask(0o077)
    os.umask(umask)
    allowed = 0o666 & ~umask
    with contextlib.suppress(OSError):
        before = path.lstat()
        allowed = before.st_mode if stat.S_ISREG(before.st_mode) else allowed
    write_whole(path, text, mode=0o644 & allowed)


def begin_beside(path: Path) -> tuple[int, str]:
    """Begin a draft that is to become `path` in one step; a descriptor and a name, which tells who writes it."""
    import tempfile  # half of what it imports is of no use to whoever writes nothing

    return tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.kmpsolve-{os.getpid()}-")


def forget_drafts(path: Path) -> None:
    """Remove what killed processes left of `path`: drafts that are this user's and that nobody writes any more."""
    draft = re.compile(rf"\.{re.escape(path.name)}\.kmpsolve-([0-9]{{1,9}})-[a-z0-9_]{{8}}")
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(path.parent)):
            match = draft.fullmatch(entry.name)
            if match is not None and _ended(int(match[1])):
                status = entry.stat(follow_symlinks=False)
                # What an exchange of two files puts under this name is old, but was changed just now.
                young = status.st_ctime > time.time() - _ABANDONED
                if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and not young:
                    Path(entry.path).unlink()


def _ended(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
