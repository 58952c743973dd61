"""Metadata is believed if its signature is; zypper itself says which combinations that are."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmpsolve.config import Config
from kmpsolve.errors import KmpsolveError
from kmpsolve.metadata.content import Content
from kmpsolve.metadata.repository import Repository
from kmpsolve.metadata.root import read_root
from kmpsolve.metadata.trust import dearmored
from kmpsolve.request import Request
from kmpsolve.session import load
from kmpsolve.sources import Sources
from kmpsolve.zypp.reading import read_caches
from tests.e2e.host import DRIVER, NEW, OLD, REBUILD, Host, served, specs
from tests.security.keys import Signer, write_at

STATES = ("signed", "unsigned", "changed", "by a stranger")
LAST_YEAR, THIS_YEAR = 1_767_000_000, 1_790_000_000


@pytest.fixture(scope="module")
def signers() -> Iterator[dict[str, Signer]]:
    folder = Path(tempfile.mkdtemp(prefix="keys-"))
    found = {name: Signer(folder / name) for name in ("friend", "stranger")}
    yield found
    for signer in found.values():
        signer.close()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def place(signers: dict[str, Signer], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a repository in each state."""
    folder = tmp_path_factory.mktemp("signed")
    for state in STATES:
        write_at(folder / state, specs(NEW, REBUILD), THIS_YEAR)
        if state != "unsigned":
            signers["stranger" if state == "by a stranger" else "friend"].sign(folder / state)
        if state == "changed":
            repomd = folder / state / "repodata" / "repomd.xml"
            repomd.write_text(repomd.read_text() + "<!-- changed -->\n")
    (folder / "friend.asc").write_text(signers["friend"].public())
    (folder / "stranger.asc").write_text(signers["stranger"].public())
    return folder


@pytest.fixture(scope="module")
def host(place: Path) -> Iterator[Host]:
    with Host(OLD, DRIVER, hook=False, shared=[place]) as host:
        assert host.run(["rpm", "--import", str(place / "friend.asc")]).code == 0
        yield host


def _define(host: Host, url: str, settings: str, *, conf: str = "") -> None:
    host.write("/etc/zypp/zypp.conf", f"[main]\n{conf}")
    host.write("/etc/zypp/repos.d/r.repo", f"[r]\nenabled=1\nautorefresh=1\nbaseurl={url}\n{settings}")


@pytest.fixture(autouse=True)
def _fresh(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host.run(["sh", "-c", "rm -rf /var/cache/zypp/raw/* /var/cache/zypp/solv/*"])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _repository(host: Host) -> Repository:
    return read_root(host.root).repositories[0]


def _opened(host: Host) -> Content | str:
    """The content, or the reference of the error."""
    try:
        content = _repository(host).open()
    except KmpsolveError as error:
        return error.reference
    if content.primary is not None:
        content.primary.close()
    return content


def _remarks(host: Host) -> list[str]:
    content = _opened(host)
    assert isinstance(content, Content), content
    return [reference for reference, _ in content.remarks]


SETTINGS = ("gpgcheck=1\n", "gpgcheck=0\n", "repo_gpgcheck=1\n", "gpgcheck=0\nrepo_gpgcheck=1\n")
ERRORS = {
    "unsigned": "signature-missing",
    "changed": "signature-wrong",
    "by a stranger": "signature-unknown-key",
}


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("state", STATES)
def test_what_zypper_would_accept(state: str, settings: str, host: Host, place: Path) -> None:
    _define(host, f"dir:{place}/{state}".replace(" ", "%20"), settings)
    ours = _opened(host)
    accepted = host.zypper("refresh").code == 0
    assert accepted == isinstance(ours, Content)
    if isinstance(ours, Content):
        assert ours.remarks == ()
    else:
        assert ours == ERRORS[state]


def test_zypp_conf_says_it_for_all(host: Host, place: Path) -> None:
    for conf in ("gpgcheck = on\n", "repo_gpgcheck = on\n"):
        _define(host, f"dir:{place}/unsigned", "", conf=conf)
        assert _opened(host) == "signature-missing"
        _define(host, f"dir:{place}/unsigned", "gpgcheck=0\nrepo_gpgcheck=0\n", conf=conf)
        assert _remarks(host) == []


def test_where_nobody_says_it_a_missing_signature_is_told(host: Host, place: Path) -> None:
    _define(host, f"dir:{place}/unsigned", "")
    assert _remarks(host) == ["signature-missing"]
    loaded = load(Sources(root=host.root), Request(), Config())
    assert [note.reference for note in loaded.request.notes] == ["signature-missing"]
    _define(host, f"dir:{place}/by%20a%20stranger", "")
    assert _remarks(host) == ["signature-unknown-key"]
    _define(host, f"dir:{place}/changed", "")
    assert _opened(host) == "signature-wrong"
    _define(host, f"dir:{place}/unsigned", "gpgcheck=1\nrepo_gpgcheck=0\n")
    assert _remarks(host) == ["signature-missing"]


def test_the_repository_s_own_key_file(host: Host, place: Path) -> None:
    url = f"dir:{place}/by%20a%20stranger"
    _define(host, url, f"gpgcheck=1\ngpgkey=file://{place}/stranger.asc\n")
    assert _remarks(host) == []
    _define(host, url, f"gpgcheck=1\ngpgkey=file://{place}/friend.asc\n")
    assert _opened(host) == "signature-unknown-key"
    _define(host, url, "gpgcheck=1\ngpgkey=https://example.invalid/stranger.asc\n")
    assert _opened(host) == "signature-unknown-key"


def test_a_revoked_key_is_no_key(host: Host, place: Path, tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="keys-"))
    signer = Signer(folder / "gone")
    write_at(place / "revoked", specs(NEW), THIS_YEAR)
    signer.sign(place / "revoked")
    key = place / "gone.asc"
    _define(host, f"dir:{place}/revoked", f"gpgcheck=1\ngpgkey=file://{key}\n")
    key.write_text(signer.public())
    assert _remarks(host) == []
    key.write_text(signer.revoked())
    assert _opened(host) == "signature-unknown-key"
    signer.close()
    folder.rmdir()


