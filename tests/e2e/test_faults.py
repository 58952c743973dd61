"""What goes wrong around the hook: none of it hangs zypper, leaves its lock, or says what is not so."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tests.e2e.host import DRIVER, MIDDLE, NEW, NEWER_TOOL, OLD, REBUILD, TOOL, Host, specs, stopped

PLUGIN = "/usr/lib/zypp/plugins/commit/kmpsolve"
WARN = 'on_error = "warn"\n'
ABORT = 'on_error = "abort"\n'


def _host(configuration: str | None = None) -> Host:
    return Host(OLD, DRIVER, TOOL, configuration=configuration)


def _second_stage(host: Host, script: str) -> None:
    """Let a shell script run in the place of the second stage's Python."""
    host.write("/tmp/python", f"#!/bin/sh\n{script}\n", mode=0o755)
    host.write(f"{host.library}/python", "/tmp/python\n")


def _hiding(*mounts: str) -> str:
    """The second stage's own Python, in a mount namespace where other things lie over these folders."""
    place = ["mkdir -p /opt/python", f"mount --rbind {sys.prefix} /opt/python"]
    steps = " && ".join([*place, *mounts, 'exec /opt/python/bin/python "$@"'])
    return f"exec unshare -m sh -c '{steps}' sh \"$@\""


def _unchecked(host: Host, reason: str, **environment: str) -> None:
    """With on_error = "warn", the update goes through and says why it was not checked."""
    ended = host.zypper("up", env=environment)
    assert ended.code == 0, str(ended)
    said = " ".join(ended.stderr.split())
    assert "kmpsolve: this update was not checked: " in said
    assert reason in said
    assert "Traceback" not in said
    assert NEW in host.installed()


def _stopped(host: Host, reason: str, **environment: str) -> None:
    """With on_error = "abort", it does not."""
    before = host.rpmdb()
    ended = host.zypper("up", env=environment)
    assert stopped(host, ended, before) == [], str(ended)
    said = " ".join(ended.stderr.split())
    assert "since it cannot be checked: " in said
    assert reason in said
    assert "KMPSOLVE_DISABLE=1" in said
    assert "Traceback" not in said


def _both(configure: object, reason: str, **environment: str) -> None:
    assert callable(configure)
    for configuration, follows in ((WARN, _unchecked), (ABORT, _stopped)):
        with _host(configuration) as host:
            host.add("updates", specs(NEW))
            configure(host)
            follows(host, reason, **environment)


@pytest.mark.parametrize("frame", ["PLUGINBEGIN", "COMMITBEGIN", "COMMITEND", "PLUGINEND", "_DISCONNECT"])
def test_killed_at_a_frame(frame: str) -> None:
    """libzypp fails open: without an answer it goes on. It neither hangs nor keeps its lock."""
    with _host() as host:
        host.add("updates", specs(NEW, REBUILD))
        plugin = host.path(PLUGIN).read_text()
        killing = (
            "import os\nimport first_stage\nhandle = first_stage.Hook._handle\n"
            "def killed(self, frame):\n"
            f"    if frame.startswith(b'{frame}'):\n        os.kill(os.getpid(), 9)\n"
            "    return handle(self, frame)\n"
            "first_stage.Hook._handle = killed\nmain(LIBRARY)\n"
        )
        host.write(PLUGIN, plugin.replace("main(LIBRARY)\n", killing))
        begin = time.monotonic()
        ended = host.zypper("up")
        assert ended.code == 0, str(ended)
        assert time.monotonic() - begin < 20
        assert REBUILD in host.installed()
        assert host.zypper("rm", "tool").code == 0


def test_killed_while_it_judges() -> None:
    with _host() as host:
        host.add("updates", specs(NEW))
        _second_stage(host, "kill -9 $PPID")
        assert host.zypper("up").code == 0
        assert host.zypper("rm", "tool").code == 0


