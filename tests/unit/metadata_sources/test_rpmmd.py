"""rpm-md repositories on disk: what matches repomd.xml is read, anything else is refused."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import zstandard

from kmpsolve.errors import MetadataError
from kmpsolve.metadata import rpmmd
from kmpsolve.metadata.content import Content, Patch
from kmpsolve.metadata.rpmmd import open_rpmmd, with_patches
from tests.support import repository
from tests.unit.metadata_sources import samples
from tests.unit.metadata_sources.samples import ACME, KERNEL, TOOLS

PATCH = repository.PatchSpec(id="SUSE-2026-1", packages=(KERNEL,), cves=("CVE-2026-2", "CVE-2026-1"))

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.compress,
    ".bz2": bz2.compress,
}

PRIMARY = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b'<metadata xmlns="http://linux.duke.edu/metadata/common"'
    b' xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="1">\n'
    b'<package type="rpm"><name>a</name><arch>noarch</arch><version epoch="0" ver="1" rel="1"/>\n'
    b'<checksum type="sha256" pkgid="YES">' + b"00" * 32 + b'</checksum><location href="a.rpm"/>\n'
    b'<format><rpm:provides><rpm:entry name="a"/></rpm:provides></format></package></metadata>\n'
)
UPDATEINFO = (
    b'<updates><update status="retracted"><id>P-1</id><pkglist><collection>'
    b'<package name="a" version="1" release="1" arch="noarch"/></collection></pkglist></update></updates>'
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A ``<data>`` entry and the file it speaks of, written as a test wants them."""

    type: str = "primary"
    content: bytes = PRIMARY
    suffix: str = ".gz"
    algorithm: str = "sha256"
    href: str | None = None
    replace: Mapping[str, str | None] | None = None
    """Elements with another text than the true one; None leaves the element out."""

    def write(self, folder: Path) -> str:
        packed = COMPRESS[self.suffix](self.content)
        name = f"repodata/{self.type}.xml{self.suffix}"
        (folder / name).write_bytes(packed)
        hashed = {"sha": "sha1"}.get(self.algorithm, self.algorithm)
        known = hashed if hashed in hashlib.algorithms_available else "sha256"
        texts: dict[str, str | None] = {
            "checksum": hashlib.new(known, packed).hexdigest(),
            "open-checksum": hashlib.new(known, self.content).hexdigest(),
            "size": str(len(packed)),
            "open-size": str(len(self.content)),
            "timestamp": "1700000000",
            **(self.replace or {}),
        }
        kind = f' type="{self.algorithm}"' if self.algorithm else ""
        elements = "".join(
            f"<{name}{kind if 'checksum' in name else ''}>{text}</{name}>"
            for name, text in texts.items()
            if text is not None
        )
        return f'<data type="{self.type}">{elements}<location href="{self.href or name}"/></data>'


def write(folder: Path, *entries: Entry, before: str = "") -> Path:
    (folder / "repodata").mkdir(parents=True)
    body = "".join(entry.write(folder) for entry in entries)
    (folder / "repodata/repomd.xml").write_text(
        f'{before}<repomd xmlns="http://linux.duke.edu/metadata/repo"><revision>42</revision>{body}</repomd>'
    )
    return folder


def refused(folder: Path) -> MetadataError:
    with pytest.raises(MetadataError) as caught:
        open_rpmmd(folder, alias="SLE-Updates")
    assert caught.value.where == "SLE-Updates"
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("compression", ["gz", "xz", "bz2"])
def test_a_real_repository_is_read(compression: str) -> None:
    folder = repository.rpm_md([KERNEL, ACME, TOOLS], [PATCH], compression=compression)
    content = open_rpmmd(folder, alias="SLE-Updates", priority=90, source="dir:/srv/repo")
    assert (content.alias, content.priority, content.source) == ("SLE-Updates", 90, "dir:/srv/repo")
    assert (content.revision, content.timestamp) == ("1700000000", 1_700_000_000)
    assert content.primary is not None
    assert os.lseek(content.primary.fileno(), 0, os.SEEK_CUR) == 0
    seen = samples.view(content)
    assert sorted(name.split()[1] for name in seen) == sorted(spec.nevra for spec in (KERNEL, ACME, TOOLS))
    (patch,) = content.patches
    assert (patch.id, patch.severity, patch.status) == ("SUSE-2026-1", "important", "stable")
    assert patch.cves == ("CVE-2026-1", "CVE-2026-2")
    assert patch.packages == (KERNEL.nevra,)
    assert content.retracted == frozenset()


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("algorithm", ["sha256", "sha512", "sha384", "sha224", "sha1", "sha", "md5"])
def test_every_compression_and_checksum_is_understood(suffix: str, algorithm: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "repo", Entry(suffix=suffix, algorithm=algorithm))
    assert list(samples.view(open_rpmmd(folder, alias="x"))) == ["a.rpm a-1-1.noarch"]


