"""Every parser on damaged bytes: its corpus, some mutants of it always, and coverage-guided for ten seconds.

``tests/security/fuzz.py`` and ``tests/security/mutants.py`` do the same for as long as one likes.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from tests.security.mutants import TARGETS, harvest, mutated
from tests.security.parsers import CORPUS, PARSERS, feed
from tests.support.coverage import unmeasured

CHECKOUT = Path(__file__).parents[2]
LONG = [10, pytest.param(600, marks=pytest.mark.deep)]
"""Seconds for each parser."""


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


def _fuzzed(folder: Path, *command: str) -> tuple[bool, str]:
    """Whether a parser survived, and what is to be known of it if not: the bytes that it failed on, too."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        cwd=folder,
        env={**unmeasured(), "PYTHONPATH": str(CHECKOUT)},
    )
    kept = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    ended = done.returncode == 0 and "Done " in done.stdout
    said = "\n".join(line for line in done.stdout.splitlines() if "Instrumenting" not in line)
    return ended and not kept, f"{said[-4000:]}\nexit {done.returncode}, {kept}"


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize("seconds", LONG)
def test_guided_by_coverage(seconds: int, name: str, tmp_path: Path) -> None:
    survived, told = _fuzzed(tmp_path, "-m", "tests.security.fuzz", name, str(seconds))
    assert survived, told


def test_a_parser_that_fails_is_told(tmp_path: Path) -> None:
    """What the test above says of one, with the bytes."""
    script = """
from tests.security import fuzz
def fails(data):
    assert b"<data" not in data
fuzz.parsers.PARSERS["repomd"] = fails
raise SystemExit(fuzz.main("repomd", 20))
"""
    survived, told = _fuzzed(tmp_path, "-c", script)
    assert not survived
    assert "AssertionError" in told
    assert re.search(r"'repomd-crash-\w+': b['\"].*<data", told), told


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("seconds", LONG)
def test_what_is_written_in_c(seconds: int, name: str, tmp_path: Path) -> None:
    """libsolv and rpm crash on some files; it never takes kmpsolve with them."""
    found = harvest(name, seed=os.getpid(), seconds=seconds, keep=tmp_path)
    kept = {path.name: path.read_bytes() for path in found.kept}
    assert set(found.counts) <= {"read", "refused"}, (found.counts, kept)
    assert found.counts["refused"]
