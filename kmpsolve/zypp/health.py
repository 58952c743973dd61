"""Whether the hook and the guard are where zypper finds them, and whether they run."""

from __future__ import annotations

import json
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from kmpsolve.errors import KmpsolveError
from kmpsolve.version import __version__
from kmpsolve.zypp.second_stage import LAST_VERDICT

__all__ = ["health"]

_PLUGIN = Path("/usr/lib/zypp/plugins/commit/kmpsolve")
_TRANSACTIONAL = Path("/usr/sbin/transactional-update")
_SECONDS = 10


def health(root: Path) -> dict[str, Any]:
    """What ``kmpsolve doctor --format json`` prints."""
    problems: list[str] = []
    hook = _hook(root, problems)
    protected = hook["reachable"]
    if (root / str(_TRANSACTIONAL).lstrip("/")).exists() and not _loads_below_a_root():
        protected = False
        problems.append(
            "not protected: this libzypp loads no commit plugin for transactional-update; "
            "run kmpsolve plan before it"
        )
    elif not protected:
        problems.append("not protected: zypper finds no working hook")
    return {
        "schema_version": 1,
        "versions": _versions(),
        "bindings": _bindings(problems),
        "hook": hook,
        "protected": protected,
        "guard": _guard(root, problems),
        "last_verdict": _last_verdict(root),
        "problems": problems,
    }


def _versions() -> dict[str, str | None]:
    return {
        "kmpsolve": __version__,
        "python": platform.python_version(),
        "zypper": _said(["zypper", "--version"]),
        "libzypp": _libzypp(),
        "rpm": _said(["rpm", "--version"]),
        "kernel": platform.release(),
    }


def _said(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip().rpartition(" ")[2] or None if done.returncode == 0 else None


def _libzypp() -> str | None:
    """libzypp's version, from the user agent that it prints nowhere else: the library's file name."""
    for folder in ("/usr/lib64", "/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"):
        found = sorted(Path(folder).glob("libzypp.so.*.*"))
        if found:
            return found[-1].name.removeprefix("libzypp.so.")
    return None


def _loads_below_a_root() -> bool:
    """Whether libzypp runs plugins when TRANSACTIONAL_UPDATE is set: the word is in it then."""
    for folder in ("/usr/lib64", "/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"):
        for library in sorted(Path(folder).glob("libzypp.so.*"))[:1]:
            return b"TRANSACTIONAL_UPDATE" in library.read_bytes()
    return False


def _bindings(problems: list[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    try:
        found["solv"] = metadata.version("solv")
    except metadata.PackageNotFoundError:
        found["solv"] = "the distribution's"
    try:
        from kmpsolve.metadata.rpmbinding import load_rpm

        found["rpm"] = str(load_rpm().__version__)
    except KmpsolveError as error:
        found["rpm"] = None
        problems.append(str(error))
    return found


def _hook(root: Path, problems: list[str]) -> dict[str, Any]:
    """Look for the hook, and speak with it as libzypp does."""
    path = root / str(_PLUGIN).lstrip("/")
    hook: dict[str, Any] = {"path": str(_PLUGIN), "installed": path.is_file(), "reachable": False}
    if not path.is_file() or root != Path("/"):
        return hook
    try:
        said = subprocess.run(
            [str(path)],
            input=b"PLUGINBEGIN\n\n\0_DISCONNECT\n\n\0",
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
        first = said.stdout == b"ACK\n\n\0ACK\n\n\0"
        library = Path(__file__).parents[2]
        python = (library / "python").read_text().strip()
        second = subprocess.run(
            [python, "-I", str(library / "start"), "check"],
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        problems.append(f"the hook does not run: {error}")
        return hook
    if not first:
        problems.append(f"the hook does not answer: {said.stderr.decode(errors='replace').strip()}")
    if second.returncode:
        last = second.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        problems.append(f"the hook's second stage does not start: {last}")
    hook["reachable"] = first and second.returncode == 0
    return hook


def _guard(root: Path, problems: list[str]) -> dict[str, Any]:
    from kmpsolve.metadata.locks import parse_locks
    from kmpsolve.zypp import guard
    from kmpsolve.zypp.lockfile import HOLD

    state: dict[str, Any] = {"on": guard.installed_service(root), "holds": [], "keeps": []}
    try:
        for lock in guard.standing(root):
            state["holds" if lock.comment == HOLD else "keeps"].append({"name": lock.name, "evr": lock.evr})
        path = guard.locks_path(root)
        if path.is_file():
            problems += [f"{path}: {one}" for one in parse_locks(path.read_text(errors="replace")).problems]
    except (KmpsolveError, OSError) as error:
        problems.append(str(error))
    return state


def _last_verdict(root: Path) -> dict[str, Any] | None:
    try:
        plan: dict[str, Any] = json.loads((root / str(LAST_VERDICT).lstrip("/")).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return plan
