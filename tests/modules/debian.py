"""Debian's kernels: real headers to compile against, real images to boot, several builds of each series."""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import combinations, groupby
from pathlib import Path

from kmpsolve.model.evr import Evr
from kmpsolve.modules.module import Module, read_module
from kmpsolve.modules.symvers import Symvers, read_symvers
from tests.support import cache as test_cache

_CLOUD = re.compile(r"linux-headers-(?P<uname_r>(?P<series>[0-9]+\.[0-9]+)\..*-cloud-amd64)")


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianKernel:
    """One build of a Debian kernel; its files are fetched when they are asked for."""

    uname_r: str

    @property
    def abi(self) -> str:
        """The uname -r without the flavor, as in ``6.1.0-54``."""
        return re.sub(r"-(?:(?:cloud|rt)-)?amd64$", "", self.uname_r)

    @property
    def flavor(self) -> str:
        return self.uname_r.removeprefix(f"{self.abi}-")

    @property
    def symvers_file(self) -> Path:
        headers = unpacked(f"linux-headers-{self.uname_r}", "*/Module.symvers")
        return next(headers.rglob("Module.symvers"))

    @property
    def symvers(self) -> Symvers:
        return _symvers(self.symvers_file)

    @property
    def image(self) -> Path:
        """The unpacked image package."""
        return unpacked(f"linux-image-{self.uname_r}")

    @property
    def tree(self) -> Path:
        return self.image / "lib" / "modules" / self.uname_r

    @property
    def vmlinuz(self) -> Path:
        return self.image / "boot" / f"vmlinuz-{self.uname_r}"

    def headers(self, place: Path) -> Path:
        """Unpack what modules are compiled with below `place`, and return the folder to build in."""
        common = f"linux-headers-{self.abi}-common" + ("-rt" if self.flavor.startswith("rt") else "")
        depends = _output("apt-cache", "depends", "--no-recommends", f"linux-headers-{self.uname_r}")
        kbuild = next(word for word in depends.split() if word.startswith("linux-kbuild-"))
        for name in (f"linux-headers-{self.uname_r}", common, kbuild):
            # Of 20,000 headers most are for other machines.
            _unpack(name, place, "--exclude=*/arch/[!x]*")
        folder = place / "usr" / "src" / f"linux-headers-{self.uname_r}"
        (folder / "Makefile").write_text(f"include {place}/usr/src/{common}/Makefile\n")
        # With it the build would want pahole, to make type information that no test reads.
        (folder / "vmlinux").unlink(missing_ok=True)
        return folder


@cache
def tree_modules(kernel: DebianKernel) -> tuple[Module, ...]:
    """All modules of a kernel's image package, read once a process."""
    return tuple(read_module(path) for path in sorted((kernel.tree / "kernel").rglob("*.ko*")))


@cache
def _symvers(path: Path) -> Symvers:
    return read_symvers(path)


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Only one test process fetches, others wait and then find it done."""
    place = test_cache.root() / "debian"
    place.mkdir(parents=True, exist_ok=True)
    with (place / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@cache
def package_names() -> frozenset[str]:
    """All packages that apt knows; refreshes its lists if it knows no kernel."""
    names = _output("apt-cache", "pkgnames", "linux-")
    if not any(_CLOUD.fullmatch(name) for name in names.split()):
        _output("apt-get", "update", "-qq")
        names = _output("apt-cache", "pkgnames", "linux-")
    return frozenset(names.split())


def package(name: str) -> Path:
    """The .deb of that name, downloaded if need be."""
    with _alone("download"):
        place = test_cache.root() / "debian" / "packages"
        place.mkdir(exist_ok=True)
        if known := sorted(place.glob(f"{name}_*.deb")):
            return known[-1]
        with tempfile.TemporaryDirectory(dir=place) as draft:
            for refresh in (False, True):
                if refresh:
                    _output("apt-get", "update", "-qq")
                done = subprocess.run(
                    ["apt-get", "download", "-q", name], cwd=draft, capture_output=True, text=True
                )
                if not done.returncode:
                    break
            else:
                raise RuntimeError(done.stderr)
            (deb,) = Path(draft).glob("*.deb")
            return deb.rename(place / deb.name)


def _unpack(name: str, place: Path, *patterns: str) -> None:
    place.mkdir(parents=True, exist_ok=True)
    tar = ["tar", "--extract", "--directory", str(place), "--wildcards", *patterns]
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package(name)], stdout=subprocess.PIPE) as unpacker:
        subprocess.run(tar, stdin=unpacker.stdout, check=True)


def unpacked(name: str, *patterns: str) -> Path:
    """A package's files, or those that match `patterns`, in the cache."""

    def fill(draft: Path) -> None:
        _unpack(name, draft, *patterns)

    with _alone("unpack"):
        return test_cache.folder("debian", test_cache.digest(package(name).name, patterns), fill)


