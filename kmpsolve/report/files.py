"""Writing results to files: whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from kmpsolve.errors import MetadataError

__all__ = ["write_whole"]


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
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
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
            f"cannot be written: {error.strerror}", reference="output-unwritable", where=str(path)
        ) from error
