"""The transaction on the true system: what zypper has to install and remove to get there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import solv

from kmpsolve.model.package import Package
from kmpsolve.model.plan import Action, Step
from kmpsolve.solver.reasons import Reason, read_problems
from kmpsolve.solver.universe import SYSTEM, Universe

__all__ = ["Transacted", "dist_upgrade", "transact", "update_everything"]


@dataclass(frozen=True, slots=True)
class Transacted:
    """The steps, sorted by name; or the reasons why there are none.

    Parameters
    ----------
    arrived, gone
        Packages that the steps bring and take, upgrades counted on both sides.
    """

    steps: tuple[Step, ...]
    arrived: tuple[Package, ...]
    gone: tuple[Package, ...]
    reasons: tuple[Reason, ...]


def _policy_jobs(universe: Universe) -> list[solv.Job]:
    pool = universe.pool
    jobs = []
    for spec in universe.multiversion_specs:
        if spec.startswith("provides:"):
            dep = pool.Dep(spec.removeprefix("provides:"))
            jobs.append(pool.Job(solv.Job.SOLVER_MULTIVERSION | solv.Job.SOLVER_SOLVABLE_PROVIDES, dep.id))
        else:
            # A whole name: to libzypp a star is a star.
            selected = pool.select(spec, solv.Selection.SELECTION_NAME)
            jobs += selected.jobs(solv.Job.SOLVER_MULTIVERSION)
    for handle in universe.locked_user_space:
        jobs.append(pool.Job(solv.Job.SOLVER_LOCK | solv.Job.SOLVER_SOLVABLE, handle))
    return jobs


def transact(
    universe: Universe,
    wanted: Iterable[Package],
    removed: Iterable[Package] = (),
    barred: Iterable[int] = (),
) -> Transacted:
    """Install exactly `wanted` and remove exactly `removed` on the true system.

    Downgrades and vendor changes among `wanted` are allowed, since each is named; anything else has to
    follow zypp's policies.

    Parameters
    ----------
    barred
        Handles of packages from repositories that must not come in for anybody's requirement.
    """
    wanted = list(wanted)
    with universe.naming(wanted):
        return _transact(universe, wanted, removed, sorted(barred))


def _transact(
    universe: Universe, wanted: Iterable[Package], removed: Iterable[Package], barred: list[int]
) -> Transacted:
    pool = universe.pool
    jobs = _policy_jobs(universe)
    for package in wanted:
        jobs.append(pool.Job(solv.Job.SOLVER_INSTALL | solv.Job.SOLVER_SOLVABLE, package.handle))
    for package in removed:
        jobs.append(pool.Job(solv.Job.SOLVER_ERASE | solv.Job.SOLVER_SOLVABLE, package.handle))
    if barred:
        nothing = solv.Job.SOLVER_ERASE | solv.Job.SOLVER_SOLVABLE_ONE_OF
        jobs.append(pool.Job(nothing, pool.towhatprovides(barred)))
    solver = pool.Solver()
    solver.set_flag(solv.Solver.SOLVER_FLAG_IGNORE_RECOMMENDED, True)
    solver.set_flag(solv.Solver.SOLVER_FLAG_ALLOW_VENDORCHANGE, universe.policy.allow_vendor_change)
    problems = solver.solve(jobs)
    if problems:
        return Transacted((), (), (), read_problems(problems, lambda handle: handle))
    return _steps(universe, solver.transaction())


def update_everything(universe: Universe, *, barred: Iterable[int] = ()) -> Transacted:
    """What plain ``zypper up`` does: every installed package to the best version that zypp's rules allow.

    Parameters
    ----------
    barred
        Handles of packages from repositories that are kept out, as by a lock.
    """
    return _for_all(universe, solv.Job.SOLVER_UPDATE, barred=barred)


def dist_upgrade(universe: Universe, *, losing: Iterable[Package] = ()) -> Transacted:
    """What ``zypper dist-upgrade`` does: every installed package to what the repositories have.

    Parameters
    ----------
    losing
        Installed packages that may go, as if whom zypper asks about a conflict had answered so.
    """
    return _for_all(universe, solv.Job.SOLVER_DISTUPGRADE, losing)


def _for_all(
    universe: Universe, action: int, losing: Iterable[Package] = (), barred: Iterable[int] = ()
) -> Transacted:
    # zypper's solver sees what is hidden and is told not to take it, which may end otherwise than not to see it.
    with universe.showing(universe.hidden):
        return _with_jobs_for_all(universe, action, losing, barred)


def _with_jobs_for_all(
    universe: Universe, action: int, losing: Iterable[Package], barred: Iterable[int]
) -> Transacted:
    pool = universe.pool
    jobs = _policy_jobs(universe)
    # On an installed package a lock keeps it, on any other it keeps it out.
    for handle in (*universe.locked_kernels_and_kmps, *sorted(universe.hidden.union(barred))):
        jobs.append(pool.Job(solv.Job.SOLVER_LOCK | solv.Job.SOLVER_SOLVABLE, handle))
    for package in losing:
        jobs.append(pool.Job(solv.Job.SOLVER_ALLOWUNINSTALL | solv.Job.SOLVER_SOLVABLE, package.handle))
    jobs.append(pool.Job(action | solv.Job.SOLVER_SOLVABLE_ALL, 0))
    solver = pool.Solver()
    # Of libzypp's defaults for a dist-upgrade only this one is not libsolv's; zypp.conf decides it.
    solver.set_flag(solv.Solver.SOLVER_FLAG_DUP_ALLOW_VENDORCHANGE, universe.policy.dup_allow_vendor_change)
    solver.set_flag(solv.Solver.SOLVER_FLAG_ALLOW_VENDORCHANGE, universe.policy.allow_vendor_change)
    problems = solver.solve(jobs)
    if problems:
        return Transacted((), (), (), read_problems(problems, lambda handle: handle))
    return _steps(universe, solver.transaction())


def _steps(universe: Universe, transaction: solv.Transaction) -> Transacted:
    """Upgrades name the new package only; what is obsoleted by another name is an erase."""
    steps: list[Step] = []
    arrived: list[Package] = []
    gone: list[Package] = []
    replaced: set[int] = set()
    for solvable in transaction.steps():
        package = universe.package(solvable)
        if solvable.repo.name == SYSTEM:
            gone.append(package)
            continue
        arrived.append(package)
        action: Action = "install"
        for other in transaction.allothersolvables(solvable):
            if other.nameid == solvable.nameid:
                replaced.add(other.id)
                action = "downgrade" if solvable.evrcmp(other) < 0 else "upgrade"
        steps.append(Step(action=action, nevra=str(package), repository=package.repository))
    for package in gone:
        if package.handle not in replaced:
            steps.append(Step(action="erase", nevra=str(package), repository=None))
    return Transacted(
        tuple(sorted(steps, key=lambda s: (s.nevra, s.action))), tuple(arrived), tuple(gone), ()
    )
