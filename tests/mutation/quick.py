"""The tests that a mutant has to survive: seconds in one process, no RPM built, no zypper.

Fixtures against the plans that were worked out by hand, small worlds and random universes against the oracle,
whose answers are computed once, and unit tests.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable, Iterator
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

WORLDS = 6  # of each family
COMPETITIONS = 100  # of the 300 in test_competition.py
UNITS = (
    "tests/unit/compat/test_judgement.py",
    "tests/unit/planner/test_boot.py",
    "tests/unit/planner/test_choice.py",
    "tests/unit/planner/test_command.py",
    "tests/unit/planner/test_loading.py",
    "tests/unit/planner/test_small_worlds.py",
    "tests/unit/planner/test_target.py",
)
MORE = {
    "kmpsolve/compat/kabi.py": ("tests/unit/explain/test_kabi.py",),
    "kmpsolve/compat/matrix.py": ("tests/unit/explain/test_kabi.py",),
    "kmpsolve/compat/severities.py": ("tests/unit/explain/test_kabi.py",),
    "kmpsolve/planner/onhost.py": ("tests/disk/test_plan_on_host.py",),
    "kmpsolve/planner/suggestion.py": ("tests/disk/test_suggest.py",),
    "kmpsolve/solver/capabilities.py": ("tests/unit/solver/test_recognition.py",),
    "kmpsolve/solver/finding.py": (
        "tests/unit/solver/test_recognition.py",
        "tests/unit/cache/test_view.py::test_fixture",
    ),
    "kmpsolve/solver/kernels.py": ("tests/unit/solver/test_recognition.py",),
    "kmpsolve/solver/kmps.py": ("tests/unit/solver/test_recognition.py",),
    "kmpsolve/solver/hardware.py": ("tests/disk/test_suggest.py",),
    "kmpsolve/solver/confinement.py": ("tests/unit/metadata_sources/test_trial.py",),
    "kmpsolve/solver/trial.py": ("tests/unit/metadata_sources/test_trial.py",),
}
"""Tests that only some modules have; they take longer."""
_WITHOUT = tuple(word for plugin in ("cacheprovider", "xdist", "cov") for word in ("-p", f"no:{plugin}"))


def checks(path: str) -> dict[str, Check]:
    """The checks for a module, by name, in the order in which they are cheapest."""
    found: dict[str, Check] = {
        f"fixture {name}": partial(_fixture, fixture.load(name)) for name in fixture.names()
    }
    _remember_answers()
    for name, of in _worlds():
        with contextlib.suppress(UndeterminedError):
            answers_of(of)
            found[name] = partial(_universe, of)
    for file in (*UNITS, *MORE.get(path, ())):
        found[file] = partial(_pytest, file)
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


def _pytest(file: str) -> bool:
    silence = io.StringIO()
    with contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence):
        code = pytest.main(["-q", "-x", "-W", "ignore", *_WITHOUT, file])
    return code == pytest.ExitCode.OK


def baseline(run: dict[str, Check], path: Path) -> dict[str, set[int] | None]:
    """The lines of `path` that each check executes; ``None`` if it fails although nothing is changed.

    What only happens at the import shows with the check that comes first.
    """
    import coverage

    measuring = coverage.Coverage(data_file=None, include=[str(path)], config_file=False)
    fine = {}
    measuring.start()
    for name, check in run.items():
        measuring.switch_context(name)
        fine[name] = check()
    measuring.stop()
    lines: dict[str, set[int] | None] = {name: set() if fine[name] else None for name in run}
    for line, names in measuring.get_data().contexts_by_lineno(str(path.resolve())).items():
        for name in names:
            if (reached := lines.get(name)) is not None:
                reached.add(line)
    return lines
