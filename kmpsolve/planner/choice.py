"""The joint choice: for every KMP the best option that the system as a whole allows.

One solve answers it when nobody competes. When somebody does, the smallest set of KMPs that have to
step back is found by hitting sets over minimal conflicts: every conflict must be hit by at least one
KMP that steps back, and a set that hits all known conflicts either solves or shows a new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from kmpsolve.model.package import KmpBuild, Package
from kmpsolve.model.plan import Decision
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
    settled
        Nobody had to step back: each got its best option.
    """

    options: Mapping[str, Option]
    added: tuple[KmpBuild, ...]
    companions: tuple[Package, ...]
    reasons: Mapping[str, tuple[Reason, ...]]
    impossible: tuple[Reason, ...]
    settled: bool


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
        for offered in choices.values():
            for option in offered:
                if option.build is not None and option.stand is not None:
                    for module in option.build.modules:
                        self.carriers.setdefault(module, []).append((option.build, option.stand))
        joining = [(build, Stand(build.package.handle, "compatible")) for build in system.extras]
        self.extras = frozenset(stand for _, stand in joining if stand in projection)
        for build, stand in joining:
            if stand in self.extras:
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
            kmp = self.kmps[name]
            gives_up = [o.stand for o in options if o.decision in ("builtin", "blocked") and o.stand]
            clauses += [
                self.carrying(module, kmp) + gives_up for module in sorted(kmp.modules.keys() - self.covered)
            ]
        if any(not clause for clause in clauses):
            return Outcome(False, frozenset(), (), ())
        possible = self.extras.union(
            option.stand for options in allowed.values() for option in options if option.stand is not None
        )
        return self.projection.solve(clauses, possible)


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
    settled = outcome.solved
    if not settled:
        everything = chooser.solve(choices)
        if not everything.solved:
            blocked = {name: options[-1] for name, options in choices.items()}
            return Choice(
                options=blocked,
                added=(),
                companions=(),
                reasons={},
                impossible=everything.reasons,
                settled=False,
            )
        allowed = _negotiate(chooser, choices)
        outcome = chooser.solve(allowed)
        reasons = _explain(chooser, choices, allowed)
    picked = {name: options[0] for name, options in allowed.items()}
    own = {option.stand for option in picked.values()}
    usable = [build for build in system.extras if build.package.handle not in system.signatures.refused]
    added = tuple(
        _best_twin(usable, build)
        for build in usable
        if Stand(build.package.handle, "compatible") in outcome.stands - own
    )
    return Choice(
        options=picked,
        added=added,
        companions=outcome.companions,
        reasons=reasons,
        impossible=(),
        settled=settled,
    )


def _best_twin(extras: Iterable[KmpBuild], build: KmpBuild) -> KmpBuild:
    """The same package from the best repository that has it: the solver does not know where a copy is from."""
    return next(
        twin
        for twin in extras
        if twin.nevra == build.nevra
        and twin.needs == build.needs
        and twin.exports.capabilities == build.exports.capabilities
    )


def _negotiate(chooser: _Chooser, choices: Allowed) -> dict[str, Sequence[Option]]:
    """Fewest counted KMPs blocked, then fewest unverified, then each as well off as the ones before allow.

    Those that count come first: what does not takes no decision from them. Decisions come before builds: no KMP
    gets a better build at the price of another's decision.
    """
    counted = sorted(name for name in choices if chooser.kmps[name].counts)
    others = sorted(name for name in choices if not chooser.kmps[name].counts)
    allowed: dict[str, Sequence[Option]] = dict(choices)
    for names in (counted, others):
        kept = [
            _without(allowed, names, "blocked", back)
            for back in _smallest(chooser, allowed, names, "blocked")
        ]
        best: dict[str, Sequence[Option]] | None = None
        fewest = len(names) + 1
        for trial in kept:
            back = _smallest(chooser, trial, names, "unverified")[0]
            if len(back) < fewest:
                fewest, best = len(back), _without(trial, names, "unverified", back)
        assert best is not None
        allowed = best
        for name in names:
            for level in LEVELS:
                of_level = [option for option in allowed[name] if option.decision == level]
                if of_level and (
                    len(of_level) == len(allowed[name]) or chooser.solve({**allowed, name: of_level}).solved
                ):
                    allowed[name] = of_level
                    break
    for name in counted + others:
        for option in allowed[name]:
            if len(allowed[name]) == 1 or chooser.solve({**allowed, name: [option]}).solved:
                allowed[name] = [option]
                break
    return allowed


def _better(options: Sequence[Option], than: Decision) -> list[Option]:
    return [option for option in options if LEVELS.index(option.decision) < LEVELS.index(than)]


def _without(
    allowed: Allowed, names: Iterable[str], decision: Decision, stepping_back: frozenset[str]
) -> dict[str, Sequence[Option]]:
    """`allowed`, where `names` other than the ones stepping back have only what is better than `decision`."""
    return {
        **allowed,
        **{
            name: better
            for name in names
            if name not in stepping_back and (better := _better(allowed[name], decision))
        },
    }


def _smallest(
    chooser: _Chooser, allowed: Allowed, names: Sequence[str], decision: Decision
) -> list[frozenset[str]]:
    """Every smallest set of `names` that has to put up with `decision` or worse; at least one, sorted."""
    choosy = [name for name in names if 0 < len(_better(allowed[name], decision)) < len(allowed[name])]
    answers: dict[frozenset[str], bool] = {}

    def solvable(stepping_back: frozenset[str]) -> bool:
        if stepping_back not in answers:
            answers[stepping_back] = chooser.solve(_without(allowed, choosy, decision, stepping_back)).solved
        return answers[stepping_back]

    conflicts: list[frozenset[str]] = []
    while True:
        smallest = _hitting_sets(conflicts)
        refuted = next((candidate for candidate in smallest if not solvable(candidate)), None)
        if refuted is None:
            return smallest
        core = frozenset(choosy) - refuted
        for name in sorted(core):
            if not solvable(frozenset(choosy) - (core - {name})):
                core -= {name}
        conflicts.append(core)


def _hitting_sets(conflicts: Sequence[frozenset[str]]) -> list[frozenset[str]]:
    """All smallest sets that have a member in common with each conflict, sorted."""
    names = sorted(frozenset[str]().union(*conflicts))
    for size in range(len(names) + 1):
        found = [
            frozenset(combination)
            for combination in combinations(names, size)
            if all(conflict.intersection(combination) for conflict in conflicts)
        ]
        if found:
            return found
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
