"""A state that kills the solver is unverified, and costs nothing but itself."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from kmpsolve.config import Config
from kmpsolve.fleet.deciding import Bench, Decided
from kmpsolve.fleet.stock import load_stock
from kmpsolve.request import Request
from kmpsolve.sources import Sources
from tests.fleet.conftest import make


def test_a_state_that_kills_its_child_is_unverified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make(tmp_path, 7, 12)
    sources = Sources(repositories=tuple(world.offer.repositories(tmp_path).items()))
    bench = Bench(load_stock(sources, Request(), Config()).ship(world.states))
    real = Bench.decide_here
    expected = {number: one.verdict for number, one in bench.decide(world.states, 2)}

    def deadly(self: Bench, state: bytes) -> Decided:
        if state == world.states[5]:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, state)

    monkeypatch.setattr(Bench, "decide_here", deadly)
    found = dict(bench.decide(world.states, 2))
    bench.close()
    assert {n: one.verdict for n, one in found.items()} == {**expected, 5: "unverified"}
    (skipped,) = json.loads(found[5].plan)["inputs"]["skipped"]
    assert "SIGKILL" in skipped["reason"]
