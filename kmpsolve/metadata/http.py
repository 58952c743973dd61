"""rpm-md repositories on web servers: fetched into a cache folder, then read like any other folder.

Only what a plan needs is fetched: repomd.xml every time, and the primary and updateinfo files that it
lists unless the cache has them. repomd.xml's checksum names the folder, so that no state of a repository
ever mixes with another.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from kmpsolve.errors import KmpsolveError, MetadataError
from kmpsolve.metadata.content import Content
from kmpsolve.metadata.files import safe_place
from kmpsolve.metadata.origin import Origin
from kmpsolve.metadata.repomd import REPOMD, REPOMD_LIMIT, read_repomd
from kmpsolve.metadata.rpmmd import PACKED_LIMIT, open_rpmmd
from kmpsolve.metadata.server import Patience, Server
from kmpsolve.metadata.trust import Trust, told_if_older

__all__ = ["cache_folder", "open_http"]

_DAY = 24 * 60 * 60

_NEWEST = "newest"
"""The file that remembers the newest timestamp of a repository."""


_REMEDY = "Check the address and the network; if both are right, try again later"

_CHANGED = ("checksum-mismatch", "size-mismatch", "file-missing", "not-found", "corrupt-compression")
"""What is seen when a server, a mirror or a proxy holds two states of the repository at once, or when the
cache is damaged: worth a second look, past all proxies."""


def open_http(
    address: str,
    *,
    alias: str,
    priority: int = 99,
    cache: Path | None = None,
    patience: Patience | None = None,
    quiet: bool = False,
    trust: Trust | None = None,
) -> Content:
    """Fetch and read a repository.

    Parameters
    ----------
    address
        The ``http://`` or ``https://`` address of the folder above ``repodata``. A user and password in
        it are used, and never shown.
    alias, priority
        The repository's, as in `Content`.
    cache
        Where to keep what was fetched; by default, `cache_folder`.
    patience
        How long to try.
    quiet
        Show no progress, not even on a terminal.
    trust
        What is asked of its signature; ``None``: nothing.

    Raises
    ------
    MetadataError
        If it cannot be fetched, or anything in it is missing or damaged.
    """
    origin = Origin(alias=alias, remedy=_REMEDY)
    server = Server(address, origin, patience or Patience(), quiet)
    place = (cache or cache_folder()) / hashlib.sha256(server.shown.encode()).hexdigest()[:16]
    try:
        try:
            content = _fetch(server, place, origin, trust)
        except MetadataError as error:
            if error.reference not in _CHANGED:
                raise
            server.past_proxies()
            content = _fetch(server, place, origin, trust)
        _forget(place)
        content = _compared(content, place / _NEWEST)
    except OSError as error:
        raise MetadataError(
            f"{place} cannot be written ({error.strerror})",
            reference="cache-unwritable",
            where=alias,
            hint="Make room or set XDG_CACHE_HOME to another folder",
        ) from error
    finally:
        server.close()
    return replace(content, source=server.shown, priority=priority, refreshed=int(time.time()))


def cache_folder() -> Path:
    """Where fetched repositories are kept: below XDG_CACHE_HOME; /var/cache for root; else ~/.cache.

    Root does not follow the variable into a folder of somebody else's, where it may come from sudo.
    """
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    if chosen.startswith("/") and (os.geteuid() != 0 or safe_place(Path(chosen))):
        return Path(chosen, "kmpsolve")
    return Path("/var/cache/kmpsolve") if os.geteuid() == 0 else Path.home() / ".cache" / "kmpsolve"


def _compared(content: Content, memory: Path) -> Content:
    """Tell if a repository went back in time, as far as this cache remembers."""
    try:
        before = int(memory.read_text(encoding="ascii")[:18])
    except (OSError, ValueError):
        before = None
    if content.timestamp is not None and content.timestamp > (before or 0):
        with _written(memory) as file:
            file.write(str(content.timestamp).encode())
    return told_if_older(content, before)


def _fetch(server: Server, place: Path, origin: Origin, trust: Trust | None) -> Content:
    text = io.BytesIO()
    server.get(REPOMD, text, REPOMD_LIMIT)
    text.seek(0)
    # Before anything else is fetched, and from the very bytes that are checked.
    remarks = trust.check(text.getvalue(), server.signature(), origin) if trust is not None else ()
    repomd = read_repomd(text, origin)
    folder = place / hashlib.sha256(text.getbuffer()).hexdigest()
    for record in (repomd.primary, *repomd.updateinfo):
        target = folder / record.href
        if not target.exists():
            with _written(target) as file:
                server.get(
                    record.href, file, min(PACKED_LIMIT, PACKED_LIMIT if record.size is None else record.size)
                )
    with _written(folder / REPOMD) as file:
        file.write(text.getbuffer())
    try:
        return replace(open_rpmmd(folder, alias=origin.alias, remedy=_REMEDY), remarks=remarks)
    except KmpsolveError:
        shutil.rmtree(folder, ignore_errors=True)
        raise


@contextmanager
def _written(target: Path) -> Iterator[BinaryIO]:
    """Give a file to write that becomes `target` when it is complete, and never exists by half."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _forget(place: Path) -> None:
    """Remove old states of a repository; younger ones may be in use by another process."""
    for folder in place.iterdir():
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > _DAY:
                shutil.rmtree(folder)
