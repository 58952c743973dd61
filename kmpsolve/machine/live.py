"""What this machine uses now: loaded modules, initrd, modules-load.d, hardware, the way to its disks."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from kmpsolve.errors import ConfigError, MetadataError
from kmpsolve.machine.bootpath import Anchor, boot_path, loaded_modules
from kmpsolve.machine.initrd import find_initrd, read_initrd
from kmpsolve.machine.sysfs import modaliases_in
from kmpsolve.metadata.rootpath import Root
from kmpsolve.model.modalias import Modaliases

__all__ = ["LiveMachine"]

_LOAD_FOLDERS = tuple(
    f"{top}/modules-load.d" for top in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
)


def _plain(name: str) -> str:
    return name.replace("-", "_")


class LiveMachine:
    """The running machine, asked module by module; everything is read when it is first asked for.

    What cannot be read counts as in use: a driver must not pass for unused because nobody could look.

    Parameters
    ----------
    uname_r
        The running kernel.
    root, sys, proc
        Where the system, /sys and /proc are.
    """

    def __init__(
        self,
        uname_r: str,
        *,
        root: Root | None = None,
        sys: Root | None = None,
        proc: Root | None = None,
    ) -> None:
        self.uname_r = uname_r
        self.root = root or Root(Path("/"))
        self.sys = sys or Root(Path("/sys"))
        self.proc = proc or Root(Path("/proc"))

    @cached_property
    def anchors(self) -> tuple[Anchor, ...]:
        """What the machine cannot do without."""
        return boot_path(self.sys, self.proc)

    @cached_property
    def devices(self) -> Modaliases:
        """Its hardware."""
        return Modaliases(modaliases_in(self.sys))

    @cached_property
    def loaded(self) -> frozenset[str] | None:
        """The loaded modules; ``None`` if nobody can tell."""
        loaded = loaded_modules(self.proc)
        return None if loaded is None else frozenset(loaded)

    @cached_property
    def in_initrd(self) -> frozenset[str] | None:
        """The modules in the running kernel's initrd; ``None`` if it cannot be read."""
        inside = find_initrd(self.root, self.uname_r)
        if inside is None:
            return frozenset()
        try:
            return frozenset(read_initrd(self.root, inside).modules)
        except MetadataError:
            return None

    @cached_property
    def asked_for(self) -> frozenset[str]:
        """The modules that modules-load.d(5) or the kernel's command line loads at boot."""
        files: dict[str, str] = {}
        for folder in _LOAD_FOLDERS:
            for name in self.root.names(folder):
                if name.endswith(".conf"):
                    files.setdefault(name, f"{folder}/{name}")
        found: set[str] = set()
        for path in files.values():
            try:
                text = self.root.read(path) or ""
            except ConfigError:
                continue
            found |= {line for line in map(str.strip, text.splitlines()) if line and line[0] not in "#;"}
        try:
            words = (self.proc.folder / "cmdline").read_text().split()
        except (OSError, UnicodeDecodeError):
            words = []
        for word in words:
            key, _, value = word.partition("=")
            if key in ("modules_load", "modules-load", "rd.driver.pre", "rd.driver.post"):
                found |= set(filter(None, value.split(",")))
        return frozenset(map(_plain, found))

    @cached_property
    def for_hardware(self) -> frozenset[str]:
        """The modules whose aliases match a device here, by the running kernel's modules.alias."""
        found = set()
        try:
            text = self.root.read(f"/lib/modules/{self.uname_r}/modules.alias") or ""
        except (ConfigError, MetadataError):
            text = ""
        for line in text.splitlines():
            words = line.split()
            if len(words) != 3 or words[0] != "alias" or words[2] in found:
                continue
            if self.devices.matching(words[1]):
                found.add(words[2])
        return frozenset(map(_plain, found))

    def uses(self, module: str) -> tuple[str, ...]:
        """Why a module counts as in use, for a sentence that begins with its name; empty if it does not."""
        reasons = []
        if self.loaded is None or module in self.loaded:
            reasons.append("is loaded" if self.loaded is not None else "may be loaded")
        if module in self.asked_for:
            reasons.append("is loaded at boot")
        reasons += [f"drives {anchor.purpose}" for anchor in self.anchors if module in anchor.modules]
        if self.in_initrd is None or module in self.in_initrd:
            reasons.append("is in the initrd" if self.in_initrd is not None else "may be in the initrd")
        if module in self.for_hardware:
            reasons.append("matches hardware that is there")
        return tuple(reasons)

    def boots_from(self, modules: Iterable[str]) -> tuple[str, ...]:
        """What the machine would lose without these modules: purposes, the most important first."""
        names = frozenset(modules)
        return tuple(anchor.purpose for anchor in self.anchors if names & anchor.modules)
