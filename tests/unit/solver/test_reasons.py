"""libsolv's rules in a proof, as values."""

from __future__ import annotations

from pathlib import Path

import solv

from kmpsolve.solver.reasons import Reason, read_problems
from kmpsolve.solver.universe import Universe
from tests.support.packages import PackageSpec
from tests.support.universes import sealed


def spec(name: str, **more: tuple[str, ...]) -> PackageSpec:
    return PackageSpec(name=name, version="1", release="1", **more)  # type: ignore[arg-type]


def reasons(of: Universe, *jobs: solv.Job) -> tuple[Reason, ...]:
    """The proof, with ten times each package's handle."""
    solver = of.pool.Solver()  # the problems live in it
    problems = solver.solve(list(jobs))
    assert problems
    return read_problems(problems, lambda handle: 10 * handle)


def test_the_rules_of_a_proof(tmp_path: Path) -> None:
    """Rules about jobs name no packages: what libsolv keeps in their place are none."""
    asking = spec("a", requires=("b > 1",))
    of = sealed(
        tmp_path, {"r": [asking, spec("b"), spec("c", conflicts=("d",)), spec("d")]}, [spec("kernel")]
    )
    a, c, d = (of.called(name)[0].handle for name in "acd")
    pool, install = of.pool, solv.Job.SOLVER_INSTALL | solv.Job.SOLVER_SOLVABLE
    assert reasons(of, pool.Job(install, a)) == (Reason("missing", 10 * a, 0, "b > 1"),)
    assert reasons(of, pool.Job(install, c), pool.Job(install, d)) == (
        Reason("conflict", 10 * c, 10 * d, "d"),
    )
    either = solv.Job.SOLVER_INSTALL | solv.Job.SOLVER_SOLVABLE_ONE_OF
    neither = solv.Job.SOLVER_ERASE | solv.Job.SOLVER_SOLVABLE_ONE_OF
    both = pool.towhatprovides([c, d])
    assert reasons(of, pool.Job(either, both), pool.Job(neither, both)) == (Reason("asked", 0, 0, ""),)
    by_name = solv.Job.SOLVER_INSTALL | solv.Job.SOLVER_SOLVABLE_PROVIDES
    assert reasons(of, pool.Job(by_name, pool.str2id("nowhere"))) == (Reason("missing", 0, 0, ""),)
