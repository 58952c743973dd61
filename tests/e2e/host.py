"""A machine for the real zypper: a sandbox with packages, repositories and, if wanted, kmpsolve installed."""

from __future__ import annotations

import atexit
import contextlib
import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.sandbox import ZYPP_CONF, Finished, Sandbox, python_folders
from tests.support import cache, repository, rpmbuild
from tests.support.fixture import parse
from tests.support.packages import PackageSpec

CHECKOUT = Path(__file__).parents[2]
NO_MULTIVERSION = "[main]\n"

KERNELS = """\
description = "A driver, the kernels it meets, and a build of it for the one that it does not fit."
installed = ["old", "driver", "tool"]
request.running = "old"

[symbols]
kfree = "37a0cba"
kmalloc = "1b2c3d4e"
vmalloc = "d6ee688f"

[packages]
old = { kernel = "default 6.4.0-150600.23.25.1" }
middle = { kernel = "default 6.4.0-150600.23.27.1" }
new = { kernel = "default 6.4.0-150600.23.30.1", changes = { kmalloc = "9f00aa11" } }
tool = { package = "tool 1-1" }
newer-tool = { package = "tool 2-1" }

[packages.driver]
kmp = "acme 2.1-1"
built_for = "default 6.4.0-150600.23.25"
uses = ["kfree", "kmalloc", "vmalloc"]

[packages.rebuild]
kmp = "acme 2.2-1"
built_for = "default 6.4.0-150600.23.30"
uses = ["kfree"]
uses_also = { kmalloc = "9f00aa11" }

[repositories]
all = { packages = ["middle", "new", "rebuild", "newer-tool"] }

[expect]
exit = 0
verdict = "safe"
"""

OLD = "kernel-default-6.4.0-150600.23.25.1.x86_64"
MIDDLE = "kernel-default-6.4.0-150600.23.27.1.x86_64"
NEW = "kernel-default-6.4.0-150600.23.30.1.x86_64"
DRIVER = "acme-kmp-default-2.1_k6.4.0_150600.23.25-1.x86_64"
REBUILD = "acme-kmp-default-2.2_k6.4.0_150600.23.30-1.x86_64"
TOOL = "tool-1-1.x86_64"
NEWER_TOOL = "tool-2-1.x86_64"
KERNEL_PATCH = "SUSE-2026-1"
TOOL_PATCH = "SUSE-2026-2"


@functools.cache
def packages() -> dict[str, PackageSpec]:
    """The packages above, by NEVRA."""
    scenario = parse("e2e", KERNELS)
    listed = [*scenario.installed, *(p for one in scenario.repositories for p in one.packages)]
    return {spec.nevra: spec for spec in listed}


def specs(*nevras: str) -> list[PackageSpec]:
    """Packages by NEVRA."""
    return [packages()[nevra] for nevra in nevras]


