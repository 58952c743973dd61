"""Installing: from the checkout with make, and from RPMs with the real zypper; and gone without a trace."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from importlib import metadata
from pathlib import Path

import pytest

from tests.e2e.host import CHECKOUT, DRIVER, NEW, OLD, REBUILD, Host, specs, stopped
from tests.support import repository
from tests.support.packages import PackageSpec

DEPENDENCIES = {
    "networkx": ("networkx",),
    "pydantic": ("pydantic", "pydantic-core", "annotated-types", "typing-extensions", "typing-inspection"),
    "solv": ("solv",),
    "zstandard": ("zstandard",),
}
_PYTHON = Path(sys.executable).resolve()
_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
_PACKAGES = f"/usr/local/lib/python{_VERSION}/dist-packages"


def _make(target: str, destdir: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    words = [f"{key}={value}" for key, value in {"PYTHON": sys.executable, **variables}.items()]
    return subprocess.run(
        ["make", "--silent", "-C", str(CHECKOUT), target, f"DESTDIR={destdir}", *words],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
        check=False,
    )


def _tree(folder: Path) -> dict[str, str]:
    """Every file, folder and link below, with the permissions."""
    return {
        str(path.relative_to(folder)): oct(path.lstat().st_mode)
        + (path.read_text() if path.is_file() else "")
        for path in sorted(folder.rglob("*"))
        if not path.name.endswith(".pyc")
    }


def test_make_install_and_uninstall(tmp_path: Path) -> None:
    (tmp_path / "usr/lib/zypp/plugins/commit").mkdir(parents=True)
    (tmp_path / "usr/lib/zypp/plugins/commit/other").write_text("")
    (tmp_path / "etc").mkdir()
    before = _tree(tmp_path)
    done = _make("install", tmp_path)
    assert done.returncode == 0, done.stderr
    files = {path for path, what in _tree(tmp_path).items() if what.startswith("0o10")}
    outside = sorted(path for path in files - before.keys() if not path.startswith("usr/lib/kmpsolve/"))
    assert outside == [
        "etc/kmpsolve/kmpsolve.toml",
        "usr/bin/kmpsolve",
        "usr/lib/zypp/plugins/commit/kmpsolve",
        "usr/lib/zypper/commands/zypper-kmp",
    ]
    assert not list(tmp_path.rglob("site-packages"))
    assert _make("install", tmp_path).returncode == 0  # over itself
    gone = _make("uninstall", tmp_path)
    assert gone.returncode == 0, gone.stderr
    assert _tree(tmp_path) == before


def test_another_prefix(tmp_path: Path) -> None:
    done = _make("install", tmp_path, PREFIX="/opt/kmp")
    assert done.returncode == 0, done.stderr
    plugin = (tmp_path / "usr/lib/zypp/plugins/commit/kmpsolve").read_text()
    assert 'LIBRARY = "/opt/kmp/lib/kmpsolve"' in plugin
    assert (tmp_path / "opt/kmp/bin/kmpsolve").is_file()
    assert _make("uninstall", tmp_path, PREFIX="/opt/kmp").returncode == 0
    assert not any(tmp_path.iterdir())


def test_a_changed_configuration_stays(tmp_path: Path) -> None:
    _make("install", tmp_path)
    changed = tmp_path / "etc/kmpsolve/kmpsolve.toml"
    changed.write_text('on_blocked = "warn"\n')
    _make("install", tmp_path)
    assert changed.read_text() == 'on_blocked = "warn"\n'
    _make("uninstall", tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()] == [
        "etc/kmpsolve/kmpsolve.toml"
    ]


def test_a_python_without_the_dependencies(tmp_path: Path) -> None:
    done = _make("install", tmp_path, PYTHON="/usr/bin/python3")
    if done.returncode == 0:  # a machine whose own Python has them all
        subprocess.run(
            ["/usr/bin/python3", "-I", "-c", "import networkx, pydantic, solv, zstandard"], check=True
        )
        return
    assert "/usr/bin/python3 cannot import what kmpsolve needs" in done.stderr
    assert not any(tmp_path.iterdir())


def _library(name: str) -> PackageSpec:
    """A Python library of the tests' own environment as an RPM, with all its files."""
    contents: dict[str, bytes] = {}
    for part in DEPENDENCIES[name]:
        distribution = metadata.distribution(part)
        for file in distribution.files or ():
            place = Path(str(distribution.locate_file(file)))
            if ".." in file.parts or place.suffix == ".pyc" or not place.is_file():
                continue
            contents[f"{_PACKAGES}/{file}"] = place.read_bytes()
    return PackageSpec(
        name=f"python311-{name}",
        version=metadata.version(name).replace("-", "."),
        release="1",
        contents=tuple(sorted(contents.items())),
    )


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """kmpsolve's own RPMs."""
    work = tmp_path_factory.mktemp("rpm")
    version = metadata.version("kmpsolve") if _installed("kmpsolve") else "0.1.0"
    source = work / f"kmpsolve-{version}.tar.gz"
    with tarfile.open(source, "w:gz") as archive:
        for name in (
            "kmpsolve",
            "plugins",
            "etc",
            "tools",
            "README.md",
            "CHANGELOG.md",
            "LICENSE",
            "kmpsolve.spec",
        ):
            archive.add(
                CHECKOUT / name,
                arcname=f"kmpsolve-{version}/{name}",
                filter=lambda entry: None if "__pycache__" in entry.name else entry,
            )
    defines: dict[str, object] = {
        "_topdir": work,
        "_sourcedir": work,
        "_dbpath": work / "rpmdb",
        "kmpsolve_python": _PYTHON,
        "build_python": sys.executable,
    }
    if os.geteuid() != 0:  # the sandbox's programs are the machine's own then
        defines |= {
            "_prefix": "/opt/kmpsolve",
            "_defaultlicensedir": "/opt/licenses",
            "_defaultdocdir": "/opt/doc",
            "_pkgdocdir": "/opt/doc/kmpsolve",
        }
    words = [word for key, value in defines.items() for word in ("--define", f"{key} {value}")]
    done = subprocess.run(
        ["rpmbuild", "-bb", "--nodeps", *words, str(CHECKOUT / "kmpsolve.spec")],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(work), "LC_ALL": "C.UTF-8"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return sorted((work / "RPMS").rglob("*.rpm"))


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def test_rpms_with_the_real_zypper(built: list[Path], tmp_path: Path) -> None:
    """From files to a machine that is protected, and back; nothing but what the RPMs hold takes part."""
    assert [path.name.split("-0.1.0")[0] for path in built] == ["kmpsolve", "kmpsolve-zypper-plugin"]
    stand_in = PackageSpec(
        name="debs",
        version="1",
        release="1",
        provides=(
            *("python311", "python311-rpm", "python3-base", "libzypp", "zypper"),
            *("/bin/sh", "/usr/bin/sh", "/usr/bin/python3", str(_PYTHON), f"python(abi) = {_VERSION}"),
        ),
    )
    libraries = [_library(name) for name in DEPENDENCIES]
    folder = tmp_path / "kmpsolve"
    shutil.copytree(repository.rpm_folder([stand_in, *libraries]), folder, copy_function=shutil.copyfile)
    for path in built:
        shutil.copy(path, folder)
    repository.create_metadata(folder)
    with Host(OLD, DRIVER, hook=False, shared=[tmp_path]) as host:
        # The Python of the tests has to stay out of it.
        host.run(["mount", "-t", "tmpfs", "none", "/usr/local/lib"])
        for own in {Path(sys.prefix)} - {Path("/usr")}:
            host.run(["mount", "-t", "tmpfs", "none", str(own)])

        def everything() -> str:
            return host.run(
                [
                    "sh",
                    "-c",
                    "find /usr /etc /var/lib /opt -xdev ! -name '*.pyc' ! -path '/var/lib/zypp/*' | sort",
                ]
            ).stdout

        host.add_repository("kmpsolve", f"dir:{folder}")
        host.zypper("ref")
        host.zypper("in", "debs")
        # What the distribution's own packages have.
        for name in (
            "share/licenses",
            *(("bin", "lib", "../doc", "../licenses") if host.unprivileged else ()),
        ):
            host.path(f"{host.prefix}/{name}").mkdir(parents=True, exist_ok=True)
        before = everything()
        ended = host.zypper("in", "kmpsolve-zypper-plugin")
        assert ended.code == 0, str(ended)
        names = {nevra.rsplit("-", 2)[0] for nevra in host.installed()}
        assert {"kmpsolve", "kmpsolve-zypper-plugin", *(library.name for library in libraries)} <= names
        configuration = host.run(["rpm", "-qc", "kmpsolve"]).stdout.split()
        assert configuration == ["/etc/kmpsolve/kmpsolve.toml"]
        assert host.run(["rpm", "-V", "kmpsolve", "kmpsolve-zypper-plugin"]).stdout == ""
        doctor = json.loads(host.kmpsolve("doctor", "--format", "json").stdout)
        assert doctor["protected"] is True, doctor
        assert doctor["hook"] == {
            "path": "/usr/lib/zypp/plugins/commit/kmpsolve",
            "installed": True,
            "reachable": True,
        }

        host.add("updates", specs(NEW))
        database = host.rpmdb()
        stop = host.zypper("up")
        assert [w for w in stopped(host, stop, database) if not w.startswith("downloaded")] == [], str(stop)
        assert host.kmpsolve("guard", "on").code == 0
        assert host.zypper("up").code == 0
        assert "kmpsolve hold" in host.locks()

        gone = host.zypper(
            "rm", "kmpsolve", "kmpsolve-zypper-plugin", *(library.name for library in libraries)
        )
        assert gone.code == 0, str(gone)
        after = everything().replace("/etc/zypp/repos.d/updates.repo\n", "")
        assert after == before
        assert host.locks() == ""
        assert not host.path("/run/kmpsolve").exists()
        assert host.zypper("up").code == 0
        assert NEW in host.installed()


def test_the_hook_of_the_installed_files_runs() -> None:
    with Host(OLD, DRIVER) as host:
        host.add("updates", specs(NEW, REBUILD))
        assert host.zypper("up").code == 0
        for verb in (["doctor"], ["plan"], ["guard", "status"], ["--version"]):
            ended = host.kmpsolve(*verb)
            assert ended.code == 0, str(ended)
        removed = host.run(["rm", "/usr/lib/zypp/plugins/commit/kmpsolve"])
        assert removed.code == 0
        assert "not protected" in host.kmpsolve("doctor").stdout
