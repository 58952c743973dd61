"""Fleets as they are: thousands of hosts like each other, dozens of odd ones; seeded, so always the same."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kmpsolve.metadata.collecting import Seen, state_of
from kmpsolve.metadata.inventory import encode_state
from kmpsolve.model.evr import Evr
from kmpsolve.model.nevra import Nevra
from tests.support import rpmmd
from tests.support.packages import SUSE, PackageSpec

VENDORS = ("ACME Inc.", "Storage Corp", "Net & Sons", "OFED Vendor")
COLLECTED = 1_795_000_000


def seen(spec: PackageSpec) -> Seen:
    """A package as an rpmdb would tell it."""
    return Seen(
        nevra=Nevra(spec.name, Evr(spec.epoch, spec.version, spec.release), spec.arch),
        vendor=spec.vendor,
        provides=(*spec.provides, f"{spec.name} = {spec.evr}"),
        requires=spec.requires,
        conflicts=spec.conflicts,
        obsoletes=spec.obsoletes,
        module_files=tuple(f for f in spec.files if "/updates/" in f),
        triggers=spec.triggers,
    )


@dataclass(frozen=True)
class Offer:
    """What a fleet's hosts are made of: all kernels, and every build of every KMP."""

    kernels: tuple[PackageSpec, ...]
    kmps: tuple[tuple[PackageSpec, ...], ...]
    tools: tuple[PackageSpec, ...]
    unknown: tuple[PackageSpec, ...]

    def write(self, folder: Path) -> list[str]:
        """The repositories, as ``--repo`` options."""
        rpmmd.write(folder / "sle", [*self.kernels, *self.tools])
        rpmmd.write(folder / "vendor", [build for builds in self.kmps for build in builds])
        return ["--repo", f"sle={folder / 'sle'}", "--repo", f"vendor={folder / 'vendor'}"]

    def repositories(self, folder: Path) -> dict[str, str]:
        """The same for `kmpsolve.plan`."""
        return {"sle": str(folder / "sle"), "vendor": str(folder / "vendor")}


def offer(chance: random.Random, *, kernels: int = 5, kmps: int = 8, symbols: int = 60) -> Offer:
    """Kernels that change a few symbols each, and KMPs that are rebuilt for some of them."""
    names = [f"sym_{number:03}" for number in range(symbols)]
    crcs = {name: f"{chance.getrandbits(31) + 1:x}" for name in names}
    history: list[dict[str, str]] = []
    units = []
    for number in range(1, kernels + 1):
        for name in chance.sample(names, 3) if number > 1 else []:
            crcs[name] = f"{chance.getrandbits(31) + 1:x}"
        history.append(dict(crcs))
        krel = f"6.4.0-150600.23.{number}"
        units.append(
            PackageSpec(
                name="kernel-default",
                version="6.4.0",
                release=f"150600.23.{number}.1",
                vendor=SUSE,
                provides=(
                    f"kernel-uname-r = {krel}-default",
                    "multiversion(kernel)",
                    "kmod(ext4.ko)",
                    *(["kmod(kmp7.ko)"] if number == kernels else []),
                    *(f"ksym(default:{name}) = {crc}" for name, crc in crcs.items()),
                ),
            )
        )
    builds = []
    unknown = []
    for number in range(kmps):
        mine = chance.sample(names, chance.randint(3, 12))
        vendor = VENDORS[number % len(VENDORS)]
        made = [
            _kmp(number, version, kernel + 1, mine, history[kernel], vendor, versioned=number != kmps - 2)
            for version, kernel in enumerate(
                sorted(chance.sample(range(kernels), chance.randint(1, kernels - 1)))
            )
        ]
        builds.append(tuple(made))
        unknown.append(_kmp(number + 100, 1, 1, mine, history[0], vendor, versioned=True))
    tools = (
        PackageSpec(
            name="kmp0-tools", version="1", release="1", vendor=VENDORS[0], requires=("kmp0-kmp = 0",)
        ),
        PackageSpec(name="coreutils", version="9", release="1"),
    )
    return Offer(tuple(units), tuple(builds), tools, tuple(unknown))


def _kmp(
    number: int,
    version: int,
    kernel: int,
    mine: Sequence[str],
    crcs: dict[str, str],
    vendor: str,
    *,
    versioned: bool,
) -> PackageSpec:
    krel = f"6.4.0_150600.23.{kernel}"
    needs = tuple(f"ksym(default:{name}) = {crcs[name]}" for name in mine) if versioned else ()
    return PackageSpec(
        name=f"kmp{number}-kmp-default",
        version=f"{version}_k{krel}",
        release="1",
        vendor=vendor,
        provides=(
            f"kmp{number}-kmp = {version}",
            f"kmp{number}-kmp-default-k{krel}",
            "multiversion(kernel)",
            f"kmod(kmp{number}.ko)",
            f"ksym(default:kmp{number}_symbol) = {number + 1:x}",
        ),
        requires=(*needs, "coreutils"),
        conflicts=(f"kmp{number}-kmp-default-k{krel}",),
    )


def installed(chance: random.Random, of: Offer) -> list[PackageSpec]:
    """What stands on one host."""
    count = chance.choices((1, 2, 3), (60, 30, 10))[0]
    newest = chance.choices(range(len(of.kernels)), range(1, len(of.kernels) + 1))[0]
    specs = list(of.kernels[max(0, newest - count + 1) : newest + 1])
    for builds in chance.sample(of.kmps, chance.choices((0, 1, 2, 3), (30, 40, 20, 10))[0]):
        specs.append(chance.choice(builds))
        if specs[-1].name == "kmp0-kmp-default" and specs[-1].version.startswith("0_"):
            specs.append(of.tools[0])
    if chance.random() < 0.03:
        specs.append(chance.choice(of.unknown))
    specs.append(of.tools[1])
    return specs


def states(chance: random.Random, of: Offer, count: int) -> list[bytes]:
    """Distinct states, as ``collect`` would write them on hosts whose repositories know `of`."""
    known = {spec.nevra for spec in [*of.kernels, *(b for builds in of.kmps for b in builds)]}
    found: dict[bytes, None] = {}
    for _ in range(count * 50):
        specs = installed(chance, of)
        state = state_of(map(seen, specs), lambda one: str(one.nevra) in known)
        found[encode_state(state)] = None
        if len(found) == count:
            break
    return list(found)


def lines(chance: random.Random, of: Sequence[bytes], hosts: int, *, labels: bool = True) -> Iterator[bytes]:
    """Inventory lines: the first states are those of most hosts (Zipf), every state is somebody's."""
    weights = [1 / (rank + 1) for rank in range(len(of))]
    picks = [*range(len(of))][:hosts]
    picks += chance.choices(range(len(of)), weights, k=hosts - len(picks))
    chance.shuffle(picks)
    environments = ("prod", "test", "dev")
    for number, pick in enumerate(picks):
        label = b',"labels":{"env":"%s"}' % environments[pick % 3].encode() if labels else b""
        yield (
            b'{"schema_version":1,"host":"host-%07d.example.com","collected":%d%s,"refreshed":%d,"state":%s}\n'
            % (number, COLLECTED + number % 1000, label, COLLECTED, of[pick])
        )
