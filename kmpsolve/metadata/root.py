"""A system as zypper sees it: its configuration, its repositories and where their metadata can be read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kmpsolve.errors import MetadataError, NoRepositoryError
from kmpsolve.metadata.content import Content, Skipped
from kmpsolve.metadata.database import find_database
from kmpsolve.metadata.locks import Lock, Locks, parse_locks
from kmpsolve.metadata.repofiles import RepoFiles, list_services, read_repo_files
from kmpsolve.metadata.repository import Repository, locate
from kmpsolve.metadata.rootpath import Root
from kmpsolve.metadata.trust import joined
from kmpsolve.metadata.variables import read_variables
from kmpsolve.metadata.vendors import VendorClasses, read_vendor_classes
from kmpsolve.metadata.zyppconf import ZyppConf, read_zypp_conf

if TYPE_CHECKING:
    from kmpsolve.metadata.rpmdb import Installed

__all__ = ["System", "read_root"]

_ARCHITECTURE = re.compile(r"\$\{?(base)?arch\b")


@dataclass(frozen=True, kw_only=True)
class System:
    """A system's configuration and repositories.

    Parameters
    ----------
    root
        Its root folder.
    conf
        zypp.conf.
    vendors
        Which vendors are one.
    locks_file
        The locks file, block by block.
    variables
        What ``$releasever`` and the like stand for.
    repositories
        The enabled repositories, sorted by alias.
    definitions
        All definitions, disabled ones included, and the files that could not be read.
    services
        Names of the services that bring repositories.
    """

    root: Root
    conf: ZyppConf
    vendors: VendorClasses
    locks_file: Locks
    variables: dict[str, str]
    repositories: tuple[Repository, ...]
    definitions: RepoFiles
    services: tuple[str, ...]

    @property
    def multiversion(self) -> tuple[str, ...]:
        """zypp.conf's ``multiversion``, with multiversion.d."""
        return self.conf.multiversion

    @property
    def keep(self) -> str:
        """zypp.conf's ``multiversion.kernels``."""
        return self.conf.keep

    @property
    def allow_vendor_change(self) -> bool:
        """zypp.conf's ``solver.allowVendorChange``."""
        return self.conf.allow_vendor_change

    @cached_property
    def locks(self) -> tuple[Lock, ...]:
        """The locks that zypper honours; none if zypp.conf switches them off."""
        if not self.conf.locks_apply:
            return ()
        return tuple(block.lock for block in self.locks_file.blocks if block.lock is not None)

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Repositories that cannot be read at all, and definitions that are unusable, with reasons."""
        unread = [Skipped(alias=one.alias, reason=one.reason) for one in self.repositories if one.reason]
        return tuple(sorted([*unread, *self.definitions.invalid], key=lambda one: (one.alias, one.reason)))

    def installed(self) -> Installed:
        """Read what is installed, and tell whether that is the rpmdb or zypper's last copy of it.

        Raises
        ------
        MetadataError
            If neither can be read.
        """
        from kmpsolve.metadata.rpmdb import read_installed

        return read_installed(self.root, f"{self.conf.solv_folder}/@System/solv")

    def read_installed(self) -> Content:
        """Read the packages that are installed; errors as for `installed`."""
        return self.installed().content

    def readable(self) -> tuple[Repository, ...]:
        """List the repositories that there is something to read of.

        Raises
        ------
        NoRepositoryError
            ``no-repository``, if none is defined or enabled.
        MetadataError
            ``repository-unreadable``, if nothing can be read of any.
        """
        if not self.repositories and not self.definitions.invalid:
            raise NoRepositoryError(
                "no repository is defined or enabled",
                reference="no-repository",
                where=str(self.root.folder),
                hint="Give one with --repo, or enable one: zypper modifyrepo --enable ALIAS",
            )
        readable = tuple(one for one in self.repositories if one.location is not None)
        if not readable:
            first, *others = self.skipped
            more = f" (and {len(others)} more)" if others else ""
            raise MetadataError(
                f"{first.reason}{more}",
                reference="repository-unreadable",
                where=first.alias,
                hint="Refresh the repositories: zypper refresh",
            )
        return readable


def read_root(root: Path, *, releasever: str | None = None, arch: str | None = None) -> System:
    """Read the zypp configuration of a system, and find its repositories' metadata.

    Nothing is written, locked or fetched.

    Parameters
    ----------
    root
        Its root folder.
    releasever
        What ``$releasever`` is to be, instead of the installed product's version.
    arch
        The system's architecture; by default what zypp.conf says, else that of most installed packages
        (which are looked at only if a repository's address depends on it).

    Raises
    ------
    MetadataError
        ``no-root``, if there is no such folder.
    ConfigError
        If zypp.conf is malformed, or a configuration file is there and cannot be read.
    """
    below = Root.at(root)
    conf = read_zypp_conf(below)
    arch = conf.arch or arch
    variables = read_variables(below, conf.vars_folder, releasever=releasever, arch=arch)
    definitions = read_repo_files(below, conf.repos_folder, variables)
    if arch is None and any(
        _ARCHITECTURE.search(text)
        for one in definitions.repositories
        for text in (one.name, *one.urls, one.mirrorlist or "", one.metalink or "")
    ):
        from kmpsolve.metadata.rpmdb import main_architecture

        arch = main_architecture(find_database(below))
        variables = read_variables(below, conf.vars_folder, releasever=releasever, arch=arch)
        definitions = read_repo_files(below, conf.repos_folder, variables)
    elsewhere = _moved(definitions, below, conf, arch) if releasever is not None else frozenset()
    keys = cache(lambda: _trusted_keys(below))
    return System(
        root=below,
        conf=conf,
        vendors=read_vendor_classes(below, conf.vendors_folder),
        locks_file=parse_locks(below.read(conf.locks_file) or ""),
        variables=variables,
        repositories=tuple(
            locate(below, conf, one, keys, cached=one.alias not in elsewhere)
            for one in definitions.repositories
            if one.enabled
        ),
        definitions=definitions,
        services=list_services(below, conf.services_folder),
    )


def _moved(definitions: RepoFiles, root: Root, conf: ZyppConf, arch: str | None) -> frozenset[str]:
    """Aliases of repositories that lie elsewhere in another release: zypper's caches are of this one."""
    here = read_repo_files(root, conf.repos_folder, read_variables(root, conf.vars_folder, arch=arch))
    usual = {one.alias: (one.urls, one.mirrorlist, one.metalink) for one in here.repositories}
    return frozenset(
        one.alias
        for one in definitions.repositories
        if usual.get(one.alias) != (one.urls, one.mirrorlist, one.metalink)
    )


def _trusted_keys(root: Root) -> bytes:
    from kmpsolve.metadata.rpmdb import public_keys

    return joined(key.armored for key in public_keys(root))
