"""The modules in an initrd, however it is packed."""

from __future__ import annotations

import bz2
import gzip
import lzma
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from kmpsolve.errors import MetadataError
from kmpsolve.machine.initrd import find_initrd, read_initrd
from kmpsolve.metadata.rootpath import Root

# Larger than any piece that is read or unpacked at once.
LARGE = bytes(range(256)) * 3000
EXPECTED = {"acme_io": b"acme", "large": LARGE}


def _cpio(folder: Path) -> bytes:
    made = subprocess.run(
        ["sh", "-c", "find . | cpio --quiet -o -H newc"], cwd=folder, check=True, capture_output=True
    )
    return made.stdout


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("main")
    modules = folder / "usr/lib/modules/6.4.0-1-default"
    for name, content in (("updates/acme-io.ko", b"acme"), ("kernel/large.ko.zst", LARGE)):
        (modules / name).parent.mkdir(parents=True, exist_ok=True)
        (modules / name).write_bytes(content)
    (modules / "modules.dep").write_text("no module\n")
    (modules / "updates/link.ko").symlink_to("acme-io.ko")
    (folder / "acme.ko").write_text("not below lib/modules\n")
    return _cpio(folder)


@pytest.fixture(scope="module")
def early(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("early")
    (folder / "kernel/x86/microcode").mkdir(parents=True)
    (folder / "kernel/x86/microcode/GenuineIntel.bin").write_bytes(b"\x01" * 3001)
    return _cpio(folder)


def _read(content: bytes, folder: Path) -> dict[str, bytes]:
    (folder / "initrd").write_bytes(content)
    return dict(read_initrd(Root.at(folder), "/initrd").modules)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda content: content,
    "gzip": gzip.compress,
    "xz": lambda content: lzma.compress(content, check=lzma.CHECK_CRC32),
    "zstd": zstandard.compress,
    "bzip2": bz2.compress,
}


@pytest.mark.parametrize("packer", sorted(PACKERS))
@pytest.mark.parametrize("padding", [0, 4, 508, 300_000])
def test_packed(packer: str, padding: int, archive: bytes, early: bytes, tmp_path: Path) -> None:
    packed = PACKERS[packer](archive)
    assert _read(packed, tmp_path) == EXPECTED
    assert _read(early + b"\0" * padding + packed, tmp_path) == EXPECTED
    assert _read(early + packed + b"\0" * padding, tmp_path) == EXPECTED


@pytest.mark.parametrize("second", sorted(PACKERS))
@pytest.mark.parametrize("first", sorted(PACKERS))
@pytest.mark.parametrize("padding", [0, 4, 300_000])
def test_packed_archives_one_after_the_other(
    first: str, second: str, padding: int, archive: bytes, early: bytes, tmp_path: Path
) -> None:
    """As by ``cat initrd more.cpio``: the kernel takes them in any order."""
    zeros = b"\0" * padding
    for order in ((archive, early), (early, archive)):
        packed = [PACKERS[packer](part) + zeros for packer, part in zip((first, second), order, strict=True)]
        assert _read(b"".join(packed), tmp_path) == EXPECTED


@pytest.mark.parametrize("packer", sorted(PACKERS))
def test_one_archive_in_several_packed_parts(
    packer: str, archive: bytes, early: bytes, tmp_path: Path
) -> None:
    """So do those pack who use several processors at once."""
    half = len(archive) // 2
    packed = PACKERS[packer](archive[:half]) + PACKERS[packer](archive[half:])
    assert _read(packed + early, tmp_path) == EXPECTED


def test_several_archives_in_one_packed_part(archive: bytes, early: bytes, tmp_path: Path) -> None:
    assert _read(gzip.compress(early + b"\0" * 512 + archive + b"\0" * 8), tmp_path) == EXPECTED


def test_damage_is_told(archive: bytes, early: bytes, tmp_path: Path) -> None:
    packed = gzip.compress(archive)
    size = archive.rindex(b"070701", 0, archive.index(b"updates/acme-io.ko")) + 54
    for content in (
        *(
            archive[:size] + number + archive[size + 8 :]
            for number in (b"-0000004", b" 0000004", b"0000_004")
        ),
        b"",
        b"\0" * 4096,
        gzip.compress(b""),
        gzip.compress(b"\0" * (1 << 26)),
        b"\x04\x22\x4d\x18 lz4",
        packed[: len(packed) // 2],
        archive[: len(archive) // 2],
        early + packed[:100],
        early + b"garbage",
        packed + b"garbage",
        packed + early[:200],
        archive[:54] + b"zzzzzzzz" + archive[62:],
        archive[:94] + b"ffffffff" + archive[102:],
    ):
        with pytest.raises(MetadataError) as caught:
            _read(content, tmp_path)
        assert caught.value.reference == "unreadable-initrd"
    (tmp_path / "boot" / "initrd-folder").mkdir(parents=True, exist_ok=True)
    with pytest.raises(MetadataError, match=r"the initrd cannot be read: Is a directory$"):
        read_initrd(Root.at(tmp_path), "/boot/initrd-folder")


def test_where_it_is_found(tmp_path: Path) -> None:
    root = Root.at(tmp_path)
    assert find_initrd(root, "6.4.0-1-default") is None
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/initrd-6.4.0-1-default").symlink_to("/etc/passwd")
    assert find_initrd(root, "6.4.0-1-default") is None, "an absolute link begins at the root"
    place = tmp_path / "usr/lib/modules/6.4.0-1-default/initrd"
    place.parent.mkdir(parents=True)
    place.write_text("")
    assert find_initrd(root, "6.4.0-1-default") == "/usr/lib/modules/6.4.0-1-default/initrd"
