"""A state decided from the shipment that all states share is the plan of its inventory alone."""

from __future__ import annotations

import json
from pathlib import Path

import kmpsolve
from kmpsolve.config import Config
from kmpsolve.fleet.deciding import Bench
from kmpsolve.fleet.stock import load_stock
from kmpsolve.request import Request
from kmpsolve.sources import Sources
from tests.fleet.conftest import make


def test_a_bench_decides_as_a_plan_does(tmp_path: Path) -> None:
    world = make(tmp_path, 5, 6, kernels=4, kmps=5, symbols=60)
    repositories = world.offer.repositories(tmp_path)
    bench = Bench(
        load_stock(Sources(repositories=tuple(repositories.items())), Request(), Config()).ship(world.states)
    )
    verdicts = set()
    for number, state in enumerate(world.states):
        line = tmp_path / f"{number}.json"
        line.write_bytes(world.line("host", number))
        alone = kmpsolve.plan(installed=line, repositories=repositories)
        assert json.loads(bench.decide_here(state).plan) == alone.to_dict()
        verdicts.add(alone.verdict)
    bench.close()
    assert len(verdicts) > 1
