"""rpm-md repositories on web servers: fetched into a cache folder, then read like any other folder.

Only what a plan needs is fetched: repomd.xml every time, and the primary and updateinfo files that it
lists unless the cache has them. repomd.xml's checksum names the folder, so that no state of a repository
ever mixes with another.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import ssl
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.parse import quote, unquote, urljoin, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError, SSLError, TimeoutError

from kmpsolve.errors import KmpsolveError, MetadataError
from kmpsolve.metadata.compression import CHUNK
from kmpsolve.metadata.content import Content
from kmpsolve.metadata.files import safe_place
from kmpsolve.metadata.origin import Origin
from kmpsolve.metadata.repomd import PACKED_LIMIT, REPOMD, REPOMD_LIMIT, SIGNATURE, open_rpmmd, read_repomd
from kmpsolve.metadata.trust import SIGNATURE_LIMIT, Trust, told_if_older

__all__ = ["Patience", "cache_folder", "open_http"]

_REDIRECTS = 10
_DAY = 24 * 60 * 60

_NEWEST = "newest"
"""The file that remembers the newest timestamp of a repository."""


_REMEDY = "Check the address and the network; if both are right, try again later"

_CHANGED = ("checksum-mismatch", "size-mismatch", "file-missing", "not-found", "corrupt-compression")
"""What is seen when a server, a mirror or a proxy holds two states of the repository at once, or when the
cache is damaged: worth a second look, past all proxies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to try.

    Parameters
    ----------
    connect, silence
        Seconds until a connection stands, and without any byte from the server.
    total
        Seconds for one repository.
    attempts
        How often one file is asked for.
    pause
        Seconds before the second attempt; twice as many before each further one.
    """

    connect: float = 10
    silence: float = 30
    total: float = 900
    attempts: int = 4
    pause: float = 0.5


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
    server = _Server(address, origin, patience or Patience(), quiet)
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


def _fetch(server: _Server, place: Path, origin: Origin, trust: Trust | None) -> Content:
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


class _AgainError(Exception):
    """This attempt failed in a way that the next one may not; the message says how, for the user."""


class _Server:
    """One repository's web server.

    Parameters
    ----------
    address
        The repository's address.
    origin
        The repository, for errors.
    patience
        How long to try.
    quiet
        Show no progress.
    """

    def __init__(self, address: str, origin: Origin, patience: Patience, quiet: bool) -> None:
        self._origin = origin
        self._patience = patience
        self._progress = _Progress(origin.alias, quiet)
        self._deadline = time.monotonic() + patience.total
        self._headers = {"User-Agent": "kmpsolve", "Accept-Encoding": "identity"}
        self._pools: dict[str | None, urllib3.PoolManager] = {}
        try:
            parts = urlsplit(address)
        except ValueError:
            raise origin.damaged("its address is malformed", "malformed-address") from None
        self._scheme = parts.scheme
        user, at, self._host = parts.netloc.rpartition("@")
        self._credentials = urllib3.make_headers(basic_auth=unquote(user)) if at else {}
        self._address = urlunsplit(parts._replace(netloc=self._host))
        self.shown = self._address
        """The address without the password."""

    def close(self) -> None:
        """Close all connections."""
        self._progress.end()
        for pool in self._pools.values():
            pool.clear()

    def past_proxies(self) -> None:
        """From now on ask for what the server itself has, not for what a proxy remembers."""
        self._headers |= {"Cache-Control": "no-cache", "Pragma": "no-cache"}

    def get(self, path: PurePosixPath, target: BinaryIO, limit: int) -> None:
        """Fetch one file into `target`, which is empty, going on where a broken connection left off.

        Raises
        ------
        MetadataError
            If it cannot be fetched within the limits of size (bytes) and patience.
        """
        download = _Download(path=path, target=target, limit=limit)
        reason = ""
        for attempt in range(self._patience.attempts):
            if attempt:
                time.sleep(self._patience.pause * 2 ** (attempt - 1))
            try:
                return self._attempt(download)
            except _AgainError as error:
                reason = str(error)
            except SSLError as error:
                raise self._failed(path, _tls_reason(error)) from error
            except HTTPError as error:
                reason = _reason(error)
            if time.monotonic() > self._deadline:
                break
        raise self._failed(path, reason)

    def signature(self) -> bytes | None:
        """Fetch the signature of repomd.xml; ``None`` if there is none."""
        text = io.BytesIO()
        try:
            self.get(SIGNATURE, text, SIGNATURE_LIMIT)
        except MetadataError as error:
            if error.reference in ("not-found", "download-refused"):  # some stores refuse what they lack
                return None
            raise
        return text.getvalue()

    def _attempt(self, download: _Download) -> None:
        response = self._ask(download)
        try:
            download.begin(response, self._origin)
            while chunk := response.read1(CHUNK):
                if time.monotonic() > self._deadline:
                    raise self._failed(
                        download.path, f"it takes longer than {self._patience.total:g} seconds"
                    )
                download.add(chunk, self._origin)
                self._progress.show(download)
        finally:
            response.close()

    def _ask(self, download: _Download) -> urllib3.BaseHTTPResponse:
        try:
            parts = urlsplit(self._address)
            path = f"{parts.path.rstrip('/')}/{quote(str(download.path))}"
            address = urlunsplit(parts._replace(path=path))
            for _ in range(_REDIRECTS):
                response = self._request(address, download)
                location = response.get_redirect_location()
                if not location:
                    return response
                response.close()
                following = urljoin(address, location)
                scheme = urlsplit(following).scheme
                if scheme not in ("https", urlsplit(address).scheme):
                    raise self._failed(download.path, f"the server redirects to {scheme}:")
                address = following
        except ValueError as error:
            raise self._failed(download.path, "the address is malformed") from error
        raise self._failed(download.path, "the server redirects again and again")

    def _request(self, address: str, download: _Download) -> urllib3.BaseHTTPResponse:
        parts = urlsplit(address)
        at_home = (parts.scheme, parts.netloc) == (self._scheme, self._host)
        return self._pool(parts.scheme, parts.hostname or "").request(
            "GET",
            address,
            headers=self._headers | download.headers() | (self._credentials if at_home else {}),
            preload_content=False,
            decode_content=False,
            redirect=False,
            retries=False,
            timeout=urllib3.Timeout(connect=self._patience.connect, read=self._patience.silence),
        )

    def _pool(self, scheme: str, host: str) -> urllib3.PoolManager:
        proxy = None if proxy_bypass(host) else getproxies().get(scheme)
        if proxy not in self._pools:
            self._pools[proxy] = urllib3.ProxyManager(proxy) if proxy else urllib3.PoolManager()
        return self._pools[proxy]

    def _failed(self, path: PurePosixPath, reason: str) -> MetadataError:
        return self._origin.damaged(
            f"{path.name} cannot be fetched from {self._host} ({reason})", "download-failed"
        )


@dataclass(slots=True, kw_only=True)
class _Download:
    """One file on its way, over one or more attempts."""

    path: PurePosixPath
    target: BinaryIO
    limit: int
    received: int = 0
    expected: int | None = None
    validator: str = field(default="")
    """What the server calls this state of the file; without it, a second half may be another file's."""

    def headers(self) -> dict[str, str]:
        """Ask for the rest, if the server knows a name for what was received."""
        if not (self.received and self.validator):
            return {}
        return {"Range": f"bytes={self.received}-", "If-Range": self.validator}

    def begin(self, response: urllib3.BaseHTTPResponse, origin: Origin) -> None:
        """Judge the answer, and start over unless it goes on where the last one ended."""
        status = response.status
        if status in (404, 410):
            raise origin.damaged(f"{self.path.name} is not on the server ({status})", "not-found")
        if status == 416 or status == 429 or status >= 500:
            self._start_over()
            raise _AgainError(f"the server answers {status}")
        if status not in (200, 206):
            raise origin.damaged(f"the server refuses {self.path.name} ({status})", "download-refused")
        if status == 206 and not self._continues(response.headers.get("Content-Range", "")):
            self._start_over()
            raise _AgainError("the server sends another part than was asked for")
        if status == 200:
            self._start_over()
            etag = response.headers.get("ETag", "")
            self.validator = response.headers.get("Last-Modified", "") if etag[:2] in ("", "W/") else etag
        length = response.headers.get("Content-Length", "")
        self.expected = self.received + int(length) if re.fullmatch(r"[0-9]{1,18}", length) else None
        if self.expected is not None and self.expected > self.limit:
            raise self._too_large(origin)

    def add(self, chunk: bytes, origin: Origin) -> None:
        """Write what arrived."""
        self.received += len(chunk)
        if self.received > self.limit:
            raise self._too_large(origin)
        self.target.write(chunk)

    def _continues(self, span: str) -> bool:
        match = re.match(r"bytes ([0-9]{1,18})-", span)
        return match is not None and int(match[1]) == self.received

    def _start_over(self) -> None:
        self.target.seek(0)
        self.target.truncate()
        self.received = 0
        self.validator = ""

    def _too_large(self, origin: Origin) -> MetadataError:
        return origin.damaged(
            f"{self.path.name} does not match its size in repomd.xml (want {self.limit} bytes, have more)"
            if self.path not in (REPOMD, SIGNATURE)
            else f"{self.path.name} has more than {self.limit} bytes",
            "size-mismatch",
        )


