"""Doing pieces of work in children of this process, each in one of its own.

A child starts with everything that the parent has loaded, and whatever it does to it is gone with it. What
kills a child costs one piece, not the whole.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import selectors
import signal
import warnings
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from kmpsolve.errors import KmpsolveError

__all__ = ["Died", "cores", "in_children"]

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Died:
    """Instead of a result: the child ended before it had one."""

    reason: str


@dataclass(slots=True)
class _Child(Generic[Task]):
    pid: int
    number: int
    pipe: int
    parts: list[bytes] = field(default_factory=list)


def cores() -> int:
    """How many pieces to work on at the same time."""
    return len(os.sched_getaffinity(0))


def in_children(
    tasks: Iterable[Task], work: Callable[[Task], Result], at_once: int
) -> Generator[tuple[int, Result | Died], None, None]:
    """Yield each task's number and result, in the order in which they are ready.

    An error that `work` raises is raised here; children that still run are ended with the generator.

    Parameters
    ----------
    at_once
        Children that run at the same time; tasks are taken when there is room for them.
    """
    ahead = enumerate(tasks)
    selector = selectors.DefaultSelector()
    running: dict[int, _Child[Task]] = {}
    # Whatever is alive now stays where it is, so that children do not copy pages by counting references.
    gc.freeze()
    try:
        exhausted = False
        while True:
            while not exhausted and len(running) < at_once:
                try:
                    number, task = next(ahead)
                except StopIteration:
                    exhausted = True
                    break
                child = _start(number, task, work)
                running[child.pipe] = child
                selector.register(child.pipe, selectors.EVENT_READ)
            if not running:
                return
            for key, _ in selector.select():
                child = running[key.fd]
                part = os.read(child.pipe, 1 << 20)
                if part:
                    child.parts.append(part)
                    continue
                selector.unregister(child.pipe)
                os.close(child.pipe)
                del running[child.pipe]
                _, status = os.waitpid(child.pid, 0)
                yield child.number, _result(child.parts, status)
    finally:
        for child in running.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)
            os.close(child.pipe)
        selector.close()
        gc.unfreeze()


def _start(number: int, task: Task, work: Callable[[Task], Any]) -> _Child[Task]:
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Other threads, a terminal's progress line at most, hold no lock that a child needs.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        os.close(writing)
        return _Child(pid=pid, number=number, pipe=reading)
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        gc.disable()
        os.close(reading)
        try:
            answer: tuple[str, Any] = ("result", work(task))
        except KmpsolveError as error:
            answer = ("error", (type(error), error.message, error.reference, error.where, error.hint))
        except Exception as error:
            answer = ("bug", f"{type(error).__name__}: {error}")
        with os.fdopen(writing, "wb") as stream:
            pickle.dump(answer, stream, protocol=pickle.HIGHEST_PROTOCOL)
        code = 0
    finally:
        os._exit(code)


def _result(parts: list[bytes], status: int) -> Any:
    if os.WIFSIGNALED(status):
        return Died(f"ended by {signal.Signals(os.WTERMSIG(status)).name}")
    if os.waitstatus_to_exitcode(status) or not parts:
        return Died(f"ended with code {os.waitstatus_to_exitcode(status)}")
    # From our own child, through a pipe that nobody else has.
    kind, value = pickle.loads(b"".join(parts))  # noqa: S301
    if kind == "result":
        return value
    if kind == "bug":
        raise RuntimeError(value)
    type_, message, reference, where, hint = value
    raise type_(message, reference=reference, where=where, hint=hint)
