"""Disks broken on purpose: each fault is found, and nothing else is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.disk.building import Building, depmod, module_of, names_that, stock
from tests.modules import kbuild
from tests.modules.debian import DebianKernel

Near = tuple[DebianKernel, DebianKernel]
Found = list[tuple[str, str, str]]
Fault = Callable[[Building, Near], Found]


def _path(kernel: DebianKernel, below: str) -> str:
    return f"/lib/modules/{kernel.uname_r}/{below}"


def _acme_link(disk: Building, near: Near) -> Path:
    return disk.tree(near[1]) / "weak-updates" / "updates" / "acme.ko"


def _another(near: Near, *, fit: bool, number: int = 5) -> str:
    return names_that(*near, fit=fit)[number]


def missing_link(disk: Building, near: Near) -> Found:
    _acme_link(disk, near).unlink()
    depmod(disk.root, near[1].uname_r)
    return [("missing-link", "error", _path(near[1], "weak-updates/updates/acme.ko"))]


def dangling_link(disk: Building, near: Near) -> Found:
    link = disk.link(near[0], "/lib/modules/5.3.18-1-cloud-amd64/updates/gone.ko")
    assert link.is_symlink()
    return [("dangling-link", "error", _path(near[0], "weak-updates/updates/gone.ko"))]


def link_out_of_the_root(disk: Building, near: Near) -> Found:
    outside = disk.root.parent / "outside.ko"
    shutil.copy(stock(near[0])[_another(near, fit=True)], outside)
    disk.link(near[0], str(outside))
    return [("dangling-link", "error", _path(near[0], "weak-updates/updates/outside.ko"))]


def link_that_leads_to_itself(disk: Building, near: Near) -> Found:
    place = disk.tree(near[0]) / "weak-updates" / "circle.ko"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to("circle.ko")
    return [("dangling-link", "error", _path(near[0], "weak-updates/circle.ko"))]


def stale_link(disk: Building, near: Near) -> Found:
    older = disk.kmp(
        "acme-kmp-amd64-0.9_k1-1.x86_64",
        near[0],
        {
            name: stock(near[0])[names_that(*near, fit=True)[place]]
            for place, name in enumerate(("acme.ko", "acme-io.ko"))
        },
        "updates/older",
    )
    # In the same kernel's folder the two builds would clash: give the older one a home of its own.
    home = disk.modules / "6.1.0-1-cloud-amd64" / "updates"
    home.mkdir(parents=True)
    disk.owned["acme-kmp-amd64-0.9_k1-1.x86_64"] = []
    for name, path in older.items():
        shutil.move(path, home / name)
        disk.own("acme-kmp-amd64-0.9_k1-1.x86_64", home / name)
    (disk.tree(near[0]) / "updates" / "older").rmdir()
    link = _acme_link(disk, near)
    link.unlink()
    link.symlink_to("/lib/modules/6.1.0-1-cloud-amd64/updates/acme.ko")
    return [("stale-link", "warning", _path(near[1], "weak-updates/updates/acme.ko"))]


def link_to_a_build_that_does_not_fit(disk: Building, near: Near) -> Found:
    name = names_that(*near, fit=False)[7]
    disk.kmp("gamma-kmp-amd64-1_k1-1.x86_64", near[0], {"gamma.ko": stock(near[0])[name]})
    depmod(disk.root, near[0].uname_r)
    disk.link(near[1], disk.tree(near[0]) / "updates" / "gamma.ko")
    depmod(disk.root, near[1].uname_r)
    return [
        ("no-build-fits", "error", f"/lib/modules/{near[1].uname_r}"),
        ("wrong-link", "error", _path(near[1], "weak-updates/updates/gamma.ko")),
    ]


def link_to_another_module(disk: Building, near: Near) -> Found:
    link = _acme_link(disk, near)
    link.unlink()
    link.symlink_to("../../../" + near[0].uname_r + "/updates/acme-io.ko")
    return [("wrong-link", "error", _path(near[1], "weak-updates/updates/acme.ko"))]


def link_to_another_flavor(disk: Building, near: Near) -> Found:
    home = disk.modules / "6.1.0-53-rt" / "updates"
    home.mkdir(parents=True)
    shutil.copy(stock(near[0])[_another(near, fit=True)], home / "delta.ko")
    disk.own("delta-kmp-rt-1_k1-1.x86_64", home / "delta.ko")
    disk.link(near[1], home / "delta.ko")
    depmod(disk.root, near[1].uname_r)
    return [("wrong-link", "error", _path(near[1], "weak-updates/updates/delta.ko"))]


def link_to_another_kernels_own_module(disk: Building, near: Near) -> Found:
    own = sorted((disk.tree(near[0]) / "kernel" / "drivers").iterdir())[0]
    link = disk.tree(near[1]) / "weak-updates" / own.name
    link.symlink_to(f"/lib/modules/{near[0].uname_r}/kernel/drivers/{own.name}")
    return [
        ("modules-dep-outdated", "error", _path(near[1], "modules.dep")),
        ("wrong-link", "error", _path(near[1], f"weak-updates/{own.name}")),
    ]


def file_of_a_kmp_is_gone(disk: Building, near: Near) -> Found:
    (disk.tree(near[1]) / "extra" / "beta.ko").unlink()
    depmod(disk.root, near[1].uname_r)
    return [("module-missing", "error", _path(near[1], "extra/beta.ko"))]


def file_of_a_kmp_is_cut_short(disk: Building, near: Near) -> Found:
    path = disk.tree(near[1]) / "extra" / "beta.ko"
    path.write_bytes(path.read_bytes()[:2000])
    return [("unreadable-module", "error", _path(near[1], "extra/beta.ko"))]


def module_of_another_build_in_place(disk: Building, near: Near) -> Found:
    shutil.copy(disk.tree(near[0]) / "extra" / "beta.ko", disk.tree(near[1]) / "extra" / "beta.ko")
    return [("would-not-load", "error", _path(near[1], "extra/beta.ko"))]


def changed_after_signing(disk: Building, near: Near) -> Found:
    path = disk.tree(near[1]) / "extra" / "beta.ko"
    content = bytearray(path.read_bytes())
    assert content.endswith(b"~Module signature appended~\n")
    # The length in the trailer now promises a signature that is longer than the file.
    content[-32:-28] = b"\x7f\xff\xff\xff"
    path.write_bytes(content)
    return [("would-not-load", "error", _path(near[1], "extra/beta.ko"))]


def initrd_with_another_build(disk: Building, near: Near) -> Found:
    other = names_that(*near, fit=True)[6]
    disk.initrd(near[1], {"acme.ko": stock(near[0])[other]})
    return [("initrd-outdated", "warning", f"/boot/initrd-{near[1].uname_r}")]


def initrd_with_a_build_that_does_not_load(disk: Building, near: Near) -> Found:
    """That one boots without its driver: more than a copy that is merely another."""
    disk.initrd(near[1], {"acme.ko": stock(near[0])[names_that(*near, fit=False)[6]]})
    return [("initrd-outdated", "error", f"/boot/initrd-{near[1].uname_r}")]


def initrd_with_a_module_that_is_gone(disk: Building, near: Near) -> Found:
    disk.initrd(near[1], {"old.ko": stock(near[0])[names_that(*near, fit=True)[6]]})
    return [("initrd-outdated", "warning", f"/boot/initrd-{near[1].uname_r}")]


def _with_others(disk: Building, kernel: DebianKernel) -> str:
    """A module that needs others, which are on the disk now."""
    name = next(n for n, path in stock(kernel).items() if set(module_of(path).depends) & stock(kernel).keys())
    for needed in module_of(stock(kernel)[name]).depends:
        place = disk.tree(kernel) / "kernel" / "drivers" / stock(kernel)[needed].name
        shutil.copy(stock(kernel)[needed], place)
        disk.own("kernel-amd64-extra-1-1.x86_64", place)
    return name


def initrd_without_what_a_module_in_it_needs(disk: Building, near: Near) -> Found:
    """A KMP's module there is the disk's, and the kernel's own that it needs is on the disk alone."""
    kernel = near[0]
    name = _with_others(disk, kernel)
    disk.kmp("delta-kmp-amd64-1_k1-1.x86_64", kernel, {"delta.ko": stock(kernel)[name]})
    disk.depmod()
    disk.initrd(kernel, {"delta.ko": stock(kernel)[name]})
    elsewhere = [one for one in disk.found() if kernel.uname_r not in one[2]]
    return [("initrd-outdated", "error", f"/boot/initrd-{kernel.uname_r}"), *elsewhere]


