"""What is installed is read whole, from any backend, and leaves no trace in the system."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from kmpsolve.errors import MetadataError
from kmpsolve.metadata.collecting import installed_packages
from kmpsolve.metadata.content import Content
from kmpsolve.metadata.database import find_database
from kmpsolve.metadata.rootpath import Root
from kmpsolve.metadata.rpmbinding import load_rpm
from kmpsolve.metadata.rpmdb import main_architecture, read_installed
from tests.sandbox import Sandbox
from tests.support import rpmbuild
from tests.support.packages import PackageSpec

PACKAGES = (
    PackageSpec(
        name="kernel-default",
        version="6.4.0",
        release="150600.23.25.1",
        provides=(
            "multiversion(kernel)",
            "kernel-uname-r = 6.4.0-150600.23.25-default",
            "ksym(default:a) = 37a0cba",
        ),
        files=("/lib/modules/6.4.0-150600.23.25-default/kernel/a.ko.zst", "/boot/vmlinuz-6.4.0"),
    ),
    PackageSpec(
        name="acme-kmp-default",
        epoch=2,
        version="3.2_k6.4.0_150600.23.25",
        release="1",
        vendor="ACME & Söhne <acme>",
        provides=("kmod(acme.ko)", "acme-kmp = 3.2", "multiversion(kernel)"),
        requires=("ksym(default:a) = 37a0cba", "coreutils", "grep >= 2.0-1", "ksym(default:"),
        conflicts=("acme-kmp-default-k6.4.0-150600.23.25",),
        obsoletes=("old-acme < 2:1",),
        supplements=("(kernel-default and acme)", "modalias(kernel-default:pci:v00001234d*)"),
        enhances=("kernel-default",),
        recommends=("acme-tool",),
        files=("/lib/modules/6.4.0-150600.23.25-default/updates/acme.ko", "/usr/bin/acme", "/etc/acme.conf"),
        triggers=("kernel-default-devel",),
    ),
    PackageSpec(
        name="tool", version="1", release="1", arch="noarch", vendor="", files=("/usr/share/tool/x",)
    ),
)
CHECKOUT = str(Path(__file__).parents[3])
KINDS = (
    "provides",
    "requires",
    "conflicts",
    "obsoletes",
    "recommends",
    "supplements",
    "enhances",
    "suggests",
)
RPM = "{http://linux.duke.edu/metadata/rpm}"
COMMON = "{http://linux.duke.edu/metadata/common}"


@pytest.fixture(scope="module")
def system() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        sandbox.install_rpms(rpmbuild.build(PACKAGES))
        yield sandbox


def tree(content: Content) -> ElementTree.Element:
    assert content.primary is not None
    with content.primary as file:
        return ElementTree.parse(file).getroot()  # noqa: S314 (written by kmpsolve)


def described(package: ElementTree.Element) -> dict[str, object]:
    version = package.find(f"{COMMON}version")
    assert version is not None
    found: dict[str, object] = {
        kind: sorted(
            tuple(entry.get(key) or "" for key in ("name", "flags", "epoch", "ver", "rel"))
            for entry in package.findall(f"{COMMON}format/{RPM}{kind}/{RPM}entry")
        )
        for kind in KINDS
    }
    return found | {
        "name": package.findtext(f"{COMMON}name"),
        "arch": package.findtext(f"{COMMON}arch"),
        "version": version.attrib,
        "vendor": package.findtext(f"{COMMON}format/{RPM}vendor") or "",
        "files": sorted(file.text or "" for file in package.findall(f"{COMMON}format/{COMMON}file")),
    }


def test_the_order_is_libsolvs(system: Sandbox) -> None:
    """By name: where several solutions are as good, zypper's solver takes another one in another order."""
    content = read_installed(Root(system.root)).content
    names = [package.findtext(f"{COMMON}name") for package in tree(content)]
    assert names == ["acme-kmp-default", "kernel-default", "tool"]


