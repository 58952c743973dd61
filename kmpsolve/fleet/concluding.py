"""What is decided of a fleet's states, summed up over its hosts."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from kmpsolve.fleet.audit import Audit, Blocking, Freeing, Group, NewestSafe, Rebuild, Risk, tally
from kmpsolve.fleet.deciding import Decided, FlavorDecided, Probe
from kmpsolve.fleet.gathering import Fleet
from kmpsolve.model.evr import Evr
from kmpsolve.model.nevra import Nevra
from kmpsolve.model.plan import SkippedInput, worst

__all__ = ["STATE_KEYS", "Prober", "conclude"]

STATE_KEYS = ("arch", "running", "kernel", "flavor")
"""What hosts can be grouped by besides labels."""
_OTHERS = 20
"""Kernels that are newest for nobody which are tried at most."""


@dataclass(slots=True)
class Prober:
    """Knows, or finds out, on which kernels a state is safe.

    Parameters
    ----------
    ask
        Answers probes, by their number.
    """

    states: Sequence[bytes]
    decided: Sequence[Decided]
    ask: Callable[[Sequence[Probe]], Iterable[tuple[int, tuple[bool, ...]]]]
    _known: dict[tuple[int, str, str], bool] = field(default_factory=dict)

    def newest_safe(self, state: int, flavor: FlavorDecided) -> str | None:
        """The newest kernel that is safe; ``None`` also where a driver may be missing in the inventory."""
        return flavor.newest_safe if self.decided[state].whole else None

    def safe(self, state: int, flavor: FlavorDecided, kernel: str) -> bool | None:
        """Whether a state is safe on a kernel; ``None`` if that has to be found out."""
        newest = self.newest_safe(state, flavor)
        if newest is None:
            return False
        if kernel == newest:
            return True
        if kernel not in flavor.kernels or _evr(kernel) >= _evr(newest):
            return False
        known = flavor.safe.get(kernel)
        return self._known.get((state, flavor.flavor, kernel)) if known is None else known

    def learn(self, members: Iterable[tuple[int, FlavorDecided]], kernels: Sequence[str]) -> None:
        """Find out what is not known yet of these states on these kernels."""
        probes: list[Probe] = []
        who: list[int] = []
        for state, flavor in members:
            unknown = tuple(kernel for kernel in kernels if self.safe(state, flavor, kernel) is None)
            if unknown:
                probes.append(Probe(state=self.states[state], flavor=flavor.flavor, kernels=unknown))
                who.append(state)
        for number, answers in self.ask(probes) if probes else ():
            probe = probes[number]
            for kernel, answer in zip(probe.kernels, answers, strict=True):
                self._known[who[number], probe.flavor, kernel] = answer


def _evr(nevra: str) -> Evr:
    return Nevra.parse(nevra).evr


def conclude(
    fleet: Fleet,
    decided: Sequence[Decided],
    prober: Prober,
    *,
    skipped: Sequence[SkippedInput],
    group_by: str | None,
    stale_before: float,
) -> Audit:
    """Sum up.

    Parameters
    ----------
    skipped
        Repositories that could not be read.
    group_by
        One of `STATE_KEYS`, or the label that `fleet` was read with.
    stale_before
        Seconds since the epoch: repositories whose last refresh is older are stale.
    """
    counts = Counter(fleet.states)
    stale = tuple(
        host
        for host, moment in zip(fleet.hosts, fleet.refreshed, strict=True)
        if not math.isnan(moment) and moment < stale_before
    )
    return Audit(
        fleet=fleet,
        decided=tuple(decided),
        counts=counts,
        skipped=tuple(skipped),
        verdict=worst(decided[state].verdict for state in counts),
        verdicts=tally((decided[state].verdict, count) for state, count in counts.items()),
        blocking=_blocking(decided, counts),
        newest_safe=_newest_safe(decided, counts, prober),
        frees_most=_frees_most(decided, counts, prober),
        groups=_groups(fleet, decided, prober, group_by),
        rebuilds=_rebuilds(decided, counts),
        risks=_risks(decided, counts),
        stale=stale,
    )


def _blocking(decided: Sequence[Decided], counts: Mapping[int, int]) -> tuple[Blocking, ...]:
    hosts: Counter[tuple[str, str]] = Counter()
    symbols: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for state, count in counts.items():
        for flavor in decided[state].flavors:
            for one in flavor.blocked:
                hosts[one.kmp, one.kernel] += count
                symbols[one.kmp, one.kernel].update(one.symbols)
    return tuple(
        Blocking(
            kmp=kmp,
            kernel=kernel,
            hosts=hosts[kmp, kernel],
            mismatches=len(symbols[kmp, kernel]),
            symbols=tuple(sorted(symbols[kmp, kernel])),
        )
        for kmp, kernel in sorted(hosts, key=lambda pair: (-hosts[pair], pair))
    )


def _newest_safe(
    decided: Sequence[Decided], counts: Mapping[int, int], prober: Prober
) -> tuple[NewestSafe, ...]:
    members: defaultdict[tuple[str, str], list[tuple[int, FlavorDecided, int]]] = defaultdict(list)
    for state, count in sorted(counts.items()):
        for flavor in decided[state].flavors:
            members[flavor.flavor, flavor.arch].append((state, flavor, count))
    return tuple(_best(flavor, arch, those, prober) for (flavor, arch), those in sorted(members.items()))


def _best(
    flavor: str, arch: str, members: Sequence[tuple[int, FlavorDecided, int]], prober: Prober
) -> NewestSafe:
    """The kernel that is safe for most hosts.

    It is the oldest of those that are newest for somebody, if that one is safe for everybody; where KMPs fit
    some older kernels and others not, those that are newest for nobody have to be looked at too.
    """
    total = sum(count for _, _, count in members)
    hosts: Counter[str] = Counter()
    for state, one, count in members:
        if kernel := prober.newest_safe(state, one):
            hosts[kernel] += count
    reachable = hosts.total()
    newest = sorted(hosts, key=_order)
    if not newest:
        return NewestSafe(flavor=flavor, arch=arch, nevra=None, hosts_total=total, hosts_safe=0)
    asked = [(state, one) for state, one, _ in members]

    def hosts_safe(kernel: str) -> int:
        return sum(count for state, one, count in members if prober.safe(state, one, kernel))

    prober.learn(asked, newest[:1])
    if hosts_safe(newest[0]) == reachable:
        return NewestSafe(flavor=flavor, arch=arch, nevra=newest[0], hosts_total=total, hosts_safe=reachable)
    prober.learn(asked, newest)
    found = {kernel: (hosts_safe(kernel), _order(kernel)) for kernel in newest}
    others = {
        kernel: (sum(hosts[n] for n, (_, order) in found.items() if order > _order(kernel)), _order(kernel))
        for kernel in {kernel for _, one, _ in members for kernel in one.kernels}.difference(found)
    }
    for kernel, at_most in sorted(others.items(), key=lambda other: other[1], reverse=True)[:_OTHERS]:
        if at_most > max(found.values()):
            prober.learn(asked, [kernel])
            found[kernel] = (hosts_safe(kernel), _order(kernel))
    best = max(found, key=lambda kernel: found[kernel])
    return NewestSafe(flavor=flavor, arch=arch, nevra=best, hosts_total=total, hosts_safe=found[best][0])


def _frees_most(decided: Sequence[Decided], counts: Mapping[int, int], prober: Prober) -> tuple[Freeing, ...]:
    members: defaultdict[tuple[str, str], list[tuple[int, FlavorDecided, int]]] = defaultdict(list)
    for state, count in sorted(counts.items()):
        for flavor in decided[state].flavors:
            if flavor.verdict == "blocked":
                members[flavor.flavor, flavor.arch].append((state, flavor, count))
    found = []
    for (name, _), those in sorted(members.items()):
        found_safe = (prober.newest_safe(state, flavor) for state, flavor, _ in those)
        kernels = sorted({kernel for kernel in found_safe if kernel}, key=_order)
        prober.learn([(state, flavor) for state, flavor, _ in those], kernels)
        freed = {
            kernel: sum(
                count
                for state, flavor, count in those
                if _order(kernel) > _order(flavor.standing) and prober.safe(state, flavor, kernel)
            )
            for kernel in kernels
        }
        best = max(freed, key=lambda kernel: (freed[kernel], _order(kernel)), default=None)
        if best is not None and freed[best]:
            blocked = sum(count for _, _, count in those)
            found.append(Freeing(flavor=name, nevra=best, hosts=freed[best], hosts_blocked=blocked))
    return tuple(found)


def _order(nevra: str) -> tuple[Evr, str]:
    return (_evr(nevra), nevra)


def _groups(
    fleet: Fleet, decided: Sequence[Decided], prober: Prober, group_by: str | None
) -> tuple[Group, ...]:
    if group_by is None:
        return ()
    if group_by in STATE_KEYS:
        keys = [_key(one, group_by) for one in decided]
        found = Counter((keys[state], state) for state in fleet.states)
    else:
        found = Counter(
            (fleet.keys[key], state) for key, state in zip(fleet.groups, fleet.states, strict=True)
        )
    groups: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for (key, state), count in found.items():
        groups[key][state] = count
    return tuple(
        Group(
            key=key,
            verdicts=tally((decided[state].verdict, count) for state, count in those.items()),
            newest_safe=_newest_safe(decided, those, prober),
        )
        for key, those in sorted(groups.items())
    )


def _key(decided: Decided, group_by: str) -> str:
    if group_by == "flavor":
        return ", ".join(flavor.flavor for flavor in decided.flavors)
    return {"arch": decided.arch, "running": decided.running, "kernel": decided.newest_kernel}[group_by]


def _rebuilds(decided: Sequence[Decided], counts: Mapping[int, int]) -> tuple[Rebuild, ...]:
    hosts: Counter[tuple[str, str, str]] = Counter()
    unblocked: Counter[tuple[str, str, str]] = Counter()
    for state, count in counts.items():
        flavors = decided[state].flavors
        wanted = {(one.vendor, one.kmp, one.kernel) for flavor in flavors for one in flavor.blocked}
        hosts.update(dict.fromkeys(wanted, count))
        others = any(f.unverified or (f.verdict == "blocked" and not f.blocked) for f in flavors)
        if len(wanted) == 1 and not others:
            unblocked[next(iter(wanted))] += count
    return tuple(
        Rebuild(vendor=key[0], kmp=key[1], kernel=key[2], hosts=hosts[key], hosts_unblocked=unblocked[key])
        for key in sorted(hosts, key=lambda key: (-unblocked[key], -hosts[key], key))
    )


def _risks(decided: Sequence[Decided], counts: Mapping[int, int]) -> tuple[Risk, ...]:
    hosts: Counter[tuple[str, str]] = Counter()
    for state, count in counts.items():
        hosts.update(
            dict.fromkeys({risk for flavor in decided[state].flavors for risk in flavor.risks}, count)
        )
    return tuple(
        Risk(reference=reference, message=message, hosts=hosts[reference, message])
        for reference, message in sorted(hosts, key=lambda key: (-hosts[key], key))
    )
