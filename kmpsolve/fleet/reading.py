"""Reading inventories fast: in pieces, on all cores, each distinct state once.

Most lines are copies of each other but for the name of the host. A line's state is therefore not parsed but
looked up by its bytes; only a state that was not met before is read, checked and spelled canonically.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import BinaryIO

import msgspec

from kmpsolve.errors import KmpsolveError, MetadataError
from kmpsolve.metadata.compression import CorruptError, decompressed
from kmpsolve.metadata.inventories import (
    HEAD,
    Damage,
    Place,
    Record,
    open_place,
    places,
    read_place,
    read_stream,
    sniff,
)
from kmpsolve.metadata.inventory import (
    MAX_LINE,
    SCHEMA_VERSION,
    check_host,
    decode_line,
    decode_state,
    encode_state,
    seconds,
)

__all__ = ["Batch", "Block", "Piece", "Reader", "Span", "pieces"]

PIECE = 8 << 20
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
    """Whole lines that were read from a stream."""

    place: Place
    data: bytes
    first: bool
    last: bool


Piece = Span | Block | tuple[Place, ...]


@dataclass(slots=True, kw_only=True)
class Source:
    """A place as a batch met it.

    Parameters
    ----------
    lines
        How many lines of it the batch read.
    host
        What the file calls its host, as long as the place has only one and that one no stronger name.
    """

    name: str
    folder: str
    host: str | None
    keyed: bool = False
    lines: int = 0


@dataclass(slots=True, kw_only=True)
class Batch:
    """The hosts in one piece, in columns: a million hosts must fit into little memory.

    Parameters
    ----------
    hosts
        Names; ``""`` where the record gives none.
    states
        Indices into `distinct`: canonical states.
    lines
        Line numbers, counted from 1 at the beginning of the piece.
    at
        Indices into `sources`.
    collected, refreshed
        Seconds since the epoch; NaN where unknown.
    groups
        Indices into `keys`: values of the label that hosts are grouped by.
    damaged
        (index into `sources`, line or 0 for all of it, reason).
    """

    hosts: list[str] = field(default_factory=list)
    states: array[int] = field(default_factory=lambda: array("I"))
    lines: array[int] = field(default_factory=lambda: array("I"))
    at: array[int] = field(default_factory=lambda: array("I"))
    collected: array[float] = field(default_factory=lambda: array("d"))
    refreshed: array[float] = field(default_factory=lambda: array("d"))
    groups: array[int] = field(default_factory=lambda: array("I"))
    distinct: list[bytes] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    damaged: list[tuple[int, int, str]] = field(default_factory=list)


class _FastLine(msgspec.Struct):
    schema_version: int
    state: msgspec.Raw
    host: str = ""
    collected: float | str | None = None
    refreshed: float | None = None


class _LabelledLine(msgspec.Struct):
    schema_version: int
    state: msgspec.Raw
    host: str = ""
    collected: float | str | None = None
    refreshed: float | None = None
    labels: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads pieces; the same in every process.

    Parameters
    ----------
    label
        The label that hosts are grouped by; ``None`` for none.
    wanted
        Package names that matter besides kernels and KMPs, for inventories of all packages.
    """

    label: str | None
    wanted: frozenset[str]

    def read(self, piece: Piece) -> Batch:
        """Read one piece; what is damaged is told in the batch."""
        batch = _Builder(self.label)
        if isinstance(piece, Span):
            batch.enter(piece.place)
            try:
                with open_place(piece.place) as stream:
                    batch.lines(_lines_in(stream, piece.start, piece.end), first=piece.start == 0)
            except (OSError, KmpsolveError) as error:
                batch.damage(0, str(error))
        elif isinstance(piece, Block):
            batch.enter(piece.place, alone=piece.first and piece.last)
            if (piece.first and (not piece.last or sniff(piece.data[:HEAD]) == "lines")) or not piece.first:
                batch.lines([piece.data], first=piece.first)
            else:
                batch.records(self._whole(piece))
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

    def _streamed(self, place: Place, batch: _Builder) -> bool:
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
                    batch.lines(_whole_lines(head, chunks), first=True)
                except CorruptError as error:
                    batch.damage(batch.batch.sources[-1].lines + 1, f"is damaged from here on ({error})")
                return True
        except (OSError, KmpsolveError, CorruptError):
            return False


