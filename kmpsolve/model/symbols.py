"""The symbols of kernels and KMPs as the solver's small integers: equal capabilities share one."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Set
from functools import cached_property
from itertools import chain
from typing import Protocol

from kmpsolve.model.needs import Need, normal_crc, parse_need

__all__ = ["Exports", "SymbolClasses", "SymbolTable"]

_USUAL = re.compile(r"(?:ksym\((?:[\w.+-]+:)?[^():\s]+\) = (?!0[0-9a-f])[0-9a-f]{1,16}\n)*")
"""Lines that spell a symbol's version as rpm's scripts do, so that equal versions are equal texts."""


class SymbolClasses(Protocol):
    """Capabilities that stand for many symbols each, as a cache keeps them."""

    @property
    def capabilities(self) -> Set[int]:
        """All of them."""
        ...

    def members(self, capability: int, start: str) -> Iterable[str]:
        """All symbols, or modules, that it stands for, if these start so."""
        ...

    def count(self, handle: int, capabilities: Iterable[int]) -> int:
        """How many symbols in these classes a package requires."""
        ...

    def needed(self, handle: int) -> Iterable[int]:
        """Those that a package requires something of; the solver is told only of the ones that imply the others."""
        ...

    def required(self, handle: int, capability: int) -> Iterable[str]:
        """Those of its symbols that a package requires."""
        ...

    def versions(self, name: str) -> Iterable[tuple[int, str]]:
        """The classes in which a symbol is, with its CRC there."""
        ...


class SymbolTable:
    """Reads capabilities by the small integers that the solver's pool gives equal ones.

    Parameters
    ----------
    spell
        The text of a capability, given its integer.
    """

    def __init__(self, spell: Callable[[int], str]) -> None:
        self.spell = spell
        self._needs: dict[int, Need | None] = {}
        self._usual: dict[int, str] = {}
        """The text of symbols that are spelled as usual; taken apart when somebody asks."""
        self._unusual: dict[int, tuple[str, str]] = {}
        """Name part and value of those that are not."""
        self._names: set[str] = set()
        """The name parts of those that are not."""
        self._others: dict[int, str] = {}
        self._known: set[int] = set()
        """The capabilities that are in one of these."""
        self.classes: SymbolClasses | None = None

    def is_class(self, capability: int) -> bool:
        """Whether a capability stands for many symbols, all provided by exactly the same kernels."""
        return self.classes is not None and capability in self.classes.capabilities

    def needs(self, handle: int, capabilities: Iterable[int]) -> Iterator[Need]:
        """What a package needs of these: the symbols of a class as far as it requires them."""
        for capability in capabilities:
            if self.classes is not None and capability in self.classes.capabilities:
                yield from filter(None, map(parse_need, self.classes.required(handle, capability)))
            elif (need := self.need(capability)) is not None:
                yield need

    def count(self, handle: int, capabilities: Iterable[int]) -> int:
        """How many symbols and symsets a package needs of these."""
        capabilities = set(capabilities)
        classes = self.classes_among(capabilities)
        packed = self.classes.count(handle, classes) if self.classes is not None else 0
        return packed + sum(key != "kernel-uname-r" for key, _ in self.versions(capabilities - classes))

    def sizes(self, handle: int, needs: Iterable[int]) -> Iterator[tuple[int, int]]:
        """For each of these, none of which is an exact kernel, how many symbols a package needs of it."""
        for capability in needs:
            if self.classes is not None and capability in self.classes.capabilities:
                yield capability, self.classes.count(handle, (capability,))
            else:
                yield capability, 1

    def texts(self, capabilities: Iterable[int], start: str = "") -> Iterator[str]:
        """Those capabilities as text that start so, the ones in classes included."""
        for capability in capabilities:
            if self.classes is not None and capability in self.classes.capabilities:
                yield from self.classes.members(capability, start)
            elif (text := self.spell(capability)).startswith(start):
                yield text

    def modules(self, capabilities: Set[int]) -> Iterator[Iterable[str]]:
        """The ``kmod()`` capabilities among these as text: those in no class, then class by class."""
        plain, classes = self._parted(capabilities)
        texts = map(self._others.get, plain)
        yield (text for text in texts if text is not None and text.startswith("kmod("))
        if self.classes is not None:
            for capability in classes:
                yield self.classes.members(capability, "kmod(")

    def names(self, capabilities: Set[int]) -> set[str]:
        """The name parts of those that are in no class."""
        plain, _ = self._parted(capabilities)
        others = {text.partition(" ")[0] for text in map(self._others.get, plain) if text is not None}
        return others.union(key for key, _ in self.versions(plain))

    def need(self, capability: int) -> Need | None:
        """The need behind an integer; ``None`` if the capability is no symbol's."""
        try:
            return self._needs[capability]
        except KeyError:
            if (text := self._usual.get(capability)) is not None:
                key, value = _taken_apart(text)
                flavor, _, name = key[5:-1].rpartition(":")
                need: Need | None = Need("ksym", flavor, name, key, value)
            else:
                need = parse_need(self.spell(capability))
            self._needs[capability] = need
            return need

    def versions(self, capabilities: Set[int]) -> list[tuple[str, str]]:
        """Name part and value of those that are a symbol's and not damaged, the ones in classes included."""
        plain, classes = self._parted(capabilities)
        found = [_taken_apart(text) for text in map(self._usual.get, plain) if text is not None]
        if self._unusual:
            found += filter(None, map(self._unusual.get, plain))
        for text in self.texts(classes):
            if (version := _version(text)) is not None:
                found.append(version)
        return found

    def read(self, capabilities: Set[int]) -> None:
        """Read those that are in no class, all at once."""
        self._parted(capabilities)

    def of_names(self, capabilities: Set[int], names: Set[str]) -> frozenset[int]:
        """Those in no class with one of these names, or with a name that somebody spells unusually.

        Where every version of a symbol is spelled as usual, equal versions are equal integers.
        """
        plain, _ = self._parted(capabilities)
        others = {c: text.partition(" ")[0] for c, text in self._others.items() if c in plain}
        strange = {name for name in others.values() if name.startswith(("ksym(", "kernel"))}
        wanted = names | self._names | strange
        usual = (c for c, text in self._usual.items() if text.partition(" ")[0] in wanted)
        unusual = (c for c, (key, _) in self._unusual.items() if key in wanted)
        other = (c for c, name in others.items() if name in wanted)
        return frozenset(chain(usual, unusual, other)) & plain

    def usual(self, name: str) -> bool:
        """Whether nobody spells a version of this symbol in another way than usual (`of_names`)."""
        return name not in self._names

    def sorted_out(self, capabilities: Set[int]) -> tuple[dict[int, str], dict[int, str]]:
        """The text of each: of symbols that are spelled as usual, and of all others, what stands for a class too."""
        plain, classes = self._parted(capabilities)
        usual = {c: text for c in plain if (text := self._usual.get(c)) is not None}
        others = {c: self.spell(c) for c in chain(plain - usual.keys(), classes)}
        return usual, others

    def version(self, capability: int) -> tuple[str, str] | None:
        """As `versions`, of one that is in no class."""
        if capability not in self._known:
            self._read([capability])
        text = self._usual.get(capability)
        return self._unusual.get(capability) if text is None else _taken_apart(text)

    def classes_among(self, capabilities: Set[int]) -> Set[int]:
        """Those that stand for many symbols each (`is_class`)."""
        return capabilities & self.classes.capabilities if self.classes is not None else frozenset()

    def _parted(self, capabilities: Set[int]) -> tuple[Set[int], Set[int]]:
        """Those in no class, which are read now, and those in one."""
        classes = self.classes_among(capabilities)
        plain = capabilities - classes if classes else capabilities
        if new := plain - self._known:
            self._read(new)
        return plain, classes

    def _read(self, capabilities: Collection[int]) -> None:
        """Read many at once: kernels have 28,000, and most of them in common."""
        texts = dict(zip(capabilities, map(self.spell, capabilities), strict=True))
        usual = {c: text for c, text in texts.items() if text.startswith("ksym(")}
        lines = "\n".join(usual.values()) + "\n"
        if lines.count("\n") > len(usual) or not _USUAL.fullmatch(lines):
            usual = {
                c: text for c, text in usual.items() if "\n" not in text and _USUAL.fullmatch(f"{text}\n")
            }
        self._usual.update(usual)
        self._known.update(texts)
        for capability in texts.keys() - usual.keys():
            version = _version(texts[capability])
            if version is None:
                self._others[capability] = texts[capability]
            else:
                self._unusual[capability] = version
                self._names.add(version[0])


