"""An audit says of every host what ``plan`` says of it alone, byte for byte."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

import kmpsolve
from kmpsolve.fleet.collecting import collect
from kmpsolve.session import Sources
from tests.fleet import fleets
from tests.fleet.conftest import make
from tests.support import rpmmd


@pytest.mark.parametrize(("seed", "kernel"), [(1, None), (2, None), (3, "latest"), (4, "newest-safe")])
def test_five_hundred_hosts(tmp_path: Path, seed: int, kernel: str | None) -> None:
    of = make(tmp_path, seed, 40, kernels=3 + seed, kmps=6 + seed)
    chance = random.Random(seed)  # noqa: S311
    inventory = tmp_path / "fleet.jsonl"
    inventory.write_bytes(b"".join(fleets.lines(chance, of.states, 500)))
    document = of.audit(inventory, *(["--kernel", kernel] if kernel else []))
    assert document["hosts"] == len(document["results"]) == 500
    tally = dict.fromkeys(document["verdicts"], 0)
    repositories = of.offer.repositories(tmp_path)
    one = tmp_path / "one.json"
    planned: dict[str, kmpsolve.Plan] = {}
    for line, result in zip(inventory.read_bytes().splitlines(), document["results"], strict=True):
        told = json.loads(line)
        state = json.dumps(told["state"])
        if state not in planned:
            one.write_bytes(line)
            planned[state] = kmpsolve.plan(installed=one, repositories=repositories, kernel=kernel)
        assert told["host"] == result["host"]
        assert planned[state].verdict == result["verdict"]
        assert planned[state].to_dict() == document["states"][result["state"]]
        tally[result["verdict"]] += 1
    assert tally == document["verdicts"]
    assert len(document["states"]) == len(planned) == 40


def test_the_plan_on_the_inventory_is_the_plan_on_the_host(tmp_path: Path) -> None:
    """What ``collect`` leaves out, the repositories put back."""
    of = make(tmp_path, 7, 1)
    chance = random.Random(7)  # noqa: S311
    repositories = of.offer.repositories(tmp_path)
    verdicts = set()
    for number in range(25):
        system = rpmmd.write(tmp_path / f"host{number}", fleets.installed(chance, of.offer))
        line = tmp_path / f"host{number}.json"
        where = Sources(installed=str(system), repositories=tuple(repositories.items()))
        line.write_text(collect(where, host=None, labels={}))
        there = kmpsolve.plan(installed=system, repositories=repositories)
        here = kmpsolve.plan(installed=line, repositories=repositories)
        verdicts.add(there.verdict)
        assert here.to_dict() == there.to_dict()
    assert verdicts >= {"safe", "blocked", "nothing-to-do"}