def test_same_as_createrepo_writes_for_the_rpms(system: Sandbox, tmp_path: Path) -> None:
    for rpm in rpmbuild.build(PACKAGES):
        (tmp_path / rpm.name).symlink_to(rpm)
    subprocess.run(["createrepo_c", "-q", "--no-database", "--compress-type=gz", tmp_path], check=True)
    primary = next((tmp_path / "repodata").glob("*-primary.xml.gz"))
    unpacked = subprocess.run(["gzip", "-dc", primary], check=True, capture_output=True).stdout
    expected = [described(package) for package in ElementTree.fromstring(unpacked)]  # noqa: S314
    installed = read_installed(Root.at(system.root))
    actual = [described(package) for package in tree(installed.content)]
    assert installed.stale is None

    def order(one: dict[str, object]) -> str:
        return str(one["name"])

    assert sorted(actual, key=order) == sorted(expected, key=order)


_SCRIPTED = """\
Name: scripted
Version: 1
Release: 1
Summary: What scriptlets require
License: GPL-2.0-or-later
BuildArch: noarch
Requires(pre): pre
Requires(post): post, both
Requires(preun): preun
Requires(post,postun): later
PreReq: prereq
Requires: both
%description
What scriptlets require.
%files
"""


def test_what_only_a_scriptlet_required_that_ran_already(tmp_path: Path) -> None:
    """Neither rpm nor zypper asks for that again: here rpm lets all of them go but those it asks for."""
    (tmp_path / "scripted.spec").write_text(_SCRIPTED)
    options = ["-bb", "--quiet", "--define", f"_topdir {tmp_path}", str(tmp_path / "scripted.spec")]
    subprocess.run(["rpmbuild", *options], check=True, capture_output=True)
    names = ["pre", "post", "both", "preun", "later", "prereq"]
    needed = [PackageSpec(name=name, version="1", release="1", arch="noarch") for name in names]
    with Sandbox(shared=[tmp_path]) as sandbox:
        sandbox.install_rpms([*rpmbuild.build(needed), *tmp_path.rglob("*.rpm")])
        kept = [name for name in names if sandbox.run(["rpm", "-e", "--test", name]).code]
        packages = tree(read_installed(Root(sandbox.root)).content)
        (scripted,) = [p for p in packages if p.findtext(f"{COMMON}name") == "scripted"]
        requires = scripted.findall(f"{COMMON}format/{RPM}requires/{RPM}entry")
    assert {entry.attrib["name"] for entry in requires} == set(kept)
    assert kept == ["both", "preun", "later", "prereq"]


def test_what_only_headers_tell(system: Sandbox) -> None:
    content = read_installed(Root.at(system.root)).content
    assert content.primary is not None
    content.primary.close()
    acme = "acme-kmp-default-2:3.2_k6.4.0_150600.23.25-1.x86_64"
    assert content.alias == "@System"
    assert content.source == str(system.root / "var/lib/rpm/rpmdb.sqlite")
    assert content.triggers == {acme: ("kernel-default-devel",)}
    assert content.module_files == {
        "kernel-default-6.4.0-150600.23.25.1.x86_64": (
            "/lib/modules/6.4.0-150600.23.25-default/kernel/a.ko.zst",
        ),
        acme: ("/lib/modules/6.4.0-150600.23.25-default/updates/acme.ko",),
    }
    assert main_architecture(find_database(Root.at(system.root))) == "x86_64"


def test_every_dependency_of_the_header_is_there(system: Sandbox) -> None:
    rpm = load_rpm()
    rpms = rpmbuild.build(PACKAGES)
    transaction = rpm.TransactionSet()
    transaction.setVSFlags(-1)
    packages = {package.findtext(f"{COMMON}name"): described(package) for package in tree(
        read_installed(Root.at(system.root)).content
    )}  # fmt: skip
    for path in rpms:
        with path.open("rb") as file:
            header = transaction.hdrFromFdno(file.fileno())
        names = sorted(name for name in header[rpm.RPMTAG_REQUIRENAME] if not name.startswith("rpmlib("))
        found = packages[header[rpm.RPMTAG_NAME]]["requires"]
        assert isinstance(found, list)
        assert [entry[0] for entry in found] == names


@pytest.fixture
def copy(system: Sandbox, tmp_path: Path) -> Path:
    """Make a root folder with this rpmdb and nothing else."""
    root = tmp_path / "root"
    shutil.copytree(system.path("/var/lib/rpm"), root / "var/lib/rpm")
    return root