def test_a_compression_is_told_by_content_not_by_name(tmp_path: Path) -> None:
    folder = write(tmp_path / "repo", Entry(suffix=".zst"))
    (folder / "repodata/primary.xml.zst").rename(folder / "repodata/primary.xml.gz")
    text = (folder / "repodata/repomd.xml").read_text()
    (folder / "repodata/repomd.xml").write_text(text.replace("primary.xml.zst", "primary.xml.gz"))
    assert len(samples.view(open_rpmmd(folder, alias="x"))) == 1


def test_retracted_packages_are_listed(tmp_path: Path) -> None:
    folder = write(tmp_path / "repo", Entry(), Entry(type="updateinfo", content=UPDATEINFO, suffix=".xz"))
    content = open_rpmmd(folder, alias="x")
    samples.view(content)
    assert content.retracted == {"a-1-1.noarch"}
    assert (content.revision, content.timestamp) == ("42", 1_700_000_000)


def test_patches_are_added_to_a_solv_cache(tmp_path: Path) -> None:
    folder = write(tmp_path / "repo", Entry(content=b""), Entry(type="updateinfo", content=UPDATEINFO))
    cache = Content(alias="x", source="solv", priority=3, solv=tmp_path / "solv")
    assert with_patches(cache, folder) == replace(
        cache,
        revision="42",
        timestamp=1_700_000_000,
        retracted=frozenset({"a-1-1.noarch"}),
        patches=(Patch(id="P-1", severity="", cves=(), status="retracted", packages=("a-1-1.noarch",)),),
    )
    (folder / "repodata/updateinfo.xml.gz").unlink()
    with pytest.raises(MetadataError, match="is missing") as caught:
        with_patches(cache, folder, remedy="Refresh it: zypper refresh x")
    assert caught.value.hint == "Refresh it: zypper refresh x"


def test_one_primary_in_two_compressions_is_one(tmp_path: Path) -> None:
    folder = write(tmp_path / "repo", Entry(suffix=".gz"), Entry(suffix=".zst"))
    assert len(samples.view(open_rpmmd(folder, alias="x"))) == 1


def test_a_link_to_the_repository_is_followed(tmp_path: Path) -> None:
    write(tmp_path / "repo", Entry())
    (tmp_path / "link").symlink_to("repo")
    assert len(samples.view(open_rpmmd(tmp_path / "link", alias="x"))) == 1


def test_zchunk_beside_the_same_file_in_another_compression_is_passed_over(tmp_path: Path) -> None:
    patches = b"<updates/>"
    entries = (
        Entry(),
        Entry(type="primary_zck"),
        Entry(type="updateinfo_zck", content=patches),
        Entry(type="updateinfo", content=patches),
    )
    assert len(samples.view(open_rpmmd(write(tmp_path / "repo", *entries), alias="x"))) == 1


def test_sizes_and_open_checksums_may_be_missing(tmp_path: Path) -> None:
    entry = Entry(replace={"size": None, "open-size": None, "open-checksum": None, "timestamp": "1.5"})
    content = open_rpmmd(write(tmp_path / "repo", entry), alias="x")
    assert len(samples.view(content)) == 1
    assert content.timestamp == 1


BROKEN: dict[str, tuple[tuple[Entry, ...], str, str]] = {
    "no primary": ((Entry(type="filelists"),), "no-primary", "lists no primary"),
    "patches that cannot be read": (
        (Entry(), Entry(type="updateinfo_zck")),
        "zchunk-alone",
        "updateinfo as zchunk alone",
    ),
    "two different primaries": (
        (Entry(), Entry(suffix=".xz", content=PRIMARY.replace(b"noarch", b"x86_64"))),
        "ambiguous-primary",
        "several primary",
    ),
    "other checksum": (
        (Entry(replace={"checksum": "4be1" + "0" * 60}),),
        "checksum-mismatch",
        r"primary\.xml\.gz does not match its checksum in repomd\.xml \(want 4be10000…, have [0-9a-f]{8}…\)",
    ),
    "other open-checksum": (
        (Entry(replace={"open-checksum": "0" * 64}),),
        "checksum-mismatch",
        "open-checksum",
    ),
    "other size": ((Entry(replace={"size": "7"}),), "size-mismatch", "want 7 bytes"),
    "larger open-size": ((Entry(replace={"open-size": "99999"}),), "size-mismatch", "open-size"),
    "smaller open-size": ((Entry(replace={"open-size": "10"}),), "too-large", "more than 10 bytes"),
    "size that is no number": ((Entry(replace={"size": "-1"}),), "malformed-repomd", "no number: -1"),
    "no checksum": ((Entry(replace={"checksum": None}),), "checksum-missing", "no checksum"),
    "empty checksum": ((Entry(replace={"checksum": ""}),), "checksum-missing", "no checksum"),
    "unknown checksum": ((Entry(algorithm="crc32"),), "checksum-unknown", "crc32"),
    "nameless checksum": ((Entry(algorithm=""),), "checksum-unknown", "none"),
    "absolute place": ((Entry(href="/etc/passwd"),), "location-outside", "/etc/passwd"),
    "place above": ((Entry(href="repodata/../../x"),), "location-outside", "outside"),
    "address as place": ((Entry(href="https://example.com/x"),), "location-outside", "outside"),
    "missing file": ((Entry(href="repodata/other.xml.gz"),), "file-missing", "other.xml.gz is missing"),
    "place is a folder": ((Entry(href="repodata"),), "file-unreadable", "repodata cannot be read"),
    "place with a NUL": ((Entry(href="a&#1;"),), "malformed-xml", "line 1"),
    "damaged compression": (
        (Entry(suffix="", content=gzip.compress(PRIMARY)[:-9]),),
        "corrupt-compression",
        "cannot be decompressed",
    ),
    "an entity bomb": (
        (Entry(content=b'<!DOCTYPE m [<!ENTITY a "aaaa">]><metadata>&a;</metadata>'),),
        "xml-document-type",
        "declares a document type",
    ),
    "an entity bomb in UTF-16": (
        (Entry(content='<!DOCTYPE m [<!ENTITY a "aaaa">]><metadata>&a;</metadata>'.encode("utf-16")),),
        "xml-document-type",
        "declares a document type",
    ),
    "a web page": ((Entry(content=b"<html><body/></html>"),), "wrong-xml", "<html>"),
    "an empty primary": ((Entry(content=b""),), "malformed-xml", "line 1"),
    "no XML": ((Entry(content=b"hello"),), "malformed-xml", "line 1"),
    "nothing but blanks": ((Entry(content=b" " * 100_000),), "malformed-xml", "no element"),
    "a cut updateinfo": (
        (Entry(), Entry(type="updateinfo", content=UPDATEINFO[:-5])),
        "malformed-xml",
        r"updateinfo\.xml\.gz is not well-formed",
    ),
    "an updateinfo with entities": (
        (Entry(), Entry(type="updateinfo", content=b"<!DOCTYPE x []>" + UPDATEINFO)),
        "xml-document-type",
        "updateinfo",
    ),
    "another checksum of updateinfo": (
        (Entry(), Entry(type="updateinfo", content=UPDATEINFO, replace={"checksum": "0" * 64})),
        "checksum-mismatch",
        "updateinfo",
    ),
}


