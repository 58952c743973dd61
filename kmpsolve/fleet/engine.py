"""What does the work of an audit: this machine's cores, or something else that gives the same answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from types import TracebackType
from typing import Self

from kmpsolve.config import Config
from kmpsolve.errors import MetadataError, RequestError
from kmpsolve.fleet.audit import Audit
from kmpsolve.fleet.batch import Batch
from kmpsolve.fleet.children import Died, cores, in_children
from kmpsolve.fleet.concluding import STATE_KEYS, Prober, conclude
from kmpsolve.fleet.deciding import Bench, Decided, Probe
from kmpsolve.fleet.gathering import gather
from kmpsolve.fleet.pieces import Piece, only_lines, pieces
from kmpsolve.fleet.progress import Bar
from kmpsolve.fleet.reading import Reader
from kmpsolve.fleet.stock import Shipment, Stock, load_stock
from kmpsolve.model.clock import now
from kmpsolve.request import Request
from kmpsolve.sources import Sources

__all__ = ["Engine", "Order", "machine"]


Order = tuple[Reader, Piece]
"""A piece, and who is to read it."""


class Engine(ABC):
    """Reads pieces and decides states somewhere; everything else is done here, the same for all.

    Parameters
    ----------
    where
        The repositories that hosts are judged with.
    """

    def __init__(self, where: Sources, request: Request, config: Config) -> None:
        self.where = where
        self.request = request
        self.config = config
        self.stock = load_stock(where, request, config)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Let go of whatever did the work."""

    @abstractmethod
    def read(self, orders: Iterable[Order]) -> Iterator[tuple[int, Batch]]:
        """Read pieces, by their number, as they are ready."""

    @abstractmethod
    def receive(self, states: Sequence[bytes]) -> None:
        """Make ready to decide these states, and only these."""

    @abstractmethod
    def decide(self, states: Sequence[bytes]) -> Iterator[tuple[int, Decided]]:
        """Decide states, by their number, as they are ready."""

    @abstractmethod
    def probe(self, probes: Sequence[Probe]) -> Iterator[tuple[int, tuple[bool, ...]]]:
        """Answer probes, by their number, as they are ready."""

    @abstractmethod
    def other(self, where: Sources) -> Engine:
        """The same engine with other repositories."""

    def audit(
        self,
        inventories: Sequence[str],
        group_by: str | None,
        bar: Bar,
        more: Sequence[tuple[str, str]] = (),
    ) -> Audit:
        """Audit everything in these inventories.

        Parameters
        ----------
        more
            Repositories that `with_repositories` is going to ask about.

        Raises
        ------
        MetadataError
            If there is nothing that can be read.
        RequestError
            If no host has the kernel, or a flavor, that is asked for.
        """
        label = group_by if group_by not in STATE_KEYS else None
        batches: dict[int, Batch] = {}
        hosts = 0
        for number, batch in self.read(self._orders(label, pieces(inventories), more)):
            batches[number] = batch
            hosts += len(batch.hosts)
            bar.step("reading hosts", hosts, None)
        fleet = gather(batches.pop(number) for number in sorted(batches))
        if not fleet.hosts:
            first = fleet.damaged[0] if fleet.damaged else None
            where = (
                f"{first.source}:{first.line}" if first and first.line else first.source if first else None
            )
            raise MetadataError(
                f"nothing in the inventory can be read: {first.reason if first else 'it is empty'}",
                reference="no-inventory",
                where=where,
                hint="make one with: kmpsolve collect >> fleet.jsonl",
            )
        decided = self._decided(fleet.distinct, bar)
        self._check_asked(decided)
        stale_before = now() - self.config.metadata_max_age
        prober = Prober(fleet.distinct, decided, self.probe)
        return conclude(
            fleet,
            decided,
            prober,
            skipped=self.stock.inputs.skipped,
            group_by=group_by,
            stale_before=stale_before,
        )

    def _orders(
        self, label: str | None, cut: Iterable[Piece], more: Sequence[tuple[str, str]]
    ) -> Iterator[Order]:
        """Each piece with its reader: which names matter is found out when a piece comes that may need them."""
        of_lines = Reader(label, frozenset())
        names: frozenset[str] | None = None
        for piece in cut:
            if only_lines(piece):
                yield of_lines, piece
                continue
            if names is None:
                names = self.stock.names
                if more:  # what a KMP there excludes, no package here may speak of
                    names |= load_stock(self._with(more), self.request, self.config).names
            yield Reader(label, names), piece

    def _with(self, more: Sequence[tuple[str, str]]) -> Sources:
        inputs = self.stock.inputs
        taken = {one.alias for one in inputs.repositories} | {one.alias for one in inputs.skipped}
        named = [(f"{alias}+" if alias in taken else alias, source) for alias, source in more]
        return replace(self.where, extra=(*self.where.extra, *named))

    def _decided(self, states: Sequence[bytes], bar: Bar) -> list[Decided]:
        found: dict[int, Decided] = {}
        bar.step("deciding states", 0, len(states))
        self.receive(states)
        for number, one in self.decide(states):
            found[number] = one
            bar.step("deciding states", len(found), len(states))
        return [found[number] for number in range(len(states))]

    def _check_asked(self, decided: Sequence[Decided]) -> None:
        if any(one.flavors for one in decided) or not any(one.refused for one in decided):
            return
        kernel, flavors = self.request.kernel, self.request.flavors
        if kernel not in (None, "latest", "newest-safe"):
            raise RequestError(
                f"no kernel {kernel} is installed or in a repository for any host",
                reference="unknown-kernel",
                where="--kernel",
                hint="see the kernels with: kmpsolve matrix",
            )
        raise RequestError(
            f"no kernel of flavor {' or '.join(flavors)} is installed on any host",
            reference="unknown-flavor",
            where="--flavor",
            hint="see the flavors with: kmpsolve audit --group-by flavor",
        )

    def with_repositories(self, audit: Audit, more: Sequence[tuple[str, str]], bar: Bar) -> Audit:
        """Add what the audit would be with more repositories."""
        with self.other(self._with(more)) as other:
            decided = other._decided(audit.fleet.distinct, bar)
            skipped = other.stock.inputs.skipped
        return audit.with_repositories([alias for alias, _ in more], decided, skipped)


