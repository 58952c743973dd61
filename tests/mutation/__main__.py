"""Mutation testing: ``python -m tests.mutation [-j N] [FILE...]``, by default all of compat, planner and solver.

Each mutant runs in a forked process, which imports the changed module and then runs those of the quick tests
that come past the changed line, until one fails. What killed the last mutant is tried first on the next. Which
lines a test comes past is found out once, for all files. Survivors that are argued in survivors.md are counted;
any other one makes this exit with 1.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.abc
import importlib.util
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import asdict
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from tests.mutation import quick
from tests.mutation.mutants import Mutant, mutants

ROOMS = ("compat", "planner", "solver")
ARGUED = Path(__file__).with_name("survivors.md")
_ALIKE = 20  # checks that run the same lines of a module
_UNITS = 4.0  # seconds for the unit tests of one mutant, the cheapest ones first
_SECONDS = 20  # of processor time; all checks take six
_WAITING = 200  # seconds, for a mutant that waits for something


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


def _killer(names: list[str], checks: dict[str, quick.Check]) -> str:
    """Return which check or unit test fails first, or nothing; the kind that `names` begins with is run first."""
    tests = [name for name in names if name not in checks]

    def unit_test() -> str:
        # pytest takes a moment to start: once for all, file by file.
        files = [name.partition("::")[0] for name in tests]
        by_file = sorted(tests, key=lambda name: files.index(name.partition("::")[0]))
        return next(iter(quick.units(by_file, lambda _: None, "-x")), "") if tests else ""

    def check() -> str:
        for name in names:
            try:
                if name in checks and not checks[name]():
                    return name
            except BaseException:  # a mutant may do anything
                return name
        return ""

    return unit_test() or check() if tests[:1] == names[:1] else check() or unit_test()


def _fork(mutant: Mutant, names: list[str], checks: dict[str, quick.Check], verdict: Path) -> int:
    """Start a process that writes to `verdict` which of the tests failed, or nothing."""
    child = os.fork()
    if child:
        return child
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    signal.alarm(_WAITING)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(verdict.parent)
    sys.meta_path.insert(0, _Changed(mutant))
    if killer := _killer(names, checks):
        verdict.write_text(killer)
    os._exit(0)


def _chosen(
    mutant: Mutant, order: list[str], runs: dict[str, quick.Run], checks: dict[str, quick.Check]
) -> list[str]:
    """Return the tests for a mutant: they come past it, and few checks take the same way there."""
    chosen = []
    ways: Counter[tuple[int, ...]] = Counter()
    left = _UNITS
    for name in order:
        way = tuple(runs[name].lines.get(str(mutant.path), ()))
        # What is not in a function happens once, at the import, whichever check comes first.
        if not way or (mutant.place != "module" and mutant.line not in way):
            continue
        if name in checks:
            ways[way] += 1
            fits = ways[way] <= _ALIKE
        else:
            left -= runs[name].seconds
            fits = left >= 0
        if fits:
            chosen.append(name)
    return chosen


def _run(
    found: list[Mutant], checks: dict[str, quick.Check], runs: dict[str, quick.Run], at_once: int
) -> dict[int, str]:
    """Run the mutants; returns for each what killed it, ``""`` if nothing did."""
    # A fixture's whole plan says more than what the oracle has to say of a world.
    order = sorted(runs, key=lambda name: (not name.startswith("fixture "), runs[name].seconds))
    killed: dict[int, str] = {}
    running: dict[int, int] = {}
    with tempfile.TemporaryDirectory(prefix="kmpsolve-mutation-") as name:
        waiting = list(range(len(found)))
        while waiting or running:
            while waiting and len(running) < at_once:
                number = waiting.pop(0)
                names = _chosen(found[number], order, runs, checks)
                running[_fork(found[number], names, checks, Path(name) / str(number))] = number
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


def _baseline(checks: dict[str, quick.Check], file: Path) -> None:
    """Write to `file` which lines each test comes past, for all files.

    In a process of its own, so that the mutants' processes import everything afresh.
    """
    child = os.fork()
    if not child:
        try:
            runs = quick.baseline(checks, _paths())
            file.write_text(json.dumps({name: asdict(run) for name, run in runs.items()}))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        sys.exit("the quick tests crash without any mutant")


def _paths() -> list[Path]:
    return sorted(path for room in ROOMS for path in Path("kmpsolve", room).glob("[!_]*.py"))


def main() -> None:
    """Run the mutants of the files on the command line, or of all three rooms."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("-j", type=int, default=1, metavar="N", help="mutants tried at the same time")
    parser.add_argument(
        "--baseline",
        type=Path,
        metavar="JSON",
        help="keep here, and find here, which lines a test comes past; good until a line changes",
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    asked = parser.parse_args()
    os.environ["KMPSOLVE_CACHE"] = ""  # a mutant must not leave its answers to the next one
    paths = asked.files or _paths()
    argued = ARGUED.read_text(encoding="utf-8") if ARGUED.is_file() else ""
    counts: Counter[str] = Counter()
    left = 0
    checks = quick.checks()
    with tempfile.TemporaryDirectory(prefix="kmpsolve-mutation-") as name:
        kept = asked.baseline or Path(name, "baseline")
        if not kept.is_file():
            _baseline(checks, kept)
        runs = {name: quick.Run(**run) for name, run in json.loads(kept.read_text()).items()}
    checks = {name: check for name, check in checks.items() if name in runs}
    for path in paths:
        begin = time.monotonic()
        lines = {line for run in runs.values() for line in run.lines.get(str(path), ())}
        found = list(mutants(path))
        tried = [mutant for mutant in found if mutant.line in lines]
        killed = _run(tried, checks, runs, asked.j)
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
