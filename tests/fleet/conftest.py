"""One fleet's repositories and states for all tests of the folder."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fleet import fleets
from tests.support.cache import CHECKOUT

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@dataclass(frozen=True)
class World:
    offer: fleets.Offer
    states: list[bytes]
    folder: Path
    repo: list[str]

    def line(self, host: str, state: int = 0, **more: Any) -> bytes:
        """An inventory line."""
        told = {"schema_version": 1, "host": host, **more}
        return json.dumps(told).encode()[:-1] + b', "state": ' + self.states[state] + b"}\n"

    def audit(self, *words: str | Path, given: bytes = b"", check: bool = True) -> dict[str, Any]:
        """The JSON of an audit."""
        done = run("audit", *words, *self.repo, "--format", "json", given=given)
        assert not check or done.returncode in (0, 4, 110), done.stderr.decode()
        document: dict[str, Any] = json.loads(done.stdout)
        return document | {"exit": done.returncode}


def run(
    *words: str | Path, given: bytes = b"", cwd: Path | None = None, nobody: bool = False
) -> subprocess.CompletedProcess[bytes]:
    """Run the real command in a process of its own, as a user without any rights if it is to be nobody."""
    before = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if nobody else []
    return subprocess.run(
        [*before, sys.executable, "-m", "kmpsolve", *map(str, words)],
        input=given,
        capture_output=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "SOURCE_DATE_EPOCH": str(fleets.COLLECTED + 86400)},
    )


def make(folder: Path, seed: int, states: int, **more: int) -> World:
    chance = random.Random(seed)  # noqa: S311 - a test's world, the same every time
    offer = fleets.offer(chance, **more)
    repo = offer.write(folder)
    return World(offer, fleets.states(chance, offer, states), folder, repo)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make(tmp_path_factory.mktemp("fleet"), 7, 60)
