"""The same audit on a Dask cluster: workers read the inventories, and get the repositories once each.

Only addresses and small results travel. A worker that dies loses what it was at, and Dask has another one do
it again: pieces and states are pure functions of their input, so the answer does not change.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from distributed import Client, as_completed

from kmpsolve.config import Config
from kmpsolve.errors import ConfigError, MetadataError
from kmpsolve.fleet.batch import Batch
from kmpsolve.fleet.deciding import Bench, Decided, Probe
from kmpsolve.fleet.engine import Engine, Order
from kmpsolve.fleet.pieces import Block, Piece
from kmpsolve.fleet.stock import Shipment
from kmpsolve.metadata.places import Place
from kmpsolve.request import Request
from kmpsolve.sources import Sources

__all__ = ["Cluster"]

_PATIENCE = 30
"""Seconds that the scheduler may take to answer."""
_TOGETHER = 16

Task = TypeVar("Task")
Answer = TypeVar("Answer")

_lock = threading.Lock()
"""On a worker: one universe at a time, since libsolv's memory is not made for threads."""
_benches: dict[str, Bench] = {}
"""On a worker: the last one it got, by the key of its shipment."""


def _received(shipment: Shipment) -> Shipment:
    """A result like any other: Dask gives it to each worker once, and makes it again if its holder dies."""
    return shipment


def _on_worker(
    work: Callable[[Bench, Sequence[Any]], list[Any]], tasks: Sequence[Any], key: str, shipment: Shipment
) -> list[Any]:
    with _lock:
        if key not in _benches:
            for old in _benches.values():
                old.close()
            _benches.clear()
            _benches[key] = Bench(shipment)
        return work(_benches[key], tasks)


def _decide(bench: Bench, tasks: Sequence[Any]) -> list[Any]:
    return bench.decide_all(tasks)


def _probe(bench: Bench, tasks: Sequence[Any]) -> list[Any]:
    return bench.probe_all(tasks)


class Cluster(Engine):
    """A Dask cluster.

    Parameters
    ----------
    address
        Of its scheduler, such as ``tcp://10.0.0.1:8786``.

    Raises
    ------
    ConfigError
        If the scheduler does not answer.
    """

    def __init__(self, address: str, where: Sources, request: Request, config: Config) -> None:
        super().__init__(where, request, config)
        self._address = address
        try:
            self._client = Client(  # type: ignore[no-untyped-call]
                address, timeout=_PATIENCE, set_as_default=False
            )
        except (OSError, TimeoutError, ValueError) as error:
            raise ConfigError(
                f"the scheduler does not answer: {error}",
                reference="scheduler-unreachable",
                where=address,
                hint="start one with: dask scheduler; and workers with: dask worker ADDRESS",
            ) from error
        self._key = ""
        self._shipped: Any = None

    def close(self) -> None:
        """Disconnect; the cluster stays."""
        self._client.close()  # type: ignore[no-untyped-call]

    def read(self, orders: Iterable[Order]) -> Iterator[tuple[int, Batch]]:
        """Have workers read what they can reach themselves."""
        futures = {}
        for number, (reader, piece) in enumerate(orders):
            if isinstance(piece, Block):  # standard input is only here
                yield number, reader.read(piece)
            else:
                futures[self._client.submit(reader.read, _absolute(piece), pure=False)] = number
        yield from self._done(futures)

    def receive(self, states: Sequence[bytes]) -> None:
        """Send to workers, when they first need it, what these states have to do with."""
        self._key = uuid.uuid4().hex
        self._shipped = self._client.submit(_received, self.stock.ship(states), pure=False)

    def decide(self, states: Sequence[bytes]) -> Iterator[tuple[int, Decided]]:
        """Decide states on workers."""
        return self._some(_decide, states)

    def probe(self, probes: Sequence[Probe]) -> Iterator[tuple[int, tuple[bool, ...]]]:
        """Answer probes on workers."""
        return self._some(_probe, probes)

    def other(self, where: Sources) -> Engine:
        """The same cluster with other repositories."""
        return Cluster(self._address, where, self.request, self.config)

    def _some(
        self, work: Callable[[Bench, Sequence[Any]], list[Answer]], tasks: Sequence[Task]
    ) -> Iterator[tuple[int, Answer]]:
        futures = {
            self._client.submit(
                _on_worker, work, tasks[start : start + _TOGETHER], self._key, self._shipped, pure=False
            ): start
            for start in range(0, len(tasks), _TOGETHER)
        }
        for start, answers in self._done(futures):
            yield from enumerate(answers, start)

    def _done(self, futures: dict[Any, int]) -> Iterator[tuple[int, Any]]:
        for future in as_completed(list(futures), loop=self._client.loop):  # type: ignore[no-untyped-call]
            try:
                yield futures[future], future.result()
            except Exception as error:
                if type(error).__name__ != "KilledWorker":
                    raise
                raise MetadataError(
                    f"workers keep dying: {error}",
                    reference="workers-died",
                    where=self._address,
                    hint="look at the workers' logs, and at the memory that they have",
                ) from error


def _absolute(piece: Piece) -> Piece:
    """Paths as a worker can open them: it has a working folder of its own."""

    def there(place: Place) -> Place:
        return place if place.path is None else replace(place, path=place.path.absolute())

    if isinstance(piece, tuple):
        return tuple(map(there, piece))
    return replace(piece, place=there(piece.place))
