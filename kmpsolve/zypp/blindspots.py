"""What keeps kmpsolve from seeing or from acting, each with what to do about it."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kmpsolve.cache.place import folder as place_of_caches
from kmpsolve.cache.place import survey
from kmpsolve.config import Config, read_config
from kmpsolve.errors import ConfigError, KmpsolveError
from kmpsolve.metadata.belief import signatures_asked
from kmpsolve.metadata.files import safe_place
from kmpsolve.metadata.inifile import IniSyntaxError, entries, is_true
from kmpsolve.metadata.locks import parse_locks
from kmpsolve.metadata.repository import Repository
from kmpsolve.metadata.root import System, read_root
from kmpsolve.metadata.rootpath import Root
from kmpsolve.metadata.rpmdb import PublicKey, public_keys
from kmpsolve.model.clock import now
from kmpsolve.report.words import few
from kmpsolve.zypp.guard import SERVICE, installed_service, standing
from kmpsolve.zypp.lockfile import HOLD

__all__ = ["Finding", "Sight", "look"]

Severity = Literal["error", "warning", "note"]
_DAY = 86400
_DISABLED = re.compile(r"^\s*(?:export\s+)?KMPSOLVE_DISABLE=[\"']?([^\"'#\s]*)", re.MULTILINE)
"""What /etc/environment sets, as pam_env reads it: the last line counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that stands in the way.

    Parameters
    ----------
    reference
        Its stable kebab-case name.
    severity
        ``error``: updates are not looked at, or by nothing that can be believed; ``warning``: less is seen or
        done than could be; ``note``: good to know.
    message
        What is wrong, one line.
    hint
        What to do, one line; a command where there is one.
    """

    reference: str
    severity: Severity
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What was looked at, and what was found.

    Parameters
    ----------
    repositories
        For each enabled repository what is read of it, and since when.
    keys
        The public keys that metadata may be signed with.
    cache
        kmpsolve's own: where it is, how many bytes and caches, and the names of those that nobody believes;
        ``None`` if there is none.
    """

    findings: tuple[Finding, ...]
    repositories: tuple[dict[str, Any], ...]
    keys: tuple[PublicKey, ...]
    cache: dict[str, Any] | None


def look(root: Path) -> Sight:
    """Look at the configuration, the caches and the keys of a system."""
    findings: list[Finding] = []
    cache = _own_cache(root, findings)
    try:
        config = read_config(root)
    except KmpsolveError as error:
        findings.append(_of_error("configuration", error))
        config = Config()
    try:
        system = read_root(root)
    except KmpsolveError as error:
        findings.append(_of_error("zypp-configuration", error))
        return Sight(findings=tuple(findings), repositories=(), keys=(), cache=cache)
    keys = public_keys(system.root)
    findings += [*_zypp(system), *_held(root), *_switched_off(system.root), *_installed(system)]
    if installed_service(root):
        findings += _service_off(system)
    described = []
    for repository in system.repositories:
        findings += [*_cache(repository, config), *_signatures(system, repository, keys)]
        described.append(_described(repository))
    if not system.repositories:
        findings.append(
            Finding(
                reference="no-repository",
                severity="error",
                message="no repository is defined or enabled",
                hint="Enable one: zypper modifyrepo --enable ALIAS",
            )
        )
    findings += [
        Finding(
            reference="repository-definition",
            severity="warning",
            message=one.reason,
            hint="Correct the file; zypper does not use the entry either",
        )
        for one in system.definitions.invalid
    ]
    return Sight(findings=tuple(findings), repositories=tuple(described), keys=keys, cache=cache)


def _of_error(reference: str, error: KmpsolveError) -> Finding:
    hint = error.hint or "Correct it; until then the commit hook does what on_error says"
    return Finding(reference=reference, severity="error", message=str(error), hint=hint)


