"""KMPs for the hardware: kmpsolve's choice is the real zypper's, on the same Supplements and devices."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path

import pytest

from kmpsolve.cli import main
from tests.sandbox import Sandbox
from tests.support import repository, rpmbuild
from tests.support.packages import PackageSpec

DEVICES = (
    "pci:v00008086d0000265Asv00008086sd00004556bc0Csc03i00",
    "pci:v00001000d00000097sv00001000sd00003090bc01sc07i00",
    "usb:v046DpC52Bd1211dc00dsc00dp00ic03isc00ip00in02",
    "virtio:d00000002v00001AF4",
    "of:NmmcTdiskCti,am3352",
)

# As in a package, and whether it should count on a system with kernel-default and the package "tools".
SUPPLEMENTS = (
    ("modalias(kernel-default:pci:v00008086d0000265Asv*sd*bc*sc*i*)", True),
    ("modalias(kernel-default:pci:v00008086d0000265[ABC]sv*sd*bc*sc*i*)", True),
    ("modalias(kernel-default:pci:v00008086d0000265[BC]sv*sd*bc*sc*i*)", False),
    ("modalias(kernel-default:pci:v00008086d0000265[!BC]sv*sd*bc*sc*i*)", True),
    ("modalias(kernel-default:pci:v0000?000d000000[0-9]7sv*)", True),
    ("modalias(kernel-rt:pci:v00008086d0000265Asv*sd*bc*sc*i*)", False),
    ("modalias(pci:v00001000d00000097sv*)", True),
    ("modalias(kernel-default:usb:v046DpC52Bd*dc*dsc*dp*ic*isc*ip*in*)", True),
    ("modalias(kernel-default:usb:v046DpFFFFd*)", False),
    ("modalias(tools:virtio:d00000002v*)", True),
    ("modalias(nothing:virtio:d00000002v*)", False),
    ("modalias(kernel-default:of:N*T*Cti%2cam33*)", True),
)

# Hardware inside of rich dependencies: libsolv 0.7.23, as in Debian's zypper, does not look there yet.
RICH = (
    ("(kernel-default and modalias(virtio:d00000002v*))", True),
    ("(kernel-rt and modalias(virtio:d00000002v*))", False),
    ("(nothing or modalias(virtio:d0000000[0-9]v*))", True),
    ("(tools >= 2 and modalias(virtio:d00000002v*))", False),
    ("(tools >= 1 and modalias(virtio:d00000002v*))", True),
    ("(kernel-default and tools and modalias(virtio:d00000002v*))", True),
    ("((kernel-rt or kernel-default) and modalias(virtio:d00000002v*))", True),
)

KERNEL = PackageSpec(
    name="kernel-default",
    version="6.4.0",
    release="1.1",
    provides=(
        "kernel-uname-r = 6.4.0-1-default",
        "multiversion(kernel)",
        "ksym(default:a) = 11",
        "kmod(x.ko)",
    ),
)
NEWER = PackageSpec(
    name="kernel-default",
    version="6.4.0",
    release="2.1",
    provides=(
        "kernel-uname-r = 6.4.0-2-default",
        "multiversion(kernel)",
        "ksym(default:a) = 22",
        "kmod(x.ko)",
    ),
)
TOOLS = PackageSpec(name="tools", version="1", release="1", arch="noarch")


def _kmp(
    name: str, supplements: tuple[str, ...], *, crc: str = "11", version: str = "1_k6.4.0_1"
) -> PackageSpec:
    return PackageSpec(
        name=f"{name}-kmp-default",
        version=version,
        release="1",
        provides=(f"kmod({name}.ko)", "multiversion(kernel)"),
        requires=(f"ksym(default:a) = {crc}",),
        supplements=supplements,
    )


def _suggest(
    capsys: pytest.CaptureFixture[str], devices: Path, *arguments: str
) -> dict[str, dict[str, object]]:
    code = main(["suggest", "--format", "json", "--devices", str(devices), *arguments])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return {one["kmp"]: one for one in json.loads(printed.out)["suggestions"]}


@pytest.fixture
def devices(tmp_path: Path) -> Path:
    place = tmp_path / "modaliases"
    place.write_text("\n".join(DEVICES) + "\n")
    return place


def test_the_choice_is_zyppers(tmp_path: Path, devices: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kmps = [_kmp(f"hw{number}", (text,)) for number, (text, _) in enumerate(SUPPLEMENTS)]
    chance = random.Random(5)  # noqa: S311 - worlds, not secrets
    for number in range(20):
        mixed = tuple(text for text, _ in chance.sample(SUPPLEMENTS, 2))
        kmps.append(_kmp(f"mix{number}", mixed))
    repo = repository.rpm_md([*kmps, _kmp("plain", ("kernel-default",)), _kmp("none", ())])
    rpms = repository.rpm_folder([KERNEL, TOOLS])
    with Sandbox(shared=[repo, rpms, tmp_path]) as sandbox:
        sandbox.install_rpms(sorted(rpms.glob("*.rpm")))
        sandbox.add_repository("hardware", f"dir:{repo}")
        before = set(sandbox.installed())
        done = sandbox.run(
            ["zypper", "--non-interactive", "--no-gpg-checks", "install-new-recommends"],
            env={"ZYPP_MODALIAS_SYSFS": str(devices)},
        )
        assert done.code == 0, done
        taken = {nevra.rsplit("-", 2)[0] for nevra in set(sandbox.installed()) - before}
    found = _suggest(capsys, devices, "--installed", str(rpms), "--repo", f"hardware={repo}")
    # zypper also takes what supplements the kernel alone; that is no choice by hardware.
    assert taken - {"plain-kmp-default"} == set(found)
    expected = {f"hw{number}-kmp-default" for number, (_, counts) in enumerate(SUPPLEMENTS) if counts}
    assert {name for name in found if name.startswith("hw")} == expected


def test_hardware_in_rich_dependencies(devices: Path, capsys: pytest.CaptureFixture[str]) -> None:
    repo = repository.rpm_md([_kmp(f"hw{number}", (text,)) for number, (text, _) in enumerate(RICH)])
    rpms = repository.rpm_folder([KERNEL, TOOLS])
    found = _suggest(capsys, devices, "--installed", str(rpms), "--repo", f"hardware={repo}")
    assert set(found) == {f"hw{number}-kmp-default" for number, (_, counts) in enumerate(RICH) if counts}


def test_kernels_that_it_fits(devices: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hardware = ("modalias(kernel-default:virtio:d00000002v*)",)
    repo = repository.rpm_md(
        [
            NEWER,
            _kmp("now", hardware),
            _kmp("now", hardware, crc="22", version="2_k6.4.0_2"),
            _kmp("later", hardware, crc="22"),
            _kmp("never", hardware, crc="33"),
            _kmp("other", ("modalias(kernel-default:virtio:d00000009v*)",)),
        ]
    )
    rpms = repository.rpm_folder([KERNEL])
    arguments = ("--installed", str(rpms), "--repo", f"r={repo}")
    found = _suggest(capsys, devices, *arguments)
    assert list(found) == ["now-kmp-default", "later-kmp-default", "never-kmp-default"]
    old, new = KERNEL.nevra, NEWER.nevra
    assert [(one["build"], one["kernels"], one["fits_now"], one["command"]) for one in found.values()] == [
        (
            "now-kmp-default-1_k6.4.0_1-1.x86_64",
            [old],
            True,
            "zypper install now-kmp-default=1_k6.4.0_1-1",
        ),
        (
            "later-kmp-default-1_k6.4.0_1-1.x86_64",
            [new],
            False,
            "zypper install later-kmp-default=1_k6.4.0_1-1 kernel-default=6.4.0-2.1",
        ),
        ("never-kmp-default-1_k6.4.0_1-1.x86_64", [], False, None),
    ]
    assert found["now-kmp-default"]["devices"] == ["virtio:d00000002v00001AF4"]
    assert main(["suggest", "--devices", str(devices), *arguments]) == 0
    text = capsys.readouterr().out
    assert "3 KMPs for the 5 devices here" in text
    assert text.index("now-kmp") < text.index("later-kmp") < text.index("never-kmp")


def test_below_another_root(tmp_path: Path, devices: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is there to paste names the root, or it would change this machine; a program runs it inside."""
    repo = repository.rpm_md([_kmp("now", ("modalias(kernel-default:virtio:d00000002v*)",))])
    root = tmp_path / "a root"
    for package in rpmbuild.build([KERNEL]):
        place = ["rpm", "--root", str(root), "--dbpath", "/var/lib/rpm"]
        install = [*place, "--justdb", "--nodeps", "--ignorearch", "-i", str(package)]
        subprocess.run(install, check=True, capture_output=True)
    arguments = ("--root", str(root), "--repo", f"r={repo}")
    (found,) = _suggest(capsys, devices, *arguments).values()
    assert found["command"] == "zypper install now-kmp-default=1_k6.4.0_1-1"
    assert main(["suggest", "--devices", str(devices), *arguments]) == 0
    assert f"zypper --root '{root}' install now-kmp-default=" in capsys.readouterr().out


def test_hardware_from_a_copy_of_sys_and_from_an_inventory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.unit.machine.fakes import build

    repo = repository.rpm_md([_kmp("disk", ("modalias(kernel-default:virtio:d00000002v*)",))])
    rpms = repository.rpm_folder([KERNEL])
    arguments = ("--installed", str(rpms), "--repo", f"r={repo}")
    machine = build("virtio", tmp_path / "machine")
    assert set(_suggest(capsys, machine / "sys", *arguments)) == {"disk-kmp-default"}
    inventory = tmp_path / "host.json"
    inventory.write_text(json.dumps({"host": "a", "modaliases": ["virtio:d00000002v00001AF4"]}))
    assert set(_suggest(capsys, inventory, *arguments)) == {"disk-kmp-default"}
    assert main(["suggest", *arguments]) == 2, "without a root nobody knows the hardware"
    assert "--devices" in capsys.readouterr().err
    for content in ("no device\n", '{"modaliases": 3}', "\xff"):
        bad = tmp_path / "bad"
        bad.write_text(content, encoding="latin-1")
        assert main(["suggest", "--devices", str(bad), *arguments]) == 3
        assert str(bad) in capsys.readouterr().err
