"""Work for the next run, done after this one's answer is given."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

__all__ = ["afterwards"]


def afterwards(work: Callable[[], object]) -> None:
    """Do `work` in a process of its own that nobody waits for; whatever goes wrong there is nobody's loss.

    It has no terminal and holds none of this process's files open: a pipe ends when this process does.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        child = os.fork()
    except OSError:
        return
    if child:
        os.waitpid(child, 0)
        return
    try:
        os.setsid()
        if os.fork() == 0:
            nothing = os.open(os.devnull, os.O_RDWR)
            for standard in range(3):
                os.dup2(nothing, standard)
            os.nice(10)
            work()
    finally:
        os._exit(0)
