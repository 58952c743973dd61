"""The tests that a mutant has to survive: seconds in one process, no zypper but for what only zypper can tell.

Checks are fixtures against the plans that were worked out by hand, and small worlds and random universes against
the oracle, whose answers are computed once. Unit tests are chosen one by one.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from kmpsolve.errors import RequestError
from tests.executed.universes import universe
from tests.property import acceptance, bootmatrix
from tests.property.cases import CASES
from tests.property.test_oracle import FAMILIES
from tests.scenarios import runner
from tests.support import fixture
from tests.support.fixture import Scenario
from tests.support.oracle import Answer, Reading, UndeterminedError, answers
from tests.support.worlds import World
from tests.unit.planner.test_competition import competition

Check = Callable[[], bool]
"""Whether all is well; raising is not."""

WORLDS = 4  # of each family
COMPETITIONS = 40  # of the 300 in test_competition.py
UNITS = (
    "tests/unit/cache/test_matrix.py",
    "tests/unit/cache/test_view.py",
    "tests/unit/compat",
    "tests/unit/explain",
    "tests/unit/fleet/test_bench.py",
    "tests/unit/metadata_sources/test_large_primary.py",
    "tests/unit/metadata_sources/test_trial.py",
    "tests/unit/planner",
    "tests/unit/purge",
    "tests/unit/root",
    "tests/unit/solver",
    "tests/disk/test_plan_on_host.py",
    "tests/disk/test_suggest.py",
    "tests/modules/test_plan_signatures.py",
    "tests/scenarios/test_dup.py",
)
_CHOSEN = ("-k", "not random_worlds and not nobody_steps_back")  # minutes, and much the same as the checks
_WITHOUT = tuple(word for plugin in ("cacheprovider", "xdist", "cov") for word in ("-p", f"no:{plugin}"))


@dataclass(slots=True)
class Run:
    """What a check or a unit test did without any mutant: how many seconds it took, and lines by file."""

    seconds: float = 0.0
    lines: dict[str, list[int]] = field(default_factory=dict)


def checks() -> dict[str, Check]:
    """The checks by name."""
    found: dict[str, Check] = {
        f"fixture {name}": partial(_fixture, fixture.load(name)) for name in fixture.names()
    }
    _remember_answers()
    for name, of in _worlds():
        with contextlib.suppress(UndeterminedError):
            answers_of(of)
            found[name] = partial(_universe, of)
    return found


def _worlds() -> Iterator[tuple[str, World]]:
    for name, (of, _) in CASES.items():
        yield f"case {name}", of
    for number in range(COMPETITIONS):
        yield f"competition {number}", competition(number)
    for family in FAMILIES:
        for number in range(WORLDS):
            yield f"universe {family} {number}", universe(family, number)


def _fixture(scenario: Scenario) -> bool:
    with tempfile.TemporaryDirectory(prefix="kmpsolve-mutant-") as work:
        answer = runner.ask(scenario, scenario.sources[0], Path(work))
    expected = runner.plan_file(scenario.name).read_text(encoding="utf-8")
    return not runner.disagreements(scenario, answer) and runner.text(answer.plan) == expected


_known: dict[tuple[str, Reading], dict[str, list[Answer]]] = {}


def answers_of(of: World, reading: Reading | None = None) -> dict[str, list[Answer]]:
    """The oracle's answers, computed once."""
    key = (of.text(), reading or Reading())
    if key not in _known:
        _known[key] = answers(of, reading)
    return _known[key]


def _remember_answers() -> None:
    acceptance.answers = answers_of  # type: ignore[assignment, attr-defined]


def _universe(of: World) -> bool:
    expected = answers_of(of)
    try:
        plan = acceptance.plan_of(of)
    except RequestError:
        return not expected
    return (
        bool(expected) and not acceptance.disagreements(plan, of) and not bootmatrix.disagreements(plan, of)
    )


class _Watch:
    """A plugin that tells when a unit test begins, and which ones fail."""

    def __init__(self, begins: Callable[[str], object]) -> None:
        self._begins = begins
        self.failed: list[str] = []

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._begins(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)


def units(names: Sequence[str], begins: Callable[[str], object], *words: str) -> list[str]:
    """Run unit tests; returns those that fail."""
    watch = _Watch(begins)
    silence = io.StringIO()
    with contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence):
        code = pytest.main(["-q", "-W", "ignore", *_WITHOUT, *words, *names], plugins=[watch])
    broken = code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    return watch.failed or ["no test can be collected"] * broken


def baseline(run: dict[str, Check], paths: Sequence[Path]) -> dict[str, Run]:
    """What each check and each unit test does that passes.

    What only happens at the import shows with the check that comes first.
    """
    import coverage

    measuring = coverage.Coverage(data_file=None, include=[str(path) for path in paths], config_file=False)
    begun: dict[str, float] = {}

    def begins(name: str) -> None:
        measuring.switch_context(name)
        begun[name] = time.monotonic()

    measuring.start()
    failed = []
    for name, check in run.items():
        begins(name)
        if not check():
            failed.append(name)
    failed += units(UNITS, begins, *_CHOSEN)
    measuring.stop()
    ends = [*list(begun.values())[1:], time.monotonic()]
    runs = {name: Run(end - begin) for (name, begin), end in zip(begun.items(), ends, strict=True)}
    for path in paths:
        for line, names in measuring.get_data().contexts_by_lineno(str(path.resolve())).items():
            for name in names:
                if name in runs:
                    runs[name].lines.setdefault(str(path), []).append(line)
    for name in failed:
        print(f"left out, since it fails without any mutant: {name}", flush=True)
        runs.pop(name, None)
    return runs
