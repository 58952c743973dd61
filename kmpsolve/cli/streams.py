"""What is printed when nobody can take it: a verdict's exit code holds all the same."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import TextIO

__all__ = ["complain", "deliver", "silence"]

_LONGEST = 4000
_SHOWN = 500


def silence(stream: TextIO) -> None:
    """What is left to be written there cannot be; a second attempt at the end must not complain as well."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def deliver(pieces: Iterable[str] = ()) -> None:
    """Print the result, and whatever was printed before it, now.

    A reader that has gone (``| head -1``) has read what it wanted. A disk without room is an error, since the
    file that was asked for is not there.
    """
    try:
        sys.stdout.writelines(pieces)
        sys.stdout.flush()
    except BrokenPipeError:
        silence(sys.stdout)


def complain(line: str) -> None:
    """Say something on stderr, as far as it can be said: a full log changes no exit code."""
    from kmpsolve.report.terminal import printable  # names and addresses come from metadata

    if len(line) > _LONGEST:  # a damaged file makes names of megabytes; what is wrong stands at the end
        line = f"{line[:_SHOWN]} ... {line[-_SHOWN:]}"
    try:
        print(printable(line), file=sys.stderr, flush=True)
    except OSError:
        silence(sys.stderr)