class _Progress:
    """A line on the terminal's last row that appears after a second and goes away at the end."""

    def __init__(self, alias: str, quiet: bool) -> None:
        self._alias = alias
        self._wanted = not quiet and sys.stderr is not None and sys.stderr.isatty()
        self._next = time.monotonic() + 1
        self._shown = False

    def show(self, download: _Download) -> None:
        """Say how far a download is, at most five times a second."""
        if not self._wanted or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + 0.2
        self._shown = True
        of = f" of {download.expected / 1e6:.1f}" if download.expected else ""
        self._write(f"{self._alias}: fetching {download.path.name}, {download.received / 1e6:.1f}{of} MB")

    def end(self) -> None:
        """Remove the line."""
        if self._shown:
            self._write("")

    def _write(self, text: str) -> None:
        sys.stderr.write(f"\r{text}\x1b[K")
        sys.stderr.flush()


def _reason(error: HTTPError) -> str:
    """Say in plain words what went wrong; urllib3's own words hold object addresses."""
    if isinstance(error, NameResolutionError):
        return "its name cannot be resolved"
    if isinstance(error, NewConnectionError):
        cause = error.__cause__
        return (cause.strerror if isinstance(cause, OSError) else None) or "no connection"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return "the connection broke off"


def _tls_reason(error: SSLError) -> str:
    cause = error.args[0] if error.args else None
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {cause.verify_message}"
    return "no secure connection"
