"""Writing results to files: whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from kmpsolve.errors import MetadataError

__all__ = ["write_whole"]


def write_whole(path: Path, text: str | Iterable[str], *, mode: int = 0o644) -> None:
    """Write beside, then rename; on any failure the old file stays as it was.

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
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
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
