"""Decompression in bounded pieces."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tracemalloc
from collections.abc import Callable

import pytest
import zstandard

from kmpsolve.metadata import compression
from kmpsolve.metadata.compression import CorruptError, decompressed

TEXT = b"".join(b"<entry number='%d'/>" % number for number in range(40_000))

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "xz": lzma.compress,
    "zst": zstandard.compress,
    "bz2": bz2.compress,
}


def unpack(data: bytes) -> bytes:
    return b"".join(decompressed(io.BytesIO(data)))


@pytest.mark.parametrize("text", [b"", b"<", b"<a/>", TEXT])
def test_what_is_not_compressed_comes_out_as_it_is(text: bytes) -> None:
    assert unpack(text) == text


@pytest.mark.parametrize("kind", COMPRESS)
@pytest.mark.parametrize("text", [b"", b"<a/>", TEXT], ids=["empty", "short", "long"])
def test_what_was_compressed_comes_out_again(kind: str, text: bytes) -> None:
    assert unpack(COMPRESS[kind](text)) == text


@pytest.mark.parametrize("kind", COMPRESS)
def test_concatenated_frames_are_read_to_the_last(kind: str) -> None:
    compress = COMPRESS[kind]
    assert unpack(compress(TEXT) + compress(b"and ") + compress(b"more")) == TEXT + b"and more"


@pytest.mark.parametrize("kind", COMPRESS)
def test_every_truncation_is_noticed(kind: str) -> None:
    data = COMPRESS[kind](TEXT)
    # Cut to fewer than six bytes it has no magic left, and is as good as plain text.
    for size in {6, 7, 12, 100, len(data) // 2, len(data) - 9, len(data) - 4, len(data) - 1}:
        with pytest.raises(CorruptError):
            unpack(data[:size])


@pytest.mark.parametrize("kind", COMPRESS)
def test_flipped_bits_are_noticed(kind: str) -> None:
    data = (
        COMPRESS[kind](TEXT)
        if kind != "zst"
        else zstandard.ZstdCompressor(write_checksum=True).compress(TEXT)
    )
    for place in range(len(data) // 3, len(data) - 1, len(data) // 7):
        damaged = bytearray(data)
        damaged[place] ^= 0x10
        with pytest.raises(CorruptError):
            unpack(bytes(damaged))


@pytest.mark.parametrize("kind", COMPRESS)
def test_garbage_behind_the_end_is_noticed(kind: str) -> None:
    with pytest.raises(CorruptError):
        unpack(COMPRESS[kind](TEXT) + b"garbage")


@pytest.mark.parametrize("kind", COMPRESS)
def test_a_bomb_is_unpacked_in_small_pieces(kind: str) -> None:
    bomb = COMPRESS[kind](bytes(100 << 20))
    assert len(bomb) < 1 << 20
    tracemalloc.start()
    try:
        largest = max(len(chunk) for chunk in decompressed(io.BytesIO(bomb)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert largest <= 16 << 20
    assert peak < 40 << 20


def test_a_dictionary_that_needs_too_much_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "_MEMORY", 1 << 20)
    with pytest.raises(CorruptError, match="Memory"):
        unpack(lzma.compress(TEXT))


def test_a_window_that_needs_too_much_memory_is_refused() -> None:
    # A frame header alone: magic, no content size, window 2^30, and an empty last block.
    data = b"\x28\xb5\x2f\xfd" + bytes([0x00, 20 << 3]) + b"\x01\x00\x00"
    with pytest.raises(CorruptError, match="memory"):
        unpack(data)
