"""Every fixture, from rpm-md metadata and from folders of RPMs, against the answer worked out by hand."""

from __future__ import annotations

import dataclasses
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


def _altered(plan: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return a copy of `plan` with another value at `path`, keys and positions with slashes between."""
    copy: dict[str, Any] = json.loads(json.dumps(plan))
    place: Any = copy
    *steps, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    for step in steps:
        place = place[step]
    place[last] = value
    return copy


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("fetch", "verdict", "blocked"),
        ("fetch", "complete", False),
        ("fetch", "command", None),
        ("fetch", "transaction/0/repository", "elsewhere"),
        ("fetch", "transaction", []),
        ("fetch", "inputs/skipped", [{"alias": "acme", "reason": "because"}]),
        ("fetch", "flavors", []),
        ("fetch", "flavors/0/verdict", "unverified"),
        ("fetch", "flavors/0/target", None),
        ("fetch", "flavors/0/newest_safe", None),
        ("fetch", "flavors/0/modules_lost", ["acme.ko"]),
        ("fetch", "flavors/0/boot_matrix/0/state", "purged-next"),
        ("fetch", "flavors/0/boot_matrix/0/kmps/acme-kmp-default/via", "none"),
        ("fetch", "flavors/0/kmps", []),
        ("fetch", "flavors/0/kmps/0/decision", "reuse"),
        ("fetch", "flavors/0/kmps/0/chosen", None),
        ("fetch", "flavors/0/kmps/0/repository", None),
        ("fetch", "flavors/0/kmps/0/tried/0/cause", "vendor"),
        ("fetch", "flavors/0/kmps/0/waived", {"reason": "none", "expires": "2027-01-01"}),
        ("abort", "flavors/0/kmps/0/causes", []),
        ("abort", "flavors/0/kmps/0/mismatches/0/wanted", "0"),
        ("abort", "flavors/0/ways_out", []),
        ("abort-security-patch", "flavors/0/ways_out", []),
        ("middle-kernel-safe", "flavors/0/zypper_would/target", None),
        ("overrides-and-drops", "flavors/0/kmps/0/warnings", []),
    ],
)
def test_a_wrong_plan_is_noticed(name: str, path: str, value: object, tmp_path: Path) -> None:
    scenario = fixture.load(name)
    answer = runner.ask(scenario, "rpm-md", tmp_path)
    wrong = _altered(answer.plan, path, value)
    assert wrong != answer.plan
    altered = dataclasses.replace(answer, stdout=json.dumps(wrong))
    assert set(runner.disagreements(scenario, altered)) - set(runner.disagreements(scenario, answer))


_BUILT_HERE = '[[kmp]]\nmatch = "{}"\nrebuilt_on_host = true\n'
_SAYS_NOTHING_OF_IT = '[[kmp]]\nmatch = "nvidia-*"\non_blocked = "warn"\n'


@pytest.mark.parametrize(
    ("configuration", "verdict"),
    [
        (_BUILT_HERE.format("*"), "safe"),
        (_BUILT_HERE.format("nvidia-*") + _SAYS_NOTHING_OF_IT, "safe"),
        (_BUILT_HERE.format("acme-*") + _SAYS_NOTHING_OF_IT, "unverified"),
        (_SAYS_NOTHING_OF_IT + _BUILT_HERE.format("*"), "unverified"),
    ],
)
def test_the_first_entry_that_matches_says_what_is_built_on_the_host(
    configuration: str, verdict: str, tmp_path: Path
) -> None:
    scenario = fixture.load("rebuilt-on-host-configured")
    asked = dataclasses.replace(scenario.request, configuration=configuration)
    answer = runner.ask(dataclasses.replace(scenario, request=asked), "rpm-md", tmp_path)
    assert answer.plan["verdict"] == verdict
