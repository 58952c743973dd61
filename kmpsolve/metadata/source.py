"""Finding out what a user means by ``--repo SRC`` and ``--installed SRC``: by content, not by name."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kmpsolve.errors import RequestError
from kmpsolve.metadata.content import Content
from kmpsolve.metadata.origin import Origin
from kmpsolve.metadata.repomd import REPOMD
from kmpsolve.metadata.rpmmd import open_rpmmd
from kmpsolve.metadata.solvfile import MAGIC, open_solv
from kmpsolve.metadata.trust import Trust

__all__ = ["open_source"]

_KINDS = "a folder with repodata/, a folder of RPMs, a .solv file, an http(s):// or file:// address"


def open_source(
    location: str,
    *,
    alias: str,
    priority: int = 99,
    quiet: bool = False,
    trust: Trust | None = None,
    remedy: str | None = None,
) -> Content:
    """Read packages metadata from wherever a user points.

    Parameters
    ----------
    location
        A folder with ``repodata/``, a folder of RPMs, a ``.solv`` file, or an ``http(s)://`` or
        ``file://`` address of a repository.
    alias, priority
        The repository's, as in `Content`.
    quiet
        Show no progress of a download.
    trust
        What is asked of the signature of an rpm-md repository.
    remedy
        What to do if the metadata in a folder is damaged, as for `open_rpmmd`.

    Raises
    ------
    RequestError
        If there is nothing at `location`, or nothing of these kinds.
    MetadataError
        If it cannot be read or is damaged.
    """
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):/", location)
    if scheme is None:
        return _open_path(Path(location), location, alias, priority, trust, remedy)
    if scheme[1].lower() == "file":
        return _open_path(_local_path(location, alias), location, alias, priority, trust, remedy)
    if scheme[1].lower() in ("http", "https"):
        # Its library takes longer to load than most plans need altogether.
        from kmpsolve.metadata.http import open_http

        return open_http(location, alias=alias, priority=priority, quiet=quiet, trust=trust)
    raise RequestError(
        f"addresses that begin with {scheme[1]}: are not read",
        reference="unknown-scheme",
        where=alias,
        hint=f"Give {_KINDS}",
    )


def _local_path(address: str, alias: str) -> Path:
    parts = urlsplit(address)
    if parts.netloc not in ("", "localhost"):
        raise RequestError(
            f"{address} names another host ({parts.netloc})",
            reference="file-address-host",
            where=alias,
            hint=f"For a local folder, write three slashes: file:///{parts.netloc}{parts.path}",
        )
    if not parts.path:  # or it would be whichever folder a program happens to run in
        raise RequestError(
            f"{address} names no folder",
            reference="source-missing",
            where=alias,
            hint="Write the whole path behind three slashes: file:///srv/repository",
        )
    return Path(unquote(parts.path))


def _open_path(
    path: Path, location: str, alias: str, priority: int, trust: Trust | None, remedy: str | None
) -> Content:
    try:
        if path.is_dir():
            return _open_folder(path, location, alias, priority, trust, remedy)
        if path.exists() and not path.is_file():
            raise ValueError("not a regular file")
        with path.open("rb") as file:
            head = file.read(len(MAGIC))
    except FileNotFoundError:
        raise RequestError(
            f"{location} does not exist", reference="source-missing", where=alias, hint=f"Give {_KINDS}"
        ) from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise Origin(alias=alias, remedy="Check its permissions").damaged(
            f"{location} cannot be read ({reason})", "file-unreadable"
        ) from error
    if head == MAGIC or path.suffix == ".solv":
        return open_solv(path, alias=alias, priority=priority, source=location)
    return _open_inventory(path, location, alias)


def _open_folder(
    folder: Path, location: str, alias: str, priority: int, trust: Trust | None, remedy: str | None
) -> Content:
    # A link counts as present even if it leads nowhere, so that a broken repository is told as one.
    if (folder / REPOMD).exists() or (folder / REPOMD).is_symlink():
        return open_rpmmd(folder, alias=alias, priority=priority, source=location, remedy=remedy, trust=trust)
    # Most folders have metadata, and what writes it for one that has none is long.
    from kmpsolve.metadata.rpmfolder import open_rpm_folder

    return open_rpm_folder(folder, alias=alias, priority=priority, source=location)


def _open_inventory(path: Path, location: str, alias: str) -> Content:
    # What reads JSON strictly takes longer to load than most other sources to read.
    from kmpsolve.metadata.hosts import system_content
    from kmpsolve.metadata.inventories import Damage, Record, read_place
    from kmpsolve.metadata.inventory import decode_state
    from kmpsolve.metadata.places import Place

    found = list(read_place(Place(name=location, path=path)))
    hosts = [one for one in found if isinstance(one, Record)]
    damaged = [one for one in found if isinstance(one, Damage)]
    if not hosts:
        why = f" ({damaged[0].reason})" if damaged else ""
        raise RequestError(
            f"{location} is nothing that kmpsolve can read packages from{why}",
            reference="unknown-source",
            where=alias,
            hint=f"Give {_KINDS}, an inventory of one host",
        )
    if len(hosts) > 1:
        raise RequestError(
            f"{location} is an inventory of {len(hosts)} hosts",
            reference="several-hosts",
            where=alias,
            hint=f"Look at all of them: kmpsolve audit {location}; or give a file with one line of it",
        )
    state = decode_state(hosts[0].state)
    if damaged and not state.gaps:  # where the host's own list is damaged, it says so itself
        (first, *_) = damaged
        place = f"line {first.line} of it" if first.line else "an entry of it"
        raise RequestError(
            f"{location} is an inventory of several hosts, and {place} cannot be read: {first.reason}",
            reference="several-hosts",
            where=alias,
            hint=f"Look at all of them: kmpsolve audit {location}; or give a file with one line of it",
        )
    return system_content(state, location)