def names(root: Path) -> list[str]:
    content = read_installed(Root.at(root)).content
    return sorted(package.findtext(f"{COMMON}name") or "" for package in tree(content))


NAMES = ["acme-kmp-default", "kernel-default", "tool"]


def everything(root: Path) -> dict[str, tuple[int, ...]]:
    return {
        str(path): (
            path.lstat().st_mode,
            path.lstat().st_size,
            path.lstat().st_mtime_ns,
            path.lstat().st_ctime_ns,
        )
        for path in [root, *root.rglob("*")]
    }


def test_nothing_is_written_or_created(copy: Path) -> None:
    for rubbish in ("rpmdb.sqlite-shm", "rpmdb.sqlite-wal", ".rpm.lock"):
        (copy / "var/lib/rpm" / rubbish).unlink(missing_ok=True)
    before = everything(copy)
    assert names(copy) == NAMES
    assert everything(copy) == before


def test_read_only_root(system: Sandbox, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from kmpsolve.metadata.rootpath import Root\n"
        "from kmpsolve.metadata.rpmdb import read_installed\n"
        "print(read_installed(Root.at(Path(sys.argv[1]))).content.primary.read().count(b'<package '))\n"
    )
    copy = tmp_path / "root"
    shutil.copytree(system.path("/var/lib/rpm"), copy / "var/lib/rpm")
    script = (
        f"mount --bind {copy} {copy} && mount -o remount,ro,bind {copy} && ! touch {copy}/x 2>/dev/null && "
        + ('exec "$0" -c "$1" "$2"')
    )
    ended = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, sys.executable, code, copy],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": CHECKOUT},
    )  # fmt: skip
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "3\n", "")


def test_changes_that_are_still_in_the_log_count(copy: Path) -> None:
    # A live system: what rpm wrote last stands in the write-ahead log until a checkpoint moves it.
    folder = copy / "var/lib/rpm"
    writer = sqlite3.connect(folder / "rpmdb.sqlite")
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("PRAGMA wal_autocheckpoint=0")
    writer.execute("DELETE FROM Packages WHERE hnum = (SELECT max(hnum) FROM Packages)")
    writer.commit()
    assert (folder / "rpmdb.sqlite-wal").stat().st_size > 0
    assert names(copy) == NAMES[:2]
    writer.close()


def test_what_a_crash_left_half_written_is_not_read(copy: Path) -> None:
    """Where no write-ahead log can be, sqlite keeps what was there in a journal. rpm needs to write to read that."""
    database = copy / "var/lib/rpm/rpmdb.sqlite"
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode=DELETE")
        writer.execute("CREATE TABLE filler (x)")
        writer.executemany("INSERT INTO filler VALUES (zeroblob(4000))", [()] * 50)
        writer.execute("PRAGMA cache_size=1")
        writer.execute("BEGIN")
        writer.execute("DELETE FROM Packages WHERE hnum = 2")
        writer.execute(
            "UPDATE filler SET x = zeroblob(3999)"
        )  # so that the changes no longer fit into memory
        crashed = shutil.copytree(copy, copy.with_name("crashed"))
    with pytest.raises(MetadataError) as error:
        read_installed(Root.at(crashed))
    assert error.value.reference == "rpmdb-unreadable"


def test_public_keys_are_no_packages(copy: Path, tmp_path: Path) -> None:
    subprocess.run(
        ["gpg", "--batch", "--homedir", tmp_path, "--passphrase", "", "--quick-gen-key", "test@example.com"],
        check=True, capture_output=True,
    )  # fmt: skip
    key = tmp_path / "key.asc"
    with key.open("wb") as file:
        subprocess.run(
            ["gpg", "--batch", "--homedir", tmp_path, "--export", "--armor"], check=True, stdout=file
        )
    database = copy / "var/lib/rpm"
    subprocess.run(["rpmkeys", "--dbpath", database, "--import", key], check=True)
    listed = subprocess.run(
        ["rpm", "--dbpath", database, "-qa"], check=True, capture_output=True, text=True
    ).stdout
    assert "gpg-pubkey" in listed
    assert names(copy) == NAMES


