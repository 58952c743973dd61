"""Data at the size of a SLE product, the same for the same seed.

Symbol names and CRCs are those of a real kernel, Debian's; each further kernel changes 0.5 % of the CRCs, every
tenth 60 %, as maintenance updates and service packs do. Run as a program, it makes one world; the benchmarks
do so in a process of their own, whose memory is not theirs.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

CHECKOUT = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("KMPSOLVE_BENCH_CACHE") or CHECKOUT / ".cache" / "bench")
FORMAT = 5
"""Raised whenever the same shape is to make another world."""

SUSE = "SUSE LLC <https://www.suse.com/>"
_UPSTREAM = "6.4.0"
_STAMP = 1_700_000_000
_MODULES = 3_000
_CHANGED, _CHANGED_AT_SERVICE_PACK = 0.005, 0.6
_BUILDS = 5
_NAMES = 0.4
"""Of the other packages this part are names; the rest are further versions of these."""
_SOURCES = 6
"""So many other packages come from one source, and their new versions with one patch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How large a world is.

    Parameters
    ----------
    kernels, kmps, symbols, others
        Kernel builds, KMPs (five builds each), ksyms of a kernel, packages of any other kind.
    installed_kmps, installed_others
        Of these, how many are on the system; two kernels always are.
    blocked
        One installed KMP has no build for any newer kernel.
    """

    kernels: int = 60
    kmps: int = 300
    symbols: int = 28_000
    others: int = 40_000
    installed_kmps: int = 20
    installed_others: int = 2_000
    blocked: bool = False
    seed: int = 1

    @property
    def name(self) -> str:
        """A name that no other shape has."""
        text = json.dumps([FORMAT, asdict(self)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def folder(self) -> Path:
        """Where its world lies: ``sle`` and ``vendor`` (rpm-md), and ``installed.json``."""
        return CACHE / self.name


@dataclass(frozen=True, slots=True)
class Package:
    name: str
    version: str
    release: str
    vendor: str = SUSE
    arch: str = "x86_64"
    provides: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    supplements: tuple[str, ...] = ()


def ready(shape: Shape) -> Path:
    """The folder of a world, made if need be, in a process of its own."""
    if not (shape.folder / "installed.json").is_file():
        arguments = [f"--{key.replace('_', '-')}={int(value)}" for key, value in asdict(shape).items()]
        subprocess.run([sys.executable, "-m", "benchmarks.data", *arguments], cwd=CHECKOUT, check=True)
    return shape.folder


def make(shape: Shape) -> None:
    """Write the world of `shape`."""
    rnd = random.Random(shape.seed)  # noqa: S311 (no secret: the same world for the same seed)
    draft = shape.folder.with_name(f".draft-{shape.name}-{os.getpid()}")
    draft.mkdir(parents=True)
    symbols = symbol_versions(shape.symbols)
    kernels = list(_crcs(rnd, symbols, shape.kernels))
    others = list(_others(rnd, shape.others, shape.installed_others))
    current = max(0, shape.kernels - 3)
    kmps = list(_kmps(rnd, shape, kernels, current))
    packages = [_kernel(number, crcs) for number, crcs in enumerate(kernels)]
    patches = _patches(packages, [package for package, _ in others])
    _write_repository(draft / "sle", [*packages, *(package for package, _ in others)], patches)
    _write_repository(draft / "vendor", [build for builds in kmps for build in builds])
    installed = packages[max(0, current - 1) : current + 1]
    installed += [builds[1] for builds in _chosen(kmps, shape.installed_kmps)]
    installed += [package for package, there in others if there]
    (draft / "installed.json").write_text(json.dumps([asdict(package) for package in installed]))
    shutil.rmtree(shape.folder, ignore_errors=True)
    draft.rename(shape.folder)


def symbol_versions(count: int) -> dict[str, str]:
    """Symbol -> CRC of Debian's kernel; what it has too few of is spelled with a suffix."""
    lines = [line.split("\t") for line in _symvers().read_text().splitlines()]
    found = {fields[1]: f"{int(fields[0], 16):x}" for fields in lines}
    names = list(found)
    for number in range(len(names), count):
        name, turn = names[number % len(names)], number // len(names)
        found[f"{name}_{turn}"] = f"{int(found[name], 16) ^ turn:x}"
    return dict(list(found.items())[:count])


