"""Every parser on damaged bytes: its corpus, some mutants of it always, and coverage-guided for some seconds.

``tests/security/fuzz.py`` and ``tests/security/mutants.py`` do the same for as long as one likes.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from tests.security.mutants import TARGETS, harvest, mutated
from tests.security.parsers import CORPUS, PARSERS, feed
from tests.support.coverage import unmeasured

CHECKOUT = Path(__file__).parents[2]


def test_every_parser_has_a_corpus() -> None:
    assert {folder.name for folder in CORPUS.iterdir()} == set(PARSERS)


@pytest.mark.parametrize("name", PARSERS)
def test_mutants_of_the_corpus(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same ones every time."""
    monkeypatch.setenv("KMPSOLVE_CACHE", "")
    for seed in sorted((CORPUS / name).iterdir()):
        sound = seed.read_bytes()
        feed(name, sound)
        dice = random.Random(zlib.crc32(seed.name.encode()))  # noqa: S311 - a seed, not a secret
        for _ in range(60):
            feed(name, mutated(sound, dice))


@pytest.mark.parametrize("seconds", [2, pytest.param(600, marks=pytest.mark.deep)])
def test_guided_by_coverage(seconds: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.security.fuzz", "all", str(seconds)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**unmeasured(), "PYTHONPATH": str(CHECKOUT)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("Done ") == len(PARSERS)


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_written_in_c(name: str, tmp_path: Path) -> None:
    """libsolv and rpm crash on some files; it never takes kmpsolve with them."""
    found = harvest(name, seed=os.getpid() % 1000, count=15 if name == "solv" else 60, keep=tmp_path)
    assert set(found.counts) <= {"read", "refused"}, (found.counts, found.kept)
    assert found.counts["refused"]


@pytest.mark.deep
@pytest.mark.parametrize("name", TARGETS)
def test_what_is_written_in_c_for_minutes(name: str, tmp_path: Path) -> None:
    found = harvest(name, seed=os.getpid(), seconds=600, keep=tmp_path)
    assert set(found.counts) <= {"read", "refused"}, (found.counts, found.kept)
