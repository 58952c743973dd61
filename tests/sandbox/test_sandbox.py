"""The throw-away system is one for zypper, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.sandbox import Sandbox
from tests.support import repository, rpmbuild
from tests.support.packages import PackageSpec

KERNELS = tuple(
    PackageSpec(name="kernel-default", version=version, release="1", provides=("multiversion(kernel)",))
    for version in "123"
)


@pytest.mark.parametrize("unprivileged", [False, True] if os.geteuid() == 0 else [True])
def test_zypper_installs_beside(unprivileged: bool) -> None:
    with Sandbox(unprivileged=unprivileged) as sandbox:
        assert sandbox.installed() == []
        sandbox.install_rpms(rpmbuild.build(KERNELS[:1]))
        sandbox.add_repository("a", f"dir:{repository.rpm_md(KERNELS[1:])}")
        ended = sandbox.zypper("update")
        assert ended.code == 0, ended
        assert sandbox.installed() == [KERNELS[0].nevra, KERNELS[2].nevra]


def test_works_for_somebody_without_root() -> None:
    code = (
        "from tests.sandbox import Sandbox\n"
        "with Sandbox() as s: print(s.zypper('search', '-i').code, s.run(['id', '-u']).stdout)\n"
    )
    command = [sys.executable, "-c", code]
    if os.geteuid() == 0:
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
        env={**os.environ, "KMPSOLVE_TEST_CACHE": f"/tmp/kmpsolve-sandbox-{os.getpid()}", "PYTHONPATH": ".",
             "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    Path(f"/tmp/kmpsolve-sandbox-{os.getpid()}").rmdir()
    assert (ended.returncode, ended.stdout.split()) == (0, ["104", "0"]), ended.stderr


def test_nothing_stays() -> None:
    def mounts() -> str:
        return Path("/proc/self/mounts").read_text()

    before = mounts()
    with Sandbox() as sandbox:
        sandbox.write("/etc/kmpsolve-sandbox-was-here", "x")
        sandbox.write("/usr/lib/kmpsolve-sandbox-was-here", "x")
        left = sandbox.popen(["sleep", "600"])
        assert mounts() == before
    assert left.wait(10) != 0
    assert mounts() == before
    assert not Path("/etc/kmpsolve-sandbox-was-here").exists()
    assert not Path("/usr/lib/kmpsolve-sandbox-was-here").exists()


def test_ends_with_whoever_started_it() -> None:
    code = (
        "import os, signal\nfrom tests.sandbox import Sandbox\n"
        "sandbox = Sandbox().__enter__()\nprint(sandbox.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=False,
        cwd=Path(__file__).parents[2], env={**os.environ, "PYTHONPATH": "."},
    )  # fmt: skip
    holder = Path(f"/proc/{int(ended.stdout)}")
    deadline = time.monotonic() + 10
    while holder.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not holder.exists()


def test_shared_folders_are_live(tmp_path: Path) -> None:
    with Sandbox(shared=[tmp_path]) as sandbox:
        (tmp_path / "later").write_text("seen")
        assert sandbox.run(["cat", str(tmp_path / "later")]).stdout == "seen"


def test_two_at_once_do_not_see_each_other() -> None:
    with Sandbox() as one, Sandbox() as other:
        one.install_rpms(rpmbuild.build(KERNELS[:1]))
        assert other.installed() == []


def test_a_sandbox_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="did not start"), Sandbox(shared=[tmp_path / "missing"]):
        pass
