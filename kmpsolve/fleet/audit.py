"""The answer for a fleet: who may update, who may not, because of what, and what would free most hosts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from kmpsolve.fleet.deciding import Decided
from kmpsolve.fleet.gathering import Fleet
from kmpsolve.model.plan import SkippedInput, Verdict

__all__ = [
    "VERDICTS",
    "Audit",
    "Blocking",
    "Changes",
    "Freeing",
    "Group",
    "NewestSafe",
    "Rebuild",
    "Risk",
    "WhatIf",
    "tally",
]

VERDICTS: tuple[Verdict, ...] = ("safe", "blocked", "unverified", "nothing-to-do")


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocking:
    """A KMP that keeps hosts from a kernel.

    Parameters
    ----------
    mismatches
        How many distinct symbols, over all hosts.
    """

    kmp: str
    kernel: str
    hosts: int
    mismatches: int
    symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewestSafe:
    """The kernel that most hosts of a flavor and architecture could boot, the newest of several; all, if there is one.

    Parameters
    ----------
    nevra
        ``None`` if no kernel is safe for any host.
    """

    flavor: str
    arch: str
    nevra: str | None
    hosts_total: int
    hosts_safe: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeing:
    """The newer kernel that most blocked hosts of a flavor could take instead, the newest of several.

    Parameters
    ----------
    hosts
        That it frees.
    hosts_blocked
        That are blocked on what they would take otherwise.
    """

    flavor: str
    nevra: str
    hosts: int
    hosts_blocked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Hosts with something in common."""

    key: str
    verdicts: Mapping[Verdict, int]
    newest_safe: tuple[NewestSafe, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    """A build to ask a vendor for.

    Parameters
    ----------
    hosts
        That this KMP blocks.
    hosts_unblocked
        That nothing else blocks.
    """

    vendor: str
    kmp: str
    kernel: str
    hosts: int
    hosts_unblocked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """Something that an update leaves behind: a fallback kernel without a driver, a purge that takes one."""

    reference: str
    message: str
    hosts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """The fleet with more repositories.

    Parameters
    ----------
    freed
        Hosts that would no longer be blocked or unverified, in input order.
    skipped
        Which repositories could not be read then.
    """

    repositories: tuple[str, ...]
    verdicts: Mapping[Verdict, int]
    freed: tuple[str, ...]
    skipped: tuple[SkippedInput, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What differs from an earlier audit; hosts in input order, those that are gone in the earlier one's."""

    changed: tuple[tuple[str, str, str], ...]
    appeared: tuple[str, ...]
    gone: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """A fleet, judged.

    Parameters
    ----------
    decided
        By the index of the state in `fleet`.
    counts
        Hosts by the index of their state.
    skipped
        Repositories that could not be read: without them no host is safe.
    stale
        Hosts whose repositories were not refreshed lately.
    groups
        Empty if nothing to group by was asked for.
    """

    fleet: Fleet
    decided: tuple[Decided, ...]
    counts: Mapping[int, int]
    skipped: tuple[SkippedInput, ...]
    verdict: Verdict
    verdicts: Mapping[Verdict, int]
    blocking: tuple[Blocking, ...]
    newest_safe: tuple[NewestSafe, ...]
    frees_most: tuple[Freeing, ...]
    groups: tuple[Group, ...]
    rebuilds: tuple[Rebuild, ...]
    risks: tuple[Risk, ...]
    stale: tuple[str, ...]
    what_if: WhatIf | None = None
    changes: Changes | None = None

    def results(self) -> Iterator[tuple[str, Decided]]:
        """Each host with what was decided, in input order."""
        decided = self.decided
        return (
            (host, decided[state]) for host, state in zip(self.fleet.hosts, self.fleet.states, strict=True)
        )

    def with_repositories(
        self, names: Sequence[str], other: Sequence[Decided], skipped: Sequence[SkippedInput]
    ) -> Audit:
        """The same audit, with what it would be if these repositories were there."""
        freed = tuple(
            host
            for host, state in zip(self.fleet.hosts, self.fleet.states, strict=True)
            if self.decided[state].verdict in ("blocked", "unverified")
            and other[state].verdict not in ("blocked", "unverified")
        )
        return replace(
            self,
            what_if=WhatIf(
                repositories=tuple(names),
                verdicts=tally((other[state].verdict, count) for state, count in self.counts.items()),
                freed=freed,
                skipped=tuple(skipped),
            ),
        )

    def since(self, earlier: Mapping[str, str]) -> Audit:
        """The same audit, with what changed since hosts had these verdicts."""
        now = dict(zip(self.fleet.hosts, (self.decided[s].verdict for s in self.fleet.states), strict=True))
        return replace(
            self,
            changes=Changes(
                changed=tuple((h, earlier[h], v) for h, v in now.items() if h in earlier and earlier[h] != v),
                appeared=tuple(host for host in now if host not in earlier),
                gone=tuple(host for host in earlier if host not in now),
            ),
        )


def tally(found: Iterable[tuple[Verdict, int]]) -> dict[Verdict, int]:
    """How many hosts have each verdict.

    Parameters
    ----------
    found
        Verdicts, each with the number of hosts that have it.
    """
    hosts: dict[Verdict, int] = dict.fromkeys(VERDICTS, 0)
    for verdict, count in found:
        hosts[verdict] += count
    return hosts
