"""Repositories are read where zypper would find their newest metadata that it trusts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmpsolve.errors import MetadataError, NoRepositoryError
from kmpsolve.metadata.content import Content
from kmpsolve.metadata.repository import Repository
from kmpsolve.metadata.root import System, read_root
from tests.sandbox import Sandbox
from tests.support import repository, rpmbuild
from tests.support.coverage import unmeasured
from tests.support.packages import PackageSpec
from tests.support.repository import PatchSpec

OLD, NEW = (PackageSpec(name="thing", version=version, release="1") for version in "12")
RETRACTED = PatchSpec(id="R-1", packages=(NEW,), status="retracted", cves=("CVE-2026-1",))
CHECKOUT = str(Path(__file__).parents[3])
SOLV = "/var/cache/zypp/solv/a/solv"
RAW = "/var/cache/zypp/raw/a"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[tuple[Sandbox, Path]]:
    folder = tmp_path / "repo"
    shutil.copytree(repository.rpm_md((OLD, NEW), [RETRACTED]), folder)
    with Sandbox(shared=[tmp_path]) as sandbox:
        sandbox.install_rpms(rpmbuild.build([OLD]))
        sandbox.add_repository("a", f"dir:{folder}")
        assert sandbox.zypper("refresh").code == 0
        yield sandbox, folder


def only(sandbox: Sandbox) -> Repository:
    (one,) = read_root(sandbox.root).repositories
    return one


def opened(one: Repository) -> Content:
    content = one.open()
    if content.primary is not None:
        content.primary.close()
    return content


def renew(folder: Path) -> None:
    repository.create_metadata(folder)


def test_solv_of_an_unchanged_repository(here: tuple[Sandbox, Path]) -> None:
    sandbox, _ = here
    one = only(sandbox)
    assert one.location == str(sandbox.path(SOLV))
    content = opened(one)
    assert content.solv == sandbox.path(SOLV)
    assert content.retracted == {NEW.nevra}
    assert content.patches[0].cves == ("CVE-2026-1",)
    assert content.refreshed == int(sandbox.path(f"{RAW}/repodata/repomd.xml").stat().st_mtime)
    assert content.revision == str(rpmbuild.BUILD_TIME)


def test_changed_folder_is_read_itself(here: tuple[Sandbox, Path]) -> None:
    sandbox, folder = here
    renew(folder)
    one = only(sandbox)
    assert one.location is not None and Path(one.location).samefile(folder)
    assert opened(one).retracted == frozenset()


def test_changed_folder_that_zypper_does_not_refresh(here: tuple[Sandbox, Path]) -> None:
    sandbox, folder = here
    renew(folder)
    sandbox.add_repository("a", f"dir:{folder}", refresh=False)
    assert only(sandbox).location == str(sandbox.path(SOLV))


@pytest.mark.parametrize("damage", ["cookie", "solv", "repomd", "url"])
def test_outdated_solv_is_not_read(here: tuple[Sandbox, Path], damage: str) -> None:
    sandbox, folder = here
    refresh = False
    if damage == "cookie":
        sandbox.write("/var/cache/zypp/solv/a/cookie", "0123456789abcdef0123456789abcdef01234567 1\n")
    elif damage == "solv":
        sandbox.path(SOLV).unlink()
    elif damage == "repomd":
        path = sandbox.path(f"{RAW}/repodata/repomd.xml")
        path.write_text(path.read_text() + "\n")
    else:
        folder = folder.rename(folder.with_name("elsewhere"))
    sandbox.add_repository("a", f"dir:{folder}", refresh=refresh)
    one = only(sandbox)
    assert one.location == str(sandbox.path(RAW))
    assert opened(one).retracted == {NEW.nevra}


@pytest.mark.parametrize(("kind", "with_solv"), [("primary", False), ("updateinfo", True)])
def test_the_advice_mends_a_damaged_copy(here: tuple[Sandbox, Path], kind: str, with_solv: bool) -> None:
    """Its metadata is zypper's to fetch again: createrepo_c would make it a repository without packages."""
    sandbox, _ = here
    (file,) = sandbox.path(f"{RAW}/repodata").glob(f"*{kind}*")
    file.write_bytes(b"x" * file.stat().st_size)
    if not with_solv:
        sandbox.path(SOLV).unlink()
    with pytest.raises(MetadataError) as caught:
        opened(only(sandbox))
    advice, _, command = (caught.value.hint or "").partition(": ")
    assert advice == "Refresh it"
    ended = sandbox.run(["sh", "-c", command])
    assert ended.code == 0, str(ended)
    assert opened(only(sandbox)).retracted == {NEW.nevra}


