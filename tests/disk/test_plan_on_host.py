"""What the machine and its disk add to a plan."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from kmpsolve.config import Config
from kmpsolve.machine.disk import SystemDisk
from kmpsolve.metadata.rootpath import Root
from kmpsolve.model.modalias import Modaliases
from kmpsolve.model.plan import FlavorPlan, Plan
from kmpsolve.modules.module import module_name
from kmpsolve.planner import plan
from kmpsolve.report.html.plan import render_html
from kmpsolve.report.terminal import Terminal
from kmpsolve.report.text import render_plan
from kmpsolve.request import DiskView, KmpRule, MachineView, Policy, Request
from kmpsolve.session import Loaded, load
from kmpsolve.solver.transaction import update_everything
from kmpsolve.sources import Sources
from tests.disk.building import DEPMOD_CONF, Building, depmod, module_of, modules_dep, names_that, stock
from tests.modules import kbuild
from tests.modules.debian import DebianKernel
from tests.sandbox import Sandbox
from tests.support import repository
from tests.support.cache import CHECKOUT
from tests.support.packages import PackageSpec
from tests.unit.machine.fakes import live

Near = tuple[DebianKernel, DebianKernel]


def _kernel(release: str, crc: str, *modules: str, flavor: str = "default") -> PackageSpec:
    return PackageSpec(
        name=f"kernel-{flavor}",
        version="6.4.0",
        release=f"{release}.1",
        provides=(
            f"kernel-uname-r = 6.4.0-{release}-{flavor}",
            "multiversion(kernel)",
            f"ksym({flavor}:acme_needs) = {crc}",
            *(f"kmod({module}.ko)" for module in modules),
        ),
    )


def _kmp(name: str, *modules: str, crc: str = "11", supplements: tuple[str, ...] = ()) -> PackageSpec:
    return PackageSpec(
        name=f"{name}-kmp-default",
        version="1_k6.4.0_1",
        release="1",
        provides=(*(f"kmod({module}.ko)" for module in modules), "multiversion(kernel)"),
        requires=(f"ksym(default:acme_needs) = {crc}",),
        supplements=supplements,
    )


OLD, NEW = _kernel("1", "11", "ext4", "snd", "legacy"), _kernel("2", "22", "ext4")


def _load(
    installed: Iterable[PackageSpec], available: Iterable[PackageSpec], config: Config | None = None
) -> Loaded:
    sources = Sources(
        installed=str(repository.rpm_folder(installed)),
        repositories=(("updates", str(repository.rpm_md(available))),),
    )
    return load(sources, Request(), config or Config())


def _plan(loaded: Loaded, machine: MachineView | None = None, disk: DiskView | None = None) -> Plan:
    return plan(loaded.universe, replace(loaded.request, machine=machine, disk=disk), loaded.inputs)


def _flavor(result: Plan) -> FlavorPlan:
    (flavor,) = result.flavors
    return flavor


# in use


def test_blocked_drivers_of_the_root_disk_come_first(tmp_path: Path) -> None:
    kmps = [
        _kmp("a-sound", "snd_acme"),
        _kmp("m-net", "virtio_net"),
        _kmp("z-disk", "virtio-blk", "acme_more"),
    ]
    loaded = _load([OLD, *kmps], [NEW])
    found = _flavor(_plan(loaded, live("virtio", tmp_path)))
    assert found.verdict == "blocked"
    assert [kmp.name for kmp in found.kmps] == [
        "z-disk-kmp-default",
        "m-net-kmp-default",
        "a-sound-kmp-default",
    ]
    said = {kmp.name: {w.reference: w.message for w in kmp.warnings} for kmp in found.kmps}
    assert said["z-disk-kmp-default"]["would-not-boot"] == (
        "this machine would not boot: z-disk-kmp-default drives the root file system and the boot file system"
    )
    assert "virtio_blk is loaded" in said["z-disk-kmp-default"]["in-use"]
    assert "the default route" in said["m-net-kmp-default"]["would-lose-network"]
    assert set(said["a-sound-kmp-default"]) == {"not-in-use"}


def test_a_blocked_plan_says_first_that_the_machine_would_not_boot(tmp_path: Path) -> None:
    loaded = _load([OLD, _kmp("a-sound", "snd_acme"), _kmp("z-disk", "virtio-blk")], [NEW])
    text = render_plan(_plan(loaded, live("virtio", tmp_path)), Terminal(width=200))
    _, second, *rest = text.splitlines()
    assert second.startswith("  this machine would not boot: z-disk-kmp-default drives the root file system")
    table = [line for line in rest if line.startswith("  blocked")]
    assert ["z-disk" in line for line in table] == [True, False]
    assert "would not boot" not in "".join(rest)


def test_offline_nothing_is_said_of_use() -> None:
    loaded = _load([OLD, _kmp("z-disk", "virtio_blk"), _kmp("a-sound", "snd_acme")], [NEW])
    found = _flavor(_plan(loaded))
    assert [kmp.name for kmp in found.kmps] == ["a-sound-kmp-default", "z-disk-kmp-default"]
    assert not {w.reference for kmp in found.kmps for w in kmp.warnings} & {
        "in-use",
        "not-in-use",
        "would-not-boot",
    }


@pytest.mark.parametrize(
    ("module", "verdict"), [("virtio_blk", "blocked"), ("unused", "safe"), ("snd", "blocked")]
)
def test_only_drivers_in_use_count_under_that_policy(module: str, verdict: str, tmp_path: Path) -> None:
    config = Config(kmp_rules=(KmpRule(match="acme-*", scope="in-use"),))
    loaded = _load([OLD, _kmp("acme", module)], [NEW], config)
    assert _plan(loaded, live("virtio", tmp_path)).verdict == verdict
    assert _plan(loaded).verdict == "blocked", "offline everything is in use"
    (kmp,) = _flavor(_plan(loaded, live("virtio", tmp_path / "again"))).kmps
    assert kmp.decision == "blocked", "the decision stands, it only does not count"


def test_modules_lost_are_those_in_use(tmp_path: Path) -> None:
    loaded = _load([OLD], [NEW])
    assert _flavor(_plan(loaded)).modules_lost == ("legacy.ko", "snd.ko")
    assert _flavor(_plan(loaded, live("virtio", tmp_path))).modules_lost == ("snd.ko",), (
        "legacy is not loaded"
    )


def test_the_command_asks_this_machine_on_its_own_root() -> None:
    """In a sandbox, whose root is / and whose /proc and /sys are this machine's."""
    rpms, repo = repository.rpm_folder([OLD, _kmp("acme", "acme")]), repository.rpm_md([NEW])
    with Sandbox(shared=[rpms, repo, Path(sys.prefix), CHECKOUT]) as sandbox:
        sandbox.install_rpms(sorted(rpms.glob("*.rpm")))
        sandbox.add_repository("updates", f"dir:{repo}")
        command = [sys.executable, "-m", "kmpsolve", "plan", "--format", "json"]
        done = sandbox.run(command, env={"PYTHONPATH": str(CHECKOUT)})
    assert done.code == 4, done
    (kmp,) = json.loads(done.stdout)["flavors"][0]["kmps"]
    said = {warning["reference"] for warning in kmp["warnings"]}
    assert said == {"not-in-use"}, "a kernel without /proc/modules loads none"


