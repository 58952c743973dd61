"""Whose record counts, and what a host is called."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator

import pytest

from kmpsolve.fleet.batch import Builder
from kmpsolve.fleet.gathering import gather
from kmpsolve.fleet.pieces import Block, pieces
from kmpsolve.fleet.reading import Reader
from kmpsolve.metadata.compression import CorruptError
from kmpsolve.metadata.inventories import sniff
from kmpsolve.metadata.places import Place, host_of_file

STATE = b'{"packages":["kernel-default-6.4.0-1.1.x86_64"]}'


def line(host: str, collected: object = None) -> bytes:
    moment = b"" if collected is None else b',"collected":%s' % str(collected).encode()
    return b'{"schema_version":1,"host":"%s"%s,"state":%s}\n' % (host.encode(), moment, STATE)


def hosts(*blocks: bytes) -> tuple[list[str], list[int | None]]:
    place = Place(name="in", path=None, kind="stdin", host="stdin")
    last = len(blocks) - 1
    pieces = [Block(place, data, number == 0, number == last) for number, data in enumerate(blocks)]
    fleet = gather([Reader(None, frozenset()).read(piece) for piece in pieces])
    return fleet.hosts, [damage.line for damage in fleet.damaged]


def test_line_numbers_go_on_over_pieces() -> None:
    assert hosts(line("a") + b"bad\n", line("b") + b"\n" + b"bad\n", b"bad\n") == (["a", "b"], [2, 5, 6])


def test_a_stream_that_is_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came before counts, as in a file."""

    def cut(data: bytes) -> tuple[list[str], list[int | None]]:
        stream = io.BytesIO(gzip.compress(data)[:-8])
        monkeypatch.setattr("kmpsolve.fleet.pieces.open_place", lambda _: stream)
        fleet = gather([Reader(None, frozenset()).read(piece) for piece in pieces(["-"])])
        return fleet.hosts, [damage.line for damage in fleet.damaged]

    hosts, damaged = cut(b"".join(line(f"h{n}") for n in range(200_000)))
    assert len(hosts) > 50_000
    assert damaged == [len(hosts) + 1]
    assert cut(line("a")) == ([], [1])
    assert cut(b"kernel-default-6.4.0-1.1.x86_64\n") == ([], [1])


def test_lines_before_a_damaged_block_are_those_of_their_file() -> None:
    def blocks() -> Iterator[bytes]:
        yield line("a") + line("b")
        raise CorruptError("the file ends too early")

    builder = Builder(None)
    builder.enter(Place(name="cut", path=None, host="cut", folder="in"))
    with pytest.raises(CorruptError):
        builder.lines(blocks(), first=True)
    assert (list(builder.batch.at), builder.batch.sources[0].lines) == ([0, 0], 2)
    builder.enter(Place(name="whole", path=None, host="whole", folder="in"))
    builder.lines([line("c")], first=True)
    assert list(builder.batch.at) == [0, 0, 1]


@pytest.mark.parametrize(
    ("first", "second", "damaged"),
    [(1, 2, []), (2, 1, []), (1, 1, [2]), (None, 1, [2]), (1, None, [2]), (None, None, [2])],
)
def test_only_a_newer_record_replaces_another(first: object, second: object, damaged: list[int]) -> None:
    assert hosts(line("a", first) + line("a", second)) == (["a"], damaged)


def test_a_replaced_record_gives_up_its_place() -> None:
    assert hosts(line("a", 1) + line("b", 1) + line("a", 2) + line("c", 1) + line("a", 3)) == (
        ["b", "c", "a"],
        [],
    )


@pytest.mark.parametrize(
    ("file", "host"),
    [
        ("web-1.txt", "web-1"),
        ("web-1.example.com.json.gz", "web-1.example.com"),
        ("a.jsonl.zst", "a"),
        ("a.csv.xz", "a"),
        ("a.txt.txt", "a.txt"),
        ("web-1.gz", "web-1.gz"),
        ("web-1", "web-1"),
    ],
)
def test_what_a_file_calls_its_host(file: str, host: str) -> None:
    assert host_of_file(file) == host


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (line("a"), "lines"),
        (b"damaged\n" + line("a"), "lines"),
        (b'{"ansible_facts": {"services": {"x": {"state": "running"}}, "packages": {}}}', "document"),
        (b'{\n  "schema_version": 1,\n  "state": {}\n}\n', "document"),
        (b'{"ansible_facts": {"packages": {}}}', "document"),
        (b'[{"name": "a"}]', "document"),
        (b"name,version,release\n", "csv"),
        (b"kernel-default-6.4.0-1.1.x86_64\n", "listing"),
        (b"\0" * 257 + b"ustar\0", "archive"),
    ],
)
def test_kinds_are_told_by_content(head: bytes, kind: str) -> None:
    assert sniff(head) == kind