def initrd_that_is_cut_short(disk: Building, near: Near) -> Found:
    path = disk.root / "boot" / f"initrd-{near[1].uname_r}"
    path.write_bytes(path.read_bytes()[:3000])
    return [("unreadable-initrd", "warning", f"/boot/initrd-{near[1].uname_r}")]


def folder_of_a_removed_kernel(disk: Building, near: Near) -> Found:
    left = disk.modules / "6.1.0-9-cloud-amd64" / "weak-updates" / "updates"
    left.mkdir(parents=True)
    (left / "acme.ko").symlink_to(f"/lib/modules/{near[0].uname_r}/updates/acme.ko")
    (left.parents[1] / "modules.dep").write_text("")
    return [("removed-kernel-folder", "warning", "/lib/modules/6.1.0-9-cloud-amd64")]


def kernel_whose_folder_is_gone(disk: Building, near: Near) -> Found:
    disk.own("kernel-amd64-6.2.0-1.x86_64", disk.modules / "6.2.0-1-cloud-amd64" / "kernel" / "fs.ko")
    return [("kernel-folder-missing", "error", "/lib/modules/6.2.0-1-cloud-amd64")]


def two_places_for_modules(disk: Building, near: Near) -> Found:
    (disk.root / "lib").unlink()
    other = disk.root / "lib" / "modules" / near[0].uname_r
    other.mkdir(parents=True)
    for tree in near:
        shutil.copytree(
            disk.tree(tree), disk.root / "lib" / "modules" / tree.uname_r, symlinks=True, dirs_exist_ok=True
        )
    shutil.rmtree(disk.modules)
    disk.modules.mkdir()
    return [("modules-folder-split", "error", "/usr/lib/modules")]