def _zypp(system: System) -> Iterator[Finding]:
    """What zypp.conf and the locks file say against us."""
    conf = "/etc/zypp/zypp.conf"
    if "provides:multiversion(kernel)" not in system.multiversion:
        yield Finding(
            reference="multiversion-off",
            severity="warning",
            message="an update replaces the running kernel and its KMPs: there is no kernel to go back to",
            hint=f"Set in {conf}: multiversion = provides:multiversion(kernel)",
        )
    elif system.keep and "running" not in system.keep.split(","):
        yield Finding(
            reference="running-kernel-purged",
            severity="warning",
            message=f"zypper purge-kernels may remove the running kernel (multiversion.kernels = {system.keep})",
            hint=f"Set in {conf}: multiversion.kernels = latest,latest-1,running",
        )
    if not system.conf.locks_apply:
        yield Finding(
            reference="locks-off",
            severity="warning",
            message="zypp.conf switches locks off: the guard cannot hold a kernel back",
            hint=f"Remove locksfile.apply from {conf}",
        )
    if system.allow_vendor_change:
        yield Finding(
            reference="vendor-change",
            severity="note",
            message="any repository may replace any vendor's packages, kernels and KMPs among them",
            hint=f"Remove solver.allowVendorChange from {conf}",
        )
    text = system.root.read(system.conf.locks_file)
    if text is None and system.root.path(system.conf.locks_file).exists():
        yield Finding(
            reference="locks-file",
            severity="warning",
            message=f"{system.conf.locks_file} is no file: zypper honours no lock, and the guard can hold nothing",
            hint=f"Move it away: mv {shlex.quote(system.conf.locks_file)} {shlex.quote(system.conf.locks_file)}.old",
        )
    for problem in parse_locks(text or "").problems:
        yield Finding(
            reference="locks-file",
            severity="warning",
            message=f"{system.conf.locks_file}: {problem}",
            hint="Correct it; zypper ignores what it cannot read, without a word",
        )


def _held(root: Path) -> Iterator[Finding]:
    """A hold that on_blocked = "hold" wrote is for the guard to lift, and that may be off."""
    held = [f"{lock.name} {lock.evr}" for lock in standing(root) if lock.comment == HOLD]
    if held and not installed_service(root):
        yield Finding(
            reference="hold-without-guard",
            severity="warning",
            message=f"{few(held)} held back, and nobody lifts that when a rebuild appears: the guard is off",
            hint="Have it looked after: kmpsolve guard on; or lift it: kmpsolve guard off",
        )


def _service_off(system: System) -> Iterator[Finding]:
    """A definition under the guard's own name in services.d outdoes its plugin."""
    folder, service = system.conf.services_folder, SERVICE.rpartition("/")[2]
    for name in sorted(system.root.names(folder)):
        try:
            lines = list(entries(system.root.read(f"{folder}/{name}") or ""))
        except (ConfigError, IniSyntaxError):
            continue
        said = {one.key: one.value or "" for one in lines if one.section == service}
        runs = is_true(said.get("enabled", ""), True) and is_true(said.get("autorefresh", ""), False)
        if name.endswith(".service") and said and not runs:
            yield Finding(
                reference="guard-disabled",
                severity="warning",
                message=f"the guard is on, but {folder}/{name} switches its service off: locks stay as they are",
                hint=f"Remove it: rm {shlex.quote(f'{folder}/{name}')}",
            )


def _switched_off(root: Root) -> Iterator[Finding]:
    set_here = os.environ.get("KMPSOLVE_DISABLE") == "1"
    try:
        everywhere = _DISABLED.findall(root.read("/etc/environment") or "")[-1:] == ["1"]
    except ConfigError:
        everywhere = False
    if set_here or everywhere:
        where = "/etc/environment" if everywhere else "this environment"
        yield Finding(
            reference="hook-switched-off",
            severity="error",
            message=f"KMPSOLVE_DISABLE=1 is set in {where}: the hook lets every transaction pass",
            hint="Remove it there; it is meant for a single run",
        )


def _installed(system: System) -> Iterator[Finding]:
    try:
        found = system.installed()
    except KmpsolveError as error:
        yield _of_error("rpmdb", error)
        return
    if found.content.primary is not None:
        found.content.primary.close()
    if found.stale is not None:
        yield Finding(
            reference="rpmdb-stale",
            severity="error",
            message=f"the rpmdb cannot be read, zypper's last copy of it stands in: {found.stale}",
            hint=found.remedy,
        )


