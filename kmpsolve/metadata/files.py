"""Opening the files of a source."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterator
from io import BufferedReader
from pathlib import Path

from kmpsolve.metadata.origin import Origin

__all__ = ["every_folder", "open_regular", "out_of_reach", "read_small", "safe_place"]

_ROOT = 0
_SMALL = 8 << 20


def open_regular(path: Path, name: str, origin: Origin) -> BufferedReader:
    """Open a file for reading, if it is one.

    Parameters
    ----------
    path
        The file.
    name
        What to call it in errors.
    origin
        The source that it belongs to.

    Raises
    ------
    MetadataError
        ``file-missing``, or ``file-unreadable``, also for FIFOs, devices and the like.
    """
    try:
        file = open(path, "rb", opener=_no_waiting)  # noqa: SIM115 (handed to the caller)
    except FileNotFoundError:
        raise origin.damaged(f"{name} is missing", "file-missing") from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise origin.damaged(f"{name} cannot be read ({reason})", "file-unreadable") from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise origin.damaged(f"{name} is not a regular file", "file-unreadable")
    return file


def every_folder(top: Path, *, apart_from: Collection[str] = ()) -> Iterator[tuple[Path, list[str]]]:
    """A folder and all below it with the names of what is in them and is no folder, sorted.

    Links to folders are followed, as createrepo_c does; each folder comes once, by its own path if it has one
    below `top`.

    Parameters
    ----------
    apart_from
        Names of links that are not followed.

    Raises
    ------
    OSError
        If one of them cannot be read: what is in it could be what matters.
    """

    def fail(error: OSError) -> None:
        raise error

    seen: set[tuple[int, int]] = set()
    tops = [top]
    while tops:
        for name, folders, names in os.walk(tops.pop(0), onerror=fail):
            parent = Path(name)
            status = parent.stat()
            if (status.st_dev, status.st_ino) in seen:
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            folders.sort()
            below = (parent / folder for folder in folders if folder not in apart_from)
            tops += (folder for folder in below if folder.is_symlink())
            yield parent, sorted(names)


def read_small(path: Path) -> bytes:
    """Read a file of at most 8 MiB.

    Raises
    ------
    OSError
        Also if it is larger, or no file: a pipe has no end, nor has what a link to /dev/zero leads to.
    """
    with open(path, "rb", opener=_no_waiting) as file:
        data = file.read(_SMALL + 1) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None
    if data is None:
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    if len(data) > _SMALL:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return data


def _no_waiting(path: str, flags: int) -> int:
    # Opening a FIFO would otherwise wait for a writer that never comes.
    return os.open(path, flags | os.O_NONBLOCK)


def out_of_reach(*paths: Path, owner: int = 0) -> bool:
    """Whether only root, this user and `owner` can have written these files and folders.

    Parameters
    ----------
    owner
        Who else may: the user id that a whole system below some folder belongs to.

    Raises
    ------
    OSError
        If one of them is not there or cannot be looked at.
    """
    return all(_out_of_reach(path.stat(), owner) for path in paths)


def _out_of_reach(status: os.stat_result, owner: int) -> bool:
    # The group root has no member but root where it means anything; an umask of 002 is no hole then.
    by_group = status.st_mode & stat.S_IWGRP and status.st_gid != 0
    return (
        status.st_uid in (_ROOT, os.geteuid(), owner) and not by_group and not status.st_mode & stat.S_IWOTH
    )


def safe_place(path: Path) -> bool:
    """Whether nobody but root and this user can put another folder in the place of this one.

    Everything above it that exists has to be out of reach, or to protect its entries as /tmp does.
    """
    for folder in (path, *path.parents):
        try:
            status = folder.lstat()
        except OSError:
            continue
        sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
        kept_apart = sticky and status.st_uid == 0 and folder != path
        if stat.S_ISLNK(status.st_mode) or not (kept_apart or _out_of_reach(status, 0)):
            return False
    return True
