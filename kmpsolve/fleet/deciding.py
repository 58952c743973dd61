"""Deciding a state: the same judgement as ``kmpsolve plan``, on repositories that are loaded once for all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from kmpsolve.cache.symbols import PackedSymbols
from kmpsolve.errors import MetadataError, RequestError, SolverError
from kmpsolve.fleet.children import Died, in_children
from kmpsolve.fleet.stock import Shipment
from kmpsolve.metadata.hosts import system_settings
from kmpsolve.metadata.inventory import decode_state, fingerprint
from kmpsolve.model.plan import FlavorPlan, Inputs, Plan, SkippedInput, Verdict
from kmpsolve.planner import flavor_systems, plan
from kmpsolve.planner.deciding import safe_on
from kmpsolve.request import Request
from kmpsolve.session import new_universe, of_host, policy_of_host
from kmpsolve.solver.universe import SYSTEM, Universe
from kmpsolve.solver.view import add_classes

__all__ = [
    "Bench",
    "BlockedKmp",
    "Decided",
    "FlavorDecided",
    "Probe",
    "undecided",
]

Task = TypeVar("Task")
Answer = TypeVar("Answer")

_RISKS = ("fallback-loses", "purge-takes-last")
"""Warnings that a fleet's owner wants to hear of, by reference."""

_TOGETHER = 24
"""States that a child decides at most; a few rounds of children keep all cores busy to the end."""
_LOOKED_AT = 4
"""Older kernels that are looked at while a state is decided; where there are more, only those asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockedKmp:
    """A KMP that stands in the way, and on what.

    Parameters
    ----------
    kernel
        The NEVRA of the kernel that it was judged against.
    vendor
        Of the installed build.
    symbols
        Sorted; empty if something else than symbols is the cause.
    """

    kmp: str
    kernel: str
    vendor: str
    symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FlavorDecided:
    """One flavor of a state.

    Parameters
    ----------
    target, newest_safe
        NEVRAs; ``None`` as in the plan.
    standing
        NEVRA of the newest installed kernel.
    kernels
        NEVRAs of all kernels that could be asked for, newest first.
    safe
        What is known already of kernels older than `newest_safe`: NEVRA -> whether it is safe as well.
    risks
        (reference, message) of warnings about kernels that stay.
    """

    flavor: str
    arch: str
    verdict: Verdict
    target: str | None
    newest_safe: str | None
    standing: str
    kernels: tuple[str, ...]
    safe: Mapping[str, bool]
    blocked: tuple[BlockedKmp, ...]
    unverified: tuple[str, ...]
    risks: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """One state.

    Parameters
    ----------
    plan
        The plan's JSON, in a line.
    newest_kernel
        NEVRA of the newest installed kernel; ``""`` without one.
    refused
        The host has no such kernel, or no such flavor, as was asked for.
    whole
        Nothing of the host is missing in its inventory.
    """

    fingerprint: str
    verdict: Verdict
    plan: str
    arch: str
    running: str
    newest_kernel: str
    flavors: tuple[FlavorDecided, ...]
    refused: bool = False
    whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A question: on which of these kernels would a state be safe?"""

    state: bytes
    flavor: str
    kernels: tuple[str, ...]