def _speak(host: Host, *pieces: bytes, pause: float = 0.0) -> bytes:
    """Speak with the plugin as libzypp does; its parent is no zypper then."""
    plugin = host.popen(
        [PLUGIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=False
    )
    assert plugin.stdin is not None
    for piece in pieces:
        plugin.stdin.write(piece)  # type: ignore[arg-type]
        plugin.stdin.flush()
        time.sleep(pause)
    said, complaint = plugin.communicate(timeout=60)
    assert b"Traceback" not in complaint, complaint  # type: ignore[operator]
    assert plugin.returncode == 0
    return said  # type: ignore[return-value]


ACK = b"ACK\n\n\0"
STEP = b'{"type":"-","solvable":{"n":"tool","v":"1","r":"1","a":"x86_64"}}'
BEGIN = b'COMMITBEGIN\n\n{"TransactionStepList":[' + STEP + b"]}\0"


def test_frames_in_pieces() -> None:
    with _host() as host:
        assert _speak(host, b"PLUGINBEGIN\n\n\0" + BEGIN + b"PLUGINEND\n\n\0_DISCONNECT\n\n\0") == ACK * 4
        assert _speak(host, BEGIN[:5], BEGIN[5:30], BEGIN[30:-1], BEGIN[-1:], pause=0.05) == ACK
        assert _speak(host, BEGIN[:-1]) == b""


def test_garbage_frames() -> None:
    with _host() as host:
        for garbage in (
            b"\0",
            b"\xff\xfe\0",
            b"COMMIT\n\n\0",
            b":::\n:\n\n\0",
            b"\n\n\0",
            b"A" * 100_000 + b"\0",
        ):
            said = _speak(host, garbage, BEGIN)
            assert said.startswith(b"_ENOMETHOD\n"), said
            assert said.endswith(b"\n\n\0" + ACK), said


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"TransactionStepList": 1}',
        b'{"TransactionStepList": [{"type": "M"}]}',
        b'{"TransactionStepList": [{"type": "M", "solvable": {"n": 1}}]}',
        b'{"TransactionStepList":[{"type":"X","solvable":{"n":"kernel-rt","v":"1","r":"1","a":"x"}}]}',
        b'{"TransactionStepList": [{"type": "M", "solvable": {"n": "kernel-default"}}]}',
        b"\xff",
    ],
)
def test_transactions_that_make_no_sense(body: bytes) -> None:
    with _host() as host:
        assert _speak(host, b"COMMITBEGIN\n\n" + body + b"\0") == ACK


def test_a_slow_check() -> None:
    """Well within libzypp's own patience, which is made shorter here."""
    _both(
        lambda host: _second_stage(host, "sleep 100"), "no verdict within 4 seconds", ZYPP_PLUGIN_TIMEOUT="6"
    )


def test_a_check_that_crashes() -> None:
    _both(lambda host: _second_stage(host, "kill -SEGV $$"), "the check ended with -11")


def test_a_check_that_talks_nonsense() -> None:
    _both(lambda host: _second_stage(host, "echo nonsense"), "the check ended with 0")


def test_no_python() -> None:
    _both(lambda host: host.write(f"{host.library}/python", "/nowhere/python\n"), "/nowhere/python")


def test_no_library() -> None:
    _both(lambda host: host.run(["rm", "-r", f"{host.library}/kmpsolve/model"]), "kmpsolve.model")


def test_nothing_but_the_plugin() -> None:
    """Its library lies on a disk that is not mounted, or was removed by hand: nobody is left without a word."""
    with _host(ABORT) as host:
        host.add("updates", specs(NEW))
        host.run(["rm", "-r", host.library])
        _unchecked(host, f"there is no {host.library} Install kmpsolve again, or remove {PLUGIN}")


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("kmpsolve", "it is not installed whole: there is no /usr/lib/kmpsolve/kmpsolve"),
        ("python", "the Python that it was installed with is gone"),
    ],
)
def test_the_command_without_a_part_of_it(gone: str, said: str) -> None:
    with _host() as host:
        host.run(["rm", "-r", f"{host.library}/{gone}"])
        ended = host.kmpsolve("plan")
        assert (ended.code, ended.stdout) == (3, ""), str(ended)
        assert ended.stderr.startswith(f"kmpsolve: {said}")
        assert len(ended.stderr.splitlines()) == 2, str(ended)


def test_a_full_disk() -> None:
    """The rpmdb cannot be copied, but zypper has just read it, and its copy is as good now."""
    small = [f"mount -t tmpfs -o size=4k none {folder}" for folder in ("/var/tmp", "/tmp")]
    with _host(ABORT) as host:
        host.add("updates", specs(NEW))
        _second_stage(host, _hiding(*small))
        before = host.rpmdb()
        ended = host.zypper("up")
        assert stopped(host, ended, before) == [], str(ended)
        assert "acme-kmp-default (1 of 3 kernel symbols changed" in " ".join(ended.stderr.split())


