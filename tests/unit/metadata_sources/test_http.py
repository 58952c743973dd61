"""Repositories on a web server that is slow, breaks off, redirects, lies or is in the middle of an update."""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from kmpsolve.errors import KmpsolveError, MetadataError
from kmpsolve.metadata.http import cache_folder, open_http
from kmpsolve.metadata.repository import Repository
from kmpsolve.metadata.root import read_root
from kmpsolve.metadata.server import Patience
from kmpsolve.metadata.source import open_source
from tests.support import repository
from tests.unit.metadata_sources import samples
from tests.unit.metadata_sources.samples import ACME, KERNEL, TOOLS

HURRIED = Patience(connect=2, silence=0.5, total=5, attempts=3, pause=0.01)
PATCH = repository.PatchSpec(id="P-1", packages=(TOOLS,), status="retracted")


class Handler(BaseHTTPRequestHandler):
    """Serves a folder; before that, a test may take a request over."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append((path, {name.title(): text for name, text in self.headers.items()}))
        for tricked, tricks in self.server.tricks.items():
            if path.endswith(tricked) and tricks:
                tricks.pop(0)(self)
                return
        self.serve()

    def body(self) -> bytes | None:
        # A proxy is asked with a whole address.
        file = self.server.folder / urlsplit(self.path).path.lstrip("/")
        return file.read_bytes() if file.is_file() else None

    def serve(self, body: bytes | None = None) -> None:
        body = self.body() if body is None else body
        if body is None:
            self.answer(404, b"")
            return
        etag = f'"{hashlib.md5(body).hexdigest()}"'  # noqa: S324 - a name, not a proof
        span = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if span and self.headers.get("If-Range", etag) == etag:
            start = int(span[1])
            headers = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}", "ETag": etag}
            self.answer(206, body[start:], headers)
        else:
            self.answer(200, body, {"ETag": etag})

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Keep quiet."""


Trick = Callable[[Handler], None]


@dataclass
class Server(ThreadingHTTPServer):
    """A web server on a port of its own."""

    folder: Path
    tricks: dict[str, list[Trick]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    scheme: str = "http"
    daemon_threads = True

    def __post_init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)

    __hash__ = ThreadingHTTPServer.__hash__

    @property
    def address(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}"

    def paths(self) -> list[str]:
        return [path.rpartition("-")[2].rpartition("/")[2] for path, _ in self.asked]

    def handle_error(self, *_arguments: object) -> None:
        """A client that hangs up is what these tests are about."""


def start(server: Server) -> Iterator[Server]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "www"
    shutil.copytree(repository.rpm_md([KERNEL, ACME, TOOLS], [PATCH]), folder)
    yield from start(Server(folder))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def names(server: Server, cache: Path, patience: Patience = HURRIED) -> list[str]:
    content = open_http(server.address, alias="vendor", cache=cache, patience=patience)
    return sorted(name.split()[1] for name in samples.view(content))


def failure(server: Server, cache: Path, patience: Patience = HURRIED) -> MetadataError:
    with pytest.raises(MetadataError) as caught:
        open_http(server.address, alias="vendor", cache=cache, patience=patience)
    assert caught.value.where == "vendor"
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    assert "0x" not in str(caught.value)
    # Nothing half is left behind.
    assert not list(cache.rglob("*.part"))
    return caught.value


ALL = sorted(spec.nevra for spec in (KERNEL, ACME, TOOLS))


def test_a_repository_is_fetched_once_and_only_what_a_plan_needs(server: Server, cache: Path) -> None:
    content = open_http(f"{server.address}/", alias="vendor", priority=7, cache=cache, patience=HURRIED)
    assert len(samples.view(content)) == 3
    assert (content.alias, content.priority, content.source) == ("vendor", 7, f"{server.address}/")
    assert content.retracted == {TOOLS.nevra}
    assert content.refreshed is not None
    assert abs(content.refreshed - time.time()) < 60
    assert server.paths() == ["repomd.xml", "primary.xml.gz", "updateinfo.xml.gz"]

    server.asked.clear()
    assert names(server, cache) == ALL
    # The address without its slash is another key: both files are fetched for it, once.
    assert names(server, cache) == ALL
    assert server.paths() == ["repomd.xml", "primary.xml.gz", "updateinfo.xml.gz", "repomd.xml"]


