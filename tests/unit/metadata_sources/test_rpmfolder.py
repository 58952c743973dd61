"""A folder of RPMs: the same to libsolv as the metadata that createrepo_c writes for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from kmpsolve.errors import MetadataError
from kmpsolve.metadata.content import Content
from kmpsolve.metadata.rpmbinding import load_rpm
from kmpsolve.metadata.rpmfolder import find_rpms, open_rpm_folder
from kmpsolve.metadata.source import open_source
from tests.support import repository
from tests.support.packages import PackageSpec
from tests.unit.metadata_sources import samples
from tests.unit.metadata_sources.samples import ACME, KERNEL, TOOLS, requirements, write_rpm

LESS, GREATER, EQUAL = 2, 4, 8
PREREQ, PRE, POST = 1 << 6, 1 << 9, 1 << 10
MISSING_OK, STRONG = 1 << 19, 1 << 27

ODD_HEADERS: dict[str, dict[str, Any]] = {
    "Code 11's weak dependencies": {
        "OLDSUGGESTSNAME": ["weak", "strong"],
        "OLDSUGGESTSVERSION": ["", "2-3"],
        "OLDSUGGESTSFLAGS": [0, EQUAL | STRONG],
        "OLDENHANCESNAME": ["modalias(kernel-default:pci:*)", "kernel-default"],
        "OLDENHANCESVERSION": ["", ""],
        "OLDENHANCESFLAGS": [STRONG, 0],
        **requirements(("maybe", MISSING_OK, ""), ("sure", EQUAL, "1")),
        "RECOMMENDNAME": ["also"],
        "RECOMMENDVERSION": [""],
        "RECOMMENDFLAGS": [0],
    },
    "damaged requirements": requirements(
        ("ksym(default:", EQUAL, "1"),
        ("ksym(default:)", EQUAL, ""),
        ("retpoline", 0, ""),
        ("()", 0, ""),
        ("(a and", 0, ""),
        ("a b", EQUAL, "1 2"),
    ),
    "odd versions": requirements(
        ("a", EQUAL, "1:2:3-4-5"),
        ("b", EQUAL, ":2"),
        ("c", EQUAL, "0:2-"),
        ("d", EQUAL, "-3"),
        ("e", LESS | GREATER, "1"),
        ("f", LESS | GREATER | EQUAL, "1"),
        ("g", 0, "1"),
        ("h", GREATER | EQUAL, ""),
        ("i", EQUAL, "00abc1de"),
        ("kernel-uname-r", EQUAL, "6.4.0-150600.23.1-default"),
    ),
    "requirements of scriptlets": requirements(
        ("/bin/sh", PRE, ""),
        ("/bin/sh", POST, ""),
        ("/bin/sh", 0, ""),
        ("/bin/sh", 0, ""),
        ("coreutils", PREREQ, ""),
        ("rpmlib(CompressedFileNames)", LESS | EQUAL | 1 << 24, "3.0.4-1"),
        ("config(odd)", EQUAL | 1 << 28, "1-1"),
    ),
    "text that XML has to escape": {
        "VENDOR": 'A & B <"c">\tD',
        "LICENSE": "a < b && c",
        **requirements(("x<y>&\"z'", EQUAL, '1"2'), ("tab\tand\nline", 0, "")),
    },
    "Latin-1": {"VENDOR": "Müller & Söhne", **requirements(("ksym(default:ü)", EQUAL, "1"))},
    "no epoch, many names": {
        "PROVIDENAME": ["odd", "odd"],
        "PROVIDEFLAGS": [EQUAL, 0],
        "PROVIDEVERSION": ["1-1", ""],
    },
    "an epoch": {"EPOCH": 3},
}


@pytest.fixture(scope="module")
def folder() -> Path:
    return repository.rpm_folder([KERNEL, ACME, TOOLS])


def open_folder(folder: Path) -> Content:
    return open_rpm_folder(folder, alias="vendor")


def assert_same_as_createrepo(folder: Path, scratch: Path) -> dict[str, dict[str, Any]]:
    with_metadata = scratch / "with-metadata"
    shutil.copytree(folder, with_metadata)
    samples.createrepo(with_metadata)
    expected = samples.view(open_source(str(with_metadata), alias="x"))
    assert samples.view(open_folder(folder)) == expected
    return expected


def test_libsolv_sees_what_createrepo_c_would_have_written(folder: Path, tmp_path: Path) -> None:
    seen = assert_same_as_createrepo(folder, tmp_path)
    assert len(seen) == 3
    acme = next(facts for name, facts in seen.items() if "acme-kmp" in name)
    # Both sides could be wrong alike: a few facts as the spec file states them.
    assert "kernel-uname-r = 6.3.6-1-default" in acme["REQUIRES"]
    assert "libc.so.6(GLIBC_2.34)(64bit)" in acme["REQUIRES"]
    assert not any("acme_register" in one or "rpmlib(" in one for one in acme["REQUIRES"])
    assert acme["vendor"] == ACME.vendor
    assert "/opt/acme/bin/Ünï & co" in acme["files"]


@pytest.mark.parametrize("title", ODD_HEADERS)
def test_odd_headers_are_read_as_createrepo_c_reads_them(title: str, tmp_path: Path) -> None:
    folder = tmp_path / "rpms"
    folder.mkdir()
    write_rpm(folder / "odd.rpm", ODD_HEADERS[title], latin=title == "Latin-1")
    (seen,) = assert_same_as_createrepo(folder, tmp_path).values()
    assert seen["PROVIDES"]


def test_a_control_character_becomes_visible_and_matches_nothing(tmp_path: Path) -> None:
    # createrepo_c leaves such a package out altogether, and with it the warning about it.
    write_rpm(
        tmp_path / "odd.rpm",
        {"VENDOR": "A\x1bB", **requirements(("ksym(default:\x02)", EQUAL, "1"), ("fine", 0, ""))},
    )
    (seen,) = samples.view(open_folder(tmp_path)).values()
    assert seen["REQUIRES"] == ["ksym(default:\ufffd) = 1", "fine"]
    assert seen["vendor"] == "A\ufffdB"


def test_text_that_is_not_utf_8_is_the_same_in_every_place(tmp_path: Path) -> None:
    write_rpm(tmp_path / "odd.rpm", {"NAME": "aü", "TRIGGERNAME": ["bü"]}, latin=True)
    content = open_folder(tmp_path)
    assert content.triggers == {"aü-1-1.x86_64": ("bü",)}
    assert list(samples.view(content)) == ["odd.rpm aü-1-1.x86_64"]


def test_an_epoch_that_is_no_number_does_not_lose_the_requirement(tmp_path: Path) -> None:
    # createrepo_c drops the requirement, so that the package would seem to need nothing.
    write_rpm(tmp_path / "odd.rpm", requirements(("ksym(default:kfree)", EQUAL, "x:1")))
    (seen,) = samples.view(open_folder(tmp_path)).values()
    assert seen["REQUIRES"] == ["ksym(default:kfree) = x:1"]


def test_triggers_and_module_files_come_from_the_headers(folder: Path) -> None:
    content = open_folder(folder)
    assert len(samples.view(content)) == 3
    assert content.triggers == {ACME.nevra: ("kernel-default-devel", "kernel-rt-devel")}
    assert content.module_files == {
        KERNEL.nevra: (KERNEL.files[0],),
        ACME.nevra: (ACME.files[1], ACME.files[2]),
    }


def test_two_files_with_one_nevra_add_up(tmp_path: Path) -> None:
    for number, module in enumerate(("a.ko", "b.ko.gz")):
        spec = PackageSpec(
            name="acme-kmp-default",
            version="1",
            release="1",
            files=(f"/lib/modules/1-default/updates/{module}",),
        )
        place = tmp_path / str(number)
        place.mkdir()
        shutil.copy(next(repository.rpm_folder([spec]).iterdir()), place)
    content = open_folder(tmp_path)
    assert content.module_files == {
        "acme-kmp-default-1-1.x86_64": (
            "/lib/modules/1-default/updates/a.ko",
            "/lib/modules/1-default/updates/b.ko.gz",
        )
    }
    assert len(samples.view(content)) == 2


def test_sub_folders_are_read_and_source_packages_are_not(folder: Path, tmp_path: Path) -> None:
    below = tmp_path / "x86_64" / "deep"
    below.mkdir(parents=True)
    for rpm in folder.glob("*.rpm"):
        shutil.copy(rpm, below)
    for name in ("kernel-source.src.rpm", "kernel-source.nosrc.rpm", "notes.txt"):
        (tmp_path / name).write_text("not looked at")
    write_rpm(tmp_path / "disguised.rpm", {"SOURCEPACKAGE": 1, "SOURCERPM": None})
    assert len(find_rpms(tmp_path)) == 4
    assert sorted(name.split()[1] for name in samples.view(open_folder(tmp_path))) == sorted(
        spec.nevra for spec in (KERNEL, ACME, TOOLS)
    )


def test_linked_folders_are_read_once(folder: Path, tmp_path: Path) -> None:
    """An RPM that is overlooked is a driver that nobody asks for; createrepo_c follows links, too."""
    here, there = tmp_path / "here", tmp_path / "there"
    for place in (here / "updates", there):
        place.mkdir(parents=True)
    kernel, *drivers = sorted(folder.glob("*.rpm"), reverse=True)
    shutil.copy(kernel, here / "updates")
    for rpm in drivers:
        shutil.copy(rpm, there)
    (here / "again").symlink_to("updates")
    (here / "updates" / "up").symlink_to(here)
    (here / "drivers").symlink_to(there)
    (here / "gone").symlink_to("nowhere")
    found = [here / "updates" / kernel.name, *(here / "drivers" / rpm.name for rpm in drivers)]
    assert find_rpms(here) == sorted(found)


def damage(rpm: Path, kind: str) -> None:
    data = bytearray(rpm.read_bytes())
    if kind == "empty":
        data.clear()
    elif kind == "text":
        data[:] = b"<html>404 Not Found</html>"
    elif kind == "payload cut":
        del data[-1:]
    elif kind == "header cut":
        del data[600:]
    elif kind == "lead only":
        del data[96:]
    elif kind == "flipped":
        middle = data.index(b"ksym(default:kfree)")
        data[middle] ^= 1
    elif kind == "huge header":
        data[104:112] = b"\x7f\xff\xff\xff\x7f\xff\xff\xff"
    rpm.unlink()
    if kind == "dangling":
        rpm.symlink_to("nowhere")
    elif kind == "fifo":
        os.mkfifo(rpm)
    else:
        rpm.write_bytes(data)


@pytest.mark.parametrize(
    "kind",
    ["empty", "text", "payload cut", "header cut", "lead only", "flipped", "huge header", "dangling", "fifo"],
)
def test_one_damaged_rpm_makes_the_folder_unusable(
    kind: str, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "rpms"
    shutil.copytree(folder, copy)
    damage(next(copy.glob("acme-kmp*.rpm")), kind)
    with pytest.raises(MetadataError) as caught:
        open_folder(copy)
    assert caught.value.reference in ("damaged-rpm", "file-missing", "file-unreadable")
    assert "acme-kmp-default" in caught.value.message
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_header_without_a_full_name_is_refused(tmp_path: Path) -> None:
    write_rpm(tmp_path / "nameless.rpm", {"ARCH": None})
    with pytest.raises(MetadataError, match=r"nameless\.rpm .*no full name"):
        open_folder(tmp_path)


@pytest.mark.parametrize("files", [[], ["only.src.rpm"], ["README"]])
def test_a_folder_without_packages_is_an_error(files: list[str], tmp_path: Path) -> None:
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(MetadataError, match="neither") as caught:
        open_folder(tmp_path)
    assert caught.value.reference == "empty-folder"


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        # Permissions do not stop root; a folder that vanishes does.
        with pytest.raises(MetadataError, match="cannot be read"):
            open_folder(tmp_path / "gone")
        return
    locked = tmp_path / "locked"
    locked.mkdir(mode=0)
    with pytest.raises(MetadataError, match="cannot be read"):
        open_folder(tmp_path)


def test_no_rpmdb_is_looked_for(folder: Path, tmp_path: Path) -> None:
    # Where the rpmdb's folder does not exist, rpm makes one as soon as it looks for keys.
    program = (
        "import sys; from pathlib import Path\n"
        "from kmpsolve.metadata.rpmbinding import load_rpm\n"
        "load_rpm().addMacro('_dbpath', sys.argv[2])\n"
        "from kmpsolve.metadata.rpmfolder import open_rpm_folder\n"
        "open_rpm_folder(Path(sys.argv[1]), alias='x')\n"
    )
    database = tmp_path / "rpmdb"
    subprocess.run([sys.executable, "-c", program, str(folder), str(database)], check=True)
    assert not database.exists()


def test_a_kernel_with_28_000_symbols_is_read_in_a_moment() -> None:
    kernel = PackageSpec(
        name="kernel-default",
        version="6.4.0",
        release="150600.30.1",
        provides=tuple(f"ksym(default:symbol_{i}) = {i * 2654435761 % 2**32:x}" for i in range(28_000)),
    )
    folder = repository.rpm_folder([kernel])
    load_rpm()
    best = min(_seconds(folder) for _ in range(3))
    assert best < 0.3


def _seconds(folder: Path) -> float:
    start = time.process_time()  # what others do on the machine does not count
    content = open_folder(folder)
    seconds = time.process_time() - start
    samples.view(content)
    return seconds
