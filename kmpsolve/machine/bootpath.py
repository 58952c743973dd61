"""What this machine cannot do without: the way from its file systems and its default route to their drivers.

From /proc/self/mountinfo to a block device, through device-mapper, md and multipath (`slaves` in /sys) to the
disks, and from each up the tree of devices: every driver on the way counts. Where the way leads over the network,
the interface to the server counts, else those of the default route. From /proc/net/route to a network
interface, through bond, VLAN and bridge (`lower_*` links) to the cards.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from sys import byteorder

from kmpsolve.errors import KmpsolveError
from kmpsolve.machine.sysfs import drivers_above, names_in, text_of
from kmpsolve.metadata.files import read_small
from kmpsolve.metadata.rootpath import Root

__all__ = ["Anchor", "boot_path", "loaded_modules"]

_MOUNTS = {
    "/": "the root file system",
    "/usr": "the root file system",
    "/boot": "the boot file system",
    "/boot/efi": "the boot file system",
}
_ROUTE = "the default route"
_OVER_THE_NETWORK = frozenset(("nfs", "nfs4", "cifs", "ceph", "glusterfs", "9p", "afs"))
_MAPPED = {"LVM-": (), "CRYPT-": ("dm_crypt",), "mpath-": ("dm_multipath",), "DMRAID-": (), "RAID-": ()}
_LEVELS = {"raid4": "raid456", "raid5": "raid456", "raid6": "raid456"}
_KINDS = {"bond": "bonding", "vlan": "8021q", "bridge": "bridge", "team": "team", "macvlan": "macvlan"}
_KINDS |= {"vxlan": "vxlan", "wireguard": "wireguard", "ipvlan": "ipvlan", "hsr": "hsr"}
_EIGHT_DIGITS = re.compile(r"[0-9A-Fa-f]{8}")
_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """Something that the machine cannot do without.

    Parameters
    ----------
    purpose
        ``the root file system``, ``the boot file system`` or ``the default route``.
    devices
        The devices on the way, from the top down: ``dm-0``, ``md127``, ``sda``.
    modules
        The kernel's names of all modules on the way.
    """

    purpose: str
    devices: tuple[str, ...]
    modules: frozenset[str]

    @property
    def boots(self) -> bool:
        """Whether the machine does not boot without it."""
        return self.purpose != _ROUTE


def loaded_modules(proc: Root) -> dict[str, tuple[str, ...]] | None:
    """The loaded modules, each with those that use it; ``None`` if /proc/modules cannot be read.

    A kernel that was built without loadable modules has no such file in its /proc.
    """
    try:
        text = read_small(proc.folder / "modules").decode()
    except FileNotFoundError:
        return {} if (proc.folder / "version").is_file() else None
    except (OSError, UnicodeDecodeError):
        return None
    loaded = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 4:
            loaded[words[0]] = tuple(
                user for user in words[3].split(",") if user not in ("", "-", "[permanent]")
            )
    return loaded


def boot_path(sys: Root, proc: Root) -> tuple[Anchor, ...]:
    """Walk from what is mounted and routed now to the drivers; root first, then boot, then the route.

    Whatever cannot be followed is left out: the answer names what is certain.
    """
    users = loaded_modules(proc) or {}
    defaults = _default_routes(proc)
    route = _Way(sys)
    for interface in defaults:
        route.interface(interface)
    ways = {purpose: _Way(sys) for purpose in dict.fromkeys(_MOUNTS.values())}
    for purpose, mount in _mounts(proc):
        way = ways[purpose]
        way.mounted(mount)
        if way.networked:
            for interface in _routes_to(proc, way.servers) or defaults:
                way.interface(interface)
    anchors = [
        Anchor(purpose=purpose, devices=tuple(way.devices), modules=_with_needed(way.modules, users))
        for purpose, way in ways.items()
        if way.modules or way.devices
    ]
    if route.devices:
        anchors.append(
            Anchor(purpose=_ROUTE, devices=tuple(route.devices), modules=_with_needed(route.modules, users))
        )
    return tuple(anchors)


def _with_needed(modules: Iterable[str], users: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """Modules and all those that they use."""
    found = set(modules)
    growing = True
    while growing:
        more = {name for name, by in users.items() if name not in found and found.intersection(by)}
        growing = bool(more)
        found |= more
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class _Mount:
    device: str
    fstype: str
    source: str
    options: str


def _mounts(proc: Root) -> Iterator[tuple[str, _Mount]]:
    """What is mounted where it matters; a later mount hides an earlier one."""
    found: dict[str, _Mount] = {}
    for line in text_of_all(proc.folder / "self" / "mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        before, after = left.split(" "), right.split(" ")
        if len(before) >= 5 and len(after) >= 2:
            point = _ESCAPED.sub(lambda match: chr(int(match[1], 8)), before[4])
            if point in _MOUNTS:
                source = _ESCAPED.sub(lambda m: chr(int(m[1], 8)), after[1])
                found[point] = _Mount(before[2], after[0], source, after[2] if len(after) > 2 else "")
    for point, purpose in _MOUNTS.items():
        if point in found:
            yield purpose, found[point]


def text_of_all(path: Path) -> str:
    """The whole of a file in /proc; empty if it cannot be read."""
    try:
        return read_small(path).decode("utf-8", "replace")
    except OSError:
        return ""


def _default_routes(proc: Root) -> list[str]:
    found = []
    for line in text_of_all(proc.folder / "net" / "route").splitlines()[1:]:
        words = line.split()
        if len(words) >= 8 and words[1] == words[7] == "00000000" and words[3][-1:] in "13579BDF":
            found.append(words[0])
    for line in text_of_all(proc.folder / "net" / "ipv6_route").splitlines():
        words = line.split()
        if len(words) >= 10 and words[0] == "0" * 32 and words[1] == "00" and words[9] != "lo":
            found.append(words[9])
    return list(dict.fromkeys(found))


def _routes_to(proc: Root, servers: Iterable[str]) -> list[str]:
    """The interfaces to these addresses, which may lie in a network for storage alone; none if one has no route."""
    # A machine that boots from its own disks does not wait for this.
    from ipaddress import IPv4Address

    routes: list[tuple[int, int, str]] = []
    for line in text_of_all(proc.folder / "net" / "route").splitlines()[1:]:
        words = line.split()
        if len(words) >= 8 and all(_EIGHT_DIGITS.fullmatch(word) for word in (words[1], words[7])):
            routes.append((int(words[7], 16), int(words[1], 16), words[0]))
    found: dict[str, None] = {}
    for server in servers:
        try:
            # As the kernel prints them: four bytes in the network's order, read as one of the machine's numbers.
            address = int.from_bytes(IPv4Address(server).packed, byteorder)
        except ValueError:
            return []
        fitting = [(mask.bit_count(), name) for mask, network, name in routes if address & mask == network]
        if not fitting:
            return []
        longest = max(length for length, _ in fitting)
        found.update(dict.fromkeys(name for length, name in fitting if length == longest))
    return list(found)


class _Way:
    """Collects devices and modules on the way down and up."""

    def __init__(self, sys: Root) -> None:
        self._sys = sys
        self.devices: dict[str, None] = {}
        self.modules: set[str] = set()
        self.networked = False
        self.servers: dict[str, None] = {}

    def _find(self, inside: str) -> Path | None:
        try:
            path = self._sys.path(inside)
        except (KmpsolveError, ValueError):  # a NUL in what stands there for a name
            return None
        return path if path.is_dir() else None

    def mounted(self, mount: _Mount) -> None:
        if mount.fstype in _OVER_THE_NETWORK:
            self.networked = True
            self.servers.update(dict.fromkeys(re.findall(r"(?:^|,)addr=([^,]+)", mount.options)))
        self.modules.add(mount.fstype.replace("-", "_"))
        device = self._find(f"/dev/block/{mount.device}") or self._named(mount.source)
        if device is None:
            return
        self.block(device)
        if mount.fstype == "btrfs":
            for other in self._btrfs(device.name):
                self.block(other)

    def _named(self, source: str) -> Path | None:
        """A device by its name in /dev: btrfs and others have a device number of their own."""
        if source.startswith("/dev/mapper/"):
            wanted = source.removeprefix("/dev/mapper/")
            for name in names_in(self._sys.folder / "class" / "block"):
                device = self._find(f"/class/block/{name}")
                if device is not None and text_of(device / "dm" / "name") == wanted:
                    return device
            return None
        if source.startswith("/dev/"):
            # A slash in a device's name is an exclamation mark in /sys.
            return self._find(f"/class/block/{source.removeprefix('/dev/').replace('/', '!')}")
        return None

    def _btrfs(self, name: str) -> Iterator[Path]:
        """All devices of the file system that `name` is one of."""
        for identifier in names_in(self._sys.folder / "fs" / "btrfs"):
            members = names_in(self._sys.folder / "fs" / "btrfs" / identifier / "devices")
            if name in members:
                for member in members:
                    device = self._find(f"/class/block/{member}")
                    if device is not None:
                        yield device

    def block(self, device: Path) -> None:
        if (device / "partition").exists():
            device = device.parent
        if device.name in self.devices:
            return
        self.devices[device.name] = None
        self._block_kind(device)
        slaves = names_in(device / "slaves")
        for slave in slaves:
            below = self._find(f"/class/block/{slave}")
            if below is not None:
                self.block(below)
        if slaves:
            return
        if "nvme-subsystem" in device.parts:
            for name in names_in(device.parent):
                if re.fullmatch(r"nvme\d+", name):
                    controller = self._find("/" + str((device.parent / name).relative_to(self._sys.folder)))
                    if controller is not None:
                        self.devices[name] = None
                        self._up(controller)
            self.modules.add("nvme_core")
            return
        self._up(device)

    def _block_kind(self, device: Path) -> None:
        if (device / "dm").is_dir():
            self.modules.add("dm_mod")
            identifier = text_of(device / "dm" / "uuid")
            for start, modules in _MAPPED.items():
                if identifier.startswith(start):
                    self.modules.update(modules)
        elif (device / "md").is_dir():
            level = text_of(device / "md" / "level")
            self.modules |= {"md_mod", _LEVELS.get(level, level)} - {""}
        elif "virtual" in device.parts and "nvme-subsystem" not in device.parts:
            # nbd0, rbd0, drbd0, bcache0: named after their driver; zd0, a volume of zfs, is not.
            match = re.match(r"[a-z]+", device.name)
            if match:
                self.modules.add({"zd": "zfs"}.get(match[0], match[0]))

    def _up(self, device: Path) -> None:
        for folder, module in drivers_above(self._sys, device):
            if module:
                self.modules.add(module.replace("-", "_"))
            if re.fullmatch(r"host\d+", folder.name):
                driver = text_of(folder / "scsi_host" / folder.name / "proc_name")
                if driver not in ("", "<NULL>", "(null)"):
                    self.modules.add(driver.replace("-", "_"))
            if re.fullmatch(r"session\d+", folder.name):
                self.networked = True
                for name in names_in(folder):
                    connection = folder / name / "iscsi_connection" / name
                    if connection.is_dir():
                        self.servers[text_of(connection / "persistent_address")] = None
            transport = text_of(folder / "transport") if re.fullmatch(r"nvme\d+", folder.name) else ""
            if transport and transport != "pcie":
                self.modules.add(f"nvme_{transport}")
                if transport in ("tcp", "rdma"):
                    self.networked = True
                    told = re.findall(r"(?:^|,)traddr=([^,]+)", text_of(folder / "address"))
                    self.servers.update(dict.fromkeys(told))

    def interface(self, name: str) -> None:
        device = self._find(f"/class/net/{name}")
        if device is None or name in self.devices:
            return
        self.devices[name] = None
        kind = re.search(r"^DEVTYPE=(\w+)", text_of(device / "uevent"), re.MULTILINE)
        if kind and kind[1] in _KINDS:
            self.modules.add(_KINDS[kind[1]])
        for folder, module in (("bonding", "bonding"), ("bridge", "bridge")):
            if (device / folder).is_dir():
                self.modules.add(module)
        below = [lower.removeprefix("lower_") for lower in names_in(device) if lower.startswith("lower_")]
        below += names_in(device / "brif")
        below += text_of(device / "bonding" / "slaves").split()
        for lower in dict.fromkeys(below):
            self.interface(lower)
        hardware = self._find(f"/class/net/{name}/device")
        if hardware is not None:
            self._up(hardware)
