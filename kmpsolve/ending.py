"""The end of a process that has given its answer."""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress
from typing import NoReturn

__all__ = ["end"]


def end(code: int) -> NoReturn:
    """End this process now, with this exit code.

    What is registered for the end is done and what is buffered is written, but nothing is taken apart: to free a
    universe and everything read from it one by one takes a tenth of the time of a plan, and the system takes all
    of it back anyway.
    """
    atexit._run_exitfuncs()  # among others, this removes temporary folders
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with suppress(OSError, ValueError):  # whoever printed has seen to what cannot be printed
            stream.flush()
    os._exit(code)
