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
from tests.property.acceptance import plan_of
from tests.property.strategies import FEATURES, worlds
from tests.scenarios import runner
from tests.support import fixture
from tests.support.worlds import Kernel, Kmp, Repository, Tool, World, lay_out

FIXTURES = [name for name in fixture.names() if "rpm-md" in fixture.load(name).sources]


OLD, NEW = Kernel(release="10.1", ksyms="a=1"), Kernel(release="20.1", ksyms="a=2")
SHELL = Tool(name="shell")
ACME = Kmp(name="acme", krel="6.4.0-10", symbols="a=1", modules="acme.ko extra.ko")
FAR = Kmp(name="far", krel="6.4.0-20", symbols="a=2", exports="core=7", modules="extra.ko")


@pytest.mark.parametrize(
    "build",
    [
        {"modules": "acme.ko extra.ko", "requires": "far-kmp"},
        {"modules": "acme.ko extra.ko", "symbols": "a=2 core=7"},
        {"modules": "acme.ko"},
    ],
    ids=["by-name", "for-a-symbol", "for-a-module"],
)
def test_a_kmp_that_nobody_has_comes_along(build: dict[str, str]) -> None:
    fixed = Kmp(**{"name": "acme", "krel": "6.4.0-20", "version": "2.0", "symbols": "a=2", **build})  # type: ignore[arg-type]
    world = World(
        installed=[OLD, ACME, SHELL], repositories=[Repository(alias="r", packages=[NEW, fixed, FAR])]
    )
    answer = plan_of(world)
    assert answer["verdict"] == "safe"
    assert "far-kmp-default-1.0_k6.4.0_20-1.x86_64" in {step["nevra"] for step in answer["transaction"]}


def test_what_nobody_asks_for_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fixed = Kmp(name="acme", krel="6.4.0-20", version="2.0", symbols="a=2", modules="acme.ko extra.ko")
    world = World(
        installed=[OLD, ACME, SHELL], repositories=[Repository(alias="r", packages=[NEW, fixed, FAR])]
    )
    read: list[str] = []

    def near(self: Universe, names: Iterable[str] = ()) -> list[KmpBuild]:
        builds = self._kmps.near(names)
        read.extend(map(str, builds))
        return builds

    monkeypatch.setattr(Universe, "near_kmps", near)
    assert kmpsolve.plan(**lay_out(world, tmp_path)).verdict == "safe"
    assert read == ["acme-kmp-default-1.0_k6.4.0_10-1.x86_64", "acme-kmp-default-2.0_k6.4.0_20-1.x86_64"]


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
