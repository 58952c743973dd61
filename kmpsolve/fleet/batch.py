"""The hosts of one piece of an inventory, in columns, and how they are filled from lines and records.

Most lines are copies of each other but for the name of the host. A line's state is therefore not parsed but
looked up by its bytes; only a state that was not met before is read, checked and spelled canonically.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from kmpsolve.metadata.inventories import Damage, Record
from kmpsolve.metadata.inventory import (
    MAX_LINE,
    SCHEMA_VERSION,
    check_host,
    decode_line,
    decode_state,
    encode_state,
    seconds,
)
from kmpsolve.metadata.places import Place

__all__ = ["Batch", "Builder", "Source"]


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


class Builder:
    """Fills a batch.

    Parameters
    ----------
    label
        The label that hosts are grouped by; ``None`` for none.
    """

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
        """Take our own lines, in blocks of whole ones.

        Raises
        ------
        CorruptError
            If `blocks` does: those that came before it are taken.
        """
        batch, raw_states, decode = self.batch, self._raw, self._decode
        at = len(batch.sources) - 1
        nan = math.nan
        hosts, states, numbers = batch.hosts, batch.states, batch.lines
        collected, refreshed, groups = batch.collected, batch.refreshed, batch.groups
        number = 0
        try:
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
        finally:  # what was read before the damage counts
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
