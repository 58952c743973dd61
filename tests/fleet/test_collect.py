"""``collect`` on real rpmdbs, against plans made on the systems themselves."""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import kmpsolve
from kmpsolve.cli import main
from kmpsolve.fleet.collecting import collect
from kmpsolve.metadata.collecting import state_of
from kmpsolve.metadata.inventory import encode_state
from kmpsolve.sources import Sources
from tests.fleet import fleets
from tests.fleet.conftest import World, make, run
from tests.support import repository, rpmmd
from tests.support.packages import SUSE, PackageSpec
from tests.support.worlds import Kernel, KernelExtra, Kmp, Noun, Repository, Tool, lay_out
from tests.support.worlds import World as Hosts
from tests.unit.machine.fakes import build


def build_root(
    root: Path, specs: list[PackageSpec], repositories: dict[str, str], *, locks: str = ""
) -> Path:
    """A system: a real rpmdb and zypp's files."""
    (root / "var/lib/rpm").mkdir(parents=True)
    rpms = sorted(repository.rpm_folder(specs).glob("*.rpm"))
    command = [
        "rpm",
        f"--root={root}",
        "--dbpath=/var/lib/rpm",
        "-i",
        "--nodeps",
        "--justdb",
        *map(str, rpms),
    ]
    subprocess.run(
        [*command, "--noscripts", "--nosignature", "--ignorearch"], check=True, capture_output=True
    )
    (root / "etc/zypp/repos.d").mkdir(parents=True)
    conf = "[main]\nmultiversion = provides:multiversion(kernel)\nmultiversion.kernels = latest,running\n"
    (root / "etc/zypp/zypp.conf").write_text(conf)
    (root / "etc/hostname").write_text("db-17\n")
    (root / "etc/os-release").write_text('PRETTY_NAME="SLES 15 SP6"\n')
    if locks:
        (root / "etc/zypp/locks").write_text(locks)
    for alias, place in repositories.items():
        text = f"[{alias}]\nname={alias}\nenabled=1\nautorefresh=1\nbaseurl=dir:{place}\ntype=rpm-md\n"
        (root / f"etc/zypp/repos.d/{alias}.repo").write_text(text)
    return root


def specs_of(world: World, kmp: int) -> list[PackageSpec]:
    tools = [PackageSpec(name="coreutils", version="9", release="1")]
    return [world.offer.kernels[0], world.offer.kernels[1], world.offer.kmps[kmp][0], *tools]


def test_a_line_is_what_its_schema_says_and_makes_the_same_plan(world: World, tmp_path: Path) -> None:
    repositories = world.offer.repositories(world.folder)
    schema = json.loads(run("collect", "--schema").stdout)
    Draft202012Validator.check_schema(schema)
    verdicts = set()
    for kmp in range(6):
        root = build_root(tmp_path / f"root{kmp}", specs_of(world, kmp), repositories)
        done = run("collect", "--root", root, "--label", "env=prod", "--running", "6.4.0-150600.23.1-default")
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(b"\n") == 1
        line = json.loads(done.stdout)
        Draft202012Validator(schema).validate(line)
        assert line["host"] == "db-17"
        assert line["labels"] == {"env": "prod", "product": "SLES 15 SP6"}
        assert line["state"]["keep"] == "latest,running"
        assert line["state"]["running"] == "6.4.0-150600.23.1-default"
        assert [one["alias"] for one in line["repositories"]] == ["sle", "vendor"]
        (tmp_path / "line.json").write_bytes(done.stdout)
        there = kmpsolve.plan(root=root, repositories=repositories, running="6.4.0-150600.23.1-default")
        here = kmpsolve.plan(installed=tmp_path / "line.json", repositories=repositories)
        verdicts.add(there.verdict)
        expected = there.to_dict()
        expected["inputs"]["root"] = None
        assert here.to_dict() == expected
    assert len(verdicts) > 1