# hardware


def test_zypper_up_takes_what_supplements_the_hardware(tmp_path: Path) -> None:
    """With a driver on offer for a device that is there, and one for a device that is not."""
    devices = tmp_path / "modaliases"
    devices.write_text("pci:v00001000d00000097sv1\n")
    wanted = _kmp("hw", "hw", crc="22", supplements=("modalias(kernel-default:pci:v00001000d*)",))
    other = _kmp("no", "no", crc="22", supplements=("modalias(kernel-default:pci:v0000FFFFd*)",))
    repo, rpms = repository.rpm_md([NEW, wanted, other]), repository.rpm_folder([OLD])
    with Sandbox(shared=[repo, rpms, tmp_path]) as sandbox:
        sandbox.install_rpms(sorted(rpms.glob("*.rpm")))
        sandbox.add_repository("updates", f"dir:{repo}")
        before = set(sandbox.installed())
        done = sandbox.run(
            ["zypper", "--non-interactive", "--no-gpg-checks", "update"],
            env={"ZYPP_MODALIAS_SYSFS": str(devices)},
        )
        assert done.code == 0, done
        arrived = set(sandbox.installed()) - before
    assert NEW.nevra in arrived
    sources = Sources(installed=str(rpms), repositories=(("updates", str(repo)),))
    loaded = load(sources, Request(), Config())
    loaded.universe.policy = replace(
        Policy(vendor_class=loaded.universe.policy.vendor_class),
        devices=lambda: Modaliases(["pci:v00001000d00000097sv1"]),
    )
    loaded.universe.show_true_system()
    assert {str(package) for package in update_everything(loaded.universe).arrived} == arrived


