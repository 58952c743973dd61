"""Input made to hurt: bombs, entities, ways out of a folder, huge counts. One clear error, in little memory."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import zstandard

from kmpsolve.errors import KmpsolveError
from kmpsolve.metadata.rpmmd import open_rpmmd
from kmpsolve.metadata.vendors import VendorClasses
from kmpsolve.model.modalias import pattern_to_regex
from kmpsolve.request import Policy
from kmpsolve.solver import sources
from kmpsolve.solver.universe import Universe
from tests.support import rpmmd
from tests.support.coverage import unmeasured
from tests.support.packages import PackageSpec
from tests.unit.metadata_sources.samples import KERNEL

MEMORY = 700 << 20
_CHILD = f"""
import resource, sys
from kmpsolve.cli.entry import main
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))
code = main(sys.argv[1:])
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(code, int(peak) >> 10)
"""


def _main(*words: str, memory: int = MEMORY, seconds: float = 60) -> tuple[int, int, str]:
    """Exit code, peak of memory in MiB, and what was said, of a command in a process of its own."""
    script = _CHILD.replace(str(MEMORY), str(memory))
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        capture_output=True, text=True, check=False, timeout=seconds, env=unmeasured(),
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    code, peak = done.stdout.split()[-2:]
    return int(code), int(peak), done.stderr


def _repository(
    folder: Path,
    primary: bytes,
    pack: Callable[[bytes], bytes] = bytes,
    *,
    open_size: int | None = None,
    more: str = "",
) -> Path:
    """A repository with this primary.xml; its checksums are right."""
    (folder / "repodata").mkdir(parents=True)
    stored = pack(primary)
    (folder / "repodata" / "primary").write_bytes(stored)
    size = f"<open-size>{open_size}</open-size>" if open_size is not None else ""
    (folder / "repodata" / "repomd.xml").write_text(
        '<repomd><data type="primary">'
        f'<checksum type="sha256">{hashlib.sha256(stored).hexdigest()}</checksum>'
        f'<location href="repodata/primary"/>{size}</data>{more}</repomd>'
    )
    return folder


_HEAD = (
    b'<?xml version="1.0"?>%s<metadata xmlns="http://linux.duke.edu/metadata/common"'
    b' xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="1">'
)


def _package(name: bytes = b"kernel-default", provides: bytes = b"") -> bytes:
    return (
        b'<package type="rpm"><name>%s</name><arch>x86_64</arch><version epoch="0" ver="6.4.0" rel="1"/>'
        b"<format><rpm:provides>%s</rpm:provides></format></package>" % (name, provides)
    )


def _document(*parts: bytes, doctype: bytes = b"") -> bytes:
    return _HEAD % doctype + b"".join(parts) + b"</metadata>"


LAUGHS = b"<!DOCTYPE m [<!ENTITY a0 'ha'>%s]>" % b"".join(
    b"<!ENTITY a%d '%s'>" % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 12)
)
QUADRATIC = b"<!DOCTYPE m [<!ENTITY a '%s'>]>" % (b"a" * 1_000_000)
EXTERNAL = b"<!DOCTYPE m [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>"
PARAMETER = b"<!DOCTYPE m [<!ENTITY % x SYSTEM 'http://127.0.0.1:1/x'> %x;]>"


@pytest.mark.parametrize(
    ("doctype", "name"),
    [
        (LAUGHS, b"&a11;"),
        (QUADRATIC, b"&a;" * 10_000),
        (EXTERNAL, b"&x;"),
        (PARAMETER, b"x"),
        (b"<!DOCTYPE m>", b"x"),
    ],
    ids=["a billion laughs", "quadratic", "external", "parameter", "empty"],
)
@pytest.mark.parametrize("place", ["primary", "repomd", "updateinfo"])
def test_entities(place: str, doctype: bytes, name: bytes, tmp_path: Path) -> None:
    if place == "primary":
        folder = _repository(tmp_path, _document(_package(name), doctype=doctype))
    elif place == "repomd":
        folder = _repository(tmp_path, _document())
        (folder / "repodata" / "repomd.xml").write_bytes(
            doctype + b"<repomd><revision>%s</revision></repomd>" % name
        )
    else:
        text = doctype + b"<updates><update><id>%s</id></update></updates>" % name
        more = (
            f'<data type="updateinfo"><checksum type="sha256">{hashlib.sha256(text).hexdigest()}</checksum>'
            '<location href="repodata/updateinfo"/></data>'
        )
        folder = _repository(tmp_path, _document(), more=more)
        (folder / "repodata" / "updateinfo").write_bytes(text)
    code, peak, said = _main("matrix", "--repo", str(folder))
    assert code == 3
    assert "declares a document type" in said
    assert peak < 200


def _zeros(pack: str, size: int) -> bytes:
    chunk = bytes(1 << 20)
    if pack == "gz":
        return gzip.compress(b"", mtime=0) + gzip.compress(chunk, mtime=0) * (size >> 20)
    if pack == "xz":
        return lzma.compress(chunk) * (size >> 20)
    if pack == "bz2":
        return bz2.compress(chunk) * (size >> 20)
    return zstandard.ZstdCompressor(level=1).compress(chunk) * (size >> 20)


@pytest.mark.parametrize("pack", ["gz", "xz", "zst", "bz2"])
def test_bombs(pack: str, tmp_path: Path) -> None:
    """A promised size is kept to; without one the cap ends it, long before the disk or the memory is full."""
    folder = _repository(tmp_path, _zeros(pack, 256 << 20), open_size=1 << 20)
    code, peak, said = _main("matrix", "--repo", str(folder))
    assert (code, "unpacks to more than 1048576 bytes" in said) == (3, True), said
    assert peak < 200


def test_a_text_without_an_end(tmp_path: Path) -> None:
    """A name of a hundred megabytes (a gigabyte is refused at the same place)."""
    folder = _repository(tmp_path, _document(_package(b"a" * (100 << 20))), gzip.compress)
    code, peak, said = _main("matrix", "--repo", str(folder))
    assert code == 3
    assert "has a text of more than" in said
    assert peak < 200


def _provides(count: int) -> bytes:
    uname = b'<rpm:entry name="kernel-uname-r" flags="EQ" epoch="0" ver="6.4.0" rel="1-default"/>'
    entry = b'<rpm:entry name="ksym(default:s%d)" flags="EQ" epoch="0" ver="%x"/>'
    return uname + b"".join(entry % (n, n) for n in range(count))


def test_very_many_provides(tmp_path: Path) -> None:
    """More than any kernel has are read; a million in one package are not."""
    good = _repository(tmp_path / "good", _document(_package(provides=_provides(100_000))), _quickly)
    code, _, said = _main("matrix", "--repo", str(good))
    assert code == 0, said
    absurd = _repository(tmp_path / "absurd", _document(_package(provides=_provides(1_000_000))), _quickly)
    began = time.monotonic()
    code, peak, said = _main("matrix", "--repo", str(absurd))
    assert time.monotonic() - began < 20
    assert peak < 200
    assert code == 3
    assert "has a package with more than 400000 provides" in said

    driver = PackageSpec(
        name="acme-kmp-default", version="1", release="1", requires=("ksym(default:kfree) = 37a0cba",)
    )
    newer = replace(KERNEL, release="150600.23.25.1")
    rpmmd.write(tmp_path / "installed", [KERNEL, driver])
    rpmmd.write(tmp_path / "updates", [newer])
    sources = ["--installed", str(tmp_path / "installed"), "--repo", str(tmp_path / "updates")]
    for more, end in (([], 0), (["--repo", str(absurd)], 110)):
        assert _main("plan", *sources, *more)[0] == end


def _quickly(data: bytes) -> bytes:
    return gzip.compress(data, 1)


@pytest.mark.parametrize("seconds", [1, pytest.param(None, marks=pytest.mark.deep)])
def test_names_that_share_one_place(
    seconds: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libsolv's hash of a text is nine times what it was before, plus the next character: b and j are as good as
    c and a. What would take it minutes ends when its time is over, and a smaller file ends soon by itself."""
    entries = [b'<rpm:entry name="%s"/>' % b"".join(n) for n in product((b"bj", b"ca"), repeat=18)]
    if seconds is not None:
        monkeypatch.setattr(sources, "_SECONDS", seconds)
        monkeypatch.setattr(sources, "_BYTES_A_SECOND", 1 << 40)
    many = _repository(tmp_path / "many", _document(_package(provides=b"".join(entries))), _quickly)
    began = time.process_time()
    with pytest.raises(KmpsolveError, match="loading it does not end") as caught:
        _load(many)
    assert caught.value.reference == "malformed-metadata"
    assert time.process_time() - began < 5
    few = entries[: sources._SMALL // len(entries[0]) - 50]
    _load(_repository(tmp_path / "few", _document(_package(provides=b"".join(few)))))


def _load(folder: Path) -> None:
    universe = Universe(Policy(vendor_class=VendorClasses().canonical))
    universe.load(open_rpmmd(folder, alias="r"))


def test_very_many_entries_in_repomd(tmp_path: Path) -> None:
    """Each is a file to unpack; a real repository has one or two."""
    entry = (
        '<data type="updateinfo"><checksum type="md5">00</checksum><location href="repodata/primary"/></data>'
    )
    folder = _repository(tmp_path, _document(), more=entry * 50_000)
    began = time.monotonic()
    code, peak, said = _main("matrix", "--repo", str(folder))
    assert code == 3
    assert "50000 updateinfo files" in said
    assert peak < 200
    assert time.monotonic() - began < 20


OUTSIDE = [
    "/etc/passwd",
    "../../etc/passwd",
    "repodata/../../x",
    "file:///etc/passwd",
    "http://h/x",
    "",
    "..",
    "a:b",
]


@pytest.mark.parametrize("href", OUTSIDE)
def test_ways_out_of_a_repository(href: str, tmp_path: Path) -> None:
    folder = _repository(tmp_path / "r", _document())
    repomd = folder / "repodata" / "repomd.xml"
    repomd.write_text(repomd.read_text().replace("repodata/primary", href))
    with pytest.raises(KmpsolveError) as caught:
        open_rpmmd(folder, alias="r")
    assert caught.value.reference == "location-outside"


@pytest.mark.parametrize("href", [".", "repodata", "repodata/" + "x" * 300, "x/" * 2000, "repodata/fifo"])
def test_what_is_no_file(href: str, tmp_path: Path) -> None:
    folder = _repository(tmp_path / "r", _document())
    os.mkfifo(folder / "repodata" / "fifo")
    repomd = folder / "repodata" / "repomd.xml"
    repomd.write_text(repomd.read_text().replace("repodata/primary", href))
    with pytest.raises(KmpsolveError):
        open_rpmmd(folder, alias="r")


@pytest.mark.parametrize("broken", ["primary", "repomd.xml"])
def test_links_out_of_a_repository(broken: str, tmp_path: Path) -> None:
    folder = _repository(tmp_path / "r", _document())
    moved = tmp_path / "elsewhere"
    (folder / "repodata" / broken).rename(moved)
    (folder / "repodata" / broken).symlink_to(moved)
    if broken == "primary":
        with pytest.raises(KmpsolveError) as caught:
            open_rpmmd(folder, alias="r")
        assert caught.value.reference == "location-outside"
    else:  # what repomd.xml itself says is checked wherever it lies
        content = open_rpmmd(folder, alias="r")
        assert content.primary is not None
        content.primary.close()


@pytest.mark.parametrize("pattern", ["*?" * 30 + "!", "*a" * 30 + "b", "*" * 1000 + "!", "*[!b]" * 30 + "!"])
def test_a_hardware_pattern_that_never_ends(pattern: str) -> None:
    began = time.process_time()
    assert pattern_to_regex(f"pci:{pattern}").fullmatch("pci:" + "a" * 120) is None
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("depth", [100_000])
@pytest.mark.parametrize(
    "text",
    [
        "on_blocked = {}",
        "[main]\nmultiversion = {}",
    ],
)
def test_configuration_without_a_bottom(text: str, depth: int, tmp_path: Path) -> None:
    (tmp_path / "etc" / "kmpsolve").mkdir(parents=True)
    (tmp_path / "etc" / "zypp").mkdir()
    (tmp_path / "etc" / "kmpsolve" / "kmpsolve.toml").write_text("")
    name = "zypp/zypp.conf" if "main" in text else "kmpsolve/kmpsolve.toml"
    (tmp_path / "etc" / name).write_text(text.format("[" * depth))
    code, _, said = _main("plan", "--root", str(tmp_path))
    assert code in (3, 6)
    assert "a bug in kmpsolve" not in said


def test_variables_without_a_bottom(tmp_path: Path) -> None:
    repos = tmp_path / "etc" / "zypp" / "repos.d"
    repos.mkdir(parents=True)
    (repos / "r.repo").write_text("[r]\nenabled=1\nbaseurl=http://h/" + "${a:-" * 50_000 + "}" * 50_000)
    code, _, said = _main("plan", "--root", str(tmp_path))
    assert code in (3, 6)
    assert "a bug in kmpsolve" not in said


@pytest.mark.parametrize(
    "url", ["http://[::1/r", "http://h:99999999/r", "http://h\\/r", "http:///", "://", "https://u:p@/"]
)
def test_addresses_that_are_none(url: str, tmp_path: Path) -> None:
    repos = tmp_path / "etc" / "zypp" / "repos.d"
    repos.mkdir(parents=True)
    (repos / "r.repo").write_text(f"[r]\nenabled=1\ngpgkey={url}\nbaseurl={url}\n")
    code, _, said = _main("matrix", "--root", str(tmp_path))
    assert code in (3, 6)
    assert "a bug in kmpsolve" not in said
    code, _, said = _main("matrix", "--repo", url)
    assert code == 3
    assert "a bug in kmpsolve" not in said


def test_the_limit_is_one() -> None:
    """The memory that the tests above allow is less than what a bomb takes."""
    script = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY})); bytes({MEMORY})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert b"MemoryError" in done.stderr
    assert resource.getrlimit(resource.RLIMIT_AS)[0] != MEMORY