class Bench:
    """Decides states, one after the other, each on a universe of its own.

    Parameters
    ----------
    shipment
        Has the states that are to be decided.
    """

    def __init__(self, shipment: Shipment) -> None:
        self.request = shipment.request
        self.inputs = shipment.inputs
        self._shipment = shipment
        self._symbols = PackedSymbols(memoryview(shipment.symbols))
        self._folder = tempfile.TemporaryDirectory(prefix="kmpsolve-audit-")
        places = []
        for number, packages in enumerate(shipment.packages):
            places.append(Path(self._folder.name) / f"{number}.solv")
            places[-1].write_bytes(packages)
        self._hosts, *repositories = places
        self._contents = [
            replace(content, solv=place)
            for content, place in zip(shipment.contents, repositories, strict=True)
        ]
        self._owner = os.getpid()

    def close(self) -> None:
        """Remove its files; only in the process that made them."""
        if self._owner == os.getpid():
            self._folder.cleanup()

    def _enter(self, state: bytes) -> tuple[Universe, Request, Inputs]:
        """The universe of one state: loaded in the same order as for a plan, so that answers are the same."""
        content = system_settings(decode_state(state), "the inventory")
        settings = content.settings
        assert settings is not None
        policy = policy_of_host(self.request.policy, settings)
        request = of_host(replace(self.request, policy=policy), settings)
        universe = new_universe(policy, request.kmp_rules)
        system = universe.load_part(content, self._hosts, self._shipment.chosen[state])
        for repository in self._contents:
            universe.load(repository)
        add_classes(universe, self._symbols, self._shipment.classes, system)
        universe.unread = frozenset(h for h, number in system.items() if number in self._shipment.unread)
        universe.seal()
        skipped = [*self.inputs.skipped, *(SkippedInput(alias=SYSTEM, reason=gap) for gap in settings.gaps)]
        inputs = replace(self.inputs, skipped=tuple(sorted(skipped, key=lambda one: one.alias)))
        return universe, request, inputs

    def decide_here(self, state: bytes) -> Decided:
        """Decide a state in this process."""
        universe, request, inputs = self._enter(state)
        # Of several flavors that are asked for a host may have some only.
        mine = tuple(flavor for flavor in request.flavors if flavor in universe.standing_flavors)
        refused = False
        try:
            made = plan(universe, replace(request, flavors=mine or request.flavors), inputs)
        except RequestError as error:
            if error.reference not in ("unknown-kernel", "unknown-flavor"):
                raise
            # As for a flavor that does not have the kernel: nothing happens on this host.
            made, refused = _nothing(inputs, "nothing-to-do", None), True
        except MetadataError as error:
            if error.reference != "no-kernel":
                raise
            made = _nothing(inputs, "unverified", error.message)
        except SolverError as error:
            made = _nothing(inputs, "unverified", f"it could not be decided: {error.message}")
        told = decode_state(state)
        vendors = {build.name: build.package.vendor for build in universe.installed_kmps}
        flavors = tuple(_flavor(universe, request, one, vendors) for one in made.flavors)
        current = [one.nevra for flavor in made.flavors for one in flavor.current]
        return Decided(
            fingerprint=fingerprint(state),
            verdict=made.verdict,
            plan=made.to_json(indent=None),
            arch=told.arch or (made.flavors[0].arch if made.flavors else ""),
            running=told.running or "",
            newest_kernel=current[0] if current else "",
            flavors=flavors,
            refused=refused,
            whole=not told.gaps,
        )

    def probe_here(self, probe: Probe) -> tuple[bool, ...]:
        """Answer a probe in this process."""
        universe, request, _ = self._enter(probe.state)
        return tuple(_safe(universe, request, probe.flavor, probe.kernels).values())

    def decide_all(self, states: Sequence[bytes]) -> list[Decided]:
        """Decide several states."""
        return [self.decide_here(state) for state in states]

    def probe_all(self, probes: Sequence[Probe]) -> list[tuple[bool, ...]]:
        """Answer several probes."""
        return [self.probe_here(probe) for probe in probes]

    # in children

    def decide(self, states: Sequence[bytes], at_once: int) -> Iterator[tuple[int, Decided]]:
        """Decide all states in children; a state that kills its child is unverified."""
        yield from _shared(
            states, self.decide_all, at_once, lambda state, why: undecided(state, self.inputs, why)
        )

    def probe(self, probes: Sequence[Probe], at_once: int) -> Iterator[tuple[int, tuple[bool, ...]]]:
        """Answer all probes in children; a kernel on which a child dies is not safe."""
        yield from _shared(probes, self.probe_all, at_once, lambda probe, _: (False,) * len(probe.kernels))