# what no package owns


def _capabilities(kernel: DebianKernel, *modules: Path) -> tuple[str, ...]:
    symbols = {symbol for module in modules for symbol in module_of(module).versions}
    crcs = kernel.symvers.crcs
    return tuple(f"ksym(amd64:{symbol}) = {crcs[symbol]}" for symbol in sorted(symbols) if symbol in crcs)


def _debian_kernel(kernel: DebianKernel, release: str, *modules: Path) -> PackageSpec:
    return PackageSpec(
        name="kernel-amd64",
        version="6.1.0",
        release=release,
        provides=(
            f"kernel-uname-r = {kernel.uname_r}",
            "multiversion(kernel)",
            "kmod(ext4.ko)",
            *_capabilities(kernel, *modules),
        ),
    )


def test_unmanaged_modules_are_held_against_the_new_kernels_metadata(bare: Building, near: Near) -> None:
    old, new = near
    good, bad = stock(old)[names_that(old, new, fit=True)[0]], stock(old)[names_that(old, new, fit=False)[0]]
    own = kbuild.modules(old)
    bare.kernel(old, names_that(old, new, fit=True)[3:5])
    placed = {
        "updates/dkms/good.ko": good,
        "kernel/drivers/video/bad.ko": bad,
        "updates/kmpsolve_base.ko": own / "kmpsolve_base.ko",
        "updates/kmpsolve_user.ko": own / "kmpsolve_user.ko",
    }
    for below, source in placed.items():
        place = bare.tree(old) / below
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, place)
    (bare.tree(old) / "updates" / "broken.ko").write_text("no module")
    (bare.tree(old) / "weak-updates").mkdir()
    (bare.tree(old) / "weak-updates" / "link.ko").symlink_to("../updates/dkms/good.ko")
    vendors = bare.root / "opt" / "vendor"
    vendors.mkdir(parents=True)
    shutil.copy(bad, vendors / "far.ko")
    (bare.tree(old) / "updates" / "far.ko").symlink_to("/opt/vendor/far.ko")
    (bare.tree(old) / "updates" / "gone.ko").symlink_to("/opt/vendor/gone.ko")
    modules = (good, bad, own / "kmpsolve_base.ko", own / "kmpsolve_user.ko")
    loaded = _load([_debian_kernel(old, "53.1", *modules)], [_debian_kernel(new, "54.1", *modules)])
    files = {nevra: tuple(paths) for nevra, paths in bare.owned.items()}
    result = _plan(loaded, disk=SystemDisk(Root.at(bare.root), files))
    assert result.verdict == "safe", "what no package owns never blocks"
    unmanaged = {
        one.path.removeprefix(f"/lib/modules/{old.uname_r}/"): one for one in _flavor(result).unmanaged
    }
    assert {below: one.state for below, one in unmanaged.items()} == {
        "kernel/drivers/video/bad.ko": "blocked",
        "updates/broken.ko": "unverified",
        "updates/dkms/good.ko": "loads",
        "updates/far.ko": "blocked",
        "updates/kmpsolve_base.ko": "blocked",
        "updates/kmpsolve_user.ko": "blocked",
    }
    wanted = {
        m.symbol: (m.kind, m.wanted, m.found) for m in unmanaged["kernel/drivers/video/bad.ko"].mismatches
    }
    crcs = new.symvers.crcs
    assert wanted == {
        symbol: ("disagrees", crc, crcs[symbol])
        for symbol, crc in module_of(bad).versions.items()
        if crcs[symbol] != crc
    }
    assert json.loads(result.to_json())["flavors"][0]["unmanaged"][0]["module"] == "bad"
    text = " ".join(render_plan(result, Terminal()).split())
    changed = len(unmanaged["kernel/drivers/video/bad.ko"].mismatches)
    assert (
        f"no package owns /lib/modules/{old.uname_r}/kernel/drivers/video/bad.ko, and it would not load on"
        f" {new.uname_r}: of its symbols {changed} changed"
    ) in text
    assert (
        f"1 module that no package owns (broken): nobody can tell whether it loads on {new.uname_r}" in text
    )
    assert f"1 module that no package owns (good): its symbols fit {new.uname_r}" in text
    assert f"no package owns /lib/modules/{old.uname_r}/kernel/drivers/video/bad.ko" in render_html(
        result, {}
    )
    nobody = _plan(loaded, disk=SystemDisk(Root.at(bare.root), None))
    assert _flavor(nobody).unmanaged == (), "without the rpmdb nobody knows who owns what"


