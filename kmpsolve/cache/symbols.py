"""Symbols packed by who provides them.

Sixty kernels provide 28,000 symbols each, but most of these come and go together: all symbols that exactly the
same kernels provide make up one class, and a class is one capability to the solver. What a KMP build needs is
a set of classes there, and its symbols are looked up here when somebody wants to know their names.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

__all__ = ["PREFIX", "PackedSymbols", "Symbols", "pack_symbols"]

PREFIX = "kmpsolve:"
"""How the capability of a class starts; no package can provide it, since rpm's names have no such colon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbols:
    """What is to be packed.

    Parameters
    ----------
    classes
        For each class its capabilities' texts, sorted.
    needs
        For each build, by a number of its own, which of these texts it requires, counted through all classes;
        sorted.
    """

    classes: Sequence[Sequence[str]]
    needs: Mapping[int, Sequence[int]]


def pack_symbols(symbols: Symbols) -> bytes:
    """Pack into one block of bytes, for `PackedSymbols`."""
    texts: list[str] = []
    starts = array("I", [0])
    for members in symbols.classes:
        texts += members
        starts.append(len(texts))
    offsets = array("I", [0])
    encoded = [text.encode("utf-8", "surrogateescape") for text in texts]
    offsets.extend(accumulate(map(len, encoded)))
    by_name = array("I", sorted(range(len(texts)), key=encoded.__getitem__))
    builds, needed, slots = array("I"), array("I"), array("I", [0])
    for build in sorted(symbols.needs):
        builds.append(build)
        needed.extend(symbols.needs[build])
        slots.append(len(needed))
    sections = (starts, offsets, by_name, builds, slots, needed)
    head = array("I", map(len, sections))
    return b"".join([head.tobytes(), *(section.tobytes() for section in sections), *encoded])


class PackedSymbols:
    """Looks up what `pack_symbols` packed.

    Parameters
    ----------
    block
        The bytes; nothing is copied out of them before it is asked for.
    """

    def __init__(self, block: memoryview) -> None:
        numbers = block.cast("I") if len(block) % 4 == 0 else block[: len(block) // 4 * 4].cast("I")
        sections, at = [], 6
        for length in numbers[:6]:
            sections.append(numbers[at : at + length])
            at += length
        self._starts, self._offsets, self._by_name, builds, self._slots, self._needed = sections
        self._builds = {build: number for number, build in enumerate(builds)}
        self._texts = block[at * 4 :]
        self._members: dict[int, Sequence[str]] = {}
        self._sizes: dict[int, Mapping[int, int]] = {}
        self._versions: dict[str, Sequence[tuple[int, str]]] = {}

    def _text(self, ordinal: int) -> str:
        return str(self._bytes(ordinal), "utf-8", "surrogateescape")

    def _bytes(self, ordinal: int) -> bytes:
        return bytes(self._texts[self._offsets[ordinal] : self._offsets[ordinal + 1]])

    def members(self, number: int) -> Sequence[str]:
        """The capabilities in a class."""
        known = self._members.get(number)
        if known is None:
            ordinals = range(self._starts[number], self._starts[number + 1])
            known = self._members[number] = tuple(map(self._text, ordinals))
        return known

    def _range(self, build: int, number: int) -> tuple[int, int]:
        slot = self._builds.get(build)
        if slot is None:
            return 0, 0
        low, high = self._slots[slot], self._slots[slot + 1]
        first = bisect_left(self._needed, self._starts[number], low, high)
        return first, bisect_left(self._needed, self._starts[number + 1], first, high)

    def sizes(self, build: int) -> Mapping[int, int]:
        """The classes that a build requires something of, and how many symbols of each."""
        known = self._sizes.get(build)
        if known is None:
            known = self._sizes[build] = self._counted(build)
        return known

    def _counted(self, build: int) -> dict[int, int]:
        slot = self._builds.get(build)
        if slot is None:
            return {}
        found: dict[int, int] = {}
        at, high = self._slots[slot], self._slots[slot + 1]
        while at < high:
            number = self._class_of(self._needed[at])
            after = bisect_left(self._needed, self._starts[number + 1], at, high)
            found[number] = after - at
            at = after
        return found

    def needs(self, build: int, number: int) -> Iterator[str]:
        """What a build requires of a class."""
        first, last = self._range(build, number)
        return map(self._text, self._needed[first:last])

    def versions(self, name: str) -> Sequence[tuple[int, str]]:
        """The classes in which a symbol is, with its CRC there."""
        known = self._versions.get(name)
        if known is None:
            known = self._versions[name] = tuple(self._found(name))
        return known

    def _found(self, name: str) -> Iterator[tuple[int, str]]:
        start = f"{name} = ".encode("utf-8", "surrogateescape")
        place = bisect_left(self._by_name, start, key=self._bytes)
        while place < len(self._by_name):
            ordinal = self._by_name[place]
            text = self._bytes(ordinal)
            if not text.startswith(start):
                return
            yield self._class_of(ordinal), text[len(start) :].decode()
            place += 1

    def _class_of(self, ordinal: int) -> int:
        return bisect_left(self._starts, ordinal + 1) - 1
