"""Letting libsolv read what strangers wrote, in a process that may crash or spin instead of this one."""

from __future__ import annotations

import importlib.util
import signal
import sys
from collections.abc import Collection
from pathlib import Path

from kmpsolve.errors import SolverError

__all__ = ["CannotReadError", "confined"]

_CHILD = Path(__file__).with_name("confined_child.py")

_MEMORY = 4 << 30
"""Bytes of address space; 40,000 packages with 1.7 million provides take 0.3 GiB as a cache, 1 as XML."""


class CannotReadError(Exception):
    """Why a file was not read, in words that follow "because"."""


def confined(task: str, *words: str, seconds: int, files: Collection[int] = ()) -> str:
    """Run a task of ``confined_child.py`` with limits for memory and time.

    Parameters
    ----------
    task, words
        What to do, and with which files.
    seconds
        Of processor time; three times as many may pass.
    files
        Descriptors that the child gets.

    Returns
    -------
    str
        What libsolv complained about without giving up; empty if nothing.

    Raises
    ------
    CannotReadError
        libsolv refuses the file, crashes on it or does not end.
    """
    import subprocess

    command = [sys.executable, "-I", "-S", str(_CHILD), _solv_folder(), str(_MEMORY), str(seconds)]
    try:
        child = subprocess.run(
            [*command, task, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=3 * seconds,
            check=False,
            pass_fds=tuple(files),
        )
    except subprocess.TimeoutExpired:
        raise CannotReadError("loading it does not end") from None
    except OSError as error:
        raise CannotReadError(f"loading it could not be tried: {error.strerror}") from error
    if child.returncode == 2:
        raise CannotReadError(" ".join(child.stdout.decode(errors="replace").split()))
    if child.returncode == -signal.SIGXCPU:
        raise CannotReadError("loading it does not end")
    if child.returncode:
        raise CannotReadError("libsolv crashes on it")
    return child.stderr.decode(errors="replace")


def _solv_folder() -> str:
    """Find the folder of the solv module that this process uses; the isolated child does not see it."""
    spec = importlib.util.find_spec("solv")
    if spec is None or spec.origin is None:
        raise SolverError("the solv module is not installed", reference="no-solv", hint="pip install solv")
    module = Path(spec.origin)
    return str(module.parents[1] if module.name == "__init__.py" else module.parent)
