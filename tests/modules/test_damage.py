"""Files that are not what they claim: one clear error, in little memory, whatever the bytes."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import random
import resource
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from kmpsolve.errors import MetadataError
from kmpsolve.modules.check import check
from kmpsolve.modules.folder import files_below
from kmpsolve.modules.kernel import kernel_from_capabilities
from kmpsolve.modules.module import read_module
from kmpsolve.modules.rpmfile import payload, read_rpm
from tests.modules import debian, kbuild
from tests.modules.debian import DebianKernel
from tests.support.coverage import unmeasured

Built = Callable[[DebianKernel], Path]

_MEMORY = 640 << 20
_CHILD = """
import resource, sys
from pathlib import Path
from kmpsolve.errors import MetadataError
from kmpsolve.modules.module import read_module
resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
try:
    read_module(Path(sys.argv[1]))
except MetadataError as error:
    # Not getrusage, which also counts what the process was before it became this program.
    peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:"))
    print(error.reference, error.message, peak, sep="|")
"""


@pytest.fixture(scope="module")
def base(kernels: tuple[DebianKernel, ...], built: Built) -> Path:
    return built(kernels[0]) / "kmpsolve_base.ko"


def _read_in_little_memory(path: Path) -> tuple[str, int]:
    """The error's message, and the peak of memory in MiB; a traceback or a killed process fails."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD.format(memory=_MEMORY), path],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=unmeasured(),
    )
    assert not done.stderr
    reference, message, peak = done.stdout.strip().split("|")
    assert reference == "unreadable-module"
    return message, int(peak) >> 10


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no readable kernel module"),
        (b"#!/bin/sh\n", "no readable kernel module"),
        (b"\x7fELF", "no readable kernel module"),
        (b"\x1f\x8b\x08", "damaged or cut short"),
        (b"\xfd7zXZ\0", "damaged or cut short"),
        (b"\x28\xb5\x2f\xfd", "damaged or cut short"),
    ],
    ids=["empty", "a script", "only ELF's magic", "only gzip's", "only xz's", "only zstd's"],
)
def test_no_module(content: bytes, message: str) -> None:
    with pytest.raises(MetadataError, match=message) as caught:
        read_module(content, "made.ko")
    assert caught.value.where == "made.ko"
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_what_kmod_does_not_unpack(base: Path) -> None:
    with pytest.raises(MetadataError, match="no readable kernel module"):
        read_module(bz2.compress(base.read_bytes()), "made.ko")


def test_other_elf_files(base: Path, tmp_path: Path) -> None:
    with pytest.raises(MetadataError, match="is an ELF file, but no kernel module"):
        read_module(debian.busybox())
    made = tmp_path / "made.ko"
    subprocess.run(["as", "-o", made, "-"], input=b".text\nnop\n", check=True)
    with pytest.raises(MetadataError, match="is an object file, but no kernel module"):
        read_module(made)
    # What kbuild makes before modpost has all but that; it may even have a name that ends in .ko.
    half_made = kbuild.with_section_renamed(
        base, ".gnu.linkonce.this_module", ".data.other", tmp_path / "half.ko"
    )
    with pytest.raises(MetadataError, match="it has no struct module"):
        read_module(half_made)
    packed = tmp_path / "packed.ko"
    subprocess.run(["objcopy", "--add-section=.big=/bin/sh", base, packed], check=True)
    assert read_module(packed).name == "kmpsolve_base"


def test_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(MetadataError, match="cannot be opened: No such file"):
        read_module(tmp_path / "nowhere.ko")
    with pytest.raises(MetadataError, match="is not a regular file"):
        read_module(tmp_path)
    os.mkfifo(tmp_path / "pipe.ko")
    with pytest.raises(MetadataError, match="is not a regular file"):
        read_module(tmp_path / "pipe.ko")
    with pytest.raises(MetadataError, match="is not a regular file"):
        read_module(Path("/dev/zero"))


_TWO_MEGABYTES = bytes(2 << 20)


@pytest.mark.parametrize(
    ("suffix", "packed"),
    [
        # Each form allows several members in one file.
        (".gz", gzip.compress(_TWO_MEGABYTES) * 1024),
        (".xz", lzma.compress(_TWO_MEGABYTES) * 1024),
        (".zst", zstandard.ZstdCompressor().compress(_TWO_MEGABYTES) * 1024),
        # And this is one frame, of 3 bytes for each 128 KiB.
        (".zst", zstandard.ZstdCompressor().compress(bytes(512 << 20))),
    ],
    ids=["gzip", "xz", "zstd", "one zstd frame"],
)
def test_bombs(suffix: str, packed: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"bomb.ko{suffix}"
    path.write_bytes(packed)
    assert len(packed) < 4 << 20
    message, peak = _read_in_little_memory(path)
    assert message == "unpacks to more than 256 MiB"
    assert peak < 250


def test_a_window_larger_than_any_machine(tmp_path: Path) -> None:
    """zstd's frame header may ask for a window of terabytes."""
    path = tmp_path / "window.ko.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd\x00\xf8" + b"\x01\x00\x00" + bytes(100))
    message, peak = _read_in_little_memory(path)
    assert "damaged" in message
    assert peak < 250


@pytest.mark.parametrize("start", [b"", b"\x7fELF\x02\x01\x01"], ids=["zeros", "an ELF header"])
def test_two_sparse_gigabytes(start: bytes, tmp_path: Path) -> None:
    path = tmp_path / "sparse.ko"
    with path.open("wb") as file:
        file.write(start)
        file.truncate(2 << 30)
    message, peak = _read_in_little_memory(path)
    assert message == "has more than 256 MiB"
    assert peak < 250


