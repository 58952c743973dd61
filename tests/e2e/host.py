"""A machine for the real zypper: a sandbox with packages, repositories and, if wanted, kmpsolve installed."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.sandbox import ZYPP_CONF, Finished, Sandbox
from tests.support import cache, repository, rpmbuild
from tests.support.fixture import Repository, Scenario, parse
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
driver = { kmp = "acme 2.1-1", built_for = "default 6.4.0-150600.23.25", uses = ["kfree", "kmalloc", "vmalloc"] }
rebuild = { kmp = "acme 2.2-1", built_for = "default 6.4.0-150600.23.30", uses = ["kfree"], uses_also = { kmalloc = "9f00aa11" } }
tool = { package = "tool 1-1" }
newer-tool = { package = "tool 2-1" }

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
def _installation() -> Path:
    """What ``make install`` installs, made once for each test process."""
    folder = Path(tempfile.mkdtemp(prefix="kmpsolve-installed-"))
    install(folder)
    return folder


def install(destdir: Path) -> None:
    """Run tools/install as ``make install`` does."""
    environment = {"PATH": os.environ["PATH"], "DESTDIR": str(destdir), "PYTHON": sys.executable}
    subprocess.run([CHECKOUT / "tools" / "install", "install"], env=environment, check=True)


def _python_folders() -> Iterator[Path]:
    """Where the tests' own Python lives, as far as it is not among the system's programs."""
    for folder in {Path(sys.prefix), Path(sys.base_prefix)}:
        if folder.is_dir() and not folder.is_relative_to("/usr"):
            yield folder


@dataclass(kw_only=True)
class Host(Sandbox):
    """A sandbox with kmpsolve's own words for what tests do with it."""


class Machine:
    """One machine; made by `machine`."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sandbox, name)
