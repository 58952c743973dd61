"""Why a module counts as in use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.machine.fakes import live, write_initrd


def test_loaded_and_driving(tmp_path: Path) -> None:
    machine = live("virtio", tmp_path)
    assert machine.uses("snd") == ("is loaded",)
    assert machine.uses("virtio_blk") == (
        "is loaded",
        "drives the root file system",
        "drives the boot file system",
    )
    assert machine.uses("acme") == ()


def test_in_the_initrd(tmp_path: Path) -> None:
    write_initrd(tmp_path, "acme-storage.ko.zst")
    assert live("virtio", tmp_path).uses("acme_storage") == ("is in the initrd",)


def test_an_initrd_that_cannot_be_read_may_hold_anything(tmp_path: Path) -> None:
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/initrd-6.4.0-1-default").write_bytes(b"lz4 or so")
    assert live("virtio", tmp_path).uses("acme") == ("may be in the initrd",)


def test_loaded_at_boot(tmp_path: Path) -> None:
    for folder, name, text in (
        ("etc", "a.conf", "# comment\nacme-one\n; other\n"),
        ("usr/lib", "a.conf", "hidden_by_etc\n"),
        ("run", "b.conf", "acme_two\n"),
        ("usr/lib", "readme", "not_a_conf\n"),
    ):
        place = tmp_path / folder / "modules-load.d" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    machine = live("virtio", tmp_path)
    (tmp_path / "proc/cmdline").write_text("root=/dev/vda2 modules_load=acme-three,acme_four quiet\n")
    for name in ("acme_one", "acme_two", "acme_three", "acme_four"):
        assert machine.uses(name) == ("is loaded at boot",)
    assert machine.uses("hidden_by_etc") == machine.uses("not_a_conf") == ()


@pytest.mark.parametrize(
    ("alias", "matches"),
    [
        ("pci:v00001AF4d00001001sv*sd*bc*sc*i*", True),
        ("pci:v00001AF4d0000100[12]sv*sd*bc*sc*i*", True),
        ("pci:v00001AF4d0000100[23]sv*sd*bc*sc*i*", False),
        ("virtio:d0000000[!1]v*", True),
        ("virtio:d00000003v*", False),
    ],
)
def test_matching_hardware(alias: str, matches: bool, tmp_path: Path) -> None:
    place = tmp_path / "lib/modules/6.4.0-1-default/modules.alias"
    place.parent.mkdir(parents=True)
    place.write_text(f"# Aliases extracted from modules themselves.\nalias {alias} acme-nic\nalias fs-x x\n")
    assert live("virtio", tmp_path).uses("acme_nic") == (
        ("matches hardware that is there",) if matches else ()
    )


def test_hardware_of_a_driver_that_is_installed_for_another_kernel(tmp_path: Path) -> None:
    """Its aliases are in that kernel's modules.alias only."""
    for kernel, module in (("6.4.0-1-default", "virtio_net"), ("6.4.0-2-default", "acme-nic")):
        place = tmp_path / "lib/modules" / kernel / "modules.alias"
        place.parent.mkdir(parents=True)
        place.write_text(f"alias virtio:d00000001v* {module}\n")
    assert live("virtio", tmp_path).uses("acme_nic") == ("matches hardware that is there",)


def test_without_the_running_kernels_aliases_everything_may_match_hardware(tmp_path: Path) -> None:
    (tmp_path / "lib/modules/6.4.0-1-default").mkdir(parents=True)
    assert live("virtio", tmp_path).uses("acme") == ("may match hardware that is there",)


def test_what_cannot_be_read_may_be_loaded_at_boot(tmp_path: Path) -> None:
    place = tmp_path / "etc/modules-load.d/acme.conf"
    place.parent.mkdir(parents=True)
    place.symlink_to("acme.conf")
    assert live("virtio", tmp_path).uses("acme") == ("may be loaded at boot",)


@pytest.mark.parametrize("key", ["modules-load", "rd.modules_load", "rd.modules-load", "rd.driver.pre"])
def test_what_the_command_line_loads(key: str, tmp_path: Path) -> None:
    machine = live("virtio", tmp_path)
    (tmp_path / "proc/cmdline").write_text(f"{key}=acme quiet\n")
    assert machine.uses("acme") == ("is loaded at boot",)


def test_without_proc_modules_everything_may_be_loaded(tmp_path: Path) -> None:
    machine = live("virtio", tmp_path)
    (tmp_path / "proc/modules").unlink()
    assert machine.uses("acme") == ("may be loaded",)


def test_a_kernel_without_loadable_modules_has_none_loaded(tmp_path: Path) -> None:
    machine = live("virtio", tmp_path)
    (tmp_path / "proc/modules").unlink()
    (tmp_path / "proc/version").write_text("Linux version 6.4.0\n")
    assert machine.uses("acme") == ()
