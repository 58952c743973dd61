"""What root believes and leaves behind: nothing that somebody else can write, follow or change under its hands."""

from __future__ import annotations

import ast
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmpsolve.cache import place
from kmpsolve.cli.entry import main
from kmpsolve.config import Config, read_config
from kmpsolve.errors import ConfigError
from kmpsolve.metadata.files import out_of_reach, safe_place
from kmpsolve.metadata.http import cache_folder
from kmpsolve.report.files import write_output, write_whole
from kmpsolve.zypp.first_stage import last_on_error
from kmpsolve.zypp.lockfile import HOLD, OwnLock, own_locks, rewrite
from tests.e2e.host import DRIVER, NEW, OLD, Host, specs, stopped

CHECKOUT = Path(__file__).parents[2]
MINE = OwnLock(name="kernel-default", evr="1-1", comment=HOLD)


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Root's rules, whoever runs the tests; their files count as root's where root is somebody else."""
    if os.geteuid() != 0:
        monkeypatch.setattr("kmpsolve.metadata.files._ROOT", os.geteuid())
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    yield


def _root(folder: Path, text: str = 'on_error = "abort"\n') -> Path:
    (folder / "etc" / "kmpsolve" / "conf.d").mkdir(parents=True)
    (folder / "etc" / "kmpsolve" / "kmpsolve.toml").write_text(text)
    (folder / "etc" / "kmpsolve" / "conf.d" / "a.toml").write_text('on_blocked = "hold"\n')
    return folder


PLACES = ["", "kmpsolve.toml", "conf.d", "conf.d/a.toml"]


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("below", PLACES)
def test_a_configuration_that_others_can_write(below: str, tmp_path: Path) -> None:
    root = _root(tmp_path)
    assert read_config(root).on_error == "abort"
    path = root / "etc" / "kmpsolve" / below
    path.chmod(path.stat().st_mode | 0o002)
    with pytest.raises(ConfigError, match="can be written by others than root") as caught:
        read_config(root)
    assert "chmod go-w" in (caught.value.hint or "")


@pytest.mark.usefixtures("as_root")
def test_the_configuration_of_the_command_line(tmp_path: Path) -> None:
    extra = tmp_path / "extra.toml"
    extra.write_text("")
    assert read_config(None, extra) == Config()
    extra.chmod(0o666)
    with pytest.raises(ConfigError, match="can be written by others"):
        read_config(None, extra)


@pytest.mark.parametrize("kind", ["fifo", "folder", "dangling", "loop"])
def test_a_configuration_that_is_no_file(kind: str, tmp_path: Path) -> None:
    root = _root(tmp_path)
    path = root / "etc" / "kmpsolve" / "kmpsolve.toml"
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere" if kind == "dangling" else "kmpsolve.toml")
    with pytest.raises(ConfigError):
        read_config(root)


def test_the_first_stage_reads_nobody_else_s_word(tmp_path: Path) -> None:
    root = _root(tmp_path)
    path = root / "etc" / "kmpsolve" / "kmpsolve.toml"
    assert last_on_error(str(root)) == "abort"
    path.chmod(0o646)
    assert last_on_error(str(root)) == "warn"
    path.unlink()
    os.mkfifo(path)
    assert last_on_error(str(root)) == "warn"


def test_whose_word_counts(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("")
    for mode, believed in ((0o644, True), (0o600, True), (0o646, False), (0o666, False)):
        path.chmod(mode)
        assert out_of_reach(path) == believed
    path.chmod(0o664)
    assert out_of_reach(path) == (path.stat().st_gid == 0)
    if os.geteuid() == 0:
        path.chmod(0o644)
        os.chown(path, 65534, 65534)
        assert not out_of_reach(path)
        assert out_of_reach(path, owner=65534)
        path.chmod(0o664)
        assert not out_of_reach(path, owner=65534)


@pytest.mark.usefixtures("as_root")
def test_the_cache_of_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not where a variable that came through sudo says, if somebody else can change what lies there."""
    mine = tmp_path / "a" / "b"
    mine.mkdir(parents=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(mine))
    assert cache_folder() == mine / "kmpsolve"
    mine.parent.chmod(0o777)
    assert cache_folder() == Path("/var/cache/kmpsolve")
    mine.parent.chmod(0o755)
    link = tmp_path / "link"
    link.symlink_to(mine)
    monkeypatch.setenv("XDG_CACHE_HOME", str(link))
    assert cache_folder() == Path("/var/cache/kmpsolve")
    assert safe_place(tmp_path / "not" / "there" / "yet")


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("name", ["TMPDIR", "TEMP", "TMP"])
def test_root_s_temporary_files(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and copies of the rpmdb lie among them, in folders that their owner's folder could rename."""
    for mode, kept in ((0o777, False), (0o755, True), (0o1777, tmp_path.stat().st_uid == 0)):
        tmp_path.chmod(mode)
        monkeypatch.setenv(name, str(tmp_path))
        assert main(["guard", "--nonsense"]) == 2
        assert (name in os.environ) == kept, oct(mode)
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.setenv(name, str(tmp_path / "link"))
    assert main(["guard", "--nonsense"]) == 2
    assert name not in os.environ
    monkeypatch.setenv(name, "/tmp")
    assert main(["guard", "--nonsense"]) == 2
    assert os.environ[name] == "/tmp"


def test_modes_of_what_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else can write it, whatever the umask."""
    monkeypatch.setenv("KMPSOLVE_CACHE", str(tmp_path / "cache"))
    before = os.umask(0)
    try:
        write_whole(tmp_path / "report", "text")
        rewrite(tmp_path / "zypp" / "locks", [MINE], frozenset((HOLD,)))
        place.write("view", {"a": b"a"})
    finally:
        os.umask(before)
    for path in tmp_path.rglob("*"):
        assert not path.stat().st_mode & 0o022, path


def test_an_output_is_shown_to_nobody_whom_its_owner_keeps_out(tmp_path: Path) -> None:
    """What ``collect`` knows of a host: -o is no wider than the umask, or than the file that it replaces."""
    (tmp_path / "theirs").touch(mode=0o600)
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    before = os.umask(0o077)
    try:
        write_output(tmp_path / "new", "text")
        os.umask(0o022)
        for name in ("theirs", "link", "open"):
            write_output(tmp_path / name, "text")
    finally:
        os.umask(before)
    modes = {path.name: oct(path.lstat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"new": "0o100600", "theirs": "0o100600", "link": "0o100644", "open": "0o100644"}


def test_links_in_the_place_of_what_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs")
    folder = tmp_path / "zypp"
    folder.mkdir()
    (folder / "locks").symlink_to(theirs)
    rewrite(folder / "locks", [MINE], frozenset((HOLD,)))
    assert theirs.read_text() == "theirs"
    assert MINE in own_locks((folder / "locks").read_text())
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "cache").symlink_to(elsewhere)
    monkeypatch.setenv("KMPSOLVE_CACHE", str(tmp_path / "cache"))
    assert not place.write("view", {"a": b"a"})
    assert list(elsewhere.iterdir()) == []


def test_somebody_who_swaps_the_locks_file_all_the_time(tmp_path: Path) -> None:
    """A link to somewhere else, or another file, in every moment: nothing outside changes, and no error is ours."""
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs")
    locks = tmp_path / "locks"
    locks.write_text("")
    over = threading.Event()

    def swap() -> None:
        number = 0
        while not over.is_set():
            number += 1
            draft = tmp_path / f"draft{number}"
            if number % 2:
                draft.symlink_to(theirs)
            else:
                draft.write_text("type: package\nsolvable_name: vim\n\n")
            draft.replace(locks)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for number in range(40):
            try:
                rewrite(locks, [OwnLock(name="k", evr=f"{number}-1", comment=HOLD)], frozenset((HOLD,)))
            except ConfigError as error:
                assert error.reference == "locks-unwritable"
    finally:
        over.set()
        thread.join()
    assert theirs.read_text() == "theirs"
    rewrite(locks, [MINE], frozenset((HOLD,)))
    assert MINE in own_locks(locks.read_text())


def test_run_is_prepared_by_somebody_else() -> None:
    """Links in /run, which only root could have made: the verdict replaces one and does not follow it."""
    with Host(OLD, DRIVER) as host:
        host.add("updates", specs(NEW))
        before = host.rpmdb()
        host.run(["sh", "-c", "echo theirs > /root/theirs; mkdir /run/kmpsolve"])
        host.run(["ln", "-s", "/root/theirs", "/run/kmpsolve/last-verdict.json"])
        ended = host.zypper("up")
        assert stopped(host, ended, before) == [], str(ended)
        assert host.path("/root/theirs").read_text() == "theirs\n"
        assert host.last_verdict()["verdict"] == "blocked"
        mode = host.path("/run/kmpsolve/last-verdict.json").lstat().st_mode
        assert mode & 0o777 == 0o644
        assert host.path("/run/kmpsolve").stat().st_mode & 0o022 == 0


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def test_no_shell_anywhere() -> None:
    """Nothing is given to a shell: no shell=True, no os.system, no eval, and every command is a list."""
    for path in sorted((CHECKOUT / "kmpsolve").rglob("*.py")):
        for call in _calls(ast.parse(path.read_text())):
            name = ast.unparse(call.func)
            if (path.name, name) == ("children.py", "pickle.loads"):
                continue  # what a forked child of this very process writes into a pipe
            assert name not in ("os.system", "os.popen", "eval", "exec", "pickle.loads", "yaml.load"), (
                path,
                name,
            )
            assert not [word for word in call.keywords if word.arg == "shell"], path
            if name in ("subprocess.run", "subprocess.Popen") and isinstance(call.args[0], ast.List):
                first = call.args[0].elts[0]
                if isinstance(first, ast.Starred):
                    first = first.value  # a command that another line begins
                assert isinstance(first, (ast.Constant, ast.Name, ast.Attribute, ast.Call)), (path, name)


def test_every_entry_is_isolated() -> None:
    """No environment and no current directory reaches an import."""
    for path in sorted((CHECKOUT / "plugins" / "zypper").rglob("*")):
        if not path.is_file() or path.name == "start":
            continue
        text = path.read_text()
        if text.startswith("#!/usr/bin/python3"):
            assert text.startswith("#!/usr/bin/python3 -IBS\n"), path
        for line in text.splitlines():
            assert '"$python"' not in line or "-I /usr/lib/kmpsolve/start" in line or "-x" in line, (
                path,
                line,
            )
