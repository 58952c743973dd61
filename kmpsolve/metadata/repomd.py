"""rpm-md repositories on disk: repomd.xml, and the files that it vouches for.

repomd.xml lists each metadata file with its size and checksum, compressed and (``open-``) decompressed.
Nothing that does not match is handed on: a primary.xml that is cut short could hide the one rebuild
that a driver needs, or the one kernel that breaks it.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from kmpsolve.errors import MetadataError
from kmpsolve.metadata.compression import CHUNK, CorruptError, decompressed
from kmpsolve.metadata.content import Content, Patch
from kmpsolve.metadata.files import open_regular
from kmpsolve.metadata.origin import Origin
from kmpsolve.metadata.spool import spooled
from kmpsolve.metadata.trust import SIGNATURE_LIMIT, Trust
from kmpsolve.metadata.updateinfo import read_updateinfo, retracted_packages
from kmpsolve.metadata.xmlstream import PROLOG, check_prolog, read_xml

__all__ = [
    "REPOMD",
    "REPOMD_LIMIT",
    "SIGNATURE",
    "Digest",
    "Record",
    "Repomd",
    "newest_timestamp",
    "open_rpmmd",
    "read_repomd",
    "with_patches",
]

REPOMD = PurePosixPath("repodata/repomd.xml")
SIGNATURE = PurePosixPath("repodata/repomd.xml.asc")
REPOMD_LIMIT = 8 << 20
"""Bytes: a repomd.xml has some kilobytes."""

PACKED_LIMIT = 1 << 30
UNPACKED_LIMIT = 2 << 30
"""Bytes: the largest repositories of the day unpack to a few hundred megabytes of primary.xml."""

_LONGEST = 16 << 20
"""Bytes without markup: parsers keep a name or an attribute in memory whole, more than once."""

_MOST_TAGS = 400_000
"""In the metadata of one package: a kernel has 28,000 to 60,000 symbols, and a tag or two for each."""

_UPDATEINFOS = 64
"""Files; each is unpacked and read, and repositories have one or two."""

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


def open_rpmmd(
    folder: Path,
    *,
    alias: str,
    priority: int = 99,
    source: str | None = None,
    remedy: str | None = None,
    trust: Trust | None = None,
) -> Content:
    """Read a repository folder: one with ``repodata/``, such as those in zypp's raw cache.

    Parameters
    ----------
    folder
        The folder above ``repodata``.
    alias, priority
        The repository's, as in `Content`.
    source
        How the user or the configuration named it; by default, the folder.
    remedy
        What to do if it is damaged, one sentence; by default, to write its metadata again.
    trust
        What is asked of its signature; ``None``: nothing, as of any folder that a user points at.

    Raises
    ------
    MetadataError
        If anything in it is missing or damaged, or does not match repomd.xml.
    """
    origin = _origin(folder, alias, remedy)
    repomd, text = _load_repomd(folder, origin)
    remarks = trust.check(text, _signature(folder, origin), origin) if trust is not None else ()
    patches = _patches(folder, repomd, origin)
    primary = _unpack(folder, repomd.primary, origin)
    try:
        check_prolog(
            os.pread(primary.fileno(), PROLOG, 0),
            name=repomd.primary.href.name,
            root="metadata",
            origin=origin,
        )
    except BaseException:
        primary.close()
        raise
    return Content(
        alias=alias,
        source=source or str(folder),
        priority=priority,
        primary=primary,
        revision=repomd.revision,
        timestamp=repomd.timestamp,
        patches=patches,
        packages_at=folder,
        retracted=retracted_packages(patches),
        remarks=remarks,
    )


def with_patches(content: Content, folder: Path, *, remedy: str | None = None) -> Content:
    """Add to the packages of a ``.solv`` cache what the repository's metadata says besides them.

    Parameters
    ----------
    content
        The packages, made from the metadata in `folder`.
    folder
        The folder above ``repodata``, such as one in zypp's raw cache.
    remedy
        What to do if it is damaged, as for `open_rpmmd`.

    Raises
    ------
    MetadataError
        If repomd.xml or an updateinfo file is missing or damaged.
    """
    origin = _origin(folder, content.alias, remedy)
    repomd, _ = _load_repomd(folder, origin)
    patches = _patches(folder, repomd, origin)
    return replace(
        content,
        revision=repomd.revision,
        timestamp=repomd.timestamp,
        patches=patches,
        retracted=retracted_packages(patches),
    )


def _origin(folder: Path, alias: str, remedy: str | None) -> Origin:
    return Origin(alias=alias, remedy=remedy or f"Write its metadata again: createrepo_c {folder}")


def _patches(folder: Path, repomd: Repomd, origin: Origin) -> tuple[Patch, ...]:
    patches: list[Patch] = []
    for record in repomd.updateinfo:
        with _unpack(folder, record, origin) as file:
            patches += read_updateinfo(file, name=record.href.name, origin=origin)
    return tuple(sorted(patches, key=lambda patch: (patch.id, patch.packages)))


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
        the repository.
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


def newest_timestamp(folder: Path, alias: str) -> int | None:
    """The newest timestamp in the repomd.xml of a folder, where there is one that can be read."""
    try:
        return _load_repomd(folder, _origin(folder, alias, None))[0].timestamp
    except MetadataError:
        return None


def _load_repomd(folder: Path, origin: Origin) -> tuple[Repomd, bytes]:
    text = _small(folder / REPOMD, REPOMD_LIMIT, origin)
    return read_repomd(io.BytesIO(text), origin), text


def _signature(folder: Path, origin: Origin) -> bytes | None:
    try:
        return _small(folder / SIGNATURE, SIGNATURE_LIMIT, origin)
    except MetadataError as error:
        if error.reference == "file-missing":
            return None
        raise


def _small(path: Path, limit: int, origin: Origin) -> bytes:
    with open_regular(path, path.name, origin) as file:
        try:
            text = file.read(limit + 1)
        except OSError as error:
            raise origin.damaged(
                f"{path.name} cannot be read ({error.strerror})", "file-unreadable"
            ) from error
    if len(text) > limit:
        raise origin.damaged(f"{path.name} has more than {limit} bytes", "too-large")
    return text


def _unpack(folder: Path, record: Record, origin: Origin) -> BinaryIO:
    """Decompress a file into an unnamed temporary one, positioned at 0, and verify both forms."""
    name = record.href.name
    path = folder / record.href
    # The folder itself may be a link; what is below it may not lead out of it.
    if not path.resolve().is_relative_to(folder.resolve()):
        raise origin.damaged(f"{name} is a link to a place outside the repository", "location-outside")
    with spooled(name, origin) as target, open_regular(path, name, origin) as file:
        _copy_verified(file, record, target, origin)
    return target


def _copy_verified(file: BinaryIO, record: Record, target: BinaryIO, origin: Origin) -> None:
    name = record.href.name
    size = os.fstat(file.fileno()).st_size
    if size > PACKED_LIMIT:
        raise origin.damaged(f"{name} has more than {PACKED_LIMIT} bytes", "too-large")
    if record.size is not None and size != record.size:
        raise origin.damaged(
            f"{name} does not match its size in repomd.xml (want {record.size} bytes, have {size})",
            "size-mismatch",
        )
    _verify(file, record.checksum, "checksum", name, origin)
    file.seek(0)
    limit = UNPACKED_LIMIT if record.open_size is None else min(UNPACKED_LIMIT, record.open_size)
    total = since_markup = tags = 0
    try:
        for chunk in decompressed(file):
            total += len(chunk)
            if total > limit:
                raise origin.damaged(f"{name} unpacks to more than {limit} bytes", "too-large")
            last = chunk.rfind(b"<")
            since_markup = since_markup + len(chunk) if last < 0 else len(chunk) - last
            if since_markup > _LONGEST:
                raise origin.damaged(f"{name} has a text of more than {_LONGEST} bytes", "too-large")
            ended = chunk.rfind(b"</package")
            tags = chunk.count(b"<", max(ended, 0)) + (tags if ended < 0 else 0)
            if tags > _MOST_TAGS and record.type == "primary":
                raise origin.damaged(
                    f"{name} has a package with more than {_MOST_TAGS} provides and requires", "too-large"
                )
            target.write(chunk)
    except CorruptError as error:
        raise origin.damaged(f"{name} cannot be decompressed ({error})", "corrupt-compression") from error
    if record.open_size is not None and total != record.open_size:
        raise origin.damaged(
            f"{name} does not match its open-size in repomd.xml "
            f"(want {record.open_size} bytes, have {total})",
            "size-mismatch",
        )
    if record.open_checksum is not None:
        target.flush()
        target.seek(0)
        _verify(target, record.open_checksum, "open-checksum", name, origin)


def _verify(file: BinaryIO, want: Digest, kind: str, name: str, origin: Origin) -> None:
    hashed = want.start()
    while chunk := file.read(CHUNK):
        hashed.update(chunk)
    have = hashed.hexdigest()
    if have != want.value:
        raise origin.damaged(
            f"{name} does not match its {kind} in repomd.xml (want {want.value[:8]}…, have {have[:8]}…)",
            "checksum-mismatch",
        )
