"""A plan made from a cache is the plan made without one, byte by byte: over all fixtures and random worlds."""

from __future__ import annotations

import itertools
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

import kmpsolve
from kmpsolve import library, session
from kmpsolve.config import read_config
from kmpsolve.errors import KmpsolveError
from kmpsolve.metadata.content import Content, Patch
from kmpsolve.metadata.source import open_source
from kmpsolve.request import Policy, Request
from kmpsolve.solver.universe import SYSTEM, Universe
from kmpsolve.solver.view import open_view, save_view
from kmpsolve.sources import Sources
from kmpsolve.zypp.survey import Guarded, survey
from tests.executed.universes import universe
from tests.property.strategies import FEATURES, worlds
from tests.property.test_oracle import FAMILIES
from tests.sandbox import Sandbox
from tests.scenarios import runner
from tests.support import fixture, repository, rpmbuild, rpmmd
from tests.support.packages import PackageSpec
from tests.support.worlds import Kernel, Kmp, Noun, World, lay_out

FIXTURES = [name for name in fixture.names() if "rpm-md" in fixture.load(name).sources]

NUMBERS = itertools.count()


class Recording(Universe):
    """A universe that knows what was loaded into it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.args = args
        self.loaded: list[tuple[Content, int]] = []

    def load(self, content: Content) -> int:
        packages = super().load(content)
        self.loaded.append((content, packages))
        return packages


def through_a_cache(loaded: session.Loaded) -> session.Loaded:
    """The same, read back from a cache of it."""
    full = loaded.universe
    assert isinstance(full, Recording)
    name = f"test-{next(NUMBERS)}"
    assert save_view(name, full, full.loaded)
    view = open_view(name)
    assert view is not None
    universe = Universe(*full.args)
    view.load_into(universe)
    universe.seal()
    return replace(loaded, universe=universe)


def through_caches(patched: pytest.MonkeyPatch) -> None:
    """Have the command line and the library make their plans from caches."""
    load = session.load
    for door in (session, library):
        patched.setattr(door, "load", lambda *a, **k: through_a_cache(load(*a, **k)))


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Within it, every plan is made from a cache."""
    monkeypatch.setenv("KMPSOLVE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(session, "Universe", Recording)
    with monkeypatch.context() as patched:
        through_caches(patched)
        yield patched


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("name", FIXTURES)
def test_fixture(name: str, form: str, tmp_path: Path, cached: pytest.MonkeyPatch) -> None:
    scenario = fixture.load(name)
    (tmp_path / "a").mkdir()
    with_cache = runner.ask(scenario, "rpm-md", tmp_path / "a", "plan", "--format", form)
    cached.undo()
    (tmp_path / "a").rename(tmp_path / "b")
    (tmp_path / "a").mkdir()
    assert with_cache == runner.ask(scenario, "rpm-md", tmp_path / "a", "plan", "--format", form)


def test_a_driver_that_only_its_requirements_give_away(tmp_path: Path, cached: pytest.MonkeyPatch) -> None:
    """Its symbols are packed in the cache, its name and what it provides say nothing."""

    def kernel(number: int) -> PackageSpec:
        provides = (f"kernel-uname-r = 6.4.0-{number}-default", "ksym(default:a) = 1")
        return PackageSpec(name="kernel-default", version="6.4.0", release=f"{number}.1", provides=provides)

    module = "/usr/lib/modules/6.4.0-20-default/kernel/a.ko"
    driver = PackageSpec(
        name="acme", version="1", release="1", requires=("ksym(default:a) = 1",), files=(module,)
    )
    system = repository.rpm_folder([kernel(20), driver])  # only RPMs tell of files
    offered = rpmmd.write(tmp_path / "r", [kernel(30)])
    plan = kmpsolve.plan(installed=str(system), repositories={"r": str(offered)})
    assert [(kmp.name, kmp.decision) for kmp in plan.flavors[0].kmps] == [("acme", "reuse")]


def test_an_rpmdb_that_lists_no_user_space(tmp_path: Path, cached: pytest.MonkeyPatch) -> None:
    """What it does not list is not there, also where the cache is read instead of it."""
    root = tmp_path / "root"
    installed: list[Noun] = [
        Kernel(release="10.1", ksyms="a=1"),
        Kmp(name="acme", krel="6.4.0-10", symbols="a=1"),
    ]
    for package in rpmbuild.build([noun.spec() for noun in installed]):
        place = ["rpm", "--root", str(root), "--dbpath", "/var/lib/rpm"]
        install = [*place, "--justdb", "--nodeps", "--ignorearch", "-i", str(package)]
        subprocess.run(install, check=True, capture_output=True)
    demanding = Kmp(name="acme", krel="6.4.0-20", version="2.0", symbols="a=2", requires="libnew")
    offered = rpmmd.write(tmp_path / "r", [Kernel(release="20.1", ksyms="a=2").spec(), demanding.spec()])

    def plan() -> str:
        return kmpsolve.plan(root=root, repositories={"r": str(offered)}).to_json()

    with_cache = plan()
    cached.undo()
    assert with_cache == plan()
    assert '"verdict": "blocked"' in with_cache


def test_zyppers_copy_of_the_rpmdb_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read back it would be the rpmdb itself, and the plan complete."""
    monkeypatch.setattr(session, "_WORTH_A_CACHE", 0)
    monkeypatch.setenv("KMPSOLVE_CACHE", str(tmp_path / "cache"))
    with Sandbox() as system:
        system.install_rpms(rpmbuild.build([Kernel(release="10.1", ksyms="a=1").spec()]))
        newer = repository.rpm_md((Kernel(release="20.1", ksyms="a=1").spec(),))
        system.add_repository("r", f"dir:{newer}", refresh=False)
        assert system.zypper("refresh").code == 0
        assert system.zypper("search", "--installed-only").code == 0
        for file in system.path("/var/lib/rpm").iterdir():
            file.unlink()
        system.path("/var/lib/rpm/Packages").write_bytes(b"of a backend that nobody here knows")
        time.sleep(1.1)  # what changed just now is not cached
        for _ in range(2):
            where = Sources(root=system.root)
            loaded = session.load(where, Request(), read_config(system.root), cached=True)
            assert [one.alias for one in loaded.inputs.skipped] == [SYSTEM]
            assert loaded.keep is None or loaded.keep()


def answer(of: World, folder: Path) -> str:
    """The plan, and what the guard would hold."""
    asked = lay_out(of, folder)
    try:
        plan = kmpsolve.plan(**asked).to_json()
    except KmpsolveError as error:
        return str(error)
    repositories = asked.get("repositories")
    root = Path(asked["root"]) if "root" in asked else None
    where = Sources(
        root=root,
        installed=asked["installed"],
        repositories=None if repositories is None else tuple((a, str(at)) for a, at in repositories.items()),
    )
    loaded = session.load(where, Request(running=asked["running"]), read_config(root))
    return plan + told(survey(loaded, doubtful=True))


def told(guarded: Guarded) -> str:
    """Without handles, which mean nothing in another universe."""
    held = [(str(one.kernel), one.kmps, str(one.instead), one.command) for one in guarded.held]
    return f"{held}\n{guarded.locks}\n{guarded.keeps}\n{guarded.in_vain}\n"


@pytest.mark.parametrize(("family", "number"), [("kernels", 500_147), ("everything", 500_156)])
def test_no_order_matters(family: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ``.solv`` file lists what a package provides in another order: two kernels with several of their own name."""
    monkeypatch.setenv("KMPSOLVE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(session, "Universe", Recording)
    of = universe(family, number)
    plain = answer(of, tmp_path / "a")
    through_caches(monkeypatch)
    assert answer(of, tmp_path / "b").replace(str(tmp_path / "b"), str(tmp_path / "a")) == plain


@pytest.mark.parametrize("family", [*FAMILIES, "all"])
def test_random_worlds(
    family: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KMPSOLVE_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(session, "Universe", Recording)

    @settings(
        max_examples=40,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(worlds(*FAMILIES.get(family, FEATURES)))
    def same(of: World) -> None:
        folder = tmp_path_factory.mktemp("world")
        plain = answer(of, folder / "a")
        with monkeypatch.context() as patched:
            through_caches(patched)
            assert answer(of, folder / "b").replace(str(folder / "b"), str(folder / "a")) == plain

    same()


def test_what_is_kept_of_each_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but how it was read; of patches, those with a kernel among their packages."""
    monkeypatch.setenv("KMPSOLVE_CACHE", str(tmp_path / "cache"))
    kernel = PackageSpec(
        name="kernel-default", version="1", release="1", provides=("kernel-uname-r = 1-1-default",)
    )
    patches = [
        Patch(id=str(number), severity="", cves=("CVE-1",), status="stable", packages=packages)
        for number, packages in enumerate([("kernel-rt-1-1.x86_64", "sh-1-1.noarch"), ("sh-1-1.noarch",)])
    ]
    system = open_source(str(rpmmd.write(tmp_path / "s", [kernel])), alias=SYSTEM)
    repository = replace(
        open_source(str(rpmmd.write(tmp_path / "r", [kernel])), alias="r"),
        priority=7,
        packages_at=tmp_path,
        patches=tuple(patches),
        retracted=frozenset({"a", "b"}),
        triggers={"acme": ("sh",)},
        module_files={"acme": ("/a.ko",)},
        revision="5",
        timestamp=6,
        refreshed=8,
    )
    of = Recording(Policy())
    for content in (replace(system, packages_at=None), repository):
        of.load(content)
    of.seal()
    assert save_view("kept", of, of.loaded)
    view = open_view("kept")
    assert view is not None
    for (before, packages), (after, number) in zip(of.loaded, view.contents, strict=True):
        kept = replace(after, solv=before.solv, primary=before.primary, trusted=before.trusted)
        assert kept == replace(before, patches=before.patches[:1])
        assert number == packages == 1