def test_links_out_of_the_root_are_not_followed(tmp_path: Path, near: Near) -> None:
    root = tmp_path / "root"
    (root / "lib" / "modules").mkdir(parents=True)
    outside = tmp_path / "outside" / "6.1.0-53-cloud-amd64" / "updates"
    outside.mkdir(parents=True)
    shutil.copy(stock(near[0])[names_that(*near, fit=True)[0]], outside / "vendor.ko")
    (root / "lib/modules/6.1.0-53-cloud-amd64").symlink_to(outside.parent)
    assert SystemDisk(Root.at(root), {}).unmanaged("amd64", "x", "k", lambda: ()) == ()


# module by module


def _said_of_kmps(result: Plan) -> dict[str, dict[str, str]]:
    return {kmp.name: {w.reference: w.message for w in kmp.warnings} for kmp in _flavor(result).kmps}


def _built(kernel: DebianKernel, *modules: Path, also: tuple[str, ...] = ()) -> PackageSpec:
    return PackageSpec(
        name="acme-kmp-amd64",
        version="1_k6.1.0_53",
        release="1",
        provides=("multiversion(kernel)", *(f"kmod({module.name})" for module in modules), *also),
        requires=_capabilities(kernel, *modules),
    )


def test_a_build_that_fits_partly(bare: Building, near: Near) -> None:
    old, new = near
    good, bad = stock(old)[names_that(old, new, fit=True)[0]], stock(old)[names_that(old, new, fit=False)[0]]
    kmp = _built(old, good, bad)
    bare.kmp(kmp.nevra, old, {good.name: good, bad.name: bad})
    loaded = _load([_debian_kernel(old, "53.1", good, bad), kmp], [_debian_kernel(new, "54.1", good, bad)])
    files = {nevra: tuple(paths) for nevra, paths in bare.owned.items()}
    result = _plan(loaded, disk=SystemDisk(Root.at(bare.root), files))
    assert result.verdict == "blocked"
    names = [module_of(path).name for path in (good, bad)]
    assert _said_of_kmps(result)["acme-kmp-amd64"]["fits-partly"] == (
        f"of {kmp.nevra}, {names[0]} would load on {new.uname_r} and {names[1]} would not;"
        " a build is used as a whole or not at all"
    )
    assert (
        "fits-partly"
        not in _said_of_kmps(_plan(loaded, disk=SystemDisk(Root.at(bare.root), None)))["acme-kmp-amd64"]
    ), "where files are not known nothing is said of them"


@pytest.mark.parametrize(
    "conf",
    [
        DEPMOD_CONF,
        "search updates built-in weak-updates\n",
        "search updates extra weak-updates built-in\noverride {name} * kernel/drivers\n",
        "search updates extra weak-updates built-in\noverride {name} ^5 kernel/drivers\n",
    ],
)
def test_a_driver_in_the_shadow_of_the_kernels_own(conf: str, bare: Building, near: Near) -> None:
    """The real depmod agrees on the tree that the plan foresees."""
    old, new = near
    module = stock(old)[names_that(old, new, fit=True)[0]]
    kmp = _built(old, module)
    target = _debian_kernel(new, "54.1", module)
    target = replace(target, provides=(*target.provides, f"kmod({module.name})"))
    loaded = _load([_debian_kernel(old, "53.1", module), kmp], [target])
    (bare.root / "usr/lib/depmod.d/00-system.conf").write_text(conf.format(name=module.stem))
    placed = bare.kmp(kmp.nevra, old, {module.name: module})
    files = {nevra: tuple(paths) for nevra, paths in bare.owned.items()}
    result = _plan(loaded, disk=SystemDisk(Root.at(bare.root), files))
    assert [kmp.decision for kmp in _flavor(result).kmps] == ["reuse"]
    said = _said_of_kmps(result)["acme-kmp-amd64"]
    bare.kernel(new, [module_name(module.name)])
    bare.link(new, placed[module.name])
    depmod(bare.root, new.uname_r)
    shadowed = modules_dep(bare.root, new.uname_r)[module_name(module.name)].startswith("kernel/")
    assert ("shadowed" in said) == shadowed, said
    assert (
        not shadowed or f"would take {module.name} from itself and not from {kmp.nevra}" in said["shadowed"]
    )


