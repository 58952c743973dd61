"""Builds on offer that are not looked at closely change no plan: over all fixtures and random worlds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

import kmpsolve
from kmpsolve.errors import KmpsolveError
from kmpsolve.model.package import KmpBuild
from kmpsolve.solver.universe import Universe
from tests.property.strategies import FEATURES, worlds
from tests.scenarios import runner
from tests.support import fixture
from tests.support.worlds import World, lay_out

FIXTURES = [name for name in fixture.names() if "rpm-md" in fixture.load(name).sources]


def all_of_them(self: Universe, names: Iterable[str] = ()) -> list[KmpBuild]:
    return self.kmps


@pytest.mark.parametrize("name", FIXTURES)
def test_fixture(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = fixture.load(name)
    (tmp_path / "a").mkdir()
    near = runner.ask(scenario, "rpm-md", tmp_path / "a", "plan", "--format", "json")
    (tmp_path / "a").rename(tmp_path / "b")
    (tmp_path / "a").mkdir()
    monkeypatch.setattr(Universe, "near_kmps", all_of_them)
    assert near == runner.ask(scenario, "rpm-md", tmp_path / "a", "plan", "--format", "json")


def answer(of: World, folder: Path) -> str:
    try:
        return kmpsolve.plan(**lay_out(of, folder)).to_json()
    except KmpsolveError as error:
        return str(error)


def test_random_worlds(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    @settings(
        max_examples=60,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(worlds(*FEATURES))
    def same(of: World) -> None:
        folder = tmp_path_factory.mktemp("world")
        near = answer(of, folder / "a")
        with monkeypatch.context() as patched:
            patched.setattr(Universe, "near_kmps", all_of_them)
            assert answer(of, folder / "b").replace(str(folder / "b"), str(folder / "a")) == near

    same()
