"""Who plays: Debian's kernels as kernel-default, and our own modules as a KMP for each of them."""

from __future__ import annotations

import gzip
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

from kmpsolve.model.evr import Evr
from tests.modules import debian, kbuild
from tests.modules.debian import DebianKernel
from tests.support.packages import PackageSpec

MODULES = ("kmpsolve_base", "kmpsolve_user")
_WEAK_MODULES = "/usr/lib/module-init-tools/weak-modules2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A Debian kernel under a name of SUSE's; only its own ``uname -r`` stays what it is."""

    debian: DebianKernel

    @property
    def krel(self) -> str:
        return self.debian.abi.replace("+deb", "-").removesuffix("-cloud-amd64")

    @property
    def evr(self) -> Evr:
        version, _, release = self.krel.partition("-")
        return Evr(0, version, f"{release}.1")

    @property
    def uname_r(self) -> str:
        return f"{self.krel}-default"

    @property
    def vmlinuz(self) -> str:
        return f"/boot/vmlinuz-{self.uname_r}"

    @cache  # noqa: B019 - three kernels, and 14 MB to read for each
    def package(self) -> PackageSpec:
        symvers = self.debian.symvers_file.read_bytes()
        exports = (line.split("\t") for line in symvers.decode().splitlines())
        return PackageSpec(
            name="kernel-default",
            version=self.evr.version,
            release=self.evr.release,
            provides=(
                f"kernel-uname-r = {self.uname_r}",
                "multiversion(kernel)",
                *(f"ksym(default:{symbol}) = {_crc(crc)}" for crc, symbol, *_ in exports),
            ),
            contents=(
                (self.vmlinuz, self.debian.vmlinuz.read_bytes()),
                (f"/boot/symvers-{self.uname_r}.gz", gzip.compress(symvers, mtime=0)),
                *((f"/lib/modules/{self.uname_r}/{path.name}", path.read_bytes()) for path in self._lists()),
            ),
            scripts=(("post", f"sh {_WEAK_MODULES}\nln -sf {Path(self.vmlinuz).name} /boot/vmlinuz"),),
        )

    def _lists(self) -> list[Path]:
        return sorted(self.debian.tree.glob("modules.*"))

    def kmp(self, version: str) -> PackageSpec:
        """The modules, compiled for this kernel."""
        built = kbuild.modules(self.debian)
        krel = self.krel.replace("-", "_")
        exports = [line.split("\t") for line in (built / "Module.symvers").read_text().splitlines()]
        own = {symbol for _, symbol, *_ in exports}
        needs = {
            symbol: crc
            for module in MODULES
            for crc, symbol in _modversions(built / f"{module}.ko")
            if symbol not in own
        }
        return PackageSpec(
            name="acme-kmp-default",
            version=f"{version}_k{krel}",
            release="1",
            vendor="ACME Inc.",
            provides=(
                f"acme-kmp = {version}",
                f"acme-kmp-default-k{krel}",
                "multiversion(kernel)",
                *(f"kmod({module}.ko)" for module in MODULES),
                *(f"ksym(default:{symbol}) = {_crc(crc)}" for crc, symbol, *_ in exports),
            ),
            requires=(
                "suse-kernel-rpm-scriptlets",
                *(f"ksym(default:{symbol}) = {_crc(crc)}" for symbol, crc in sorted(needs.items())),
            ),
            conflicts=(f"acme-kmp-default-k{krel}",),
            enhances=("kernel-default",),
            contents=tuple(
                (f"/lib/modules/{self.uname_r}/updates/{module}.ko", (built / f"{module}.ko").read_bytes())
                for module in MODULES
            ),
            scripts=(("post", f"sh {_WEAK_MODULES}"),),
        )


def _crc(text: str) -> str:
    """As find-provides.ksyms writes it: hex without 0x and leading zeros."""
    return f"{int(text, 16):x}"


def _modversions(module: Path) -> list[list[str]]:
    """(CRC, symbol) for every symbol version that a module was compiled with, as kmod reads them."""
    command = ["/sbin/modprobe", "--dump-modversions", str(module)]
    asked = subprocess.run(command, check=True, capture_output=True, text=True)
    return [line.split() for line in asked.stdout.splitlines()]


def scriptlets() -> PackageSpec:
    """What kernels and KMPs call when they are installed, and the shell, which no RPM provides here."""
    return PackageSpec(
        name="suse-module-tools",
        version="1",
        release="1",
        provides=("suse-kernel-rpm-scriptlets", "/bin/sh"),
        contents=((_WEAK_MODULES, (Path(__file__).parent / "weak-modules2").read_bytes()),),
    )


def an_update() -> tuple[Kernel, Kernel]:
    """Two kernels of a series, near each other without having one kABI."""
    old, new = debian.kernel_pairs()[0]
    return Kernel(debian=old), Kernel(debian=new)


def a_choice() -> tuple[Kernel, Kernel, Kernel]:
    """A kernel, a newer one with the very same kABI, and the next one, which has another.

    Debian's archive need not have such three at all times; then the first stands for the second, too, and
    the newest safe kernel is the one that is installed.
    """
    kernels = list(_builds())
    for old, safe, new in zip(kernels, kernels[1:], kernels[2:], strict=False):
        if old.symvers.crcs == safe.symvers.crcs != new.symvers.crcs:
            return Kernel(debian=old), Kernel(debian=safe), Kernel(debian=new)
    first, last = an_update()
    return first, first, last


def _builds() -> Iterator[DebianKernel]:
    """The last four builds of each series; the archive keeps more, not all of them whole."""
    names = debian.package_names()
    found = [
        DebianKernel(uname_r=name.removeprefix("linux-headers-"))
        for name in names
        if re.fullmatch(r"linux-headers-[0-9].*-cloud-amd64", name)
        and name.replace("headers", "image") in names
    ]
    kernels = sorted(found, key=lambda kernel: Evr.parse(kernel.abi))
    for _, series in groupby(kernels, key=lambda kernel: kernel.abi.split(".")[:2]):
        yield from list(series)[-4:]
