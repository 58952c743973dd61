"""Decompression of files from strangers, in pieces of bounded size."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import zlib
from collections.abc import Callable, Generator, Iterator
from typing import BinaryIO, Protocol, TypeAlias

__all__ = ["CHUNK", "CorruptError", "decompressed", "first_frame"]

CHUNK = 1 << 18
"""Bytes that are read or written at a time."""

_ZSTD_CHUNK = 1 << 9
"""zstandard's object interface has no limit on the output of one call; four bytes of input may stand for
128 KiB, so that this many never make more than 16 MiB."""

_MEMORY = 256 << 20
"""Bytes that an xz dictionary or a zstd window may ask for; ``xz -9`` takes 65 MiB, ``zstd --ultra -22``
128 MiB."""


class CorruptError(Exception):
    """The compressed bytes are damaged or end too early."""


class _Frame(Protocol):
    """What bz2's and lzma's decompressors have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def decompressed(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the content of a gz, xz, zst, bz2 or uncompressed file, in pieces of at most 16 MiB.

    The kind is told by the first bytes: a name says nothing about what a server sent. Concatenated
    frames are read to the last one, as the command-line tools do.

    Parameters
    ----------
    stream
        The file; read from where it stands to its end.

    Raises
    ------
    CorruptError
        If the bytes are damaged, end too early or need too much memory.
    """
    head = stream.read(6)
    rest, one = _Rewound(head, stream), _of_kind(head)
    try:
        if one is None:
            yield from _plain(rest)
        elif one is _one_gz:  # gzip's own reader passes over the zeros that may follow
            yield from _members(rest)
        else:
            yield from _all_frames(rest, one)
    except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        # bz2 says OSError for damaged bytes; a disk that cannot be read is no better for the reader.
        raise CorruptError(str(error)) from error


def first_frame(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the content of the one gz, xz, zst or bz2 frame that begins where a file stands, and stop behind it.

    Raises
    ------
    CorruptError
        If there is no such frame, or its bytes are damaged, end too early or need too much memory.
    """
    head = stream.read(6)
    stream.seek(-len(head), os.SEEK_CUR)
    one = _of_kind(head)
    if one is None:
        raise CorruptError("its compression is not known")
    try:
        behind = yield from one(stream)
    except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        raise CorruptError(str(error)) from error
    stream.seek(-len(behind), os.SEEK_CUR)


class _Rewound:
    """A stream into which bytes that were taken from it can be put back."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._head = head
        self._stream = stream

    def read(self, size: int = CHUNK) -> bytes:
        head, self._head = self._head[:size], self._head[size:]
        return head or self._stream.read(size)

    def put_back(self, content: bytes) -> None:
        self._head = content + self._head


_Source: TypeAlias = BinaryIO | _Rewound
_OneFrame: TypeAlias = Callable[[_Source], Generator[bytes, None, bytes]]
"""Yields the content of one frame, and returns what was read and is behind it."""


def _given(stream: _Source, size: int = CHUNK) -> bytes:
    given = stream.read(size)
    if not given:
        raise EOFError("the file ends too early")
    return given


def _one_gz(stream: _Source) -> Generator[bytes, None, bytes]:
    frame = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    while not frame.eof:
        yield frame.decompress(frame.unconsumed_tail or _given(stream), CHUNK)
    return frame.unused_data


def _one(stream: _Source, frame: _Frame) -> Generator[bytes, None, bytes]:
    while not frame.eof:
        yield frame.decompress(_given(stream) if frame.needs_input else b"", CHUNK)
    return frame.unused_data


def _one_bz2(stream: _Source) -> Generator[bytes, None, bytes]:
    return _one(stream, bz2.BZ2Decompressor())


def _one_xz(stream: _Source) -> Generator[bytes, None, bytes]:
    return _one(stream, lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY))


def _one_zst(stream: _Source) -> Generator[bytes, None, bytes]:
    import zstandard  # seldom needed, and importing it takes as long as reading a small repository

    frame = zstandard.ZstdDecompressor(max_window_size=_MEMORY).decompressobj()
    try:
        while not frame.eof:
            yield frame.decompress(_given(stream, _ZSTD_CHUNK))
    except zstandard.ZstdError as error:
        raise CorruptError(str(error)) from error
    return frame.unused_data


_FRAMES: tuple[tuple[bytes, _OneFrame], ...] = (
    (b"\x1f\x8b", _one_gz),
    (b"\xfd7zXZ\x00", _one_xz),
    (b"\x28\xb5\x2f\xfd", _one_zst),
    (b"BZh", _one_bz2),
)


def _of_kind(head: bytes) -> _OneFrame | None:
    return next((one for magic, one in _FRAMES if head.startswith(magic)), None)


def _plain(stream: _Rewound) -> Iterator[bytes]:
    while chunk := stream.read():
        yield chunk


def _members(stream: _Rewound) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=stream, mode="rb") as file:  # type: ignore[call-overload]
        while chunk := file.read(CHUNK):
            yield chunk


def _all_frames(stream: _Rewound, one: _OneFrame) -> Iterator[bytes]:
    more = b""
    while True:
        stream.put_back(more)
        behind = yield from one(stream)
        more = behind or stream.read()
        if not more:
            return
