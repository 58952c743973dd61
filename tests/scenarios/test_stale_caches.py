"""Plans from zypper's own caches, fresh, out of date, and out of step with each other."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox import Sandbox
from tests.scenarios import runner
from tests.scenarios.test_commands import set_up
from tests.support import fixture, repository

_DAY = 86_400


def _refreshed(sandbox: Sandbox, tmp_path: Path) -> None:
    scenario = fixture.load("fetch")
    set_up(sandbox, scenario, runner.make_root(scenario, tmp_path / "root", tmp_path))
    assert sandbox.zypper("refresh").code == 0


def _plan(sandbox: Sandbox, *, days_later: int = 0) -> dict[str, Any]:
    words = ["plan", "--format", "json", "--root", str(sandbox.root)]
    plan: dict[str, Any] = runner.kmpsolve(words, now=str(int(time.time()) + days_later * _DAY)).plan
    return plan


def _warned(plan: dict[str, Any]) -> list[str]:
    found = [w for flavor in plan["flavors"] for w in flavor["warnings"]]
    return [warning["message"] for warning in found if warning["reference"] == "stale-metadata"]


def test_old_metadata_is_a_warning_and_never_more(tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        _refreshed(sandbox, tmp_path)
        fresh = _plan(sandbox)
        assert _warned(fresh) == []
        almost, old = _plan(sandbox, days_later=6), _plan(sandbox, days_later=8)
        assert almost == fresh
        assert _warned(old) == [
            "acme was not refreshed lately: zypper refresh acme",
            "updates was not refreshed lately: zypper refresh updates",
        ]
        for flavor in old["flavors"]:
            flavor["warnings"] = []
        assert old == fresh
        sandbox.write("/etc/kmpsolve/kmpsolve.toml", 'metadata_max_age = "30d"\n')
        assert _plan(sandbox, days_later=8) == fresh


def test_a_refresh_makes_it_new_again(tmp_path: Path) -> None:
    """Also one that finds nothing new, and so writes no metadata."""
    with Sandbox() as sandbox:
        _refreshed(sandbox, tmp_path)
        long_ago = time.time() - 30 * _DAY
        for path in sandbox.path("/var/cache/zypp").rglob("*"):
            sandbox.run(["touch", "-d", f"@{long_ago:.0f}", f"/{path.relative_to(sandbox.root)}"])
        assert len(_warned(_plan(sandbox))) == 2
        assert sandbox.zypper("refresh").code == 0
        assert _warned(_plan(sandbox)) == []


@pytest.mark.parametrize("lost", ["solv", "raw"])
def test_half_a_cache_is_enough(lost: str, tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        _refreshed(sandbox, tmp_path)
        whole = _plan(sandbox)
        assert sandbox.run(["rm", "-r", f"/var/cache/zypp/{lost}"]).code == 0
        half = _plan(sandbox)
        assert runner.comparable(half, between_sources=True) == runner.comparable(whole, between_sources=True)


def test_a_solv_file_that_is_older_than_its_metadata_does_not_count(tmp_path: Path) -> None:
    """zypper compares the cookie; what was refreshed later is what it would install."""
    with Sandbox() as sandbox:
        _refreshed(sandbox, tmp_path)
        before = _plan(sandbox)
        offered = [p for entry in fixture.load("fetch").repositories for p in entry.packages]
        kernel = next(spec for spec in offered if spec.name == "kernel-default")
        newer = dataclasses.replace(
            kernel,
            release="150600.23.99.1",
            provides=tuple(p.replace("150600.23.30", "150600.23.99") for p in kernel.provides),
            files=(),
        )
        for file in sandbox.path("/etc/zypp/repos.d").iterdir():
            file.write_text(file.read_text().replace("autorefresh=1", "autorefresh=0"))
        raw = f"/var/cache/zypp/raw/{before['flavors'][0]['target']['repository']}/repodata"
        assert sandbox.run(["rm", "-r", raw]).code == 0
        source = repository.rpm_md([*offered, newer]) / "repodata"
        assert sandbox.run(["cp", "-r", str(source), raw]).code == 0
        assert _plan(sandbox)["flavors"][0]["target"]["nevra"] == newer.nevra
