"""Red Hat's kernels: one uname -r in several packages, and kABI without flavors."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kmpsolve.cli import main
from kmpsolve.model.plan import Plan
from tests.support import repository
from tests.support.packages import PackageSpec
from tests.unit.planner.test_planning import only, planned

_VENDOR = "Red Hat, Inc."


def _kernel(release: str, crc: str, *, split: bool = False) -> list[PackageSpec]:
    """kernel-core with what it requires; `split`: its modules in two packages, as since RHEL 9.2."""
    uname = f"5.14.0-{release}.x86_64"
    part = "modules-core" if split else "modules"

    def package(name: str, provides: tuple[str, ...], requires: tuple[str, ...]) -> PackageSpec:
        return PackageSpec(
            name=name, version="5.14.0", release=release, vendor=_VENDOR, provides=provides, requires=requires
        )

    core = package(
        "kernel-core",
        (f"kernel-uname-r = {uname}", f"kernel = 5.14.0-{release}", f"kernel(a) = 0x{crc}"),
        (f"kernel-{part}-uname-r = {uname}",),
    )
    own = package(
        f"kernel-{part}",
        (f"kernel-{part}-uname-r = {uname}", "kmod(in.ko)"),
        (f"kernel-uname-r = {uname}",),
    )
    more = package("kernel-modules", ("kmod(other.ko)",), (f"kernel-uname-r = {uname}",))
    return [core, own, *([more] if split else [])]


_KMOD = PackageSpec(
    name="kmod-acme",
    version="1",
    release="1.el9",
    vendor="ELRepo",
    provides=("kmod(acme.ko)",),
    requires=("kernel(a) = 0x0a", "kernel >= 5.14.0"),
)


def _told(of: Plan) -> tuple[str, list[str]]:
    return of.verdict, [f"{s.action} {s.nevra.partition('-5.14')[0]}" for s in of.transaction]


def test_a_kernel_and_its_modules_are_one(tmp_path: Path) -> None:
    of = planned(tmp_path, [*_kernel("1.el9", "a"), _KMOD], _kernel("2.el9", "a"))
    assert _told(of) == ("safe", ["upgrade kernel-core", "upgrade kernel-modules"])
    assert only(of).flavor == "core"


def test_changed_symbols_block(tmp_path: Path) -> None:
    of = planned(tmp_path, [*_kernel("1.el9", "a"), _KMOD], _kernel("2.el9", "b"))
    assert of.verdict == "blocked"
    assert [c.kind for c in only(of).kmps[0].causes] == ["symbols"]


def test_modules_that_a_kernel_requires_for_the_first_time(tmp_path: Path) -> None:
    of = planned(tmp_path, [*_kernel("1.el9", "a"), _KMOD], _kernel("2.el9", "a", split=True))
    core = "upgrade kernel-core", "upgrade kernel-modules", "install kernel-modules-core"
    assert _told(of) == ("safe", [*core])


def test_a_driver_that_is_in_what_the_kernel_requires(tmp_path: Path) -> None:
    """kernel-modules-core is not installed yet, and has the module that a KMP brought."""
    old = [replace(package, provides=package.provides[:1]) for package in _kernel("1.el9", "a")[1:]]
    driver = replace(_KMOD, name="kmod-in", provides=("kmod(in.ko)",))
    new = _kernel("2.el9", "b", split=True)
    of = planned(tmp_path, [_kernel("1.el9", "a")[0], *old, driver], new)
    assert [kmp.decision for kmp in only(of).kmps] == ["builtin"]


def test_a_kernel_that_is_only_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its uname -r has the whole release and the architecture."""
    old = _kernel("1.2.el9", "a")
    (tmp_path / "host").write_text("".join(f"{package.nevra}\n" for package in [*old, _KMOD]))
    offered = repository.rpm_md([*_kernel("2.1.el9", "b"), _KMOD])
    words = ["audit", str(tmp_path / "host"), "--repo", f"r={offered}", "--format", "json"]
    assert main(words) == 4
    (state,) = json.loads(capsys.readouterr().out)["states"].values()
    (flavor,) = state["flavors"]
    assert flavor["current"][0]["uname_r"] == "5.14.0-1.2.el9.x86_64"


@pytest.mark.parametrize(("offered", "code"), [((), 110), ((_KMOD,), 0)])
def test_a_kmod_that_is_only_listed(
    tmp_path: Path, offered: tuple[PackageSpec, ...], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its name alone tells that it has modules; kmod-libs has none."""
    (tmp_path / "host").write_text(
        "".join(
            f"{one}\n"
            for one in [p.nevra for p in [*_kernel("1.el9", "a"), _KMOD]] + ["kmod-libs-28-9.el9.x86_64"]
        )
    )
    repo = repository.rpm_md([*_kernel("1.el9", "a"), *_kernel("2.el9", "a"), *offered])
    words = ["audit", str(tmp_path / "host"), "--repo", f"r={repo}", "--format", "json"]
    assert main(words) == code
    (state,) = json.loads(capsys.readouterr().out)["states"].values()
    (flavor,) = state["flavors"]
    decision = "reuse" if offered else "unverified"
    assert [(kmp["name"], kmp["decision"]) for kmp in flavor["kmps"]] == [("kmod-acme", decision)]