def test_a_kmp_that_no_repository_has_brings_its_symbols(world: World, tmp_path: Path) -> None:
    repositories = world.offer.repositories(world.folder)
    stranger = world.offer.unknown[0]
    root = build_root(tmp_path / "root", [world.offer.kernels[0], stranger], repositories)
    line = run("collect", "--root", root, *world.repo).stdout
    (kmp,) = json.loads(line)["state"]["kmps"]
    assert sorted(c for c in stranger.requires if c.startswith("ksym(")) == [
        c for c in kmp["requires"] if c.startswith("ksym(")
    ]
    (kernel,) = json.loads(line)["state"]["kernels"]
    assert "provides" not in kernel
    assert len(line) < 3000
    (tmp_path / "line.json").write_bytes(line)
    (flavor,) = kmpsolve.plan(installed=tmp_path / "line.json", repositories=repositories).flavors
    assert flavor.kmps[0].decision in ("reuse", "blocked")
    assert flavor.kmps[0].symbols_required == len([c for c in stranger.requires if c.startswith("ksym(")])


def test_a_build_of_the_same_name_with_other_symbols_is_not_taken_for_it(
    world: World, tmp_path: Path
) -> None:
    repositories = world.offer.repositories(world.folder)
    real = world.offer.kmps[0][0]
    other = PackageSpec(
        name=real.name,
        version=real.version,
        release=real.release,
        vendor=real.vendor,
        provides=real.provides,
        requires=("ksym(default:sym_000) = bad", "coreutils"),
    )
    root = build_root(tmp_path / "root", [world.offer.kernels[0], other], repositories)
    line = json.loads(run("collect", "--root", root, *world.repo).stdout)
    assert "requires" not in line["state"]["kmps"][0]
    (tmp_path / "line.json").write_text(json.dumps(line))
    (flavor,) = kmpsolve.plan(installed=tmp_path / "line.json", repositories=repositories).flavors
    assert [kmp.decision for kmp in flavor.kmps if kmp.name == real.name] in (["unverified"], ["fetch"])


def test_in_tree_kmps_that_a_kmp_needs_go_along(tmp_path: Path) -> None:
    """Without them what works with them would seem broken; with them `audit` knows what the next kernel lacks."""
    md = Tool(
        name="md-kmp-default",
        version="6.4.0",
        release="10.1",
        provides="kmp_in_kernel; ksym(default:md) = e1; kmod(md.ko)",
        requires="kernel-default = 6.4.0-10.1; ksym(default:lock) = d1; tool",
        vendor=SUSE,
    )
    dlm = replace(md, name="dlm-kmp-default", provides="kmp_in_kernel; ksym(default:lock) = d1", requires="")
    other = replace(md, name="gfs-kmp-default", provides="kmp_in_kernel; ksym(default:gfs) = f1")
    user = Kmp(name="acme", krel="6.4.0-10", symbols="a=1 md=e1", modules="acme.ko")
    system: list[Noun] = [Kernel(release="10.1", ksyms="a=1"), md, dlm, other, user]
    state = json.loads(encode_state(state_of((fleets.seen(noun.spec()) for noun in system), lambda _: False)))
    assert [one["nevra"] for one in state["kmps"]] == ["acme-kmp-default-1.0_k6.4.0_10-1.x86_64"]
    told = {one["nevra"].partition("-kmp")[0]: one for one in state["user_space"]}
    assert sorted(told) == ["dlm", "md"]
    assert told["md"]["provides"] == ["kmod(md.ko)", "kmp_in_kernel", "ksym(default:md) = e1"]
    assert told["md"]["requires"] == ["kernel-default = 6.4.0-10.1", "ksym(default:lock) = d1"]
    (tmp_path / "line.json").write_text(json.dumps({"schema_version": 1, "host": "a", "state": state}))
    offered = rpmmd.write(tmp_path / "r", [Kernel(release="20.1", ksyms="a=1").spec()])
    plan = kmpsolve.plan(installed=tmp_path / "line.json", repositories={"r": str(offered)})
    assert plan.verdict == "blocked"


def test_two_builds_of_one_name(tmp_path: Path) -> None:
    """A broken transaction may leave them in an rpmdb; who reads the inventory knows a package by its name."""
    fits = Kmp(name="acme", krel="6.4.0-10", symbols="a=1", modules="acme.ko")
    system: list[Noun] = [Kernel(release="10.1", ksyms="a=1"), fits, replace(fits, symbols="a=2"), fits]
    offered = rpmmd.write(tmp_path / "r", [Kernel(release="20.1", ksyms="a=1").spec()])
    for number, verdict in ((2, "safe"), (4, "unverified")):
        state = state_of((fleets.seen(noun.spec()) for noun in system[:number]), lambda _: False)
        line = {"schema_version": 1, "host": "a", "state": json.loads(encode_state(state))}
        (tmp_path / "line.json").write_text(json.dumps(line))
        plan = kmpsolve.plan(installed=tmp_path / "line.json", repositories={"r": str(offered)})
        assert plan.verdict == verdict
    (skipped,) = plan.inputs.skipped
    assert skipped.reason == "acme-kmp-default-1.0_k6.4.0_10-1.x86_64 is installed in two builds of that name"


