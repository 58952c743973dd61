"""kill -9, full and broken disks at every call that writes: the old state or the new one, and the next run works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from kmpsolve.cache import place
from kmpsolve.report import files
from kmpsolve.report.files import write_whole
from kmpsolve.zypp import guard
from kmpsolve.zypp.lockfile import HOLD, KEEP, OwnLock, own_locks, rewrite
from tests.e2e.host import DRIVER, NEW, OLD, REBUILD, Host, served, specs
from tests.security.writers import FAULTS, WRITERS
from tests.support import rpmmd
from tests.support.coverage import unmeasured
from tests.unit.metadata_sources.samples import ACME, KERNEL

HERE = Path(__file__).parent


def test_every_writer_at_every_step(tmp_path: Path) -> None:
    shim = tmp_path / "faults.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", shim, HERE / "faults.c", "-ldl"], check=True)
    rpmmd.write(tmp_path / "www", [KERNEL, ACME])
    with served(tmp_path / "www") as address:
        done = subprocess.run(
            [sys.executable, "-m", "tests.security.writers", str(tmp_path / "state")],
            capture_output=True,
            text=True,
            check=False,
            env={**unmeasured(), "LD_PRELOAD": str(shim), "REPOSITORY": address, "no_proxy": "*"},
        )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    tried = json.loads(done.stdout)
    assert {(name, fault) for name, fault, *_ in tried} == {
        (name, fault) for name in WRITERS for fault in FAULTS
    }
    assert all(Counter(name for name, *_ in tried)[writer] >= 5 * len(FAULTS) // 2 for writer in WRITERS)
    for case in tried:
        _, fault, _, end, state, after, at_last, drafts = case
        assert state in ("old", "new"), case
        assert end in (("SIGKILL",) if fault == "kill -9" else ("told", "done")), case
        assert (after, at_last, drafts) == ("done", "new", []), case


def test_drafts_of_the_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a dead process of this user left goes; everything that may be somebody's stays."""
    path = tmp_path / "locks"
    dead = subprocess.Popen(["true"])
    dead.wait()
    stays = [
        f".locks.kmpsolve-{os.getppid()}-abcdefgh",  # being written
        f".locks.kmpsolve-{dead.pid}-abcdefg",  # of no name that we give
        f".locks.kmpsolve-{dead.pid}-abcdefgh.rpmsave",
        f".other.kmpsolve-{dead.pid}-abcdefgh",
        f"locks.kmpsolve-{dead.pid}-abcdefgh",
        ".locks.abcdefgh",
    ]
    for name in stays:
        (tmp_path / name).write_text("theirs")
    folder, link, pipe = (tmp_path / f".locks.kmpsolve-{dead.pid}-aaaaaaa{n}" for n in range(3))
    folder.mkdir()
    link.symlink_to(tmp_path / stays[0])
    os.mkfifo(pipe)
    before = sorted(path.name for path in tmp_path.iterdir())
    goes = tmp_path / f".locks.kmpsolve-{dead.pid}-abcdefgh"
    goes.write_text("ours")
    if os.geteuid() == 0:
        others = tmp_path / f".locks.kmpsolve-{dead.pid}-00000000"
        others.write_text("theirs")
        os.chown(others, 65534, 65534)
        before = sorted([*before, others.name])
    mine = OwnLock(name="kernel-default", evr="1-1", comment=HOLD)
    assert rewrite(path, [mine], frozenset((HOLD,)))
    assert goes.exists()  # who knows what the clock, and a container, have to do with it
    monkeypatch.setattr(files, "_ABANDONED", 0)
    assert not rewrite(path, [mine], frozenset((HOLD,)))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "locks"])
    goes.write_text("ours")
    write_whole(path, "report")
    assert not goes.exists()


def test_writers_let_each_other_s_drafts_be(tmp_path: Path) -> None:
    """Two at once, with drafts that count as old from the beginning."""
    script = (
        "import sys; from pathlib import Path; from kmpsolve.report import files; files._ABANDONED = -60\n"
        "from kmpsolve.zypp.lockfile import OwnLock, rewrite\n"
        "for n in range(100): rewrite(Path(sys.argv[1]),"
        " [OwnLock(name='kernel', evr=f'{n}-1', comment=sys.argv[2])], frozenset((sys.argv[2],)))"
    )
    words = [sys.executable, "-c", script, str(tmp_path / "locks")]
    writers = [
        subprocess.Popen([*words, comment], stderr=subprocess.PIPE, text=True, env=unmeasured())
        for comment in (HOLD, KEEP)
    ]
    assert [writer.communicate()[1] for writer in writers] == ["", ""]
    assert [path.name for path in tmp_path.iterdir()] == ["locks"]
    left = own_locks((tmp_path / "locks").read_text())
    assert {lock.comment: lock.evr for lock in left} == {HOLD: "99-1", KEEP: "99-1"}


