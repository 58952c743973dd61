"""Installing: from the checkout with make, and from RPMs with the real zypper; and gone without a trace."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tomllib
import venv
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import pytest

from kmpsolve.zypp.lockfile import HOLD, OwnLock, rewrite
from tests.e2e.host import CHECKOUT, DRIVER, NEW, OLD, REBUILD, Host, specs, stopped
from tests.support import repository
from tests.support.packages import PackageSpec

# As the distribution names them, with what they need themselves.
DEPENDENCIES = {
    "Jinja2": ("jinja2",),
    "MarkupSafe": ("markupsafe",),
    "asn1crypto": ("asn1crypto",),
    "cryptography": ("cryptography", "cffi", "pycparser"),
    "grandalf": ("grandalf", "pyparsing"),
    "msgspec": ("msgspec",),
    "networkx": ("networkx",),
    "pydantic": ("pydantic", "pydantic-core", "annotated-types", "typing-extensions", "typing-inspection"),
    "pyelftools": ("pyelftools",),
    "solv": ("solv",),
    "urllib3": ("urllib3",),
    "zstandard": ("zstandard",),
}
_DECLARED = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["dependencies"]
_MANUAL = sorted(path.name for path in (CHECKOUT / "docs/man").iterdir())
_UNIT = "kmpsolve-verify.service"
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
        f"usr/lib/systemd/system/{_UNIT}",
        "usr/lib/zypp/plugins/appdata/kmpsolve",
        "usr/lib/zypp/plugins/commit/kmpsolve",
        "usr/lib/zypper/commands/zypper-kmp",
        "usr/libexec/health-checker/kmpsolve.sh",
        "usr/share/bash-completion/completions/kmpsolve",
        "usr/share/fish/vendor_completions.d/kmpsolve.fish",
        *(f"usr/share/man/man1/{page}" for page in _MANUAL),
        "usr/share/zsh/site-functions/_kmpsolve",
    ]
    assert not list(tmp_path.rglob("site-packages"))
    assert not list(tmp_path.rglob("*.wants"))
    assert _make("install", tmp_path).returncode == 0  # over itself
    gone = _make("uninstall", tmp_path)
    assert gone.returncode == 0, gone.stderr
    assert _tree(tmp_path) == before


@pytest.mark.parametrize("prefix", ["/opt/a&b", "/opt/a b", "/opt/a|b", "opt"])
def test_a_prefix_that_no_script_could_name(prefix: str, tmp_path: Path) -> None:
    for target in ("install", "uninstall"):
        done = _make(target, tmp_path, PREFIX=prefix)
        assert done.returncode != 0
        assert prefix in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = _make("install", tmp_path / "file" / "root")
    assert done.returncode == 2
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["mkdir", "make"]


def test_another_prefix(tmp_path: Path) -> None:
    done = _make("install", tmp_path, PREFIX="/opt/kmp")
    assert done.returncode == 0, done.stderr
    unit = (tmp_path / "opt/kmp/lib/systemd/system" / _UNIT).read_text()
    assert "ExecStart=/opt/kmp/bin/kmpsolve verify --booted" in unit
    plugin = (tmp_path / "usr/lib/zypp/plugins/commit/kmpsolve").read_text()
    assert 'LIBRARY = "/opt/kmp/lib/kmpsolve"' in plugin
    assert (tmp_path / "opt/kmp/bin/kmpsolve").is_file()
    assert _make("uninstall", tmp_path, PREFIX="/opt/kmp").returncode == 0
    assert not any(tmp_path.iterdir())


def test_everybody_may_read_what_a_careful_root_installs(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        assert _make("install", tmp_path / "root").returncode == 0
    finally:
        os.umask(before)
    hidden = [path for path in (tmp_path / "root").rglob("*") if path.stat().st_mode & 0o444 != 0o444]
    assert hidden == []


def test_a_prefix_that_is_no_path(tmp_path: Path) -> None:
    done = _make("install", tmp_path / "root", PREFIX="usr")
    assert done.returncode == 2
    assert done.stderr.startswith("PREFIX is the path of a folder from / on, not usr\n")
    assert not (tmp_path / "root").exists()


def test_a_python_given_by_a_path_from_here(tmp_path: Path) -> None:
    """zypper starts the hook in /: what is written down is no relative path, nor what a link leads to."""
    python = os.path.relpath(sys.executable, CHECKOUT)
    assert not python.startswith("/")
    assert _make("install", tmp_path, PYTHON=python).returncode == 0
    assert (tmp_path / "usr/lib/kmpsolve/python").read_text() == f"{sys.executable}\n"


def test_what_the_guard_holds_is_not_left_behind() -> None:
    """Where it cannot be switched off, the kernels would stay locked with nobody left to lift that."""
    with Host(OLD, DRIVER, shared=[CHECKOUT]) as host:
        host.add("updates", specs(NEW))
        host.zypper("ref")
        host.kmpsolve("guard", "on")
        python = host.path(f"{host.library}/python").read_text()
        host.write(f"{host.library}/python", "/gone/python\n")
        uninstall = ["env", f"PREFIX={host.prefix}", str(CHECKOUT / "tools/install"), "uninstall"]
        kept = host.run(uninstall)
        assert kept.code == 1, str(kept)
        assert "the Python that it was installed with is gone: /gone/python" in kept.stderr
        assert "the guard still holds kernels (zypper locks); nothing was removed" in kept.stderr
        assert "kmpsolve hold" in host.locks()
        host.write(f"{host.library}/python", python)
        assert host.kmpsolve("guard", "status").code == 0
        assert host.run(uninstall).code == 0
        assert host.locks() == ""
        assert not host.path(host.library).exists()


def test_what_the_guard_holds_below_another_root_is_not_left_behind(tmp_path: Path) -> None:
    assert _make("install", tmp_path).returncode == 0
    locks = tmp_path / "etc/zypp/locks"
    locks.parent.mkdir(parents=True)
    mine = OwnLock(name="kernel-default", evr="6.4.0-1", comment=HOLD)
    rewrite(locks, [mine], frozenset({HOLD}))
    kept = _make("uninstall", tmp_path)
    assert kept.returncode == 2
    assert f"Switch it off with kmpsolve guard off --root '{tmp_path}'" in kept.stderr
    assert (tmp_path / "usr/bin/kmpsolve").is_file()
    rewrite(locks, [], frozenset({HOLD}))
    assert _make("uninstall", tmp_path).returncode == 0


@pytest.mark.parametrize("target", ["install", "uninstall"])
def test_whoever_is_interrupted_can_uninstall(target: str, tmp_path: Path) -> None:
    """At any moment: what is there is listed, and what is not there any more is no obstacle."""
    script = [str(CHECKOUT / "tools/install")]
    environment = {"PATH": os.environ["PATH"], "PYTHON": sys.executable}
    for number, seconds in enumerate((0.02, 0.05, 0.1, 0.2, 0.4)):
        root = tmp_path / str(number)
        root.mkdir()
        environment["DESTDIR"] = str(root)
        if target == "uninstall":
            subprocess.run([*script, "install"], env=environment, check=True)
        with subprocess.Popen([*script, target], env=environment, process_group=0) as begun:
            with contextlib.suppress(subprocess.TimeoutExpired):
                begun.wait(seconds)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(begun.pid, signal.SIGKILL)
        subprocess.run([*script, "uninstall"], env=environment, check=False, capture_output=True)
        assert [path for path in root.rglob("*") if not path.is_dir()] == []


def test_what_cannot_be_written_whole_stays_as_it_was(tmp_path: Path) -> None:
    assert _make("install", tmp_path).returncode == 0
    hook = tmp_path / "usr/lib/zypp/plugins/commit/kmpsolve"
    before = hook.read_bytes()
    commands = tmp_path / "bin"
    commands.mkdir()
    # As on a full disk: the file is opened, and nothing gets into it.
    real = shutil.which("sed")
    full = f'#!/bin/sh\ncase "$*" in *plugins/zypper/commit*) exit 4;; esac\nexec {real} "$@"\n'
    (commands / "sed").write_text(full)
    (commands / "sed").chmod(0o755)
    path = f"{commands}:{os.environ['PATH']}"
    done = subprocess.run(
        [CHECKOUT / "tools/install", "install"],
        env={"PATH": path, "DESTDIR": str(tmp_path), "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == f"{hook} cannot be written\n"
    assert hook.read_bytes() == before


def test_a_link_in_the_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs")
    (tmp_path / "root/usr/bin").mkdir(parents=True)
    (tmp_path / "root/usr/bin/kmpsolve").symlink_to(theirs)
    assert _make("install", tmp_path / "root").returncode == 0
    assert theirs.read_text() == "theirs"
    assert (tmp_path / "root/usr/bin/kmpsolve").stat().st_mode & 0o777 == 0o755


def test_the_older_of_two_prefixes_goes_alone(tmp_path: Path) -> None:
    """The hook and ``zypper kmp`` are those of the installation that came last, and stay with it."""
    assert _make("install", tmp_path, PREFIX="/opt/kmp").returncode == 0
    assert _make("install", tmp_path).returncode == 0
    gone = _make("uninstall", tmp_path, PREFIX="/opt/kmp")
    assert gone.returncode == 0, gone.stderr
    assert "is another installation's" in gone.stderr
    assert not (tmp_path / "opt/kmp").exists()
    assert 'LIBRARY = "/usr/lib/kmpsolve"' in (tmp_path / "usr/lib/zypp/plugins/commit/kmpsolve").read_text()
    assert (tmp_path / "usr/lib/zypper/commands/zypper-kmp").is_file()
    assert (tmp_path / "etc/kmpsolve/kmpsolve.toml").is_file()
    assert _make("uninstall", tmp_path).returncode == 0
    left = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()]
    assert left == []


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


def test_a_python_without_a_dependency(tmp_path: Path) -> None:
    """One that has all of them but the last, whichever that is."""
    environment = tmp_path / "python"
    venv.create(environment, symlinks=True)
    (own,) = environment.glob("lib/python*/site-packages")
    for part in dict.fromkeys(part for parts in DEPENDENCIES.values() for part in parts):
        if part == "urllib3":
            continue
        distribution = metadata.distribution(part)
        for name in {file.parts[0] for file in distribution.files or () if ".." not in file.parts}:
            (own / name).symlink_to(Path(str(distribution.locate_file(name))))
    done = _make("install", tmp_path / "root", PYTHON=str(environment / "bin/python"))
    assert done.returncode != 0
    assert done.stderr.startswith("No module named 'urllib3'\n")
    assert "bin/python cannot import what kmpsolve needs: asn1crypto" in done.stderr
    assert not (tmp_path / "root").exists()


def _distributions(requirements: Iterable[str]) -> set[str]:
    return {re.split(r"[^\w-]", requirement)[0].lower() for requirement in requirements}


def test_what_is_asked_for_is_what_the_project_needs() -> None:
    """The imports that make tries, and the packages that the RPM requires."""
    declared = _distributions(_DECLARED)
    (line,) = re.findall(r"^IMPORTS := (.*)$", (CHECKOUT / "install.mk").read_text(), re.MULTILINE)
    made_of = metadata.packages_distributions()
    assert sorted(made_of[name][0].lower() for name in line.split()) == sorted(declared)
    required = re.findall(r"^Requires: +python311-(\S+)$", (CHECKOUT / "kmpsolve.spec").read_text(), re.M)
    assert {name.lower() for name in required} == declared | {"rpm"}
    assert {name.lower() for name in DEPENDENCIES} == declared


def test_the_unit_is_one(tmp_path: Path) -> None:
    """systemd can read it, enable it and disable it."""
    assert _make("install", tmp_path).returncode == 0
    unit = tmp_path / _UNIT
    command = Path(sys.executable).with_name("kmpsolve")
    unit.write_text(
        (tmp_path / "usr/lib/systemd/system" / _UNIT).read_text().replace("/usr/bin/kmpsolve", str(command))
    )
    words = ["systemd-analyze", "verify", "--man=no", str(unit)]
    verified = subprocess.run(words, capture_output=True, text=True, check=False).stderr
    assert [line for line in verified.splitlines() if "kmpsolve" in line] == []

    def systemctl(verb: str) -> str:
        words = ["systemctl", "--root", str(tmp_path), verb, _UNIT]
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()

    assert systemctl("is-enabled") == "disabled"
    systemctl("enable")
    assert systemctl("is-enabled") == "enabled"
    systemctl("disable")
    assert systemctl("is-enabled") == "disabled"


def test_the_check_for_health_checker() -> None:
    """It says nothing while the unit is off; then a boot fails if a driver is gone, and for no other reason."""
    running = os.uname().release
    kernel = PackageSpec(
        name="kernel-default",
        version="6.4.0",
        release="1.1",
        provides=(f"kernel-uname-r = {running}", "kmod(ext4.ko)", "ksym(default:kfree) = 37a0cba"),
        files=(f"/lib/modules/{running}/kernel/ext4.ko",),
    )
    driver = PackageSpec(
        name="acme-kmp-default",
        version="1_k6.4.0_1",
        release="1",
        provides=("kmod(acme.ko)",),
        requires=("ksym(default:kfree) = 1",),
        contents=((f"/lib/modules/{running}/updates/acme.ko", b"no module"),),
    )
    with Host(more=[kernel, driver]) as host:
        script = f"{host.prefix}/libexec/health-checker/kmpsolve.sh"
        assert host.run(["depmod", running]).code == 0
        assert host.run([script]).code == 2
        assert host.run([script, "stop"]).code == 0
        assert host.kmpsolve("verify", "--booted").code == 4
        assert host.run([script, "check"]).code == 0
        enabled = host.run(["systemctl", "enable", _UNIT])
        assert enabled.code == 0, str(enabled)
        assert host.run([script, "check"]).code == 1
        host.write("/etc/kmpsolve/kmpsolve.toml", "nonsense")
        assert host.run([script, "check"]).code == 0
        host.write("/etc/kmpsolve/kmpsolve.toml", "")
        host.path(f"/lib/modules/{running}/updates/acme.ko").unlink()
        host.run(["rpm", "-e", "acme-kmp-default"])
        assert host.run([script, "check"]).code == 1  # modprobe would still look for it
        assert host.run(["depmod", running]).code == 0
        assert host.run([script, "check"]).code == 0


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
            "docs",
            "completions",
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
            *("share/licenses", "share/bash-completion/completions", "share/man/man1"),
            *("lib/systemd/system", "libexec"),
            *(("bin", "../doc", "../licenses") if host.unprivileged else ()),
        ):
            host.path(f"{host.prefix}/{name}").mkdir(parents=True, exist_ok=True)
        # An empty folder would go with the last package that owns it.
        host.write(f"{host.prefix}/share/fish/vendor_completions.d/other.fish", "")
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