def test_a_table_as_large_as_the_file(base: Path, tmp_path: Path) -> None:
    """240 MiB of zeros behind a module, and a section header that claims them for the table of symbols."""
    content = bytearray(base.read_bytes())
    size = (240 << 20) // 24 * 24
    (table,) = struct.unpack_from("<Q", content, 0x28)
    (count,) = struct.unpack_from("<H", content, 0x3C)
    for number in range(count):
        header = table + 64 * number
        if struct.unpack_from("<I", content, header + 4)[0] == 2:
            struct.pack_into("<Q", content, header + 0x20, size)
    path = tmp_path / "table.ko"
    with path.open("wb") as file:
        file.write(content)
        file.truncate(size + len(content))
    message, peak = _read_in_little_memory(path)
    assert message == "its symbol table has more than 8 MiB"
    assert peak < 250


def test_compressed_sections(base: Path, tmp_path: Path) -> None:
    """pyelftools would unpack them, to whatever size they claim; the kernel loads no such module."""
    content = bytearray(base.read_bytes())
    (table,) = struct.unpack_from("<Q", content, 0x28)
    (count,) = struct.unpack_from("<H", content, 0x3C)
    for number in range(count):
        place = table + 64 * number + 8
        flags = struct.unpack_from("<Q", content, place)[0]
        struct.pack_into("<Q", content, place, flags | 0x800)
    with pytest.raises(MetadataError):
        read_module(bytes(content), "made.ko")


@pytest.mark.parametrize("name", ["__versions", ".init.text"])
def test_a_section_behind_the_end(name: str, base: Path) -> None:
    """What is missing from a table must not count as not needed, and no module loads with code missing."""
    content = bytearray(base.read_bytes())
    start = content.index(kbuild.section(base, name))
    (table,) = struct.unpack_from("<Q", content, 0x28)
    (count,) = struct.unpack_from("<H", content, 0x3C)
    offsets = [table + 64 * number + 0x18 for number in range(count)]
    (place,) = [place for place in offsets if struct.unpack_from("<Q", content, place)[0] == start]
    struct.pack_into("<Q", content, place, len(content) - 4)
    with pytest.raises(MetadataError, match=f"is cut short: section {name} ends after the file"):
        read_module(bytes(content), "made.ko")


def test_cut_short_at_every_place(base: Path) -> None:
    content = base.read_bytes()
    for size in range(0, len(content), len(content) // 100):
        with pytest.raises(MetadataError):
            read_module(content[:size], "cut.ko")
    for pack in (gzip.compress, lzma.compress, zstandard.ZstdCompressor().compress):
        packed = pack(content)
        for size in range(0, len(packed), len(packed) // 30):
            with pytest.raises(MetadataError):
                read_module(packed[:size], "cut.ko")


def test_random_damage(base: Path) -> None:
    """Every outcome but a module or one kind of error would be an exception here."""
    whole = base.read_bytes()
    # Most of what can go wrong is in the headers.
    (table,) = struct.unpack_from("<Q", whole, 0x28)
    chance = random.Random(20240229)  # noqa: S311 - the same damage in every run
    outcomes = {"read": 0, "refused": 0}
    for _ in range(1500):
        content = bytearray(whole)
        for _ in range(chance.choice((1, 2, 8))):
            place = chance.choice(
                (chance.randrange(64), chance.randrange(table, len(whole)), chance.randrange(len(whole)))
            )
            content[place] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        try:
            read_module(bytes(content), "damaged.ko")
            outcomes["read"] += 1
        except MetadataError as error:
            assert error.reference == "unreadable-module"
            assert "\n" not in str(error)
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 200
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 4 << 20


def test_a_folder_that_cannot_be_read(tmp_path: Path) -> None:
    """Silence about a folder would vouch for what is in it."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()
    assert list(files_below(tmp_path)) == [tmp_path / "folder" / "file"]
    with pytest.raises(MetadataError, match="cannot be read: No such file") as caught:
        list(files_below(tmp_path / "nowhere"))
    assert caught.value.reference == "folder-unreadable"


def test_links_in_a_folder(tmp_path: Path) -> None:
    """What a linked folder holds counts, and a link that leads nowhere; not what a kernel was built from."""
    disk, other, sources = (tmp_path / name for name in ("disk", "other", "sources"))
    for place in (disk / "a", other, sources):
        place.mkdir(parents=True)
    for file in (disk / "a" / "one.ko", other / "two.ko", sources / "three.ko"):
        file.touch()
    for link, target in (("b", other), ("loop", disk), ("again", disk / "a"), ("build", sources)):
        (disk / link).symlink_to(target)
    (disk / "gone.ko").symlink_to("nowhere.ko")
    assert list(files_below(disk)) == [disk / "gone.ko", disk / "a" / "one.ko", disk / "b" / "two.ko"]
    report = check([disk], [kernel_from_capabilities(["ksym(default:a) = 1"], source="r")])
    assert {f.subject for f in report.findings if f.reference == "unreadable-module"} == {
        str(path) for path in files_below(disk)
    }


def test_damaged_rpms(tmp_path: Path) -> None:
    for content in (b"", b"no rpm", b"\xed\xab\xee\xdb" + bytes(500)):
        path = tmp_path / "made.rpm"
        path.write_bytes(content)
        with pytest.raises(MetadataError, match="is no RPM, or its header is damaged"):
            read_rpm(path)
        with pytest.raises(MetadataError, match="is no RPM, or its header is damaged"):
            next(payload(path, bool))
    with pytest.raises(MetadataError, match="cannot be read"):
        read_rpm(tmp_path / "nowhere.rpm")
    with pytest.raises(MetadataError, match="is not a regular file"):
        read_rpm(tmp_path)
