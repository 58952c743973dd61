"""What of a system's files root may believe, and what its configuration asks of a repository's signature."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kmpsolve.errors import ConfigError
from kmpsolve.metadata.files import out_of_reach
from kmpsolve.metadata.repofiles import RepositoryDefinition
from kmpsolve.metadata.rootpath import Root
from kmpsolve.metadata.trust import Trust, joined
from kmpsolve.metadata.zyppconf import ZyppConf

__all__ = ["asked_of", "believed", "signatures_asked"]


def believed(root: Root, *paths: Path) -> bool:
    """Whether root may believe these of zypper's files: nobody else can have written those that exist.

    Whoever owns a root that is mounted or unpacked somewhere may have; on the machine itself that is root.
    """
    if os.geteuid() != 0:
        return True
    owner = root.folder.stat().st_uid
    return out_of_reach(*(path for path in paths if path.exists()), owner=owner)


def asked_of(
    root: Root,
    conf: ZyppConf,
    definition: RepositoryDefinition,
    keys: Callable[[], bytes],
    accepted: Path | None,
) -> Trust | None:
    """What is asked of a signature: nothing where no configuration wants any, else as libzypp does.

    What zypper accepted already (the folder `accepted`) is only held against its own signature, and only if
    that was found right at the time; zypper leaves a link that says so.
    """
    either, metadata = signatures_asked(conf, definition)
    if either is False and not metadata:
        return None
    if accepted is not None and not _was_right(accepted):
        return None

    def all_keys() -> bytes:
        return keys() + joined(_key_files(root, definition))

    required = accepted is None and bool(metadata if metadata is not None else either)
    return Trust(keys=all_keys, required=required, silent=accepted is not None)


def signatures_asked(conf: ZyppConf, definition: RepositoryDefinition) -> tuple[bool | None, bool | None]:
    """Whether signatures are asked for, and whether the metadata's own is; ``None`` where nothing says."""
    return (
        conf.gpgcheck if definition.gpgcheck is None else definition.gpgcheck,
        conf.repo_gpgcheck if definition.repo_gpgcheck is None else definition.repo_gpgcheck,
    )


def _was_right(folder: Path) -> bool:
    try:
        return (folder / ".repo_gpgcheck").readlink().name == "true"
    except OSError:
        return False


def _key_files(root: Root, definition: RepositoryDefinition) -> Iterator[bytes]:
    for url in definition.keys:
        with suppress(OSError, ValueError, ConfigError):
            parts = urlsplit(url)
            if parts.scheme == "file" and parts.netloc in ("", "localhost"):
                yield (root.read(unquote(parts.path)) or "").encode("utf-8", "surrogateescape")
