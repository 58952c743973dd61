"""What there is to read, cut into pieces."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from kmpsolve.fleet.pieces import Block, only_lines, pieces
from kmpsolve.metadata.places import Place

LINE = b'{"schema_version":1,"host":"a","state":{"packages":["kernel-default-6.4.0-1.1.x86_64"]}}\n'


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.jsonl", LINE, True),
        ("a.jsonl.gz", gzip.compress(LINE), True),
        ("a.txt", b"kernel-default-6.4.0-1.1.x86_64\n", False),
        ("a.json", b"[\n" + LINE + b"]\n", False),
        ("a.gz", b"\x1f\x8bdamaged", False),
    ],
)
def test_only_lines_of_ours_need_no_names(tmp_path: Path, name: str, content: bytes, expected: bool) -> None:
    (tmp_path / name).write_bytes(content)
    (piece,) = pieces([str(tmp_path / name)])
    assert only_lines(piece) is expected
    place = Place(name="in", path=None, kind="stdin", host="stdin")
    if not name.endswith("gz"):
        assert only_lines(Block(place, content, first=True, last=True)) is expected


def test_of_several_small_files_nobody_can_tell_soon(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_bytes(LINE)
    (piece,) = pieces([str(tmp_path)])
    assert not only_lines(piece)
