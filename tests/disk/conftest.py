from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.disk.building import Building, names_that, stock
from tests.modules import debian
from tests.modules.debian import DebianKernel


@pytest.fixture(scope="session")
def near() -> tuple[DebianKernel, DebianKernel]:
    """Two builds of one series: some modules load on both."""
    return debian.kernel_pairs()[0]


@pytest.fixture(scope="session")
def far() -> DebianKernel:
    """A build of another series: no module of `near` loads on it."""
    return debian.kernel_pairs()[-1][1]


@pytest.fixture
def bare(tmp_path: Path) -> Building:
    return Building(tmp_path / "root").start()


@pytest.fixture
def healthy(tmp_path: Path, _healthy: Building) -> Building:
    """Two kernels; acme fits both, beta was built for each; all links, modules.dep and initrds are right."""
    root = shutil.copytree(_healthy.root, tmp_path / "root", symlinks=True)
    return Building(root, {nevra: list(paths) for nevra, paths in _healthy.owned.items()})


@pytest.fixture(scope="session")
def _healthy(tmp_path_factory: pytest.TempPathFactory, near: tuple[DebianKernel, DebianKernel]) -> Building:
    bare = Building(tmp_path_factory.mktemp("healthy") / "root").start()
    old, new = near
    both = names_that(old, new, fit=True)
    neither = names_that(old, new, fit=False)
    own = [name for name in both if name not in both[:4]][:4]
    for kernel in near:
        bare.kernel(kernel, own)
    bare.kmp(
        "acme-kmp-amd64-1.0_k1-1.x86_64",
        old,
        {"acme.ko": stock(old)[both[0]], "acme-io.ko": stock(old)[both[1]]},
    )
    bare.kmp("beta-kmp-amd64-1.0_k1-1.x86_64", old, {"beta.ko": stock(old)[neither[0]]}, "extra")
    bare.kmp("beta-kmp-amd64-1.0_k2-1.x86_64", new, {"beta.ko": stock(new)[neither[0]]}, "extra")
    bare.link_as_foreseen()
    bare.depmod()
    for kernel in near:
        bare.initrd(kernel, {"acme.ko": stock(old)[both[0]], f"{own[0]}.ko": stock(kernel)[own[0]]})
    return bare
