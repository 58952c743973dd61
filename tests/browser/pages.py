"""Pages to look at: of fixtures, of a large fleet's worth of KMPs, and of a hostile repository."""

from __future__ import annotations

import random
from pathlib import Path

from tests.scenarios import runner
from tests.support import fixture, rpmmd
from tests.support.packages import SUSE, PackageSpec


def page(name: str, work: Path, *words: str) -> Path:
    """The page that kmpsolve writes about a fixture."""
    file = work / f"{name}-{words[0]}.html"
    inner = work / f"{name}-{words[0]}"
    inner.mkdir()
    answer = runner.ask(fixture.load(name), "rpm-md", inner, *words, "--format", "html", "-o", str(file))
    assert answer.stderr == ""
    assert answer.stdout == ""
    return file


def _kernel(release: str, crcs: dict[str, str]) -> PackageSpec:
    uname_r = f"6.4.0-{release.rpartition('.')[0]}-default"
    provides = (
        f"kernel-uname-r = {uname_r}",
        "multiversion(kernel)",
        "kmod(ext4.ko)",
        *(f"ksym(default:{symbol}) = {crc}" for symbol, crc in crcs.items()),
    )
    return PackageSpec(
        name="kernel-default", version="6.4.0", release=release, arch="x86_64", vendor=SUSE, provides=provides
    )


def _kmp(name: str, version: str, krel: str, requires: tuple[str, ...], vendor: str) -> PackageSpec:
    return PackageSpec(
        name=f"{name}-kmp-default",
        version=f"{version}_k6.4.0_{krel}",
        release="1",
        arch="x86_64",
        vendor=vendor,
        provides=(f"kmod({name}.ko)", "multiversion(kernel)"),
        requires=requires,
    )


def large(
    folder: Path, *, kmps: int = 300, kernels: int = 60, symbols: int = 600, used: int = 40
) -> list[str]:
    """The options for a system with `kmps` KMPs and repositories with `kernels` kernels."""
    chance = random.Random(1)  # noqa: S311 - a test's world, the same every time
    names = [f"symbol_{number:05}" for number in range(symbols)]
    crcs = {name: f"{chance.getrandbits(31) + 1:x}" for name in names}
    units, history = [], []
    for number in range(1, kernels + 1):
        for name in chance.sample(names, symbols // 2 if number == 40 else 3):
            crcs[name] = f"{chance.getrandbits(31) + 1:x}"
        history.append(dict(crcs))
        units.append(_kernel(f"150600.23.{number}.1", crcs))
    installed: list[PackageSpec] = []
    offered: list[PackageSpec] = []
    for number in range(kmps):
        mine = chance.sample(names, used)
        for version, kernel, there in (("1.0", 30, installed), ("1.1", 45, offered), ("1.2", 59, offered)):
            if version == "1.0" or number % 4 == int(version[-1]):
                needs = tuple(f"ksym(default:{name}) = {history[kernel][name]}" for name in mine)
                there.append(
                    _kmp(f"vendor{number:03}", version, f"150600.23.{kernel + 1}", needs, f"Vendor {number}")
                )
    rpmmd.write(folder / "installed", [units[30], *installed])
    rpmmd.write(folder / "kernels", units)
    rpmmd.write(folder / "vendors", offered)
    return [
        "--installed",
        str(folder / "installed"),
        "--repo",
        f"kernels={folder / 'kernels'}",
        "--repo",
        f"vendors={folder / 'vendors'}",
    ]


ATTACK = "<script>document.title=String(6*7)</script>"


def hostile(folder: Path) -> list[str]:
    """The options for a system whose vendor, symbol and package names are markup."""
    old = {"kfree": "1", "x<img/src=x/onerror=document.title=43>": "2", "b\u202e": "3"}
    new = {"kfree": "9"}
    needs = tuple(f"ksym(default:{symbol}) = {crc}" for symbol, crc in old.items())
    evil = _kmp(f"evil{ATTACK}", "1.0", "150600.23.25", needs, f"ACME {ATTACK}\"' onload=x")
    kernels = [_kernel("150600.23.25.1", old), _kernel("150600.23.30.1", new)]
    rpmmd.write(folder / "installed", [kernels[0], evil])
    rpmmd.write(folder / "kernels", kernels)
    return ["--installed", str(folder / "installed"), "--repo", f"upd&<b>ates={folder / 'kernels'}"]
