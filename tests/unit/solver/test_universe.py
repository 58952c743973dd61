"""What a universe tells of the packages in it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import solv

from kmpsolve.metadata.content import Content, Patch
from kmpsolve.metadata.source import open_source
from kmpsolve.model.evr import Evr
from kmpsolve.model.modalias import Modaliases
from kmpsolve.planner.kernels import join_units
from kmpsolve.request import Policy
from kmpsolve.solver.purging import own_provides
from kmpsolve.solver.universe import SYSTEM, Universe
from tests.support import rpmmd
from tests.support.packages import PackageSpec
from tests.support.universes import sealed
from tests.support.worlds import Kernel, Kmp

KERNEL = Kernel(release="10.1", ksyms="a=1").spec()
ACME = Kmp(name="acme", krel="6.4.0-10", symbols="a=1", modules="acme.ko", exports="s=1").spec()


def spec(name: str, evr: str = "1-1", *provides: str, **more: tuple[str, ...]) -> PackageSpec:
    version, _, release = evr.partition("-")
    return PackageSpec(name=name, version=version, release=release, provides=provides, **more)  # type: ignore[arg-type]


def devel(release: str, **more: str) -> PackageSpec:
    return replace(spec("kernel-default-devel", f"6.4.0-{release}"), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("installed", "offered", "found"),
    [
        ([], {"r": [devel("10.1")]}, None),
        ([devel("10.1")], {"r": [devel("10.1")]}, []),
        ([devel("9.1")], {"r": [devel("10.1")]}, ["r"]),
        ([devel("9.1")], {"r": [devel("11.1")]}, None),
        ([devel("9.1")], {"r2": [devel("10.1")], "r1": [devel("10.1")]}, ["r1"]),
        ([devel("9.1")], {"r": [devel("10.1", arch="aarch64")]}, None),
    ],
)
def test_the_headers_of_a_kernel(
    tmp_path: Path,
    installed: list[PackageSpec],
    offered: dict[str, list[PackageSpec]],
    found: list[str] | None,
) -> None:
    of = sealed(tmp_path, offered, [KERNEL, *installed])
    (unit,) = join_units(of, of.kernels)
    headers = of.headers(unit)
    assert (None if headers is None else [package.repository for package in headers]) == found
    if found:
        held = sealed(tmp_path / "held", offered, [KERNEL, *installed], locks=("kernel-default-devel",))
        assert held.headers(unit) is None


def test_packages_of_a_name(tmp_path: Path) -> None:
    old, same, new = (devel(release) for release in ("9.1", "10.1", "11.1"))
    of = sealed(
        tmp_path,
        {"r": [same, new, spec("other", obsoletes=("kernel-default-devel < 6",))]},
        [KERNEL, old, same],
    )
    (unit,) = join_units(of, of.kernels)
    siblings = of.siblings("kernel-default-devel", unit)
    assert [(str(package), package.repository) for package in siblings] == [
        (same.nevra, None),
        (same.nevra, "r"),
    ]
    assert of.installed_evrs(["kernel-default-devel", "nothing"]) == {
        "kernel-default-devel": [Evr.parse("6.4.0-9.1"), Evr.parse("6.4.0-10.1")]
    }
    ((package, texts),) = of.obsoleting("kernel-default-devel")
    assert (package.name, texts) == ("other", ("kernel-default-devel < 6",))
    assert [of.is_installed(p.handle) for p in siblings] == [True, False]
    assert of.name_of(siblings[0].handle) == same.nevra
    assert of.repositories == (SYSTEM, "r")
    assert of.packages == 6
    assert [of.first_handle(alias) for alias in of.repositories] == [
        of.called("kernel-default")[0].handle,
        siblings[1].handle,
    ]


def test_the_versions_of_its_own_name(tmp_path: Path) -> None:
    of = sealed(
        tmp_path, {"r": [spec("a", "2-1", "a = 2-1.5", "a", "a = 1:1", "a-libs = 9", "ab = 7")]}, [KERNEL]
    )
    (package,) = of.called("a")
    assert list(map(str, own_provides(of, package.handle))) == ["2-1", "2-1.5", "1:1"]


def test_the_build_behind_a_handle(tmp_path: Path) -> None:
    of = sealed(tmp_path, {}, [KERNEL, ACME, spec("bash")])
    acme, bash = (of.called(name)[0].handle for name in (ACME.name, "bash"))
    (build,) = of.kmps
    assert of.spelled(build.exports) == ["ksym(default:s) = 1"]
    assert of.kmp(acme) is build
    assert of.kmp(bash) is None
    assert of.installed_kmp_names == {ACME.name}


def test_who_is_held_by_a_lock(tmp_path: Path) -> None:
    other = replace(ACME, name="other-kmp-default")
    specs = [KERNEL, ACME, spec("bash"), spec("sh"), other]
    locks = ("bash", "acme-kmp-default", "kernel-default")
    of = sealed(tmp_path / "1", {"r": [KERNEL, ACME]}, specs, locks=locks)
    assert [of.name_of(handle) for handle in of.locked_user_space] == [spec("bash").nevra]
    assert [of.name_of(handle) for handle in of.locked_kernels_and_kmps] == [KERNEL.nevra, ACME.nevra]
    free = sealed(tmp_path / "2", {}, specs)
    assert (free.locked_user_space, free.locked_kernels_and_kmps) == ((), ())


def test_a_named_package_counts_for_a_while(tmp_path: Path) -> None:
    held = [spec("held"), spec("more")]
    of = sealed(tmp_path, {"r": held}, [KERNEL], locks=("held", "more"))
    (package,), (more,) = of.called("held"), of.called("more")

    def seen() -> list[bool]:
        return [bool(of.pool.whatprovides(of.pool.str2id(name))) for name in ("held", "more")]

    assert of.hidden == {package.handle, more.handle}
    of.show_true_system()
    assert seen() == [False, False]
    with of.naming([package]):
        assert seen() == [True, False]
    assert seen() == [False, False]
    with of.naming(of.called("kernel-default")):
        assert seen() == [False, False]
    with pytest.raises(ValueError, match="x"), of.naming([package]):
        raise ValueError("x")
    assert seen() == [False, False]
    of.show_everything()
    assert seen() == [True, True]
    of.show_true_system()
    assert seen() == [False, False]


def test_where_the_rpm_of_a_package_lies(tmp_path: Path) -> None:
    """Not out of its repository's folder, whatever the metadata says."""
    inside = spec("inside")
    (tmp_path / "rpms").mkdir()
    (tmp_path / "rpms" / "inside-1-1.x86_64.rpm").touch()
    of = Universe(Policy())
    system = open_source(str(rpmmd.write(tmp_path / "s", [KERNEL, spec("mine")])), alias=SYSTEM)
    of.load(replace(system, packages_at=tmp_path))
    (tmp_path / "mine-1-1.x86_64.rpm").touch()
    packages = [inside, spec("missing"), spec("x" * 300)]
    for alias, place in (("r", tmp_path / "rpms"), ("far", None)):
        content = open_source(str(rpmmd.write(tmp_path / alias, packages)), alias=alias)
        of.load(replace(content, packages_at=place))
    of.seal()
    assert [of.file_of(package) for package in of.called("inside")] == [
        tmp_path / "rpms" / "inside-1-1.x86_64.rpm",
        None,
    ]
    for nowhere in ("missing", "x" * 300):  # no file system has room for such a name
        assert [of.file_of(package) for package in of.called(nowhere)] == [None, None]
    assert [of.file_of(package) for package in of.called("mine")] == [tmp_path / "mine-1-1.x86_64.rpm"]
    (tmp_path / "rpms" / "missing-1-1.x86_64.rpm").symlink_to(tmp_path / "s" / "repodata" / "repomd.xml")
    assert [of.file_of(package) for package in of.called("missing")] == [None, None]


