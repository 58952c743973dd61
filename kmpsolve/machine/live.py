"""What this machine uses now: loaded modules, initrd, modules-load.d, hardware, the way to its disks."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from kmpsolve.errors import ConfigError, MetadataError
from kmpsolve.machine.bootpath import Anchor, boot_path, loaded_modules
from kmpsolve.machine.initrd import find_initrd, read_initrd
from kmpsolve.machine.sysfs import modaliases_in
from kmpsolve.metadata.files import read_small
from kmpsolve.metadata.rootpath import Root
from kmpsolve.model.modalias import Modaliases

__all__ = ["LiveMachine"]

_LOAD_FOLDERS = tuple(
    f"{top}/modules-load.d" for top in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
)
_LOAD_KEYS = frozenset(
    ("modules_load", "rd.modules_load", "rd.driver.pre", "rd.driver.post", "rdloaddriver", "rdinsmodpost")
)
"""What loads modules on the kernel's command line, with a dash or an underscore: systemd's, dracut's old and new."""
_MODULES = "/lib/modules"


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
    def asked_for(self) -> frozenset[str] | None:
        """What modules-load.d(5) or the kernel's command line loads at boot; ``None`` if it cannot be read."""
        files: dict[str, str] = {}
        found: set[str] = set()
        try:
            for folder in _LOAD_FOLDERS:
                for name in self.root.names(folder):
                    if name.endswith(".conf"):
                        files.setdefault(name, f"{folder}/{name}")
            for path in files.values():
                text = self.root.read(path) or ""
                found |= {line for line in map(str.strip, text.splitlines()) if line and line[0] not in "#;"}
        except (ConfigError, MetadataError):
            return None
        try:
            words = read_small(self.proc.folder / "cmdline").decode().split()
        except (OSError, UnicodeDecodeError):
            words = []
        for word in words:
            key, _, value = word.partition("=")
            if key.replace("-", "_") in _LOAD_KEYS:
                found |= set(filter(None, value.split(",")))
        return frozenset(map(_plain, found))

    @cached_property
    def for_hardware(self) -> frozenset[str] | None:
        """The modules whose aliases match a device here; ``None`` if the running kernel's cannot be read.

        Every kernel's modules.alias is asked: a driver for hardware that is there may be installed for another
        kernel than the running one.
        """
        aliases: set[tuple[str, str]] = set()
        try:
            kernels = self.root.names(_MODULES)
        except (ConfigError, MetadataError):
            return None
        for kernel in kernels:
            text = self._text(f"{_MODULES}/{kernel}/modules.alias")
            if text is None and kernel == self.uname_r:
                return None
            lines = map(str.split, (text or "").splitlines())
            aliases.update((words[1], words[2]) for words in lines if len(words) == 3 and words[0] == "alias")
        found: set[str] = set()
        for pattern, module in aliases:
            if module not in found and self.devices.matching(pattern):
                found.add(module)
        return frozenset(map(_plain, found))

    def _text(self, inside: str) -> str | None:
        try:
            return self.root.read(inside)
        except (ConfigError, MetadataError):
            return None

    def uses(self, module: str) -> tuple[str, ...]:
        """Why a module counts as in use, for a sentence that begins with its name; empty if it does not."""
        reasons = []
        if self.loaded is None or module in self.loaded:
            reasons.append("is loaded" if self.loaded is not None else "may be loaded")
        if self.asked_for is None or module in self.asked_for:
            reasons.append("is loaded at boot" if self.asked_for is not None else "may be loaded at boot")
        reasons += [f"drives {anchor.purpose}" for anchor in self.anchors if module in anchor.modules]
        if self.in_initrd is None or module in self.in_initrd:
            reasons.append("is in the initrd" if self.in_initrd is not None else "may be in the initrd")
        if self.for_hardware is None or module in self.for_hardware:
            matches = "matches" if self.for_hardware is not None else "may match"
            reasons.append(f"{matches} hardware that is there")
        return tuple(reasons)

    def boots_from(self, modules: Iterable[str]) -> tuple[str, ...]:
        """What the machine would lose without these modules: purposes, the most important first."""
        names = frozenset(modules)
        return tuple(anchor.purpose for anchor in self.anchors if names & anchor.modules)

    def starts_with(self, modules: Iterable[str]) -> bool:
        """Whether the running kernel's initrd is known to hold one of these modules."""
        return not frozenset(modules).isdisjoint(self.in_initrd or ())
