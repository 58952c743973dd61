"""What the hook stops and what it lets pass, against what the same transaction leaves behind without it.

Somebody updates, installs and removes in random universes. What is stopped is done once more with
KMPSOLVE_DISABLE; the oracle then looks at the rpmdb before and after, and at nothing that kmpsolve said.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from dataclasses import replace
from enum import Enum

import pytest

from tests.e2e.host import Host, stopped
from tests.executed import rpmdb
from tests.executed.execution import set_up
from tests.executed.universes import ANY, universe
from tests.property.test_oracle import FAMILIES
from tests.support.oracle import Package, System
from tests.support.worlds import Kernel, Kmp, Noun, Repository, Tool, World

IN_EACH_FAMILY = 6
MANY = 100


class Loss(Enum):
    """What a transaction does to a KMP."""

    NONE = "it works on the kernel that boots next"
    OPEN = "left to the configuration, did not work on the kernel that booted next before, or not with its user space"
    LOST = "it worked there, and does not any more"


def _commands(of: World) -> list[list[list[str]]]:
    """What somebody may ask zypper for in a world, by kind."""
    offered = [noun for one in of.repositories for noun in one.packages]
    kernels, kmps = _named(offered, Kernel), _named(offered, Kmp)
    packages = [*kernels, *kmps, *_named(offered, Tool)]
    here = _named(of.installed, Kmp)
    kinds = [
        [["up"]],
        [["dup"], ["dup", "--allow-vendor-change"]],
        [["in", _name(package)] for package in packages],
        [["in", "--oldpackage", package] for package in packages],
        [["in", "--oldpackage", kernel, kmp] for kernel in kernels for kmp in kmps],
        [["in", "--oldpackage", kernel, f"-{_name(kmp)}"] for kernel in kernels for kmp in here],
        [["up", _name(package)] for package in packages],
        [["rm", package] for package in (*_named(of.installed, Kernel), *_named(of.installed, Tool))],
    ]
    return [kind for kind in kinds if kind]


def _named(nouns: Collection[Noun], kind: type[Noun]) -> list[str]:
    specs = [noun.spec() for noun in nouns if isinstance(noun, kind)]
    return [f"{spec.name}={spec.version}-{spec.release}" for spec in specs]


def _name(package: str) -> str:
    return package.partition("=")[0]


def _losses(before: System, after: System, named: Collection[str]) -> Iterator[Loss]:
    """One for each KMP that worked.

    Parameters
    ----------
    named
        Names that somebody asked zypper to remove: that is no accident.
    """
    for flavor in before.flavors:
        for name, builds in before.kmps(flavor).items():
            if name not in named and not before.is_broken(builds):
                yield _loss(name, builds, before, after)


def _loss(name: str, builds: list[Package], before: System, after: System) -> Loss:
    kernels = after.kernels(builds[0].flavor)
    if not kernels:  # whether another flavor takes over is another question
        return Loss.OPEN
    heirs = [b for b in after.installed if isinstance(b.noun, Kmp) and _succeeds(b, name, builds)]
    if not all(build.verifiable for build in (*builds, *heirs)):
        return Loss.OPEN
    if _works(kernels[-1], heirs, builds, before, after):
        return Loss.OPEN if _leaves_user_space(kernels[-1], heirs, after) else Loss.NONE
    last = before.kernels(builds[0].flavor)[-1]
    return Loss.LOST if _works(last, builds, builds, before, before) else Loss.OPEN


def _succeeds(build: Package, name: str, builds: list[Package]) -> bool:
    return build.name == name or any(build.obsoletes_package(old) for old in builds)


def _works(kernel: Package, heirs: list[Package], builds: list[Package], before: System, now: System) -> bool:
    """Whether a kernel has all modules of a KMP, from one of its heirs or as its own where that will do."""
    unit, loaded = now.unit(kernel), _loaded(kernel, now)
    modules = before.modules(builds)
    if not modules <= unit.modules.union(*(build.modules for build in loaded)):
        return False
    overrides = modules <= before.unit(before.used_on(builds)).modules
    taken = any(member.obsoletes_package(build) for member in unit.packages for build in builds)
    return any(heir in loaded for heir in heirs) or (modules <= unit.modules and (taken or not overrides))


def _leaves_user_space(kernel: Package, heirs: list[Package], now: System) -> bool:
    """Whether user space requires what only builds provide that the kernel does not load."""
    idle = set(heirs).difference(_loaded(kernel, now))
    others = [package for package in now.installed if package not in idle]
    return any(
        any(build.provides_capability(wanted) for build in idle)
        and not any(package.provides_capability(wanted) for package in others)
        for tool in now.tools
        for wanted in tool.requires
    )


def _loaded(kernel: Package, now: System) -> list[Package]:
    """The builds that a kernel loads, none of another architecture among them."""
    return [build for build in now.loaded(kernel).values() if build.arch in (kernel.arch, "noarch")]


def disagreement(of: World, command: list[str], configuration: str | None = None) -> str:
    """What the hook did otherwise than it should have as it is configured at first; empty if nothing."""
    removed = {word[1:] for word in command if word[0] == "-" and word[1] != "-"}
    with Host(configuration=configuration) as host:
        set_up(host, of)
        before, rows = rpmdb.read(host), host.rpmdb()
        ended = host.zypper(*command)
        was_stopped = "stopped this update" in ended.stderr
        if was_stopped:
            if wrong := stopped(host, ended, rows):
                return f"{wrong}: {ended}"
            host.zypper(*command, env={"KMPSOLVE_DISABLE": "1"})
        after = rpmdb.read(host)
    losses = set(_losses(before, after, removed))
    if Loss.LOST in losses and not was_stopped:
        return f"it passed: {ended}"
    if losses <= {Loss.NONE} and was_stopped and not _useless(before, after):
        return f"it was stopped: {ended}"
    return ""


def _useless(before: System, after: System) -> bool:
    """Whether a KMP is installed that the kernel that boots next does not load."""
    known = {package.nevra for package in before.installed}
    new = [b for b in after.installed if isinstance(b.noun, Kmp) and b.nevra not in known]
    booting = {flavor: after.kernels(flavor)[-1] for flavor in after.flavors}
    return any(b.flavor not in booting or b not in _loaded(booting[b.flavor], after) for b in new)


def _asked(family: str, number: int) -> tuple[World, list[str]]:
    of = universe(family, number)
    dice = random.Random(f"{family} {number} zypper")  # noqa: S311 - worlds, no secrets
    return of, dice.choice(dice.choice(_commands(of)))


_FALLBACK = Kernel(release="10.1", ksyms="a=1")
_REPLACED = Kmp(name="acme", krel="6.4.0-10", symbols="a=1", modules="acme.ko", multiversion=False)
_REBUILT = replace(_REPLACED, krel="6.4.0-20", version="2.0", symbols="a=2")


@pytest.mark.parametrize(
    ("configuration", "rebuilt", "complaint"),
    [('on_blocked = "warn"\n', [], "it passed"), ("protect_fallback = true\n", [_REBUILT], "it was stopped")],
)
def test_a_hook_that_decides_otherwise_is_found_out(
    configuration: str, rebuilt: list[Kmp], complaint: str
) -> None:
    offered = Repository(alias="r1", packages=[Kernel(release="20.1", ksyms="a=2"), *rebuilt])
    of = World(installed=[_FALLBACK, _REPLACED], repositories=[offered])
    assert disagreement(of, ["up"]) == ""
    assert disagreement(of, ["up"], configuration).startswith(complaint)


@pytest.mark.parametrize("family", [*FAMILIES, ANY])
def test_the_hook_stops_what_loses_a_driver_and_nothing_else(family: str) -> None:
    for number in range(IN_EACH_FAMILY):
        of, command = _asked(family, number)
        assert not disagreement(of, command), f"zypper {' '.join(command)}\n{of.text()}"


@pytest.mark.deep
@pytest.mark.parametrize("family", [*FAMILIES, ANY])
def test_the_hook_in_many_universes(family: str) -> None:
    for number in range(IN_EACH_FAMILY, IN_EACH_FAMILY + MANY):
        of, command = _asked(family, number)
        assert not disagreement(of, command), f"zypper {' '.join(command)}\n{of.text()}"
