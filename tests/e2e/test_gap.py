"""The gap, and that it is closed: the same command with the real zypper, without the hook and with it."""

from __future__ import annotations

import contextlib
import shlex

import pytest

from tests.e2e.host import (
    DRIVER,
    NEW,
    NEWER_TOOL,
    OLD,
    REBUILD,
    TOOL,
    Host,
    patches,
    served,
    specs,
    stopped,
)
from tests.support import repository

COMMANDS = (
    "up",
    "dup",
    "patch --with-interactive",
    "in kernel-default",
    "in kernel-default=6.4.0-150600.23.30.1",
)
ALONE = [DRIVER, OLD, NEW]
TOGETHER = [DRIVER, REBUILD, OLD, NEW]


def _tools(command: str) -> str:
    return TOOL if command.startswith("in ") else NEWER_TOOL


def _add(host: Host, rebuild: bool, scheme: str, stack: contextlib.ExitStack) -> None:
    packages = specs(NEW, NEWER_TOOL, *([REBUILD] if rebuild else []))
    url = stack.enter_context(served(repository.rpm_md(packages, patches()))) if scheme == "http" else None
    host.add("updates", packages, patches(), url=url)


@pytest.mark.parametrize("command", COMMANDS)
def test_without_the_hook_the_breaking_kernel_is_installed(command: str) -> None:
    with Host(OLD, DRIVER, TOOL, hook=False) as host:
        host.add("updates", specs(NEW, NEWER_TOOL), patches())
        ended = host.zypper(*command.split())
        assert ended.code == 0, str(ended)
        assert host.installed() == sorted([*ALONE, _tools(command)])
        assert "acme" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("scheme", ["dir", "http"])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_rebuild(command: str, scheme: str) -> None:
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(Host(OLD, DRIVER, TOOL))
        _add(host, False, scheme, stack)
        before = host.rpmdb()
        ended = host.zypper(*command.split())
        assert stopped(host, ended, before) == [], str(ended)
        assert "acme-kmp-default (1 of 3 kernel symbols changed; no rebuilt KMP in 1 repository)" in " ".join(
            ended.stderr.split()
        )
        assert f"KMPSOLVE_DISABLE=1 zypper --non-interactive {command}" in ended.stderr
        assert host.last_verdict()["verdict"] == "blocked"
        # The next run works, lock and all; what has nothing to do with it goes through.
        again = host.zypper("in", "tool")
        assert again.code == 0, str(again)
        assert host.installed() == sorted([DRIVER, OLD, NEWER_TOOL])
        # And once, anyway.
        anyway = host.zypper(*command.split(), env={"KMPSOLVE_DISABLE": "1"})
        assert anyway.code == 0, str(anyway)
        assert "kmpsolve: not checked, since KMPSOLVE_DISABLE=1 is set\n" in anyway.stderr
        assert host.installed() == sorted([*ALONE, NEWER_TOOL])


@pytest.mark.parametrize("scheme", ["dir", "http"])
@pytest.mark.parametrize("command", COMMANDS)
def test_rebuild(command: str, scheme: str) -> None:
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(Host(OLD, DRIVER, TOOL))
        _add(host, True, scheme, stack)
        before = host.rpmdb()
        ended = host.zypper(*command.split())
        if command in ("up", "dup"):
            assert ended.code == 0, str(ended)
            assert host.installed() == sorted([*TOGETHER, NEWER_TOOL])
            assert ended.stderr == (
                "kmpsolve: acme-kmp-default 2.2_k6.4.0_150600.23.30-1 comes along and works on "
                "kernel-default 6.4.0-150600.23.30.1 (2 symbols)\n"
            )
            assert host.last_verdict()["verdict"] == "safe"
            return
        assert stopped(host, ended, before) == [], str(ended)
        assert "is not part of this update" in " ".join(ended.stderr.split())
        proper = next(line for line in ended.stderr.splitlines() if "Do it right:" in line)
        done = host.zypper(*shlex.split(proper.partition("Do it right:")[2])[1:])
        assert done.code == 0, str(done)
        assert host.installed() == sorted([*TOGETHER, TOOL])


@pytest.mark.parametrize("rebuild", [False, True], ids=["no-rebuild", "rebuild"])
@pytest.mark.parametrize("command", COMMANDS)
def test_without_multiversion(command: str, rebuild: bool) -> None:
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(Host(OLD, DRIVER, TOOL, multiversion=False))
        _add(host, rebuild, "dir", stack)
        before = host.rpmdb()
        ended = host.zypper(*command.split())
        if rebuild:
            assert ended.code == 0, str(ended)
            assert host.installed() == sorted([REBUILD, NEW, _tools(command)])
        elif command == "up":  # the solver itself keeps the kernel
            assert ended.code == 0, str(ended)
            assert host.installed() == sorted([DRIVER, OLD, NEWER_TOOL])
        elif command == "dup":  # the solver removes the driver
            assert stopped(host, ended, before) == [], str(ended)
            assert "acme-kmp-default (it would be removed)" in " ".join(ended.stderr.split())
        else:
            assert ended.code == 4, str(ended)
            assert host.rpmdb() == before


def test_fifty_in_a_row() -> None:
    with Host(OLD, DRIVER) as host:
        host.add("updates", specs(NEW))
        before = host.rpmdb()
        for number in range(50):
            ended = host.zypper("up")
            assert stopped(host, ended, before) == [], f"run {number}: {ended}"
        assert host.zypper("up", env={"KMPSOLVE_DISABLE": "1"}).code == 0
        assert host.installed() == ALONE


def test_without_privileges() -> None:
    """In a user namespace, as somebody without root runs these tests."""
    with Host(OLD, DRIVER, TOOL, unprivileged=True) as host:
        host.add("updates", specs(NEW, NEWER_TOOL))
        before = host.rpmdb()
        ended = host.zypper("up")
        assert stopped(host, ended, before) == [], str(ended)
        assert host.kmpsolve("guard", "on").code == 0
        assert host.zypper("up").code == 0
        assert host.installed() == sorted([DRIVER, OLD, NEWER_TOOL])