def test_a_package_without_a_location(tmp_path: Path) -> None:
    """SWIG, as Debian and SUSE build libsolv with, leaves the number of the medium alone where a text is missing."""
    pool = solv.Pool()
    repo = pool.add_repo("bare")
    bare = repo.add_solvable()
    bare.name, bare.evr, bare.arch = "bare", "1-1", "x86_64"
    bare.add_deparray(solv.SOLVABLE_PROVIDES, pool.rel2id(bare.nameid, bare.evrid, solv.REL_EQ))
    stream = solv.xfopen(str(tmp_path / "bare.solv"), "w")
    repo.write(stream)
    stream.close()
    of = Universe(Policy())
    of.load(open_source(str(rpmmd.write(tmp_path / "s", [KERNEL])), alias=SYSTEM))
    of.load(replace(open_source(str(tmp_path / "bare.solv"), alias="r"), packages_at=tmp_path))
    of.seal()
    assert [of.file_of(package) for package in of.called("bare")] == [None]


def test_patches_are_read_when_somebody_asks(tmp_path: Path) -> None:
    one, other = (Patch(id=i, severity="", cves=(), status="", packages=()) for i in "ab")
    of = Universe(Policy())
    of.load_no_system()
    content = open_source(str(rpmmd.write(tmp_path, [KERNEL])), alias="r")
    of.load(replace(content, patches=(one,)))
    of.patches_unread = lambda: [other]
    assert list(of.patches) == [one, other]
    assert list(of.patches) == [one, other]


def test_part_of_what_stands_in_a_file(tmp_path: Path) -> None:
    pool = solv.Pool()
    repo = pool.add_repo("x")
    for name in ("kernel-default", "a", "b"):
        solvable = repo.add_solvable()
        solvable.name, solvable.evr, solvable.arch = name, "1-1", "x86_64"
    stream = solv.xfopen(str(tmp_path / "x.solv"), "w")
    repo.write(stream)
    stream.close()
    of = Universe(Policy())
    found = of.load_part(Content(alias=SYSTEM, source="x"), tmp_path / "x.solv", [0, 2])
    of.seal()
    assert {of.name_of(handle): number for handle, number in found.items()} == {
        "kernel-default-1-1.x86_64": 0,
        "b-1-1.x86_64": 2,
    }
    assert of.installed_handles == found.keys()
    assert of.packages == 2
    assert len(list(of.pool.solvables)) == 2


def test_installed_livepatches(tmp_path: Path) -> None:
    patch = spec("kernel-livepatch-6_4_0-10-default", "1-1", "kmod(livepatch_1.ko)")
    assert not sealed(tmp_path / "1", {"r": [patch]}, [KERNEL]).livepatches
    (found,) = sealed(tmp_path / "2", {"r": [patch]}, [KERNEL, patch]).livepatches
    assert found.installed


def test_hardware_counts_where_the_machine_is_at_hand(tmp_path: Path) -> None:
    driver = spec("driver", supplements=("modalias(pci:v1*)",))

    def met(of: Universe) -> bool:
        pool = of.pool
        asked = pool.rel2id(pool.str2id("namespace:modalias"), pool.str2id("pci:v1*"), solv.REL_NAMESPACE)
        return bool(pool.whatprovides(asked))

    for devices, there in ((["pci:v1d2"], True), (["pci:v2d2"], False), (None, False)):
        machine = None if devices is None else partial(Modaliases, devices)
        of = sealed(tmp_path / str(devices), {"r": [driver]}, [KERNEL], devices=machine)
        assert met(of) == there
        of.show_true_system()
        assert met(of) == there
