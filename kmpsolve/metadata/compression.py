"""Decompression of files from strangers, in pieces of bounded size."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import zlib
from collections.abc import Callable, Generator, Iterator
from typing import BinaryIO, Protocol

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
    rest = _Rewound(head, stream)
    kind = next((start for magic, start in _KINDS if head.startswith(magic)), _plain)
    try:
        yield from kind(rest)
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
    kind = next((start for magic, start in _FRAMES if head.startswith(magic)), None)
    if kind is None:
        raise CorruptError("its compression is not known")
    try:
        behind = yield from kind(stream)
    except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        raise CorruptError(str(error)) from error
    stream.seek(-len(behind), os.SEEK_CUR)


class _Rewound:
    """A stream with the bytes that were taken from its beginning put back."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._head = head
        self._stream = stream

    def read(self, size: int = CHUNK) -> bytes:
        head, self._head = self._head[:size], self._head[size:]
        return head or self._stream.read(size)


def _plain(stream: _Rewound) -> Iterator[bytes]:
    while chunk := stream.read():
        yield chunk


def _gz(stream: _Rewound) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=stream, mode="rb") as file:  # type: ignore[call-overload]
        while chunk := file.read(CHUNK):
            yield chunk


def _frames(stream: _Rewound, start: Callable[[], _Frame]) -> Iterator[bytes]:
    frame = start()
    while True:
        if frame.eof:
            given = frame.unused_data or stream.read()
            if not given:
                return
            frame = start()
        elif frame.needs_input:
            given = stream.read()
            if not given:
                raise EOFError("the file ends too early")
        else:
            given = b""
        yield frame.decompress(given, CHUNK)


def _bz2(stream: _Rewound) -> Iterator[bytes]:
    return _frames(stream, bz2.BZ2Decompressor)


def _xz(stream: _Rewound) -> Iterator[bytes]:
    return _frames(stream, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY))


def _zst(stream: _Rewound) -> Iterator[bytes]:
    import zstandard  # seldom needed, and importing it takes as long as reading a small repository

    context = zstandard.ZstdDecompressor(max_window_size=_MEMORY)
    frame = context.decompressobj()
    try:
        while given := stream.read(_ZSTD_CHUNK):
            while given:
                if frame.eof:
                    frame = context.decompressobj()
                yield frame.decompress(given)
                given = frame.unused_data
    except zstandard.ZstdError as error:
        raise CorruptError(str(error)) from error
    if not frame.eof:
        raise EOFError("the file ends too early")


def _given(stream: BinaryIO, size: int = CHUNK) -> bytes:
    given = stream.read(size)
    if not given:
        raise EOFError("the file ends too early")
    return given


def _one_gz(stream: BinaryIO) -> Generator[bytes, None, bytes]:
    frame = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    while not frame.eof:
        yield frame.decompress(frame.unconsumed_tail or _given(stream), CHUNK)
    return frame.unused_data


def _one(stream: BinaryIO, frame: _Frame) -> Generator[bytes, None, bytes]:
    while not frame.eof:
        yield frame.decompress(_given(stream) if frame.needs_input else b"", CHUNK)
    return frame.unused_data


def _one_bz2(stream: BinaryIO) -> Generator[bytes, None, bytes]:
    return _one(stream, bz2.BZ2Decompressor())


def _one_xz(stream: BinaryIO) -> Generator[bytes, None, bytes]:
    return _one(stream, lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY))


def _one_zst(stream: BinaryIO) -> Generator[bytes, None, bytes]:
    import zstandard

    frame = zstandard.ZstdDecompressor(max_window_size=_MEMORY).decompressobj()
    try:
        while not frame.eof:
            yield frame.decompress(_given(stream, _ZSTD_CHUNK))
    except zstandard.ZstdError as error:
        raise CorruptError(str(error)) from error
    return frame.unused_data


_GZ, _XZ, _ZST, _BZ2 = b"\x1f\x8b", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"BZh"
_KINDS: tuple[tuple[bytes, Callable[[_Rewound], Iterator[bytes]]], ...] = (
    (_GZ, _gz),
    (_XZ, _xz),
    (_ZST, _zst),
    (_BZ2, _bz2),
)
_FRAMES: tuple[tuple[bytes, Callable[[BinaryIO], Generator[bytes, None, bytes]]], ...] = (
    (_GZ, _one_gz),
    (_XZ, _one_xz),
    (_ZST, _one_zst),
    (_BZ2, _one_bz2),
)