def _shared(
    tasks: Sequence[Task],
    work: Callable[[Sequence[Task]], list[Answer]],
    at_once: int,
    instead: Callable[[Task, str], Answer],
) -> Iterator[tuple[int, Answer]]:
    """Work on tasks some at a time; where a child dies, on each of its tasks in a child of its own."""
    step = max(1, min(_TOGETHER, len(tasks) // (at_once * 2)))
    starts = range(0, len(tasks), step)
    alone: list[int] = []
    for number, answers in in_children([tasks[start : start + step] for start in starts], work, at_once):
        if isinstance(answers, Died):
            alone += range(starts[number], min(starts[number] + step, len(tasks)))
        else:
            yield from enumerate(answers, starts[number])
    for number, answers in in_children([[tasks[one]] for one in alone], work, at_once):
        one = alone[number]
        yield one, instead(tasks[one], answers.reason) if isinstance(answers, Died) else answers[0]


def undecided(state: bytes, inputs: Inputs, reason: str) -> Decided:
    """A state that nobody can decide."""
    told = decode_state(state)
    return Decided(
        fingerprint=fingerprint(state),
        verdict="unverified",
        plan=_nothing(inputs, "unverified", f"it could not be decided: the solver {reason}").to_json(
            indent=None
        ),
        arch=told.arch or "",
        running=told.running or "",
        newest_kernel="",
        flavors=(),
    )


def _nothing(inputs: Inputs, verdict: Verdict, reason: str | None) -> Plan:
    if reason is not None:
        skipped = [*inputs.skipped, SkippedInput(alias=SYSTEM, reason=reason)]
        inputs = replace(inputs, skipped=tuple(sorted(skipped, key=lambda one: one.alias)))
    complete = not inputs.skipped
    return Plan(
        verdict=verdict if complete else "unverified",
        complete=complete,
        inputs=inputs,
        flavors=(),
        transaction=(),
        command=None,
    )


def _safe(universe: Universe, request: Request, flavor: str, kernels: Iterable[str]) -> dict[str, bool]:
    """On which of these kernels every counted KMP of a flavor would work."""
    system = flavor_systems(universe, replace(request, kernel=None, flavors=(flavor,)))[flavor]
    units = {str(unit.nevra): unit for unit in [*system.kernels.candidates(), *system.units]}
    return {k: k in units and safe_on(system, units[k]) is not None for k in kernels}


def _flavor(
    universe: Universe, request: Request, flavor: FlavorPlan, vendors: Mapping[str, str]
) -> FlavorDecided:
    judged = flavor.target.nevra if flavor.target is not None else flavor.current[0].nevra
    counted = [
        kmp
        for kmp in flavor.kmps
        if kmp.waived is None
        and (
            request.already_broken == "block"
            or not any(cause.kind == "already-broken" for cause in kmp.causes)
        )
        and _counts(request, kmp.name)
    ]
    kernels = {
        str(k.package.nevra): k.package.nevra.evr
        for k in universe.kernels
        if k.flavor == flavor.flavor and k.package.nevra.arch == flavor.arch and k.part in ("", "base")
    }
    newest_first = sorted(kernels, key=lambda nevra: (kernels[nevra], nevra), reverse=True)
    older = (
        newest_first[newest_first.index(flavor.newest_safe) + 1 :] if flavor.newest_safe in kernels else []
    )
    # Cheaper now than in another child, since most fleets ask for one of them.
    safe = _safe(universe, request, flavor.flavor, older) if len(older) <= _LOOKED_AT else {}
    return FlavorDecided(
        flavor=flavor.flavor,
        arch=flavor.arch,
        verdict=flavor.verdict,
        target=flavor.target.nevra if flavor.target is not None else None,
        newest_safe=flavor.newest_safe,
        standing=flavor.current[0].nevra,
        kernels=tuple(newest_first),
        safe=safe,
        blocked=tuple(
            BlockedKmp(
                kmp=kmp.name,
                kernel=judged,
                vendor=vendors.get(kmp.name, ""),
                symbols=tuple(sorted({mismatch.symbol for mismatch in kmp.mismatches})),
            )
            for kmp in counted
            if kmp.decision == "blocked"
        ),
        unverified=tuple(kmp.name for kmp in counted if kmp.decision == "unverified"),
        risks=tuple((w.reference, w.message) for w in flavor.warnings if w.reference in _RISKS),
    )


def _counts(request: Request, name: str) -> bool:
    rule = request.rule(name)
    return rule is None or rule.on_blocked != "ignore"
