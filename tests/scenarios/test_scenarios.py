"""Every fixture, from rpm-md metadata and from folders of RPMs, against the answer worked out by hand."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.scenarios import runner
from tests.support import fixture

NAMES = fixture.names()
CASES = [(name, source) for name in NAMES for source in fixture.load(name).sources]


@functools.cache
def _schema() -> jsonschema.Draft202012Validator:
    asked = [sys.executable, "-m", "kmpsolve", "plan", "--schema"]
    schema = json.loads(subprocess.run(asked, check=True, capture_output=True, text=True).stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_there_are_fixtures() -> None:
    assert len(NAMES) > 50


@pytest.mark.parametrize(("name", "source"), CASES)
def test_answer(name: str, source: str, tmp_path: Path) -> None:
    scenario = fixture.load(name)
    answer = runner.ask(scenario, source, tmp_path)
    assert runner.disagreements(scenario, answer) == []
    _schema().validate(answer.plan)


@pytest.mark.parametrize("name", NAMES)
def test_whole_plan(name: str, tmp_path: Path) -> None:
    scenario = fixture.load(name)
    plans: list[dict[str, Any]] = []
    for source in scenario.sources:
        work = tmp_path / source
        work.mkdir()
        plans.append(runner.ask(scenario, source, work).plan)
    assert runner.text(plans[0]) == runner.plan_file(name).read_text(encoding="utf-8")
    for plan in plans[1:]:
        assert runner.comparable(plan, between_sources=True) == runner.comparable(
            plans[0], between_sources=True
        )