def _two_kernels_and_drivers() -> tuple[list[PackageSpec], list[PackageSpec]]:
    """A kernel and the next one, and a KMP's build for each."""
    kernels = [Kernel(release=f"{number}.1", ksyms=f"a={number}").spec() for number in (10, 20)]
    drivers = [
        Kmp(name="acme", krel=f"6.4.0-{n}", version=f"{v}.0", symbols=f"a={n}", modules="acme.ko").spec()
        for v, n in ((1, 10), (2, 20))
    ]
    return kernels, drivers


def _told(root: Path, system: list[PackageSpec], *, listing: bool) -> Path:
    """What a host tells of itself: its ``rpm -qa``, or the line that ``collect`` makes."""
    line = root.parent / ("line.txt" if listing else "line.json")
    listed = "".join(f"{spec.nevra}\n" for spec in system).encode()
    line.write_bytes(listed if listing else run("collect", "--root", root).stdout)
    return line


@pytest.mark.parametrize(
    "leaning",
    [
        {"requires": ("gfx = 1",)},
        {"requires": ("libgfx.so.1",)},
        {"requires": ("(gfx = 1 or nobody)",)},
        {"conflicts": ("gfx > 1",)},
    ],
    ids=str,
)
@pytest.mark.parametrize("listing", [False, True])
def test_what_leans_on_what_has_to_go_along(
    leaning: dict[str, tuple[str, ...]], listing: bool, tmp_path: Path
) -> None:
    """A newer driver needs a newer user space, and that is not to be had because of a third package."""

    def library(version: str) -> PackageSpec:
        driver, provides = f"acme-kmp = {version}.0", (f"libgfx.so.{version}",)
        return PackageSpec(name="gfx", version=version, release="1", requires=(driver,), provides=provides)

    kernels, drivers = _two_kernels_and_drivers()
    player = PackageSpec(name="player", version="1", release="1", **leaning)  # type: ignore[arg-type]
    system = [kernels[0], drivers[0], library("1"), player]
    repositories = {"r": str(repository.rpm_md([*kernels, *drivers, library("1"), library("2"), player]))}
    root = build_root(tmp_path / "root", system, repositories)
    line = _told(root, system, listing=listing)
    there = kmpsolve.plan(root=root, repositories=repositories)
    assert there.verdict == "blocked"
    assert "user-space" in [cause.kind for cause in there.flavors[0].kmps[0].causes]
    here = kmpsolve.plan(installed=line, repositories=repositories)
    assert (here.verdict, here.flavors[0].kmps) == (there.verdict, there.flavors[0].kmps)
    options = [option for alias, place in repositories.items() for option in ("--repo", f"{alias}={place}")]
    done = run("audit", "--format", "json", *options, line)
    assert json.loads(done.stdout)["verdict"] == "blocked", done.stderr


@pytest.mark.parametrize("newest", ["1", "2"])
@pytest.mark.parametrize("listing", [False, True])
def test_what_user_space_requires_besides_is_there(newest: str, listing: bool, tmp_path: Path) -> None:
    """Where user space goes along, a library that the installed version requires as well is not fetched for it."""

    def libc(release: str) -> PackageSpec:
        return PackageSpec(name="glibc", version="2.38", release=release, provides=("libc.so.6()(64bit)",))

    def library(version: str) -> PackageSpec:
        requires = (f"acme-kmp = {version}.0", "libc.so.6()(64bit)")
        return PackageSpec(name="gfx", version=version, release="1", requires=requires)

    kernels, drivers = _two_kernels_and_drivers()
    system = [kernels[0], drivers[0], library("1"), libc("1")]
    repositories = {
        "r": str(repository.rpm_md([*kernels, *drivers, library("1"), library("2"), libc(newest)]))
    }
    root = build_root(tmp_path / "root", system, repositories)
    line = _told(root, system, listing=listing)
    there = kmpsolve.plan(root=root, repositories=repositories)
    here = kmpsolve.plan(installed=line, repositories=repositories)
    assert there.verdict == "safe"
    assert [step.nevra for step in there.transaction if "glibc" in step.nevra] == []
    assert here.transaction == there.transaction
    assert "user-space-not-checked" in [warning.reference for warning in here.flavors[0].warnings]
    options = [option for alias, place in repositories.items() for option in ("--repo", f"{alias}={place}")]
    (state,) = json.loads(run("audit", "--format", "json", *options, line).stdout)["states"].values()
    assert state["command"] == there.command


