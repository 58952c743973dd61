"""How much a large fleet may cost; the limits leave room for a busy machine."""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

from tests.fleet import fleets
from tests.fleet.conftest import make
from tests.support.cache import CHECKOUT


def test_a_hundred_thousand_hosts(tmp_path: Path) -> None:
    world = make(tmp_path, 11, 280)
    chance = random.Random(11)  # noqa: S311
    inventory = tmp_path / "fleet.jsonl"
    with inventory.open("wb") as stream:
        stream.writelines(fleets.lines(chance, world.states, 100_000))
    command = [sys.executable, "-m", "kmpsolve", "audit", str(inventory), *world.repo, "--format", "json"]
    start = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with (tmp_path / "out.json").open("wb") as stream:
        done = subprocess.run(
            command, stdout=stream, env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, check=False
        )
    spent = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 4
    document = json.loads((tmp_path / "out.json").read_bytes())
    assert document["hosts"] == 100_000
    assert len(document["states"]) == 280
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 15
    assert spent < 30
    assert after.ru_maxrss < 250 << 10


def test_states_are_decided_once(tmp_path: Path) -> None:
    """Ten times the hosts cost next to nothing more, since they are in the same states."""
    world = make(tmp_path, 12, 1)
    chance = random.Random(12)  # noqa: S311
    inventory = tmp_path / "fleet.jsonl"
    inventory.write_bytes(b"".join(fleets.lines(chance, world.states, 20_000)))
    from kmpsolve.config import Config
    from kmpsolve.fleet.engine import machine
    from kmpsolve.fleet.progress import Bar
    from kmpsolve.request import Request
    from kmpsolve.session import Sources

    where = Sources(repositories=tuple(world.offer.repositories(tmp_path).items()))
    with machine(where, Request(), Config(), 1) as engine:
        audit = engine.audit([str(inventory)], None, Bar(quiet=True))
    assert len(audit.fleet.hosts) == 20_000
    assert len(audit.decided) == 1
