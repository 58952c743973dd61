"""What zypper's caches were made from: the cookie that libzypp leaves beside each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from kmpsolve.metadata.files import read_small
from kmpsolve.metadata.repofiles import RepositoryDefinition
from kmpsolve.metadata.variables import without_password

__all__ = ["made_from"]

_MAGIC = "43"
"""libzypp appends it to each checksum, to make all caches outdated when its own reading changes."""


def made_from(solv: Path, index: Path, raw: Path, definition: RepositoryDefinition) -> bool:
    """Tell whether zypper made a ``.solv`` file from this very metadata index.

    The cookie beside it is a checksum over the checksums of what it was made from: the index, the media file
    where there is one, and the repository's address (libzypp's RepoStatus; SHA-1 before 17.36.4, SHA-256
    since). An unknown way of counting makes the slower way through the metadata, never a wrong answer.
    """
    try:
        if not solv.is_file():
            return False
        cookie = _first_word(solv.with_name("cookie"))
        algorithm = "sha256" if len(cookie) >= 64 else "sha1"
        # A folder of RPMs has no index; a cookie stands in, and is a checksum itself.
        first = _first_word(index) if index.name == "cookie" else _sum(read_small(index), algorithm)
        media = raw / "media.1/media"
        optional = [_sum(read_small(media), algorithm)] if media.is_file() else []
    except (OSError, IndexError):
        return False
    places = [*definition.urls[:1], definition.mirrorlist, definition.metalink]
    addresses = [_sum(text.encode(), algorithm) for place in places if place for text in _spellings(place)]
    return any(
        _joined({first, *media_part, *address}, algorithm) == cookie
        for media_part in ([], optional)
        for address in [[], *([one] for one in addresses)]
    )


def _spellings(address: str) -> Iterator[str]:
    """Yield the ways in which libzypp may write an address: without password, without empty authority."""
    plain = without_password(address)
    yield plain
    if ":///" in plain:
        yield plain.replace(":///", ":/", 1)


def _sum(content: bytes, algorithm: str) -> str:
    return hashlib.new(algorithm, content, usedforsecurity=False).hexdigest() + _MAGIC


def _joined(sums: set[str], algorithm: str) -> str:
    if len(sums) == 1:
        return sums.pop()
    joined = "".join(sorted(sums)).encode()
    return hashlib.new(algorithm, joined, usedforsecurity=False).hexdigest()


def _first_word(path: Path) -> str:
    return read_small(path).decode("ascii", "replace").split()[0]