def test_a_package_without_architecture(copy: Path) -> None:
    """libsolv takes it for one of every architecture; the name without would be none in an inventory."""
    rpm = load_rpm()
    header = rpm.hdr()
    header["name"], header["version"], header["release"] = "bare", "1", "1"
    header[rpm.RPMTAG_TRIGGERNAME] = ["kernel-default-devel"]
    with contextlib.closing(sqlite3.connect(copy / "var/lib/rpm/rpmdb.sqlite")) as connection, connection:
        blob = header.unload().removeprefix(bytes.fromhex("8eade80100000000"))
        connection.execute("INSERT INTO Packages (blob) VALUES (?)", (blob,))
    content = read_installed(Root.at(copy)).content
    arches = {
        package.findtext(f"{COMMON}name"): package.findtext(f"{COMMON}arch") for package in tree(content)
    }
    assert arches["bare"] == "noarch"
    assert "bare-1-1.noarch" in content.triggers
    assert "bare-1-1.noarch" in {str(seen.nevra) for seen in installed_packages(Root.at(copy))}


def test_folder_that_only_macros_name(copy: Path) -> None:
    (copy / "srv").mkdir()
    (copy / "var/lib/rpm").rename(copy / "srv/db")
    (copy / "etc/rpm").mkdir(parents=True)
    (copy / "etc/rpm/macros").write_text("%_dbpath\t%{_nowhere}/x\n")
    with pytest.raises(MetadataError) as error:
        find_database(Root.at(copy))
    assert error.value.reference == "no-rpmdb"
    (copy / "etc/rpm/macros.local").write_text("%_dbpath /srv/db\n")
    assert names(copy) == NAMES


def test_of_several_backends_the_one_in_use_is_read(copy: Path) -> None:
    """A tool with another rpm, told of this root, may have begun a database of its own beside the system's."""
    (copy / "var/lib/rpm/Packages.db").write_bytes(b"RpmP".ljust(8192, b"\0"))
    with pytest.raises(MetadataError) as error:
        find_database(Root.at(copy))
    assert error.value.reference == "rpmdb-ambiguous"
    assert "rpmdb.sqlite, Packages.db" in error.value.message
    macros = copy / "usr/lib/rpm/macros"
    macros.parent.mkdir(parents=True)
    macros.write_text("%_db_backend\t      ndb\n")
    assert find_database(Root.at(copy)).backend == "ndb"
    (copy / "var/lib/rpm/Packages").write_bytes(b"")
    macros.write_text("%_db_backend bdb_ro\n")
    assert find_database(Root.at(copy)).backend == "bdb"
    (copy / "etc/rpm").mkdir(parents=True)
    (copy / "etc/rpm/macros.site").write_text("%_db_backend sqlite\n")
    assert names(copy) == NAMES


def test_links_stay_below_the_root(copy: Path) -> None:
    (copy / "usr/lib/sysimage").mkdir(parents=True)
    (copy / "var/lib/rpm").rename(copy / "usr/lib/sysimage/rpm")
    (copy / "var/lib/rpm").symlink_to("/usr/lib/sysimage/rpm")
    assert names(copy) == NAMES
    assert str(copy) in str(find_database(Root.at(copy)).path)


@pytest.mark.parametrize("damage", [b"", b"\0" * 4096, b"SQLite format 3\0" + b"\0" * 4096])
def test_damaged_database(copy: Path, damage: bytes) -> None:
    (copy / "var/lib/rpm/rpmdb.sqlite").write_bytes(damage)
    (copy / "var/lib/rpm/rpmdb.sqlite-wal").unlink(missing_ok=True)
    with pytest.raises(MetadataError) as error:
        read_installed(Root.at(copy))
    assert error.value.reference == "rpmdb-unreadable"
    assert "sqlite" in error.value.message


def spoil_header(database: Path) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE Packages SET blob = zeroblob(length(blob)) WHERE hnum = 2")