def _symvers() -> Path:
    place = CACHE / "Module.symvers"
    if not place.is_file():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as name:
            work = Path(name)
            text = _output(work, "apt-cache", "depends", "linux-headers-amd64")
            package = next(word for word in text.split() if word.endswith("-amd64") and word[14].isdigit())
            _output(work, "apt-get", "download", package)
            _output(work, "dpkg", "-x", next(work.glob("*.deb")).name, "x")
            next((work / "x").rglob("Module.symvers")).replace(place)
    return place


def _output(folder: Path, *command: str) -> str:
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def _crcs(rnd: random.Random, symbols: dict[str, str], kernels: int) -> Iterator[dict[str, str]]:
    names = list(symbols)
    crcs = symbols
    for number in range(kernels):
        if number:
            part = _CHANGED if number % 10 else _CHANGED_AT_SERVICE_PACK
            changed = rnd.sample(names, int(len(names) * part))
            crcs = {**crcs, **{name: f"{rnd.getrandbits(32):x}" for name in changed}}
        yield crcs


def _krel(number: int) -> str:
    return f"{_UPSTREAM}-150600.{number + 1}"


def _kernel(number: int, crcs: dict[str, str]) -> Package:
    krel = _krel(number)
    return Package(
        name="kernel-default",
        version=_UPSTREAM,
        release=f"{krel.partition('-')[2]}.1",
        provides=(
            f"kernel-uname-r = {krel}-default",
            "multiversion(kernel)",
            *(f"kmod(module{i}.ko)" for i in range(_MODULES)),
            *(f"ksym(default:{name}) = {crc}" for name, crc in crcs.items()),
        ),
    )


