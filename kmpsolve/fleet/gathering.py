"""From batches to one fleet: hosts get their names, are counted once, and share their states."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from kmpsolve.fleet.batch import Batch, Source
from kmpsolve.metadata.inventories import Damage
from kmpsolve.metadata.inventory import check_host

__all__ = ["Fleet", "gather"]


@dataclass(slots=True, kw_only=True)
class Fleet:
    """All hosts, in input order, in columns.

    Parameters
    ----------
    states
        For each host an index into `distinct`.
    refreshed
        When the oldest of the host's repositories was refreshed; NaN where unknown.
    groups
        For each host an index into `keys`; empty where no label was asked for.
    damaged
        What could not be read, in input order.
    """

    hosts: list[str] = field(default_factory=list)
    states: array[int] = field(default_factory=lambda: array("I"))
    refreshed: array[float] = field(default_factory=lambda: array("d"))
    groups: array[int] = field(default_factory=lambda: array("I"))
    distinct: list[bytes] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    damaged: list[Damage] = field(default_factory=list)


def gather(batches: Iterable[Batch]) -> Fleet:
    """Join batches, given in input order.

    In a folder whose files hold one host each, a host is called by its file; elsewhere by what it says
    itself. Of a host that is there more than once the newest record counts; where none is known to be newer than
    all others, the first of those that may be counts, and the others are damaged.
    """
    batches = list(batches)
    counts: Counter[tuple[str, str]] = Counter()
    for batch in batches:
        for at, count in Counter(batch.at).items():
            counts[batch.sources[at].folder, batch.sources[at].name] += count
    shards = {folder for (folder, _), count in counts.items() if count > 1}
    return _Gathering(counts, shards).joined(batches)


class _Gathering:
    def __init__(self, counts: Counter[tuple[str, str]], shards: set[str]) -> None:
        self._counts = counts
        self._shards = shards
        self._fleet = Fleet()
        self._collected = array("d")
        self._index: dict[str, int] = {}
        self._states: dict[bytes, int] = {}
        self._keys: dict[str, int] = {}
        self._superseded: set[int] = set()
        self._tied: dict[str, list[tuple[float, Damage]]] = {}
        """When records were collected that are neither older nor newer than the one that counts, by host."""
        self._settled: set[Damage] = set()
        """Those of them that a newer one made good."""
        self._read: Counter[tuple[str, str]] = Counter()

    def joined(self, batches: list[Batch]) -> Fleet:
        for batch in batches:
            self._take(batch)
        fleet = self._fleet
        fleet.distinct, fleet.keys = list(self._states), list(self._keys)
        fleet.damaged = [damage for damage in fleet.damaged if damage not in self._settled]
        if self._superseded:
            kept = [i for i in range(len(fleet.hosts)) if i not in self._superseded]
            fleet.hosts = [fleet.hosts[i] for i in kept]
            for name in ("states", "refreshed", "groups"):
                column = getattr(fleet, name)
                if column:
                    setattr(fleet, name, array(column.typecode, [column[i] for i in kept]))
        return fleet

    def _take(self, batch: Batch) -> None:
        fleet, index, collected = self._fleet, self._index, self._collected
        offsets = [self._read[source.folder, source.name] for source in batch.sources]
        numbers = [self._states.setdefault(state, len(self._states)) for state in batch.distinct]
        keys = [self._keys.setdefault(key, len(self._keys)) for key in batch.keys]
        damaged = [(at, line, reason) for at, line, reason in batch.damaged]
        by_file = [self._by_file(source) for source in batch.sources]
        for i, host in enumerate(batch.hosts):
            at = batch.at[i]
            name = by_file[at] or host
            if not name:
                name, reason = self._fallback(batch.sources[at])
                if reason:
                    damaged.append((at, batch.lines[i], reason))
                    continue
            before = index.setdefault(name, len(fleet.hosts))
            if before != len(fleet.hosts):
                new, old = batch.collected[i], collected[before]
                if not new > old:
                    if not new < old:  # equal, or one of them is not known
                        line, reason = batch.lines[i], f"host {name} is there twice, and neither is newer"
                        damaged.append((at, line, reason))
                        tied = Damage(batch.sources[at].name, offsets[at] + line, reason)
                        self._tied.setdefault(name, []).append((new, tied))
                    continue
                self._settled.update(tied for then, tied in self._tied.get(name, ()) if new > then)
                self._superseded.add(before)
                index[name] = len(fleet.hosts)
            fleet.hosts.append(name)
            fleet.states.append(numbers[batch.states[i]])
            fleet.refreshed.append(batch.refreshed[i])
            collected.append(batch.collected[i])
            if batch.groups:
                fleet.groups.append(keys[batch.groups[i]])
        for at, line, reason in sorted(damaged):
            source = batch.sources[at]
            if self._counts[source.folder, source.name] == 0 and any(
                d.source == source.name for d in fleet.damaged
            ):
                continue  # a file without a single readable line is one damaged entry
            fleet.damaged.append(Damage(source.name, offsets[at] + line if line else None, reason))
        for source in batch.sources:
            self._read[source.folder, source.name] += source.lines

    def _by_file(self, source: Source) -> str | None:
        """The name that a file in a folder gives its only host."""
        alone = self._counts[source.folder, source.name] == 1
        if not source.folder or source.keyed or not alone or source.folder in self._shards:
            return None
        return source.host if source.host and _usable(source.host) else None

    def _fallback(self, source: Source) -> tuple[str, str]:
        if source.host is None or self._counts[source.folder, source.name] > 1:
            return "", "names no host"
        return (
            (source.host, "") if _usable(source.host) else ("", "names no host, and its file's name is none")
        )


def _usable(host: str) -> bool:
    try:
        check_host(host)
    except ValueError:
        return False
    return True
