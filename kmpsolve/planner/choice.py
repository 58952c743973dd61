"""The joint choice: for every KMP the best option that the system as a whole allows.

One solve answers it when nobody competes. When somebody does, the smallest set of KMPs that have to
step back is found by hitting sets over minimal conflicts: every conflict must be hit by at least one
KMP that steps back, and a set that hits all known conflicts either solves or shows a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from kmpsolve.model.package import KmpBuild, Package
from kmpsolve.planner.options import LEVELS, Option
from kmpsolve.planner.system import FlavorSystem, Kmp
from kmpsolve.solver.projection import Outcome, Projection, Stand
from kmpsolve.solver.reasons import Reason

__all__ = ["Choice", "choose"]

Allowed = Mapping[str, Sequence[Option]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The result.

    Parameters
    ----------
    options
        For each KMP, what was chosen.
    added
        KMPs that were not installed and come along for a symbol or a module.
    companions
        User-space packages from repositories that come along.
    reasons
        For KMPs that had a better option on paper: why the system does not allow it.
    impossible
        Why not even the kernel alone can be installed; empty if it can.
    """

    options: Mapping[str, Option]
    added: tuple[KmpBuild, ...]
    companions: tuple[Package, ...]
    reasons: Mapping[str, tuple[Reason, ...]]
    impossible: tuple[Reason, ...]


class _Chooser:
    def __init__(
        self, system: FlavorSystem, projection: Projection, choices: Allowed, covered: Iterable[str]
    ) -> None:
        self.projection = projection
        self.choices = choices
        self.kmps = {kmp.name: kmp for kmp in system.kmps}
        self.covered = frozenset(covered)
        self.system = system
        self.carriers: dict[str, list[tuple[KmpBuild, Stand]]] = {}
        seen: set[Stand] = set()
        for offered in choices.values():
            for option in offered:
                if option.build is not None and option.stand is not None and option.stand not in seen:
                    seen.add(option.stand)
                    for module in option.build.modules:
                        self.carriers.setdefault(module, []).append((option.build, option.stand))
        for build in system.extras:
            stand = Stand(build.package.handle, "compatible")
            if stand in projection:
                for module in build.modules:
                    self.carriers.setdefault(module, []).append((build, stand))

    def carrying(self, module: str, kmp: Kmp) -> list[Stand]:
        """Stands with `module` that may serve `kmp`: its own, other installed KMPs', its vendor's."""
        universe = self.system.universe
        own = {option.stand for option in self.choices[kmp.name]}
        vendor = kmp.installed[0].package.vendor
        return [
            stand
            for build, stand in self.carriers.get(module, ())
            if stand in own
            or build.name in universe.installed_kmp_names
            or universe.same_class(build.package.vendor, vendor)
        ]

    def solve(self, allowed: Allowed) -> Outcome:
        clauses: list[list[Stand]] = []
        for name, options in allowed.items():
            stands = [option.stand for option in options if option.stand is not None]
            if len(stands) == len(options):
                clauses.append(stands)
            gives_up = [o for o in options if o.decision in ("builtin", "blocked")]
            if any(o.stand is None for o in gives_up):
                continue
            kmp = self.kmps[name]
            for module in sorted(kmp.modules.keys() - self.covered):
                escape = [o.stand for o in gives_up if o.stand is not None]
                clauses.append(self.carrying(module, kmp) + escape)
        if any(not clause for clause in clauses):
            return Outcome(False, frozenset(), (), ())
        return self.projection.solve(clauses)

    def pick(self, outcome: Outcome, allowed: Allowed) -> dict[str, Option]:
        """The option of each KMP that an outcome took."""
        return {
            name: next((o for o in options if o.stand is not None and o.stand in outcome.stands), options[-1])
            for name, options in allowed.items()
        }


