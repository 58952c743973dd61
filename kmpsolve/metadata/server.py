"""Files from a web server: with patience, in parts where a connection breaks, never more than was promised."""

from __future__ import annotations

import io
import re
import ssl
import sys
import time
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import BinaryIO
from urllib.parse import quote, unquote, urljoin, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError, SSLError, TimeoutError

from kmpsolve.errors import MetadataError
from kmpsolve.metadata.compression import CHUNK
from kmpsolve.metadata.origin import Origin
from kmpsolve.metadata.repomd import REPOMD, SIGNATURE
from kmpsolve.metadata.trust import SIGNATURE_LIMIT

__all__ = ["Patience", "Server"]

_REDIRECTS = 10


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


class _AgainError(Exception):
    """This attempt failed in a way that the next one may not; the message says how, for the user."""


class Server:
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
            address.encode()  # bytes that are no text are in no address
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