def test_without_gpgv_nothing_that_needs_it_is_believed(
    host: Host, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kmpsolve.metadata.trust._GPGV", "/nowhere/gpgv")
    _define(host, f"dir:{place}/signed", "gpgcheck=1\n")
    assert _opened(host) == "signature-unchecked"
    _define(host, f"dir:{place}/signed", "")
    assert _remarks(host) == ["signature-unchecked"]


@pytest.mark.parametrize("state", STATES)
def test_over_http(state: str, host: Host, place: Path) -> None:
    with served(place / state) as address:
        _define(host, address, "gpgcheck=1\n")
        ours = _opened(host)
    assert (ours if isinstance(ours, str) else "") == ERRORS.get(state, "")


def test_what_zypper_accepted_stays_accepted(host: Host, place: Path) -> None:
    """Its user said yes to an unsigned repository, or the key came and went: no reason to fail afterwards."""
    _define(host, f"dir:{place}/unsigned", "gpgcheck=1\n")
    assert host.zypper("--no-gpg-checks", "refresh").code == 0
    assert _remarks(host) == []
    host.run(["rm", "-r", "/var/cache/zypp/solv/r"])  # now the metadata itself is read
    assert _remarks(host) == []
    assert str(_repository(host).location).endswith("/raw/r")


def test_zypper_s_copy_that_was_changed_since(host: Host, place: Path) -> None:
    _define(host, f"dir:{place}/signed", "gpgcheck=1\nautorefresh=0\n")
    assert host.zypper("refresh").code == 0
    repomd = host.path("/var/cache/zypp/raw/r/repodata/repomd.xml")
    host.run(["rm", "-r", "/var/cache/zypp/solv/r"])
    _define(host, "https://example.invalid/r", "gpgcheck=1\n")
    assert _remarks(host) == []
    repomd.write_text(repomd.read_text() + "<!-- changed -->\n")
    assert _opened(host) == "signature-wrong"


def test_a_folder_that_goes_back_in_time(host: Host, place: Path) -> None:
    """libzypp takes it without a word; here is the word."""
    write_at(place / "back", specs(NEW), THIS_YEAR)
    _define(host, f"dir:{place}/back", "gpgcheck=0\n")
    assert host.zypper("refresh").code == 0
    assert _remarks(host) == []
    write_at(place / "back", specs(NEW), LAST_YEAR)
    assert _remarks(host) == ["older-metadata"]
    loaded = load(Sources(root=host.root), Request(), Config())
    assert [note.message for note in loaded.request.notes] == [
        "r: its metadata is of 2025-12-29 09:20, older than what was there before, of 2026-09-21 14:13"
    ]


def test_a_server_that_goes_back_in_time(host: Host, place: Path) -> None:
    with served(place / "forth") as address:
        _define(host, address, "gpgcheck=0\n")
        for timestamp, told in (
            (LAST_YEAR, []),
            (THIS_YEAR, []),
            (LAST_YEAR, ["older-metadata"]),
            (LAST_YEAR, ["older-metadata"]),
            (THIS_YEAR, []),
        ):
            write_at(place / "forth", specs(NEW), timestamp)
            assert _remarks(host) == told


@pytest.mark.parametrize("below", ["raw/r/repodata/repomd.xml", "raw/r", "solv/r/solv", "solv/r", "solv"])
def test_caches_that_others_can_write(
    below: str, host: Host, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _define(host, f"dir:{place}/signed", "gpgcheck=0\n")
    assert host.zypper("refresh").code == 0
    _define(host, "https://example.invalid/r", "gpgcheck=0\n")
    path = host.path(f"/var/cache/zypp/{below}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    right = read_caches(host.root, Request(), Config()).loaded.inputs
    assert [one.alias for one in right.repositories] == ["r"]
    mode = path.stat().st_mode & 0o777
    path.chmod(mode | 0o002)
    try:
        assert "/var/cache" not in str(_repository(host).location)
        if below.startswith("solv"):
            wrong = read_caches(host.root, Request(), Config()).loaded.inputs
            assert wrong.repositories == ()
        _define(host, "nfs://example.invalid/r", "gpgcheck=0\n")
        assert _repository(host).reason == "zypper's copy of it can be written by others than root"
    finally:
        path.chmod(mode)


def test_armor() -> None:
    block = b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n%s\nYWJj\n=AAAA\n-----END PGP PUBLIC KEY BLOCK-----\n"
    assert dearmored(block % b"") == b"abc"
    assert dearmored(b"text\n" + block % b"Version: rpm\r\n" + b"between" + block % b"") == b"abcabc"
    assert dearmored(b"\x99\x01\x0d") == b"\x99\x01\x0d"
    for damaged in (
        block.replace(b"YWJj", b"Y W"),
        block.replace(b"YWJj", b"!!!!"),
        block[:60],
        block[:30] * 9,
    ):
        assert dearmored(damaged % b"" if b"%s" in damaged else damaged) in (b"", damaged)
