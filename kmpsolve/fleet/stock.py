"""The repositories that a fleet is judged with: read once, then made small for the hosts that there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from kmpsolve.config import Config
from kmpsolve.metadata.content import Content
from kmpsolve.metadata.hosts import hosts_content, settings_of
from kmpsolve.metadata.inventory import decode_state
from kmpsolve.metadata.root import read_root
from kmpsolve.model.plan import Inputs, SkippedInput
from kmpsolve.request import Request
from kmpsolve.session import inputs_of, load_repositories, policy_of_host, prepare
from kmpsolve.solver.joining import join_hosts, relevant_names
from kmpsolve.solver.slim import slim
from kmpsolve.solver.universe import Universe
from kmpsolve.solver.view import SYMBOLS
from kmpsolve.sources import Sources, openers

__all__ = ["Shipment", "Stock", "load_stock"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """What is needed to decide certain states, in a form that can be sent to other processes and machines.

    Parameters
    ----------
    contents
        The repositories, without their packages.
    packages
        A .solv file with the packages of all hosts, then one for each repository.
    symbols, classes
        What the capabilities in these files stand for (`kmpsolve.solver.slim`).
    chosen
        State -> numbers of its packages in the first file.
    unread
        Numbers of the kernels whose symbols nobody knows.
    """

    request: Request
    inputs: Inputs
    contents: tuple[Content, ...]
    packages: tuple[bytes, ...]
    symbols: bytes
    classes: tuple[str, ...]
    chosen: Mapping[bytes, tuple[int, ...]]
    unread: frozenset[int]


class Stock:
    """The repositories, in full.

    Parameters
    ----------
    contents
        What they are, without their packages.
    universe
        With their packages; not sealed.
    """

    def __init__(
        self, request: Request, inputs: Inputs, contents: tuple[Content, ...], universe: Universe
    ) -> None:
        self.request = request
        self.inputs = inputs
        self.contents = contents
        self._universe = universe

    @cached_property
    def names(self) -> frozenset[str]:
        """Names of packages that a verdict may depend on."""
        return relevant_names(self._universe.pool)

    def ship(self, states: Sequence[bytes]) -> Shipment:
        """Everything that these states may have to do with; the stock is used up.

        What hosts have is joined with what repositories know of it, and made small together with it: then a
        host is no more than a choice of packages.
        """
        told = [decode_state(state) for state in states]
        hosts = hosts_content(told, "the inventory")
        policy, universe = self.request.policy, self._universe
        universe.load(hosts.content)
        handles = sorted(int(solvable.id) for solvable in universe.pool.installed.solvables)
        found, unread = join_hosts(
            universe.pool,
            {handles[number]: digest for number, digest in hosts.listed.items()},
            [
                (
                    [handles[number] for number in chosen],
                    policy_of_host(policy, settings_of(one)).vendor_class,
                )
                for one, chosen in zip(told, hosts.chosen, strict=True)
            ],
        )
        universe.seal(one_system=False)
        universe.show_everything()
        files, names = slim(universe)
        number_of = {handle: number for number, handle in enumerate(sorted(universe.installed_handles))}
        return Shipment(
            request=self.request,
            inputs=self.inputs,
            contents=self.contents,
            packages=tuple(files[f"{number}.solv"] for number in range(len(self.contents) + 1)),
            symbols=files[SYMBOLS],
            classes=tuple(names),
            chosen={
                state: tuple(number_of[handle] for handle in mine)
                for state, mine in zip(states, found, strict=True)
            },
            unread=frozenset(number_of[handle] for handle in unread),
        )


def load_stock(sources: Sources, request: Request, config: Config) -> Stock:
    """Read the repositories that hosts are judged with.

    Raises
    ------
    KmpsolveError
        As for `kmpsolve.session.load`: no repository can be read.
    """
    system = read_root(sources.root, releasever=sources.releasever) if sources.root is not None else None
    universe, request = prepare(system, request, config)
    skipped: list[SkippedInput] = []
    contents: list[Content] = []
    read, notes = load_repositories(universe, openers(sources, system, skipped), config, skipped, contents)
    return Stock(
        request=replace(request, notes=notes),
        inputs=inputs_of(sources.root, read, skipped),
        contents=tuple(replace(content, primary=None, solv=None, trusted=True) for content in contents),
        universe=universe,
    )
