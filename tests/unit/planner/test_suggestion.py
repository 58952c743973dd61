"""Which KMPs are suggested for hardware, which of their builds, and with which command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kmpsolve.model.modalias import Modaliases
from kmpsolve.planner import flavor_systems
from kmpsolve.planner.suggestion import Suggestion, Suggestions, suggest
from kmpsolve.report.disk import render_suggestions
from kmpsolve.report.terminal import Terminal
from kmpsolve.request import Request
from tests.property.cases import acme, beta, kernel
from tests.support.packages import PackageSpec
from tests.support.universes import sealed
from tests.support.worlds import Kernel, Kmp

DEVICE = "virtio:d00000002v00001AF4"


def drives(kmp: Kmp, flavor: str = "default") -> PackageSpec:
    """The KMP, made for the device."""
    return replace(kmp.spec(), supplements=(f"modalias(kernel-{flavor}:virtio:d00000002v*)",))


def suggested(
    folder: Path,
    installed: Sequence[Any],
    offered: Sequence[Any],
    *,
    retracted: Sequence[PackageSpec] = (),
    locks: Sequence[str] = (),
) -> Suggestions:
    def specs(these: Sequence[Any]) -> list[PackageSpec]:
        return [one.spec() if isinstance(one, Kernel) else one for one in these]

    of = sealed(folder, {"r": specs(offered)}, specs(installed), retracted=retracted, locks=locks)
    request = Request()
    return suggest(of, request, flavor_systems(of, request).values(), Modaliases([DEVICE]))


def only(of: Suggestions) -> Suggestion:
    (one,) = of.suggestions
    return one


def told(one: Suggestion) -> tuple[str, tuple[str, ...], bool, str | None]:
    """The version of the build, the releases of the kernels that it fits, whether it does now, the command."""
    version = one.build.removeprefix(f"{one.kmp}-").partition("_")[0]
    releases = tuple(nevra.rpartition("-")[2].removesuffix(".x86_64") for nevra in one.kernels)
    return version, releases, one.fits_now, one.command


INSTALL = "zypper install acme-kmp-default="


def test_a_build_without_symbol_versions_is_not_said_to_fit_no_kernel(tmp_path: Path) -> None:
    found = suggested(tmp_path, [kernel(10)], [drives(acme(symbols="")), drives(beta(symbols="a=9"))])
    assert [(one.kmp, one.kernels, one.unverified) for one in found.suggestions] == [
        ("acme-kmp-default", (), True),
        ("beta-kmp-default", (), False),
    ]
    text = render_suggestions(found, Terminal())
    assert "acme-kmp-default 1.0_k6.4.0_10-1 (from r): cannot be checked" in text
    assert "beta-kmp-default 1.0_k6.4.0_10-1 (from r): fits no kernel" in text


def test_the_build_for_the_newest_installed_kernel(tmp_path: Path) -> None:
    """Whatever fits besides, and however new; of those that fit it, the newest."""
    offered = [
        kernel(3, "a=3"),
        drives(acme("1.0", "a=1")),
        drives(acme("2.0", "a=2")),
        drives(acme("2.1", "a=2", krel="6.4.0-20")),
        drives(acme("3.0", "a=3")),
        drives(acme("4.0", "a=4")),
    ]
    one = only(suggested(tmp_path, [kernel(1), kernel(2, "a=2")], offered))
    assert told(one) == ("2.1", ("20.1",), True, f"{INSTALL}2.1_k6.4.0_20-1")
    assert (one.flavor, one.repository, one.installed) == ("default", "r", ())
    assert (one.devices, one.modules) == ((DEVICE,), ("acme.ko",))


def test_a_build_that_fits_every_kernel(tmp_path: Path) -> None:
    one = only(suggested(tmp_path, [kernel(1), kernel(2)], [kernel(3), drives(acme())]))
    assert told(one) == ("1.0", ("30.1", "20.1", "10.1"), True, f"{INSTALL}1.0_k6.4.0_10-1")


@pytest.mark.parametrize(("arch", "suits"), [("x86_64", True), ("noarch", True), ("i586", False)])
def test_a_build_for_another_architecture(tmp_path: Path, arch: str, suits: bool) -> None:
    """zypper would install one for i586 on x86_64, whose kernels never load it."""
    found = suggested(tmp_path, [kernel(1)], [replace(drives(acme()), arch=arch)])
    assert len(found.suggestions) == suits


def test_a_kernel_that_nobody_knows_fits_nothing(tmp_path: Path) -> None:
    """Its symbols are taken for granted, so that the installed KMPs count as drivers in use."""
    of = sealed(tmp_path, {"r": [drives(acme())]}, [kernel(1).spec()])
    of.unread = frozenset(k.package.handle for k in of.kernels)
    found = suggest(of, Request(), flavor_systems(of, Request()).values(), Modaliases([DEVICE]))
    assert told(only(found)) == ("1.0", (), False, None)


def test_a_build_for_any_kernel_is_better_than_none(tmp_path: Path) -> None:
    offered = [kernel(2, "a=2"), drives(acme("1.0", "a=2")), drives(acme("9.0", "a=9"))]
    one = only(suggested(tmp_path, [kernel(1)], offered))
    command = f"{INSTALL}1.0_k6.4.0_10-1 kernel-default=6.4.0-20.1"
    assert told(one) == ("1.0", ("20.1",), False, command)


def test_a_build_for_older_kernels_has_no_command(tmp_path: Path) -> None:
    """It would not load on the kernel that boots next, and the hook would say so."""
    one = only(suggested(tmp_path, [kernel(2, "a=2")], [kernel(1), drives(acme("1.0", "a=1"))]))
    assert told(one) == ("1.0", ("10.1",), False, None)


def test_a_build_for_no_kernel_has_no_command(tmp_path: Path) -> None:
    one = only(suggested(tmp_path, [kernel(1)], [drives(acme(symbols="a=9"))]))
    assert told(one) == ("1.0", (), False, None)


@pytest.mark.parametrize(("symbols", "now"), [("a=1", True), ("a=2", False), ("a=9", False)])
def test_what_is_installed_needs_no_command(tmp_path: Path, symbols: str, now: bool) -> None:
    """And is preferred to what does as well."""
    installed, other = drives(acme(symbols=symbols)), drives(acme("2.0", symbols))
    one = only(suggested(tmp_path, [kernel(1), installed], [kernel(2, "a=2"), other]))
    assert (one.build, one.repository, one.installed) == (installed.nevra, None, (installed.nevra,))
    assert (one.fits_now, one.command) == (now, None)


def test_a_locked_kernel_counts(tmp_path: Path) -> None:
    """Whoever wants the driver may remove the lock."""
    offered = [kernel(2, "a=2"), drives(acme(symbols="a=2"))]
    one = only(suggested(tmp_path, [kernel(1)], offered, locks=["kernel-default"]))
    assert told(one)[1] == ("20.1",)


def test_what_zypp_would_not_take_is_not_suggested(tmp_path: Path) -> None:
    withdrawn = drives(acme("2.0"))
    one = only(suggested(tmp_path, [kernel(1)], [drives(acme()), withdrawn], retracted=[withdrawn]))
    assert told(one)[0] == "1.0"
    assert suggested(tmp_path, [kernel(1)], [withdrawn], retracted=[withdrawn]).suggestions == ()


def test_what_zypp_would_not_take_lends_no_symbols(tmp_path: Path) -> None:
    lender = beta(exports="s=1").spec()
    borrower = drives(acme(symbols="a=1 s=1"))
    found = suggested(tmp_path / "a", [kernel(1)], [lender, borrower])
    assert told(only(found))[1] == ("10.1",)
    found = suggested(tmp_path / "b", [kernel(1)], [lender, borrower], retracted=[lender])
    assert told(only(found))[1] == ()


def test_each_flavor_gets_its_own(tmp_path: Path) -> None:
    """Those that fit now come first, then those that fit anything."""
    offered = [
        drives(acme(symbols="a=9")),
        drives(beta()),
        drives(beta(flavor="rt"), "rt"),
        drives(acme(flavor="rt", name="corp"), "rt"),
        kernel(2, "a=2", flavor="rt"),
        drives(acme(flavor="rt", name="late", symbols="a=2"), "rt"),
    ]
    found = suggested(tmp_path, [kernel(1), kernel(1, flavor="rt")], offered)
    assert [(one.flavor, one.kmp) for one in found.suggestions] == [
        ("default", "beta-kmp-default"),
        ("rt", "beta-kmp-rt"),
        ("rt", "corp-kmp-rt"),
        ("rt", "late-kmp-rt"),
        ("default", "acme-kmp-default"),
    ]


def test_the_document(tmp_path: Path) -> None:
    build = drives(acme())
    assert suggested(tmp_path, [kernel(1)], [build]).to_json() == {
        "schema_version": 1,
        "devices": 1,
        "suggestions": [
            {
                "kmp": "acme-kmp-default",
                "flavor": "default",
                "build": build.nevra,
                "repository": "r",
                "installed": [],
                "devices": [DEVICE],
                "patterns": ["virtio:d00000002v*"],
                "modules": ["acme.ko"],
                "kernels": ["kernel-default-6.4.0-10.1.x86_64"],
                "fits_now": True,
                "unverified": False,
                "command": f"{INSTALL}1.0_k6.4.0_10-1",
            }
        ],
    }
