"""``make demo-repos``: writes repos/demo, which ``make demo`` plans with, and the transcript in README.md."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support import fixture, repository

CHECKOUT = Path(__file__).parents[2]
DEMO = CHECKOUT / "repos" / "demo"
README = CHECKOUT / "README.md"
SHOWN = ("blocked", "safe")
_TRANSCRIPT = re.compile(
    r"(?<=<!-- what `make demo` prints, written by `make demo-repos` -->\n```\n).*?(?=```\n)", re.S
)


def repositories() -> Iterator[tuple[Path, Path]]:
    """Yield each committed repository and the one that the builder makes of its fixture."""
    for name in SHOWN:
        scenario = fixture.load(f"demo-{name}")
        yield DEMO / name / "installed", repository.rpm_md(scenario.installed)
        for entry in scenario.repositories:
            built = repository.rpm_md(entry.packages, entry.patches)
            yield DEMO / name / "repositories" / entry.alias, built


def transcript() -> str:
    """Run ``tools/demo`` with this interpreter and return what it prints."""
    with tempfile.TemporaryDirectory(prefix="kmpsolve-demo-") as work:
        kmpsolve = Path(work) / "kmpsolve"
        kmpsolve.write_text(
            f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m kmpsolve "$@"\n', encoding="utf-8"
        )
        kmpsolve.chmod(0o755)
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        done = subprocess.run(
            [str(CHECKOUT / "tools" / "demo"), str(kmpsolve)],
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    return done.stdout


def transcript_in_readme() -> str:
    """Return the transcript that README.md shows."""
    (shown,) = _TRANSCRIPT.findall(README.read_text(encoding="utf-8"))
    return str(shown)


def write() -> None:
    for name in SHOWN:
        shutil.rmtree(DEMO / name, ignore_errors=True)
    for committed, built in repositories():
        # The packages themselves are not needed to make a plan.
        shutil.copytree(built / "repodata", committed / "repodata", copy_function=shutil.copyfile)
    printed = transcript()
    readme = README.read_text(encoding="utf-8")
    README.write_text(_TRANSCRIPT.sub(lambda _: printed, readme), encoding="utf-8")


if __name__ == "__main__":
    write()
