"""What the planner asks of the machine and its disk, and what it tells of the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kmpsolve.model.plan import FlavorPlan, Inputs, KmpPlan, Unmanaged, Warned
from kmpsolve.planner import plan
from kmpsolve.request import Request
from tests.property.cases import acme, beta, kernel
from tests.support.packages import PackageSpec
from tests.support.universes import sealed
from tests.unit.machine.fakes import live, write_initrd

UNAME = "6.4.0-20-default"
Provides = Callable[[], Iterable[str]]


class Disk:
    """A disk with one loose module, which writes down what it is asked."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def unmanaged(self, flavor: str, uname_r: str, nevra: str, provides: Provides) -> tuple[Unmanaged, ...]:
        self.asked["unmanaged"] = (flavor, uname_r, nevra, sorted(provides()))
        return (Unmanaged(module="loose", path="/x/loose.ko", state="loads", mismatches=()),)

    def rebuilds(
        self, kmps: Iterable[str], uname_r: str, arch: str, missing_headers: Iterable[str]
    ) -> tuple[Warned, ...]:
        self.asked["rebuilds"] = (list(kmps), uname_r, arch, list(missing_headers))
        return (Warned(reference="rebuilds", message="told"),)

    def parts(
        self, builds: Iterable[str], uname_r: str, nevra: str, provides: Provides
    ) -> Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]:
        self.asked["parts"] = (list(builds), uname_r, nevra, sorted(provides()))
        return {nevra_of("acme", "1.0"): (("good",), ("bad",))}

    def overruled(self, build: str, modules: Iterable[str], uname_r: str, *, native: bool) -> tuple[str, ...]:
        self.asked.setdefault("overruled", []).append((build, list(modules), uname_r, native))
        return tuple(modules)[:1]


def nevra_of(name: str, version: str, krel: str = "10") -> str:
    return f"{name}-kmp-default-{version}_k6.4.0_{krel}-1.x86_64"


def planned(
    folder: Path, installed: Sequence[Any], offered: Sequence[Any], *rebuilding: str, **asked: Any
) -> FlavorPlan:
    def specs(nouns: Sequence[Any]) -> list[PackageSpec]:
        return [noun if isinstance(noun, PackageSpec) else noun.spec() for noun in nouns]

    of = sealed(folder, {"r": specs(offered)}, specs(installed), rebuilding=rebuilding)
    inputs = Inputs(root=None, repositories=(), skipped=())
    (flavor,) = plan(of, Request(today="2026-01-15", **asked), inputs).flavors
    return flavor


def told(flavor: FlavorPlan, name: str, reference: str) -> list[str]:
    return [
        w.message for kmp in flavor.kmps if kmp.name == name for w in kmp.warnings if w.reference == reference
    ]


# -- the machine ----------------------------------------------------------------------------------------------


def test_only_what_the_machine_boots_from_changes_the_order(tmp_path: Path) -> None:
    """Neither what is blocked and of no use to it, nor what is not blocked."""
    installed = [
        kernel(1, "a=1 b=1"),
        acme(),
        beta(symbols="b=1"),
        acme(name="corp", modules="corp.ko"),
        acme(name="disk", modules="virtio_blk.ko"),
    ]
    machine = live("virtio", tmp_path / "machine")
    found = planned(tmp_path / "a", installed, [kernel(2, "a=2 b=1")], machine=machine)

    def order(kmps: Iterable[KmpPlan]) -> list[tuple[str, str]]:
        return [(kmp.name.partition("-")[0], kmp.decision) for kmp in kmps]

    assert order(found.kmps) == [
        ("disk", "blocked"),
        ("acme", "blocked"),
        ("beta", "reuse"),
        ("corp", "blocked"),
    ]


def test_what_is_in_the_initrd_comes_before_what_is_not(tmp_path: Path) -> None:
    names = ("acme", "corp", "disk", "early", "net")
    modules = dict(zip(names, ("acme", "corp", "virtio_blk", "early", "virtio_net"), strict=True))
    installed = [kernel(1), *(acme(name=name, modules=f"{modules[name]}.ko") for name in names)]
    machine = live("virtio", tmp_path / "machine")
    write_initrd(tmp_path / "machine", "early.ko.zst", "unknown.ko")
    found = planned(tmp_path / "a", installed, [kernel(2, "a=2")], machine=machine)
    assert [kmp.name.partition("-")[0] for kmp in found.kmps] == ["disk", "early", "net", "acme", "corp"]


# -- the disk -------------------------------------------------------------------------------------------------