def spoil_page(database: Path) -> None:
    """Zero a page in the middle of a long header."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        (header,) = connection.execute("SELECT blob FROM Packages ORDER BY length(blob) DESC").fetchone()
    content = database.read_bytes()
    page = content.index(header[len(header) // 2 :][:200]) // 4096 * 4096
    database.write_bytes(content[:page] + bytes(4096) + content[page + 4096 :])


@pytest.mark.parametrize("spoil", [spoil_header, spoil_page])
def test_database_that_rpm_reads_only_part_of(
    copy: Path, spoil: Callable[[Path], None], capfd: pytest.CaptureFixture[str]
) -> None:
    """rpm passes over what it cannot read: a driver in it would be none that an update has to keep."""
    long = PackageSpec(
        name="long",
        version="1",
        release="1",
        provides=tuple(f"capability-{number}" for number in range(2000)),
    )
    database = copy / "var/lib/rpm/rpmdb.sqlite"
    installing = [
        "rpm",
        "--root",
        str(copy),
        "--dbpath",
        "/var/lib/rpm",
        "-i",
        "--justdb",
        "--nodeps",
        "--quiet",
    ]
    subprocess.run([*installing, *rpmbuild.build([long])], check=True, capture_output=True)
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert names(copy) == sorted([*NAMES, "long"])
    spoil(database)
    # What zypper copied before the damage is no stand-in: nobody knows since when it is wrong.
    cache = copy / "var/cache/zypp/solv/@System"
    cache.mkdir(parents=True)
    (cache / "solv").write_bytes(b"")
    with pytest.raises(MetadataError) as error:
        read_installed(Root.at(copy))
    assert error.value.reference == "rpmdb-damaged"
    assert "sqlite" in error.value.message
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "backend", "head"),
    [("Packages", "bdb", b"\0" * 12 + b"\x61\x15\x06\0"), ("Packages.db", "ndb", b"RpmP")],
)
def test_backend_that_this_rpm_cannot_read(
    copy: Path, name: str, backend: str, head: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    (copy / "var/lib/rpm/rpmdb.sqlite").unlink()
    (copy / "var/lib/rpm" / name).write_bytes(head.ljust(8192, b"\0"))
    before = everything(copy)
    with pytest.raises(MetadataError) as error:
        read_installed(Root.at(copy))
    assert f" {backend} rpmdb" in error.value.message
    assert error.value.hint
    assert everything(copy) == before
    assert capfd.readouterr() == ("", "")


def test_zyppers_copy_stands_in_and_says_so(copy: Path, system: Sandbox) -> None:
    system.zypper("search", "-i")
    cache = copy / "var/cache/zypp/solv/@System"
    shutil.copytree(system.path("/var/cache/zypp/solv/@System"), cache)
    (copy / "var/lib/rpm/rpmdb.sqlite").write_bytes(b"\0" * 4096)
    installed = read_installed(Root.at(copy))
    assert installed.content.solv == cache / "solv"
    assert installed.stale and "sqlite" in installed.stale
    assert installed.remedy.startswith("Use an rpm that knows this format")


def test_no_database(tmp_path: Path) -> None:
    with pytest.raises(MetadataError) as error:
        read_installed(Root.at(tmp_path))
    assert error.value.reference == "no-rpmdb"


def test_unreadable_database(copy: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from kmpsolve.errors import MetadataError\n"
        "from kmpsolve.metadata.rootpath import Root\n"
        "from kmpsolve.metadata.rpmdb import read_installed\n"
        "try:\n    read_installed(Root.at(Path(sys.argv[1])))\n"
        "except MetadataError as error:\n    print(error.reference, error.message)\n"
    )
    (copy / "var/lib/rpm/rpmdb.sqlite").chmod(0)
    for folder in [copy, *copy.parents]:
        if folder != Path("/") and os.stat(folder).st_uid == os.getuid():  # noqa: PTH116
            folder.chmod(folder.stat().st_mode | 0o055)
    command = [sys.executable, "-c", code, str(copy)]
    if os.getuid() == 0:
        command = ["setpriv", "--reuid=65534", "--clear-groups", *command]
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": CHECKOUT, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert ended.stdout == "rpmdb-unreadable cannot be read (Permission denied)\n", ended.stderr
