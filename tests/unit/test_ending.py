"""A process that ends has written everything and cleaned up, without taking itself apart."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import atexit, sys, tempfile
from kmpsolve.ending import end

class Large:
    def __del__(self):
        print("taken apart")

large = Large()
folder = tempfile.TemporaryDirectory(dir=sys.argv[1])
atexit.register(print, "the last thing")
print("an answer without a line's end", end="; ")
print("a complaint", end="", file=sys.stderr)
end(4)
"""


def test_what_is_buffered_is_written_and_what_is_temporary_is_gone(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 4
    assert ended.stdout == "an answer without a line's end; the last thing\n"
    assert ended.stderr == "a complaint"
    assert list(tmp_path.iterdir()) == []


def test_nobody_reads_any_more() -> None:
    ended = subprocess.run(
        [
            "/bin/sh",
            "-c",
            '"$0" -c "from kmpsolve.ending import end; print(1); end(4)" >&-; exit $?',
            sys.executable,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (4, "")
