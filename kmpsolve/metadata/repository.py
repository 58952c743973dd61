"""An enabled repository, and the best place to read it from."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kmpsolve.errors import MetadataError
from kmpsolve.metadata.belief import asked_of, believed
from kmpsolve.metadata.content import Content
from kmpsolve.metadata.cookie import made_from
from kmpsolve.metadata.files import out_of_reach, read_small
from kmpsolve.metadata.repofiles import RepositoryDefinition
from kmpsolve.metadata.rootpath import Root
from kmpsolve.metadata.trust import Trust, told_if_older
from kmpsolve.metadata.variables import without_password
from kmpsolve.metadata.zyppconf import ZyppConf

__all__ = ["Repository", "locate"]

_REPOMD = "repodata/repomd.xml"
_LOCAL = frozenset({"dir", "file"})
_REMOTE = frozenset({"http", "https"})
_UNFETCHED = frozenset({"download-failed", "download-refused", "not-found"})


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
    mirrors
        Further addresses, which are asked in their order where `location` cannot be fetched.
    """

    definition: RepositoryDefinition
    location: str | None
    metadata: Path | None = None
    refreshed: int | None = None
    packages: Path | None = None
    reason: str = ""
    trust: Trust | None = None
    copy: Path | None = None
    mirrors: tuple[str, ...] = ()

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
                hint=f"Refresh it: zypper refresh {shlex.quote(self.alias)}",
            )
        # What reads metadata takes imports that a plan from a cache does not need.
        from kmpsolve.metadata.rpmmd import newest_timestamp, with_patches

        # Without --force zypper finds its copy up to date, and leaves it damaged.
        remedy = f"Refresh it: zypper refresh --force {shlex.quote(self.alias)}"
        content = self._read(self.location, remedy if self.metadata is not None else None)
        if self.copy is not None:
            content = told_if_older(content, newest_timestamp(self.copy, self.alias))
        content = replace(
            content,
            source=without_password(content.source),
            refreshed=self.refreshed,
            packages_at=self.packages,
            trusted=content.solv is not None and out_of_reach(content.solv),
        )
        if content.solv is None or self.metadata is None:
            return content
        return with_patches(content, self.metadata, remedy=remedy)

    def _read(self, location: str, remedy: str | None) -> Content:
        """From the first address that can be fetched, as zypper does; what is damaged there is not passed over."""
        from kmpsolve.metadata.solvfile import open_solv
        from kmpsolve.metadata.source import open_source

        if "://" not in location and not Path(location).is_dir():
            # zypper's .solv, whatever may stand there by now.
            return open_solv(Path(location), alias=self.alias, priority=self.priority)
        unfetched: MetadataError | None = None
        for place in (location, *self.mirrors):
            try:
                return open_source(
                    place, alias=self.alias, priority=self.priority, trust=self.trust, remedy=remedy
                )
            except MetadataError as error:
                if error.reference not in _UNFETCHED:
                    raise
                unfetched = unfetched or error
        assert unfetched is not None
        raise unfetched


def locate(
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

    def found(
        location: Path | str, metadata: Path | None = None, mirrors: tuple[str, ...] = ()
    ) -> Repository:
        ours = location in (solv, base)
        return Repository(
            definition=definition,
            location=str(location),
            metadata=metadata,
            refreshed=refreshed,
            trust=asked_of(root, conf, definition, keys, raw if ours else None),
            copy=base if cached and not ours and index.is_file() else None,
            mirrors=mirrors,
            packages=local
            or root.path(f"{conf.packages_folder}/{folder}").joinpath(*_steps(definition.path)),
        )

    if local is not None and (not cached or (definition.autorefresh and not _same(local / _REPOMD, index))):
        return found(local)
    if cached and index.is_file():
        return found(solv if made_from(solv, index, raw, definition) else base, base)
    other = next((path for path in (base / "content", base / "cookie") if cached and path.is_file()), None)
    if cached and solv.is_file() and (other is None or made_from(solv, other, raw, definition)):
        return found(solv)
    if local is not None:
        return found(local)
    if strange:
        return _unreadable(definition, "zypper's copy of it can be written by others than root")
    if other is not None:
        return _unreadable(definition, "zypper's cache of it is out of date")
    addresses = [_below(url, definition.path) for url in definition.urls if urlsplit(url).scheme in _REMOTE]
    if addresses:
        return found(addresses[0], mirrors=tuple(addresses[1:]))
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