def test_a_guard_that_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never off for a moment while it stays on; never off with locks that nobody would take away again."""
    library, root = Path("/usr/lib/kmpsolve"), tmp_path / "root"
    (root / "usr/lib/kmpsolve").mkdir(parents=True)
    (root / "usr/lib/kmpsolve/guard-service").touch()
    (root / "etc/zypp").mkdir(parents=True)
    guard.switch(root, library, on=True)
    (service,) = (root / "usr/lib/zypp/plugins/services").iterdir()
    before = service.lstat().st_ino
    guard.switch(root, library, on=True)
    assert service.lstat().st_ino == before
    lock = OwnLock(name="kernel-default", evr="1-1", comment=HOLD)
    rewrite(guard.locks_path(root), [lock], frozenset((HOLD,)))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(guard, "rewrite", interrupted)
        with pytest.raises(KeyboardInterrupt):
            guard.switch(root, library, on=False)
    assert guard.installed_service(root)
    guard.switch(root, library, on=False)
    assert not guard.installed_service(root)
    assert guard.standing(root) == ()


@pytest.fixture
def sources(tmp_path: Path) -> list[str]:
    rpmmd.write(tmp_path / "installed", [KERNEL, ACME])
    rpmmd.write(tmp_path / "repo", [KERNEL, ACME])
    return ["--installed", str(tmp_path / "installed"), "--repo", str(tmp_path / "repo")]


def _shell(script: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kmpsolve", *words]
    return subprocess.run(
        ["bash", "-c", script, "bash", *command], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("verb", [["plan"], ["plan", "--format", "json"], ["matrix", "--format", "html"]])
def test_a_reader_that_goes_away(verb: list[str], sources: list[str]) -> None:
    for unbuffered in ("", "1"):
        for reader in ("head -c 1", "true"):
            done = _shell(
                f'PYTHONUNBUFFERED={unbuffered} "$@" | {reader}; exit ${{PIPESTATUS[0]}}', *verb, *sources
            )
            assert (done.returncode, done.stderr) == (0, ""), reader
    done = _shell('{ "$@" 2>&1 | true; exit ${PIPESTATUS[0]}; }', *verb, "--nonsense")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


@pytest.mark.parametrize(
    "verb", [["plan"], ["plan", "--format", "json"], ["audit", "--jobs", "1", "--format", "json"]]
)
def test_a_blocked_plan_stays_one_when_nobody_reads_it(verb: list[str], tmp_path: Path) -> None:
    """Exit code 0 would say safe: ``kmpsolve plan | head -1 && zypper up`` under pipefail."""
    other = ("kernel-uname-r = 6.4.0-150600.24-default", "multiversion(kernel)", "ksym(default:kfree) = 2")
    changed = replace(KERNEL, release="150600.24.1", provides=other)
    driver = replace(ACME, requires=("ksym(default:kfree) = 37a0cba",))
    rpmmd.write(tmp_path / "installed", [KERNEL, driver])
    rpmmd.write(tmp_path / "repo", [changed])
    inventory = tmp_path / "host.json"
    told = ["--installed", str(tmp_path / "installed")]
    if verb[0] == "audit":
        assert _shell('"$@"', "collect", *told, "-o", str(inventory)).returncode == 0
        told = [str(inventory)]
    words = [*verb, *told, "--repo", str(tmp_path / "repo")]
    for script in (
        '"$@" | true; exit ${PIPESTATUS[0]}',
        '"$@" 2> /dev/full',
        '"$@" 2>&1 | true; exit ${PIPESTATUS[0]}',
    ):
        assert _shell(script, *words).returncode == 4, script


def test_a_full_log_changes_no_exit_code(tmp_path: Path) -> None:
    for words, code in ((["plan", "--nonsense"], 2), (["plan", "--root", str(tmp_path / "gone")], 3)):
        assert _shell('"$@" 2> /dev/full', *words).returncode == code
    assert _shell('"$@" | true; exit ${PIPESTATUS[0]}', "--help").returncode == 0


def test_a_full_output(sources: list[str]) -> None:
    done = _shell('"$@" > /dev/full', "plan", *sources)
    assert done.returncode == 3
    assert done.stderr.splitlines()[0] == "kmpsolve: writing: no space left on device"
    assert "bug" not in done.stderr
    done = _shell('"$@"', "plan", *sources, "-o", "/dev/full")
    assert (done.returncode, "cannot be written" in done.stderr) == (3, True)


@pytest.mark.parametrize("letters", ["ascii", "latin-1"])
def test_names_that_the_locale_has_no_letters_for(letters: str, sources: list[str], tmp_path: Path) -> None:
    """Text escapes them; what programs read is UTF-8 everywhere."""
    rpmmd.write(tmp_path / "newer", [replace(KERNEL, release="150600.24.1")])
    words = [*sources[:2], "--repo", f"Ł={tmp_path / 'newer'}"]
    done = _shell(f'PYTHONIOENCODING={letters} "$@"', "plan", *words)
    assert (done.returncode, "\\u0141" in done.stdout, done.stderr) == (0, True, "")
    done = _shell(f'PYTHONIOENCODING={letters} "$@"', "plan", *words, "--format", "json")
    assert json.loads(done.stdout)["inputs"]["repositories"][0]["alias"] == "Ł"
    done = _shell(f'PYTHONIOENCODING={letters} "$@"', "collect", *sources[:2], "--label", "a=Ł")
    assert json.loads(done.stdout)["labels"]["a"] == "Ł"


def test_words_that_are_no_text(sources: list[str]) -> None:
    *rest, repository = sources
    done = _shell(
        """name=$(printf '\\377'); "$@" "$name=$OLDPWD" """.replace("$OLDPWD", repository), "plan", *rest
    )
    assert (done.returncode, done.stderr) == (0, "")
    done = _shell("""name=$(printf '\\377'); "$@" "a=$name" """, "collect", *sources[:2], "--label")
    assert (done.returncode, done.stderr.partition(":")[0]) == (2, "kmpsolve")


def test_no_output_at_all(sources: list[str]) -> None:
    for closed in (">&-", "2>&-", "<&-", ">&- 2>&- <&-"):
        done = _shell(f'"$@" {closed}', "plan", *sources)
        assert done.returncode in (0, 3, 4), (closed, done)
        assert "Traceback" not in done.stderr


def test_outputs_that_are_no_files(tmp_path: Path, sources: list[str]) -> None:
    """A device stays one, whoever writes to it; a pipe is written into; a link is replaced and not followed."""
    assert _shell('"$@"', "plan", *sources, "-o", "/dev/null").returncode == 0
    assert not Path("/dev/null").is_file()
    assert _shell('"$@"', "plan", *sources, "-o", "/dev/stdout").stdout != ""
    assert Path("/dev/stdout").is_symlink()
    os.mkfifo(tmp_path / "fifo")
    reader = subprocess.Popen(["cat", tmp_path / "fifo"], stdout=subprocess.PIPE, text=True)
    write_whole(tmp_path / "fifo", "text")
    assert reader.communicate()[0] == "text"
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    write_whole(tmp_path / "link", "ours")
    assert (tmp_path / "theirs").read_text() == "theirs"
    assert (tmp_path / "link").read_text() == "ours"
    assert not (tmp_path / "link").is_symlink()


def test_a_clock_that_jumps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files from the future and from 1970 are no reason to fail, nor to believe them longer."""
    monkeypatch.setenv("KMPSOLVE_CACHE", str(tmp_path))
    for name, moment in (("future", 2**33), ("past", 0)):
        assert place.write(name, {"a": b"a"})
        os.utime(tmp_path / name, (moment, moment))
    stored = place.read("future")
    assert stored is not None
    stored.close()
    for number in range(8):
        assert place.write(f"n{number}", {"a": b"a"})
    assert len(list(tmp_path.iterdir())) <= 6