def choose(system: FlavorSystem, projection: Projection, choices: Allowed, covered: Iterable[str]) -> Choice:
    """Choose for all KMPs at once.

    Parameters
    ----------
    choices
        For each KMP its options, best first, ``blocked`` last.
    covered
        Modules that the target unit ships.
    """
    chooser = _Chooser(system, projection, choices, covered)
    best = {name: options[:1] for name, options in choices.items()}
    outcome = chooser.solve(best)
    reasons: dict[str, tuple[Reason, ...]] = {}
    allowed: dict[str, Sequence[Option]] = dict(best)
    if not outcome.solved:
        everything = chooser.solve(choices)
        if not everything.solved:
            blocked = {name: options[-1] for name, options in choices.items()}
            return Choice(
                options=blocked,
                added=(),
                companions=(),
                reasons={},
                impossible=everything.reasons or outcome.reasons,
            )
        allowed = _negotiate(chooser, choices)
        outcome = chooser.solve(allowed)
        reasons = _explain(chooser, choices, allowed)
    picked = chooser.pick(outcome, allowed)
    own = {option.stand for option in picked.values()}
    added = tuple(
        build for build in system.extras if Stand(build.package.handle, "compatible") in outcome.stands - own
    )
    return Choice(options=picked, added=added, companions=outcome.companions, reasons=reasons, impossible=())


def _negotiate(chooser: _Chooser, choices: Allowed) -> dict[str, Sequence[Option]]:
    """Fewest counted KMPs blocked, then fewest unverified, then each as well off as the ones before allow."""
    kmps = chooser.kmps
    allowed: dict[str, Sequence[Option]] = dict(choices)
    counted = sorted(name for name in choices if kmps[name].counts)
    others = sorted(name for name in choices if not kmps[name].counts)
    for names in (counted, others):
        for limit in (LEVELS.index("blocked"), LEVELS.index("unverified")):
            narrowed: dict[str, Sequence[Option]] = {}
            for name in names:
                better = [o for o in allowed[name] if LEVELS.index(o.decision) < limit]
                if better and len(better) < len(allowed[name]):
                    narrowed[name] = better
            stepping_back = _fewest(narrowed, allowed, chooser.solve)
            for name in narrowed:
                if name not in stepping_back:
                    allowed[name] = narrowed[name]
    for name in counted + others:
        for option in allowed[name]:
            trial = {**allowed, name: [option]}
            if len(allowed[name]) == 1 or chooser.solve(trial).solved:
                allowed = trial
                break
    return allowed


def _fewest(narrowed: Allowed, allowed: Allowed, solve: Callable[[Allowed], Outcome]) -> set[str]:
    """The smallest set of names that cannot be narrowed if all the others are."""
    conflicts: list[frozenset[str]] = []
    while True:
        relaxed = _hit(conflicts)
        strict = sorted(name for name in narrowed if name not in relaxed)
        if solve({**allowed, **{name: narrowed[name] for name in strict}}).solved:
            return relaxed
        core = list(strict)
        for name in strict:
            fewer = [other for other in core if other != name]
            if not solve({**allowed, **{other: narrowed[other] for other in fewer}}).solved:
                core = fewer
        conflicts.append(frozenset(core))


def _hit(conflicts: Sequence[frozenset[str]]) -> set[str]:
    """The first smallest set, in sorted order, that has a member in common with each conflict."""
    names = sorted(frozenset().union(*conflicts))
    for size in range(len(names) + 1):
        for combination in combinations(names, size):
            if all(conflict.intersection(combination) for conflict in conflicts):
                return set(combination)
    raise AssertionError("an empty conflict cannot be hit")


def _explain(chooser: _Chooser, choices: Allowed, allowed: Allowed) -> dict[str, tuple[Reason, ...]]:
    """For each KMP that ended below its best option, the proof that it had to."""
    found: dict[str, tuple[Reason, ...]] = {}
    for name, options in choices.items():
        chosen = allowed[name][0]
        if LEVELS.index(chosen.decision) > LEVELS.index(options[0].decision):
            reasons: set[Reason] = set()
            for option in options:
                if LEVELS.index(option.decision) < LEVELS.index(chosen.decision):
                    reasons.update(chooser.solve({**allowed, name: [option]}).reasons)
            found[name] = tuple(sorted(reasons))
    return found
