"""What zypper starts when the metadata of a repository has changed: keeps what the next plan would have to read.

libzypp has such programs for an index of applications. It waits for none and reads nothing that they write, so that
what goes wrong here is nobody's loss: without a cache a plan takes longer and says the same.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from kmpsolve.cache.place import folder
from kmpsolve.config import read_config
from kmpsolve.errors import KmpsolveError
from kmpsolve.metadata.root import System, read_root
from kmpsolve.request import Request
from kmpsolve.session import load
from kmpsolve.sources import Sources

__all__ = ["main"]

_WORTH_READING = 400_000
"""Bytes of zypper's caches: fewer hold too few packages for a cache of ours."""
_SETTLING = 1.5
"""Seconds until nothing of what zypper wrote last can change unnoticed any more, which no cache is made of."""


def main() -> None:
    """Keep a cache of this system, if its repositories are large."""
    if os.geteuid() != 0 or folder() is None:
        return
    os.umask(0o022)
    os.nice(10)
    root = Path("/")
    with contextlib.suppress(KmpsolveError, OSError):
        if _bytes(read_root(root)) < _WORTH_READING:
            return
        time.sleep(_SETTLING)
        loaded = load(Sources(root=root), Request(), read_config(root), cached=True)
        if loaded.keep is not None:
            loaded.keep()


def _bytes(system: System) -> int:
    files = (Path(one.location) for one in system.repositories if one.location and "://" not in one.location)
    return sum(file.stat().st_size for file in files if file.is_file())