def test_open_source_takes_an_address(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    assert len(samples.view(open_source(server.address, alias="x"))) == 3
    assert list((cache / "kmpsolve").rglob("repomd.xml"))
    assert capfd.readouterr() == ("", "")


def test_a_new_state_of_the_repository_is_noticed_and_the_old_one_forgotten(
    server: Server, cache: Path
) -> None:
    assert names(server, cache) == ALL
    shutil.rmtree(server.folder)
    shutil.copytree(repository.rpm_md([KERNEL]), server.folder)
    assert names(server, cache) == [KERNEL.nevra]
    (place,) = cache.iterdir()
    states = [path for path in place.iterdir() if path.is_dir()]
    assert len(states) == 2
    for folder in states:
        os.utime(folder, (0, 0))
    assert names(server, cache) == [KERNEL.nevra]
    assert len(list(place.iterdir())) < 2


def test_a_damaged_cache_is_fetched_again(server: Server, cache: Path) -> None:
    assert names(server, cache) == ALL
    (primary,) = cache.rglob("*primary.xml.gz")
    primary.write_bytes(primary.read_bytes()[:-1] + b"?")
    server.asked.clear()
    assert names(server, cache) == ALL
    assert server.paths() == ["repomd.xml", "repomd.xml", "primary.xml.gz", "updateinfo.xml.gz"]


def breaks_off(share: float) -> Trick:
    def trick(handler: Handler) -> None:
        body = handler.body() or b""
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("ETag", f'"{hashlib.md5(body).hexdigest()}"')  # noqa: S324 - a name
        handler.end_headers()
        handler.wfile.write(body[: int(len(body) * share)])
        handler.close_connection = True

    return trick


def answers(status: int, **headers: str) -> Trick:
    def trick(handler: Handler) -> None:
        handler.answer(status, b"", {name.replace("_", "-"): value for name, value in headers.items()})

    return trick


def serves(body: bytes) -> Trick:
    return lambda handler: handler.serve(body)


def hangs(handler: Handler) -> None:
    time.sleep(1)
    handler.close_connection = True


def drips(handler: Handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    end = time.monotonic() + 4
    while time.monotonic() < end:
        handler.wfile.write(b"<")
        handler.wfile.flush()
        time.sleep(0.05)


def test_a_broken_download_goes_on_where_it_ended(server: Server, cache: Path) -> None:
    server.tricks = {"primary.xml.gz": [breaks_off(0.5)]}
    assert names(server, cache) == ALL
    first, second = (headers for path, headers in server.asked if "primary" in path)
    (primary,) = server.folder.rglob("*primary.xml.gz")
    assert "Range" not in first
    assert second["Range"] == f"bytes={primary.stat().st_size // 2}-"


def test_a_file_that_changed_meanwhile_is_not_patched_together(server: Server, cache: Path) -> None:
    # The second half is asked for with the first half's ETag, which the server no longer knows.
    (repomd,) = server.folder.rglob("repomd.xml")
    first = repomd.read_bytes()

    def change(handler: Handler) -> None:
        repomd.write_bytes(first.replace(b"<repomd", b"<!-- new --><repomd", 1))
        handler.serve()

    server.tricks = {"repomd.xml": [breaks_off(0.5), change]}
    assert names(server, cache) == ALL
    (kept,) = cache.rglob("repomd.xml")
    assert kept.read_bytes() == repomd.read_bytes() != first


@pytest.mark.parametrize(
    "trick",
    [
        breaks_off(0),
        breaks_off(0.9),
        answers(503),
        answers(429),
        answers(416),
        hangs,
        answers(206, Content_Range="bytes 7-8/9"),
        answers(206),
    ],
)
def test_one_failure_is_forgiven(trick: Trick, server: Server, cache: Path) -> None:
    server.tricks = {"repomd.xml": [trick], "primary.xml.gz": [trick]}
    assert names(server, cache) == ALL


@pytest.mark.parametrize(
    ("trick", "message"),
    [
        (breaks_off(0.5), "the connection broke off"),
        (answers(503), "the server answers 503"),
        (hangs, "no answer in time"),
        (answers(403), r"refuses primary\.xml\.gz \(403\)"),
        (answers(404), r"primary\.xml\.gz is not on the server \(404\)"),
        (answers(302, Location="/repodata/x-primary.xml.gz"), "redirects again and again"),
        (answers(302, Location="ftp://127.0.0.1/x"), "redirects to ftp:"),
        (answers(302, Location="http://[::1/x"), "malformed"),
        (answers(302, Location="http://a b/"), "cannot be fetched"),
        (answers(200, Content_Length="5000000000"), "want .* bytes, have more"),
        (serves(b"x" * 100_000), "want .* bytes, have more"),
        (serves(b""), "want .* bytes, have 0"),
        (drips, "longer than 2 seconds"),
    ],
)
def test_lasting_failure_is_told_in_one_line(trick: Trick, message: str, server: Server, cache: Path) -> None:
    # The names are checksums otherwise, which messages repeat.
    (primary,) = server.folder.rglob("*primary.xml.gz")
    repomd = server.folder / "repodata/repomd.xml"
    repomd.write_text(repomd.read_text().replace(primary.name, "primary.xml.gz"))
    primary.rename(primary.with_name("primary.xml.gz"))
    server.tricks = {"primary.xml.gz": [trick] * 20}
    begin = time.monotonic()
    error = failure(server, cache, Patience(connect=1, silence=0.3, total=2, attempts=3, pause=0.01))
    assert re.search(message, error.message), error.message
    assert time.monotonic() - begin < 30


def test_a_server_that_is_not_there_is_told(server: Server, cache: Path) -> None:
    port = server.server_address[1]
    with pytest.raises(MetadataError, match=rf"127\.0\.0\.1:{port} .*Connection refused"):
        server.server_close()
        open_http(server.address, alias="vendor", cache=cache, patience=HURRIED)


@pytest.mark.parametrize(
    "address", ["http://", "http://:80/x", "http://host:99999/", "http://[1/", "http://a..b/"]
)
def test_a_malformed_address_is_told(address: str, cache: Path) -> None:
    with pytest.raises(KmpsolveError) as caught:
        open_http(address, alias="vendor", cache=cache, patience=HURRIED)
    assert "\n" not in str(caught.value)


def test_a_stale_file_is_asked_for_again_past_all_proxies(server: Server, cache: Path) -> None:
    (primary,) = server.folder.rglob("*primary.xml.gz")
    stale = bytes(primary.stat().st_size)
    server.tricks = {"primary.xml.gz": [serves(stale)]}
    assert names(server, cache) == ALL
    asked = [headers.get("Cache-Control") for path, headers in server.asked if "primary" in path]
    assert asked == [None, "no-cache"]


def test_a_stale_repomd_is_asked_for_again(server: Server, cache: Path) -> None:
    old = (server.folder / "repodata/repomd.xml").read_bytes()
    shutil.rmtree(server.folder)
    shutil.copytree(repository.rpm_md([KERNEL]), server.folder)
    server.tricks = {"repomd.xml": [serves(old)]}
    assert names(server, cache) == [KERNEL.nevra]


def test_a_file_that_stays_stale_is_an_error(server: Server, cache: Path) -> None:
    (primary,) = server.folder.rglob("*primary.xml.gz")
    server.tricks = {"primary.xml.gz": [serves(bytes(primary.stat().st_size))] * 9}
    assert failure(server, cache).reference == "checksum-mismatch"
    server.tricks = {}
    assert names(server, cache) == ALL


def test_redirects_are_followed_with_the_password_only_at_home(
    server: Server, cache: Path, tmp_path: Path
) -> None:
    for mirror in start(Server(server.folder)):
        path = next(server.folder.rglob("*primary.xml.gz")).relative_to(server.folder)
        server.tricks = {"primary.xml.gz": [answers(302, Location=f"{mirror.address}/{path}")]}
        address = server.address.replace("//", "//us%40er:se%3Acret@")
        content = open_http(f"{address}?token=1", alias="vendor", cache=cache, patience=HURRIED)
        assert len(samples.view(content)) == 3
        assert content.source == f"{server.address}?token=1"
        assert {headers.get("Authorization") for _, headers in server.asked} == {"Basic dXNAZXI6c2U6Y3JldA=="}
        ((_, headers),) = mirror.asked
        assert "Authorization" not in headers


@pytest.fixture
def mirrored(server: Server, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository of a system of which the first address has nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    file = tmp_path / "root/etc/zypp/repos.d/vendor.repo"
    file.parent.mkdir(parents=True)
    addresses = "\n  ".join(server.address + path for path in ("/nothing", "", "/nowhere"))
    file.write_text(f"[vendor]\ngpgcheck=0\nbaseurl={addresses}\n")
    (found,) = read_root(tmp_path / "root").readable()
    return found


def test_where_one_address_fails_the_next_one_is_asked(server: Server, mirrored: Repository) -> None:
    content = mirrored.open()
    assert len(samples.view(content)) == 3
    assert content.source == server.address
    indexes = dict.fromkeys(path for path, _ in server.asked if path.endswith("repomd.xml"))
    assert list(indexes) == ["/nothing/repodata/repomd.xml", "/repodata/repomd.xml"]


def test_where_every_address_fails_the_first_one_is_told(server: Server, mirrored: Repository) -> None:
    server.tricks = {"/repodata/repomd.xml": [answers(403), answers(404), answers(404)]}
    with pytest.raises(MetadataError) as caught:
        mirrored.open()
    assert caught.value.reference == "download-refused"


def test_what_is_damaged_at_one_address_is_not_passed_over(server: Server, mirrored: Repository) -> None:
    server.tricks = {"/nothing/repodata/repomd.xml": [serves(b"<repomd/>")] * 2}
    with pytest.raises(MetadataError) as caught:
        mirrored.open()
    assert caught.value.reference == "no-primary"


def test_the_query_of_an_address_is_kept(server: Server, cache: Path) -> None:
    asked: list[str] = []

    def note(handler: Handler) -> None:
        asked.append(handler.path)
        handler.serve()

    server.tricks = {"repomd.xml": [note]}
    samples.view(open_http(f"{server.address}/?token=1", alias="x", cache=cache, patience=HURRIED))
    assert asked == ["/repodata/repomd.xml?token=1"]


def test_a_proxy_is_used_unless_the_host_is_exempt(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.address)
    content = open_http("http://repository.invalid/", alias="x", cache=cache, patience=HURRIED)
    assert len(samples.view(content)) == 3
    monkeypatch.setenv("no_proxy", "repository.invalid")
    with pytest.raises(MetadataError, match="cannot be resolved"):
        open_http("http://repository.invalid/", alias="x", cache=cache, patience=HURRIED)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    path = tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1"
    extra = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(path), "-out", f"{path}.crt"]
    subprocess.run([*command.split(), *extra], check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


@pytest.fixture
def secure(server: Server, certificate: Path) -> Server:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.scheme = "https"
    return server


def test_an_unknown_certificate_is_refused(secure: Server, cache: Path) -> None:
    assert "its certificate is not trusted: self" in failure(secure, cache).message


def test_a_known_certificate_is_accepted_and_no_way_leads_back_to_http(
    secure: Server, certificate: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
    assert names(secure, cache) == ALL
    secure.tricks = {"repomd.xml": [answers(302, Location="http://127.0.0.1:9/repodata/repomd.xml")]}
    assert "redirects to http:" in failure(secure, cache).message


def test_a_cache_that_cannot_be_written_is_told(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MetadataError, match="Not a directory") as caught:
        open_http(server.address, alias="vendor", cache=tmp_path / "file", patience=HURRIED)
    assert caught.value.reference == "cache-unwritable"


def test_the_cache_s_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_folder() == Path("/x/kmpsolve")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert cache_folder() == Path("/var/cache/kmpsolve")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/geeko")
    assert cache_folder() == Path("/home/geeko/.cache/kmpsolve")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("quiet", [False, True])
def test_progress_shows_on_a_terminal_after_a_second(
    quiet: bool, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(handler: Handler) -> None:
        body = handler.body() or b""
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        for place in range(0, len(body), len(body) // 7):
            handler.wfile.write(body[place : place + len(body) // 7])
            handler.wfile.flush()
            time.sleep(0.2)

    server.tricks = {"primary.xml.gz": [slow]}
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    samples.view(open_http(server.address, alias="vendor", cache=cache, patience=HURRIED, quiet=quiet))
    if quiet:
        assert terminal.getvalue() == ""
    else:
        assert re.match(
            r"\rvendor: fetching \S+primary\.xml\.gz, 0\.0 of 0\.0 MB\x1b\[K", terminal.getvalue()
        )
        assert terminal.getvalue().endswith("\r\x1b[K")
