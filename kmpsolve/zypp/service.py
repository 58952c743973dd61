"""The guard's service plugin: zypper asks it for repositories, before it refreshes any and before it reads
locks.

It has none to offer. It refreshes what zypper is about to refresh anyway, looks at the kernels there, and
writes its locks, which the same run then honours. zypper's grandchild only, it never signals or asks
anything.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from kmpsolve.config import Config, read_config
from kmpsolve.errors import KmpsolveError
from kmpsolve.metadata.root import read_root
from kmpsolve.request import Request
from kmpsolve.zypp import guard, words
from kmpsolve.zypp.first_stage import Caller, journal
from kmpsolve.zypp.reading import every_patch, read_caches
from kmpsolve.zypp.survey import Guarded, free_patches, survey

__all__ = ["main"]

_RECURSION = "KMPSOLVE_GUARD"
_LOCKS = Path("/run/kmpsolve/refresh")
_PATIENCE = 300
"""Seconds for the refresh; zypper would wait for a slow mirror as well."""
_INSTALLING = ("update", "up", "dist-upgrade", "dup", "patch", "install", "in")
_GENERATIONS = 5


def main() -> None:
    """Bring the locks in line; says on the user's terminal which kernels are held back, and why."""
    if os.environ.get(_RECURSION) or os.geteuid() != 0:
        return
    os.umask(0o022)
    root = Path("/")
    zypper = _zypper()
    told: list[str] = []
    verb = next((word for word in (zypper.arguments if zypper else ())[1:] if word in _INSTALLING), "")
    try:
        config = read_config(root)
        _refresh()
        guarded, patches = _sync(root, config, patches=verb == "patch")
        held = words.held(guarded)
        told = held + words.patch_command(patches)
        for line in held:
            journal(
                {
                    "MESSAGE": line.removeprefix("kmpsolve:").strip(),
                    "KMPSOLVE_VERDICT": "held",
                    "PRIORITY": "5",
                }
            )
    except (KmpsolveError, OSError) as error:
        told = words.said(f"the guard could not look for kernels that break a KMP: {error}")
        journal({"MESSAGE": told[0].removeprefix("kmpsolve: "), "KMPSOLVE_VERDICT": "error", "PRIORITY": "3"})
    if zypper is not None and verb:
        zypper.tell(told)
    else:
        sys.stderr.write("".join(f"{line}\n" for line in told))


def _sync(root: Path, config: Config, *, patches: bool) -> tuple[Guarded, list[str]]:
    """Write the locks; returns what is held and, if asked for, the patches that may come nevertheless."""
    request = Request(running=os.uname().release)
    loaded = read_caches(root, request, config, named=(), without_holds=True, patches=patches).loaded
    guarded = survey(loaded, doubtful=config.unverified == "abort")
    guard.write(guarded, root, loaded, keep=config.keep_last_good)
    if not (patches and guarded.held):
        return guarded, []
    return guarded, free_patches(loaded, guarded, every_patch(root))


def _zypper() -> Caller | None:
    """The zypper that runs this; between it and us are shells."""
    pid = os.getppid()
    for _ in range(_GENERATIONS):
        caller = Caller(pid)
        if caller.is_zypper:
            return caller
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return None
    return None


def _refresh() -> None:
    """Let zypper refresh the repositories that the zypper around us is about to refresh by itself.

    zypp's lock is that zypper's; the refresh takes another one. If it fails, what there is has to do.
    """
    aliases = [one.alias for one in read_root(Path("/")).repositories if one.definition.autorefresh]
    if not aliases:
        return
    _LOCKS.mkdir(mode=0o755, parents=True, exist_ok=True)
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C.UTF-8",
        "HOME": "/root",
        _RECURSION: "1",
        "ZYPP_LOCKFILE_ROOT": str(_LOCKS),
    }
    for name in ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy"):
        if name in os.environ:
            environment[name] = os.environ[name]
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(
            ["/usr/bin/zypper", "--non-interactive", "--quiet", "refresh", "--", *aliases],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            timeout=_PATIENCE,
            check=False,
        )