def _shipped(stock: Stock, states: Sequence[bytes]) -> Shipment:
    """`Stock.ship` in a child: what it needs, which is a lot, goes with the child."""
    ((_, shipment),) = in_children([states], stock.ship, 1)
    if isinstance(shipment, Died):
        raise MetadataError(
            f"the inventory cannot be joined with the repositories: a process {shipment.reason}",
            reference="child-died",
        )
    return shipment


def _read(order: Order) -> Batch:
    reader, piece = order
    return reader.read(piece)


class _Machine(Engine):
    def __init__(self, where: Sources, request: Request, config: Config, at_once: int) -> None:
        super().__init__(where, request, config)
        self._at_once = at_once
        self._bench: Bench | None = None

    def close(self) -> None:
        if self._bench is not None:
            self._bench.close()

    def receive(self, states: Sequence[bytes]) -> None:
        self.close()
        self._bench = Bench(_shipped(self.stock, states))

    def read(self, orders: Iterable[Order]) -> Iterator[tuple[int, Batch]]:
        ahead = iter(orders)
        some = list(islice(ahead, 2))
        if len(some) == 1:  # not worth a child
            yield 0, _read(some[0])
            return
        for number, batch in in_children(chain(some, ahead), _read, self._at_once):
            if isinstance(batch, Died):
                raise MetadataError(
                    f"the inventory cannot be read: a process {batch.reason}", reference="child-died"
                )
            yield number, batch

    def decide(self, states: Sequence[bytes]) -> Iterator[tuple[int, Decided]]:
        assert self._bench is not None
        return self._bench.decide(states, self._at_once)

    def probe(self, probes: Sequence[Probe]) -> Iterator[tuple[int, tuple[bool, ...]]]:
        assert self._bench is not None
        return self._bench.probe(probes, self._at_once)

    def other(self, where: Sources) -> Engine:
        return _Machine(where, self.request, self.config, self._at_once)


def machine(where: Sources, request: Request, config: Config, jobs: int | None = None) -> Engine:
    """This machine, with `jobs` processes at a time, by default one for each core.

    Raises
    ------
    KmpsolveError
        If no repository can be read.
    """
    return _Machine(where, request, config, max(1, jobs or cores()))