def _taken_apart(text: str) -> tuple[str, str]:
    key, _, value = text.partition(" = ")
    return key, value


def _version(text: str) -> tuple[str, str] | None:
    need = parse_need(text) if text.startswith("k") else None
    return (need.key, need.value) if need is not None and need.kind != "damaged" else None


class Exports(Mapping[str, tuple[str, ...]]):
    """What a kernel unit or a KMP build provides: capability name -> values, without leading zeros.

    The mapping of a whole kernel (28,000 symbols) is only made when a comparison by integers leaves
    something open.

    Parameters
    ----------
    capabilities
        Reads the integers, when they are needed first.
    table
        Understands them.
    """

    def __init__(self, capabilities: Callable[[], Iterable[int]], table: SymbolTable) -> None:
        self._read = capabilities
        self._table = table

    def once(self) -> frozenset[int]:
        """The integers for who goes through those of many kernels: they are not kept."""
        known: frozenset[int] | None = self.__dict__.get("capabilities")
        return frozenset(self._read()) if known is None else known

    @cached_property
    def capabilities(self) -> frozenset[int]:
        """The integers of all capabilities, symbols or not."""
        return frozenset(self._read())

    @cached_property
    def _by_key(self) -> dict[str, str | tuple[str, ...]]:
        return self._sorted(self.capabilities)

    @cached_property
    def _loose(self) -> dict[str, str | tuple[str, ...]]:
        """Those in no class."""
        return self._sorted(self.capabilities - self._table.classes_among(self.capabilities))

    def _sorted(self, capabilities: Set[int]) -> dict[str, str | tuple[str, ...]]:
        """By name part, the value; values, sorted, where there are several, which is rare."""
        versions = self._table.versions(capabilities)
        values: dict[str, str | tuple[str, ...]] = dict(versions)
        if len(values) < len(versions):
            several: dict[str, set[str]] = {}
            for key, value in versions:
                several.setdefault(key, set()).add(value)
            values.update((key, tuple(sorted(them))) for key, them in several.items() if len(them) > 1)
        return values

    def _values(self, key: str) -> tuple[str, ...]:
        classes = self._table.classes
        known = (self._by_key if classes is None else self._loose).get(key, ())
        values = (known,) if isinstance(known, str) else known
        if classes is None:
            return values
        packed = {normal_crc(crc) for klass, crc in classes.versions(key) if klass in self.capabilities}
        return tuple(sorted(packed.union(values))) if packed else values

    def __getitem__(self, key: str) -> tuple[str, ...]:
        if values := self._values(key):
            return values
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_key)

    def __len__(self) -> int:
        return len(self._by_key)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and bool(self._values(key))

    def lacking(self, versions: Mapping[int, tuple[str, str]]) -> Mapping[int, tuple[str, str]]:
        """Those of these that are not provided, however their versions are spelled.

        Parameters
        ----------
        versions
            Name part and value of capabilities that are in no class.
        """
        here = self.capabilities
        if not here:
            return versions
        doubtful = versions.keys() - here
        if self._table.classes is None and self._understood:
            doubtful = {c for c in doubtful if not self._table.usual(versions[c][0])}
        met = {c for c in doubtful if self.has(*versions[c])}
        return {c: version for c, version in versions.items() if c not in here and c not in met}

    @cached_property
    def _understood(self) -> bool:
        """Whether the table has read all that is provided, and so knows where a version is spelled unusually."""
        self._table.read(self.capabilities)
        return True

    def meets(self, need: Need) -> bool:
        """Whether exactly this version is provided."""
        return self.has(need.key, need.value)

    def has(self, key: str, value: str) -> bool:
        """Whether a symbol, by its capability's name part, is provided in exactly this version."""
        if self._table.classes is None:
            known = self._by_key.get(key, ())
            return known == value if isinstance(known, str) else value in known
        return value in self._values(key)
