"""Whoever waits at a terminal is told for what; pipes stay clean; nothing is imported for nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SLOW = (
    "import time; from kmpsolve.report.progress import Progress\n"
    "with Progress({quiet}) as progress:\n"
    "    progress.step('reading'); time.sleep({seconds}); progress.step('judging'); time.sleep(0.1)\n"
    "print('done')"
)


def _at_a_terminal(code: str) -> str:
    """`script` gives it a terminal; stdout and stderr come together."""
    inner = f'{sys.executable} -c "{code}"'
    done = subprocess.run(
        ["script", "--quiet", "--return", "--command", inner, "/dev/null"],
        env={**os.environ, "TERM": "dumb"},
        capture_output=True,
        check=True,
    )
    return done.stdout.decode()


def test_a_terminal_is_told_after_a_second_and_left_clean() -> None:
    seen = _at_a_terminal(SLOW.format(quiet=False, seconds=1.3))
    assert "kmpsolve: reading ..." in seen
    assert "kmpsolve: judging ..." in seen
    last = seen.rstrip().rpartition("\r")[2].strip()
    assert last == "done"


@pytest.mark.parametrize(("quiet", "seconds"), [(True, 1.3), (False, 0.1)])
def test_nothing_is_said_early_or_to_the_quiet(quiet: bool, seconds: float) -> None:
    assert _at_a_terminal(SLOW.format(quiet=quiet, seconds=seconds)).strip() == "done"


def test_a_pipe_stays_clean() -> None:
    code = SLOW.format(quiet=False, seconds=1.3)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("done\n", "")


@pytest.mark.parametrize("verb", ["plan", "explain", "matrix", "diff"])
def test_help_imports_nothing_that_takes_long(verb: str) -> None:
    code = (
        "import sys; from kmpsolve.cli import main\n"
        f"try: main(['{verb}', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = ('networkx', 'pydantic', 'jinja2', 'grandalf')\n"
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
    assert "example" in done.stdout