@pytest.mark.parametrize("title", BROKEN)
def test_broken_metadata_is_refused_in_one_line(title: str, tmp_path: Path) -> None:
    entries, reference, message = BROKEN[title]
    error = refused(write(tmp_path / "repo", *entries))
    assert error.reference == reference
    assert re.search(message, error.message), error.message


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("", "malformed-xml"),
        ("<repomd>", "malformed-xml"),
        ("<repomd><data></repomd>", "malformed-xml"),
        ("<html/>", "wrong-xml"),
        ("<repomd/>", "no-primary"),
        ('<!DOCTYPE r SYSTEM "file:///etc/passwd"><repomd/>', "xml-document-type"),
        ('<?xml version="1.0" encoding="x-no-such"?><repomd/>', "malformed-xml"),
    ],
)
def test_a_broken_repomd_is_refused(text: str, reference: str, tmp_path: Path) -> None:
    (tmp_path / "repodata").mkdir()
    (tmp_path / "repodata/repomd.xml").write_text(text)
    assert refused(tmp_path).reference == reference


def test_a_missing_repomd_is_told(tmp_path: Path) -> None:
    assert refused(tmp_path).message == "repomd.xml is missing"


def test_a_huge_repomd_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "repodata").mkdir()
    with (tmp_path / "repodata/repomd.xml").open("wb") as file:
        file.truncate(1 << 40)
    assert refused(tmp_path).reference == "too-large"


@pytest.mark.parametrize("kind", ["link", "fifo", "dangling", "loop"])
def test_only_regular_files_inside_are_read(kind: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "repo", Entry())
    primary = folder / "repodata/primary.xml.gz"
    if kind == "link":
        # The very same bytes: what is refused is the place.
        shutil.move(primary, tmp_path / "elsewhere.gz")
        primary.symlink_to("../../elsewhere.gz")
        assert refused(folder).reference == "location-outside"
        return
    primary.unlink()
    if kind == "fifo":
        os.mkfifo(primary)
        assert refused(folder).reference == "file-unreadable"
    elif kind == "loop":
        primary.symlink_to(primary.name)
        assert refused(folder).reference == "file-unreadable"
    else:
        primary.symlink_to("gone.gz")
        assert refused(folder).reference == "file-missing"


def test_a_bomb_stops_at_the_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpmmd, "UNPACKED_LIMIT", 4 << 20)
    bomb = Entry(content=PRIMARY + b" " * (64 << 20), replace={"open-size": None, "open-checksum": None})
    error = refused(write(tmp_path / "repo", bomb))
    assert (error.reference, error.message) == (
        "too-large",
        "primary.xml.gz unpacks to more than 4194304 bytes",
    )


def test_no_room_for_the_unpacked_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # /dev/full is a disk without room.
    monkeypatch.setattr("tempfile.TemporaryFile", lambda: open("/dev/full", "wb"))  # noqa: PTH123, SIM115
    error = refused(write(tmp_path / "repo", Entry()))
    assert error.message == "primary.xml.gz cannot be unpacked (No space left on device)"