def _sparse(name: bytes, size: int) -> bytes:
    """A tar archive of one file that is nothing but a hole of this size."""
    header = bytearray(512)
    for at, field in (
        (0, name), (100, b"0000644\0"), (108, b"0000000\0"), (116, b"0000000\0"), (124, b"00000000000\0"),
        (136, b"00000000000\0"), (148, b" " * 8), (156, b"S"), (257, b"ustar  \0"), (386, b"%011o\0" % size),
        (398, b"%011o\0" % 0), (483, b"%011o\0" % size),
    ):  # fmt: skip
        header[at : at + len(field)] = field
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + bytes(1024)


@pytest.mark.parametrize("name", ["rpm.txt", "basic-environment.txt"])
def test_an_archive_of_holes(name: str, tmp_path: Path) -> None:
    inventory = tmp_path / "host.tar"
    inventory.write_bytes(_sparse(f"scc/{name}".encode(), 8 << 30))
    repository = _repository(tmp_path / "r", _document(_package()))
    code, peak, said = _main("audit", str(inventory), "--jobs", "1", "--repo", str(repository))
    assert code in (3, 110), said
    assert "bug" not in said
    assert peak < 400


def test_a_damaged_archive(tmp_path: Path) -> None:
    """Found by fuzzing: what tarfile calls unreadable came through as an exception of its own."""
    inventory = tmp_path / "host.tar"
    inventory.write_bytes((Path(__file__).parent / "corpus" / "inventory" / "archive").read_bytes())
    repository = _repository(tmp_path / "r", _document(_package()))
    code, _, said = _main("audit", str(inventory), "--jobs", "1", "--repo", str(repository))
    assert code == 3
    assert "bug" not in said


