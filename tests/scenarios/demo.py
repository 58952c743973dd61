"""``make demo-repos``: writes repos/demo, the metadata that ``make demo`` plans with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.support import fixture, repository

DEMO = Path(__file__).parents[2] / "repos" / "demo"
SHOWN = ("blocked", "safe")


def repositories() -> Iterator[tuple[Path, Path]]:
    """Yield each committed repository and the one that the builder makes of its fixture."""
    for name in SHOWN:
        scenario = fixture.load(f"demo-{name}")
        yield DEMO / name / "installed", repository.rpm_md(scenario.installed)
        for entry in scenario.repositories:
            built = repository.rpm_md(entry.packages, entry.patches)
            yield DEMO / name / "repositories" / entry.alias, built


def write() -> None:
    for name in SHOWN:
        shutil.rmtree(DEMO / name, ignore_errors=True)
    for committed, built in repositories():
        # The packages themselves are not needed to make a plan.
        shutil.copytree(built / "repodata", committed / "repodata", copy_function=shutil.copyfile)


if __name__ == "__main__":
    write()
