"""libsolv's own testsolv, as the distribution has it, solves again what the planner asked: the same answer.

Every solve of a plan, in the projection and on the true system, is written as a libsolv testcase with its
answer: the packages that are installed and removed, or the problems. testsolv reads packages, flags and jobs
from the text, solves, and compares. It shares no process and no pool with kmpsolve, and, with PyPI's binding,
no version either.
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import solv

from kmpsolve.errors import RequestError
from tests.executed.universes import universe
from tests.property.acceptance import plan_of
from tests.property.test_oracle import FAMILIES
from tests.scenarios import runner
from tests.support import fixture

NAMES = fixture.names()


class Recorder:
    """Writes a testcase for every solve; `solved` tells which had a solution."""

    def __init__(self, folder: Path, solve: Callable[[Any, Any], Any]) -> None:
        self._folder = folder
        self._solve = solve
        self._numbers = itertools.count()
        self.solved: dict[Path, bool] = {}

    def __call__(self, solver: Any, jobs: Any) -> Any:
        problems = self._solve(solver, jobs)
        folder = self._folder / str(next(self._numbers))
        assert solver.write_testcase(str(folder))
        self.solved[folder / "testcase.t"] = not problems
        return problems


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Recorder:
    recorder = Recorder(tmp_path / "testcases", solv.Solver.solve)
    (tmp_path / "testcases").mkdir()
    monkeypatch.setattr(solv.Solver, "solve", lambda solver, jobs: recorder(solver, jobs))
    return recorder


def _differences(testcase: Path) -> list[str]:
    """What testsolv finds otherwise; nothing, as a rule.

    Of two proofs that there is no solution either will do: which rules of a problem are named, and which ways
    out of it are proposed, is left to the solver. One that finds a solution installs something.
    """
    asked = subprocess.run(["testsolv", testcase], capture_output=True, text=True, check=False)
    if asked.returncode == 0:
        return []
    assert asked.stdout.startswith("Results differ:\n"), (testcase.read_text(), asked)
    lines = asked.stdout.splitlines()[1:]
    return [line for line in lines if not line.startswith(("-problem ", "+problem "))]


def _is_clear(testcase: Path) -> bool:
    """Whether there is one answer.

    The text cannot tell the two copies apart that a KMP has which may become built in. And what plain
    ``zypper up`` would do depends on libsolv's version: 0.7.39 replaces a kernel by its rebuild where 0.7.23
    only adds a newer one. Nothing is decided by it.
    """
    if "job update all packages" in testcase.read_text():
        return False
    projection = testcase.with_name("projection.repo.gz")
    if not projection.exists():
        return True
    lines = gzip.decompress(projection.read_bytes()).decode().splitlines()
    copies = [line for line in lines if line.startswith("=Pkg:")]
    return len(copies) == len(set(copies))


@pytest.mark.parametrize("name", NAMES)
def test_testsolv_agrees(name: str, recorder: Recorder, tmp_path: Path) -> None:
    scenario = fixture.load(name)
    answer = runner.ask(scenario, scenario.sources[0], tmp_path)
    assert answer.exit in (0, 4, 110), answer
    assert recorder.solved
    for testcase, solved in recorder.solved.items():
        assert solved != ("problem " in testcase.with_name("solver.result").read_text())
        assert _differences(testcase) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_testsolv_agrees_on_random_universes(family: str, recorder: Recorder) -> None:
    for number in range(20):
        with contextlib.suppress(RequestError):
            plan_of(universe(family, number))
    clear = [testcase for testcase in recorder.solved if _is_clear(testcase)]
    assert len(clear) > 20
    assert [line for testcase in clear for line in _differences(testcase)] == []


def test_testsolv_can_disagree(recorder: Recorder, tmp_path: Path) -> None:
    scenario = fixture.load(NAMES[0])
    runner.ask(scenario, scenario.sources[0], tmp_path)
    testcase = next(iter(recorder.solved))
    with testcase.with_name("solver.result").open("a") as answer:
        answer.write("install nothing-1-1.x86_64@nowhere\n")
    assert _differences(testcase) == ["-install nothing-1-1.x86_64@nowhere"]