@functools.cache
def _installation(prefix: str) -> Path:
    """What ``make install`` installs, made once for each test process."""
    folder = Path(tempfile.mkdtemp(prefix="kmpsolve-installed-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    environment = {
        "PATH": os.environ["PATH"],
        "DESTDIR": str(folder),
        "PREFIX": prefix,
        "PYTHON": sys.executable,
    }
    subprocess.run([CHECKOUT / "tools" / "install", "install"], env=environment, check=True)
    return folder


class Host(Sandbox):
    """A sandbox with an installed system of these packages; a context.

    Parameters
    ----------
    installed
        NEVRAs in the rpmdb.
    hook
        Whether kmpsolve is installed.
    multiversion
        Whether kernels and KMPs are installed beside older ones.
    configuration
        The text of kmpsolve.toml instead of the one that is installed.
    refreshed
        Whether zypper finds what makes a cache after a refresh: it works in the background of whatever comes next.
    """

    def __init__(
        self,
        *installed: str,
        hook: bool = True,
        multiversion: bool = True,
        configuration: str | None = None,
        refreshed: bool = False,
        more: Iterable[PackageSpec] = (),
        shared: Iterable[Path] = (),
        unprivileged: bool | None = None,
    ) -> None:
        conf = ZYPP_CONF if multiversion else NO_MULTIVERSION
        super().__init__(
            shared=[cache.root(), *python_folders(), *shared], zypp_conf=conf, unprivileged=unprivileged
        )
        # Without privileges the programs are the machine's own, and nothing can be put among them.
        self.prefix = "/opt/kmpsolve" if self.unprivileged else "/usr"
        self.library = f"{self.prefix}/lib/kmpsolve"
        self._installed = [*specs(*installed), *more]
        self._hook = hook
        self._configuration = configuration
        self._refreshed = refreshed

    def __enter__(self) -> Host:
        super().__enter__()
        self.install_rpms(rpmbuild.build(self._installed))
        if self._hook:
            self.install_kmpsolve()
        if self._configuration is not None:
            self.write("/etc/kmpsolve/kmpsolve.toml", self._configuration)
        return self

    def install_kmpsolve(self) -> None:
        """Put what ``make install`` installs into place."""
        image = _installation(self.prefix)
        names = sorted(path.name for path in image.iterdir())
        packed = subprocess.Popen(["tar", "-C", str(image), "-cf", "-", *names], stdout=subprocess.PIPE)
        unpack = ["tar", "-C", str(self.root), "--no-overwrite-dir", "--no-same-owner", "-xf", "-"]
        subprocess.run(unpack, stdin=packed.stdout, check=True)
        assert packed.stdout is not None
        packed.stdout.close()
        assert packed.wait() == 0
        if not self._refreshed:
            self.path("/usr/lib/zypp/plugins/appdata/kmpsolve").unlink()

    def add(
        self,
        alias: str,
        packages: Iterable[PackageSpec],
        patches: Iterable[repository.PatchSpec] = (),
        *,
        url: str | None = None,
        priority: int = 99,
    ) -> Path:
        """Add a repository with these packages; returns its folder."""
        folder = repository.rpm_md(packages, patches)
        self.add_repository(alias, url or f"dir:{folder}", priority=priority)
        return folder

    def kmpsolve(self, *arguments: str, env: Mapping[str, str] = {}) -> Finished:
        """``kmpsolve ARGUMENTS``."""
        return self.run([f"{self.prefix}/bin/kmpsolve", *arguments], env=env)

    def zypp_log(self) -> str:
        """zypper's own log."""
        path = self.path("/var/log/zypper.log")
        return path.read_text(errors="replace") if path.exists() else ""

    def last_verdict(self) -> dict[str, Any]:
        """What the hook left in /run."""
        document: dict[str, Any] = json.loads(self.path("/run/kmpsolve/last-verdict.json").read_text())
        return document

    def downloaded(self) -> list[str]:
        """RPMs in zypper's cache."""
        folder = self.path("/var/cache/zypp/packages")
        return sorted(path.name for path in folder.rglob("*.rpm")) if folder.exists() else []

    def locks(self) -> str:
        """The locks file."""
        path = self.path("/etc/zypp/locks")
        return path.read_text() if path.exists() else ""

    def rpmdb(self) -> bytes:
        """The rpmdb's packages as bytes, whatever else rpm writes beside them."""
        return self.run(
            ["rpm", "-qa", "--qf", "%{DBINSTANCE} %{NEVRA} %{SHA256HEADER} %{INSTALLTIME}\n"]
        ).stdout.encode()


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder; yields its address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def patches() -> list[repository.PatchSpec]:
    """A security patch with the kernel, and one with something else."""
    return [
        repository.PatchSpec(id=KERNEL_PATCH, packages=tuple(specs(NEW)), cves=("CVE-2026-1111",)),
        repository.PatchSpec(id=TOOL_PATCH, packages=tuple(specs(NEWER_TOOL))),
    ]


def stopped(host: Host, ended: Finished, before: bytes) -> list[str]:
    """What is not as it has to be after a transaction that the hook stopped; empty if all is."""
    wrong = []
    if ended.code != 8:
        wrong.append(f"exit code {ended.code}")
    if "kmpsolve: stopped this update before anything was changed" not in ended.stderr:
        wrong.append(f"no explanation: {ended.stderr}")
    if host.rpmdb() != before:
        wrong.append("the rpmdb changed")
    if host.downloaded():
        wrong.append(f"downloaded {host.downloaded()}")
    pid = host.path("/run/zypp.pid")
    if pid.exists() and pid.read_text().strip() not in ("", "0") and ended.code != 137:
        holder = pid.read_text().strip()
        if host.run(["test", "-e", f"/proc/{holder}"]).code == 0:
            wrong.append("zypp is locked")
    return wrong


def without_root(host: Host, *arguments: str) -> Finished:
    """``kmpsolve ARGUMENTS`` as somebody who is not root."""
    if os.geteuid() == 0:
        host.run(["chmod", "-R", "a+rX", host.library])
        return host.run(["setpriv", "--reuid", "65534", "--clear-groups", "kmpsolve", *arguments])
    words = [sys.executable, "-m", "kmpsolve", *arguments]
    ended = subprocess.run(words, capture_output=True, text=True, cwd=CHECKOUT, check=False)
    return Finished(argv=tuple(words), code=ended.returncode, stdout=ended.stdout, stderr=ended.stderr)
