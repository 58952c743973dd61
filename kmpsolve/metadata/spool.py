"""Unnamed temporary files that are handed on filled, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from kmpsolve.metadata.origin import Origin

__all__ = ["spooled"]


@contextmanager
def spooled(name: str, origin: Origin) -> Iterator[BinaryIO]:
    """Give a temporary file to fill; afterwards it is open, flushed and positioned at 0, for the caller to
    hand on. If the filling fails it is closed.

    Parameters
    ----------
    name
        What is being unpacked into it, for errors.
    origin
        The source.

    Raises
    ------
    MetadataError
        ``file-unreadable``, for any OSError meanwhile, such as a full disk.
    """
    import tempfile

    file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 (it outlives this function)
    try:
        yield file
        file.flush()
        # The solver reads through the descriptor, so that the descriptor itself has to stand at 0.
        os.lseek(file.fileno(), 0, os.SEEK_SET)
    except OSError as error:
        _discard(file)
        raise origin.damaged(f"{name} cannot be unpacked ({error.strerror})", "file-unreadable") from error
    except BaseException:
        _discard(file)
        raise


def _discard(file: BinaryIO) -> None:
    # On a full disk closing fails too, since it tries once more to write what is left.
    with suppress(OSError):
        file.close()
