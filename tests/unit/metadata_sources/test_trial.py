"""A damaged .solv file ends a child process, never this one."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import solv

from kmpsolve.errors import MetadataError
from kmpsolve.metadata.source import open_source
from kmpsolve.solver import confinement, trial
from kmpsolve.solver.trial import trial_load
from tests.support import repository
from tests.unit.metadata_sources import samples
from tests.unit.metadata_sources.samples import ACME, KERNEL, TOOLS


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    content = open_source(str(repository.rpm_folder([KERNEL, ACME, TOOLS])), alias="x")
    assert content.primary is not None
    with content.primary as primary:
        _, repo = samples.load(primary)
    path = tmp_path_factory.mktemp("solv") / "sound.solv"
    stream = solv.xfopen(str(path), "w")
    assert repo.write(stream)
    stream.close()
    return path


def outcome(path: Path) -> str:
    try:
        trial_load(path)
    except MetadataError as error:
        assert error.reference == "damaged-solv"
        assert "\n" not in str(error)
        return error.message
    return "sound"


def test_a_sound_file_loads(sound: Path) -> None:
    trial_load(sound)


def test_every_truncation_is_damage(sound: Path, tmp_path: Path) -> None:
    data = sound.read_bytes()
    path = tmp_path / "cut.solv"
    for size in range(0, len(data), len(data) // 25):
        path.write_bytes(data[:size])
        assert outcome(path) != "sound", size


def test_flipped_bits_are_survived(sound: Path, tmp_path: Path) -> None:
    data = sound.read_bytes()
    path = tmp_path / "flipped.solv"
    dice = random.Random(1)  # noqa: S311 - not a secret
    seen = []
    for _ in range(120):
        damaged = bytearray(data)
        damaged[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged)
        seen.append(outcome(path))
    # A flipped letter in a name is another name; a flipped length or number is damage.
    assert 0 < seen.count("sound") < len(seen)


def test_what_makes_libsolv_abort_is_damage(sound: Path, tmp_path: Path) -> None:
    # The number of strings, all ones below the accepted limit: libsolv allocates them first, and aborts
    # when it cannot have the memory.
    data = bytearray(sound.read_bytes())
    data[8:12] = b"\x1f\xff\xff\xff"
    path = tmp_path / "greedy.solv"
    path.write_bytes(data)
    assert "damaged" in outcome(path)


@pytest.mark.parametrize("what", ["crash", "abort", "spin", "sleep", "raise"])
def test_whatever_becomes_of_the_child_is_told(
    what: str, sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A stand-in for libsolv that misbehaves on purpose, found the way the real one is found.
    actions = {
        "crash": "import ctypes; ctypes.string_at(0)",
        "abort": "import os; os.abort()",
        "spin": "while True: pass",
        "sleep": "import time; time.sleep(60)",
        "raise": "raise ValueError('no')",
    }
    (tmp_path / "solv.py").write_text(actions[what])
    monkeypatch.setattr(confinement, "_solv_folder", lambda: str(tmp_path))
    monkeypatch.setattr(trial, "_SECONDS", 1)
    start = time.monotonic()
    message = outcome(sound)
    assert time.monotonic() - start < 30
    assert ("does not end" if what in ("spin", "sleep") else "crashes on it") in message


def test_the_child_loads_the_same_libsolv_and_nothing_of_kmpsolve(sound: Path) -> None:
    program = (
        "import runpy, sys; sys.argv[1:] = {!r}\ntry:\n runpy.run_path({!r}, run_name='__main__')\n"
        "except SystemExit as end: print(end.code, sys.modules['solv'].__file__, 'kmpsolve' in sys.modules)"
    )
    arguments = [confinement._solv_folder(), str(confinement._MEMORY), "20", "trial", str(sound)]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program.format(arguments, str(confinement._CHILD))],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    assert done.stdout.split() == ["0", solv.__file__, "False"]


def test_damage_leaves_no_core_and_no_noise(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "solv.py").write_text("import os, sys; sys.stderr.write('noise'); os.abort()")
    monkeypatch.setattr(confinement, "_solv_folder", lambda: str(tmp_path))
    assert "crashes" in outcome(sound)
    assert capfd.readouterr() == ("", "")
    assert not [name for name in os.listdir(tmp_path) if name.startswith("core")]  # noqa: PTH208
