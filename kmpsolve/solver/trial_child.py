"""The child process of `kmpsolve.solver.trial`: loads one .solv file and looks at all of it.

Run as an isolated script, so that it must import nothing of kmpsolve. Arguments: the folder that holds
the solv module, the file, and limits for memory (bytes) and CPU (seconds). Exit code 0: the file is
sound; 2: libsolv says that it is not, and the reason is on stdout; a signal: libsolv crashed. Some
damage libsolv notices only while it looks texts up: it then complains on stderr and goes on without.
"""

from __future__ import annotations

import os
import resource
import sys
from typing import Any

_LISTS = (
    "PROVIDES",
    "REQUIRES",
    "CONFLICTS",
    "OBSOLETES",
    "RECOMMENDS",
    "SUGGESTS",
    "SUPPLEMENTS",
    "ENHANCES",
)


def main(folder: str, path: str, memory: int, cpu: int) -> int:
    """Load `path` under the limits and return the exit code."""
    for kind, limit in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        resource.setrlimit(kind, (limit, hard))
    sys.path.append(folder)  # behind the standard library, which nothing there may replace
    import solv

    pool = solv.Pool()
    pool.setdisttype(solv.Pool.DISTTYPE_RPM)
    repo = pool.add_repo("trial")
    stream = solv.xfopen_fd("trial.solv", os.open(path, os.O_RDONLY))
    if not repo.add_solv(stream):
        sys.stdout.write(str(pool.errstr))
        return 2
    try:
        _look_at_everything(solv, pool, repo)
    except UnicodeEncodeError:
        sys.stdout.write("a name in it is no UTF-8")
        return 2
    return 0


def _look_at_everything(solv: Any, pool: Any, repo: Any) -> None:
    """Follow the references that a plan follows later: a wrong one shall crash here and not there."""
    keys = [getattr(solv, f"SOLVABLE_{name}") for name in _LISTS]
    dependencies: set[int] = set()
    for solvable in repo.solvables:
        str(solvable).encode()  # what is no text here, libsolv does not take back as one
        solvable.lookup_str(solv.SOLVABLE_VENDOR)
        solvable.lookup_num(solv.SOLVABLE_BUILDTIME)
        solvable.lookup_checksum(solv.SOLVABLE_CHECKSUM)
        solvable.lookup_location()
        for key in keys:
            dependencies.update(solvable.lookup_idarray(key))
    for dependency in dependencies:
        pool.dep2str(dependency).encode()
    # Texts lie in pages that are read when they are wanted: looking for what none contains wants all.
    every = solv.Dataiterator
    for _ in pool.Dataiterator(0, "\n", every.SEARCH_STRING | every.SEARCH_FILES):
        pass
    pool.addfileprovides()
    pool.createwhatprovides()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