@pytest.mark.parametrize(
    "driver",
    [
        Kmp(name="acme", krel="6.4.0-10", exact="6.4.0-10-default", modules="acme.ko"),
        Kmp(name="acme", krel="6.4.0-10", flavor="rt", symbols="a=1", modules="acme.ko"),
    ],
    ids=["exact kernel", "another flavor"],
)
def test_a_kernel_of_no_repository_that_no_symbol_is_needed_of(driver: Kmp, tmp_path: Path) -> None:
    """What the host tells of it is all that matters: nothing is assumed of it."""
    kernels = [Kernel(release=f"{number}.1", ksyms="a=1").spec() for number in (10, 20)]
    repositories = {"r": str(repository.rpm_md([kernels[1]]))}
    root = build_root(tmp_path / "root", [kernels[0], driver.spec()], repositories)
    (tmp_path / "line.json").write_bytes(run("collect", "--root", root).stdout)
    there = kmpsolve.plan(root=root, repositories=repositories)
    here = kmpsolve.plan(installed=tmp_path / "line.json", repositories=repositories)
    assert here.flavors == there.flavors
    options = [option for alias, place in repositories.items() for option in ("--repo", f"{alias}={place}")]
    audited = json.loads(run("audit", "--format", "json", *options, tmp_path / "line.json").stdout)
    (state,) = audited["states"].values()
    assert state["flavors"] == there.to_dict()["flavors"]


def test_headers_that_stand_beside_each_other_do_so_in_an_inventory(tmp_path: Path) -> None:
    def headers(release: str) -> PackageSpec:
        return PackageSpec(
            name="kernel-rt-devel", version="6.4.0", release=release, provides=("multiversion(kernel)",)
        )

    kernels = [Kernel(release=f"{number}.1", ksyms="a=1", flavor="rt").spec() for number in (10, 20)]
    driver = replace(
        Kmp(name="gfx", flavor="rt", krel="6.4.0-10", modules="gfx.ko").spec(), triggers=("kernel-rt-devel",)
    )
    repositories = {"r": str(repository.rpm_md([kernels[1], headers("20.1")]))}
    root = build_root(tmp_path / "root", [kernels[0], headers("10.1"), driver], repositories)
    (tmp_path / "line.json").write_bytes(run("collect", "--root", root).stdout)
    there = kmpsolve.plan(root=root, repositories=repositories)
    here = kmpsolve.plan(installed=tmp_path / "line.json", repositories=repositories)
    assert [kmp.decision for kmp in there.flavors[0].kmps] == ["rebuild-on-host"]
    assert "kernel-rt-devel-6.4.0-20.1.x86_64" in [step.nevra for step in there.transaction]
    assert here.transaction == there.transaction
    assert [kmp.decision for kmp in here.flavors[0].kmps] == ["rebuild-on-host"]


@pytest.mark.parametrize(
    "excluded", ["acme-ng-kmp-default", "acme-core-kmp-default", "kernel-default >= 6.4.0-20"]
)
def test_what_excludes_a_kernel_or_a_kmp_that_is_yet_to_come(excluded: str, tmp_path: Path) -> None:
    """No installed KMP has that name: a KMP of another name, or one beside it, is what would keep the driver."""
    system: list[Noun] = [
        Kernel(release="10.1", ksyms="a=1"),
        Kmp(name="acme", krel="6.4.0-10", symbols="a=1", modules="acme.ko acme_x.ko"),
        Tool(name="editor", conflicts=excluded),
    ]
    core = Kmp(name="acme-core", krel="6.4.0-20", symbols="a=2", modules="acme_x.ko")
    renamed = Kmp(
        name="acme-ng", krel="6.4.0-20", symbols="a=2", modules="acme.ko", obsoletes="acme-kmp-default"
    )
    offered: list[Noun] = [Kernel(release="20.1", ksyms="a=2"), core, renamed]
    there = kmpsolve.plan(**_planned(tmp_path, system, offered))
    assert there.verdict == "blocked"
    here = kmpsolve.plan(**_planned(tmp_path, system, offered, collected=True))
    assert (here.verdict, here.flavors[0].kmps) == (there.verdict, there.flavors[0].kmps)


