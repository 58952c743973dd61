"""Opening files that may be compressed, without trusting what they claim to hold.

A module of a few kilobytes can be made to unpack to terabytes. Everything here reads in steps, keeps
little in memory and stops at a limit.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import BinaryIO, cast

from kmpsolve.errors import MetadataError
from kmpsolve.metadata.compression import CorruptError, decompressed

__all__ = ["KMOD", "MAX_UNPACKED", "damaged", "open_unpacked", "unpack"]

MAX_UNPACKED = 256 << 20
"""The most a module may have, in bytes: several times the largest that distributions ship."""

_IN_MEMORY = 16 << 20
KMOD = (b"\x1f\x8b", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")
"""What begins like gzip, xz and zstd, in which kmod reads modules (libkmod/libkmod-file.c)."""
_COMPRESSED = (*KMOD, b"BZh")


def damaged(where: str, message: str, reference: str = "unreadable-module") -> MetadataError:
    """The error for a file that is not what its name promises."""
    return MetadataError(
        message, reference=reference, where=where, hint="Fetch the file again, or leave it out"
    )


def unpack(
    stream: BinaryIO, where: str, limit: int = MAX_UNPACKED, kinds: tuple[bytes, ...] = _COMPRESSED
) -> BinaryIO:
    """`stream` itself, or its uncompressed content if it starts like gzip, xz, zstd or bzip2.

    Parameters
    ----------
    stream
        Seekable, at its start.
    where
        What to call it in an error.
    limit
        The most bytes its content may have.
    kinds
        What compressed content starts with; anything else is not unpacked.

    Raises
    ------
    MetadataError
        If it is cut short, damaged, or larger than `limit`.
    """
    compressed = stream.read(6).startswith(kinds)
    if not compressed and stream.seek(0, os.SEEK_END) > limit:
        raise damaged(where, f"has more than {limit >> 20} MiB")
    stream.seek(0)
    if not compressed:
        return stream
    content = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - handed to the caller
    size = 0
    try:
        for piece in decompressed(stream):
            size += len(piece)
            if size > limit:
                raise damaged(where, f"unpacks to more than {limit >> 20} MiB")
            content.write(piece)
    except CorruptError as error:
        content.close()
        raise damaged(where, "its compression is damaged or cut short") from error
    except MetadataError:
        content.close()
        raise
    content.seek(0)
    return cast(BinaryIO, content)


def open_unpacked(path: Path, limit: int = MAX_UNPACKED, kinds: tuple[bytes, ...] = _COMPRESSED) -> BinaryIO:
    """Open a regular file and unpack it; see `unpack`.

    Raises
    ------
    MetadataError
        If it cannot be opened, is not a regular file, or cannot be unpacked.
    """
    try:
        # Without O_NONBLOCK a FIFO would wait for a writer for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise damaged(str(path), f"cannot be opened: {error.strerror}") from error
    stream = os.fdopen(descriptor, "rb") if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    if stream is None:
        os.close(descriptor)
        raise damaged(str(path), "is not a regular file")
    content: BinaryIO | None = None
    try:
        content = unpack(stream, str(path), limit, kinds)
    except OSError as error:
        raise damaged(str(path), f"cannot be read: {error.strerror}") from error
    finally:
        if content is not stream:
            stream.close()
    return content
