"""How much a large fleet may cost; the limits leave room for a busy machine."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

from tests.fleet import fleets
from tests.fleet.conftest import make
from tests.support.cache import CHECKOUT
from tests.support.coverage import unmeasured

# What a process has before it becomes another program counts as that one's too; this one is small.
_MEASURED = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


def test_a_hundred_thousand_hosts(tmp_path: Path) -> None:
    world = make(tmp_path, 11, 280)
    chance = random.Random(11)  # noqa: S311
    inventory = tmp_path / "fleet.jsonl"
    with inventory.open("wb") as stream:
        stream.writelines(fleets.lines(chance, world.states, 100_000))
    command = [sys.executable, "-m", "kmpsolve", "audit", str(inventory), *world.repo, "--format", "json"]
    start = time.perf_counter()
    with (tmp_path / "out.json").open("wb") as stream:
        done = subprocess.run(
            [sys.executable, "-c", _MEASURED, *command],
            stdout=stream,
            stderr=subprocess.PIPE,
            env=unmeasured(PYTHONPATH=str(CHECKOUT)),
            check=False,
        )
    spent = time.perf_counter() - start
    assert done.returncode == 4, done.stderr.decode()
    cpu, peak = map(float, done.stderr.split()[-2:])
    document = json.loads((tmp_path / "out.json").read_bytes())
    assert document["hosts"] == 100_000
    assert len(document["states"]) == 280
    assert cpu < 15
    assert spent < 30
    assert peak < 250 << 10


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
    from kmpsolve.sources import Sources

    where = Sources(repositories=tuple(world.offer.repositories(tmp_path).items()))
    with machine(where, Request(), Config(), 1) as engine:
        audit = engine.audit([str(inventory)], None, Bar(quiet=True))
    assert len(audit.fleet.hosts) == 20_000
    assert len(audit.decided) == 1
