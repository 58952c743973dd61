"""A system and its repositories as a cache keeps them: read back, they give the same plans in a tenth of the time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import solv

from kmpsolve.cache.place import Stored, read, write
from kmpsolve.cache.symbols import PackedSymbols
from kmpsolve.metadata.content import Content, Patch
from kmpsolve.model.symbols import SymbolClasses
from kmpsolve.solver.universe import Universe

__all__ = ["SYMBOLS", "View", "add_classes", "open_view", "save_view", "solver_version"]

_MANIFEST = "view.json"
SYMBOLS = "symbols"


@dataclass(frozen=True, slots=True)
class View:
    """What a cache holds.

    Parameters
    ----------
    contents
        The system, then the repositories in the order in which they were loaded; with the number of packages
        that each has in full.
    """

    contents: tuple[tuple[Content, int], ...]
    names: tuple[str, ...]
    stored: Stored

    def load_into(self, universe: Universe, *, patches: bool = True) -> None:
        """Load everything; the universe is to be sealed afterwards, as usual.

        Parameters
        ----------
        patches
            False: as if the repositories' patches had not been read.
        """
        for content, _ in self.contents:
            universe.load(content if patches else replace(content, patches=(), retracted=frozenset()))
        add_classes(universe, PackedSymbols(self.stored.block(SYMBOLS)), self.names)


def add_classes(
    universe: Universe, packed: PackedSymbols, names: Sequence[str], system: Mapping[int, int] | None = None
) -> None:
    """Tell a universe, loaded from what `slim` made of another one, which symbols its classes stand for.

    Parameters
    ----------
    names
        Of the classes, as `slim` gave them.
    system
        Handle -> number of the installed packages, where not all of them are there.
    """
    first = [universe.first_handle(alias) for alias in universe.repositories]
    number = {universe.pool.str2id(name): index for index, name in enumerate(names)}
    universe.table.classes = _Classes(packed, number, names, first, system or {})


class _Classes(SymbolClasses):
    def __init__(
        self,
        packed: PackedSymbols,
        number: dict[int, int],
        names: Sequence[str],
        first: Sequence[int],
        system: Mapping[int, int],
    ) -> None:
        self._packed = packed
        self._number = number
        self._capability = list(number)
        self._capabilities = frozenset(number)
        self._names = names
        self._first = first
        self._system = system
        self._counts: dict[int, dict[int, int]] = {}

    @property
    def capabilities(self) -> frozenset[int]:
        return self._capabilities

    def _build(self, handle: int) -> int:
        if handle in self._system:
            return self._system[handle]
        index = max(
            (i for i, first in enumerate(self._first) if first <= handle), key=self._first.__getitem__
        )
        return index << 24 | handle - self._first[index]

    def members(self, capability: int, start: str) -> Sequence[str]:
        number = self._number[capability]
        kind = self._names[number].partition(":")[2]
        return self._packed.members(number) if kind.startswith(start.rstrip("(")) else ()

    def count(self, handle: int, capabilities: Iterable[int]) -> int:
        counts = self._sizes(handle)
        return sum(counts[capability] for capability in capabilities)

    def needed(self, handle: int) -> Iterable[int]:
        return self._sizes(handle).keys()

    def _sizes(self, handle: int) -> dict[int, int]:
        counts = self._counts.get(handle)
        if counts is None:
            sizes = self._packed.sizes(self._build(handle))
            counts = self._counts[handle] = {self._capability[number]: size for number, size in sizes.items()}
        return counts

    def required(self, handle: int, capability: int) -> Iterator[str]:
        return self._packed.needs(self._build(handle), self._number[capability])

    def versions(self, name: str) -> Iterator[tuple[int, str]]:
        for number, crc in self._packed.versions(name):
            yield self._capability[number], crc


def solver_version() -> str:
    """Tells builds of libsolv apart: one may not read what another wrote."""
    library = Path(solv.__file__)
    status = library.stat()
    return f"{library} {status.st_size} {status.st_mtime_ns}"


def open_view(name: str) -> View | None:
    """The view of this name; ``None`` if there is none that can be believed."""
    stored = read(name)
    if stored is None:
        return None
    manifest = json.loads(bytes(stored.block(_MANIFEST)))
    contents = [
        (_content(entry, stored.path(f"{index}.solv")), int(entry["packages"]))
        for index, entry in enumerate(manifest["contents"])
    ]
    return View(tuple(contents), tuple(manifest["classes"]), stored)


def save_view(name: str, universe: Universe, contents: Sequence[tuple[Content, int]]) -> bool:
    """Keep a sealed universe that was loaded from `contents`, in this order; False if that is not possible."""
    from kmpsolve.solver.slim import slim

    universe.show_everything()
    files, names = slim(universe)
    manifest = {"classes": names, "contents": [_entry(content, packages) for content, packages in contents]}
    return write(name, {**files, _MANIFEST: json.dumps(manifest).encode()})


def _entry(content: Content, packages: int) -> dict[str, Any]:
    return {
        "alias": content.alias,
        "source": content.source,
        "priority": content.priority,
        "revision": content.revision,
        "timestamp": content.timestamp,
        "refreshed": content.refreshed,
        "packages_at": str(content.packages_at) if content.packages_at is not None else None,
        "retracted": sorted(content.retracted),
        # A plan asks patches for kernels only.
        "patches": [
            [patch.id, patch.severity, patch.cves, patch.status, patch.packages]
            for patch in content.patches
            if any(package.startswith("kernel-") for package in patch.packages)
        ],
        "triggers": dict(content.triggers),
        "module_files": dict(content.module_files),
        "packages": packages,
        "whole": content.whole_system,
    }


def _content(entry: dict[str, Any], solv: Path) -> Content:
    return Content(
        alias=entry["alias"],
        source=entry["source"],
        priority=entry["priority"],
        solv=solv,
        revision=entry["revision"],
        timestamp=entry["timestamp"],
        refreshed=entry["refreshed"],
        packages_at=Path(entry["packages_at"]) if entry["packages_at"] is not None else None,
        retracted=frozenset(entry["retracted"]),
        patches=tuple(
            Patch(id=id_, severity=severity, cves=tuple(cves), status=status, packages=tuple(packages))
            for id_, severity, cves, status, packages in entry["patches"]
        ),
        triggers={nevra: tuple(names) for nevra, names in entry["triggers"].items()},
        module_files={nevra: tuple(files) for nevra, files in entry["module_files"].items()},
        trusted=True,
        whole_system=entry["whole"],
    )