def test_an_extra_of_no_repository_goes_along(tmp_path: Path) -> None:
    """No KMP needs a symbol of it, and yet its modules are there for somebody."""
    system: list[Noun] = [Kernel(release="10.1", ksyms="a=1"), KernelExtra(release="10.1", modules="x.ko")]
    offered: list[Noun] = [Kernel(release="20.1", ksyms="a=1"), KernelExtra(release="20.1", modules="x.ko")]
    for offer, lost in ((offered, []), (offered[:1], ["x.ko"])):
        there = kmpsolve.plan(**_planned(tmp_path, system, offer))
        here = kmpsolve.plan(**_planned(tmp_path, system, offer, collected=True))
        assert list(there.flavors[0].modules_lost) == lost
        assert here.flavors == there.flavors
        assert here.transaction == there.transaction


def _planned(
    folder: Path, system: list[Noun], offered: list[Noun], *, collected: bool = False
) -> dict[str, Any]:
    """The arguments of a plan for such a host, or for what ``collect`` tells of it."""
    of = lay_out(Hosts(installed=system, repositories=[Repository(alias="r", packages=offered)]), folder)
    if collected:
        line = folder / "line.json"
        line.write_text(collect(Sources(installed=of["installed"]), host="host", labels={}))
        of["installed"] = str(line)
    return of


def test_locks_go_along(world: World, tmp_path: Path) -> None:
    newest = world.offer.kernels[-1]
    lock = (
        "type: package\nmatch_type: exact\ncase_sensitive: on\nsolvable_name: kernel-default\n"
        f"version: == {newest.evr}\ncomment: not tonight\n"
    )
    repositories = world.offer.repositories(world.folder)
    specs = [world.offer.kernels[0]]
    root = build_root(tmp_path / "root", specs, repositories, locks=lock)
    (tmp_path / "line.json").write_bytes(run("collect", "--root", root).stdout)
    (flavor,) = kmpsolve.plan(installed=tmp_path / "line.json", repositories=repositories).flavors
    assert flavor.target is not None
    assert flavor.target.nevra == world.offer.kernels[-2].nevra


def test_what_is_no_utf8_does_not_end_the_line(world: World, tmp_path: Path) -> None:
    """A lock, the product: files that somebody wrote in Latin-1. An alias that is no text is no repository's."""
    repositories = world.offer.repositories(world.folder)
    root = build_root(tmp_path / "root", [world.offer.kernels[0]], repositories)
    (root / "etc/zypp/locks").write_bytes(b"type: package\nsolvable_name: caf\xe9*\ncomment: \xe9\n")
    (root / "etc/zypp/repos.d/latin.repo").write_bytes(b"[\xe9]\nenabled=1\nbaseurl=dir:///\xe9\n")
    (root / "etc/os-release").write_bytes(b'ID="sles"\nVERSION_ID="\xe9"\n')
    line = run("collect", "--root", root).stdout
    assert "caf\ufffd*" in line.decode()
    assert [one["alias"] for one in json.loads(line)["repositories"]] == ["sle", "vendor"]


def test_an_unprivileged_user_can_collect_and_it_is_quick(tmp_path: Path) -> None:
    world = make(tmp_path / "world", 3, 1, symbols=12_000)
    tmp_path.chmod(0o755)
    root = build_root(tmp_path / "root", specs_of(world, 1), world.offer.repositories(world.folder))
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    before = sorted(p.stat().st_mtime_ns for p in root.rglob("*"))
    spent = []
    for _ in range(3):
        start = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = run("collect", "--root", root)
        end = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime)
        assert done.returncode == 0, done.stderr
    assert sorted(p.stat().st_mtime_ns for p in root.rglob("*")) == before
    # Seconds of work: 0.3 are the aim, and others may be busy beside this.
    assert min(spent) < 0.6
    if os.getuid() == 0:
        done = run("collect", "--root", root, nobody=True)
        assert done.returncode == 0, done.stderr


