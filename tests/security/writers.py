"""Everything of kmpsolve that writes, as one step from an old state to a new one, under every fault.

``python -m tests.security.writers FOLDER`` runs with tests/security/faults.c preloaded and prints, as JSON, what
became of each writer for each fault at each of its calls.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kmpsolve.cache import place
from kmpsolve.errors import KmpsolveError
from kmpsolve.metadata.http import open_http
from kmpsolve.report import files
from kmpsolve.report.files import write_whole
from kmpsolve.zypp.lockfile import HOLD, OwnLock, own_locks, rewrite, zypp_lock

FAULTS = {
    "kill -9": 0,
    "full": errno.ENOSPC,
    "broken": errno.EIO,
    "read-only": errno.EROFS,
}
THEIRS = "# by hand\ntype: package\nmatch_type: glob\nsolvable_name: vim*\n\n"
_OLD = OwnLock(name="kernel-default", evr="1-1", comment=HOLD)
_NEW = OwnLock(name="kernel-default", evr="2-1", comment=HOLD)
_BIG = "x" * 300_000


@dataclass(frozen=True, slots=True)
class Writer:
    """How the old state is made, the step, and what the state is: ``old``, ``new`` or anything else."""

    prepare: Callable[[Path], object]
    act: Callable[[Path], object]
    state: Callable[[Path], str]


def _locks(folder: Path) -> str:
    text = (folder / "locks").read_text()
    found = own_locks(text)
    if THEIRS not in text:
        return "somebody else's lock is lost"
    states: dict[tuple[OwnLock, ...], str] = {(_OLD,): "old", (_NEW,): "new"}
    return states.get(found, f"mixture: {found}")


def _first_locks(folder: Path) -> str:
    path = folder / "locks"
    if not path.exists():
        return "old"
    return (
        "new"
        if own_locks(path.read_text()) == (_NEW,) and path.stat().st_mode & 0o777 == 0o644
        else "mixture"
    )


def _report(folder: Path) -> str:
    text = (folder / "report").read_text()
    return {"old": "old", _BIG: "new"}.get(text, f"mixture of {len(text)} characters")


def _cache(folder: Path) -> str:
    found = place.read("view")
    if found is None:
        return "old"
    blocks = [found.block(name).tobytes() for name in ("a", "b")]
    found.close()
    return "new" if blocks == [b"a" * 9000, b"b" * 9000] else "mixture"


def _fetched(folder: Path) -> str:
    """What lies in the cache under the name of a state is that state, or is not taken for it."""
    whole = list(folder.rglob("repomd.xml"))
    return "new" if whole else "old"


def _fetch(_folder: Path) -> None:
    content = open_http(os.environ["REPOSITORY"], alias="r")
    assert content.primary is not None
    content.primary.close()


def _lock(folder: Path) -> None:
    with zypp_lock(folder):
        pass


def _nothing(_folder: Path) -> None:
    pass


WRITERS = {
    "locks": Writer(
        lambda folder: (folder / "locks").write_text(THEIRS + _OLD.block() + "\n"),
        lambda folder: rewrite(folder / "locks", [_NEW], frozenset((HOLD,))),
        _locks,
    ),
    "first locks": Writer(
        _nothing, lambda folder: rewrite(folder / "locks", [_NEW], frozenset((HOLD,))), _first_locks
    ),
    "report": Writer(
        lambda folder: (folder / "report").write_text("old"),
        lambda folder: write_whole(folder / "report", [_BIG[:150_000], _BIG[150_000:]]),
        _report,
    ),
    "cache": Writer(
        _nothing, lambda folder: place.write("view", {"a": b"a" * 9000, "b": b"b" * 9000}), _cache
    ),
    "fetched": Writer(_nothing, _fetch, _fetched),
    "zypp's lock": Writer(_nothing, _lock, lambda _: "new"),
}


def _forked(work: Callable[[], object]) -> str:
    pid = os.fork()
    if pid == 0:
        code = 0
        try:
            work()
        except KmpsolveError:
            code = 3
        except BaseException as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            code = 1
        finally:
            os._exit(code)
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return {0: "done", 3: "told", 9: "over"}.get(os.WEXITSTATUS(status), "bug")


def main(folder: Path) -> None:
    """Try everything."""
    files._ABANDONED = 0  # drafts of the killed are old at once
    shim = ctypes.CDLL(os.environ["LD_PRELOAD"])
    os.environ["KMPSOLVE_CACHE"] = os.environ["XDG_CACHE_HOME"] = str(folder)
    tried = []
    for name, writer in WRITERS.items():
        for fault, number in FAULTS.items():
            for step in range(1, 200):
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                writer.prepare(folder)

                def work(step: int = step, number: int = number, writer: Writer = writer) -> None:
                    shim.fault_arm(os.fsencode(folder), step, number)
                    try:
                        writer.act(folder)
                    finally:
                        reached = shim.fault_left() == 0
                        shim.fault_arm(b"", 0, 0)
                    if not reached:
                        os._exit(9)

                end = _forked(work)
                if end == "over":
                    break
                state = writer.state(folder)
                after = _forked(lambda writer=writer: writer.act(folder))  # type: ignore[misc]
                drafts = [path.name for path in folder.iterdir() if ".kmpsolve-" in path.name]
                tried.append([name, fault, step, end, state, after, writer.state(folder), drafts])
    json.dump(tried, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
