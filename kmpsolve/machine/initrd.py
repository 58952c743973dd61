"""The modules in an initrd.

An initrd is one or more cpio archives one after the other ("newc", Linux:
Documentation/driver-api/early-userspace/buffer-format.rst), padded with zeros, each compressed or not. Usually
microcode comes first, uncompressed; what somebody added by hand comes last.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from kmpsolve.errors import MetadataError
from kmpsolve.machine.tree import module_name
from kmpsolve.metadata.compression import CorruptError, first_frame
from kmpsolve.metadata.rootpath import Root

__all__ = ["Initrd", "find_initrd", "read_initrd"]

_PLACES = (
    "/boot/initrd-{0}",
    "/usr/lib/modules/{0}/initrd",
    "/boot/initramfs-{0}.img",
    "/boot/initrd.img-{0}",
)
_DIGITS = re.compile(rb"[0-9A-Fa-f]{8}")
_MAGIC = (b"070701", b"070702")
_HEADER = 110
_END = "TRAILER!!!"
_MODULE = re.compile(r"(?:^|/)lib/modules/[^/]+/.+\.ko(?:\.(?:gz|xz|zst))?$")
_MAX_NAME = 1 << 16
_MAX_MODULE = 512 << 20
_MAX_TOTAL = 8 << 30
_STEP = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Initrd:
    """An initrd.

    Parameters
    ----------
    path
        As the system names it.
    modules
        Module name -> its content as stored; an empty mapping for a host whose initrd holds none.
    """

    path: str
    modules: Mapping[str, bytes]


def find_initrd(root: Root, uname_r: str) -> str | None:
    """The initrd that a kernel boots with, as the system names it."""
    for place in _PLACES:
        inside = place.format(uname_r)
        try:
            if root.path(inside).is_file():
                return inside
        except (OSError, MetadataError):
            continue
    return None


class _Pieces:
    """A stream over pieces of bytes that remembers how much it gave."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = b""
        self._place = 0
        self.given = 0

    def read(self, size: int) -> bytes:
        """At most `size` bytes; fewer only at the end."""
        parts: list[bytes] = []
        wanted = size
        while wanted and self._more():
            part = self._piece[self._place : self._place + wanted]
            self._place += len(part)
            parts.append(part)
            wanted -= len(part)
        content = b"".join(parts)
        self._count(len(content))
        return content

    def past_padding(self, size: int) -> bytes:
        """At most `size` bytes of which the first is no zero: those before it are passed over."""
        while self._more():
            rest = len(self._piece[self._place :].lstrip(b"\0"))
            self._count(len(self._piece) - rest - self._place)
            self._place = len(self._piece) - rest
            if rest:
                return self.read(size)
        return b""

    def _more(self) -> bool:
        if self._place == len(self._piece):
            self._piece, self._place = next((piece for piece in self._pieces if piece), b""), 0
        return bool(self._piece)

    def _count(self, size: int) -> None:
        self.given += size
        if self.given > _MAX_TOTAL:
            raise CorruptError("it unpacks to more than any initrd has")

    def skip(self, size: int) -> None:
        """Pass over `size` bytes."""
        while size > 0:
            got = len(self.read(min(size, _STEP)))
            if not got:
                raise CorruptError("it ends too early")
            size -= got


def _raw(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(_STEP):
        yield piece


def read_initrd(root: Root, inside: str) -> Initrd:
    """Read the modules of an initrd.

    Raises
    ------
    MetadataError
        ``unreadable-initrd``: it cannot be opened, is damaged, or compressed in a way that is not known here.
    """
    path = root.path(inside)
    modules: dict[str, bytes] = {}
    try:
        with path.open("rb") as stream:
            _read_all(stream, modules)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    except (CorruptError, ValueError) as error:
        raise _unreadable(path, str(error)) from error
    return Initrd(path=inside, modules=modules)


def _unreadable(path: Path, reason: str) -> MetadataError:
    return MetadataError(
        f"the initrd cannot be read: {reason}",
        reference="unreadable-initrd",
        where=str(path),
        hint="Run it as root, or make the initrd again: dracut --force",
    )


def _read_all(stream: BinaryIO, modules: dict[str, bytes]) -> None:
    seen = False
    while head := _after_padding(stream):
        if head.startswith(_MAGIC):
            place = stream.tell()
            pieces = _Pieces(_raw(stream))
            _read_archive(pieces, modules)
            stream.seek(place + pieces.given)
        else:
            _read_compressed(stream, modules)
        seen = True
    if not seen:
        raise CorruptError("it is empty")


def _after_padding(stream: BinaryIO) -> bytes:
    """The next six bytes that do not begin with a zero; the stream stands before them."""
    while True:
        start = stream.tell()
        piece = stream.read(_STEP)
        if not piece:
            return b""
        content = piece.lstrip(b"\0")
        if content:
            stream.seek(start + len(piece) - len(content))
            head = stream.read(6)
            stream.seek(-len(head), os.SEEK_CUR)
            return head


def _frames(stream: BinaryIO) -> Iterator[bytes]:
    """What is in the compressed frames that follow each other: one archive may be in several of them."""
    while True:
        yield from first_frame(stream)
        head = _after_padding(stream)
        if not head or head.startswith(_MAGIC):
            return


def _read_compressed(stream: BinaryIO, modules: dict[str, bytes]) -> None:
    """What is compressed may itself be several archives with padding between them."""
    pieces = _Pieces(_frames(stream))
    magic = pieces.past_padding(4)
    if not magic:
        raise CorruptError("it is empty")
    while magic:
        _read_archive(pieces, modules, magic)
        magic = pieces.past_padding(4)


def _number(field: bytes) -> int:
    """Eight hexadecimal digits; Python would also take a sign, blanks and underscores for part of a number."""
    if not _DIGITS.fullmatch(field):
        raise CorruptError("its archive is damaged")
    return int(field, 16)


def _read_archive(pieces: _Pieces, modules: dict[str, bytes], begun: bytes = b"") -> None:
    while True:
        header = begun + pieces.read(_HEADER - len(begun))
        begun = b""
        if len(header) < _HEADER or not header.startswith(_MAGIC):
            raise CorruptError("its archive is damaged or cut short")
        size, name_size = _number(header[54:62]), _number(header[94:102])
        if not 0 < name_size <= _MAX_NAME:
            raise CorruptError("its archive is damaged")
        name = pieces.read(name_size)[:-1].decode("utf-8", "surrogateescape")
        pieces.skip(-(_HEADER + name_size) % 4)
        if name == _END:
            return
        is_file = _number(header[14:22]) & 0o170000 == 0o100000
        if is_file and size and size <= _MAX_MODULE and _MODULE.search(name):
            content = pieces.read(size)
            if len(content) < size:
                raise CorruptError("it ends too early")
            modules[module_name(name)] = content
        else:
            pieces.skip(size)
        pieces.skip(-size % 4)