def test_a_module_that_nobody_owns_is_told(world: World, tmp_path: Path) -> None:
    root = build_root(tmp_path / "root", [world.offer.kernels[0]], world.offer.repositories(world.folder))
    updates = root / "lib/modules/6.4.0-150600.23.1-default/updates"
    updates.mkdir(parents=True)
    (updates / "by-hand.ko").write_bytes(b"no module at all")
    line = json.loads(run("collect", "--root", root).stdout)
    path = "/lib/modules/6.4.0-150600.23.1-default/updates/by-hand.ko"
    uname_r = "6.4.0-150600.23.1-default"
    assert line["state"]["unmanaged"] == [{"module": "by_hand", "path": path, "uname_r": uname_r}]


def test_the_generator_is_as_honest_as_collect(world: World, tmp_path: Path) -> None:
    """The states that tests make up are those that ``collect`` writes."""
    chance = random.Random(1)  # noqa: S311
    known = {s.nevra for s in [*world.offer.kernels, *(b for builds in world.offer.kmps for b in builds)]}
    for number in range(3):
        specs = fleets.installed(chance, world.offer)
        root = build_root(tmp_path / f"root{number}", specs, {})
        line = json.loads(run("collect", "--root", root, *world.repo).stdout)
        made = json.loads(encode_state(state_of(map(fleets.seen, specs), lambda s: str(s.nevra) in known)))
        for kind in ("kernels", "arch"):
            assert line["state"][kind] == made[kind]
        for kind in ("kmps", "user_space"):
            names = [[p["nevra"] for p in told.get(kind, ())] for told in (line["state"], made)]
            assert names[0] == names[1]


def test_hardware_for_suggest(world: World, tmp_path: Path) -> None:
    root = build_root(tmp_path / "root", specs_of(world, 0), world.offer.repositories(world.folder))
    build("virtio", root)
    driver = PackageSpec(
        name="disk-kmp-default",
        version="1_k6.4.0_1",
        release="1",
        provides=("kmod(disk.ko)",),
        supplements=("modalias(kernel-default:virtio:d00000002v*)",),
    )
    line = tmp_path / "line.json"
    done = run("collect", "--root", root, "--hardware", "-o", line)
    assert done.returncode == 0, done.stderr
    assert "virtio:d00000002v00001AF4" in json.loads(line.read_text())["modaliases"]
    repo = repository.rpm_md([driver])
    said = run("suggest", "--installed", line, "--devices", line, "--repo", repo, "--format", "json")
    assert [one["kmp"] for one in json.loads(said.stdout)["suggestions"]] == ["disk-kmp-default"], said.stderr
    assert "modaliases" not in json.loads(run("collect", "--root", root).stdout)


def test_an_error_names_the_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").touch()
    assert main(["collect", "--installed", str(tmp_path / "empty")]) == 3
    assert capsys.readouterr().err.startswith("kmpsolve: --installed: ")


def test_packages_from_elsewhere_are_not_said_to_be_this_machines_product(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rpms").mkdir()
    createrepo = ["createrepo_c", "--quiet", str(tmp_path / "rpms")]
    subprocess.run(createrepo, check=True)
    assert Path("/etc/os-release").exists() or Path("/usr/lib/os-release").exists()
    assert main(["collect", "--installed", str(tmp_path / "rpms")]) == 0
    assert json.loads(capsys.readouterr().out)["labels"] == {}


@pytest.mark.parametrize("known", [True, False])
def test_what_a_kmp_requires_and_provides_itself(tmp_path: Path, known: bool) -> None:
    """A line tells it as the system's own plan does, whether a repository has the KMP or not."""
    old, new = (Kernel(release=release, ksyms="a=1").spec() for release in ("10.1", "20.1"))
    kmp = Kmp(name="acme", krel="6.4.0-10", symbols="a=1 s=2", exports="s=2", modules="acme.ko").spec()
    offered = {"r": str(repository.rpm_md([old, new, *([kmp] if known else [])]))}
    root = build_root(tmp_path / "root", [old, kmp], offered)
    line = tmp_path / "line.json"
    line.write_text(collect(Sources(root=root, repositories=tuple(offered.items())), host="h", labels={}))
    there = kmpsolve.plan(root=root, repositories=offered)
    here = kmpsolve.plan(installed=line, repositories=offered)
    assert there.flavors[0].kmps == here.flavors[0].kmps
    assert (there.verdict, there.flavors[0].kmps[0].symbols_required) == ("safe", 1)
