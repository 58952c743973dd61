"""Inventories by address, read by whom fsspec knows for it."""

from __future__ import annotations

import json
import random
import zipfile
from pathlib import Path

import pytest

from tests.fleet import fleets
from tests.fleet.conftest import World, run
from tests.fleet.test_cluster import cluster


@pytest.fixture(scope="module")
def hosts(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of inventory lines, and the same one in an archive beside it."""
    file = tmp_path_factory.mktemp("addresses") / "fleet.jsonl"
    chance = random.Random(5)  # noqa: S311
    file.write_bytes(b"".join(fleets.lines(chance, world.states, 500)))
    with zipfile.ZipFile(file.with_suffix(".zip"), "w") as archive:
        archive.write(file, "inner/fleet.jsonl")
    return file


def _addresses(hosts: Path) -> list[str]:
    return [f"file://{hosts}", f"zip://inner/fleet.jsonl::file://{hosts.with_suffix('.zip')}"]


@pytest.mark.parametrize("number", [0, 1], ids=["file", "an archive"])
def test_an_address_is_as_good_as_a_path(number: int, hosts: Path, world: World) -> None:
    by_path = run("audit", hosts, *world.repo, "--format", "json")
    by_address = run("audit", _addresses(hosts)[number], *world.repo, "--format", "json")
    assert by_path.returncode == by_address.returncode == 4, by_address.stderr
    assert by_path.stdout == by_address.stdout


def test_workers_read_addresses_themselves(hosts: Path, world: World, tmp_path: Path) -> None:
    alone = run("audit", *_addresses(hosts), *world.repo, "--format", "json")
    with cluster(tmp_path, 2) as (address, _):
        spread = run("audit", *_addresses(hosts), *world.repo, "--format", "json", "--scheduler", address)
    assert spread.returncode == alone.returncode == 4, spread.stderr
    assert spread.stdout == alone.stdout


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("file:///nowhere/fleet.jsonl", "No such file"),
        ("nosuch://bucket/fleet.jsonl", "Protocol not known"),
        ("zip://fleet.jsonl::file:///dev/null", "zip"),
    ],
)
def test_an_address_that_leads_nowhere(address: str, reason: str, hosts: Path, world: World) -> None:
    alone = run("audit", address, *world.repo)
    assert (alone.returncode, alone.stdout) == (3, b"")
    assert reason in alone.stderr.decode()
    among = run("audit", address, hosts, *world.repo, "--format", "json")
    document = json.loads(among.stdout)
    assert document["hosts"] == 500
    assert [entry["source"] for entry in document["damaged"]] == [address]
