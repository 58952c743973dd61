"""The matrix, which takes short cuts, against its plain definition."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from kmpsolve import session
from kmpsolve.compat.judgement import judge
from kmpsolve.compat.matrix import Cell, matrix, offered_by, shortfall, unique_builds
from kmpsolve.config import read_config
from kmpsolve.errors import KmpsolveError
from kmpsolve.model.nevra import same_architecture
from kmpsolve.model.package import KernelUnit
from kmpsolve.planner import flavor_systems
from kmpsolve.request import Request
from kmpsolve.sources import Sources
from tests.property.strategies import FEATURES, worlds
from tests.property.test_oracle import FAMILIES
from tests.support.worlds import World, lay_out

Table = list[list[Cell | None]]


def plainly(loaded: session.Loaded, units: Sequence[KernelUnit]) -> Table:
    table = loaded.universe.table
    rows = unique_builds(loaded.universe.kmps)
    columns = []
    for unit in units:
        mine = [
            build
            for build in rows
            if build.flavor in (unit.flavor, "")
            and build.versioned
            and same_architecture(build.nevra.arch, unit.nevra.arch)
        ]
        fit = judge(mine, unit, table)
        offered = offered_by(build for build in mine if fit.fits(build))
        column: dict[int, Cell] = {}
        for build in mine:
            missing = [need for need in shortfall(build, fit, offered) if need.kind != "exact-kernel"]
            column[build.package.handle] = Cell(len(missing), fit.fits(build))
        columns.append(column)
    return [[column.get(build.package.handle) for column in columns] for build in rows]


def both(loaded: session.Loaded) -> tuple[Table, Table]:
    systems = flavor_systems(loaded.universe, loaded.request)
    units = [unit for system in systems.values() for unit in system.kernels.every()]
    found = matrix(loaded.universe.kmps, units, loaded.universe.table)
    by_nevra = {str(unit.nevra): unit for unit in units}
    ordered = [by_nevra[str(column.nevra)] for column in found.kernels]
    return [list(row) for row in found.cells], plainly(loaded, ordered)


@pytest.mark.parametrize("family", [*FAMILIES, "all"])
def test_the_matrix(family: str, tmp_path_factory: pytest.TempPathFactory) -> None:

    @settings(
        max_examples=40,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(worlds(*FAMILIES.get(family, FEATURES)))
    def same(of: World) -> None:
        asked = lay_out(of, tmp_path_factory.mktemp("world"))
        root = Path(asked["root"]) if asked.get("root") else None
        pairs = tuple((asked.get("repositories") or {}).items())
        sources = Sources(root=root, installed=asked["installed"], repositories=pairs or None)
        try:
            loaded = session.load(sources, Request(), read_config(root, None))
            found, expected = both(loaded)
        except KmpsolveError:
            return
        assert found == expected

    same()
