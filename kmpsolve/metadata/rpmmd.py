"""rpm-md repositories on disk: the files that repomd.xml vouches for.

repomd.xml lists each metadata file with its size and checksum, compressed and (``open-``) decompressed.
Nothing that does not match is handed on: a primary.xml that is cut short could hide the one rebuild
that a driver needs, or the one kernel that breaks it.
"""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from kmpsolve.errors import MetadataError
from kmpsolve.metadata.compression import CHUNK, CorruptError, decompressed
from kmpsolve.metadata.content import Content, Patch
from kmpsolve.metadata.files import open_regular
from kmpsolve.metadata.origin import Origin
from kmpsolve.metadata.repomd import REPOMD, REPOMD_LIMIT, SIGNATURE, Digest, Record, Repomd, read_repomd
from kmpsolve.metadata.spool import spooled
from kmpsolve.metadata.trust import SIGNATURE_LIMIT, Trust
from kmpsolve.metadata.updateinfo import read_updateinfo, retracted_packages
from kmpsolve.metadata.xmlstream import PROLOG, check_prolog

__all__ = ["PACKED_LIMIT", "every_patch", "newest_timestamp", "open_rpmmd", "with_patches"]

PACKED_LIMIT = 1 << 30
UNPACKED_LIMIT = 2 << 30
"""Bytes: the largest repositories of the day unpack to a few hundred megabytes of primary.xml."""

_LONGEST = 16 << 20
"""Bytes without markup: parsers keep a name or an attribute in memory whole, more than once."""

_MOST_TAGS = 400_000
"""In the metadata of one package: a kernel has 28,000 to 60,000 symbols, and a tag or two for each."""


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


def every_patch(folder: Path, alias: str) -> tuple[Patch, ...]:
    """All patches of a repository; its content has only those that a kernel's update has to do with.

    Raises
    ------
    MetadataError
        If repomd.xml or an updateinfo file is missing or damaged.
    """
    origin = _origin(folder, alias, None)
    return _patches(folder, _load_repomd(folder, origin)[0], origin, every=True)


def _origin(folder: Path, alias: str, remedy: str | None) -> Origin:
    return Origin(alias=alias, remedy=remedy or f"Write its metadata again: createrepo_c {folder}")


def _patches(folder: Path, repomd: Repomd, origin: Origin, *, every: bool = False) -> tuple[Patch, ...]:
    patches: list[Patch] = []
    for record in repomd.updateinfo:
        with _unpack(folder, record, origin) as file:
            patches += read_updateinfo(file, name=record.href.name, origin=origin, every=every)
    return tuple(sorted(patches, key=lambda patch: (patch.id, patch.packages)))


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
    # The folder itself may be a link; what is below it may not lead out of it. Path.resolve would raise on a
    # link that leads to itself, before Python 3.13.
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
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
