"""Loading a .solv file of unknown origin on trial, in a process that may crash instead of this one.

libsolv trusts its cache files: a single wrong byte can make it abort, read outside its memory or never
end. Files that zypper or kmpsolve wrote for this machine are trusted; any other is loaded here first.
"""

from __future__ import annotations

import importlib.util
import signal
import sys
from pathlib import Path

from kmpsolve.errors import MetadataError, SolverError

__all__ = ["trial_load"]

_CHILD = Path(__file__).with_name("trial_child.py")

_MEMORY = 4 << 30
"""Bytes of address space; a cache of 40,000 packages with 1.7 million provides takes 0.3 GiB."""

_CPU = 20
_WALL = 60
"""Seconds; that cache takes about one."""


def trial_load(path: Path) -> None:
    """Load a ``.solv`` file in a child process that has limits for memory and time.

    Parameters
    ----------
    path
        The file; its header has been looked at (`kmpsolve.metadata.solvfile`).

    Raises
    ------
    MetadataError
        ``damaged-solv``: libsolv refuses the file, crashes on it or does not end.
    """
    import subprocess

    command = [sys.executable, "-I", "-S", str(_CHILD), _solv_folder(), str(path), str(_MEMORY), str(_CPU)]
    try:
        child = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_WALL,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _damaged(path, "loading it does not end") from None
    except OSError as error:
        raise _damaged(path, f"loading it could not be tried: {error.strerror}") from error
    if child.returncode == 2:
        raise _damaged(path, child.stdout.decode(errors="replace").partition("\n")[0])
    if child.returncode == -signal.SIGXCPU:
        raise _damaged(path, "loading it does not end")
    if child.returncode:
        raise _damaged(path, "libsolv crashes on it")
    if child.stderr:
        raise _damaged(path, "libsolv cannot read all of it")


def _solv_folder() -> str:
    """Find the folder of the solv module that this process uses; the isolated child does not see it."""
    spec = importlib.util.find_spec("solv")
    if spec is None or spec.origin is None:
        raise SolverError("the solv module is not installed", reference="no-solv", hint="pip install solv")
    module = Path(spec.origin)
    return str(module.parents[1] if module.name == "__init__.py" else module.parent)


def _damaged(path: Path, reason: str) -> MetadataError:
    return MetadataError(
        f"{path.name} is a damaged .solv file ({reason})",
        reference="damaged-solv",
        where=str(path),
        hint="Write it again: zypper refresh --force, or give the repository's folder instead",
    )
