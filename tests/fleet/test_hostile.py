"""Inventories from strangers: nothing in them stops the rest, and nothing in them acts."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest

from kmpsolve.fleet.formats import _safe_cell
from tests.fleet.conftest import World, run

DAMAGED = {
    "no JSON": b"{]",
    "another version": b'{"schema_version":9,"host":"x","state":{}}',
    "wrong type of state": b'{"schema_version":1,"host":"x","state":[]}',
    "wrong type of packages": b'{"schema_version":1,"host":"x","state":{"packages":7}}',
    "wrong type inside": b'{"schema_version":1,"host":"x","state":{"kmps":[{"nevra":1}]}}',
    "no package": b'{"schema_version":1,"host":"x","state":{"packages":["-rf /"]}}',
    "an option for a package": b'{"schema_version":1,"host":"x","state":{"packages":["--root=/-1-1.noarch"]}}',
    "deep nesting": b'{"schema_version":1,"host":"x","state":' + b"[" * 100_000 + b"}",
    "deep nesting in what is passed over": b'{"schema_version":1,"host":"x","more":' + b'{"a":' * 100_000,
    "host of a wrong type": b'{"schema_version":1,"host":7,"state":{}}',
    "host with control characters": b'{"schema_version":1,"host":"a\\u001b[31mb","state":{}}',
    "host with a new line": b'{"schema_version":1,"host":"a\\nb","state":{}}',
    "empty host": b'{"schema_version":1,"host":"","state":{}}',
    "endless host": b'{"schema_version":1,"host":"' + b"h" * 5000 + b'","state":{}}',
    "no UTF-8": b'{"schema_version":1,"host":"\xff\xfe","state":{}}',
    "a bare surrogate": b'{"schema_version":1,"host":"\\ud800","state":{}}',
    "NUL bytes": b"\0" * 100,
    "ten megabytes": b'{"schema_version":1,"host":"' + b"h" * (10 << 20) + b'","state":{}}',
    "ten megabytes of nothing": b"x" * (10 << 20),
}


def test_a_damaged_line_is_told_and_the_rest_goes_on(world: World, tmp_path: Path) -> None:
    inventory = tmp_path / "f.jsonl"
    lines = [
        part
        for number, line in enumerate(DAMAGED.values())
        for part in (world.line(f"h{number}"), line + b"\n")
    ]
    inventory.write_bytes(b"".join(lines) + world.line("last"))
    done = run("audit", inventory, *world.repo, "--format", "json")
    document = json.loads(done.stdout)
    assert [one["host"] for one in document["results"]] == [*(f"h{n}" for n in range(len(DAMAGED))), "last"]
    told = {d["line"]: d["reason"] for d in document["damaged"]}
    assert list(told) == [2 * n + 2 for n in range(len(DAMAGED))]
    assert all(len(reason) < 300 and reason.isprintable() for reason in told.values())
    assert {d["source"] for d in document["damaged"]} == {str(inventory)}
    assert done.stderr == b""


def test_a_file_without_a_host_is_one_damaged_entry(world: World, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(world.line("a") + world.line("b"))
    contents = [
        b"",
        b"\n\n",
        b"[" * 100_000,
        b"{" * 1000,
        b"\x1f\x8b broken",
        b"\x28\xb5\x2f\xfd broken",
        b"BZh9",
    ]
    damaged = (line + b"\n" for name, line in DAMAGED.items() if name != "empty host")
    contents += [b"[]", b"{}", b"bad\nworse\n", *damaged]
    for number, content in enumerate(contents):
        (tmp_path / f"b{number:02}.json").write_bytes(content)
    document = world.audit(tmp_path)
    assert document["hosts"] == 2
    expected = [f"{tmp_path}/b{number:02}.json" for number in range(len(contents))]
    assert [d["source"] for d in document["damaged"]] == expected


def test_names_that_would_lead_out_of_a_folder_are_only_names(world: World, tmp_path: Path) -> None:
    names = [
        "../../etc/passwd",
        "/etc/shadow",
        "a/b",
        "C:\\x",
        "`id`",
        "$(id)",
        "<script>alert(1)</script>",
        "=1+1",
    ]
    before = set(tmp_path.rglob("*"))
    given = b"".join(world.line(name) for name in names)
    for form in ("json", "jsonl", "csv", "html", "prometheus", "junit", "text"):
        done = run("audit", "-", *world.repo, "--format", form, given=given, cwd=tmp_path)
        assert done.returncode in (0, 4, 110), done.stderr
        assert b"<script>alert" not in (b"" if form in ("json", "jsonl", "csv", "text") else done.stdout)
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1", "-1", "@x", "|cmd", "\t=1", "\r=1", " =1", "'=1", '"=1', "\uff1d1"]
)
def test_no_cell_is_a_formula(cell: str) -> None:
    assert _safe_cell(cell).startswith("'")


def test_a_file_whose_name_is_no_utf8(world: World, tmp_path: Path) -> None:
    """The document is one for strict parsers too."""
    (tmp_path / "good.jsonl").write_bytes(world.line("a"))
    (tmp_path / os.fsdecode(b"\xff.txt")).write_text("nonsense\n")
    ended = run("audit", tmp_path, *world.repo, "--format", "json")
    document = msgspec.json.decode(ended.stdout)
    assert [one["host"] for one in document["results"]] == ["good"]
    assert [one["source"] for one in document["damaged"]] == [f"{tmp_path}/\ufffd.txt"]


def test_a_fifo_in_a_folder_is_not_waited_for(world: World, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.json")
    (tmp_path / "a.jsonl").write_bytes(world.line("a") + world.line("b"))
    document = world.audit(tmp_path)
    assert document["hosts"] == 2
    assert len(document["damaged"]) == 1
