"""Reading inventories fast: in pieces, on all cores, each distinct state once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from kmpsolve.errors import KmpsolveError
from kmpsolve.fleet.batch import Batch, Builder
from kmpsolve.fleet.pieces import Block, Piece, Span, only_lines, whole_lines
from kmpsolve.metadata.compression import CorruptError, decompressed
from kmpsolve.metadata.inventories import HEAD, Damage, Record, read_place, read_stream, sniff
from kmpsolve.metadata.places import Place, open_place

__all__ = ["Reader"]


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads pieces; the same in every process.

    Parameters
    ----------
    label
        The label that hosts are grouped by; ``None`` for none.
    wanted
        Package names that matter besides kernels and KMPs, for inventories of all packages; lines of ours
        (`only_lines`) need none.
    """

    label: str | None
    wanted: frozenset[str]

    def read(self, piece: Piece) -> Batch:
        """Read one piece; what is damaged is told in the batch."""
        batch = Builder(self.label)
        if isinstance(piece, Span):
            batch.enter(piece.place)
            try:
                with open_place(piece.place) as stream:
                    batch.lines(_lines_in(stream, piece.start, piece.end), first=piece.start == 0)
            except (OSError, KmpsolveError) as error:
                batch.damage(0, str(error))
        elif isinstance(piece, Block):
            batch.enter(piece.place, alone=piece.first and piece.last)
            if only_lines(piece):
                batch.lines([piece.data], first=piece.first)
            elif not piece.damage:
                batch.records(self._whole(piece))
            if piece.damage:
                batch.damage(batch.batch.sources[-1].lines + 1, f"is damaged from here on ({piece.damage})")
        else:
            for place in piece:
                batch.enter(place)
                if not self._streamed(place, batch):
                    batch.records(read_place(place, self.wanted))
        return batch.batch

    def _whole(self, block: Block) -> Iterator[Record | Damage]:
        try:
            yield from read_stream(block.place.name, [block.data], self.wanted)
        except (CorruptError, ValueError, OSError) as error:
            yield Damage(block.place.name, None, str(error))

    def _streamed(self, place: Place, batch: Builder) -> bool:
        """Read a file of our lines without holding all of it; false if it is something else."""
        if place.kind not in ("file", "address"):
            return False
        try:
            with open_place(place) as stream:
                chunks = decompressed(stream)
                head = next(chunks, b"")
                while len(head) < HEAD and (more := next(chunks, b"")):
                    head += more
                if sniff(head[:HEAD]) != "lines":
                    return False
                try:
                    batch.lines(whole_lines(head, chunks), first=True)
                except CorruptError as error:
                    batch.damage(batch.batch.sources[-1].lines + 1, f"is damaged from here on ({error})")
                return True
        except (OSError, KmpsolveError, CorruptError):
            return False


def _lines_in(stream: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    """The lines that begin within a part of a file; one that ends beyond it is read to its end."""
    if start:
        stream.seek(start - 1)
        skipped = b""
        while not skipped.endswith(b"\n"):
            more = stream.readline(1 << 20)
            if not more:
                return
            skipped = more[-1:]
            start_of_next = stream.tell()
        if start_of_next >= end:
            return
        position = start_of_next
    else:
        position = 0
    data = stream.read(end - position)
    if not data.endswith(b"\n"):
        parts = [data]
        while (more := stream.readline(1 << 20)) and not parts[-1].endswith(b"\n"):
            parts.append(more)
            if more.endswith(b"\n"):
                break
        data = b"".join(parts)
    yield data
