"""Walking folders without overlooking what may not be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kmpsolve.errors import MetadataError
from kmpsolve.metadata.files import every_folder

__all__ = ["files_below"]

_SOURCES = ("build", "source")
"""In /lib/modules/X, links to what the kernel was built from; depmod passes over them too."""


def files_below(folder: Path) -> Iterator[Path]:
    """All that is no folder in `folder` and below it, links followed, sorted by folder and name.

    A link that leads nowhere is among it: it may stand for what matters.

    Raises
    ------
    MetadataError
        ``folder-unreadable``: what is in there could be what matters.
    """
    try:
        for parent, names in every_folder(folder, apart_from=_SOURCES):
            yield from (parent / name for name in names)
    except OSError as error:
        raise MetadataError(
            f"cannot be read: {error.strerror}",
            reference="folder-unreadable",
            where=str(error.filename),
            hint="Check its permissions",
        ) from error