SHELL = """
end=$(($(date +%s) + $1)); shift
while [ $(date +%s) -lt $end ]; do
    "$@" > /tmp/out.$$ 2> /tmp/err.$$
    echo "$? $(grep -c Traceback /tmp/out.$$ /tmp/err.$$ | grep -c ':[1-9]')" >> /tmp/codes.$$
done
tail -n 100 /tmp/err.$$; echo codes:; sort /tmp/codes.$$ | uniq -c
"""


@pytest.mark.parametrize("seconds", [2, pytest.param(60, marks=pytest.mark.deep)])
def test_ten_of_everything_at_once(seconds: int) -> None:
    """Plans, guards and zyppers, with nobody waiting for anybody: each ends well, and no lock is lost."""
    with Host(OLD, DRIVER) as host:
        host.add("updates", specs(NEW, REBUILD))
        host.zypper("addlock", "theirs")
        assert host.zypper("refresh").code == 0
        host.write("/tmp/loop", SHELL)
        work = {
            "plan": (["kmpsolve", "plan", "--format", "json"], {0, 4}),
            "guard": (["kmpsolve", "guard", "sync"], {0, 7}),
            "zypper": (["zypper", "-n", "--no-refresh", "install", "--dry-run", "kernel-default"], {0, 4, 7}),
            "locker": (["zypper", "-n", "addlock", "more"], {0, 7}),
        }
        running = [
            (name, host.popen(["sh", "/tmp/loop", str(seconds), *command], stdout=subprocess.PIPE))
            for name, (command, _) in work.items()
            for _ in range({"plan": 4, "guard": 3, "zypper": 2, "locker": 1}[name])
        ]
        seen: dict[str, Counter[str]] = {name: Counter() for name in work}
        for name, process in running:
            said = str(process.communicate(timeout=seconds + 120)[0])
            for line in said.rpartition("codes:\n")[2].splitlines():
                count, code, traces = line.split()
                seen[name][code] += int(count)
                assert traces == "0", said
        for name, codes in seen.items():
            print(name, dict(codes))
            assert codes, name
            assert {int(code) for code in codes} <= work[name][1], (name, codes)
        assert seen["plan"].total() >= 4
        locks = host.locks()
        assert "solvable_name: theirs" in locks
        assert host.zypper("locks").code == 0
        ended = host.kmpsolve("guard", "sync")
        assert ended.code == 0, str(ended)
        assert json.loads(host.kmpsolve("plan", "--format", "json").stdout)["verdict"] == "safe"
        assert host.zypper("install", "kernel-default").code in (0, 8)