def depmod_did_not_run(disk: Building, near: Near) -> Found:
    name = _another(near, fit=True)
    disk.kmp("delta-kmp-amd64-1_k1-1.x86_64", near[0], {"delta.ko": stock(near[0])[name]})
    disk.link(near[1], disk.tree(near[0]) / "updates" / "delta.ko")
    depmod(disk.root, near[1].uname_r)
    return [("modules-dep-outdated", "error", _path(near[0], "modules.dep"))]


def depmod_did_not_run_for_a_module_that_needs_more(disk: Building, near: Near) -> Found:
    """At the same path: what it needs from the kernel's own modules is not loaded before it."""
    kernel = near[0]
    name = _with_others(disk, kernel)
    placed = disk.kmp(
        "delta-kmp-amd64-1_k1-1.x86_64", kernel, {"delta.ko": stock(kernel)[_another(near, fit=False)]}
    )
    depmod(disk.root, kernel.uname_r)
    shutil.copy(stock(kernel)[name], placed["delta.ko"])
    return [
        ("modules-dep-outdated", "error", _path(kernel, "modules.dep")),
        ("no-build-fits", "error", f"/lib/modules/{near[1].uname_r}"),
    ]


def no_modules_dep(disk: Building, near: Near) -> Found:
    (disk.tree(near[0]) / "modules.dep").unlink()
    return [("modules-dep-missing", "error", _path(near[0], "modules.dep"))]


def no_index_of_modules_dep(disk: Building, near: Near) -> Found:
    (disk.tree(near[0]) / "modules.dep.bin").unlink()
    return [("modules-dep-missing", "error", _path(near[0], "modules.dep.bin"))]


def index_of_modules_dep_is_cut_short(disk: Building, near: Near) -> Found:
    index = disk.tree(near[0]) / "modules.dep.bin"
    index.write_bytes(index.read_bytes()[:-1])
    return [("modules-dep-missing", "error", _path(near[0], "modules.dep.bin"))]


def index_of_another_kernels_modules_dep(disk: Building, near: Near) -> Found:
    shutil.copy(disk.tree(near[0]) / "modules.dep.bin", disk.tree(near[1]))
    return [("modules-dep-outdated", "error", _path(near[1], "modules.dep.bin"))]


def modules_dep_names_a_native_build_that_is_gone(disk: Building, near: Near) -> Found:
    """The link to the older build is right, and ends as the path of the one that is gone."""
    native = disk.tree(near[1]) / "updates" / "acme.ko"
    native.parent.mkdir(exist_ok=True)
    shutil.copy(disk.tree(near[0]) / "updates" / "acme.ko", native)
    depmod(disk.root, near[1].uname_r)
    native.unlink()
    return [("modules-dep-outdated", "error", _path(near[1], "modules.dep"))]


def two_modules_of_one_name(disk: Building, near: Near) -> Found:
    name = names_that(*near, fit=False)[0]
    for place, kernel in enumerate(near):
        disk.kmp(
            f"twin-kmp-amd64-1_k{place}-1.x86_64", kernel, {"beta.ko": stock(kernel)[name]}, "extra/twin"
        )
    return [("name-clash", "warning", _path(kernel, "extra/beta.ko")) for kernel in near]


