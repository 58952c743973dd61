"""Whether the hook and the guard are where zypper finds them, and whether they run."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from kmpsolve.config import read_config
from kmpsolve.errors import KmpsolveError
from kmpsolve.metadata.rootpath import Root
from kmpsolve.metadata.rpmbinding import load_rpm
from kmpsolve.version import __version__
from kmpsolve.zypp.blindspots import Finding, executable, look
from kmpsolve.zypp.first_stage import last_on_error
from kmpsolve.zypp.history import recent
from kmpsolve.zypp.second_stage import LAST_VERDICT

__all__ = ["health"]

_PLUGIN = "/usr/lib/zypp/plugins/commit/kmpsolve"
_TRANSACTIONAL = "/usr/sbin/transactional-update"
_ORDER = ("error", "warning", "note")
_SECONDS = 10
_USER_AGENT = re.compile(rb"ZYpp ([0-9][0-9.]*) \(")
_LETS_PASS = frozenset(("hook-switched-off",))
_CANNOT_JUDGE = frozenset(("configuration", "rpmdb", "zypp-configuration"))
"""Findings with which the hook comes to no verdict: on_error decides then, and lets pass by default."""


def health(root: Path) -> dict[str, Any]:
    """What ``kmpsolve doctor --format json`` prints."""
    below = Root.at(root)
    findings: list[Finding] = []
    hook = _hook(below, findings)
    protected = hook["reachable"]
    if below.path(_TRANSACTIONAL).exists() and not _loads_below_a_root():
        protected = False
        findings.append(
            Finding(
                reference="transactional-without-plugins",
                severity="error",
                message="not protected: this libzypp loads no commit plugin for transactional-update",
                hint="Run kmpsolve plan before each transactional-update",
            )
        )
    elif not protected:
        findings.append(
            Finding(
                reference="not-protected",
                severity="error",
                message="not protected: zypper finds no working hook",
                hint="Install it: make install, or the package kmpsolve-zypper-plugin",
            )
        )
    bindings = _bindings(findings)
    guard = _guard(below, findings)
    said = recent(below)
    findings += _unjudged(said)
    seen = look(root)
    findings += seen.findings
    on_error = _on_error(root)
    unchecked = _LETS_PASS if on_error == "abort" else _LETS_PASS | _CANNOT_JUDGE
    protected = protected and unchecked.isdisjoint(found.reference for found in findings)
    findings.sort(key=lambda found: (_ORDER.index(found.severity), found.reference, found.message))
    return {
        "schema_version": 1,
        "versions": _versions(),
        "bindings": bindings,
        "hook": hook,
        "protected": protected,
        "guard": guard,
        "on_error": on_error,
        **_last_verdict(below),
        "last_verdicts": said,
        "cache": seen.cache,
        "repositories": list(seen.repositories),
        "keys": [{"name": key.name, "summary": key.summary} for key in seen.keys],
        "findings": [asdict(found) for found in findings],
        "problems": [found.message for found in findings if found.severity != "note"],
    }


def _on_error(root: Path) -> str:
    """What the hook does where it comes to no verdict, found as it finds it."""
    try:
        return read_config(root).on_error
    except KmpsolveError:
        return last_on_error(str(root))


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
    """libzypp's version, from the user agent in it; its file is named after its binary interface, 1722.3.7 say."""
    for content in map(Path.read_bytes, _libraries()):
        if found := _USER_AGENT.search(content):
            return found[1].decode()
    return None


def _loads_below_a_root() -> bool:
    """Whether libzypp runs plugins when TRANSACTIONAL_UPDATE is set: the word is in it then."""
    return any(b"TRANSACTIONAL_UPDATE" in library.read_bytes() for library in _libraries()[:1])


def _libraries() -> list[Path]:
    """libzypp's own file, where there is one."""
    for folder in ("/usr/lib64", "/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"):
        if found := sorted(Path(folder).glob("libzypp.so.*")):
            return found
    return []


