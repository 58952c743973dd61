"""Universes straight from package descriptions, for tests of what the solver and the planner ask of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kmpsolve.metadata.locks import parse_locks
from kmpsolve.metadata.source import open_source
from kmpsolve.request import Policy
from kmpsolve.solver.universe import SYSTEM, Universe
from tests.support import rpmmd
from tests.support.packages import PackageSpec


def sealed(
    folder: Path,
    repositories: Mapping[str, Sequence[PackageSpec]],
    installed: Sequence[PackageSpec] = (),
    *,
    retracted: Iterable[PackageSpec] = (),
    locks: Iterable[str] = (),
    rebuilding: Collection[str] = (),
    **policy: Any,
) -> Universe:
    """A sealed universe.

    Parameters
    ----------
    folder
        Where its metadata is written.
    retracted
        Of the repositories' packages.
    locks
        Names of packages.
    rebuilding
        Names of the KMPs that rebuild themselves on the host.
    policy
        zypp's settings, as in `Policy`.
    """
    text = "\n".join(f"type: package\nmatch_type: exact\nsolvable_name: {name}\n" for name in locks)
    held = tuple(block.lock for block in parse_locks(text).blocks if block.lock is not None)
    of = Universe(Policy(locks=held, **policy), rebuilding.__contains__)
    if installed:
        of.load(open_source(str(rpmmd.write(folder / "system", installed)), alias=SYSTEM))
    else:
        of.load_no_system()
    withdrawn = {spec.nevra for spec in retracted}
    for alias, packages in repositories.items():
        place = rpmmd.write(folder / alias, packages, retracted=[p for p in packages if p.nevra in withdrawn])
        of.load(open_source(str(place), alias=alias))
    of.seal()
    return of