def _whole_lines(head: bytes, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Blocks that end where lines end."""
    rest = head
    for chunk in chunks:
        rest += chunk
        if len(rest) < PIECE:
            continue
        cut = rest.rfind(b"\n") + 1
        if cut:
            yield rest[:cut]
            rest = rest[cut:]
        elif len(rest) > MAX_LINE:
            raise CorruptError(f"a line has more than {MAX_LINE >> 20} MiB")
    if rest:
        yield rest


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


class _Builder:
    """Fills a batch."""

    def __init__(self, label: str | None) -> None:
        self.batch = Batch()
        self._label = label
        self._raw: dict[bytes, int | str] = {}
        self._known: dict[bytes, int] = {}
        self._keys: dict[str, int] = {}
        fast: msgspec.json.Decoder[_FastLine] = msgspec.json.Decoder(_FastLine)
        labelled: msgspec.json.Decoder[_LabelledLine] = msgspec.json.Decoder(_LabelledLine)
        self._decode = fast.decode if label is None else labelled.decode

    def enter(self, place: Place, *, alone: bool = True) -> None:
        """What follows is from this place."""
        self.batch.sources.append(
            Source(name=place.name, folder=place.folder, host=place.host if alone else None)
        )

    def damage(self, line: int, reason: str) -> None:
        """Tell something that could not be read."""
        self.batch.damaged.append((len(self.batch.sources) - 1, line, reason))

    def _key(self, labels: dict[str, str]) -> int:
        key = labels.get(self._label or "", "")
        number = self._keys.setdefault(key, len(self._keys))
        if number == len(self.batch.keys):
            self.batch.keys.append(key)
        return number

    def _state(self, canonical: bytes) -> int:
        number = self._known.setdefault(canonical, len(self._known))
        if number == len(self.batch.distinct):
            self.batch.distinct.append(canonical)
        return number

    def _new_state(self, raw: bytes) -> int | str:
        try:
            return self._state(encode_state(decode_state(raw)))
        except ValueError as error:
            return str(error)

    def lines(self, blocks: Iterable[bytes], *, first: bool) -> None:
        """Take our own lines, in blocks of whole ones."""
        batch, raw_states, decode = self.batch, self._raw, self._decode
        at = len(batch.sources) - 1
        nan = math.nan
        hosts, states, numbers = batch.hosts, batch.states, batch.lines
        collected, refreshed, groups = batch.collected, batch.refreshed, batch.groups
        number = 0
        for block in blocks:
            lines = block.split(b"\n")
            if not lines[-1]:
                lines.pop()
            if first and lines:
                lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
                first = False
            for text in lines:
                number += 1
                try:
                    if len(text) > MAX_LINE:
                        raise ValueError(f"has {len(text)} bytes, more than the {MAX_LINE} allowed")
                    line = decode(text)
                    host = line.host
                    if line.schema_version != SCHEMA_VERSION or not host.isprintable() or len(host) > 255:
                        raise ValueError(host)
                    raw = bytes(line.state)
                except (ValueError, RecursionError):
                    # The slow way knows why, or that nothing is wrong after all.
                    if text.strip():
                        self._one(text, number)
                    continue
                state = raw_states.get(raw)
                if state is None:
                    state = raw_states[raw] = self._new_state(raw)
                if isinstance(state, str):
                    self.damage(number, state)
                    continue
                hosts.append(host)
                states.append(state)
                numbers.append(number)
                moment = line.collected
                collected.append(nan if moment is None else _moment(moment))
                refreshed.append(nan if line.refreshed is None else line.refreshed)
                if self._label is not None:
                    groups.append(self._key(line.labels))  # type: ignore[union-attr]
        batch.at.extend([at] * (len(hosts) - len(batch.at)))
        batch.sources[at].lines += number

    def _one(self, text: bytes, number: int) -> None:
        try:
            line = decode_line(text)
            if line.host is not None:
                check_host(line.host)
            state = self._new_state(bytes(line.state))
        except ValueError as error:
            self.damage(number, str(error))
            return
        if isinstance(state, str):
            self.damage(number, state)
            return
        self._add(line.host, state, number, seconds(line.collected), line.refreshed, line.labels)

    def _add(
        self,
        host: str | None,
        state: int,
        number: int,
        collected: float | None,
        refreshed: float | None,
        labels: dict[str, str],
    ) -> None:
        batch = self.batch
        batch.hosts.append(host or "")
        batch.states.append(state)
        batch.lines.append(number)
        batch.collected.append(math.nan if collected is None else collected)
        batch.refreshed.append(math.nan if refreshed is None else refreshed)
        if self._label is not None:
            batch.groups.append(self._key(labels))

    def records(self, found: Iterable[Record | Damage]) -> None:
        """Take records that were read in some other way."""
        batch = self.batch
        at = len(batch.sources) - 1
        for one in found:
            if isinstance(one, Damage):
                self.damage(one.line or 0, one.reason)
                continue
            batch.sources[at].keyed |= one.keyed
            self._add(one.host, self._state(one.state), one.line, one.collected, one.refreshed, one.labels)
        batch.at.extend([at] * (len(batch.hosts) - len(batch.at)))


def _moment(collected: float | str) -> float:
    moment = seconds(collected)
    return math.nan if moment is None else moment


def pieces(arguments: Sequence[str]) -> Iterator[Piece]:
    """Cut everything there is to read into pieces, in order.

    Raises
    ------
    MetadataError
        If an argument does not exist, or a folder cannot be listed.
    """
    small: list[Place] = []
    for argument in arguments:
        try:
            for place in places(argument):
                if place.kind == "stdin":
                    yield from _cut_off(small)
                    yield from _blocks(place)
                elif place.kind == "file" and (size := _lines_of(place)):
                    yield from _cut_off(small)
                    count = max(1, round(size / PIECE))
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


def _cut_off(small: list[Place]) -> Iterator[Piece]:
    if small:
        yield tuple(small)
        small.clear()


def _large(place: Place) -> bool:
    if place.kind == "root":
        return True
    try:
        return place.path is not None and place.path.stat().st_size > PIECE
    except OSError:
        return False


def _lines_of(place: Place) -> int:
    """The size of a large file of uncompressed lines of ours; 0 for anything else."""
    assert place.path is not None
    try:
        size = place.path.stat().st_size
        if size <= PIECE:
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
            raise OSError(0, f"damaged: {error}", place.name) from error
        yield Block(place, pending, first, last=True)


def _blocks_of_lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= HEAD:
            break
    if sniff(head[:HEAD]) == "lines":
        yield from _whole_lines(head, chunks)
    else:
        yield b"".join([head, *chunks])
