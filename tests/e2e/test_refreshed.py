"""After a refresh that brought something new, zypper starts us in the background; the next plan finds its cache."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.host import DRIVER, NEW, OLD, REBUILD, Host, specs
from tests.support import cache, rpmmd
from tests.support.packages import PackageSpec

_PLUGIN = "/usr/lib/zypp/plugins/appdata/kmpsolve"
_VIEWS = "/var/cache/kmpsolve/views"
_PATIENCE = 60
_READ_FROM = """
import os, sys
sys.path.insert(0, "/usr/lib/kmpsolve")
from kmpsolve.config import read_config
from kmpsolve.request import Request
from kmpsolve.session import load
from kmpsolve.sources import Sources
from pathlib import Path
print(load(Sources(root=Path("/")), Request(), read_config(Path("/")), cached=True).from_cache)
"""


def _distribution() -> Path:
    """A repository with as many packages as are worth a cache."""
    number = 6000
    others = [
        PackageSpec(name=f"other-{n}", version="1", release="1", requires=(f"other-{n // 2} >= 1",))
        for n in range(1, number)
    ]

    def fill(folder: Path) -> None:
        rpmmd.write(folder, others)

    return cache.folder("distribution", cache.digest(number), fill)


def _kept(host: Host) -> list[str]:
    return [path.name for path in host.path(_VIEWS).glob("[!.]*") if (path / "list.json").exists()]


def _python(host: Host) -> str:
    return host.path(f"{host.library}/python").read_text().strip()


@pytest.fixture
def host() -> Iterator[Host]:
    with Host(OLD, DRIVER, refreshed=True) as host:
        host.add("updates", specs(NEW, REBUILD))
        host.add_repository("distribution", f"dir:{_distribution()}")
        yield host


def test_the_plan_after_a_refresh_reads_what_was_kept(host: Host) -> None:
    assert not _kept(host)
    assert host.zypper("refresh").code == 0
    deadline = time.monotonic() + _PATIENCE
    while not _kept(host):
        assert time.monotonic() < deadline, "zypper started nothing that keeps a cache"
        time.sleep(0.1)
    (name,) = _kept(host)
    read = host.run([_python(host), "-I", "-c", _READ_FROM])
    assert read.stdout == "True\n", str(read)
    clock = {"SOURCE_DATE_EPOCH": "1782000000"}
    told = host.kmpsolve("plan", "--format", "json", env=clock)
    assert told.code == 0, str(told)
    plain = host.kmpsolve("plan", "--format", "json", env={**clock, "KMPSOLVE_CACHE": ""})
    assert told.stdout == plain.stdout
    assert _kept(host) == [name]


@pytest.mark.parametrize("without", ["a KMP", "many packages", "caches", "nothing"])
def test_nothing_is_kept_where_nobody_would_read_it(host: Host, without: str) -> None:
    assert host.run(["mv", _PLUGIN, "/plugin"]).code == 0  # zypper would start it too
    environment = {}
    if without == "a KMP":
        assert host.run(["rpm", "-e", DRIVER]).code == 0
    elif without == "many packages":
        host.zypper("modifyrepo", "--disable", "distribution")
    elif without == "caches":
        environment = {"KMPSOLVE_CACHE": ""}
    assert host.zypper("refresh").code == 0
    ended = host.run(["/plugin"], env=environment)
    assert (ended.code, ended.stdout, ended.stderr) == (0, "", "")
    assert bool(_kept(host)) == (without == "nothing")


def test_what_zypper_cannot_start_does_not_trouble_it(host: Host) -> None:
    host.write(f"{host.library}/python", "/gone/python\n")
    ended = host.zypper("refresh")
    assert (ended.code, ended.stderr) == (0, ""), str(ended)