def test_a_full_disk_and_no_copy_of_the_rpmdb() -> None:
    small = [
        f"mount -t tmpfs -o size=4k none {folder}" for folder in ("/var/tmp", "/tmp", "/var/cache/zypp/solv")
    ]
    _both(lambda host: _second_stage(host, _hiding(*small)), "No space left on device")


def test_a_full_disk_for_the_verdict_only() -> None:
    with _host() as host:
        host.add("updates", specs(NEW))
        before = host.rpmdb()
        host.run(
            [
                "sh",
                "-c",
                "mkdir /run/kmpsolve; mount -t tmpfs -o size=4k none /run/kmpsolve; "
                "head -c 4096 /dev/zero > /run/kmpsolve/full",
            ]
        )
        ended = host.zypper("up")
        assert stopped(host, ended, before) == [], str(ended)
        assert host.path("/run/kmpsolve").is_dir()
        assert sorted(path.name for path in host.path("/run/kmpsolve").iterdir()) == ["full"]


def test_an_unreadable_rpmdb() -> None:
    _both(lambda host: _second_stage(host, _hiding("mount -t tmpfs none /var/lib/rpm")), "no rpmdb in ")


def test_a_kernel_from_nowhere() -> None:
    nothing = ["mount -t tmpfs none /var/cache/zypp", "mount -t tmpfs none /etc/zypp/repos.d"]
    _both(
        lambda host: _second_stage(host, _hiding(*nothing)),
        "kernel-default-6.4.0-150600.23.30.1.x86_64 is in no repository that could be read",
    )


@pytest.mark.parametrize(
    ("before", "now", "stops"),
    [
        (ABORT, "no toml\n", True),
        (WARN, "no toml\n", False),
        (None, "no toml\n", False),
        (WARN, ABORT + "typo = 1\n", True),
        (ABORT, WARN + "typo = 1\n", False),
        (WARN, ABORT + 'unverified = "perhaps"\n', True),
        (ABORT, 'on_error = "perhaps"\n', True),
        (None, ABORT + "no toml\n", True),
    ],
)
def test_a_wrong_configuration(before: str | None, now: str, stops: bool) -> None:
    """The last valid on_error decides: the file's own if it can be read, else the one before it broke."""
    with _host(before or "") as host:
        host.add("updates", specs(NEW, MIDDLE))
        if before is not None:
            assert host.zypper("in", "kernel-default=6.4.0-150600.23.27.1").code == 0
        host.write("/etc/kmpsolve/kmpsolve.toml", now)
        (_stopped if stops else _unchecked)(host, "/etc/kmpsolve/kmpsolve.toml")


def test_a_hostile_environment() -> None:
    """Modules of other people's in every place that Python would look in."""
    with _host() as host:
        host.add("updates", specs(NEW))
        before = host.rpmdb()
        pwned = "open('/tmp/pwned', 'a').write(__file__ + '\\n')\n"
        for name in (
            "json",
            "re",
            "first_stage",
            "kmpsolve/__init__",
            "solv/__init__",
            "rpm/__init__",
            "sitecustomize",
        ):
            host.write(f"/tmp/evil/{name}.py", pwned)
            host.write(f"/root/.local/lib/python3.11/site-packages/{name}.py", pwned)
        host.write("/tmp/evil/python3", "#!/bin/sh\necho python3 >> /tmp/pwned\n", mode=0o755)
        environment = {
            "PYTHONPATH": "/tmp/evil",
            "PYTHONSTARTUP": "/tmp/evil/json.py",
            "PYTHONHOME": "/tmp/evil",
            "PYTHONINSPECT": "1",
            "PYTHONUSERBASE": "/tmp/evil",
            "PATH": "/tmp/evil:/usr/bin:/usr/sbin:/bin:/sbin",
            "TMPDIR": "/tmp/evil",
            "ENV": "/tmp/evil/json.py",
        }
        ended = host.run(["sh", "-c", "cd /tmp/evil && exec zypper -n up"], env=environment)
        assert stopped(host, ended, before) == [], str(ended)
        assert not host.path("/tmp/pwned").exists(), host.path("/tmp/pwned").read_text()


def test_nothing_to_do_with_kernels_is_silent() -> None:
    with _host() as host:
        host.add("updates", specs(NEWER_TOOL))
        _second_stage(host, "echo > /tmp/asked")
        ended = host.zypper("up")
        assert ended.code == 0
        assert ended.stderr == ""
        assert not host.path("/tmp/asked").exists()
        assert not host.path("/run/kmpsolve").exists()
