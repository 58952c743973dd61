"""Measuring programs side by side: in turns, so that a busy moment of the machine hits all of them."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Run", "in_turns", "once"]


@dataclass(frozen=True, slots=True)
class Run:
    """What running a program took: seconds on the clock, seconds of CPU, MiB at the peak."""

    wall: float
    cpu: float
    peak: float


def once(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, expected: Sequence[int] = (0,)
) -> Run:
    """Run a program to its end, output to nowhere.

    The peak is that of the largest process below it; this process has to be smaller than what it measures,
    since the kernel counts what a child has before it becomes another program.
    """
    nowhere = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)]
    began = time.perf_counter()
    pid = os.posix_spawnp(command[0], list(command), {**os.environ, **(env or {})}, file_actions=nowhere)
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - began
    code = os.waitstatus_to_exitcode(status)
    if code not in expected:
        raise RuntimeError(f"exit {code}: {' '.join(command)}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def in_turns(commands: Mapping[str, Sequence[str]], rounds: int, **options: object) -> dict[str, Run]:
    """Run all of them `rounds` times in turns, after once for warmth; the medians by name."""
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for turn in range(rounds + 1):
        for name, command in commands.items():
            run = once(command, **options)  # type: ignore[arg-type]
            if turn:
                runs[name].append(run)
    return {
        name: Run(
            statistics.median(run.wall for run in found),
            statistics.median(run.cpu for run in found),
            max(run.peak for run in found),
        )
        for name, found in runs.items()
    }
