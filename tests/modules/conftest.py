from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.modules import debian, kbuild
from tests.modules.debian import DebianKernel


@pytest.fixture(scope="session")
def kernels() -> tuple[DebianKernel, ...]:
    """Two near builds of each of Debian's series."""
    return tuple(debian.cloud_kernels())


@pytest.fixture(scope="session")
def rt_kernel() -> DebianKernel:
    return debian.rt_kernel()


@pytest.fixture(scope="session")
def built(kernels: tuple[DebianKernel, ...], rt_kernel: DebianKernel) -> Callable[[DebianKernel], Path]:
    """Where the suite's own modules for a kernel are."""
    known = {kernel.uname_r for kernel in (*kernels, rt_kernel)}

    def modules(kernel: DebianKernel) -> Path:
        assert kernel.uname_r in known
        return kbuild.modules(kernel)

    return modules


@pytest.fixture(scope="session")
def gpg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GnuPG home with a throw-away key, its public half in key.asc."""
    home = tmp_path_factory.mktemp("gpg")
    home.chmod(0o700)
    command = [
        "gpg",
        "--homedir",
        str(home),
        "--batch",
        "--quiet",
        "--pinentry-mode",
        "loopback",
        "--passphrase",
        "",
    ]
    make = ["--quick-generate-key", "kmpsolve <throw-away@example.org>", "rsa2048", "sign", "never"]
    subprocess.run([*command, *make], check=True, capture_output=True)
    done = subprocess.run([*command, "--armor", "--export"], check=True, capture_output=True)
    (home / "key.asc").write_bytes(done.stdout)
    return home
