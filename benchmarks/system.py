"""A system with the real zypper in it, in a throw-away namespace (`tests.sandbox`), filled with a world."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.data import CACHE, CHECKOUT, Shape, ready

os.environ.setdefault("KMPSOLVE_TEST_CACHE", str(CACHE / "rpm"))

from tests.sandbox import Sandbox, python_folders
from tests.support import rpmbuild
from tests.support.packages import PackageSpec

__all__ = ["ALIASES", "Sandbox", "entering", "system"]

ALIASES = ("sle", "vendor")

_JUST_DATABASE = ("--justdb", "--nodeps", "--force", "--noorder", "--nosignature", "--noscripts", "--quiet")


@contextmanager
def system(shape: Shape) -> Iterator[Sandbox]:
    """A system with the installed packages of `shape` and its two repositories, not yet refreshed."""
    world = ready(shape)
    with Sandbox(shared=[CHECKOUT, CACHE, *python_folders()]) as sandbox:
        saved = world / "rpmdb"
        if not saved.is_dir():
            _install(sandbox, world / "installed.json")
            shutil.copytree(sandbox.path("/var/lib/rpm"), world / "rpmdb.draft", dirs_exist_ok=True)
            (world / "rpmdb.draft").rename(saved)
        else:
            shutil.copytree(saved, sandbox.path("/var/lib/rpm"), dirs_exist_ok=True)
        for alias in ALIASES:
            sandbox.add_repository(alias, f"dir:{world / alias}", refresh=False)
        yield sandbox


def entering(sandbox: Sandbox) -> list[str]:
    """What comes before a command that is to run in the sandbox (as root)."""
    return ["nsenter", "-t", str(sandbox.pid), "-m", "-p", "-r", "-w"]


def _install(sandbox: Sandbox, packages: Path) -> None:
    entries: list[dict[str, Any]] = json.loads(packages.read_text())
    for entry in entries:
        entry |= {key: tuple(value) for key, value in entry.items() if isinstance(value, list)}
    specs = [
        PackageSpec(**entry, files=("/bin/sh",) if entry["name"] == "package-0" else ()) for entry in entries
    ]
    rpms = [str(path) for path in rpmbuild.build(specs)]
    ended = sandbox.run(["xargs", "rpm", "-i", *_JUST_DATABASE], stdin="\n".join(rpms), timeout=1200)
    if ended.code:
        raise RuntimeError(str(ended)[-2000:])
