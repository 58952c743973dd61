"""Walking folders without overlooking what may not be read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from kmpsolve.errors import MetadataError

__all__ = ["files_below"]


def files_below(folder: Path) -> Iterator[Path]:
    """All files in `folder` and below it, links to files included, sorted by folder and name.

    Raises
    ------
    MetadataError
        ``folder-unreadable``: what is in there could be what matters.
    """

    def fail(error: OSError) -> None:
        raise MetadataError(
            f"cannot be read: {error.strerror}",
            reference="folder-unreadable",
            where=str(error.filename),
            hint="Check its permissions",
        ) from error

    for parent, folders, names in os.walk(folder, onerror=fail):
        folders.sort()
        yield from (path for path in (Path(parent, name) for name in sorted(names)) if path.is_file())