def test_builds_that_fit_partly(tmp_path: Path) -> None:
    """Asked of installed builds of blocked KMPs, against the kernel and the KMPs that are chosen for it."""
    disk = Disk()
    installed = [
        kernel(1, "a=1 b=1"),
        acme(),
        acme("0.9", "a=2 z=1", krel="6.4.0-9"),
        acme("0.8", "", exact="6.4.0-10-default", krel="6.4.0-8"),
        beta(symbols="b=1", exports="s=1"),
        beta("0.9", "z=1", krel="6.4.0-9"),
    ]
    offered = [kernel(2, "a=2 b=1"), acme("2.0", "z=2", krel="6.4.0-20")]
    found = planned(tmp_path, installed, offered, disk=disk)
    builds, uname_r, nevra, provides = disk.asked["parts"]
    assert sorted(builds) == [nevra_of("acme", "0.9", "9"), nevra_of("acme", "1.0")]
    assert (uname_r, nevra) == (UNAME, "kernel-default-6.4.0-20.1.x86_64")
    assert {"ksym(default:b) = 1", "ksym(default:s) = 1"} <= set(provides)
    assert told(found, "acme-kmp-default", "fits-partly") == [
        f"of {nevra_of('acme', '1.0')}, good would load on {UNAME} and bad would not;"
        " a build is used as a whole or not at all"
    ]


def test_modules_that_no_package_owns_are_held_against_the_kernel_and_its_kmps(tmp_path: Path) -> None:
    disk = Disk()
    found = planned(tmp_path, [kernel(1), acme(exports="s=1")], [kernel(2)], disk=disk)
    flavor, uname_r, nevra, provides = disk.asked["unmanaged"]
    assert (flavor, uname_r, nevra) == ("default", UNAME, "kernel-default-6.4.0-20.1.x86_64")
    assert {"ksym(default:a) = 1", "ksym(default:s) = 1"} <= set(provides)
    assert [one.module for one in found.unmanaged] == ["loose"]


def test_a_loose_module_with_the_name_of_a_kmp_s(tmp_path: Path) -> None:
    installed = [kernel(1), acme(modules="acme.ko loose.ko"), beta()]
    found = planned(tmp_path, installed, [kernel(2)], disk=Disk())
    (message,) = told(found, "acme-kmp-default", "name-clash")
    assert message.startswith("/x/loose.ko, which no package owns, has the name of a module of")
    assert told(found, "beta-kmp-default", "name-clash") == []


def test_two_kmps_with_one_module(tmp_path: Path) -> None:
    found = planned(tmp_path, [kernel(1), acme(), beta(modules="beta.ko acme.ko")], [kernel(2)])
    (message,) = told(found, "acme-kmp-default", "name-clash")
    assert message.startswith(f"acme.ko is in {nevra_of('acme', '1.0')} and in {nevra_of('beta', '1.0')}:")
    (message,) = told(found, "beta-kmp-default", "name-clash")
    assert message.startswith(f"acme.ko is in {nevra_of('beta', '1.0')} and in {nevra_of('acme', '1.0')}:")


def test_modules_that_the_kernel_has_too(tmp_path: Path) -> None:
    disk = Disk()
    native = beta("2.0", "a=1", krel="6.4.0-20", modules="beta.ko")
    installed = [
        kernel(1),
        acme(modules="acme.ko x.ko"),
        beta(symbols="z=1"),
        beta(name="corp", modules="c.ko"),
    ]
    offered = [kernel(2, modules="x.ko y.ko beta.ko"), native]
    found = planned(tmp_path, installed, offered, disk=disk)
    assert sorted(disk.asked["overruled"]) == [
        (nevra_of("acme", "1.0"), ["x.ko"], UNAME, False),
        (nevra_of("beta", "2.0", "20"), ["beta.ko"], UNAME, True),
    ]
    (message,) = told(found, "acme-kmp-default", "shadowed")
    assert message.startswith(f"{UNAME} would take x.ko from itself and not from {nevra_of('acme', '1.0')}:")
    assert told(found, "corp-kmp-default", "shadowed") == []


def devel(number: int, name: str = "kernel-default-devel") -> PackageSpec:
    return PackageSpec(name=name, version="6.4.0", release=f"{number}0.1")


def test_what_keeps_drivers_from_being_rebuilt(tmp_path: Path) -> None:
    """Headers are there, or arrive; those of another kernel are none."""
    both = ("kernel-default-devel", "kernel-devel")
    bare, other = acme(symbols=""), beta(symbols="")
    name = "acme-kmp-default"

    def asked(folder: str, installed: Sequence[Any], offered: Sequence[Any] = ()) -> tuple[Any, ...]:
        disk = Disk()
        system = [kernel(1), bare, other, *installed]
        found = planned(tmp_path / folder, system, [kernel(2), *offered], name, disk=disk)
        assert ("rebuilds", "told") in {(w.reference, w.message) for w in found.warnings}
        kmps, uname_r, arch, missing = disk.asked["rebuilds"]
        assert (uname_r, arch) == (UNAME, "x86_64")
        return kmps, missing

    assert asked("none", []) == ([], list(both))
    assert asked("other", [devel(1), devel(1, both[1])]) == ([], list(both))
    assert asked("there", [devel(2), devel(2, both[1])]) == ([name], [])
    assert asked("arrives", [devel(1)], [devel(2), devel(2, both[1])]) == ([name], [both[1]])