@pytest.mark.parametrize("what", ["fifo", "endless"])
@pytest.mark.parametrize("place", ["repomd", "cookie", "locks", "key"])
def test_what_has_no_end_where_a_file_should_be(place: str, what: str, tmp_path: Path) -> None:
    """In a repository's folder, or below a root: nobody waits for it, and it fills no memory."""
    rpmmd.write(tmp_path / "repo", [KERNEL])
    root = tmp_path / "root"
    shutil.copytree(tmp_path / "repo", root / "var/cache/zypp/raw/r")
    for folder in ("etc/zypp/repos.d", "var/cache/zypp/solv/r", "var/lib/rpm/pubkeys"):
        (root / folder).mkdir(parents=True)
    (root / "var/cache/zypp/solv/r/solv").touch()
    (root / "etc/zypp/repos.d/r.repo").write_text(
        f"[r]\nenabled=1\nautorefresh=1\nbaseurl=dir:{tmp_path / 'repo'}\n"
    )
    path = {
        "repomd": tmp_path / "repo/repodata/repomd.xml",
        "cookie": root / "var/cache/zypp/solv/r/cookie",
        "locks": root / "etc/zypp/locks",
        "key": root / "var/lib/rpm/pubkeys/a.key",
    }[place]
    path.unlink(missing_ok=True)
    if what == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    code, peak, said = _main("matrix", "--root", str(root), seconds=20)
    assert code == 3, said
    assert "bug" not in said
    assert peak < 300
    code, peak, said = _main("doctor", "--root", str(root), seconds=20)
    assert (code, "bug" in said) == (0, False), said
    assert peak < 300


@pytest.mark.parametrize("option", ["--repo", "--installed", "check"])
def test_a_pipe_given_as_a_source(option: str, tmp_path: Path) -> None:
    pipe = tmp_path / "x.rpm"
    os.mkfifo(pipe)
    rpmmd.write(tmp_path / "repo", [KERNEL])
    other = {"--repo": "--installed"}.get(option, "--repo")
    words = ["check", str(pipe), "--kernel", "latest"] if option == "check" else ["plan", option, str(pipe)]
    code, _, said = _main(*words, other, str(tmp_path / "repo"), seconds=20)
    assert code == 3, said
    assert "not a regular file" in said


def test_a_supportconfig_of_holes(tmp_path: Path) -> None:
    folder = tmp_path / "scc"
    folder.mkdir()
    for name in ("rpm.txt", "basic-environment.txt"):
        with (folder / name).open("wb") as file:
            file.truncate(8 << 30)
    repository = _repository(tmp_path / "r", _document(_package()))
    code, peak, said = _main("audit", str(folder), "--jobs", "1", "--repo", str(repository))
    assert (code, "may have" in said, "bug" in said) == (3, True, False), said
    assert peak < 500
