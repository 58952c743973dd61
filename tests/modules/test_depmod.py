"""Whole kernels' worth of modules, judged by depmod and by us."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from kmpsolve.modules.kernel import Kernel
from kmpsolve.modules.loader import judge_together
from kmpsolve.modules.module import Module
from kmpsolve.modules.symvers import Symvers
from tests.modules import debian
from tests.modules.debian import DebianKernel

Complaint = tuple[str, str, str]

_NEEDS = re.compile(r"depmod: WARNING: (\S+) needs unknown symbol (\S+)")
_DISAGREES = re.compile(r"depmod: WARNING: (\S+) disagrees about version of symbol (\S+)")


def _depmod(tree: Path, symvers: Path, place: Path) -> set[Complaint]:
    """What depmod says of the modules in `tree` if the kernel exports what `symvers` lists."""
    modules = place / "lib" / "modules"
    modules.mkdir(parents=True)
    (modules / tree.name).symlink_to(tree)
    done = subprocess.run(
        ["depmod", "-b", place, "-n", "-ae", "-E", symvers, tree.name],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL": "C"},
    )
    complaints = set()
    for line in done.stderr.splitlines():
        if match := _NEEDS.fullmatch(line):
            complaints.add((Path(match[1]).name, "unknown", match[2]))
        elif match := _DISAGREES.fullmatch(line):
            complaints.add((Path(match[1]).name, "disagrees", match[2]))
    return complaints


def _ours(modules: Sequence[Module], symvers: Symvers, twice: set[str]) -> set[Complaint]:
    """Our complaints about symbols themselves; not those about providers that would not load."""
    image = {symbol for symbol, module in symvers.modules.items() if module == "vmlinux"}
    kernel = Kernel(
        source="image only",
        symvers=Symvers(
            crcs={symbol: symvers.crcs[symbol] for symbol in image},
            modules=dict.fromkeys(image, "vmlinux"),
        ),
    )
    judgements = judge_together(modules, kernel)
    for judgement in judgements:
        exported = set(judgement.module.exports) & image
        assert exported == {
            symbol
            for obstacle in judgement.obstacles
            if obstacle.kind == "duplicate-export"
            for symbol in obstacle.symbols
        }
    return {
        (Path(judgement.module.path).name, mismatch.kind, mismatch.symbol)
        for judgement in judgements
        for mismatch in judgement.mismatches
        if not mismatch.provider and mismatch.symbol not in twice
    }


def _compare(
    kernel: DebianKernel, others: Sequence[DebianKernel], place: Path, expected: Sequence[bool]
) -> None:
    modules = debian.tree_modules(kernel)
    for other, complains in zip(others, expected, strict=True):
        symvers = other.symvers
        # Exported by the image and by a module: depmod lets the module win, the kernel refuses it.
        twice = {
            symbol
            for module in modules
            for symbol in module.exports
            if symvers.modules.get(symbol) == "vmlinux"
        }
        theirs = _depmod(kernel.tree, other.symvers_file, place / other.uname_r)
        theirs = {complaint for complaint in theirs if complaint[2] not in twice}
        assert _ours(modules, symvers, twice) == theirs
        assert bool(theirs) == complains
        assert len(twice) < len(symvers.crcs) / 50


@pytest.mark.parametrize("number", [0, 2])
def test_every_module_of_a_cloud_kernel(
    number: int, kernels: tuple[DebianKernel, ...], tmp_path: Path
) -> None:
    kernel, near, far = kernels[number], kernels[number + 1], kernels[2 - number]
    _compare(kernel, [kernel, near, far], tmp_path, [False, True, True])


def test_a_whole_set_on_its_own_kernel_loads(kernels: tuple[DebianKernel, ...]) -> None:
    """Every obstacle that we know, asked of modules that are known to load."""
    for kernel in (kernels[0], kernels[2]):
        modules = debian.tree_modules(kernel)
        own = Kernel(
            source=kernel.uname_r,
            uname_r=kernel.uname_r,
            symvers=kernel.symvers,
            vermagic=modules[0].vermagic,
            structure_size=modules[0].structure_size,
        )
        judgements = judge_together(modules, own)
        assert {judgement.verdict for judgement in judgements} == {"safe"}
        assert len(judgements) > 1000


@pytest.mark.deep
def test_every_module_of_a_full_kernel(kernels: tuple[DebianKernel, ...], tmp_path: Path) -> None:
    full = DebianKernel(uname_r=kernels[1].uname_r.replace("cloud-", ""))
    assert f"linux-image-{full.uname_r}" in debian.package_names()
    _compare(full, [full, kernels[1]], tmp_path, [False, True])
