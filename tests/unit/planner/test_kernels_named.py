"""Kernels for questions that need no system: ``check --kernel`` and ``matrix`` where nothing is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kmpsolve.errors import RequestError
from kmpsolve.metadata.source import open_source
from kmpsolve.model.package import KernelUnit
from kmpsolve.planner.target import every_kernel, kernels_named
from kmpsolve.request import Policy
from kmpsolve.solver.universe import SYSTEM, Universe
from tests.support import rpmmd
from tests.support.packages import PackageSpec


def kernel(
    release: str, name: str = "kernel-default", uname_r: str | None = None, **more: Any
) -> PackageSpec:
    """uname -r drops the rebuild counter, and is the same for -base and the rest."""
    uname = uname_r or f"6.4.0-{release.partition('.')[0]}-{name.split('-')[1]}"
    provides = (f"kernel-uname-r = {uname}", "ksym(default:a) = 1")
    return PackageSpec(name=name, version="6.4.0", release=release, provides=provides, **more)


def universe(
    folder: Path, repositories: Mapping[str, Sequence[PackageSpec]], installed: Sequence[PackageSpec] = ()
) -> Universe:
    of = Universe(Policy())
    if installed:
        of.load(open_source(str(rpmmd.write(folder / "system", installed)), alias=SYSTEM))
    else:
        of.load_no_system()
    for alias, packages in repositories.items():
        of.load(open_source(str(rpmmd.write(folder / alias, packages)), alias=alias))
    of.seal()
    return of


def told(units: Sequence[KernelUnit]) -> list[str]:
    return [f"{u.main.repository or 'installed'} {'+'.join(str(p) for p in u.packages)}" for u in units]


def nevra(release: str, name: str = "kernel-default", arch: str = "x86_64") -> str:
    return f"{name}-6.4.0-{release}.{arch}"


OFFER = [
    kernel("20.2"),
    kernel("20.1"),
    kernel("30.1"),
    kernel("20.1", "kernel-rt"),
    kernel("40.1", "kernel-default-extra"),
    kernel("25", "kernel-azure", epoch=1),
]
AZURE = "kernel-azure-1:6.4.0-25.x86_64"


@pytest.mark.parametrize(
    ("asked", "flavors", "found"),
    [
        (None, (), [AZURE, nevra("30.1"), nevra("20.1", "kernel-rt")]),
        ("latest", (), [AZURE, nevra("30.1"), nevra("20.1", "kernel-rt")]),
        (None, ("rt",), [nevra("20.1", "kernel-rt")]),
        ("6.4.0-20", (), [nevra("20.2"), nevra("20.1", "kernel-rt")]),
        ("6.4.0-20.1", (), [nevra("20.1"), nevra("20.1", "kernel-rt")]),
        ("6.4.0-20-default", (), [nevra("20.2")]),
        ("6.4.0-20-default", ("default", "azure"), [nevra("20.2")]),
        ("6.4.0-25", (), [AZURE]),
        ("1:6.4.0-25", (), [AZURE]),
    ],
)
def test_the_newest_that_is_meant_of_each_flavor(
    tmp_path: Path, asked: str | None, flavors: tuple[str, ...], found: list[str]
) -> None:
    of = universe(tmp_path, {"r": OFFER})
    assert told(kernels_named(of, asked, flavors)) == [f"r {one}" for one in found]


@pytest.mark.parametrize(
    ("asked", "flavors", "message"),
    [
        ("6.4.0-40", (), "no kernel 6.4.0-40 is installed or in a repository"),
        ("6.4.0-30-default", ("rt",), "no kernel 6.4.0-30-default is installed or in a repository"),
        ("2:6.4.0-25", (), "no kernel 2:6.4.0-25 is"),
        ("6.4.0", (), "no kernel 6.4.0 is"),
        (None, ("vanilla",), "no kernel is installed or in a repository"),
    ],
)
def test_there_is_none(tmp_path: Path, asked: str | None, flavors: tuple[str, ...], message: str) -> None:
    with pytest.raises(RequestError) as caught:
        kernels_named(universe(tmp_path, {"r": OFFER}), asked, flavors)
    assert message in str(caught.value)


def test_kernel_default_goes_before_its_base_and_the_installed_one_before_that_of_a_repository(
    tmp_path: Path,
) -> None:
    whole, base = kernel("30.1"), kernel("30.1", "kernel-default-base")
    of = universe(tmp_path, {"r": [whole, base]}, [whole, base])
    for asked in (None, "6.4.0-30.1"):
        assert told(kernels_named(of, asked, ())) == [f"installed {whole.nevra}"]
    of = universe(tmp_path / "offered", {"r": [base, whole]}, [kernel("10.1")])
    assert told(kernels_named(of, None, ())) == [f"r {whole.nevra}"]
    of = universe(tmp_path / "alone", {"r": [base]}, [kernel("10.1")])
    assert told(kernels_named(of, None, ())) == [f"r {base.nevra}"]
    of = universe(tmp_path / "itself", {"r": [kernel("30.1", base.name, requires=(base.name,))]})
    assert told(kernels_named(of, None, ())) == [f"r {base.nevra}"]


def test_a_base_of_longer_release_is_no_newer_than_its_kernel(tmp_path: Path) -> None:
    """As in every repository since SLE 15; a host with -base has no use for what only the whole kernel has."""
    whole, base = kernel("30.1"), kernel("30.1.22.7", "kernel-default-base", "6.4.0-30-default")
    old, small = kernel("10.1"), kernel("10.1.22.3", "kernel-default-base", "6.4.0-10-default")
    nothing = universe(tmp_path / "nothing", {"r": [whole, base, old, small]})
    host = universe(tmp_path / "host", {"r": [whole, base]}, [old])
    small_host = universe(tmp_path / "small", {"r": [whole, base]}, [small])
    for asked in (None, "latest", "6.4.0-30-default"):
        assert told(kernels_named(nothing, asked, ())) == [f"r {whole.nevra}"]
        assert told(kernels_named(host, asked, ())) == [f"r {whole.nevra}"]
        assert told(kernels_named(small_host, asked, ())) == [f"r {base.nevra}"]
    for of in (nothing, host, small_host):
        assert told(kernels_named(of, "6.4.0-30.1.22.7", ())) == [f"r {base.nevra}"]
        assert told(kernels_named(of, "6.4.0-30.1", ())) == [f"r {whole.nevra}"]


def test_a_kernel_of_another_architecture_is_not_meant(tmp_path: Path) -> None:
    of = universe(tmp_path, {"r": [kernel("30.1", arch="aarch64"), kernel("20.1")]}, [kernel("10.1")])
    assert told(kernels_named(of, None, ())) == [f"r {nevra('20.1')}"]


def test_without_a_system_each_architecture_has_its_kernel(tmp_path: Path) -> None:
    """As in the repositories of the Open Build Service, which hold several; whichever comes first."""
    base = kernel("20.1", "kernel-default-base", arch="aarch64")
    offer = [
        kernel("20.1", arch="aarch64"),
        base,
        kernel("30.1"),
        kernel("20.1"),
        kernel("10.1", arch="s390x"),
    ]
    for number, packages in enumerate((offer, offer[::-1])):
        of = universe(tmp_path / str(number), {"r": packages})
        assert told(kernels_named(of, None, ())) == [
            f"r {nevra('20.1', arch='aarch64')}",
            f"r {nevra('10.1', arch='s390x')}",
            f"r {nevra('30.1')}",
        ]
        assert told(kernels_named(of, "6.4.0-20", ())) == [
            f"r {nevra('20.1', arch='aarch64')}",
            f"r {nevra('20.1')}",
        ]


def test_a_ptf_is_only_meant_by_its_own_name(tmp_path: Path) -> None:
    """It has the highest EVR; what ``check`` says of it holds for nobody who did not ask for it."""
    ptf = kernel("30.2", uname_r="6.4.0-30-default")
    ptf = replace(ptf, provides=(*ptf.provides, "ptf-package()"))
    of = universe(tmp_path, {"r": [*OFFER, ptf]})
    for asked in (None, "latest", "6.4.0-30", "6.4.0-30-default"):
        assert told(kernels_named(of, asked, ("default",))) == [f"r {nevra('30.1')}"]
    assert told(kernels_named(of, "6.4.0-30.2", ())) == [f"r {ptf.nevra}"]
    alone = universe(tmp_path / "alone", {"r": [ptf]})
    assert told(kernels_named(alone, "6.4.0-30", ())) == [f"r {ptf.nevra}"]


def test_every_kernel_is_told_once(tmp_path: Path) -> None:
    base = kernel("20.1", "kernel-default-base")
    of = universe(
        tmp_path,
        {"a": [*OFFER[:-1], base], "b": [kernel("30.1"), kernel("30.1", arch="aarch64")]},
        [kernel("10.1"), kernel("20.1", "kernel-rt")],
    )
    assert told(every_kernel(of, ())) == [
        f"installed {nevra('10.1')}",
        f"installed {nevra('20.1', 'kernel-rt')}",
        f"a {nevra('20.2')}",
        f"a {nevra('20.1')}",
        f"a {nevra('30.1')}",
        f"a {base.nevra}",
        f"b {nevra('30.1', arch='aarch64')}",
    ]
    assert told(every_kernel(of, ("rt",))) == [f"installed {nevra('20.1', 'kernel-rt')}"]
    with pytest.raises(RequestError):
        every_kernel(of, ("azure",))


def test_a_base_of_another_architecture_is_no_kernel(tmp_path: Path) -> None:
    of = universe(tmp_path, {"r": [kernel("20.1", "kernel-default-base", arch="aarch64")]}, [kernel("10.1")])
    assert told(every_kernel(of, ())) == [f"installed {nevra('10.1')}"]


@pytest.mark.parametrize(
    ("base", "belongs"),
    [
        (kernel("20.1", "kernel-default-base"), True),
        (kernel("20.2", "kernel-default-base"), False),  # of another release than the kernel requires
        (kernel("20.1", "kernel-default-base", "6.4.0-21-default"), False),
        (kernel("20.1", "kernel-default-extra"), False),
    ],
)
def test_what_belongs_to_a_kernel_for_certain(tmp_path: Path, base: PackageSpec, belongs: bool) -> None:
    """On Code 11 a kernel requires its -base; the same one of two repositories is taken once."""
    main = kernel("20.1", requires=(f"{base.name} = 6.4.0-20.1",))
    of = universe(tmp_path, {"a": [main, base], "b": [base]})
    unit = next(u for u in kernels_named(of, "6.4.0-20.1", ()) if u.main.name == main.name)
    assert [str(p) for p in unit.packages] == [main.nevra, *([base.nevra] * belongs)]
    assert told([u for u in every_kernel(of, ()) if u.main.name == main.name]) == told([unit])


def test_a_base_that_the_kernel_does_not_require_or_of_another_flavor(tmp_path: Path) -> None:
    main, base = kernel("20.1"), kernel("20.1", "kernel-default-base")
    of = universe(tmp_path / "unrelated", {"r": [main, base]})
    assert told(kernels_named(of, "6.4.0-20.1", ())) == [f"r {main.nevra}"]
    strange = kernel("20.1", "kernel-rt-base", "6.4.0-20")
    main = kernel("20.1", uname_r="6.4.0-20", requires=("kernel-rt-base",))
    of = universe(tmp_path / "flavor", {"r": [main, strange]})
    assert told(kernels_named(of, None, ("default",))) == [f"r {main.nevra}"]


def test_what_is_installed_beside_the_kernel_belongs_to_it(tmp_path: Path) -> None:
    def extra(release: str) -> PackageSpec:
        provides = (f"ksym(default:extra_{release[:2]}) = 1", "kmod(x.ko)")
        requires = (f"kernel-default = 6.4.0-{release}",)
        return PackageSpec(
            name="kernel-default-extra",
            version="6.4.0",
            release=release,
            provides=provides,
            requires=requires,
        )

    offer = [kernel("20.1"), extra("20.1"), kernel("30.1"), extra("30.1")]
    of = universe(tmp_path, {"r": offer, "s": [extra("30.1")]}, [kernel("20.1"), extra("20.1")])
    old, new = kernels_named(of, "6.4.0-20.1", ()), kernels_named(of, None, ())
    assert told(old) == [f"installed {nevra('20.1')}+{nevra('20.1', 'kernel-default-extra')}"]
    assert told(new) == [f"r {nevra('30.1')}+{nevra('30.1', 'kernel-default-extra')}"]
    assert "ksym(default:extra_30) = 1" in of.spelled(new[0].exports)
    without = universe(tmp_path / "without", {"r": offer}, [kernel("20.1")])
    assert told(kernels_named(without, None, ())) == [f"r {nevra('30.1')}"]
