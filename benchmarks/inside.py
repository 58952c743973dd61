"""Parts of kmpsolve, timed in a process of their own after all imports: ``python -m benchmarks.inside PART``.

Prints the median of some rounds in seconds of CPU; run where the system of a world is ``/``.
"""

from __future__ import annotations

import gc
import os
import resource
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

from kmpsolve.cache.identity import name_of
from kmpsolve.compat.judgement import judge
from kmpsolve.compat.matrix import Matrix, matrix
from kmpsolve.compat.remembered import recall, remember
from kmpsolve.config import read_config
from kmpsolve.metadata.content import Content
from kmpsolve.metadata.root import read_root
from kmpsolve.metadata.source import open_source
from kmpsolve.model.package import KernelUnit, KmpBuild
from kmpsolve.planner import flavor_systems
from kmpsolve.planner.evaluation import evaluate
from kmpsolve.request import Request
from kmpsolve.session import Loaded, load, prepare
from kmpsolve.solver.universe import Universe
from kmpsolve.solver.view import open_view, save_view, solver_version
from kmpsolve.sources import Sources

_ROOT = Path("/")


def _spent() -> float:
    """Seconds of CPU so far, those of children included: libsolv reads what is large in one."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def _loaded(*, cached: bool) -> Loaded:
    return load(Sources(root=_ROOT), Request(), read_config(_ROOT, None), cached=cached)


def keep() -> None:
    """Write the cache in the foreground."""
    loaded = _loaded(cached=True)
    if loaded.keep is not None and not loaded.keep():
        raise SystemExit("the cache cannot be written")
    name = name_of(read_root(_ROOT), solver=solver_version())
    if name is None or open_view(name) is None:
        raise SystemExit("there is no cache to read")


def make() -> float:
    """From repodata as it comes to a cache: what zypper does in a refresh."""
    began = _spent()
    system = read_root(_ROOT)
    universe, _ = prepare(system, Request(), read_config(_ROOT, None))
    contents: list[tuple[Content, int]] = []
    installed = system.installed().content
    contents.append((installed, universe.load(installed)))
    for repository in system.repositories:
        folder = repository.definition.urls[0].removeprefix("dir:")
        content = open_source(folder, alias=repository.alias, priority=repository.priority)
        contents.append((content, universe.load(content)))
    universe.seal()
    if not save_view(f"made-{os.getpid()}", universe, contents):
        raise SystemExit("the cache cannot be written")
    return _spent() - began


def _of_kernels(work: Callable[[Universe, Loaded], object], *, cached: bool, rounds: int) -> float:
    """Time `work` on a universe that is only just loaded, each time."""
    taken = []
    for _ in range(rounds):
        loaded = _loaded(cached=cached)
        began = _spent()
        work(loaded.universe, loaded)
        taken.append(_spent() - began)
    return statistics.median(taken)


def _units(loaded: Loaded) -> list[KernelUnit]:
    systems = flavor_systems(loaded.universe, loaded.request)
    return [unit for system in systems.values() for unit in system.kernels.every()]


def whole_matrix(universe: Universe, loaded: Loaded) -> Matrix:
    return matrix(universe.kmps, _units(loaded), universe.table)


def kept_matrix() -> float:
    """The matrix that an earlier run kept, with finding out of which kernels it is to be."""
    loaded = _loaded(cached=False)
    name = name_of(read_root(_ROOT), solver=solver_version())
    assert name is not None
    remember(name, _units(loaded), whole_matrix(loaded.universe, loaded))

    def recalled(_: Universe, loaded: Loaded) -> None:
        assert loaded.cache is not None
        if recall(loaded.cache, _units(loaded)) is None:
            raise SystemExit("no matrix was kept")

    return _of_kernels(recalled, cached=True, rounds=7)


def all_mismatches(universe: Universe, loaded: Loaded) -> None:
    """Of every KMP's newest build for an older kernel, the symbols that the newest kernel lacks, with both CRCs."""
    system = flavor_systems(universe, loaded.request)["default"]
    unit = system.kernels.every()[-1]
    fit = judge(universe.kmps, unit, universe.table)
    older: dict[str, KmpBuild] = {}
    for build in universe.kmps:
        if not fit.fits(build) and (build.name not in older or build.nevra.evr > older[build.name].nevra.evr):
            older[build.name] = build
    found = {}
    for build in older.values():
        for need in fit.open[build.package.handle]:
            found[build.name, need.name] = (need.value, unit.exports.get(need.key))


def solve(universe: Universe, loaded: Loaded) -> None:
    system = flavor_systems(universe, loaded.request)["default"]
    unit = system.kernels.zypper_up_pick()
    assert unit is not None
    evaluate(system, unit)


_PARTS: dict[str, Callable[[], float | None]] = {
    "keep": keep,
    "make": make,
    "matrix-solv": lambda: _of_kernels(whole_matrix, cached=False, rounds=3),
    "matrix-kept": kept_matrix,
    "mismatches": lambda: _of_kernels(all_mismatches, cached=False, rounds=3),
    "solve": lambda: _of_kernels(solve, cached=True, rounds=7),
    "solve-full": lambda: _of_kernels(solve, cached=False, rounds=3),
}

if __name__ == "__main__":
    gc.set_threshold(100_000)  # as the command does
    print(_PARTS[sys.argv[1]]())
