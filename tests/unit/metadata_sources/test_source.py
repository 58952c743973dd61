"""What a user points at is told by content."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kmpsolve.errors import KmpsolveError, MetadataError, RequestError
from kmpsolve.metadata.source import open_source
from tests.support import repository
from tests.unit.metadata_sources import samples
from tests.unit.metadata_sources.samples import ACME, KERNEL, TOOLS


@pytest.fixture(scope="module")
def folder() -> Path:
    return repository.rpm_md([KERNEL, ACME, TOOLS])


def test_a_folder_with_repodata_is_a_repository(folder: Path) -> None:
    content = open_source(str(folder), alias="vendor", priority=50)
    assert len(samples.view(content)) == 3
    assert (content.alias, content.priority, content.source) == ("vendor", 50, str(folder))
    assert content.revision is not None


@pytest.mark.parametrize("form", ["file://{}", "file://localhost{}", "file:{}", "FILE://{}/"])
def test_a_file_address_is_a_folder(form: str, folder: Path) -> None:
    address = form.format(folder)
    content = open_source(address, alias="vendor")
    assert len(samples.view(content)) == 3
    assert content.source == address


def test_a_file_address_may_escape_characters(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "my repo")
    assert len(samples.view(open_source(f"file://{tmp_path}/my%20repo", alias="x"))) == 3


def test_a_folder_without_repodata_is_a_folder_of_rpms(folder: Path, tmp_path: Path) -> None:
    for rpm in folder.glob("*.rpm"):
        shutil.copy(rpm, tmp_path)
    content = open_source(str(tmp_path), alias="vendor")
    assert len(samples.view(content)) == 3
    assert content.triggers


def test_a_repository_whose_repomd_dangles_is_not_a_folder_of_rpms(folder: Path, tmp_path: Path) -> None:
    shutil.copy(next(folder.glob("*.rpm")), tmp_path)
    (tmp_path / "repodata").mkdir()
    (tmp_path / "repodata/repomd.xml").symlink_to("gone")
    with pytest.raises(MetadataError, match=r"repomd\.xml is missing"):
        open_source(str(tmp_path), alias="vendor")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"m1": {"bash": "5-1"}, "m2": {"bash": "5-1"}}', "is an inventory of 2 hosts"),
        ('{"m1": {"bash": "5-1"}, "m2": false}', "line 1 of it cannot be read: m2: its packages"),
        ('{"m1": {"bash": "5-1"}}\n{"m2": {"ba', "line 2 of it cannot be read: is no JSON"),
        (
            '{"schema_version":1,"host":"a","state":{}}\n{"schema_version":1,"ho',
            "line 2 of it cannot be read",
        ),
    ],
)
def test_a_file_with_several_hosts_is_no_system(text: str, told: str, tmp_path: Path) -> None:
    """Whichever of them is meant, if one cannot be read it may be that one."""
    (tmp_path / "fleet").write_text(text)
    with pytest.raises(RequestError, match=told) as caught:
        open_source(str(tmp_path / "fleet"), alias="--installed")
    assert caught.value.reference == "several-hosts"


def test_a_damaged_list_of_one_host_is_one(tmp_path: Path) -> None:
    (tmp_path / "host").write_text("bash-5-1.x86_64\n???\n")
    content = open_source(str(tmp_path / "host"), alias="--installed")
    assert content.primary is not None
    content.primary.close()
    assert content.settings is not None
    assert content.settings.gaps


def test_a_solv_file_is_one_whatever_its_name(tmp_path: Path) -> None:
    file = tmp_path / "solv"
    file.write_bytes(b"SOLV" + (8).to_bytes(4, "big") + bytes(28))
    content = open_source(str(file), alias="vendor")
    assert (content.solv, content.primary) == (file, None)


@pytest.mark.parametrize(
    ("data", "reference"),
    [
        (b"", "not-solv"),
        (b"SOLV", "damaged-solv"),
        (b"SOLV" + bytes(31), "damaged-solv"),
        (b"SOLV" + (7).to_bytes(4, "big") + bytes(28), "unknown-solv-format"),
        (b"VLOS" + bytes(99), "not-solv"),
    ],
)
def test_the_header_of_a_solv_file_is_checked(data: bytes, reference: str, tmp_path: Path) -> None:
    file = tmp_path / "cache.solv"
    file.write_bytes(data)
    with pytest.raises(MetadataError) as caught:
        open_source(str(file), alias="vendor")
    assert caught.value.reference == reference


@pytest.mark.parametrize(
    ("location", "error", "reference"),
    [
        ("{}/gone", RequestError, "source-missing"),
        ("file://{}/gone", RequestError, "source-missing"),
        ("", MetadataError, "empty-folder"),
        ("{}", MetadataError, "empty-folder"),
        ("{}/notes.txt", RequestError, "unknown-source"),
        ("{}/notes.txt/below", MetadataError, "file-unreadable"),
        ("{}/a\0b", MetadataError, "file-unreadable"),
        ("file://otherhost{}", RequestError, "file-address-host"),
        ("file://", RequestError, "source-missing"),
        ("http://127.0.0.1:9/\udcff", MetadataError, "malformed-address"),
        ("ftp://example.com/repo", RequestError, "unknown-scheme"),
        ("nfs://example.com/repo", RequestError, "unknown-scheme"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(
    location: str, error: type[KmpsolveError], reference: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("a note")
    with pytest.raises(error) as caught:
        open_source(location.format(tmp_path), alias="vendor")
    assert caught.value.reference == reference
    assert caught.value.where == "vendor"
    assert caught.value.hint
    assert "\n" not in str(caught.value)
