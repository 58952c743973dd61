"""The architecture of a system is that of its kernels, whatever machine this is."""

from __future__ import annotations

from pathlib import Path

import pytest

from kmpsolve.request import Policy
from kmpsolve.solver.sources import kernel_architecture
from kmpsolve.solver.universe import Universe
from tests.support.packages import PackageSpec
from tests.support.universes import sealed


def specs(text: str) -> list[PackageSpec]:
    """Packages written NAME.ARCH."""
    named = [word.rpartition(".") for word in text.split()]
    return [PackageSpec(name=name, version="1", release="1", arch=arch) for name, _, arch in named]


@pytest.mark.parametrize(
    ("installed", "offered", "arch"),
    [
        ("kernel-default.x86_64 a.i586 b.i586", "c.ppc64le", "x86_64"),
        ("kernel-a.x86_64 kernel-b.aarch64 kernel-c.aarch64", "", "aarch64"),
        ("kernel-a.x86_64 kernel-b.aarch64", "", "x86_64"),
        ("kernel-firmware.noarch c.x86_64 a.i586 b.i586 d.noarch e.noarch f.noarch", "", "i586"),
        ("kernel-firmware.noarch kernel-default.s390x", "", "s390x"),
        ("kernel-default.i586 kernel-pae.i586 glibc.i686", "", "i686"),
        ("kernel-default.i586 c.i586", "glibc.i686", "i586"),
        ("kernel-default.x86_64 glibc.i686", "", "x86_64"),
        ("kernel-default.x86_64 kernel-pae.i586 kernel-rt.i586", "", "x86_64"),
        ("a.noarch", "b.src c.nosrc d.noarch e.ppc64le f.x86_64", "ppc64le"),
        ("", "d.noarch e.ppc64le", "ppc64le"),
        ("a.noarch", "d.noarch", "noarch"),
    ],
)
def test_architecture(tmp_path: Path, installed: str, offered: str, arch: str) -> None:
    of = sealed(tmp_path, {"r": specs(offered)}, specs(installed))
    assert kernel_architecture(of.pool, of.pool.repos) == arch


def test_nothing_tells() -> None:
    assert kernel_architecture(Universe(Policy()).pool, []) == "noarch"
