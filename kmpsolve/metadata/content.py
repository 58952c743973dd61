"""What the metadata room hands to the solver room: checked bytes, no judgement."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

__all__ = [
    "UNKNOWN_ARCH",
    "Content",
    "HostSettings",
    "Patch",
    "Skipped",
    "ToldModule",
    "kmp_digest",
    "symbol_digest",
]

_SYMBOLS = ("ksym(", "kernel(", "kernel-uname-r ")

UNKNOWN_ARCH = "unknown"
"""The architecture of a package in an inventory that tells none."""


def symbol_digest(capabilities: Iterable[str]) -> str:
    """16 hex digits that stand for the symbol versions, symsets and exact kernels among capabilities."""
    return _digest(c for c in capabilities if c.startswith(_SYMBOLS))


def kmp_digest(provides: Iterable[str], requires: Iterable[str]) -> str:
    """16 hex digits for what a KMP's build needs and gives: symbols of others, its own ones, its modules.

    What a build requires and provides itself is left out of its needs: rpm lists it, createrepo_c does not.
    """
    given = frozenset(provides)
    needs = {c for c in requires if c.startswith(_SYMBOLS)} - given
    gives = {c for c in given if c.startswith((*_SYMBOLS, "kmod("))}
    return _digest([*(f"requires {c}" for c in needs), *(f"provides {c}" for c in gives)])


def _digest(capabilities: Iterable[str]) -> str:
    text = "\n".join(sorted(capabilities))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """One updateinfo entry.

    Parameters
    ----------
    id
        The advisory, such as ``SUSE-SLE-Module-Basesystem-15-SP6-2024-1234``.
    severity
        As written in the entry (``important``); empty if absent.
    cves
        Sorted CVE numbers.
    status
        updateinfo's ``status`` (``stable``, ``retracted``, ...).
    packages
        NEVRAs, ``name-[epoch:]version-release.arch``, sorted.
    """

    id: str
    severity: str
    cves: tuple[str, ...]
    status: str
    packages: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldModule:
    """A module below /lib/modules that no package owns, as an inventory tells of it.

    Parameters
    ----------
    needs, exports
        Symbol -> CRC, lower-case hex without leading zeros; `needs` is ``None`` if it could not be read.
    """

    module: str
    path: str
    uname_r: str
    needs: Mapping[str, str] | None
    exports: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    """What an inventory tells of its host besides packages; ``None`` where it does not.

    Parameters
    ----------
    running
        The running kernel's uname -r.
    keep, multiversion, allow_vendor_change
        As in zypp.conf.
    locks
        The text of a locks file.
    vendors
        Lists of vendors that count as one, as in vendors.d.
    gaps
        What could not be read on the host, one sentence each.
    unmanaged
        Modules that no package owns.
    """

    running: str | None = None
    keep: str | None = None
    multiversion: tuple[str, ...] | None = None
    locks: str = ""
    allow_vendor_change: bool = False
    vendors: tuple[tuple[str, ...], ...] = ()
    gaps: tuple[str, ...] = ()
    unmanaged: tuple[ToldModule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What one source holds, verified and ready to be loaded into the solver's pool.

    Exactly one of `primary` and `solv` is set.

    Parameters
    ----------
    alias
        The repository's alias, or ``"@System"`` for the installed packages.
    source
        The path or address as the user or the configuration wrote it.
    priority
        zypp's priority: 1 is the highest, 99 the default.
    primary
        An open, unnamed file with the uncompressed primary.xml, positioned at 0.
    solv
        A ``.solv`` file that is known to load.
    revision, timestamp
        repomd's revision and the newest timestamp in it (seconds since the epoch), where known.
    refreshed
        When the source was last refreshed with success (seconds since the epoch), where known.
    retracted
        NEVRAs of packages in an updateinfo entry with ``status="retracted"``.
    patches
        All updateinfo entries, sorted by id.
    packages_at
        The local folder to which the packages' locations are relative, where there is one.
    triggers
        NEVRA -> names of the packages on whose installation its ``%trigger`` scriptlets run; only
        RPM headers tell, so sources without headers leave it empty.
    module_files
        NEVRA -> paths of kernel modules (below /lib/modules or /usr/lib/modules); only where known.
    trusted
        The ``.solv`` was written by root's zypper or by kmpsolve, or the packages are those of an rpmdb; others are
        read in a child first.
    partial_system
        True for an inventory that lists kernels and KMPs only, so that user space cannot be checked.
    whole_system
        True for an rpmdb: what it does not list is not there, however little that is.
    listed
        NEVRAs of packages of which only the name is known; they take the dependencies of the same NEVRA in
        a repository.
    digests
        NEVRA -> `symbol_digest` of a listed kernel, or `kmp_digest` of a KMP, on its host.
    settings
        The host's own settings, where an inventory tells them.
    remarks
        Reference and message of what users should be told about the source.
    """

    alias: str
    source: str
    priority: int = 99
    primary: BinaryIO | None = None
    solv: Path | None = None
    revision: str | None = None
    timestamp: int | None = None
    refreshed: int | None = None
    retracted: frozenset[str] = frozenset()
    patches: tuple[Patch, ...] = ()
    packages_at: Path | None = None
    triggers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    module_files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    trusted: bool = False
    partial_system: bool = False
    whole_system: bool = False
    listed: frozenset[str] = frozenset()
    digests: Mapping[str, str] = field(default_factory=dict)
    settings: HostSettings | None = None
    remarks: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A repository that could not be read, and why in one line."""

    alias: str
    reason: str
