"""From what is mounted and routed to the drivers that the machine cannot do without."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.unit.machine.fakes import MACHINES, live

ROOT, BOOT, ROUTE = "the root file system", "the boot file system", "the default route"

# By machine: for each purpose the devices on the way and the modules.
EXPECTED = {
    "virtio": {
        ROOT: (["vda"], {"ext4", "virtio_blk", "virtio_pci", "virtio_ring"}),
        BOOT: (["vda"], {"xfs", "virtio_blk", "virtio_pci", "virtio_ring"}),
        ROUTE: (["eth0"], {"virtio_net", "net_failover", "virtio_pci", "virtio_ring"}),
    },
    "nvme-btrfs": {
        ROOT: (["nvme0n1", "nvme1n1"], {"btrfs", "raid6_pq", "nvme", "nvme_core", "acme_nvme"}),
        BOOT: (["nvme0n1"], {"vfat", "nvme", "nvme_core"}),
    },
    "sas-multipath": {
        ROOT: (
            ["dm-1", "dm-0", "sda", "sdb"],
            {"xfs", "dm_mod", "dm_multipath", "mpt3sas", "raid_class", "scsi_transport_sas", "sd_mod"},
        ),
    },
    "lvm-on-luks": {
        ROOT: (["dm-1", "dm-0", "sda"], {"btrfs", "dm_mod", "dm_crypt", "ahci", "libahci", "libata"}),
    },
    "bonded": {
        ROOT: (
            ["md127", "sda", "sdb"],
            {"ext4", "md_mod", "raid456", "async_pq", "acme_hba", "acme_sas"},
        ),
        ROUTE: (
            ["br0", "bond0.7", "bond0", "eth0", "eth1"],
            {"bridge", "8021q", "bonding", "i40e", "acme_nic"},
        ),
    },
    "nvme-over-tcp": {
        ROOT: (["nvme4n1", "nvme4", "eth0"], {"ext4", "nvme_core", "nvme_tcp", "acme_nic"}),
        ROUTE: (["eth0"], {"acme_nic"}),
    },
    "zvol": {
        ROOT: (["zd16"], {"ext4", "zfs", "spl"}),
    },
    "iscsi-lvm": {
        ROOT: (["dm-0", "sda", "eth1"], {"xfs", "dm_mod", "sd_mod", "iscsi_tcp", "acme_nic"}),
        ROUTE: (["eth0"], {"e1000e"}),
    },
    "nfs-storage-network": {
        ROOT: (["eth1"], {"nfs4", "acme_nic"}),
        ROUTE: (["eth0"], {"e1000e"}),
    },
    "nfs-root": {
        ROOT: (["eth0"], {"nfs4", "acme_nic"}),
        ROUTE: (["eth0"], {"acme_nic"}),
    },
}


def test_every_machine_is_expected() -> None:
    assert sorted(EXPECTED) == sorted(path.stem for path in MACHINES.glob("*.txt"))


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_the_way_to_the_drivers(name: str, tmp_path: Path) -> None:
    anchors = live(name, tmp_path).anchors
    found = {anchor.purpose: (list(anchor.devices), set(anchor.modules)) for anchor in anchors}
    assert found == EXPECTED[name]
    assert list(found) == [purpose for purpose in (ROOT, BOOT, ROUTE) if purpose in found]


def test_purposes_by_importance(tmp_path: Path) -> None:
    machine = live("virtio", tmp_path)
    assert machine.boots_from(["virtio_pci"]) == (ROOT, BOOT, ROUTE)
    assert machine.boots_from(["virtio_net", "snd"]) == (ROUTE,)
    assert machine.boots_from(["snd"]) == ()


def test_links_do_not_lead_out_of_a_copy_of_sys(tmp_path: Path) -> None:
    machine = live("virtio", tmp_path / "machine")
    driver = tmp_path / "machine/sys/bus/virtio/drivers/virtio_blk/module"
    driver.unlink()
    (tmp_path / "elsewhere" / "evil").mkdir(parents=True)
    driver.symlink_to("../../../../../../../../../../.." + str(tmp_path / "elsewhere" / "evil"))
    assert "evil" not in {module for anchor in machine.anchors for module in anchor.modules}


@pytest.mark.parametrize(
    "missing", ["proc/self/mountinfo", "proc/net/route", "proc/modules", "sys/dev", "sys/class"]
)
def test_what_is_missing_is_left_out(missing: str, tmp_path: Path) -> None:
    machine = live("virtio", tmp_path)
    place = tmp_path / missing
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    whole = EXPECTED["virtio"]
    for anchor in machine.anchors:
        assert set(anchor.modules) <= whole[anchor.purpose][1]


def test_a_tree_that_somebody_else_made_cannot_stop_it(tmp_path: Path) -> None:
    """Below another root anything may stand in the place of /sys and /proc: pipes, circles, no text."""
    machine = live("bonded", tmp_path)
    (tmp_path / "sys/devices/virtual/net/bond0/bonding/slaves").write_bytes(b"eth0 \0")
    (tmp_path / "proc/net/route").write_text("Iface\nx 00000000 0 zz 0 0 0 00000000\n")
    (tmp_path / "proc/modules").unlink()
    os.mkfifo(tmp_path / "proc/modules")
    assert machine.loaded is None
    assert [set(anchor.devices) for anchor in machine.anchors if not anchor.boots] == [
        {"br0", "bond0.7", "bond0", "eth0", "eth1"}
    ]


def test_a_circle_of_links_is_no_way(tmp_path: Path) -> None:
    machine = live("lvm-on-luks", tmp_path)
    shutil.rmtree(tmp_path / "sys/devices")
    (tmp_path / "sys/devices").symlink_to("devices")
    (anchor,) = machine.anchors
    assert not anchor.devices
    assert anchor.modules == {"btrfs"}


def test_slaves_that_go_round_in_circles_end(tmp_path: Path) -> None:
    machine = live("sas-multipath", tmp_path)
    (tmp_path / "sys/devices/virtual/block/dm-0/slaves/dm-1").symlink_to("../../dm-1")
    (anchor,) = machine.anchors
    assert {"dm-0", "dm-1", "sda", "sdb"} == set(anchor.devices)
