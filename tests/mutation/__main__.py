"""Mutation testing: ``python -m tests.mutation [-j N] [FILE...]``, by default all of compat, planner and solver.

Each mutant runs in a forked process, which imports the changed module and then runs those of the quick tests
that come past the changed line, until one fails. The check that killed the last mutant is tried first on the
next. Survivors that are argued in survivors.md are counted; any other one makes this exit with 1.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib.abc
import importlib.util
import os
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from tests.mutation import quick
from tests.mutation.mutants import Mutant, mutants

ROOMS = ("compat", "planner", "solver")
ARGUED = Path(__file__).with_name("survivors.md")
_SECONDS = 30  # of processor time; all checks take ten


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports a module from the mutant's tree."""

    def __init__(self, mutant: Mutant) -> None:
        self._name = ".".join(mutant.path.with_suffix("").parts)
        self._mutant = mutant

    def find_spec(
        self, name: str, path: object = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != self._name:
            return None
        return importlib.util.spec_from_loader(name, self, origin=str(self._mutant.path))

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._mutant.tree, str(self._mutant.path), "exec"), module.__dict__)  # noqa: S102


def _fork(mutant: Mutant, checks: dict[str, quick.Check], verdict: Path) -> int:
    """Start a process that writes to `verdict` which check failed, or nothing."""
    child = os.fork()
    if child:
        return child
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    sys.meta_path.insert(0, _Changed(mutant))
    for name, check in checks.items():
        try:
            fine = check()
        except BaseException:  # a mutant may do anything
            fine = False
        if not fine:
            verdict.write_text(name)
            break
    os._exit(0)


def _run(
    found: list[Mutant], checks: dict[str, quick.Check], reached: dict[str, set[int]], at_once: int
) -> dict[int, str]:
    """Run the mutants; returns for each what killed it, ``""`` if nothing did."""
    order = list(checks)
    killed: dict[int, str] = {}
    running: dict[int, int] = {}
    with tempfile.TemporaryDirectory(prefix="kmpsolve-mutation-") as name:
        waiting = list(range(len(found)))
        while waiting or running:
            while waiting and len(running) < at_once:
                number = waiting.pop(0)
                mutant = found[number]
                # What is not in a function happens once, at the import, whichever check comes first.
                past = [name for name in order if mutant.place == "module" or mutant.line in reached[name]]
                running[_fork(mutant, {n: checks[n] for n in past}, Path(name) / str(number))] = number
            child, status = os.wait()
            number = running.pop(child)
            killer = ""
            with contextlib.suppress(FileNotFoundError):
                killer = (Path(name) / str(number)).read_text()
            if status:
                killer = killer or "crash or endless loop"
            killed[number] = killer
            if killer in order:
                order.remove(killer)
                order.insert(0, killer)
    return killed


def _baseline(checks: dict[str, quick.Check], path: Path) -> dict[str, set[int] | None]:
    """In a process of its own, so that the mutants' processes import everything afresh."""
    with tempfile.NamedTemporaryFile(prefix="kmpsolve-mutation-") as file:
        child = os.fork()
        if not child:
            try:
                Path(file.name).write_text(repr(quick.baseline(checks, path)))
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            sys.exit("the quick tests crash without any mutant")
        # An empty set is written as a call, which no literal is.
        text = Path(file.name).read_text().replace("set()", "{-1}")
        lines: dict[str, set[int] | None] = ast.literal_eval(text)
        return lines


def main() -> None:
    """Run the mutants of the files on the command line, or of all three rooms."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("-j", type=int, default=1, metavar="N", help="mutants tried at the same time")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    asked = parser.parse_args()
    os.environ["KMPSOLVE_CACHE"] = ""  # a mutant must not leave its answers to the next one
    paths = asked.files or sorted(path for room in ROOMS for path in Path("kmpsolve", room).glob("[!_]*.py"))
    argued = ARGUED.read_text(encoding="utf-8") if ARGUED.is_file() else ""
    counts: Counter[str] = Counter()
    left = 0
    for path in paths:
        begin = time.monotonic()
        checks = quick.checks(str(path))
        reached: dict[str, set[int]] = {}
        for name, reaches in _baseline(checks, path).items():
            if reaches is None:
                print(f"left out, since it fails without any mutant: {name}")
                del checks[name]
            else:
                reached[name] = reaches
        lines = set[int]().union(*reached.values())
        found = list(mutants(path))
        tried = [mutant for mutant in found if mutant.line in lines]
        killed = _run(tried, checks, reached, asked.j)
        survivors = [mutant for number, mutant in enumerate(tried) if not killed[number]]
        unreached = [mutant for mutant in found if mutant.line not in lines]
        for kind, group in (("survives", survivors), ("is not reached", unreached)):
            for mutant in group:
                known = f"`{mutant}`" in argued
                left += not known
                counts["argued"] += known
                print(f"{'argued: ' if known else ''}{kind}: {mutant} (line {mutant.line})")
        counts.update(killed=len(tried) - len(survivors), survived=len(survivors), unreached=len(unreached))
        print(
            f"{path}: {len(found)} mutants, {len(tried) - len(survivors)} killed, {len(survivors)} survive, "
            f"{len(unreached)} not reached, {time.monotonic() - begin:.0f} s",
            flush=True,
        )
    print(", ".join(f"{count} {kind}" for kind, count in counts.items()))
    sys.exit(left > 0)


if __name__ == "__main__":
    main()
