"""What counts as a kernel or a KMP, and what is read of it: each package has one thing only that gives it away."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kmpsolve.metadata.source import open_source
from kmpsolve.model.package import KmpBuild
from kmpsolve.planner.kernels import join_units
from kmpsolve.request import Policy
from kmpsolve.solver.universe import SYSTEM, Universe
from tests.support import rpmmd
from tests.support.packages import PackageSpec

KERNEL = "kernel-default"
UPDATES = "/lib/modules/6.4.0-20-default/updates/a.ko"
IN_TREE = "/usr/lib/modules/6.4.0-20-default/kernel/a.ko"


def spec(name: str, **more: object) -> PackageSpec:
    return PackageSpec(**{"name": name, "version": "1", "release": "1"} | more)  # type: ignore[arg-type]


def universe(
    folder: Path,
    packages: list[PackageSpec],
    files: dict[str, tuple[str, ...]] | None = None,
    installed: tuple[PackageSpec, ...] = (),
) -> Universe:
    of = Universe(Policy(), lambda name: name == "told-kmp-default")
    of.load(open_source(str(rpmmd.write(folder / "system", list(installed))), alias=SYSTEM))
    rt = spec("kernel-rt", provides=("kernel-uname-r = 6.4.0-20-rt",))
    repository = open_source(str(rpmmd.write(folder / "r", [rt, *packages])), alias="r")
    told = {f"{name}-1-1.x86_64": paths for name, paths in (files or {}).items()}
    triggers = {p.nevra: p.triggers for p in packages if p.triggers}
    of.load(replace(repository, module_files=told, triggers=triggers))
    of.seal()
    return of


def only(of: Universe) -> KmpBuild | None:
    assert len(of.kmps) <= 1
    return of.kmps[0] if of.kmps else None


@pytest.mark.parametrize(
    "provides",
    [
        ("kernel-uname-r = 6.4.0-20-default",),
        ("ksym(default:a) = 1",),
        ("kmod(a.ko)",),
        ("kernel(vfs) = 0x1",),
    ],
)
def test_any_of_these_makes_a_kernel(tmp_path: Path, provides: tuple[str, ...]) -> None:
    of = universe(tmp_path, [spec(KERNEL, version="6.4.0", release="20.1", provides=provides)])
    assert [(k.flavor, k.part, k.uname_r) for k in of.kernels if k.package.name == KERNEL] == [
        ("default", "", "6.4.0-20-default")
    ]
    assert not of.kmps


@pytest.mark.parametrize(
    ("release", "provides", "flavor", "uname_r"),
    [
        ("20", (), "default", "6.4.0-20-default"),
        ("20.1", ("kernel-uname-r = 6.4.0-20-rt",), "rt", "6.4.0-20-rt"),
        ("20.1", ("kernel-uname-r = 6.4.0-20",), "default", "6.4.0-20"),
    ],
)
def test_the_flavor_is_what_uname_says(
    tmp_path: Path, release: str, provides: tuple[str, ...], flavor: str, uname_r: str
) -> None:
    package = spec(KERNEL, version="6.4.0", release=release, provides=(*provides, "ksym(default:a) = 1"))
    (kernel,) = (k for k in universe(tmp_path, [package]).kernels if k.package.name == KERNEL)
    assert (kernel.flavor, kernel.uname_r) == (flavor, uname_r)


@pytest.mark.parametrize(
    ("requires", "belongs"),
    [
        (("bash = 5",), True),
        ((f"{KERNEL} = 6.4.0-20.1",), True),
        ((f"{KERNEL}_x86_64 = 6.4.0-20.1",), True),
        ((f"{KERNEL} = 6.4.0-21.1",), False),
        ((f"{KERNEL}_x86_64 = 6.4.0-21.1",), False),
    ],
)
def test_an_extra_belongs_to_the_kernel_that_it_requires(
    tmp_path: Path, requires: tuple[str, ...], belongs: bool
) -> None:
    main = spec(
        KERNEL,
        version="6.4.0",
        release="20.1",
        provides=("kernel-uname-r = 6.4.0-20-default", f"{KERNEL}_x86_64 = 6.4.0-20.1"),
    )
    extra = spec(
        f"{KERNEL}-extra", version="6.4.0", release="20.1", provides=("kmod(x.ko)",), requires=requires
    )
    of = universe(tmp_path, [], installed=(main, extra))
    (unit,) = join_units(of, [kernel for kernel in of.kernels if kernel.package.installed])
    assert (len(unit.packages) == 2) == belongs


@pytest.mark.parametrize(
    "package",
    [
        spec(KERNEL),
        spec("kernel-default-devel", provides=("ksym(default:a) = 1",)),
        spec("kernel-default-livepatch", provides=("ksym(default:a) = 1",)),
        spec("kernel-source", requires=("ksym(default:a) = 1",)),
        spec(KERNEL, arch="src", provides=("ksym(default:a) = 1",)),
        spec("acme-kmp-default", arch="src", requires=("ksym(default:a) = 1",)),
        spec("acme-kmp-other"),
        spec("bash", requires=("kernel-uname-r = 6.4.0-20-default",)),
        spec("bash", requires=("ksym(default:a) = 1",)),
        spec("acme-kmp-default", provides=("kmp_in_kernel(acme)", "kmod(a.ko)")),
    ],
    ids=lambda package: f"{package.name}.{package.arch} {package.requires}",
)
def test_none_of_these_is_a_kernel_or_a_kmp(tmp_path: Path, package: PackageSpec) -> None:
    other = spec("kernel-default", version="2", provides=("kernel-uname-r = 6.4.0-21-default",))
    of = universe(tmp_path, [package, other])
    assert [str(k.package.nevra) for k in of.kernels] == ["kernel-rt-1-1.x86_64", other.nevra]
    assert not of.kmps


@pytest.mark.parametrize(
    ("package", "flavor"),
    [
        (spec("acme-kmp-rt"), "rt"),
        (spec("acme", provides=("kmod(a.ko)",), requires=("ksym(rt:a) = 1",)), "rt"),
        (spec("acme", provides=("kmod(a.ko)",), enhances=("kernel-rt",)), "rt"),
        (spec("acme", provides=("kmod(a.ko)",), supplements=("modalias(kernel-rt:pci:v1)",)), "rt"),
        (spec("acme", provides=("kmod(a.ko)",), requires=("kernel-rt",)), "rt"),
        (spec("acme", provides=("kmod(a.ko)",)), ""),
        (spec("acme", provides=("ksym(rt:acme) = 1",)), "rt"),
        (spec("acme", provides=("kernel(rt:acme) = 1",)), "rt"),
        (spec("acme-kmp-rt", requires=("ksym(default:a) = 1",)), "default"),
        (spec("acme-kmp-default", requires=("ksym(default:a) = 1", "ksym(rt:a) = 1", "ksym(rt:b) = 1")), "default"),
        (spec("acme-kmp-rt", requires=("ksym(a) = 0x1",)), "rt"),
        (spec("acme-kmp-other", requires=("ksym(other:a) = 1",)), "other"),
        (spec("acme-kmp-other", requires=("ksym(x",)), "other"),
        (spec("a", provides=("ksym(rt:z) = 1", "kmod(a.ko)"), requires=("ksym(default:a) = 1", "ksym(rt:a) = 1")),
         "rt"),
    ],
    ids=str,
)  # fmt: skip
def test_a_kmp_and_its_flavor(tmp_path: Path, package: PackageSpec, flavor: str) -> None:
    build = only(universe(tmp_path, [package]))
    assert build is not None
    assert (build.name, build.flavor) == (package.name, flavor)


def test_the_flavor_of_most_symbols_counts(tmp_path: Path) -> None:
    mixed = spec(
        "a", provides=("kmod(a.ko)",), requires=("ksym(rt:a) = 1", "ksym(rt:b) = 1", "ksym(default:a) = 1")
    )
    symbols = tuple(f"ksym(default:{name}) = 1" for name in "abcdefgh")
    of = universe(tmp_path, [mixed, spec("b", provides=("kmod(b.ko)", *symbols), requires=symbols)])
    assert [(build.name, build.flavor) for build in of.kmps] == [("a", "rt"), ("b", "default")]


@pytest.mark.parametrize(
    ("requires", "one"),
    [
        ((), True),
        (("ksym(default:a) = 1", "ksym(default:b) = 1"), True),
        (("ksym(default:a) = 1", "ksym(b) = 0x1"), True),
        (("ksym(default:a) = 1", "ksym(rt:b) = 1"), False),
        (("ksym(default:a) = 1", "kernel-uname-r = 6.4.0-20-rt"), False),
    ],
)
def test_whether_a_kmp_needs_symbols_of_one_flavor(
    tmp_path: Path, requires: tuple[str, ...], one: bool
) -> None:
    of = universe(tmp_path, [spec("a", provides=("ksym(azure:a) = 1",), requires=requires)])
    (build,) = of.kmps
    assert of.of_one_flavor(build) == one


def test_whose_symbols_lead_to_other_kmps(tmp_path: Path) -> None:
    """Each comes once, however many ask for it; what ships with a kernel is none."""
    installed = spec("a-kmp-rt", requires=("ksym(rt:b) = 1", "ksym(rt:c) = 1"))
    offered = [
        spec("a-kmp-rt", version="2", provides=("kmp_in_kernel",)),
        spec("b-kmp-rt", provides=("ksym(rt:b) = 1",), requires=("ksym(rt:c) = 2",)),
        spec("c-kmp-rt", provides=("ksym(rt:c) = 1",)),
        spec("d-kmp-rt", provides=("ksym(rt:d) = 1",)),
    ]
    of = universe(tmp_path, offered, installed=(installed,))
    assert [build.name for build in of.near_kmps()] == ["a-kmp-rt", "b-kmp-rt", "c-kmp-rt"]
    assert of.kmp_handles == {build.package.handle for build in of.kmps}
    assert len(of.kmps) == 4


@pytest.mark.parametrize(
    ("package", "paths", "found"),
    [
        (spec("acme"), (UPDATES,), True),
        (spec("acme"), (IN_TREE, UPDATES), True),
        (spec("acme"), ("/usr/sbin/acme", UPDATES), True),
        (spec("acme"), (IN_TREE,), False),
        (spec("acme", requires=("kernel(default:vfs) = 1",)), (IN_TREE,), True),
        (spec("acme", requires=("kernel-uname-r = 6.4.0-20-default",)), (IN_TREE,), True),
        (spec("acme", requires=("ksym(default:a) = 1",)), (IN_TREE,), True),
    ],
)
def test_what_only_its_files_give_away(
    tmp_path: Path, package: PackageSpec, paths: tuple[str, ...], found: bool
) -> None:
    build = only(universe(tmp_path, [package], {"acme": paths}))
    assert (build is not None) == found
    if build is not None:
        assert (build.flavor, *build.module_folders) == ("default", "6.4.0-20-default")


def test_files_are_those_of_one_repository(tmp_path: Path) -> None:
    """Of two packages of one name, only the one whose files are known."""
    of = universe(tmp_path, [spec("acme")], {"acme": (UPDATES,)}, installed=(spec("acme"),))
    assert [build.package.repository for build in of.kmps] == ["r"]


def test_what_is_read_of_a_kmp(tmp_path: Path) -> None:
    package = spec(
        "acme-kmp-default",
        version="2_k6.4.0_10",
        provides=(
            "acme-kmp-default-k6.4.0_150600.20",
            "multiversion(kernel)",
            "kmod(acme-a.ko)",
            "kmod(b.ko.zst)",
            "ksym(default:out) = 0A",
        ),
        requires=(
            "ksym(default:a) = 00ff",
            "kernel(default:vfs) = 3",
            "kernel-uname-r = 6.4.0-20-default",
            "ksym(x",
            "sh",
        ),
        obsoletes=("old-kmp < 2",),
    )
    build = only(universe(tmp_path, [package]))
    assert build is not None
    assert build.built_for == "6.4.0_150600.20"
    assert build.multiversion
    assert dict(build.modules) == {"acme_a": "acme-a.ko", "b": "b.ko.zst"}
    assert dict(build.exports) == {"ksym(default:out)": ("a",)}
    assert len(build.needs) == 3
    assert build.damaged == ("ksym(x",)
    assert build.obsoletes == ("old-kmp < 2",)
    assert not build.rebuilds_on_host


@pytest.mark.parametrize(
    ("package", "built_for"),
    [
        (spec("a-kmp-default", version="2_k6.4.0_150600.10"), "6.4.0_150600.10"),
        (spec("a-kmp-default", version="2_3.0.101_63"), "3.0.101_63"),
        (spec("a-kmp-default", version="2_3"), ""),
        (spec("a-kmp-default", provides=("a-kmp-default-k6.4.0-10", "a-kmp-default-k6.4.0_20")), "6.4.0_20"),
    ],
    ids=str,
)
def test_the_kernel_that_a_kmp_was_built_for(tmp_path: Path, package: PackageSpec, built_for: str) -> None:
    default = spec(KERNEL, provides=("kernel-uname-r = 6.4.0-1-default",))
    (build,) = universe(tmp_path, [package, default]).kmps
    assert build.built_for == built_for
    assert not build.multiversion


@pytest.mark.parametrize(
    ("package", "rebuilds"),
    [
        (spec("a-kmp-rt", triggers=("kernel-rt-devel",)), True),
        (spec("a-kmp-rt", triggers=("kernel-default-devel",)), False),
        (spec("a-kmp-rt", triggers=("kernel-default-devel", "kernel-rt-devel")), True),
        (spec("a-kmp-rt", triggers=("sh", "kernel-source")), True),
        (spec("a-kmp-rt", triggers=("dkms",)), True),
        (spec("a-kmp-rt", triggers=("kernel-rt",)), False),
        (spec("told-kmp-default", provides=("kmod(a.ko)",)), True),
    ],
    ids=str,
)
def test_what_rebuilds_itself(tmp_path: Path, package: PackageSpec, rebuilds: bool) -> None:
    build = only(universe(tmp_path, [package]))
    assert build is not None
    assert build.rebuilds_on_host == rebuilds