def vendors_module(disk: Building, near: Near) -> Found:
    place = disk.tree(near[1]) / "updates" / "vendor.ko"
    place.parent.mkdir(exist_ok=True)
    shutil.copy(stock(near[1])[names_that(*near, fit=False)[9]], place)
    depmod(disk.root, near[1].uname_r)
    return [("unmanaged-module", "note", _path(near[1], "updates/vendor.ko"))]


def vendors_module_left_behind(disk: Building, near: Near) -> Found:
    place = disk.tree(near[0]) / "kernel" / "drivers" / "vendor.ko"
    shutil.copy(stock(near[0])[names_that(*near, fit=False)[9]], place)
    depmod(disk.root, near[0].uname_r)
    return [("unmanaged-module", "warning", _path(near[0], "kernel/drivers/vendor.ko"))]


def file_of_nobody_in_the_place_of_a_kmps(disk: Building, near: Near) -> Found:
    place = disk.tree(near[1]) / "updates" / "beta.ko"
    place.parent.mkdir(exist_ok=True)
    shutil.copy(disk.tree(near[0]) / "extra" / "beta.ko", place)
    depmod(disk.root, near[1].uname_r)
    return [
        ("unmanaged-module", "warning", _path(near[1], "updates/beta.ko")),
        ("would-not-load", "error", _path(near[1], "updates/beta.ko")),
    ]


def file_of_nobody_beside_a_kmps_that_depmod_took(disk: Building, near: Near) -> Found:
    """As strong as the KMP's: only what depmod wrote down tells which of them is loaded."""
    tree = disk.tree(near[0])
    shutil.copy(disk.tree(near[1]) / "extra" / "beta.ko", tree / "updates" / "acme_io.ko")
    for name in ("modules.dep", "modules.dep.bin"):
        content = (tree / name).read_bytes()
        (tree / name).write_bytes(content.replace(b"updates/acme-io.ko", b"updates/acme_io.ko"))
    return [
        ("name-clash", "warning", _path(near[0], "updates/acme_io.ko")),
        ("unmanaged-module", "note", _path(near[0], "updates/acme_io.ko")),
        ("would-not-load", "error", _path(near[0], "updates/acme_io.ko")),
    ]


def driver_that_falls_back(disk: Building, near: Near) -> Found:
    name = names_that(*near, fit=False)[11]
    file = stock(near[0])[name].name
    for kernel in near:
        place = disk.tree(kernel) / "kernel" / "drivers" / file
        shutil.copy(stock(kernel)[name], place)
        disk.own("kernel-amd64-extra-1-1.x86_64", place)
    disk.kmp("over-kmp-amd64-1_k1-1.x86_64", near[0], {file: stock(near[0])[name]})
    disk.depmod()
    return [("falls-back-to-in-tree", "error", f"/lib/modules/{near[1].uname_r}")]


FAULTS: tuple[Fault, ...] = (
    missing_link,
    dangling_link,
    link_out_of_the_root,
    link_that_leads_to_itself,
    stale_link,
    link_to_a_build_that_does_not_fit,
    link_to_another_module,
    link_to_another_flavor,
    link_to_another_kernels_own_module,
    file_of_a_kmp_is_gone,
    file_of_a_kmp_is_cut_short,
    module_of_another_build_in_place,
    changed_after_signing,
    initrd_with_another_build,
    initrd_with_a_build_that_does_not_load,
    initrd_with_a_module_that_is_gone,
    initrd_without_what_a_module_in_it_needs,
    initrd_that_is_cut_short,
    folder_of_a_removed_kernel,
    kernel_whose_folder_is_gone,
    two_places_for_modules,
    depmod_did_not_run,
    depmod_did_not_run_for_a_module_that_needs_more,
    no_modules_dep,
    no_index_of_modules_dep,
    index_of_modules_dep_is_cut_short,
    index_of_another_kernels_modules_dep,
    modules_dep_names_a_native_build_that_is_gone,
    two_modules_of_one_name,
    vendors_module,
    vendors_module_left_behind,
    file_of_nobody_in_the_place_of_a_kmps,
    file_of_nobody_beside_a_kmps_that_depmod_took,
    driver_that_falls_back,
)


