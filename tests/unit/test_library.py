"""`kmpsolve.plan`, as programs call it: what it refuses, and that it answers what the command line does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import kmpsolve
from kmpsolve.cli import main
from kmpsolve.errors import NoRepositoryError, UsageError
from tests.support import rpmmd
from tests.support.packages import PackageSpec


def _kernel(release: str, crc: str) -> PackageSpec:
    return PackageSpec(
        name="kernel-default",
        version="6.4.0",
        release=f"{release}.1",
        provides=(f"kernel-uname-r = 6.4.0-{release}-default", f"ksym(default:a) = {crc}"),
    )


@pytest.fixture
def world(tmp_path: Path) -> tuple[Path, Path]:
    """A system, and a repository whose kernel breaks its KMP."""
    kmp = PackageSpec(
        name="acme-kmp-default", version="1_k6.4.0_1", release="1", requires=("ksym(default:a) = 1",)
    )
    rpmmd.write(tmp_path / "installed", [_kernel("1", "1"), kmp])
    rpmmd.write(tmp_path / "repo", [_kernel("2", "2")])
    return tmp_path / "installed", tmp_path / "repo"


def test_the_same_as_the_command_line(world: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    installed, repository = world
    assert main(["plan", "--installed", str(installed), "--repo", f"r={repository}", "--format", "json"]) == 4
    told = capsys.readouterr().out
    for repositories in ({"r": repository}, [("r", str(repository))]):
        for flavors in ((), ["default"], "default"):
            plan = kmpsolve.plan(installed=installed, repositories=repositories, flavors=flavors)
            assert plan.to_json() == told


def test_no_repository_is_none_at_all(world: tuple[Path, Path]) -> None:
    """Nobody knows of new kernels then; that must not look as if there were none."""
    nothing: list[Any] = [{}, [], iter(())]
    for none in nothing:
        with pytest.raises(NoRepositoryError):
            kmpsolve.plan(installed=world[0], repositories=none)


@pytest.mark.parametrize(
    "empty",
    [
        {"installed": ""},
        {"root": ""},
        {"kernel": ""},
        {"running": ""},
        {"config": ""},
        {"repositories": {"r": ""}},
    ],
    ids=lambda empty: next(iter(empty)),
)
def test_an_empty_text_is_no_folder(
    empty: dict[str, Any], world: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a path it is the folder that one happens to be in, which here even is a system."""
    installed, repository = world
    monkeypatch.chdir(installed)
    with pytest.raises(UsageError, match="is empty"):
        kmpsolve.plan(**{"installed": installed, "repositories": {"r": repository}, **empty})


def test_a_root_is_named_from_the_top(
    world: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed, repository = world
    (tmp_path / "system").mkdir()
    monkeypatch.chdir(tmp_path)
    plan = kmpsolve.plan(root="system", installed=installed, repositories={"r": repository})
    assert plan.inputs.root == str(tmp_path / "system")