@pytest.mark.parametrize("damage", [b"", bytes(600), b"acme-kmp-default-1.0-1.x86_64\n"])
def test_the_advice_mends_a_damaged_cache(here: tuple[Sandbox, Path], damage: bytes) -> None:
    """What lies there is zypper's ``.solv`` file or nothing: no list of packages that somebody points to."""
    sandbox, _ = here
    sandbox.path(SOLV).write_bytes(damage)
    with pytest.raises(MetadataError) as caught:
        opened(only(sandbox))
    assert str(caught.value) == "a: solv is no .solv file"
    command = (caught.value.hint or "").partition(": ")[2].partition(",")[0]
    assert command == "zypper refresh a"
    assert sandbox.run(["sh", "-c", command]).code == 0
    assert opened(only(sandbox)).retracted == {NEW.nevra}


def test_folder_is_gone_and_the_cache_stays(here: tuple[Sandbox, Path]) -> None:
    sandbox, folder = here
    shutil.rmtree(folder)
    assert only(sandbox).location == str(sandbox.path(SOLV))


def test_never_refreshed(here: tuple[Sandbox, Path]) -> None:
    sandbox, folder = here
    shutil.rmtree(sandbox.path("/var/cache/zypp"))
    one = only(sandbox)
    assert one.location is not None and Path(one.location).samefile(folder)
    assert one.refreshed is None


def test_folder_of_rpms(here: tuple[Sandbox, Path]) -> None:
    sandbox, folder = here
    shutil.rmtree(folder / "repodata")
    shutil.rmtree(sandbox.path("/var/cache/zypp"))
    file = sandbox.path("/etc/zypp/repos.d/a.repo")
    file.write_text(file.read_text().replace("type=rpm-md\n", ""))
    assert sandbox.zypper("refresh").code == 0
    content = opened(only(sandbox))
    assert content.primary is not None
    shutil.rmtree(folder)
    assert only(sandbox).location == str(sandbox.path(SOLV))


def test_path_below_the_address(here: tuple[Sandbox, Path]) -> None:
    sandbox, folder = here
    sandbox.add_repository("a", f"dir:{folder.parent}", extra="path=/repo\n")
    assert sandbox.zypper("refresh").code == 0
    assert only(sandbox).location == str(sandbox.path(SOLV))
    renew(folder)
    one = only(sandbox)
    assert one.location is not None and Path(one.location).samefile(folder)


REPO = "[a]\nenabled={}\n{}\n"


def root_with(tmp_path: Path, **files: str) -> Path:
    folder = tmp_path / "etc/zypp/repos.d"
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / f"{name}.repo").write_text(text)
    return tmp_path


@pytest.mark.parametrize("files", [{}, {"a": REPO.format(0, "baseurl=http://x.example/")}])
def test_no_repository(tmp_path: Path, files: dict[str, str]) -> None:
    system = read_root(root_with(tmp_path, **files))
    with pytest.raises(NoRepositoryError) as error:
        system.readable()
    assert error.value.exit_code == 6


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (REPO.format(1, "baseurl=dir:/nowhere/at/all"), "dir:/nowhere/at/all does not exist"),
        (REPO.format(1, "baseurl=iso:/?iso=x.iso"), "only zypper reads iso:"),
        (REPO.format(1, "mirrorlist=http://x.example/list"), "mirror lists"),
        (REPO.format(1, ""), "gives it no address"),
        ("[a]\nrubbish\n", "line 2"),
    ],
)
def test_nothing_readable(tmp_path: Path, text: str, reason: str) -> None:
    system = read_root(root_with(tmp_path, a=text))
    with pytest.raises(MetadataError) as error:
        system.readable()
    assert error.value.exit_code == 3
    assert reason in error.value.message
    assert [reason in one.reason for one in system.skipped] == [True]