def test_nothing_is_wrong_with_a_healthy_disk(healthy: Building, near: Near) -> None:
    report = healthy.verify()
    assert [(f.reference, f.subject, f.message) for f in report.findings] == []
    assert report.verdict == "safe"
    old, new = (kernel.uname_r for kernel in near)
    assert [(s.path, s.nevra, s.kernel, s.verdict) for s in report.subjects] == [
        (f"/lib/modules/{old}/extra/beta.ko", "beta-kmp-amd64-1.0_k1-1.x86_64", old, "safe"),
        (f"/lib/modules/{old}/updates/acme-io.ko", "acme-kmp-amd64-1.0_k1-1.x86_64", old, "safe"),
        (f"/lib/modules/{old}/updates/acme.ko", "acme-kmp-amd64-1.0_k1-1.x86_64", old, "safe"),
        (f"/lib/modules/{new}/extra/beta.ko", "beta-kmp-amd64-1.0_k2-1.x86_64", new, "safe"),
        (
            f"/lib/modules/{new}/weak-updates/updates/acme-io.ko",
            "acme-kmp-amd64-1.0_k1-1.x86_64",
            new,
            "safe",
        ),
        (f"/lib/modules/{new}/weak-updates/updates/acme.ko", "acme-kmp-amd64-1.0_k1-1.x86_64", new, "safe"),
    ]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_found_and_nothing_else(fault: Fault, healthy: Building, near: Near) -> None:
    expected = fault(healthy, near)
    before = _snapshot(healthy.root)
    report = healthy.verify()
    assert sorted((f.reference, f.severity, f.subject) for f in report.findings) == sorted(expected), [
        str(f) for f in report.findings
    ]
    errors = any(severity == "error" for _, severity, _ in expected)
    unread = any(reference == "unreadable-initrd" for reference, _, _ in expected)
    assert report.verdict == ("blocked" if errors else "unverified" if unread else "safe")
    assert _snapshot(healthy.root) == before, "verify never writes"


def _snapshot(root: Path) -> list[tuple[str, int, int]]:
    return sorted(
        (os.path.join(folder, name), status.st_size, status.st_mtime_ns)  # noqa: PTH118
        for folder, _, names in os.walk(root)
        for name in names
        for status in [os.lstat(os.path.join(folder, name))]  # noqa: PTH118
    )


def test_absolute_links_are_followed_inside_the_root(healthy: Building, near: Near) -> None:
    for name in ("acme.ko", "acme-io.ko"):
        link = _acme_link(healthy, near).with_name(name)
        link.unlink()
        link.symlink_to(f"/lib/modules/{near[0].uname_r}/updates/{name}")
    assert healthy.found() == []


def test_a_file_in_the_place_of_a_link_is_told_as_that(healthy: Building, near: Near) -> None:
    """The build fits; weak-modules2 makes no link where a module of that name stands already."""
    for name in ("acme.ko", "acme-io.ko"):
        link = _acme_link(healthy, near).with_name(name)
        link.unlink()
        shutil.copy(healthy.tree(near[0]) / "updates" / name, link)
    (finding,) = [f for f in healthy.verify().findings if f.reference == "no-build-fits"]
    assert finding.message == (
        f"acme-kmp-amd64-1.0_k1-1.x86_64 fits {near[1].uname_r} and is not used:"
        " other files of its modules' names stand there"
    )


def test_without_an_rpmdb_nothing_passes_for_checked(healthy: Building) -> None:
    from kmpsolve.machine.reading import read_disk
    from kmpsolve.machine.verify import verify_disk
    from kmpsolve.metadata.rootpath import Root

    report = verify_disk(read_disk(Root.at(healthy.root), None, lambda _: None))
    assert [(f.reference, f.severity) for f in report.findings] == [("owners-unknown", "warning")]
    assert report.verdict == "unverified"
    assert {subject.nevra for subject in report.subjects} == {None}
    assert len(report.subjects) == 6


def test_modules_compiled_for_the_kernel_count_with_their_namespaces(bare: Building, near: Near) -> None:
    """A KMP whose modules use each other, as compiled for each kernel."""
    both = names_that(*near, fit=True)
    for place, kernel in enumerate(near):
        bare.kernel(kernel, both[:3])
        made = kbuild.modules(kernel)
        bare.kmp(
            f"own-kmp-amd64-1_k{place}-1.x86_64",
            kernel,
            {name: made / name for name in ("kmpsolve_base.ko", "kmpsolve_user.ko")},
        )
    bare.depmod()
    assert bare.found() == []
    shutil.copy(
        kbuild.modules(near[0]) / "kmpsolve_base.ko", bare.tree(near[1]) / "updates" / "kmpsolve_base.ko"
    )
    assert [reference for reference, _, _ in bare.found()] == ["would-not-load"] * 2, "its user fails with it"
