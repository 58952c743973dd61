"""Where zypper runs and what it is told: terminals, pipes, files, other programs around libzypp, other
plugins.
"""

from __future__ import annotations

import os
import pty
import select
import shlex
import socket
import subprocess
import sys
import time

import pytest

from tests.e2e.host import DRIVER, NEW, NEWER_TOOL, OLD, REBUILD, TOOL, Host, specs, stopped

SAID = "kmpsolve: stopped this update before anything was changed"

STAND_IN = """\
#!/usr/bin/python3 -IS
import os
# Stands for snapper's plugin: a snapshot at COMMITBEGIN, its partner at COMMITEND.
received = b""
while True:
    chunk = os.read(0, 65536)
    with open("/tmp/other.log", "a") as log:
        if not chunk:
            log.write("EOF\\n")
            break
        received += chunk
        while b"\\0" in received:
            frame, received = received.split(b"\\0", 1)
            log.write(frame.decode().split("\\n")[0] + "\\n")
            os.write(1, b"ACK\\n\\n\\0")
"""


def _host() -> Host:
    return Host(OLD, DRIVER, TOOL)


def test_on_a_terminal() -> None:
    with _host() as host:
        host.add("updates", specs(NEW))
        before = host.rpmdb()
        ours, theirs = pty.openpty()
        child = host.popen(
            ["setsid", "--ctty", "--wait", "zypper", "up"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            close_fds=True,
        )
        os.close(theirs)
        shown = b""
        while True:
            if not select.select([ours], [], [], 1.0)[0]:
                os.write(ours, b"y\n")  # zypper drops what is typed before it asks
                continue
            try:
                shown += os.read(ours, 4096)
            except OSError:  # the terminal's other side is gone
                break
        os.close(ours)
        assert child.wait() == 8, shown.decode()
        assert SAID.encode() in shown
        assert host.rpmdb() == before


@pytest.mark.parametrize(
    "options", [["-q"], ["--xmlout"], ["--quiet", "--non-interactive", "--xmlout"], ["--terse"]]
)
def test_with_options(options: list[str]) -> None:
    with _host() as host:
        host.add("updates", specs(NEW))
        before = host.rpmdb()
        ended = host.run(["zypper", "--non-interactive", *options, "up"])
        assert stopped(host, ended, before) == [], str(ended)
        assert SAID not in ended.stdout


def test_into_one_log_file() -> None:
    with _host() as host:
        host.add("updates", specs(NEW))
        before = host.rpmdb()
        ended = host.run(["sh", "-c", "echo kept > /tmp/log; zypper -n up >> /tmp/log 2>&1"])
        log = host.path("/tmp/log").read_text()
        assert ended.code == 8
        assert log.startswith("kept\n")
        assert "Loading repository data" in log
        assert SAID in log
        assert host.rpmdb() == before


def test_into_a_truncated_log_file_without_append() -> None:
    """zypper's own offset in the file counts: nothing overwrites anything."""
    with _host() as host:
        host.add("updates", specs(NEW))
        host.run(["sh", "-c", "zypper -n up > /tmp/log 2>&1"])
        log = host.path("/tmp/log").read_text()
        assert log.index("Loading repository data") < log.index(SAID)
        assert "\0" not in log


def test_into_a_socket() -> None:
    with _host() as host:
        host.add("updates", specs(NEW))
        ours, theirs = socket.socketpair()
        child = host.popen(["zypper", "-n", "up"], stdout=theirs, stderr=theirs)
        theirs.close()
        said = b""
        while chunk := ours.recv(65536):
            said += chunk
        ours.close()
        assert child.wait() == 8
        assert SAID.encode() in said


def test_a_reader_that_does_not_read_does_not_open_the_gate() -> None:
    with _host() as host:
        host.add("updates", specs(NEW))
        before = host.rpmdb()
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        try:
            while True:
                os.write(writing, b"x" * 65536)
        except BlockingIOError:
            pass
        os.set_blocking(writing, True)
        child = host.popen(["zypper", "-n", "up"], stdout=subprocess.DEVNULL, stderr=writing)
        os.close(writing)
        code = child.wait(timeout=60)
        os.close(reading)
        assert code == 8
        assert host.rpmdb() == before


def test_in_the_zypper_shell() -> None:
    with _host() as host:
        host.add("updates", specs(NEW))
        before = host.rpmdb()
        ended = host.run(["zypper", "--non-interactive", "shell"], stdin="up\nexit\n")
        assert stopped(host, ended, before) == [], str(ended)


def test_single_rpm_transaction() -> None:
    with _host() as host:
        host.add("updates", specs(NEW))
        before = host.rpmdb()
        ended = host.zypper("up", env={"ZYPP_SINGLE_RPMTRANS": "1"})
        assert stopped(host, ended, before) == [], str(ended)


def test_as_salt_calls_it() -> None:
    """In a process group and session of its own, non-interactive, XML, without a terminal."""
    with _host() as host:
        host.add("updates", specs(NEW))
        before = host.rpmdb()
        ended = host.run(
            ["setsid", "--wait", "zypper", "--non-interactive", "--xmlout", "update", "--no-recommends"]
        )
        assert stopped(host, ended, before) == [], str(ended)
        assert ended.stdout.startswith("<?xml")


@pytest.mark.parametrize("name", ["packagekitd", "y2base", "something-else"])
def test_others_around_libzypp_are_never_signalled(name: str) -> None:
    with _host() as host:
        host.add("updates", specs(NEW))
        program = f"/opt/bin/{name}"
        host.run(["mkdir", "-p", "/opt/bin"])
        host.run(["cp", "/usr/bin/zypper", program])
        ended = host.run([program, "-n", "up"])
        assert ended.code == 0, str(ended)
        assert NEW in host.installed()
        assert "kmpsolve" not in ended.stderr
        assert f"kmpsolve: {name} is not stopped, only zypper is" in host.zypp_log()
        assert host.last_verdict()["verdict"] == "blocked"


@pytest.mark.parametrize("names", [("a-other", "z-other"), ("snapper.py",)])
def test_other_plugins_beside_it(names: tuple[str, ...]) -> None:
    """None ever sees COMMITEND of what was stopped; that is what stays, and the user is told of snapper's."""
    with _host() as host:
        host.add("updates", specs(NEW))
        before = host.rpmdb()
        for name in names:
            host.write(f"/usr/lib/zypp/plugins/commit/{name}", STAND_IN, mode=0o755)
        ended = host.zypper("up")
        assert stopped(host, ended, before) == [], str(ended)
        log = host.path("/tmp/other.log").read_text().split()
        assert log.count("PLUGINBEGIN") == log.count("EOF") == len(names)
        assert "COMMITEND" not in log
        assert ("snapper's snapshot" in ended.stderr) == ("snapper.py" in names)
        host.path("/tmp/other.log").unlink()
        assert host.zypper("in", "--force-resolution", "acme-kmp-default").code == 0


def test_other_plugins_end_in_order_when_it_passes() -> None:
    with _host() as host:
        host.add("updates", specs(NEW, REBUILD))
        host.write("/usr/lib/zypp/plugins/commit/snapper.py", STAND_IN, mode=0o755)
        assert host.zypper("up").code == 0
        frames = host.path("/tmp/other.log").read_text().split()
        assert frames == ["PLUGINBEGIN", "COMMITBEGIN", "COMMITEND", "PLUGINEND", "_DISCONNECT", "EOF"]


def test_the_journal() -> None:
    """A listener on the journal's socket stands for journald."""
    with _host() as host:
        host.add("updates", specs(NEW, NEWER_TOOL))
        folder = host.path("/run/systemd/journal")
        folder.mkdir(parents=True)
        listener = (
            "import socket\n"
            "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
            "s.bind('/run/systemd/journal/socket')\n"
            "while True: open('/tmp/journal', 'ab').write(s.recv(65536) + b'--\\n')\n"
        )
        host.run(["sh", "-c", f"/usr/bin/python3 -IS -c {shlex.quote(listener)} >/dev/null 2>&1 &"])
        while not (folder / "socket").exists():
            time.sleep(0.01)
        host.zypper("up")
        host.zypper("in", "tool")
        host.zypper("up", env={"KMPSOLVE_DISABLE": "1"})
        written = host.path("/tmp/journal").read_text()
        records = [record for record in written.split("--\n") if record]
        verdicts = [
            [line for line in record.splitlines() if line.startswith("KMPSOLVE_VERDICT=")]
            for record in records
        ]
        assert verdicts == [["KMPSOLVE_VERDICT=blocked"], ["KMPSOLVE_VERDICT=disabled"]]
        assert "SYSLOG_IDENTIFIER=kmpsolve" in records[0]
        assert (
            "MESSAGE=kernel-default 6.4.0-150600.23.30.1 would leave this machine without acme" in records[0]
        )


def test_two_zyppers_at_once() -> None:
    with _host() as host:
        host.add("updates", specs(NEW))
        host.zypper("ref")
        before = host.rpmdb()
        first = host.popen(["zypper", "-n", "up"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        second = host.zypper("up")
        out, err = first.communicate(timeout=60)
        assert sorted({first.returncode, second.code}) in ([7, 8], [8]), f"{out}{err}{second}"
        assert host.rpmdb() == before
        assert host.zypper("in", "--oldpackage", "acme-kmp-default").code == 0


def test_the_users_interrupt_meanwhile() -> None:
    """Ctrl-C goes to zypper and to the hook alike; the hook does not die of it and let the update through."""
    with _host() as host:
        host.add("updates", specs(NEW))
        host.zypper("ref")
        before = host.rpmdb()
        host.write(f"{host.library}/python", "/tmp/slow-python\n")
        python = f'#!/bin/sh\necho > /tmp/asked\nsleep 1\nexec {sys.executable} "$@"\n'
        host.write("/tmp/slow-python", python, mode=0o755)
        child = host.popen(
            ["setsid", "--wait", "zypper", "-n", "up"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        end = time.monotonic() + 20
        while not host.path("/tmp/asked").exists() and time.monotonic() < end:
            time.sleep(0.02)
        host.run(
            ["sh", "-c", "kill -INT $(pidof zypper); kill -INT $(pgrep -f plugins/commit/kmpsolve) || :"]
        )
        out, err = child.communicate(timeout=60)
        assert child.returncode == 8, out + err
        assert host.rpmdb() == before


def test_a_dead_pipe_is_not_the_hooks_end() -> None:
    """zypper | head: nobody reads what is said any more."""
    with _host() as host:
        host.add("updates", specs(NEW))
        before = host.rpmdb()
        host.run(["sh", "-c", "zypper -n up 2>&1 | head -n 1"])
        assert host.rpmdb() == before


def test_it_signals_nobody_else() -> None:
    """A neighbour of zypper in its own process group lives on."""
    with _host() as host:
        host.add("updates", specs(NEW))
        ended = host.run(
            ["sh", "-c", "sleep 30 & S=$!; zypper -n up; echo code $?; kill -0 $S && echo alive; kill $S"]
        )
        assert "code 8" in ended.stdout
        assert "alive" in ended.stdout
