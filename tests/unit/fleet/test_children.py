"""Work in children: what kills one costs one piece."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from kmpsolve.errors import RequestError
from kmpsolve.fleet.children import Died, in_children


def test_results_come_with_their_numbers() -> None:
    assert sorted(in_children(range(20), lambda n: n * n, 3)) == [(n, n * n) for n in range(20)]


def test_large_results_come_whole() -> None:
    ((_, result),) = in_children([5_000_000], lambda n: b"x" * n, 1)
    assert isinstance(result, bytes) and len(result) == 5_000_000


def test_what_kills_a_child_costs_one_piece() -> None:
    def work(number: int) -> int:
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 3:
            os._exit(7)
        return number

    found = dict(in_children(range(5), work, 2))
    assert found == {0: 0, 1: 1, 2: Died("ended by SIGKILL"), 3: Died("ended with code 7"), 4: 4}


def test_errors_are_raised_as_they_were() -> None:
    def work(_: int) -> None:
        raise RequestError("no such kernel", reference="unknown-kernel", where="--kernel", hint="look")

    with pytest.raises(RequestError) as caught:
        list(in_children([1], work, 1))
    assert (caught.value.where, caught.value.hint) == ("--kernel", "look")


def test_a_bug_is_a_bug() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        list(in_children([0], lambda n: 1 // n, 1))


def test_no_child_is_left_behind(tmp_path: Path) -> None:
    def work(number: int) -> None:
        (tmp_path / str(number)).write_text(str(os.getpid()))
        signal.pause()

    running = in_children(range(8), work, 2)
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError))
    signal.setitimer(signal.ITIMER_REAL, 1)
    with pytest.raises(TimeoutError):
        next(running)
    running.close()
    started = [int(file.read_text()) for file in tmp_path.iterdir()]
    assert len(started) == 2
    for pid in started:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
