"""A cache is believed only if it is whole and nobody else can have written it."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

import pytest

from kmpsolve.cache import place
from kmpsolve.metadata.http import cache_folder

FILES = {"a": b"first", "empty": b"", "b": bytes(range(256)) * 1000}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KMPSOLVE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def content(name: str = "x") -> dict[str, bytes] | None:
    stored = place.read(name)
    if stored is None:
        return None
    found = {file: bytes(stored.block(file)) for file in FILES}
    stored.close()
    return found


def test_what_is_written_is_read() -> None:
    assert content() is None
    assert place.write("x", FILES)
    assert content() == FILES


def test_it_stays_readable_when_it_is_replaced(folder: Path) -> None:
    place.write("x", FILES)
    stored = place.read("x")
    assert stored is not None
    (folder / "x" / "a").unlink()
    assert bytes(stored.block("a")) == b"first"
    assert stored.path("a").read_bytes() == b"first"
    stored.close()


@pytest.mark.parametrize("file", ["a", "b", "list.json"])
def test_a_changed_byte_is_noticed_and_the_next_writer_replaces_it(folder: Path, file: str) -> None:
    place.write("x", FILES)
    path = folder / "x" / file
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    assert content() is None
    assert place.write("x", FILES)
    assert content() == FILES


@pytest.mark.parametrize("file", ["a", "list.json"])
def test_a_file_that_is_cut_short_or_gone_is_noticed(folder: Path, file: str) -> None:
    place.write("x", FILES)
    (folder / "x" / file).write_bytes(b"")
    assert content() is None
    (folder / "x" / file).unlink()
    assert content() is None


def test_a_list_that_lacks_a_file_is_noticed(folder: Path) -> None:
    place.write("x", FILES)
    listed = folder / "x" / "list.json"
    listed.write_text(re.sub(r'"a": [0-9]+, ', "", listed.read_text()))
    assert '"b": ' in listed.read_text()
    assert place.read("x") is None


def test_under_another_name_it_is_none(folder: Path) -> None:
    place.write("x", FILES)
    (folder / "x").rename(folder / "y")
    assert content("y") is None
    assert place.write("y", FILES)
    assert content("y") == FILES


@pytest.mark.parametrize("below", ["", "x", "x/a", "x/list.json"])
@pytest.mark.parametrize("bit", [0o020, 0o002])
def test_what_others_can_write_is_refused(folder: Path, below: str, bit: int) -> None:
    place.write("x", FILES)
    path = folder / below
    path.chmod(path.stat().st_mode | bit)
    assert content() is None


@pytest.mark.parametrize("below", ["", "x", "x/a", "x/list.json"])
def test_what_belongs_to_somebody_else_is_refused(folder: Path, below: str) -> None:
    place.write("x", FILES)
    os.chown(folder / below, 12345, -1)
    assert content() is None


def test_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    place.write("x", FILES)
    (tmp_path / "a").write_bytes(b"first")
    (folder / "x" / "a").unlink()
    (folder / "x" / "a").symlink_to(tmp_path / "a")
    assert content() is None


def test_a_fifo_is_refused_at_once(folder: Path) -> None:
    place.write("x", FILES)
    (folder / "x" / "a").unlink()
    os.mkfifo(folder / "x" / "a")
    assert content() is None


@pytest.mark.parametrize("kind", ["fifo", "file", "link", "dangling"])
def test_the_next_writer_replaces_whatever_stands_there(kind: str, folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    for path in (folder / "x", *(folder / f"old-{number}" for number in range(9))):
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "file":
            path.touch()
        else:
            path.symlink_to(tmp_path if kind == "link" else "nowhere")
    assert place.write("x", FILES)
    assert content() == FILES
    assert len(list(folder.iterdir())) < 9


def test_another_format_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    place.write("x", FILES)
    monkeypatch.setattr(place, "FORMAT", place.FORMAT + 1)
    assert content() is None


def test_writers_and_readers_at_once_never_see_half(folder: Path) -> None:
    failures: list[object] = []

    def work() -> None:
        for _ in range(30):
            place.write("x", FILES)
            found = content()
            if found not in (None, FILES):
                failures.append(found)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert content() == FILES
    assert sorted(path.name for path in folder.iterdir()) == ["x"]


def test_few_are_kept(folder: Path) -> None:
    for number in range(10):
        place.write(str(number), FILES)
        os.utime(folder / str(number), (number, number))
    assert len(list(folder.iterdir())) <= 7


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KMPSOLVE_CACHE", str(tmp_path / "file" / "cache"))
    assert not place.write("x", FILES)
    assert content() is None


def test_an_empty_variable_switches_caches_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KMPSOLVE_CACHE", "")
    assert not place.write("x", FILES)
    assert place.read("x") is None


def test_what_was_fetched_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what is remembered of a repository, so that it cannot go back in time without a word."""
    monkeypatch.delenv("KMPSOLVE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    newest = cache_folder() / "0123456789abcdef" / "newest"
    newest.parent.mkdir(parents=True)
    newest.write_text("1700000000")
    for number in range(8):
        assert place.write(f"n{number}", FILES)
    assert newest.exists()
    assert list(place.survey()[0].values()) == [True] * 6
