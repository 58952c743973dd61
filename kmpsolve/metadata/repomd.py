"""repomd.xml: which metadata files a repository has, each with its size and checksums."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from kmpsolve.metadata.origin import Origin
from kmpsolve.metadata.xmlstream import read_xml

__all__ = ["REPOMD", "REPOMD_LIMIT", "SIGNATURE", "Digest", "Record", "Repomd", "read_repomd"]

REPOMD = PurePosixPath("repodata/repomd.xml")
SIGNATURE = PurePosixPath("repodata/repomd.xml.asc")
REPOMD_LIMIT = 8 << 20
"""Bytes: a repomd.xml has some kilobytes."""

_UPDATEINFOS = 64
"""Files; each is unpacked and read, and repositories have one or two."""

_ZCHUNK = "updateinfo_zck"
"""Usually stands beside the same file in another compression. Without one, nobody tells what was retracted."""

_ALGORITHMS = {
    "sha256": "sha256",
    "sha512": "sha512",
    "sha384": "sha384",
    "sha224": "sha224",
    "sha1": "sha1",
    "sha": "sha1",
    "md5": "md5",
}
"""Checksum types that occur in repomd.xml; ``sha`` is how the first generation spelt ``sha1``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """A checksum as repomd.xml states it.

    Parameters
    ----------
    algorithm
        hashlib's name for it.
    value
        Lower-case hex digits.
    """

    algorithm: str
    value: str

    def start(self) -> hashlib._Hash:
        """Make a hash object for it; old repositories use algorithms that are no longer secure."""
        return hashlib.new(self.algorithm, usedforsecurity=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One ``<data>`` entry of repomd.xml.

    Parameters
    ----------
    type
        ``primary``, ``updateinfo``, ``filelists``, ...
    href
        The file, relative to the repository's folder and known to stay below it.
    checksum, size
        Of the file as it is stored; the size in bytes, where stated.
    open_checksum, open_size
        Of the decompressed file, where stated.
    """

    type: str
    href: PurePosixPath
    checksum: Digest
    size: int | None
    open_checksum: Digest | None
    open_size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Repomd:
    """What repomd.xml says about the files that kmpsolve reads.

    Parameters
    ----------
    revision
        The repository's own revision, where stated.
    timestamp
        The newest timestamp of any file, in seconds since the epoch, where stated.
    primary
        The packages.
    updateinfo
        The patches; most repositories have none, or one file.
    """

    revision: str | None
    timestamp: int | None
    primary: Record
    updateinfo: tuple[Record, ...]


def read_repomd(stream: BinaryIO, origin: Origin) -> Repomd:
    """Read repomd.xml.

    Parameters
    ----------
    stream
        The file, positioned at its beginning.
    origin
        The repository.

    Raises
    ------
    MetadataError
        If it is malformed, or lists no primary file, or one that cannot be verified or lies outside
        the repository; or patches in a form that cannot be read.
    """
    reader = _RepomdReader(origin)
    read_xml(stream, name=REPOMD.name, root="repomd", start=reader.start, end=reader.end, origin=origin)
    primaries = [record for record in reader.records if record.type == "primary"]
    if not primaries:
        raise origin.damaged("repomd.xml lists no primary metadata, so that it has no packages", "no-primary")
    # The same file in several compressions is one file; two files are anybody's guess.
    if len({record.open_checksum or record.checksum for record in primaries}) > 1:
        raise origin.damaged(
            "repomd.xml lists several primary files that are not the same", "ambiguous-primary"
        )
    updateinfo = tuple(record for record in reader.records if record.type == "updateinfo")
    if _ZCHUNK in reader.kinds and not updateinfo:
        raise origin.damaged(
            "repomd.xml lists its updateinfo as zchunk alone, which is not read here", "zchunk-alone"
        )
    if len(updateinfo) > _UPDATEINFOS:
        raise origin.damaged(
            f"repomd.xml lists {len(updateinfo)} updateinfo files; at most {_UPDATEINFOS} are read",
            "too-large",
        )
    return Repomd(
        revision=reader.revision,
        timestamp=reader.timestamp,
        primary=primaries[0],
        updateinfo=updateinfo,
    )


class _RepomdReader:
    """Collects the entries of repomd.xml while it is parsed."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._path: list[str] = []
        self._attributes: dict[str, Mapping[str, str]] = {}
        self._texts: dict[str, str] = {}
        self.records: list[Record] = []
        self.kinds: set[str] = set()
        self.revision: str | None = None
        self.timestamp: int | None = None

    def start(self, element: str, attributes: Mapping[str, str]) -> None:
        self._path.append(element)
        if self._path[1:] == ["data"]:
            self._attributes = {"data": attributes}
            self._texts = {}
        elif self._path[1:-1] == ["data"]:
            self._attributes[element] = attributes

    def end(self, element: str, text: str) -> None:
        if self._path[1:] == ["revision"]:
            self.revision = text or None
        elif self._path[1:-1] == ["data"]:
            self._texts[element] = text
        elif self._path[1:] == ["data"]:
            self._finish()
        self._path.pop()

    def _finish(self) -> None:
        kind = self._attributes["data"].get("type", "")
        stamp = re.match(r"\d{1,18}(?=\.|$)", self._texts.get("timestamp", ""), re.ASCII)
        if stamp:
            self.timestamp = max(int(stamp[0]), self.timestamp or 0)
        self.kinds.add(kind)
        if kind not in ("primary", "updateinfo"):
            return
        checksum = self._digest(kind, "checksum")
        if checksum is None:
            raise self._origin.damaged(
                f"repomd.xml states no checksum for its {kind} file", "checksum-missing"
            )
        self.records.append(
            Record(
                type=kind,
                href=self._href(kind),
                checksum=checksum,
                size=self._number(kind, "size"),
                open_checksum=self._digest(kind, "open-checksum"),
                open_size=self._number(kind, "open-size"),
            )
        )

    def _href(self, kind: str) -> PurePosixPath:
        attributes = self._attributes.get("location", {})
        href = attributes.get("href", "")
        path = PurePosixPath(href)
        if not href or "xml:base" in attributes or ":" in href or path.is_absolute() or ".." in path.parts:
            raise self._origin.damaged(
                f"repomd.xml places its {kind} file outside the repository "
                f"({attributes.get('xml:base', '')}{href or 'nowhere'})",
                "location-outside",
            )
        return path

    def _digest(self, kind: str, element: str) -> Digest | None:
        value = self._texts.get(element, "").lower()
        if not value:
            return None
        algorithm = self._attributes[element].get("type", "")
        if algorithm not in _ALGORITHMS:
            raise self._origin.damaged(
                f"repomd.xml uses an unknown checksum type for its {kind} file: {algorithm or 'none'}",
                "checksum-unknown",
            )
        return Digest(algorithm=_ALGORITHMS[algorithm], value=value)

    def _number(self, kind: str, element: str) -> int | None:
        text = self._texts.get(element, "")
        if not text:
            return None
        if not re.fullmatch(r"\d{1,18}", text, re.ASCII):
            raise self._origin.damaged(
                f"repomd.xml states a {element} for its {kind} file that is no number: {text[:40]}",
                "malformed-repomd",
            )
        return int(text)
