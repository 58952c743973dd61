"""Our locks among other people's, in a file that others change at the same moment."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmpsolve.errors import ConfigError, ZyppLockedError
from kmpsolve.zypp.lockfile import HOLD, KEEP, OwnLock, merged, own_locks, rewrite, zypp_lock

BOTH = frozenset((HOLD, KEEP))
ONE = OwnLock(name="kernel-default", evr="6.4.0-1.1", comment=HOLD)
TWO = OwnLock(name="kernel-default-devel", evr="6.4.0-1.1", comment=HOLD)
KEPT = OwnLock(name="kernel-default", evr="6.3.0-1.1", comment=KEEP)

lines = st.sampled_from(
    [
        "",
        "# words",
        "type: package",
        "match_type: exact",
        "solvable_name: other",
        "version: == 1",
        "no colon",
        "comment: x",
    ]
)
foreign = (
    st.lists(lines, max_size=12).map("\n".join).flatmap(lambda text: st.sampled_from([text, text + "\n"]))
)


def test_as_zypp_writes_it() -> None:
    assert merged("", [ONE], BOTH) == (
        "type: package\nmatch_type: exact\ncase_sensitive: on\nsolvable_name: kernel-default\n"
        "version: == 6.4.0-1.1\ncomment: kmpsolve hold\n\n"
    )
    assert own_locks(merged("", [ONE, KEPT], BOTH)) == (KEPT, ONE)


@given(foreign)
def test_what_is_foreign_comes_back(text: str) -> None:
    with_ours = merged(text, [ONE, TWO], BOTH)
    assert with_ours.startswith(text)
    assert set(own_locks(with_ours)) == {ONE, TWO}
    assert merged(with_ours, [ONE, TWO], BOTH) == with_ours
    without = merged(with_ours, [], BOTH)
    assert without.rstrip("\n") == text.rstrip("\n")


@given(foreign, foreign)
def test_what_is_written_around_ours_stays(before: str, after: str) -> None:
    text = merged(before, [ONE], BOTH) + after
    left = merged(text, [TWO], BOTH)
    words = [line for line in f"{before}\n{after}".split("\n") if line]
    assert [line for line in merged(left, [], BOTH).split("\n") if line] == words


def test_the_kinds_are_apart() -> None:
    text = merged("", [ONE, KEPT], BOTH)
    assert own_locks(merged(text, [], frozenset((HOLD,)))) == (KEPT,)
    assert own_locks(merged(text, [TWO], frozenset((HOLD,)))) == (KEPT, TWO)


def test_bytes_that_are_no_text_stay(tmp_path: Path) -> None:
    path = tmp_path / "locks"
    path.write_bytes(b"# \xff\xfe\r\n\ntype: package\nsolvable_name: \xe9\n")
    before = path.read_bytes()
    path.chmod(0o640)
    assert rewrite(path, [ONE], BOTH)
    assert path.read_bytes().startswith(before)
    assert path.stat().st_mode & 0o777 == 0o640
    assert not rewrite(path, [ONE], BOTH)
    assert rewrite(path, [], BOTH)
    assert path.read_bytes().rstrip(b"\n") == before.rstrip(b"\n")
    assert [found.name for found in tmp_path.iterdir()] == ["locks"]


def test_no_file_before_and_none_after(tmp_path: Path) -> None:
    path = tmp_path / "zypp" / "locks"
    assert not rewrite(path, [], BOTH)
    assert not path.exists()
    assert rewrite(path, [ONE], BOTH)
    assert path.stat().st_mode & 0o777 == 0o644
    assert rewrite(path, [], BOTH)
    assert not path.exists()


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    with pytest.raises(ConfigError, match="cannot be written"):
        rewrite(tmp_path / "locks", [ONE], BOTH)


def test_a_pipe_in_its_place(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "locks")
    with pytest.raises(ConfigError, match="not a regular file"):
        rewrite(tmp_path / "locks", [ONE], BOTH)
    assert [path.name for path in tmp_path.iterdir()] == ["locks"]


def test_edited_by_somebody_else_at_the_same_time(tmp_path: Path) -> None:
    """Somebody adds an entry at a time, by replacing the file; none is lost."""
    path = tmp_path / "locks"
    path.write_text("")
    count = 200
    guard = threading.Lock()
    stop = threading.Event()

    def edit() -> None:
        for number in range(count):
            with guard:  # an editor's own file, read and replaced as one
                draft = tmp_path / "draft"
                draft.write_text(f"{path.read_text()}type: package\nsolvable_name: entry-{number}\n\n")
                draft.replace(path)
        stop.set()

    editor = threading.Thread(target=edit)
    editor.start()
    turn = 0
    while not stop.is_set():
        turn += 1
        with guard:  # between reading and replacing an editor never lets go here; see the next test for that
            rewrite(path, [ONE] if turn % 2 else [TWO], BOTH)
    editor.join()
    text = path.read_text()
    assert [n for n in range(count) if f"solvable_name: entry-{n}\n" not in text] == []
    assert len(own_locks(text)) == 1


def test_replaced_between_reading_and_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kmpsolve.zypp import lockfile

    path = tmp_path / "locks"
    path.write_text("type: package\nsolvable_name: first\n\n")
    exchange = lockfile._swap
    late = ["second", "third"]

    def interrupted(draft: Path, target: Path) -> bytes | None:
        if late:
            theirs = path.read_text().replace(ONE.block(), "")
            path.write_text(f"{theirs}type: package\nsolvable_name: {late.pop(0)}\n\n")
        return exchange(draft, target)

    monkeypatch.setattr(lockfile, "_swap", interrupted)
    assert rewrite(path, [ONE], BOTH)
    text = path.read_text()
    assert all(f"solvable_name: {name}\n" in text for name in ("first", "second", "third"))
    assert own_locks(text) == (ONE,)


def test_the_lock_of_a_living_process(tmp_path: Path) -> None:
    lock = tmp_path / "run/zypp.pid"
    with zypp_lock(tmp_path):
        assert lock.read_text() == f"{os.getpid()}\n"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        lock.write_text(f"{other.pid}\n")
        with pytest.raises(ZyppLockedError, match=f"process {other.pid}"), zypp_lock(tmp_path):
            pass
        assert lock.read_text() == f"{other.pid}\n"
        other.communicate(b"\n")
    with zypp_lock(tmp_path):
        assert lock.read_text() == f"{os.getpid()}\n"
    assert lock.read_text() == ""


def test_a_process_that_ended_and_that_nobody_waited_for_holds_nothing(tmp_path: Path) -> None:
    lock = tmp_path / "run/zypp.pid"
    lock.parent.mkdir()
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.read()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        assert Path(f"/proc/{other.pid}").exists()
        lock.write_text(f"{other.pid}\n")
        with zypp_lock(tmp_path):
            assert lock.read_text() == f"{os.getpid()}\n"


def test_inside_the_program_that_holds_it(tmp_path: Path) -> None:
    lock = tmp_path / "run/zypp.pid"
    lock.parent.mkdir()
    lock.write_text(f"{os.getppid()}\n")
    with zypp_lock(tmp_path):
        assert lock.read_text() == f"{os.getppid()}\n"
