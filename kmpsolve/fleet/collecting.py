"""What a host tells of itself: one line, from its rpmdb, zypp's files and /sys, without changing anything."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from kmpsolve.errors import KmpsolveError, MetadataError, UsageError
from kmpsolve.machine.sysfs import modaliases_in
from kmpsolve.metadata.collecting import Seen, installed_packages, state_of
from kmpsolve.metadata.inventory import SCHEMA_VERSION, LooseModule, check_host, encode_state, in_unicode
from kmpsolve.metadata.root import System, read_root
from kmpsolve.metadata.rootpath import Root
from kmpsolve.metadata.vendors import VendorClasses
from kmpsolve.model.clock import now
from kmpsolve.sources import Sources

__all__ = ["collect"]

_SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_KEY = re.compile(r"asymmetri (?P<name>.*): X509\.\S+ (?P<id>[0-9a-f]+) \[\]$")
_MODULE_FILE = re.compile(r"\.ko(?:\.(?:gz|xz|zst))?$")
_PRETTY = re.compile(r'^PRETTY_NAME="?([^"\n]+)', re.MULTILINE)
_SKIPPED_FOLDERS = frozenset(("kernel", "build", "source", "vdso"))


def collect(
    where: Sources,
    *,
    host: str | None,
    labels: Mapping[str, str],
    running: str | None = None,
    hardware: bool = False,
) -> str:
    """One inventory line, without its newline.

    Parameters
    ----------
    where
        As for a plan; repositories are only asked which kernels and KMPs they describe.
    host
        What to call the host; by default the system's own name.
    labels
        What hosts can be grouped by later; the product's name is added as ``product``.
    hardware
        Whether to tell of the devices below the root's /sys: they make a line ten times as long.

    Raises
    ------
    KmpsolveError
        If the system cannot be read, or has no usable name.
    """
    system = read_root(where.root) if where.root is not None else None
    known = _known(where, system)
    loose: tuple[LooseModule, ...] = ()
    if where.installed is not None:
        installed: Iterable[Seen] = _given(where.installed)
    else:
        assert system is not None
        installed = list(installed_packages(system.root))
        loose = tuple(_loose_modules(system.root, installed))
    state = msgspec.structs.replace(
        state_of(installed, known),
        running=running or (os.uname().release if where.here else None),
        unmanaged=loose,
        **(_settings(system) if system is not None and where.installed is None else {}),
    )
    root = system.root if system is not None else None
    product = _product(root) if where.installed is None else None  # that of the packages is not known
    told: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "host": _host(host, root, where),
        "collected": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now())),
        "labels": {**({"product": product} if product else {}), **labels},
    }
    if system is not None and where.installed is None:
        enabled = [{"alias": one.alias, "refreshed": one.refreshed} for one in system.repositories]
        told["repositories"] = enabled
        ages = [one.refreshed for one in system.repositories if one.refreshed is not None]
        told["refreshed"] = min(ages, default=None)
    if where.here:
        told["secure_boot"] = _secure_boot()
        told["enrolled_keys"] = _enrolled_keys()
    if hardware and root is not None:
        told["modaliases"] = sorted(set(modaliases_in(Root(root.folder / "sys"))))
    told["state"] = msgspec.Raw(encode_state(state))
    return msgspec.json.encode(in_unicode(told)).decode()


def _host(host: str | None, root: Root | None, where: Sources) -> str:
    """The system's own name; of an unpacked or mounted one what its files say, else its folder's name."""
    name = host
    if not name and root is not None and root.is_machine and where.installed is None:
        name = socket.gethostname()
    if not name and root is not None and where.installed is None:
        name = (root.read("/etc/hostname") or root.read("/etc/HOSTNAME") or "").strip()
        name = name or root.folder.name
    if not name:
        name = Path(where.installed or "").name
    try:
        return check_host(name)
    except ValueError as error:
        raise UsageError(
            f"{error}", reference="no-host-name", where="--host", hint="give one: --host NAME"
        ) from error


def _product(root: Root | None) -> str | None:
    text = None
    if root is not None:
        text = root.read("/etc/os-release") or root.read("/usr/lib/os-release")
    match = _PRETTY.search(text or "")
    return match[1].strip() if match else None


def _settings(system: System) -> dict[str, Any]:
    """zypp's settings as far as a verdict depends on them; other vendors than the built-in class only."""
    lists: dict[int, set[str]] = {}
    for name, number in system.vendors._class_of.items():
        lists.setdefault(number, set()).add(name)
    built_in = set(VendorClasses()._class_of)
    applies = system.conf.locks_apply
    return {
        "keep": system.keep,
        "multiversion": tuple(system.multiversion),
        "allow_vendor_change": system.allow_vendor_change,
        "locks": tuple(b.raw.strip() for b in system.locks_file.blocks if b.lock is not None)
        if applies
        else (),
        "vendors": tuple(tuple(sorted(names)) for _, names in sorted(lists.items()) if names != built_in),
    }