def _distance(a: DebianKernel, b: DebianKernel) -> tuple[bool, int]:
    """How far apart two kernels are: whether not even the module structure is alike; symbols that differ."""
    ours, theirs = a.symvers.crcs, b.symvers.crcs
    differing = sum(theirs.get(symbol) != crc for symbol, crc in ours.items())
    return ours["module_layout"] != theirs["module_layout"], differing


@cache
def _series() -> tuple[tuple[DebianKernel, ...], ...]:
    """The four newest cloud kernels of each series, oldest first."""
    names = package_names()
    cloud = sorted(
        (match["series"], match["uname_r"])
        for name in names
        if (match := _CLOUD.fullmatch(name)) and f"linux-image-{match['uname_r']}" in names
    )
    return tuple(
        tuple(
            sorted(
                (DebianKernel(uname_r=uname_r) for _, uname_r in group),
                key=lambda build: Evr.parse(build.abi),
            )[-4:]
        )
        for _, group in groupby(cloud, key=lambda found: found[0])
    )


@cache
def kernel_pairs() -> tuple[tuple[DebianKernel, DebianKernel], ...]:
    """For each series of kernels the two builds that are nearest to each other without being alike.

    A far relative fails on its first symbol, the structure of modules; near ones differ in single symbols,
    and some modules load on both.
    """
    pairs = []
    for builds in _series():
        unlike = [pair for pair in combinations(builds, 2) if _distance(*pair)[1]]
        if not unlike:
            raise RuntimeError(f"apt has no two builds that differ in symbols among {_listed(builds)}")
        pairs.append(min(unlike, key=lambda pair: _distance(*pair)))
    return tuple(pairs)


def identical_pair() -> tuple[DebianKernel, DebianKernel]:
    """Two builds of one series whose symbols are the same: what is built for one loads on the other."""
    for builds in _series():
        for pair in combinations(builds, 2):
            if _distance(*pair) == (False, 0) and _distance(*reversed(pair)) == (False, 0):
                return pair
    every = [build for builds in _series() for build in builds]
    raise RuntimeError(f"apt has no two kernels with the same symbols among {_listed(every)}")


def _listed(builds: Sequence[DebianKernel]) -> str:
    return ", ".join(build.uname_r for build in builds)


def cloud_kernels() -> Sequence[DebianKernel]:
    return [kernel for pair in kernel_pairs() for kernel in pair]


def rt_kernel() -> DebianKernel:
    """The newest real-time build of the oldest series."""
    series = kernel_pairs()[0][0].uname_r.rpartition(".")[0]
    names = [
        name.removeprefix("linux-headers-")
        for name in package_names()
        if name.startswith(f"linux-headers-{series}") and name.endswith("-rt-amd64") and name.count("-") > 4
    ]
    return max((DebianKernel(uname_r=name) for name in names), key=lambda build: Evr.parse(build.abi))


def busybox() -> Path:
    """The static busybox, wherever the package puts it."""
    found = shutil.which("busybox")
    assert found, "busybox-static is missing: tests/modules/apt-packages.txt"
    return Path(found)
