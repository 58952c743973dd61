"""The builder makes real RPMs and real metadata, the same bytes for the same description."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support import fixture, repository, rpmbuild
from tests.support.packages import PackageSpec


def _query(rpm: Path, *arguments: str) -> list[str]:
    done = subprocess.run(["rpm", "-qp", *arguments, str(rpm)], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize("arch", ["x86_64", "i586", "aarch64", "ppc64le", "s390x", "noarch"])
def test_everything_described_is_in_the_rpm(arch: str) -> None:
    spec = PackageSpec(
        name="acme-kmp-default",
        epoch=2,
        version="2.1~rc1_k6.4.0_1",
        release="3.1",
        arch=arch,
        vendor="ACME Inc. <https://acme.example>",
        provides=("ksym(default:acme) = 1b2c3d4e",),
        requires=("kernel-uname-r = 6.4.0-1-default", "ksym(default:"),
        conflicts=("acme-kmp-default-k6.4.0-1",),
        obsoletes=("old-kmp < 3",),
        recommends=("acme",),
        supplements=("(kernel-default and acme)", "modalias(kernel-default:pci:v1*)"),
        enhances=("kernel-default",),
        files=("/lib/modules/6.4.0-1-default/updates/acme.ko",),
        contents=(("/lib/modules/6.4.0-1-default/updates/real.ko", b"\x7fELF\x00"),),
        triggers=("kernel-default-devel",),
        scripts=(("post", "echo 100%"),),
    )
    (rpm,) = rpmbuild.build([spec])
    assert _query(rpm, "--queryformat", "%{NEVRA} %{EPOCH} %{BUILDHOST} %{BUILDTIME}|%{VENDOR}") == [
        f"acme-kmp-default-2:2.1~rc1_k6.4.0_1-3.1.{arch} 2 kmpsolve.test 1700000000|ACME Inc. <https://acme.example>"
    ]
    assert "ksym(default:acme) = 1b2c3d4e" in _query(rpm, "--provides")
    assert {"kernel-uname-r = 6.4.0-1-default", "ksym(default:"} <= set(_query(rpm, "--requires"))
    assert _query(rpm, "--conflicts") == ["acme-kmp-default-k6.4.0-1"]
    assert _query(rpm, "--obsoletes") == ["old-kmp < 3"]
    assert _query(rpm, "--recommends") == ["acme"]
    assert set(_query(rpm, "--supplements")) == {
        "(kernel-default and acme)",
        "modalias(kernel-default:pci:v1*)",
    }
    assert _query(rpm, "--enhances") == ["kernel-default"]
    assert _query(rpm, "-l") == [
        "/lib/modules/6.4.0-1-default/updates/acme.ko",
        "/lib/modules/6.4.0-1-default/updates/real.ko",
    ]
    assert any("kernel-default-devel" in line for line in _query(rpm, "--triggers"))
    assert "echo 100%" in _query(rpm, "--scripts")


def test_a_package_is_the_same_whatever_is_built_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = PackageSpec(name="one", version="1", release="1", files=("/usr/share/one",))
    two = PackageSpec(name="two", version="1", release="1", files=("/usr/share/two",))
    other_one = PackageSpec(name="one", version="1", release="1", vendor="Somebody Else")
    built = []
    for number, specs in enumerate([(one,), (two, other_one, one)]):
        monkeypatch.setenv("KMPSOLVE_TEST_CACHE", str(tmp_path / str(number)))
        built.append(rpmbuild.build(specs)[-1].read_bytes())
    assert built[0] == built[1]


def test_metadata_is_the_same_whenever_it_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = PackageSpec(name="kernel-default", version="6.4.0", release="1.1")
    patch = repository.PatchSpec(id="SUSE-1", packages=(spec,), cves=("CVE-2026-1",), status="retracted")
    made = []
    for number in range(2):
        monkeypatch.setenv("KMPSOLVE_TEST_CACHE", str(tmp_path / str(number)))
        folder = repository.rpm_md([spec], [patch])
        made.append({path.name: path.read_bytes() for path in (folder / "repodata").iterdir()})
    assert made[0] == made[1]
    assert any(name.endswith("-updateinfo.xml.gz") for name in made[0])


def test_what_createrepo_leaves_out_is_an_error() -> None:
    spec = PackageSpec(name="odd", version="1", release="1", requires=("ksym(default:\x02)",))
    with pytest.raises(RuntimeError, match="Forbidden control chars"):
        repository.rpm_md([spec])


def test_what_rpmbuild_refuses_is_an_error() -> None:
    with pytest.raises(rpmbuild.RpmbuildError, match="Illegal char"):
        rpmbuild.build([PackageSpec(name="odd-name", version="1-1", release="1")])


SCENARIO = """
description = "An example."
installed = ["old", "driver"]
[symbols]
kfree = "37a0cba"
kmalloc = "1b2c3d4e"
[packages]
old = { kernel = "default 6.4.0-150600.23.25.1", drops = ["kmalloc"], changes = { kfree = "1" } }
[packages.driver]
kmp = "acme 2.1-3"
built_for = "default 6.4.0-150600.23.25"
uses = ["kfree"]
exports = { a = "2" }
[expect]
exit = 0
verdict = "safe"
"""


def test_a_kernel_expands_to_what_kernels_provide() -> None:
    kernel, _ = fixture.parse("example", SCENARIO).installed
    assert kernel == PackageSpec(
        name="kernel-default",
        version="6.4.0",
        release="150600.23.25.1",
        provides=(
            "kernel-default = 6.4.0-150600.23.25.1",
            "kernel-uname-r = 6.4.0-150600.23.25-default",
            "multiversion(kernel)",
            "kmod(ext4.ko)",
            "ksym(default:kfree) = 1",
        ),
        files=(
            "/boot/vmlinuz-6.4.0-150600.23.25-default",
            "/lib/modules/6.4.0-150600.23.25-default/kernel/ext4.ko",
        ),
    )


def test_a_kmp_expands_to_what_kmps_provide_and_require() -> None:
    _, kmp = fixture.parse("example", SCENARIO).installed
    assert kmp == PackageSpec(
        name="acme-kmp-default",
        version="2.1_k6.4.0_150600.23.25",
        release="3",
        vendor="ACME Inc.",
        provides=(
            "acme-kmp = 2.1_k6.4.0_150600.23.25",
            "acme-kmp = 2.1",
            "acme-kmp-default-k6.4.0-150600.23.25",
            "multiversion(kernel)",
            "kmod(acme.ko)",
            "ksym(default:a) = 2",
        ),
        requires=("ksym(default:kfree) = 37a0cba",),
        conflicts=("acme-kmp-default-k6.4.0-150600.23.25",),
        supplements=("packageand(kernel-default:acme)",),
        enhances=("kernel-default",),
        files=("/lib/modules/6.4.0-150600.23.25-default/updates/acme.ko",),
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('drops = ["kmalloc"]', 'drop = ["kmalloc"]', "unknown: drop"),
        ('drops = ["kmalloc"]', 'drops = ["kmaloc"]', "not exported"),
        ('uses = ["kfree"]', 'uses = ["kfre"]', "not in"),
        ('installed = ["old", "driver"]', 'installed = ["old"]', "nowhere used: driver"),
        ('installed = ["old", "driver"]', 'installed = ["old", "drivers"]', "not described"),
        ('exit = 0\nverdict = "safe"', 'verdict = "safe"', "`exit` is missing"),
        ("exit = 0", 'exit = "0"', "not a int"),
        ("exit = 0", 'exit = 0\ntransaction = ["install new"]', "not ACTION PACKAGE from ALIAS"),
        ('description = "An example."', 'description = "An example."\nnote = 1', "unknown: note"),
        ("kernel =", "kernal =", "a package is one of"),
        ("default 6.4.0-150600.23.25.1", "6.4.0-150600.23.25.1", "1 words, not 2"),
        ("[expect]", "[expect", "example"),
    ],
)
def test_the_notation_is_strict(old: str, new: str, message: str) -> None:
    assert old in SCENARIO
    with pytest.raises(fixture.NotationError, match=message):
        fixture.parse("example", SCENARIO.replace(old, new))