def location(system: System) -> str | None:
    return system.repositories[0].location


def test_addresses(tmp_path: Path) -> None:
    root = root_with(
        tmp_path,
        a=REPO.format(1, "baseurl=iso:/x\n  https://user:secret@x.example/$releasever/\npath=sub/./../x"),
    )
    system = read_root(root, releasever="15.6")
    assert location(system) == "https://user:secret@x.example/15.6/sub/x"
    (tmp_path / "etc/zypp/repos.d/a.repo").write_text(REPO.format(1, "baseurl=dir:/home/user:secret@x"))
    assert location(read_root(root)) is None


def test_alias_defined_twice(tmp_path: Path) -> None:
    root = root_with(
        tmp_path, a=REPO.format(1, "baseurl=http://x.example/"), b=REPO.format(1, "baseurl=http://y.example/")
    )
    system = read_root(root)
    assert location(system) == "http://x.example/"
    assert [(one.alias, "again" in one.reason) for one in system.skipped] == [("a", True)]


@pytest.mark.parametrize(
    ("alias", "reason"),
    [
        (b"@System", "stands for what is installed"),
        (b"Gr\xfcn", r"Gr\udcfcn has bytes in it that are no text"),
    ],
)
def test_what_can_be_no_alias(alias: bytes, reason: str, tmp_path: Path) -> None:
    text = REPO.format(1, "baseurl=http://x.example/")
    root = root_with(tmp_path, a=text)
    (root / "etc/zypp/repos.d/b.repo").write_bytes(text.encode().replace(b"[a]", b"[%s]" % alias))
    system = read_root(root)
    assert [one.alias for one in system.repositories] == ["a"]
    assert [(one.alias, reason in one.reason) for one in system.skipped] == [("b.repo", True)]


def test_locks_can_be_switched_off(tmp_path: Path) -> None:
    root = root_with(tmp_path)
    (root / "etc/zypp/locks").write_text("solvable_name: x\n")
    assert len(read_root(root).locks) == 1
    (root / "etc/zypp/zypp.conf").write_text("[main]\nlocksfile.apply = no\n")
    assert read_root(root).locks == ()


def test_services(tmp_path: Path) -> None:
    root = root_with(tmp_path)
    for name in ("etc/zypp/services.d/scc.service", "usr/lib/zypp/plugins/services/spacewalk"):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text("")
    assert read_root(root).services == ("scc", "spacewalk")


@pytest.mark.parametrize(
    "closed", ["etc/zypp", "etc/zypp/zypp.conf", "var/lib/rpm", "var/cache/zypp/raw/a", "etc"]
)
def test_what_may_not_be_read_is_said_and_not_guessed(tmp_path: Path, closed: str) -> None:
    root = tmp_path / "root"
    root_with(root, a=REPO.format(1, "baseurl=dir:/nowhere"))
    for name in (
        "etc/zypp/zypp.conf",
        "var/lib/rpm/rpmdb.sqlite",
        "var/cache/zypp/raw/a/repodata/repomd.xml",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("[main]\n")
    for folder in [root, *root.parents][:-1]:
        if folder.stat().st_uid == os.getuid():
            folder.chmod(folder.stat().st_mode | 0o055)
    (root / closed).chmod(0)
    code = (
        "import sys; from pathlib import Path\n"
        "from kmpsolve.errors import KmpsolveError\n"
        "from kmpsolve.metadata.root import read_root\n"
        "try:\n    system = read_root(Path(sys.argv[1]))\n    system.readable()\n    system.installed()\n"
        "except KmpsolveError as error:\n    print(error)\n"
        "try:\n    system.installed()\nexcept (KmpsolveError, NameError) as error:\n    print(error)\n"
    )
    command = [sys.executable, "-c", code, str(root)]
    if os.getuid() == 0:
        command = ["setpriv", "--reuid=65534", "--clear-groups", *command]
    environment = unmeasured(PYTHONPATH=CHECKOUT, PYTHONDONTWRITEBYTECODE="1")
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    (root / closed).chmod(0o755)
    assert ended.stderr == ""
    assert "Permission denied" in ended.stdout