def _own_cache(root: Path, findings: list[Finding]) -> dict[str, Any] | None:
    place = place_of_caches()
    if root != Path("/") or place is None or not place.exists():
        return None
    again = f"Delete it; it is made again: rm -r {place}"
    if not safe_place(place):
        findings.append(
            Finding(
                reference="cache-writable",
                severity="warning",
                message=f"{place} can be written by others, so that nothing in it is used",
                hint=again,
            )
        )
    caches, size = survey()
    damaged = sorted(name for name, good in caches.items() if not good)
    if damaged:
        findings.append(
            Finding(
                reference="cache-damaged",
                severity="note",
                message=f"{place}: {len(damaged)} of {len(caches)} caches are damaged and not used",
                hint=again,
            )
        )
    return {"path": str(place), "caches": len(caches), "bytes": size, "damaged": damaged}


def _state(repository: Repository) -> str:
    """``cached``, ``outdated``, ``local``, ``remote`` or ``unreadable``."""
    location = repository.location
    if location is None:
        return "unreadable"
    if repository.copy is None and repository.metadata is None:
        return "remote" if location.startswith(("http:", "https:")) else "local"
    if location.endswith("/solv"):
        return "cached"
    return "outdated" if repository.metadata is not None else "local"


def _described(repository: Repository) -> dict[str, Any]:
    return {
        "alias": repository.alias,
        "state": _state(repository),
        "reads": repository.location,
        "refreshed": repository.refreshed,
    }


def _cache(repository: Repository, config: Config) -> Iterator[Finding]:
    """How good zypper's copy of a repository is; the hook reads nothing else."""
    refresh = f"zypper refresh {shlex.quote(repository.alias)}"
    state = _state(repository)
    if state == "unreadable":
        yield Finding(
            reference="repository-unreadable",
            severity="error",
            message=f"{repository.alias}: {repository.reason}",
            hint=f"Refresh it: {refresh}",
        )
    elif state == "remote":
        yield Finding(
            reference="never-refreshed",
            severity="warning",
            message=f"{repository.alias}: zypper has no copy of it; the hook and the guard do not see it",
            hint=f"Refresh it: {refresh}",
        )
    elif state == "outdated":
        yield Finding(
            reference="cache-outdated",
            severity="note",
            message=f"{repository.alias}: zypper's .solv is not made from the metadata beside it, "
            "which is read instead and takes longer",
            hint=f"Have it made again: {refresh}",
        )
    if repository.refreshed is None:
        return
    age = now() - repository.refreshed
    if age > config.metadata_max_age:
        yield Finding(
            reference="stale-metadata",
            severity="warning",
            message=f"{repository.alias}: refreshed {age // _DAY} days ago; newer rebuilds are not seen",
            hint=f"Refresh it: {refresh}",
        )
    elif age < -_DAY:
        yield Finding(
            reference="clock",
            severity="warning",
            message=f"{repository.alias}: refreshed in the future; this machine's clock was or is wrong",
            hint=f"Set the clock, then: {refresh}",
        )


def _signatures(system: System, repository: Repository, keys: tuple[PublicKey, ...]) -> Iterator[Finding]:
    definition, alias = repository.definition, repository.alias
    either, metadata = signatures_asked(system.conf, definition)
    if either is False and not metadata:
        remote = any(not url.startswith(("dir:", "file:", "cd:", "dvd:", "iso:")) for url in definition.urls)
        yield Finding(
            reference="signatures-off",
            severity="warning" if remote else "note",
            message=f"{alias}: signatures are not checked (gpgcheck=0); whoever is on the way to it decides "
            "what it offers",
            hint=f"zypper modifyrepo --gpgcheck {shlex.quote(alias)}",
        )
    elif not keys and not definition.keys:
        yield Finding(
            reference="no-keys",
            severity="warning",
            message=f"{alias}: signatures are checked, but rpm trusts no key",
            hint=f"Import its key: zypper refresh {shlex.quote(alias)} asks for it",
        )


def executable(path: Path) -> bool:
    """Whether libzypp would start a plugin: a file that anybody may execute."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and bool(mode & 0o111)
