"""zypp.conf: how zypp is set up on a system, in all its layers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kmpsolve.errors import ConfigError
from kmpsolve.metadata.inifile import IniSyntaxError, entries, is_true
from kmpsolve.metadata.rootpath import Root

__all__ = ["DEFAULT_KEEP", "DEFAULT_MULTIVERSION", "ZyppConf", "read_zypp_conf"]

DEFAULT_MULTIVERSION = ("provides:multiversion(kernel)",)
DEFAULT_KEEP = "latest,latest-1,running"
"""What the zypp.conf says that every distribution ships; for a system that has none."""

_LAYERS = ("/etc", "/run", "/usr/etc")
"""From the strongest to the weakest: the administrator's, until the next boot, the distribution's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZyppConf:
    """What zypp.conf says, as far as it decides about kernels and drivers; paths are the system's own.

    Parameters
    ----------
    multiversion
        Packages that are installed beside their older versions: ``provides:CAPABILITY`` or a name.
    keep
        ``multiversion.kernels``: what ``zypper purge-kernels`` keeps; empty: it purges nothing.
    allow_vendor_change, dup_allow_vendor_change
        Whether the solver may take another vendor's package, always or in ``zypper dup``.
    gpgcheck, repo_gpgcheck
        Whether signatures are checked, of either kind or of metadata; None: it does not say.
    arch
        The architecture if the configuration overrides the machine's.
    solv_folder, raw_folder, packages_folder
        Where zypp keeps its ``.solv`` caches and the metadata it downloaded, a folder for each repository.
    repos_folder, services_folder, vars_folder, vendors_folder
        The folders with repositories, services, variables and vendor classes.
    locks_file
        The file with package locks.
    locks_apply
        Whether zypp honours it.
    history_file
        zypp's log of installations.
    files
        The files that this was read from, weakest first.
    """

    multiversion: tuple[str, ...] = DEFAULT_MULTIVERSION
    keep: str = DEFAULT_KEEP
    allow_vendor_change: bool = False
    dup_allow_vendor_change: bool = True
    gpgcheck: bool | None = None
    repo_gpgcheck: bool | None = None
    arch: str | None = None
    solv_folder: str = "/var/cache/zypp/solv"
    raw_folder: str = "/var/cache/zypp/raw"
    packages_folder: str = "/var/cache/zypp/packages"
    repos_folder: str = "/etc/zypp/repos.d"
    services_folder: str = "/etc/zypp/services.d"
    vars_folder: str = "/etc/zypp/vars.d"
    vendors_folder: str = "/etc/zypp/vendors.d"
    locks_file: str = "/etc/zypp/locks"
    locks_apply: bool = True
    history_file: str = "/var/log/zypp/history"
    files: tuple[str, ...] = ()


def read_zypp_conf(root: Root) -> ZyppConf:
    """Read the zypp configuration of a system.

    The base is zypp.conf of the strongest layer that has one. Drop-ins (``zypp.conf.d/*.conf``) come from all
    layers, one of a name standing in for those of the same name in weaker layers, and overrule the base and
    each other in the order of their names (libzypp's EconfDict).

    Raises
    ------
    ConfigError
        ``malformed-zypp-conf``, if a line is no assignment: zypper would not run at all.
    """
    files = _files(root)
    values: dict[str, str] = {}
    for name in files:
        values.update(_main_section(root, name))
    config = values.get("configdir") or "/etc/zypp"
    cache = values.get("cachedir") or "/var/cache/zypp"

    def folder(key: str, default: str) -> str:
        return values.get(key) or default

    multiversion = [word for word in re.split(r"[,\s]+", values.get("multiversion", "")) if word]
    if not files:
        multiversion = list(DEFAULT_MULTIVERSION)
    multiversion += _multiversion_folder(root, folder("multiversiondir", f"{config}/multiversion.d"))
    allow = is_true(values.get("solver.allowVendorChange", ""), False)
    return ZyppConf(
        multiversion=tuple(dict.fromkeys(multiversion)),
        keep=values.get("multiversion.kernels", "") if files else DEFAULT_KEEP,
        allow_vendor_change=allow,
        dup_allow_vendor_change=is_true(values.get("solver.dupAllowVendorChange", ""), True),
        gpgcheck=is_true(values["gpgcheck"], True) if "gpgcheck" in values else None,
        repo_gpgcheck=is_true(values["repo_gpgcheck"], True) if "repo_gpgcheck" in values else None,
        arch=values.get("arch") or None,
        solv_folder=folder("solvfilesdir", f"{cache}/solv"),
        raw_folder=folder("metadatadir", f"{cache}/raw"),
        packages_folder=folder("packagesdir", f"{cache}/packages"),
        repos_folder=folder("reposdir", f"{config}/repos.d"),
        services_folder=folder("servicesdir", f"{config}/services.d"),
        vars_folder=folder("varsdir", f"{config}/vars.d"),
        vendors_folder=folder("vendordir", f"{config}/vendors.d"),
        locks_file=folder("locksfile.path", f"{config}/locks"),
        locks_apply=is_true(values.get("locksfile.apply", ""), True),
        history_file=folder("history.logfile", "/var/log/zypp/history"),
        files=tuple(files),
    )


def _files(root: Root) -> list[str]:
    base = next((name for layer in _LAYERS if _is_file(root, name := f"{layer}/zypp/zypp.conf")), None)
    dropins: dict[str, str] = {}
    for layer in _LAYERS:
        for name in root.names(f"{layer}/zypp/zypp.conf.d"):
            path = f"{layer}/zypp/zypp.conf.d/{name}"
            if name.endswith(".conf") and _is_file(root, path):
                dropins.setdefault(name, path)
    return ([base] if base else []) + [dropins[name] for name in sorted(dropins)]


def _is_file(root: Root, name: str) -> bool:
    path = root.path(name)
    try:
        # Anything but a folder takes the place of a weaker file, /dev/null too: that is how one is masked.
        return path.exists() and not path.is_dir()
    except PermissionError:
        return True  # reading it says what is wrong


def _main_section(root: Root, name: str) -> dict[str, str]:
    values: dict[str, str] = {}
    try:
        for entry in entries(root.read(name) or ""):
            if entry.key is None and entry.value is not None:
                raise IniSyntaxError(entry.line)
            if entry.section == "main" and entry.key is not None and entry.value is not None:
                values[entry.key] = entry.value
    except IniSyntaxError as error:
        raise ConfigError(
            f"line {error.line} is neither a section nor an assignment",
            reference="malformed-zypp-conf",
            where=str(root.path(name)),
            hint="Correct the line; zypper does not read this file either",
        ) from None
    return values


def _multiversion_folder(root: Root, folder: str) -> list[str]:
    found = []
    for name in root.names(folder):
        for line in (root.read(f"{folder}/{name}") or "").split("\n"):
            stripped = line.strip()
            if stripped and not stripped.startswith("#"):
                found.append(stripped)
    return found
