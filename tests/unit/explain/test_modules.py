"""Which modules of a KMP are hit, with real modules of a real kernel in real RPMs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from kmpsolve.cli import main
from kmpsolve.explain.modulefiles import module_hits, modules_in_root, modules_in_rpm
from kmpsolve.modules.module import Module, read_module
from tests.modules.debian import cloud_kernels
from tests.support import repository, rpmbuild
from tests.support.packages import SUSE, PackageSpec

OLD, NEW = "150600.23.25.1", "150600.23.30.1"
UNAME = "6.4.0-150600.23.25-default"


@pytest.fixture(scope="module")
def two() -> tuple[Module, Module, str]:
    """Two modules with symbol versions, and a symbol that only the first of them needs."""
    found: list[Module] = []
    for file in sorted((cloud_kernels()[0].tree / "kernel" / "lib").rglob("*.ko*")):
        module = read_module(file)
        if module.versions:
            for other in found:
                only = sorted(module.versions.keys() - other.versions.keys())
                if only:
                    return module, other, only[0]
            found.append(module)
    raise AssertionError("no two modules differ in what they need")


def _kernel(release: str, crcs: dict[str, str]) -> PackageSpec:
    krel = f"6.4.0-{release.rpartition('.')[0]}"
    symbols = (f"ksym(default:{symbol}) = {crc}" for symbol, crc in crcs.items())
    return PackageSpec(
        name="kernel-default",
        version="6.4.0",
        release=release,
        arch="x86_64",
        vendor=SUSE,
        provides=(f"kernel-uname-r = {krel}-default", "multiversion(kernel)", "kmod(ext4.ko)", *symbols),
    )


@pytest.fixture(scope="module")
def packages(two: tuple[Module, Module, str]) -> tuple[PackageSpec, PackageSpec, PackageSpec]:
    """The old kernel, the KMP, and a kernel in which the one symbol is another."""
    crcs = {**two[0].versions, **two[1].versions}
    kmp = PackageSpec(
        name="acme-kmp-default",
        version="2.1_k6.4.0_150600.23.25",
        release="1",
        arch="x86_64",
        vendor="ACME Inc.",
        provides=(
            "multiversion(kernel)",
            *(f"kmod({Path(m.path).name.split('.ko')[0]}.ko)" for m in two[:2]),
        ),
        requires=tuple(f"ksym(default:{symbol}) = {crc}" for symbol, crc in crcs.items()),
        contents=tuple(
            (f"/lib/modules/{UNAME}/updates/{Path(m.path).name}", Path(m.path).read_bytes()) for m in two[:2]
        ),
    )
    return _kernel(OLD, crcs), kmp, _kernel(NEW, {**crcs, two[2]: "1"})


def test_explain_reads_the_modules_of_the_rpm(
    two: tuple[Module, Module, str],
    packages: tuple[PackageSpec, PackageSpec, PackageSpec],
    capsys: pytest.CaptureFixture[str],
) -> None:
    old, kmp, new = packages
    words = [
        "--installed",
        str(repository.rpm_folder([old, kmp])),
        "--repo",
        f"u={repository.rpm_folder([new])}",
    ]
    assert main(["explain", "acme", *words, "--format", "json"]) == 4
    document = json.loads(capsys.readouterr().out)
    names = [Path(module.path).name for module in two[:2]]
    assert document["modules"] == [
        {"module": name, "symbols": [two[2]] if name == names[0] else []} for name in sorted(names)
    ]
    assert f"Of its modules, {names[0]} would not load; {names[1]} would" in " ".join(document["story"])
    assert main(["explain", "acme", *words]) == 4
    assert f"{names[1]}  not hit" in capsys.readouterr().out


def test_a_damaged_module_leaves_no_half_answer(
    packages: tuple[PackageSpec, PackageSpec, PackageSpec], tmp_path: Path
) -> None:
    (rpm,) = rpmbuild.build([packages[1]])
    nevra = "acme-kmp-default-2.1_k6.4.0_150600.23.25-1.x86_64"
    shutil.copy(rpm, tmp_path / rpm.name)
    assert len(modules_in_rpm(nevra, tmp_path)) == 2
    (tmp_path / rpm.name).write_bytes(rpm.read_bytes()[:-2000])
    assert modules_in_rpm(nevra, tmp_path) == ()
    assert modules_in_rpm("other-1-1.x86_64", tmp_path) == ()


def test_installed_modules_below_a_root(two: tuple[Module, Module, str], tmp_path: Path) -> None:
    folder = tmp_path / "lib" / "modules" / UNAME / "updates" / "deep"
    folder.mkdir(parents=True)
    for module in two[:2]:
        shutil.copy(module.path, folder)
    names = [Path(module.path).name for module in two[:2]]
    hits = module_hits(modules_in_root(tmp_path, [UNAME], names), [two[2]])
    assert {hit.module: hit.symbols for hit in hits} == {names[0]: (two[2],), names[1]: ()}
    # One of the files is not there: nothing is said rather than half of it.
    (folder / names[1]).unlink()
    assert modules_in_root(tmp_path, [UNAME], names) == ()


def test_diff_of_kernel_rpms(
    two: tuple[Module, Module, str],
    packages: tuple[PackageSpec, PackageSpec, PackageSpec],
    capsys: pytest.CaptureFixture[str],
) -> None:
    old, new = (str(rpm) for rpm in rpmbuild.build([packages[0], packages[2]]))
    assert main(["diff", old, new, "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["a"] == f"kernel-default-6.4.0-{OLD}.x86_64"
    assert [entry["symbol"] for entry in document["changed"]] == [two[2]]
    assert document["changed"][0]["b"] == "1"
    # Held against a system, the same two hit the KMP on it.
    installed = str(repository.rpm_folder([packages[0], packages[1]]))
    repo = str(repository.rpm_folder([packages[2]]))
    assert main(["diff", old, new, "--installed", installed, "--repo", repo, "--format", "json"]) == 4
    (hit,) = json.loads(capsys.readouterr().out)["kmps"]
    assert hit["symbols"] == [two[2]]
