"""What libsolv alone takes, started from Python: ``python -m benchmarks.floor FILE.solv...``, the system first.

Reads the files and solves ``update everything`` once. No plan can be had for less, however it is written.
"""

from __future__ import annotations

import sys

import solv

if __name__ == "__main__":
    pool = solv.Pool()
    pool.setdisttype(solv.Pool.DISTTYPE_RPM)
    pool.setarch("x86_64")
    for number, path in enumerate(sys.argv[1:]):
        repo = pool.add_repo(path)
        if not repo.add_solv(path):
            sys.exit(f"{path}: cannot be read")
        if number == 0:
            pool.installed = repo
    pool.addfileprovides()
    pool.createwhatprovides()
    if pool.Solver().solve([pool.Job(solv.Job.SOLVER_UPDATE | solv.Job.SOLVER_SOLVABLE_ALL, 0)]):
        sys.exit("there is no solution")
