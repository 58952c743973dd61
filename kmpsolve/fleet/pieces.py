"""Inventories, cut into pieces worth a process each: parts of large files, many small ones at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from kmpsolve.errors import KmpsolveError, MetadataError
from kmpsolve.metadata.compression import CorruptError, decompressed
from kmpsolve.metadata.inventories import HEAD, sniff
from kmpsolve.metadata.inventory import MAX_LINE
from kmpsolve.metadata.places import Place, open_place, places

__all__ = ["Block", "Piece", "Span", "only_lines", "pieces", "whole_lines"]

_PIECE = 8 << 20
"""Bytes of uncompressed lines that are read in one go."""
_FILES = 256
"""Small files that are read in one go."""
_COMPRESSED = (b"\x1f\x8b", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"BZh")


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of a file of uncompressed lines: those lines that begin in it."""

    place: Place
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines that were read from a stream.

    Parameters
    ----------
    damage
        Why nothing more could be read behind them; ``""`` if there was nothing more.
    """

    place: Place
    data: bytes
    first: bool
    last: bool
    damage: str = ""


Piece = Span | Block | tuple[Place, ...]


def pieces(arguments: Sequence[str]) -> Iterator[Piece]:
    """Cut everything there is to read into pieces, in order; what is named twice is read once.

    Raises
    ------
    MetadataError
        If an argument does not exist, or a folder cannot be listed.
    """
    small: list[Place] = []
    for argument in dict.fromkeys(arguments):
        try:
            for place in places(argument):
                if place.kind == "stdin":
                    yield from _cut_off(small)
                    yield from _blocks(place)
                elif place.kind == "file" and (size := _lines_of(place)):
                    yield from _cut_off(small)
                    count = max(1, round(size / _PIECE))
                    cuts = [size * i // count for i in range(count + 1)]
                    yield from (Span(place, a, b) for a, b in pairwise(cuts))
                else:
                    small.append(place)
                    if len(small) == _FILES or _large(place):
                        yield from _cut_off(small)
        except OSError as error:
            raise MetadataError(
                f"cannot be read: {error.strerror or error}",
                reference="inventory-unreadable",
                where=str(error.filename or argument),
                hint="Check the path and its permissions",
            ) from error
    yield from _cut_off(small)


def only_lines(piece: Piece) -> bool:
    """Whether a piece surely holds nothing but lines of ours; where it would take long to tell, False."""
    if isinstance(piece, Span):
        return True
    if isinstance(piece, Block):
        return not (piece.first and piece.last) or sniff(piece.data[:HEAD]) == "lines"
    if len(piece) > 1 or piece[0].kind != "file":
        return False
    try:
        with open_place(piece[0]) as stream:
            return sniff(_head(decompressed(stream))[:HEAD]) == "lines"
    except (OSError, KmpsolveError, CorruptError):
        return False


def _head(chunks: Iterator[bytes]) -> bytes:
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= HEAD:
            break
    return head


def _cut_off(small: list[Place]) -> Iterator[Piece]:
    if small:
        yield tuple(small)
        small.clear()


def _large(place: Place) -> bool:
    if place.kind == "root":
        return True
    try:
        return place.path is not None and place.path.stat().st_size > _PIECE
    except OSError:
        return False


def _lines_of(place: Place) -> int:
    """The size of a large file of uncompressed lines of ours; 0 for anything else."""
    assert place.path is not None
    try:
        size = place.path.stat().st_size
        if size <= _PIECE:
            return 0
        with open_place(place) as stream:
            head = stream.read(HEAD)
    except (OSError, KmpsolveError):
        return 0
    if head.startswith(_COMPRESSED) or sniff(head) != "lines":
        return 0
    return size


def _blocks(place: Place) -> Iterator[Block]:
    """Standard input as it comes; what is no lines of ours is taken whole."""
    with open_place(place) as stream:
        chunks = decompressed(stream)
        first, pending = True, b""
        try:
            for block in _blocks_of_lines(chunks):
                if pending:
                    yield Block(place, pending, first, last=False)
                    first = False
                pending = block
        except CorruptError as error:
            yield Block(place, pending, first, last=True, damage=str(error))
            return
        yield Block(place, pending, first, last=True)


def _blocks_of_lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    head = _head(chunks)
    if sniff(head[:HEAD]) == "lines":
        yield from whole_lines(head, chunks)
    else:
        yield b"".join([head, *chunks])


def whole_lines(head: bytes, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Blocks that end where lines end, of a head and what follows it.

    Raises
    ------
    CorruptError
        If a line is longer than any of ours may be.
    """
    rest = head
    for chunk in chunks:
        rest += chunk
        if len(rest) < _PIECE:
            continue
        cut = rest.rfind(b"\n") + 1
        if cut:
            yield rest[:cut]
            rest = rest[cut:]
        elif len(rest) > MAX_LINE:
            raise CorruptError(f"a line has more than {MAX_LINE >> 20} MiB")
    if rest:
        yield rest