def test_two_kmps_with_one_module() -> None:
    builds = [_kmp("acme", "shared", "own"), _kmp("beta", "shared")]
    said = _said_of_kmps(_plan(_load([OLD, *builds], [_kernel("2", "11", "ext4")])))
    assert said["acme-kmp-default"]["name-clash"].startswith(
        f"shared.ko is in {builds[0].nevra} and in {builds[1].nevra}: on 6.4.0-2-default one of them is loaded"
    )
    assert "name-clash" in said["beta-kmp-default"]


def test_a_kmp_and_a_module_that_no_package_owns(bare: Building, near: Near) -> None:
    old, new = near
    module = stock(old)[names_that(old, new, fit=True)[0]]
    kmp = _built(old, module)
    bare.kernel(old, names_that(old, new, fit=True)[3:5])
    loaded = _load([_debian_kernel(old, "53.1", module), kmp], [_debian_kernel(new, "54.1", module)])
    rival = bare.tree(old) / "updates/dkms" / module.name
    rival.parent.mkdir(parents=True)
    shutil.copy(module, rival)
    files = {nevra: tuple(paths) for nevra, paths in bare.owned.items()}
    result = _plan(loaded, disk=SystemDisk(Root.at(bare.root), files))
    assert result.verdict == "safe"
    assert _said_of_kmps(result)["acme-kmp-amd64"]["name-clash"].startswith(
        f"/lib/modules/{old.uname_r}/updates/dkms/{module.name}, which no package owns, has the name of"
    )


# DKMS


def _dkms(root: Path, name: str, version: str, conf: str) -> None:
    source = root / "usr" / "src" / f"{name}-{version}"
    source.mkdir(parents=True)
    (source / "dkms.conf").write_text(conf)
    state = root / "var" / "lib" / "dkms" / name / version
    state.mkdir(parents=True)
    (state / "source").symlink_to(f"/usr/src/{name}-{version}")


def _devel(name: str, release: str) -> PackageSpec:
    return PackageSpec(name=name, version="6.4.0", release=f"{release}.1", provides=("multiversion(kernel)",))


def _said(loaded: Loaded, root: Path) -> dict[str, str]:
    result = _flavor(_plan(loaded, disk=SystemDisk(Root.at(root), {})))
    return {w.reference: w.message for w in result.warnings}


def test_dkms_needs_headers_and_a_compiler(tmp_path: Path) -> None:
    _dkms(tmp_path, "vendor", "1.0", 'PACKAGE_NAME="vendor"\nBUILT_MODULE_NAME[0]="$PACKAGE_NAME-drv"\n')
    loaded = _load([OLD, _devel("kernel-default-devel", "1")], [NEW, _devel("kernel-default-devel", "2")])
    said = _said(loaded, tmp_path)
    assert said["headers-missing"] == (
        "DKMS vendor/1.0 cannot be built for 6.4.0-2-default: kernel-default-devel, kernel-devel are neither"
        " installed nor planned"
    )
    assert "compiler-missing" in said
    (tmp_path / "usr/bin").mkdir()
    (tmp_path / "usr/bin/gcc").write_text("")
    ready = _load([OLD, _devel("kernel-default-devel", "2"), _devel("kernel-devel", "2")], [NEW])
    assert not {"headers-missing", "compiler-missing"} & set(_said(ready, tmp_path))


@pytest.mark.parametrize(
    ("line", "excluded"),
    [
        ('BUILD_EXCLUSIVE_KERNEL="^6\\.[0-3]\\."', True),
        ('BUILD_EXCLUSIVE_KERNEL="^6\\."', False),
        ("BUILD_EXCLUSIVE_KERNEL_MIN=6.5", True),
        ("BUILD_EXCLUSIVE_KERNEL_MAX='6.4.0'", False),
        ("BUILD_EXCLUSIVE_KERNEL_MAX='6.3'", True),
        ("BUILD_EXCLUSIVE_ARCH=aarch64", True),
        ("BUILD_EXCLUSIVE_ARCH=x86_64", False),
        ("# BUILD_EXCLUSIVE_ARCH=aarch64", False),
    ],
)
def test_dkms_conf_may_exclude_the_target(line: str, excluded: bool, tmp_path: Path) -> None:
    _dkms(tmp_path, "vendor", "1.0", f"PACKAGE_NAME=vendor\n{line}\n")
    said = _said(_load([OLD], [NEW]), tmp_path)
    assert ("dkms-excludes-target" in said) is excluded
    if excluded:
        assert line.split("=")[0] in said["dkms-excludes-target"]
