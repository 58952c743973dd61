"""A system as zypper sees it: its configuration, its repositories and where their metadata can be read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from kmpsolve.errors import MetadataError, NoRepositoryError
from kmpsolve.metadata.belief import asked_of, believed
from kmpsolve.metadata.content import Content, Skipped
from kmpsolve.metadata.database import find_database
from kmpsolve.metadata.files import out_of_reach, read_small
from kmpsolve.metadata.locks import Lock, Locks, parse_locks
from kmpsolve.metadata.repofiles import RepoFiles, RepositoryDefinition, list_services, read_repo_files
from kmpsolve.metadata.rootpath import Root
from kmpsolve.metadata.trust import Trust, joined, told_if_older
from kmpsolve.metadata.variables import read_variables, without_password
from kmpsolve.metadata.vendors import VendorClasses, read_vendor_classes
from kmpsolve.metadata.zyppconf import ZyppConf, read_zypp_conf

if TYPE_CHECKING:
    from kmpsolve.metadata.rpmdb import Installed

__all__ = ["Repository", "System", "read_root"]

_REPOMD = "repodata/repomd.xml"
_LOCAL = frozenset({"dir", "file"})
_REMOTE = frozenset({"http", "https"})
_ARCHITECTURE = re.compile(r"\$\{?(base)?arch\b")
_COOKIE_MAGIC = "43"
"""libzypp appends it to each checksum, to make all caches outdated when its own reading changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """An enabled repository and the best place to read it from.

    Parameters
    ----------
    definition
        What its .repo file says.
    location
        What `open_source` reads: a ``.solv`` file, a folder, an address; None if there is nothing.
    metadata
        The folder with zypper's copy of its metadata, where there is one: patches are read there, since
        zypper's ``.solv`` tells retracted packages only where libsolv was built to.
    refreshed
        When zypper last refreshed it with success (seconds since the epoch), where known.
    packages
        Where its packages are: the repository itself if it is local, else where zypper downloads them to.
    reason
        Why there is nothing to read, one line; empty if there is.
    trust
        What is asked of its signature.
    copy
        The folder with zypper's copy of its metadata, where another place is read instead.
    """

    definition: RepositoryDefinition
    location: str | None
    metadata: Path | None = None
    refreshed: int | None = None
    packages: Path | None = None
    reason: str = ""
    trust: Trust | None = None
    copy: Path | None = None

    @property
    def alias(self) -> str:
        """The repository's alias."""
        return self.definition.alias

    @property
    def priority(self) -> int:
        """zypp's priority: 1 is the highest."""
        return self.definition.priority

    def open(self) -> Content:
        """Read it.

        Raises
        ------
        MetadataError
            If it is damaged, or there is nothing to read.
        RequestError
            If what should be there is gone or of no known kind.
        """
        if self.location is None:
            raise MetadataError(
                self.reason,
                reference="repository-unreadable",
                where=self.alias,
                hint=f"Refresh it: zypper refresh {self.alias}",
            )
        # What reads metadata takes imports that a plan from a cache does not need.
        from kmpsolve.metadata.repomd import newest_timestamp, with_patches
        from kmpsolve.metadata.source import open_source

        content = open_source(self.location, alias=self.alias, priority=self.priority, trust=self.trust)
        if self.copy is not None:
            content = told_if_older(content, newest_timestamp(self.copy, self.alias))
        content = replace(
            content,
            source=without_password(self.location),
            refreshed=self.refreshed,
            packages_at=self.packages,
            trusted=content.solv is not None and out_of_reach(content.solv),
        )
        if content.solv is None or self.metadata is None:
            return content
        return with_patches(content, self.metadata, remedy=f"Refresh it: zypper refresh {self.alias}")


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


def _trusted_keys(root: Root) -> bytes:
    from kmpsolve.metadata.rpmdb import public_keys

    return joined(key.armored for key in public_keys(root))


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
            _locate(below, conf, one, keys, cached=one.alias not in elsewhere)
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


def _locate(
    root: Root,
    conf: ZyppConf,
    definition: RepositoryDefinition,
    keys: Callable[[], bytes],
    *,
    cached: bool = True,
) -> Repository:
    """Choose where to read a repository.

    zypper's ``.solv`` is by far the quickest, but counts only while its cookie says that it was made from the
    metadata that lies beside it. A local folder whose metadata is newer is what zypper would read after its
    own refresh, if it refreshes this repository by itself. Without `cached`, zypper's copies are of another
    release and do not count.
    """
    try:
        return _located(root, conf, definition, keys, cached)
    except ValueError:
        return _unreadable(definition, f"{definition.file} gives it a malformed address")
    except OSError as error:
        return _unreadable(definition, f"{error.filename} cannot be read ({error.strerror})")


