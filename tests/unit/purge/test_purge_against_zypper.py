"""The purge model gives what the real ``zypper purge-kernels`` gives, system by system."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from kmpsolve.metadata.locks import parse_locks
from kmpsolve.model.evr import Evr
from kmpsolve.purge import Candidate, purged
from tests.sandbox import Sandbox
from tests.support import rpmbuild
from tests.support.packages import PackageSpec

UNAME = """\
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
int uname(struct utsname *answer)
{
    int (*real)(struct utsname *) = dlsym(RTLD_NEXT, "uname");
    int code = real(answer);
    strncpy(answer->release, getenv("UNAME_R"), sizeof answer->release - 1);
    strcpy(answer->machine, "x86_64");
    return code;
}
"""


def kernel(
    evr: str,
    flavor: str = "default",
    suffix: str = "",
    provides: Sequence[str] = (),
    requires: Sequence[str] = (),
) -> PackageSpec:
    uname_r = f"kernel-uname-r = {evr}-{flavor}"
    return related(f"kernel-{flavor}{suffix}", evr, provides=(uname_r, *provides), requires=requires)


def package(
    name: str,
    evr: str = "1-1",
    provides: Sequence[str] = (),
    requires: Sequence[str] = (),
    arch: str = "x86_64",
) -> PackageSpec:
    version, release = evr.split("-")
    return PackageSpec(
        name=name,
        version=version,
        release=release,
        arch=arch,
        provides=tuple(provides),
        requires=tuple(requires),
    )


def related(
    name: str,
    evr: str,
    provides: Sequence[str] = (),
    requires: Sequence[str] = (),
    arch: str = "x86_64",
) -> PackageSpec:
    return package(name, evr, ("multiversion(kernel)", *provides), requires, arch)


def kmp(name: str, evr: str, *requires: str, provides: Sequence[str] = ()) -> PackageSpec:
    return related(name, evr, (f"kmod({name}.ko)", *provides), requires)


def needs(evr: str, flavor: str = "default") -> str:
    return f"kernel-uname-r = {evr}-{flavor}"


@dataclass(frozen=True, kw_only=True)
class Case:
    installed: tuple[PackageSpec, ...]
    goes: frozenset[str]
    running: str
    keep: str
    locks: str
    newer: bool
    """Decided by a rule that libzypp 17.25.7 does not have: the answer is held against the table alone."""


def case(
    *installed: PackageSpec,
    goes: str,
    running: str = "4-1-default",
    keep: str = "latest,latest-1,running",
    locks: str = "",
    newer: bool = False,
) -> Case:
    return Case(
        installed=installed,
        goes=frozenset(goes.split()),
        running=running,
        keep=keep,
        locks=locks,
        newer=newer,
    )


FOUR = tuple(kernel(f"{number}-1") for number in (1, 2, 3, 4))
K1, K2, K3, K4 = (f"kernel-default-{number}-1.x86_64" for number in (1, 2, 3, 4))
SYM = ("ksym(default:a) = 1",)
A = "ksym(default:a) = 1"
TOOL = package("tool", requires=("feature",))
FEATURE = ("feature",)
LOCK = "type: package\nmatch_type: exact\ncase_sensitive: on\nsolvable_name: {}\nversion: == {}\n"
CASES = {
    "default": case(*FOUR, goes=f"{K1} {K2}"),
    "latest only": case(*FOUR, keep="latest", goes=f"{K1} {K2} {K3}"),
    "latest-2 only": case(*FOUR, keep="latest-2", goes=f"{K1} {K3} {K4}"),
    "latest-9 keeps nothing": case(*FOUR, keep="latest-9", goes=f"{K1} {K2} {K3} {K4}"),
    "oldest": case(*FOUR, keep="oldest", goes=f"{K2} {K3} {K4}"),
    "oldest+1": case(*FOUR, keep="oldest+1,latest", goes=f"{K1} {K3}"),
    "latest+1 says nothing": case(*FOUR, keep="latest+1,oldest", goes=f"{K2} {K3} {K4}"),
    "oldest-1 says nothing": case(*FOUR, keep="oldest-1,latest", goes=f"{K1} {K2} {K3}"),
    "blanks": case(*FOUR, keep=" latest , oldest ", goes=f"{K2} {K3}"),
    "running only": case(*FOUR, keep="running", running="2-1-default", goes=f"{K1} {K3} {K4}"),
    "running is old": case(*FOUR, running="1-1-default", goes=K2),
    "running is not installed": case(*FOUR, running="9-1-default", goes=""),
    "running is another flavor": case(
        *FOUR, kernel("1-1", "rt"), running="1-1-rt", goes=f"{K1} {K2}"
    ),
    "empty keep spec": case(*FOUR, keep="", goes=""),
    "a version": case(*FOUR, keep="2-1,latest", goes=f"{K1} {K3}"),
    "a version without release": case(*FOUR, keep="2,latest", goes=f"{K1} {K2} {K3}"),
    "a version with flavor": case(*FOUR, keep="2-1-default,latest", goes=f"{K1} {K3}", newer=True),
    "a version that is not installed": case(*FOUR, keep="7-1,latest", goes=f"{K1} {K2} {K3}"),
    "flavors count by themselves": case(
        *FOUR, kernel("1-1", "rt"), kernel("2-1", "rt"), kernel("3-1", "rt"), keep="latest,running",
        goes=f"{K1} {K2} {K3} kernel-rt-1-1.x86_64 kernel-rt-2-1.x86_64",
    ),
    "base and full are one group": case(
        kernel("1-1"), kernel("2-1", suffix="-base"), kernel("3-1"), kernel("4-1", suffix="-base"),
        keep="latest", goes=f"{K1} kernel-default-base-2-1.x86_64 {K3}",
    ),
    "rebuilds of the running one: the newest stays": case(
        kernel("4-1.1"), kernel("4-1.2"), kernel("5-1.1"), kernel("6-1.1"), keep="latest,running",
        goes="kernel-default-4-1.1.x86_64 kernel-default-5-1.1.x86_64",
    ),
    "rebuild with a commit hash": case(
        kernel("4-1.gabcdef0"), kernel("4-1.2.gabcdef0"), kernel("5-1.1"), kernel("6-1.1"),
        keep="latest,running", running="4-1.gabcdef0-default",
        goes="kernel-default-4-1.gabcdef0.x86_64 kernel-default-5-1.1.x86_64",
    ),
    "several provides of its own name": case(
        kernel("4-1.1.1", provides=("kernel-default = 4-1.1",)), kernel("4-1.1.2"), kernel("5-1.1"),
        keep="latest,running", running="4-1.1-default", goes="kernel-default-4-1.1.1.x86_64",
    ),
    "the shortest of its own provides stands for a kernel": case(
        kernel("4-1.1", provides=("kernel-default = 9-1",)), kernel("5-1"), keep="latest",
        goes="kernel-default-5-1.x86_64",
    ),
    "siblings that need their kernel": case(
        *FOUR, related("kernel-default-devel", "1-1", requires=("kernel-default = 1-1",)),
        related("kernel-default-devel", "2-1"), related("kernel-default-devel", "3-1"),
        related("kernel-default-devel", "4-1"),
        goes=f"{K1} {K2} kernel-default-devel-1-1.x86_64 kernel-default-devel-2-1.x86_64",
    ),
    "sources of the running kernel are missing": case(
        *FOUR, *(related("kernel-source", f"{n}-1", arch="noarch") for n in (1, 2, 3)),
        goes=f"{K1} {K2} kernel-source-1-1.noarch",
    ),
    "release candidate, old spelling": case(
        kernel("5.14.rc3-1"), kernel("5.14.rc4-1"), kernel("5.15-1"), keep="latest,running",
        running="5.14.0-rc3-1-default", goes="kernel-default-5.14.rc4-1.x86_64",
    ),
    "release candidate, new spelling": case(
        kernel("5.14~rc3-1"), kernel("5.14~rc4-1"), kernel("5.14-1"), keep="latest,running",
        running="5.14.0-rc3-1-default", goes="kernel-default-5.14~rc4-1.x86_64", newer=True,
    ),
    "siblings go by their own versions": case(
        *FOUR, *(related("kernel-default-devel", f"{n}-1") for n in (1, 2, 3, 4)),
        *(related("kernel-devel", f"{n}-1", arch="noarch") for n in (1, 2, 3, 4)),
        *(related("kernel-source", f"{n}-1", arch="noarch") for n in (1, 2, 3, 4)),
        *(related("kernel-syms", f"{n}-1", requires=(f"kernel-devel = {n}-1",)) for n in (1, 2, 3, 4)),
        goes=f"{K1} {K2} kernel-default-devel-1-1.x86_64 kernel-default-devel-2-1.x86_64 "
        "kernel-devel-1-1.noarch kernel-devel-2-1.noarch kernel-source-1-1.noarch kernel-source-2-1.noarch "
        "kernel-syms-1-1.x86_64 kernel-syms-2-1.x86_64",
    ),
    "running devel is missing": case(
        *FOUR, related("kernel-default-devel", "1-1"), related("kernel-default-devel", "2-1"),
        related("kernel-default-devel", "3-1"), goes=f"{K1} {K2}",
    ),
    "KMP goes with its kernel": case(
        *FOUR, kmp("acme-kmp-default", "1-1", needs("1-1")), goes=f"{K1} {K2} acme-kmp-default-1-1.x86_64"
    ),
    "KMP that any kernel satisfies stays": case(
        kernel("1-1", provides=SYM), kernel("2-1", provides=SYM), kernel("3-1"), kernel("4-1", provides=SYM),
        kmp("acme-kmp-default", "1-1", A), goes=f"{K1} {K2}",
    ),
    "KMP goes with the last kernel that satisfies it": case(
        kernel("1-1", provides=SYM), kernel("2-1", provides=SYM), kernel("3-1"), kernel("4-1"),
        kmp("acme-kmp-default", "1-1", A), goes=f"{K1} {K2} acme-kmp-default-1-1.x86_64",
    ),
    "KMP on a KMP": case(
        *FOUR, kmp("acme-kmp-default", "1-1", needs("1-1"), provides=("ksym(default:acme) = 5",)),
        kmp("upper-kmp-default", "1-1", "ksym(default:acme) = 5"),
        goes=f"{K1} {K2} acme-kmp-default-1-1.x86_64 upper-kmp-default-1-1.x86_64",
    ),
    "a driver package without -kmp in its name": case(
        *FOUR, kmp("nvidia-driver", "1-1", needs("1-1")), goes=f"{K1} {K2} nvidia-driver-1-1.x86_64",
        newer=True
    ),
    "-extra goes with its kernel": case(
        *FOUR, related("kernel-default-extra", "1-1", ("kmod(x.ko)",), ("kernel-default = 1-1",)),
        goes=f"{K1} {K2} kernel-default-extra-1-1.x86_64", newer=True,
    ),
    "-kmp name without modules": case(
        *FOUR, package("acme-kmp-default", requires=(needs("1-1"),)),
        goes=f"{K1} {K2} acme-kmp-default-1-1.x86_64",
    ),
    "user space holds a kernel": case(*FOUR, package("tool", requires=(needs("1-1"),)), goes=K2),
    "user space on a KMP holds the kernel": case(
        *FOUR, kmp("acme-kmp-default", "1-1", needs("1-1"), provides=FEATURE), TOOL, goes=K2
    ),
    "user space that another kernel satisfies": case(
        kernel("1-1", provides=FEATURE), *FOUR[1:3], kernel("4-1", provides=FEATURE), TOOL, goes=f"{K1} {K2}"
    ),
    "either of two may go, the first does": case(
        kernel("1-1", provides=FEATURE), kernel("2-1", provides=FEATURE), *FOUR[2:], TOOL, goes=K1
    ),
    "either of two may go, installed the other way round": case(
        kernel("2-1", provides=FEATURE), kernel("1-1", provides=FEATURE), *FOUR[2:], TOOL, goes=K2
    ),
    "a kernel that a kept kernel needs": case(
        kernel("1-1"), kernel("2-1"), kernel("3-1"), kernel("4-1", requires=(needs("1-1"),)), goes=K2
    ),
    "locked kernel": case(*FOUR, locks=LOCK.format("kernel-default", "1-1"), goes=K2),
    "locked kernel keeps its KMP": case(
        *FOUR, kmp("acme-kmp-default", "1-1", needs("1-1")), locks=LOCK.format("kernel-default", "1-1"),
        goes=K2
    ),
    "locked KMP keeps its kernel": case(
        *FOUR, kmp("acme-kmp-default", "1-1", needs("1-1")), locks=LOCK.format("acme-kmp-default", "1-1"),
        goes=K2
    ),
    "debug packages follow": case(
        *FOUR, package("kernel-default-debuginfo", "1-1"), package("kernel-default-debugsource", "1-1"),
        package("kernel-default-debuginfo", "3-1"),
        goes=f"{K1} {K2} kernel-default-debuginfo-1-1.x86_64 kernel-default-debugsource-1-1.x86_64",
    ),
    "livepatch goes": case(
        *FOUR, package("kernel-livepatch-1-default", requires=(needs("1-1"),)),
        goes=f"{K1} {K2} kernel-livepatch-1-default-1-1.x86_64",
    ),
    "flavor livepatch goes": case(
        *FOUR, package("kernel-default-livepatch", "1-1", requires=("kernel-default = 1-1",)),
        goes=f"{K1} {K2} kernel-default-livepatch-1-1.x86_64", newer=True,
    ),
    "without multiversion nothing is counted": case(
        *(package("kernel-default", f"{n}-1", provides=(needs(f"{n}-1"),)) for n in (1, 2, 3, 4)), goes=""
    ),
    "not named kernel-": case(
        *(related("linux-default", f"{n}-1", provides=(needs(f"{n}-1"),)) for n in (1, 2, 3)), goes=""
    ),
    "already broken KMP is left alone": case(
        *FOUR, kmp("acme-kmp-default", "1-1", "ksym(default:gone) = 1"), goes=f"{K1} {K2}"
    ),
    "epochs order": case(
        kernel("4-1"), replace(kernel("1-1"), epoch=1), replace(kernel("2-1"), epoch=1), keep="latest",
        goes="kernel-default-4-1.x86_64 kernel-default-1:1-1.x86_64",
    ),
}  # fmt: skip


def candidates(specs: Sequence[PackageSpec], locks: str) -> list[Candidate]:
    """Describe installed packages to the model, their requirements resolved as plainly as can be."""
    held = parse_locks(locks)
    provided = [[(spec.name, "=", spec.evr), *map(_relation, spec.provides)] for spec in specs]
    found = []
    for spec, provides in zip(specs, provided, strict=True):
        needs = []
        for name, operator, version in map(_relation, spec.requires):
            providers = frozenset(
                position
                for position, others in enumerate(provided)
                for other, _, evr in others
                if other == name and (not operator or Evr.parse(evr) == Evr.parse(version))
            )
            if providers:
                needs.append(providers)
        evr = Evr.parse(spec.evr)
        names = [name for name, _, _ in provides]
        found.append(
            Candidate(
                name=spec.name,
                evr=evr,
                arch=spec.arch,
                own_provides=tuple(sorted(Evr.parse(one) for name, _, one in provides if name == spec.name)),
                is_kernel="kernel-uname-r" in names,
                multiversion="multiversion(kernel)" in names,
                has_modules=any(name.startswith(("kmod(", "ksym(")) for name in names),
                locked=held.matching(spec.name, evr, spec.arch, "@System", True) is not None,
                needs=tuple(needs),
            )
        )
    return found


def _relation(text: str) -> tuple[str, str, str]:
    name, operator, version = text.partition(" = ")
    return name, operator.strip(), version


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("shim")
    (folder / "uname.c").write_text(UNAME)
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-o", folder / "uname.so", folder / "uname.c", "-ldl"], check=True
    )
    yield folder / "uname.so"


@pytest.mark.parametrize("name", CASES)
def test_model(name: str) -> None:
    case = CASES[name]
    going = purged(candidates(case.installed, case.locks), case.keep, case.running, "x86_64")
    assert {case.installed[position].nevra for position in going} == case.goes


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.newer])
def test_zypper_agrees(name: str, shim: Path) -> None:
    case = CASES[name]
    conf = f"[main]\nmultiversion = provides:multiversion(kernel)\nmultiversion.kernels = {case.keep}\n"
    rpms = rpmbuild.build(case.installed)
    with Sandbox(shared=[shim.parent], zypp_conf=conf) as sandbox:
        sandbox.install_rpms(rpms)
        assert sandbox.installed() == sorted(spec.nevra for spec in case.installed)
        sandbox.write("/etc/zypp/locks", case.locks)
        ended = sandbox.run(
            ["zypper", "-n", "-x", "purge-kernels", "--dry-run"],
            env={"LD_PRELOAD": str(shim), "UNAME_R": case.running},
        )
    assert ended.code == 0, ended
    assert f"Running kernel release: {case.running}" in ended.stdout
    removed = re.search(r"<to-remove>(.*?)</to-remove>", ended.stdout, re.DOTALL)
    entries = re.findall(r'name="(\S+)" edition="(\S+)" arch="(\S+)"', removed[1] if removed else "")
    assert {f"{name}-{evr}.{arch}" for name, evr, arch in entries} == case.goes, ended


def test_unknown_running_kernel_keeps_everything() -> None:
    four = candidates(FOUR, "")
    assert purged(four, "latest,running", None) == frozenset()
    assert purged(four, "latest", None) == {0, 1, 2}