# what repositories know


def _known(where: Sources, system: System | None) -> Callable[[Seen], bool]:
    """Whether a repository describes a package, so that its symbols need not be sent.

    zypper keeps an index beside each cache; where there is none, nothing counts as known: a longer line at
    worst. A digest goes along, so that a build of the same name with other symbols is told apart later.
    """
    if where.repositories is not None:
        named = frozenset(_in_repositories(where))
        return lambda seen: str(seen.nevra) in named
    found: set[str] = set()
    for repository in system.repositories if system is not None else ():
        if repository.location is None or system is None:
            continue
        folder = repository.alias.replace("/", "_")
        try:
            index = system.root.path(f"{system.conf.solv_folder}/{folder}/solv.idx").read_text(
                "utf-8", "replace"
            )
        except (OSError, KmpsolveError):
            continue
        found.update(index.splitlines())
    return lambda seen: f"{seen.nevra.name}\t{seen.nevra.evr}\t{seen.nevra.arch}" in found


def _in_repositories(where: Sources) -> Iterator[str]:
    from kmpsolve.metadata.source import open_source
    from kmpsolve.request import Policy
    from kmpsolve.solver.listing import every_package
    from kmpsolve.solver.universe import Universe

    universe = Universe(Policy())
    for alias, source in where.repositories or ():
        try:
            universe.load(open_source(source, alias=alias))
        except MetadataError:
            continue
    yield from (str(entry.nevra) for entry in every_package(universe))


def _given(source: str) -> list[Seen]:
    """The packages of a folder of RPMs, an rpm-md folder or a .solv file, taken for a system."""
    from kmpsolve.metadata.source import open_source
    from kmpsolve.request import Policy
    from kmpsolve.solver.listing import every_package
    from kmpsolve.solver.universe import SYSTEM, Universe

    try:
        content = open_source(source, alias=SYSTEM)
    except KmpsolveError as error:
        error.where = "--installed" if error.where == SYSTEM else error.where
        raise
    universe = Universe(Policy())
    universe.load(content)
    return [
        Seen(
            nevra=entry.nevra,
            vendor=entry.vendor,
            provides=entry.provides,
            requires=entry.requires,
            conflicts=entry.conflicts,
            obsoletes=entry.obsoletes,
            module_files=content.module_files.get(str(entry.nevra), ()),
            triggers=content.triggers.get(str(entry.nevra), ()),
            owns=entry.owns,
        )
        for entry in every_package(universe)
    ]


# what no package owns


def _loose_modules(root: Root, installed: Iterable[Seen]) -> Iterator[LooseModule]:
    """Modules beside the kernels' own ones that no package owns, with what they need."""
    owned = {_one_spelling(file) for package in installed for file in package.module_files}
    for tree in dict.fromkeys(("/lib/modules", "/usr/lib/modules")):
        if tree != "/lib/modules" and root.path(tree) == root.path("/lib/modules"):
            return
        for uname_r in root.names(tree) if root.path(tree).is_dir() else ():
            for folder in root.names(f"{tree}/{uname_r}") if root.path(f"{tree}/{uname_r}").is_dir() else ():
                top = root.path(f"{tree}/{uname_r}/{folder}")
                if folder in _SKIPPED_FOLDERS or not top.is_dir():
                    continue
                for path in sorted(top.rglob("*.ko*")):
                    inside = f"{tree}/{uname_r}/{folder}/{path.relative_to(top)}"
                    if (
                        path.is_symlink()
                        or not _MODULE_FILE.search(path.name)
                        or _one_spelling(inside) in owned
                    ):
                        continue
                    # What reads modules takes long to load, and few hosts have any.
                    from kmpsolve.modules.module import read_module

                    needs: dict[str, str] | None = None
                    exports: dict[str, str] = {}
                    with contextlib.suppress(KmpsolveError):
                        read = read_module(path)
                        needs = dict(sorted(read.versions.items()))
                        exports = {name: one.crc for name, one in sorted(read.exports.items()) if one.crc}
                    module = _MODULE_FILE.sub("", path.name).replace("-", "_")
                    yield LooseModule(
                        module=module, path=inside, uname_r=uname_r, needs=needs, exports=exports
                    )


def _one_spelling(path: str) -> str:
    return path.removeprefix("/usr")


# what the firmware and the kernel trust


def _secure_boot() -> bool | None:
    """Whether Secure Boot is on; ``None`` if this machine does not tell."""
    try:
        value = Path(_SECURE_BOOT).read_bytes()
    except OSError:
        return False if not Path("/sys/firmware/efi").exists() else None
    return value[-1:] == b"\x01" if len(value) == 5 else None


def _enrolled_keys() -> list[str]:
    """Ids of the certificates that the kernel trusts, as far as it shows them to this user."""
    try:
        text = Path("/proc/keys").read_text("utf-8", "replace")
    except OSError:
        return []
    return sorted({match["id"] for line in text.splitlines() if (match := _KEY.search(line))})
