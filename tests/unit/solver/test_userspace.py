"""What installed packages around kernels and KMPs lose with them, and what counts as met."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

import kmpsolve
from kmpsolve.metadata.source import open_source
from kmpsolve.request import Policy
from kmpsolve.solver.relations import required
from kmpsolve.solver.universe import SYSTEM, Universe
from tests.support import rpmmd
from tests.support.universes import sealed
from tests.support.worlds import Kernel, Kmp, Noun, Tool

DEFAULT = Kernel(release="10.1", ksyms="a=1")
RT = Kernel(release="10.1", ksyms="a=1", flavor="rt")
KMP = Kmp(name="acme", krel="6.4.0-10", symbols="a=1", modules="acme.ko", provides="acme-libs = 1")
BASH = Tool(name="bash")
ALWAYS = "bash; nowhere; coreutils; rpmlib(ShortCircuited) <= 4.9.0-1"
"""Met, not met, and promised by rpm itself."""
OTHER = Tool(name="other", provides="acme-libs = 1")


def made(folder: Path, *installed: Noun, offered: Iterable[Noun] = ()) -> Universe:
    specs = [one.spec() for one in (DEFAULT, *installed)]
    return sealed(folder, {"r": [one.spec() for one in offered]}, specs)


def names(of: Universe, handles: Iterable[int]) -> list[str]:
    return sorted(of.pool.id2solvable(handle).name for handle in handles)


def spelled(of: Universe, capabilities: Iterable[int]) -> list[str]:
    return sorted(map(of.pool.dep2str, capabilities))


@pytest.mark.parametrize(
    ("requires", "beside", "leans", "loses"),
    [
        ("acme-libs = 1", (), True, True),
        ("acme-kmp-default", (), True, True),
        ("kmod(acme.ko)", (), True, True),
        ("(acme-libs = 1 or missing)", (), True, True),
        ("(acme-libs = 1 or other)", (OTHER,), True, False),
        ("acme-libs = 1", (OTHER,), True, False),
        ("acme-libs = 2", (), True, False),
        ("other", (OTHER,), False, False),
        ("missing", (), False, False),
        ("kernel-default", (), True, False),
    ],
)
def test_who_would_lose_something_with_the_kmps(
    tmp_path: Path, requires: str, beside: tuple[Tool, ...], leans: bool, loses: bool
) -> None:
    of = made(tmp_path, KMP, BASH, Tool(name="tool", requires=f"{requires}; {ALWAYS}"), *beside)
    assert names(of, of.leaning) == ["tool"] * leans
    verify, unmet, _ = of.bystanders("default")
    assert names(of, verify) == ["tool"] * loses
    assert spelled(of, unmet) == ["coreutils", "nowhere"] * loses
    pinned = [(package.name, capability) for package, capability, _ in of.pinned("default")]
    assert pinned == [("tool", requires)] * loses


def test_files_of_kmps_are_required_as_well(tmp_path: Path) -> None:
    """A build without the file takes it from the target, wherever the old one stays; a new one may bring it."""
    with_file = replace(KMP.spec(), files=("/usr/sbin/acme",))
    new = replace(KMP, version="2.0", krel="6.4.0-20", symbols="a=2").spec()
    system = [DEFAULT.spec(), with_file, Tool(name="tool", requires="/usr/sbin/acme").spec()]
    kernel = Kernel(release="20.1", ksyms="a=2").spec()
    of = sealed(tmp_path, {}, system)
    assert names(of, of.bystanders("default")[0]) == names(of, of.leaning) == ["tool"]
    for number, (build, verdict) in enumerate(
        [(new, "blocked"), (replace(new, files=("/usr/sbin/acme",)), "safe")]
    ):
        repository = rpmmd.write(tmp_path / str(number), [kernel, build])
        found = kmpsolve.plan(installed=tmp_path / "system", repositories={"r": repository})
        assert found.verdict == verdict


def test_kernels_on_offer_are_nobodys_support(tmp_path: Path) -> None:
    new = Kernel(release="20.1", ksyms="a=1", provides="new-feature")
    of = made(tmp_path, KMP, Tool(name="tool", requires="new-feature"), offered=[new])
    assert names(of, of.leaning) == []


def test_each_flavor_has_bystanders_of_its_own(tmp_path: Path) -> None:
    rt = replace(KMP, flavor="rt")
    tools = [
        Tool(name=f"tool-{flavor}", requires=f"acme-kmp-{flavor}; kernel-default; kernel-rt")
        for flavor in ("default", "rt")
    ]
    of = made(tmp_path, RT, KMP, rt, *tools)
    for flavor in ("default", "rt"):
        verify, unmet, _ = of.bystanders(flavor)
        assert names(of, verify) == [f"tool-{flavor}"]
        assert spelled(of, unmet) == [f"kernel-{flavor}"]


def test_who_stands_side_by_side(tmp_path: Path) -> None:
    beside = Tool(name="beside", provides="multiversion(kernel)")
    of = made(tmp_path, RT, KMP, beside, OTHER)
    assert names(of, of.bystanders("default")[2]) == ["beside", "kernel-rt"]
    specs = [one.spec() for one in (DEFAULT, KMP, beside, OTHER)]
    named = sealed(tmp_path / "named", {}, specs, multiversion=("other",))
    assert names(named, named.bystanders("default")[2]) == ["other"]


# -- what counts as met --------------------------------------------------------------------------------------


TAKEN = "kmpsolve:met:"


def met_before(of: Universe, build: Kmp) -> list[str]:
    """What a package does not really require any more."""
    package = next(p for p in of.called(build.spec().name) if p.nevra.evr.version.startswith(build.version))
    asked = spelled(of, required(of.pool.id2solvable(package.handle)))
    return [text.removeprefix(TAKEN) for text in asked if text.startswith(TAKEN)]


ASKING = replace(KMP, requires="coreutils; other = 2; acme-libs; (other or missing); rpmlib(X) <= 4")
OFFERED = replace(ASKING, version="2.0")


def test_what_an_installed_kmp_lacks_now_counts_as_met(tmp_path: Path) -> None:
    of = made(tmp_path, ASKING, OTHER, Tool(name="tool"), offered=[OFFERED])
    assert met_before(of, ASKING) == ["coreutils", "other = 2"]
    assert met_before(of, OFFERED) == []


def test_what_nobody_mentions_counts_as_met_where_no_user_space_is_listed(tmp_path: Path) -> None:
    """A package of another version, and a part of a condition, are mentions."""
    offered = replace(OFFERED, requires=f"{OFFERED.requires}; (gone or missing); (gone or other = 2)")
    far = Kmp(name="far", krel="6.4.0-10", modules="far.ko", requires="coreutils; far-tool")
    of = made(tmp_path, KMP, offered=[offered, OTHER, far])
    assert met_before(of, far) == []
    assert met_before(of, offered) == ["(gone or missing)", "coreutils"]
    assert of.taken_as_met([]) == set()
    assert names(of, of.providers(f"{TAKEN}coreutils")) == ["kmpsolve-met-on-the-host"]
    assert names(of, of.providers("coreutils")) == []
    assert names(of, of.stand_ins) == ["kmpsolve-met-on-the-host"]
    of.widened()
    assert met_before(of, offered) == ["(gone or missing)", "coreutils"]
    assert met_before(of, far) == ["coreutils", "far-tool"]


def test_what_an_installed_package_requires_is_there_where_no_user_space_is_listed(tmp_path: Path) -> None:
    of = made(tmp_path, ASKING, offered=[OFFERED, OTHER])
    for build in (ASKING, OFFERED):
        assert met_before(of, build) == ["(other or missing)", "coreutils", "other = 2"]
    assert of.taken_as_met([]) == {"(other or missing)", "coreutils", "other = 2"}


def test_a_system_that_is_known_not_to_list_everything(tmp_path: Path) -> None:
    system = [one.spec() for one in (DEFAULT, ASKING, OTHER)]
    for partial in (True, False):
        of = Universe(Policy())
        content = open_source(str(rpmmd.write(tmp_path / f"s{partial}", system)), alias=SYSTEM)
        of.load(replace(content, partial_system=partial))
        of.load(open_source(str(rpmmd.write(tmp_path / f"r{partial}", [OFFERED.spec()])), alias="r"))
        of.seal()
        assert met_before(of, OFFERED) == ["coreutils", "other = 2"] * partial
        assert of.taken_as_met([]) == {"coreutils", "other = 2"} if partial else not of.taken_as_met([])
