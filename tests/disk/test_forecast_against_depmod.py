"""The forecast is what depmod makes of the disk afterwards, module by module."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from kmpsolve.machine.forecast import Forecast
from kmpsolve.modules.module import module_name
from tests.disk.building import Building, depmod, modules_dep, names_that, stock
from tests.modules.debian import DebianKernel

_COMPLAINT = ("needs unknown symbol", "disagrees about version of symbol")


def _world(seed: int, root: Path, kernels: tuple[DebianKernel, ...]) -> Building:
    """Kernels with a few modules of their own, and KMPs with builds for some of them, picked at random."""
    chance = random.Random(seed)  # noqa: S311 - worlds, not secrets
    building = Building(root).start()
    old, new, other = kernels
    fit, unfit = names_that(old, new, fit=True), names_that(old, new, fit=False)
    common = sorted(set(stock(old)) & set(stock(new)) & set(stock(other)))
    shipped = chance.sample(common, 12)
    for kernel in kernels:
        building.kernel(kernel, [name for name in shipped if name in stock(kernel)])
    taken: set[str] = set()
    for number in range(chance.randint(1, 4)):
        # Drawing all modules of a KMP from those that fit makes links likely; a single other one undoes them.
        pool = chance.choice((fit, fit, fit + unfit, tuple(shipped), unfit))
        drawn = [name for name in chance.sample(pool, chance.randint(1, 3)) if name not in taken]
        if not drawn:
            continue
        if chance.random() < 0.8:
            taken |= set(drawn)
        homes = [k for k in kernels if chance.random() < 0.6 and all(name in stock(k) for name in drawn)]
        folder = chance.choice(("updates", "extra", "updates/acme"))
        for place, home in enumerate(homes):
            version = f"{chance.randint(1, 3)}.{place}_k{place}-1"
            files = {stock(home)[name].name: stock(home)[name] for name in drawn}
            building.kmp(f"acme{number}-kmp-amd64-{version}.x86_64", home, files, folder)
    return building


def _hold_against_depmod(building: Building, kernel: DebianKernel, forecast: Forecast) -> int:
    """Returns how many modules come from links."""
    symvers = building.root / "boot" / f"symvers-{kernel.uname_r}"
    complaints = depmod(building.root, kernel.uname_r, "-ae", "-E", str(symvers))
    resolved = modules_dep(building.root, kernel.uname_r)
    prefix = f"/lib/modules/{kernel.uname_r}/"
    assert forecast.sources.keys() == resolved.keys()
    for name, source in forecast.sources.items():
        # Of two that are equally strong depmod takes what it reads last.
        allowed = {path.removeprefix(prefix) for path in (source.path, *source.clashes)}
        assert resolved[name] in allowed, (name, source)
    blamed = {
        module_name(line.split()[2])
        for line in complaints.splitlines()
        if any(words in line for words in _COMPLAINT)
    }
    for name, source in forecast.sources.items():
        if source.via in ("native", "weak-updates") and not source.clashes:
            assert (source.state == "blocked") == (name in blamed), (name, source)
    return sum(source.via == "weak-updates" for source in forecast.sources.values())


@pytest.mark.parametrize("block", range(4))
def test_modules_come_from_where_depmod_finds_them(
    block: int, tmp_path: Path, near: tuple[DebianKernel, DebianKernel], far: DebianKernel
) -> None:
    linked = unfit = 0
    for seed in range(block * 8, block * 8 + 8):
        building = _world(seed, tmp_path / str(seed), (*near, far))
        disk = building.disk()
        building.link_as_foreseen()
        for kernel, seen in zip(
            (*near, far), (disk.kernels[0], disk.kernels[1], disk.kernels[2]), strict=True
        ):
            assert seen.tree.uname_r == kernel.uname_r
            linked += _hold_against_depmod(building, kernel, seen.expected)
            unfit += len(seen.expected.unfit)
    assert linked
    assert unfit


def test_a_build_that_is_refused_would_make_depmod_complain(
    tmp_path: Path, near: tuple[DebianKernel, DebianKernel], far: DebianKernel
) -> None:
    """The other direction: links that the forecast does not want are wrong, not merely unwanted."""
    tried = 0
    for seed in range(10):
        building = _world(seed, tmp_path / str(seed), (*near, far))
        building.link_as_foreseen()
        disk = building.disk()
        for seen in disk.kernels:
            for build, judged in seen.expected.unfit.items():
                names = {
                    module.path.rpartition("/")[2]
                    for o in disk.offers
                    if o.build == build
                    for module in o.modules
                }
                present = {file.file_name for file in seen.tree.files if file.folder != "kernel"}
                if names & present:
                    continue  # kept out by its name
                tried += 1
                assert any(judgement.mismatches for judgement in judged)
                made = []
                for nevra, paths in building.owned.items():
                    for path in paths if nevra == build else ():
                        below = path.split("/", 4)[4]
                        link = building.modules / seen.tree.uname_r / "weak-updates" / below
                        link.parent.mkdir(parents=True, exist_ok=True)
                        link.symlink_to(path)
                        made.append(link)
                symvers = building.root / "boot" / f"symvers-{seen.tree.uname_r}"
                complaints = depmod(building.root, seen.tree.uname_r, "-n", "-ae", "-E", str(symvers))
                assert any(words in complaints for words in _COMPLAINT)
                for link in made:
                    link.unlink()
    assert tried > 5


def test_partly_fitting_builds_are_told_module_by_module(
    bare: Building, near: tuple[DebianKernel, DebianKernel]
) -> None:
    old, new = near
    good, bad = names_that(old, new, fit=True)[0], names_that(old, new, fit=False)[0]
    for kernel in near:
        bare.kernel(kernel, [bad])
    bare.kmp(
        "acme-kmp-amd64-1_k1-1.x86_64",
        old,
        {"good.ko": stock(old)[good], stock(old)[bad].name: stock(old)[bad]},
    )
    forecast = bare.disk().kernels[1].expected
    assert forecast.links == {}
    assert forecast.builds == {"acme-kmp-amd64": None}
    loads, refused = forecast.partly("acme-kmp-amd64-1_k1-1.x86_64")
    assert loads == (module_of_name(old, good),)
    assert refused == (bad,)
    assert forecast.fallen_back == (bad,), "it silently comes from the kernel itself"


def module_of_name(kernel: DebianKernel, name: str) -> str:
    from tests.disk.building import module_of

    return module_of(stock(kernel)[name]).name
