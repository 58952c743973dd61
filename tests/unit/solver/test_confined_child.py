"""The limits of the child that reads what strangers wrote, and names in it that are no text."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import solv

from kmpsolve.solver import confinement
from kmpsolve.solver.confinement import CannotReadError, confined
from tests.support.cache import CHECKOUT

LIMITS = """\
import resource as r, sys
print(*(r.getrlimit(kind)[0] for kind in (r.RLIMIT_AS, r.RLIMIT_CPU, r.RLIMIT_CORE, r.RLIMIT_FSIZE)))
sys.exit(2)
"""


@pytest.fixture
def telling(tmp_path: Path) -> Path:
    """In the place of libsolv, what tells its limits."""
    (tmp_path / "solv.py").write_text(LIMITS)
    return tmp_path


@pytest.mark.parametrize(("task", "size"), [("trial", 0), ("convert", confinement._MEMORY)])
def test_the_child_has_limits(task: str, size: int, telling: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confinement, "_solv_folder", lambda: str(telling))
    with pytest.raises(CannotReadError) as caught:
        confined(task, "1", "2", seconds=7)
    assert str(caught.value) == f"{confinement._MEMORY} 7 0 {size}"


def test_a_lower_limit_of_whoever_starts_it_holds(telling: Path) -> None:
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_CPU, (5, 5))\n"
        "from kmpsolve.solver import confinement\n"
        f"confinement._solv_folder = lambda: {str(telling)!r}\n"
        "try: confinement.confined('trial', 'x', seconds=7)\n"
        "except confinement.CannotReadError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=CHECKOUT
    )
    assert done.stdout == f"{confinement._MEMORY} 5 0 0\n"


def test_a_capability_that_is_no_text(tmp_path: Path) -> None:
    pool = solv.Pool()
    repo = pool.add_repo("x")
    solvable = repo.add_solvable()
    solvable.name, solvable.evr, solvable.arch = "acme", "1-1", "noarch"
    solvable.add_deparray(solv.SOLVABLE_REQUIRES, pool.str2id("front"))
    solvable.add_deparray(solv.SOLVABLE_REQUIRES, pool.str2id("behind"), 1)
    place = tmp_path / "x.solv"
    stream = solv.xfopen(str(place), "w")
    repo.write(stream)
    stream.close()
    sound = place.read_bytes()
    assert confined("trial", str(place), seconds=20) == ""
    for word in (b"front", b"behind"):
        assert sound.count(word) == 1
        place.write_bytes(sound.replace(word, b"\xff" + word[1:]))
        with pytest.raises(CannotReadError, match="UTF-8"):
            confined("trial", str(place), seconds=20)