def _located(
    root: Root, conf: ZyppConf, definition: RepositoryDefinition, keys: Callable[[], bytes], cached: bool
) -> Repository:
    folder = definition.alias.replace("/", "_")
    raw = root.path(f"{conf.raw_folder}/{folder}")
    solv = root.path(f"{conf.solv_folder}/{folder}/solv")
    base = raw.joinpath(*_steps(definition.path))
    index = base / _REPOMD
    strange = cached and not believed(
        root, raw.parent, raw, base, index.parent, index, solv.parent.parent, solv.parent, solv
    )
    cached = cached and not strange
    local = next(_local_folders(root, definition), None)
    refreshed = int(index.stat().st_mtime) if index.is_file() else None

    def found(location: Path | str, metadata: Path | None = None) -> Repository:
        ours = location in (solv, base)
        return Repository(
            definition=definition,
            location=str(location),
            metadata=metadata,
            refreshed=refreshed,
            trust=asked_of(root, conf, definition, keys, raw if ours else None),
            copy=base if cached and not ours and index.is_file() else None,
            packages=local
            or root.path(f"{conf.packages_folder}/{folder}").joinpath(*_steps(definition.path)),
        )

    if local is not None and (not cached or (definition.autorefresh and not _same(local / _REPOMD, index))):
        return found(local)
    if cached and index.is_file():
        return found(solv if _fresh(solv, index, raw, definition) else base, base)
    other = next((path for path in (base / "content", base / "cookie") if cached and path.is_file()), None)
    if cached and solv.is_file() and (other is None or _fresh(solv, other, raw, definition)):
        return found(solv)
    if local is not None:
        return found(local)
    if strange:
        return _unreadable(definition, "zypper's copy of it can be written by others than root")
    if other is not None:
        return _unreadable(definition, "zypper's cache of it is out of date")
    address = next((url for url in definition.urls if urlsplit(url).scheme in _REMOTE), None)
    if address is not None:
        return found(_below(address, definition.path))
    if definition.mirrorlist or definition.metalink:
        return _unreadable(definition, "it has never been refreshed, and only zypper follows mirror lists")
    if not definition.urls:
        return _unreadable(definition, f"{definition.file} gives it no address")
    url = without_password(definition.urls[0])
    if urlsplit(url).scheme in _LOCAL:
        return _unreadable(definition, f"{url} does not exist, and zypper has no copy of it")
    return _unreadable(definition, f"it has never been refreshed, and only zypper reads {url}")


def _unreadable(definition: RepositoryDefinition, reason: str) -> Repository:
    return Repository(definition=definition, location=None, reason=reason)


def _steps(path: str) -> list[str]:
    # A repository cannot lead out of its own folder (libzypp calls such a path hostile).
    return [step for step in path.split("/") if step not in ("", ".", "..")]


def _below(address: str, path: str) -> str:
    steps = _steps(path)
    if not steps:
        return address
    parts = urlsplit(address)
    return parts._replace(path="/".join([parts.path.rstrip("/"), *steps])).geturl()


def _local_folders(root: Root, definition: RepositoryDefinition) -> Iterator[Path]:
    """Yield the folders of ``dir:`` and ``file:`` addresses that exist, below the root or on this machine."""
    for url in definition.urls:
        parts = urlsplit(url)
        if parts.scheme not in _LOCAL:
            continue
        place = "/".join([unquote(parts.path), *_steps(definition.path)])
        for path in dict.fromkeys([root.path(place), Path(place)]):
            if path.is_dir():
                yield path


def _same(a: Path, b: Path) -> bool:
    try:
        return read_small(a) == read_small(b)
    except OSError:
        return False


def _first_word(path: Path) -> str:
    return read_small(path).decode("ascii", "replace").split()[0]


def _fresh(solv: Path, index: Path, raw: Path, definition: RepositoryDefinition) -> bool:
    """Tell whether zypper made a ``.solv`` file from this very metadata index.

    The cookie beside it is a checksum over the checksums of what it was made from: the index, the media file
    where there is one, and the repository's address (libzypp's RepoStatus; SHA-1 before 17.36.4, SHA-256
    since). An unknown way of counting makes the slower way through the metadata, never a wrong answer.
    """
    try:
        if not solv.is_file():
            return False
        cookie = _first_word(solv.with_name("cookie"))
        algorithm = "sha256" if len(cookie) >= 64 else "sha1"
        # A folder of RPMs has no index; a cookie stands in, and is a checksum itself.
        first = _first_word(index) if index.name == "cookie" else _sum(read_small(index), algorithm)
        media = raw / "media.1/media"
        optional = [_sum(read_small(media), algorithm)] if media.is_file() else []
    except (OSError, IndexError):
        return False
    places = [*definition.urls[:1], definition.mirrorlist, definition.metalink]
    addresses = [_sum(text.encode(), algorithm) for place in places if place for text in _spellings(place)]
    return any(
        _joined({first, *media_part, *address}, algorithm) == cookie
        for media_part in ([], optional)
        for address in [[], *([one] for one in addresses)]
    )


def _spellings(address: str) -> Iterator[str]:
    """Yield the ways in which libzypp may write an address: without password, without empty authority."""
    plain = without_password(address)
    yield plain
    if ":///" in plain:
        yield plain.replace(":///", ":/", 1)


def _sum(content: bytes, algorithm: str) -> str:
    return hashlib.new(algorithm, content, usedforsecurity=False).hexdigest() + _COOKIE_MAGIC


def _joined(sums: set[str], algorithm: str) -> str:
    if len(sums) == 1:
        return sums.pop()
    joined = "".join(sorted(sums)).encode()
    return hashlib.new(algorithm, joined, usedforsecurity=False).hexdigest()