def _bindings(findings: list[Finding]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    try:
        found["solv"] = metadata.version("solv")
    except metadata.PackageNotFoundError:
        found["solv"] = "the distribution's"
    try:
        found["rpm"] = str(load_rpm().__version__)
    except KmpsolveError as error:
        found["rpm"] = None
        findings.append(_because("no-rpm-binding", str(error), error.hint or "Install python3-rpm"))
    if shutil.which("gpgv", path="/usr/bin:/bin") is None:
        findings.append(
            Finding(
                reference="no-gpgv",
                severity="warning",
                message="gpgv is missing: signatures of metadata that zypper has not read cannot be checked",
                hint="Install it: zypper install gpg2",
            )
        )
    return found


def _because(reference: str, message: str, hint: str) -> Finding:
    return Finding(reference=reference, severity="error", message=message, hint=hint)


def _hook(root: Root, findings: list[Finding]) -> dict[str, Any]:
    """Look for the hook, and speak with it as libzypp does."""
    path = root.path(_PLUGIN)
    hook: dict[str, Any] = {"path": _PLUGIN, "installed": path.is_file(), "reachable": False}
    if not path.is_file() or not root.is_machine:
        return hook
    if not executable(path):
        findings.append(_because("hook-disabled", f"{path} is not executable", f"chmod 755 {path}"))
        return hook
    again = "Install kmpsolve again: make install PYTHON=..., with a Python of 3.11 or newer"
    try:
        said = subprocess.run(
            [str(path)],
            input=b"PLUGINBEGIN\n\n\0_DISCONNECT\n\n\0",
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
        first = said.stdout == b"ACK\n\n\0ACK\n\n\0"
        library = _library(path)
        python = (library / "python").read_text().strip()
        second = subprocess.run(
            [python, "-I", str(library / "start"), "check"],
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        late = f"the hook gives no answer within {_SECONDS} seconds"
        findings.append(_because("hook-does-not-answer", late, again))
        return hook
    except OSError as error:
        findings.append(_because("hook-does-not-run", f"the hook does not run: {error}", again))
        return hook
    if not first:
        complaint = said.stderr.decode(errors="replace").strip()
        findings.append(_because("hook-does-not-answer", f"the hook does not answer: {complaint}", again))
    if second.returncode:
        last = second.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        findings.append(_because("no-second-stage", f"the hook's second stage does not start: {last}", again))
    hook["reachable"] = first and second.returncode == 0
    return hook


def _library(plugin: Path) -> Path:
    """The folder of the installation that the hook belongs to, which need not be this program's."""
    named = re.search(
        r'^LIBRARY = "(.+)"$', plugin.read_text(encoding="utf-8", errors="replace"), re.MULTILINE
    )
    return Path(named[1]) if named else Path(__file__).parents[2]


def _guard(root: Root, findings: list[Finding]) -> dict[str, Any]:
    from kmpsolve.zypp import guard
    from kmpsolve.zypp.lockfile import HOLD

    state: dict[str, Any] = {"on": guard.installed_service(root.folder), "holds": [], "keeps": []}
    try:
        for lock in guard.standing(root.folder):
            state["holds" if lock.comment == HOLD else "keeps"].append({"name": lock.name, "evr": lock.evr})
    except (KmpsolveError, OSError) as error:
        findings.append(_because("locks-unreadable", str(error), "Run it as root"))
    if state["on"] and not executable(root.path(guard.SERVICE)):
        findings.append(
            Finding(
                reference="guard-does-not-run",
                severity="warning",
                message=f"the guard is on, but zypper cannot start {guard.SERVICE}: locks stay as they are",
                hint="Install kmpsolve again, then: kmpsolve guard on",
            )
        )
    return state


def _unjudged(said: list[dict[str, Any]]) -> list[Finding]:
    """Whether the hook had no verdict when it was asked last."""
    if not said or said[0]["verdict"] != "error":
        return []
    return [
        Finding(
            reference="last-not-judged",
            severity="warning",
            message=f"the hook had no verdict on the last update: {said[0]['message']}",
            hint="Correct what it names; kmpsolve plan says whether it sees everything",
        )
    ]


def _last_verdict(root: Root) -> dict[str, Any]:
    """The hook's last verdict and when it was given (seconds since the epoch); others may be in the journal."""
    try:
        path = root.path(str(LAST_VERDICT))
        plan = json.loads(root.read(str(LAST_VERDICT)) or "")
        given = int(path.stat().st_mtime)
    except (OSError, ValueError, RecursionError, KmpsolveError):
        return {"last_verdict": None, "last_verdict_at": None}
    if not isinstance(plan, dict) or not isinstance(plan.get("verdict"), str):
        return {"last_verdict": None, "last_verdict_at": None}
    return {"last_verdict": plan, "last_verdict_at": given}
