"""The child process of `kmpsolve.solver.confinement`: reads one file and looks at all of it, or rewrites it.

Run as an isolated script, so that it must import nothing of kmpsolve. Arguments: the folder that holds
the solv module, limits for memory (bytes) and processor time (seconds), and the task with its files. Exit code 0:
the file is sound; 2: libsolv says that it is not, and the reason is on stdout; a signal: libsolv crashed. Some
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


def main(folder: str, memory: int, seconds: int, task: str, words: list[str]) -> int:
    """Do one task under the limits and return the exit code."""
    for kind, limit in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, memory if task == "convert" else 0),
    ):
        hard = resource.getrlimit(kind)[1]
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        resource.setrlimit(kind, (limit, hard))
    sys.path.append(folder)  # behind the standard library, which nothing there may replace
    import solv

    pool = solv.Pool()
    pool.setdisttype(solv.Pool.DISTTYPE_RPM)
    repo = pool.add_repo("confined")
    try:
        reason = {"trial": _trial, "convert": _convert}[task](solv, pool, repo, words)
    except UnicodeEncodeError:
        reason = "a name in it is no UTF-8"
    sys.stdout.write(reason)
    return 2 if reason else 0


def _trial(solv: Any, pool: Any, repo: Any, words: list[str]) -> str:
    """Load the .solv file of that path, and follow every reference in it."""
    if not repo.add_solv(solv.xfopen_fd("trial.solv", os.open(words[0], os.O_RDONLY))):
        return str(pool.errstr)
    _look_at_everything(solv, pool, repo)
    return ""


def _convert(solv: Any, pool: Any, repo: Any, words: list[str]) -> str:
    """Read primary.xml from one descriptor and write it to another as a .solv file."""
    source, target = map(int, words)
    if not repo.add_rpmmd(solv.xfopen_fd("primary.xml", source), None):
        return str(pool.errstr)
    stream = solv.xfopen_fd("converted.solv", target, "w")
    return "" if repo.write(stream) and stream.close() else "its temporary copy cannot be written"


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
            dependencies.update(solvable.lookup_idarray(key, 0))
    for dependency in dependencies:
        pool.dep2str(dependency).encode()
    # Texts lie in pages that are read when they are wanted: looking for what none contains wants all.
    every = solv.Dataiterator
    for _ in pool.Dataiterator(0, "\n", every.SEARCH_STRING | every.SEARCH_FILES):
        pass
    pool.addfileprovides()
    pool.createwhatprovides()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5:]))
