"""Why libsolv found no solution, as flat values: nobody else has to know its rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import solv

from kmpsolve.errors import SolverError

__all__ = ["Reason", "read_problems"]

ReasonKind = Literal["missing", "requires", "conflict", "same-name", "not-installable", "policy", "asked"]

_KINDS: dict[int, ReasonKind] = {
    solv.Solver.SOLVER_RULE_PKG_NOT_INSTALLABLE: "not-installable",
    solv.Solver.SOLVER_RULE_PKG_NOTHING_PROVIDES_DEP: "missing",
    solv.Solver.SOLVER_RULE_PKG_REQUIRES: "requires",
    solv.Solver.SOLVER_RULE_PKG_SELF_CONFLICT: "conflict",
    solv.Solver.SOLVER_RULE_PKG_CONFLICTS: "conflict",
    solv.Solver.SOLVER_RULE_PKG_CONSTRAINS: "conflict",
    solv.Solver.SOLVER_RULE_PKG_SAME_NAME: "same-name",
    solv.Solver.SOLVER_RULE_PKG_OBSOLETES: "conflict",
    solv.Solver.SOLVER_RULE_PKG_IMPLICIT_OBSOLETES: "conflict",
    solv.Solver.SOLVER_RULE_PKG_INSTALLED_OBSOLETES: "conflict",
    solv.Solver.SOLVER_RULE_YUMOBS: "conflict",
    solv.Solver.SOLVER_RULE_UPDATE: "policy",
    solv.Solver.SOLVER_RULE_FEATURE: "policy",
    solv.Solver.SOLVER_RULE_INFARCH: "policy",
    solv.Solver.SOLVER_RULE_DISTUPGRADE: "policy",
    solv.Solver.SOLVER_RULE_BEST: "policy",
    solv.Solver.SOLVER_RULE_BLACK: "policy",
    solv.Solver.SOLVER_RULE_STRICT_REPO_PRIORITY: "policy",
    solv.Solver.SOLVER_RULE_JOB: "asked",
    solv.Solver.SOLVER_RULE_JOB_NOTHING_PROVIDES_DEP: "missing",
    solv.Solver.SOLVER_RULE_JOB_PROVIDED_BY_SYSTEM: "asked",
    solv.Solver.SOLVER_RULE_JOB_UNKNOWN_PACKAGE: "missing",
    solv.Solver.SOLVER_RULE_JOB_UNSUPPORTED: "asked",
}
_ABOUT_JOBS = {
    solv.Solver.SOLVER_RULE_JOB,
    solv.Solver.SOLVER_RULE_JOB_NOTHING_PROVIDES_DEP,
    solv.Solver.SOLVER_RULE_JOB_PROVIDED_BY_SYSTEM,
    solv.Solver.SOLVER_RULE_JOB_UNKNOWN_PACKAGE,
    solv.Solver.SOLVER_RULE_JOB_UNSUPPORTED,
}
_IGNORED = {
    solv.Solver.SOLVER_RULE_LEARNT,
    solv.Solver.SOLVER_RULE_PKG,
    solv.Solver.SOLVER_RULE_PKG_RECOMMENDS,
    solv.Solver.SOLVER_RULE_PKG_SUPPLEMENTS,
    solv.Solver.SOLVER_RULE_RECOMMENDS,
    solv.Solver.SOLVER_RULE_CHOICE,
}


@dataclass(frozen=True, slots=True, order=True)
class Reason:
    """One rule in a proof that something is impossible.

    Parameters
    ----------
    package, other
        Handles of the packages concerned; 0 for none.
    capability
        The requirement, conflict or obsoletes as text; empty for none.
    """

    kind: ReasonKind
    package: int
    other: int
    capability: str


def read_problems(problems: list[solv.Problem], original: Callable[[int], int]) -> tuple[Reason, ...]:
    """All rules of all problems, sorted; `original` maps a projected handle to the package behind it.

    Raises
    ------
    SolverError
        For a rule type that this code does not know: guessing would hide a cause.
    """
    found: set[Reason] = set()
    for problem in problems:
        for rule in problem.findallproblemrules():
            for info in rule.allinfos():
                if info.type in _IGNORED:
                    continue
                kind = _KINDS.get(info.type)
                if kind is None:
                    raise SolverError(
                        f"libsolv reports a rule of type {info.type:#x}", reference="unknown-rule"
                    )
                if info.type in _ABOUT_JOBS:
                    # Their fields hold positions in libsolv's own arrays: reading them as packages crashes.
                    found.add(Reason(kind, 0, 0, ""))
                    continue
                found.add(
                    Reason(
                        kind,
                        original(info.solvable.id) if info.solvable else 0,
                        original(info.othersolvable.id) if info.othersolvable else 0,
                        str(info.dep) if info.dep_id else "",
                    )
                )
    return tuple(sorted(found))