def _kmps(
    rnd: random.Random, shape: Shape, kernels: list[dict[str, str]], current: int
) -> Iterator[list[Package]]:
    """Five builds of each KMP: for the newest kernel, the installed one, and older ones."""
    newest = shape.kernels - 1
    step = max(1, shape.kernels // 6)
    targets = [newest, current, *(max(0, newest - step * build) for build in range(2, _BUILDS))]
    names = list(kernels[0])
    for number in range(shape.kmps):
        uses = rnd.sample(names, min(len(names), rnd.randint(50, 600)))
        stuck = shape.blocked and number == 0
        builds = []
        for build, target in enumerate(targets):
            if stuck and build == 0:
                target = current
            requires = [f"ksym(default:{name}) = {kernels[target][name]}" for name in uses]
            if number % 5 == 1:  # KMPs that use symbols of the one before
                requires.append(f"ksym(default:v{number - 1}_exported) = {number * 7 + 1:x}")
            builds.append(
                Package(
                    name=f"v{number}-kmp-default",
                    version=f"1.{_BUILDS - build}_k{_krel(target).replace('-', '_')}",
                    release="1",
                    vendor=f"Vendor {number % 6} Inc.",
                    provides=(
                        f"v{number}-kmp = 1.{_BUILDS - build}",
                        "multiversion(kernel)",
                        f"kmod(v{number}.ko)",
                        f"ksym(default:v{number}_exported) = {(number + 1) * 7 + 1:x}",
                    ),
                    requires=tuple(requires),
                )
            )
        yield builds


def _chosen(kmps: list[list[Package]], count: int) -> Iterator[list[Package]]:
    """Those that are installed: evenly spread pairs, the second of which may use symbols of the first."""
    pairs = max(1, count // 2)
    step = max(5, len(kmps) // pairs // 5 * 5)
    for first in range(0, min(len(kmps), pairs * step), step):
        yield from kmps[first : first + 2]


def _others(rnd: random.Random, count: int, installed: int) -> Iterator[tuple[Package, bool]]:
    """User space: libraries and what needs them; one tenth of what is installed has an update."""
    names = max(1, int(count * _NAMES))
    versions = [1] * names
    for _ in range(count - names):
        versions[rnd.randrange(names)] += 1
    for number in range(names):
        requires = {rnd.randrange(number) for _ in range(rnd.randint(0, 10))} if number else set()
        outdated = rnd.random() < 0.1
        there = 1 if outdated else versions[number]
        for version in range(1, versions[number] + 1):
            yield (
                Package(
                    name=f"package-{number}",
                    version=f"{1 + number % 9}.{version}",
                    release=f"150600.{version}.1",
                    provides=(
                        f"libpackage-{number}.so.{number % 7}()(64bit)",
                        f"libpackage-{number}.so.{number % 7}(VERSION_1)(64bit)",
                        f"pkgconfig(package-{number}) = {1 + number % 9}.{version}",
                    ),
                    requires=(
                        *(f"libpackage-{other}.so.{other % 7}()(64bit)" for other in sorted(requires)),
                        "/bin/sh",
                        *(("package-0 >= 1",) if number else ()),
                    ),
                ),
                number < installed and version == there,
            )


def _patches(kernels: list[Package], others: list[Package]) -> dict[str, list[Package]]:
    """What came after the first release, by the patch that brought it: each kernel alone, others by source."""
    patches = {f"SUSE-kernel-{number}": [kernel] for number, kernel in enumerate(kernels[1:], 2)}
    for package in others:
        number, turn = int(package.name.rpartition("-")[2]), int(package.version.rpartition(".")[2])
        if turn > 1:
            patches.setdefault(f"SUSE-source-{number // _SOURCES}-{turn}", []).append(package)
    return patches


def _write_repository(
    folder: Path, packages: Iterable[Package], patches: Mapping[str, list[Package]] | None = None
) -> None:
    repodata = folder / "repodata"
    repodata.mkdir(parents=True)
    packages = list(packages)
    texts = {
        "primary": _primary(packages),
        "filelists": _filelists(packages),
        **({"updateinfo": _updateinfo(patches)} if patches else {}),
    }
    entries = []
    for kind, parts in texts.items():
        path = repodata / f"{kind}.xml.gz"
        opened, size = hashlib.sha256(), 0
        with path.open("wb") as raw, gzip.GzipFile("", "wb", 1, raw, mtime=0) as file:
            for part in parts:
                content = part.encode()
                opened.update(content)
                size += len(content)
                file.write(content)
        with path.open("rb") as stored:
            checksum = hashlib.file_digest(stored, "sha256").hexdigest()
        entries.append(
            f'<data type="{kind}"><checksum type="sha256">{checksum}</checksum>'
            f'<open-checksum type="sha256">{opened.hexdigest()}</open-checksum>'
            f'<location href="repodata/{path.name}"/><timestamp>{_STAMP}</timestamp>'
            f"<size>{path.stat().st_size}</size><open-size>{size}</open-size></data>\n"
        )
    (repodata / "repomd.xml").write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<repomd xmlns="http://linux.duke.edu/metadata/repo">\n'
        f"<revision>{_STAMP}</revision>\n{''.join(entries)}</repomd>\n"
    )


def _primary(packages: list[Package]) -> Iterator[str]:
    yield (
        '<?xml version="1.0" encoding="UTF-8"?>\n<metadata xmlns="http://linux.duke.edu/metadata/common"'
        f' xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="{len(packages)}">\n'
    )
    for package in packages:
        full = f"{package.name}-{package.version}-{package.release}.{package.arch}"
        shell = "<file>/bin/sh</file>" if package.name == "package-0" else ""
        yield (
            f'<package type="rpm"><name>{package.name}</name><arch>{package.arch}</arch>'
            f'<version epoch="0" ver="{package.version}" rel="{package.release}"/>'
            f'<checksum type="sha256" pkgid="YES">{_pkgid(package)}</checksum>'
            f"<summary>The package {package.name}</summary>"
            f"<description>What {package.name} is good for, in one sentence or two.</description>"
            f"<packager>https://www.suse.com/</packager><url>https://www.suse.com/{package.name}</url>"
            f'<time file="{_STAMP}" build="{_STAMP}"/><size package="10000" installed="30000" archive="31000"/>'
            f'<location href="{package.arch}/{full}.rpm"/><format><rpm:license>GPL-2.0-or-later</rpm:license>'
            f"<rpm:vendor>{package.vendor.replace('<', '&lt;').replace('>', '&gt;')}</rpm:vendor>"
            f"<rpm:group>System/Kernel</rpm:group><rpm:buildhost>build.example.com</rpm:buildhost>"
            f"<rpm:sourcerpm>{package.name}-{package.version}-{package.release}.src.rpm</rpm:sourcerpm>"
            f'<rpm:header-range start="6200" end="28000"/>\n'
        )
        own = f"{package.name} = {package.version}-{package.release}"
        isa = own.replace(" ", "(x86-64) ", 1)
        yield from _dependencies("provides", (own, isa, *package.provides))
        yield from _dependencies("requires", package.requires)
        yield from _dependencies("conflicts", package.conflicts)
        yield from _dependencies("supplements", package.supplements)
        yield f"{shell}</format></package>\n"
    yield "</metadata>\n"


def _dependencies(kind: str, values: tuple[str, ...]) -> Iterator[str]:
    if values:
        yield f"<rpm:{kind}>\n{''.join(map(_entry, values))}</rpm:{kind}>\n"


def _entry(value: str) -> str:
    name, flag, evr = value.partition(" >= " if " >= " in value else " = ")
    if not flag:
        return f"<rpm:entry name={quoteattr(name)}/>\n"
    version, dash, release = evr.partition("-")
    rel = f' rel="{release}"' if dash else ""
    return (
        f'<rpm:entry name="{name}" flags="{"GE" if ">" in flag else "EQ"}" epoch="0" ver="{version}"{rel}/>\n'
    )


def _filelists(packages: list[Package]) -> Iterator[str]:
    yield (
        '<?xml version="1.0" encoding="UTF-8"?>\n<filelists xmlns="http://linux.duke.edu/metadata/filelists"'
        f' packages="{len(packages)}">\n'
    )
    for package in packages:
        yield (
            f'<package pkgid="{_pkgid(package)}" name="{package.name}" arch="{package.arch}">'
            f'<version epoch="0" ver="{package.version}" rel="{package.release}"/></package>\n'
        )
    yield "</filelists>\n"


def _updateinfo(patches: Mapping[str, list[Package]]) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<updates>\n'
    for name, packages in patches.items():
        yield (
            '<update from="maint-coord@suse.de" status="stable" type="recommended" version="1">'
            f"<id>{name}</id><title>Recommended update</title><severity>moderate</severity>"
            f'<release>SLE</release><issued date="{_STAMP}"/><references/>'
            "<description>What this update mends, in one sentence or two.</description>"
            "<pkglist><collection>\n"
        )
        for package in packages:
            full = f"{package.name}-{package.version}-{package.release}"
            yield (
                f'<package name="{package.name}" epoch="0" version="{package.version}" release="{package.release}"'
                f' arch="{package.arch}" src="{full}.src.rpm"><filename>{full}.{package.arch}.rpm</filename>'
                "</package>\n"
            )
        yield "</collection></pkglist></update>\n"
    yield "</updates>\n"


def _pkgid(package: Package) -> str:
    return hashlib.sha256(f"{package.name}-{package.version}-{package.release}".encode()).hexdigest()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the world of a shape.")
    for key, value in asdict(Shape()).items():
        parser.add_argument(f"--{key.replace('_', '-')}", type=int, default=int(value))
    wanted = vars(parser.parse_args())
    make(Shape(**{**wanted, "blocked": bool(wanted["blocked"])}))
