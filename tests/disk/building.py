"""Disks made on purpose: real kernels' modules, KMPs with real modules, links, initrds, depmod's files."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from kmpsolve.machine.reading import Disk, read_disk
from kmpsolve.machine.verify import verify_disk
from kmpsolve.machine.verifyreport import VerifyReport
from kmpsolve.metadata.rootpath import Root
from kmpsolve.model.nevra import Nevra
from kmpsolve.modules.kernel import Kernel
from kmpsolve.modules.loader import judge
from kmpsolve.modules.module import Module, module_name, read_module
from tests.modules.debian import DebianKernel

# What SUSE's suse-module-tools configures.
DEPMOD_CONF = "search updates extra weak-updates kgraft built-in\n"


@cache
def stock(kernel: DebianKernel) -> Mapping[str, Path]:
    """Small modules of a kernel's own tree, by name; some kernels have them compressed."""
    return {
        module_name(str(path)): path
        for path in sorted(kernel.tree.rglob("*.ko*"))
        if path.stat().st_size < 14_000
    }


@cache
def module_of(path: Path) -> Module:
    return read_module(path)


@cache
def loader_view(kernel: DebianKernel) -> Kernel:
    return Kernel(source=kernel.uname_r, symvers=kernel.symvers, uname_r=kernel.uname_r)


@cache
def fitting(module: Path, kernel: DebianKernel) -> bool:
    """Whether a module on its own loads on a kernel."""
    return judge(module_of(module), loader_view(kernel)).verdict == "safe"


@cache
def names_that(kernel: DebianKernel, other: DebianKernel, *, fit: bool) -> tuple[str, ...]:
    """Names of modules without dependencies that `kernel` has, and that do, or do not, load on `other`."""
    return tuple(
        name
        for name, path in stock(kernel).items()
        if name in stock(other)
        and not module_of(path).depends
        and not module_of(path).exports
        and fitting(path, other) is fit
        and module_of(path).versions
    )


@dataclass
class Building:
    """A system's disk under construction."""

    root: Path
    owned: dict[str, list[str]] = field(default_factory=dict)

    @property
    def modules(self) -> Path:
        return self.root / "usr" / "lib" / "modules"

    def start(self) -> Building:
        self.modules.mkdir(parents=True)
        (self.root / "boot").mkdir()
        (self.root / "lib").symlink_to("usr/lib")
        conf = self.root / "usr" / "lib" / "depmod.d" / "00-system.conf"
        conf.parent.mkdir()
        conf.write_text(DEPMOD_CONF)
        return self

    def tree(self, kernel: DebianKernel) -> Path:
        return self.modules / kernel.uname_r

    def own(self, nevra: str, path: Path) -> None:
        self.owned.setdefault(nevra, []).append("/lib/modules/" + str(path.relative_to(self.modules)))

    def kernel(self, kernel: DebianKernel, modules: Iterable[str]) -> None:
        """A kernel with some of its own modules, and the list of its symbols."""
        abi = kernel.abi.rpartition("-")
        nevra = f"kernel-amd64-{abi[0]}-{abi[2]}.x86_64" if abi[0] else f"kernel-amd64-{abi[2]}-1.x86_64"
        for name in modules:
            source = stock(kernel)[name]
            place = self.tree(kernel) / "kernel" / "drivers" / source.name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, place)
            self.own(nevra, place)
        shutil.copy(kernel.symvers_file, self.root / "boot" / f"symvers-{kernel.uname_r}")

    def kmp(
        self, nevra: str, home: DebianKernel, files: Mapping[str, Path], folder: str = "updates"
    ) -> dict[str, Path]:
        """Install a KMP's files: file name -> the module that is copied there."""
        placed = {}
        for name, source in files.items():
            place = self.tree(home) / folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, place)
            self.own(nevra, place)
            placed[name] = place
        return placed

    def link(self, kernel: DebianKernel, target: Path | str, *, name: str | None = None) -> Path:
        """A link in weak-updates/, as weak-modules2 makes it."""
        if isinstance(target, Path):
            below = target.relative_to(self.modules)
            inside = Path(*below.parts[1:])
            text = "../" * (len(inside.parts) + 1) + str(below)
        else:
            text = target
            inside = Path("updates") / target.rpartition("/")[2]
        place = self.tree(kernel) / "weak-updates" / (inside.with_name(name) if name else inside)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(text)
        return place

    def link_as_foreseen(self) -> None:
        """All links that the forecast wants; relative, since depmod follows absolute ones out of ``-b``."""
        for kernel in self.disk().kernels:
            for path, target in kernel.expected.links.items():
                place = self.root / "usr" / path.lstrip("/")
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(os.path.relpath(self.root / "usr" / target.lstrip("/"), place.parent))

    def depmod(self) -> None:
        for tree in sorted(self.modules.iterdir()):
            depmod(self.root, tree.name)

    def initrd(self, kernel: DebianKernel, modules: Mapping[str, Path]) -> Path:
        """An initrd with these modules, made by cpio and gzip."""
        work = self.root / ".initrd"
        for name, source in modules.items():
            place = work / "lib" / "modules" / kernel.uname_r / "kernel" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, place)
        made = self.root / "boot" / f"initrd-{kernel.uname_r}"
        with made.open("wb") as target:
            subprocess.run(
                ["sh", "-c", "find . | LC_ALL=C sort | cpio --quiet -o -H newc | gzip -1"],
                cwd=work,
                stdout=target,
                check=True,
            )
        shutil.rmtree(work)
        return made

    def disk(self) -> Disk:
        files = {nevra: tuple(paths) for nevra, paths in self.owned.items()}
        for nevra in files:
            Nevra.parse(nevra)
        return read_disk(Root.at(self.root), files, lambda _: None)

    def verify(self) -> VerifyReport:
        return verify_disk(self.disk())

    def found(self) -> list[tuple[str, str, str]]:
        """What verify finds: reference, severity, subject."""
        return [(f.reference, f.severity, f.subject) for f in self.verify().findings]


def depmod(root: Path, uname_r: str, *arguments: str) -> str:
    """Run the real depmod on a root; what it complained about."""
    done = subprocess.run(
        ["depmod", "-b", root, "-C", root / "usr/lib/depmod.d", *arguments, uname_r],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
    )
    return done.stderr


def modules_dep(root: Path, uname_r: str) -> dict[str, str]:
    """Module name -> path below the tree, as the real depmod resolved it."""
    text = (root / "usr/lib/modules" / uname_r / "modules.dep").read_text()
    paths = [line.partition(":")[0] for line in text.splitlines()]
    return {module_name(path): path for path in paths}
