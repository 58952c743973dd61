"""The commit hook under ``require_signed``, where zypper already has the RPMs."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.host import DRIVER, NEW, OLD, REBUILD, Host, specs, stopped
from tests.modules import kbuild
from tests.modules.debian import DebianKernel
from tests.support.packages import PackageSpec


@pytest.fixture
def unsigned(kernels: tuple[DebianKernel, ...], built: Callable[[DebianKernel], Path]) -> PackageSpec:
    """The rebuild, with a real module that nobody signed."""
    module = (built(kernels[0]) / "kmpsolve_base.ko").read_bytes()
    (rebuild,) = specs(REBUILD)
    return dataclasses.replace(rebuild, files=(), contents=((rebuild.files[0], module),))


def test_a_rebuild_whose_module_nobody_signed(unsigned: PackageSpec) -> None:
    with Host(OLD, DRIVER, configuration="require_signed = true\n") as host:
        host.add("updates", [*specs(NEW), unsigned])
        before = host.rpmdb()
        ended = host.zypper("up")
        assert stopped(host, ended, before) == [], str(ended)
        told = " ".join(ended.stderr.split())
        assert f"under Secure Boot, modules of {REBUILD} do not load" in told
        assert "(not signed)" in told
        (kmp,) = host.last_verdict()["flavors"][0]["kmps"]
        assert (kmp["decision"], kmp["causes"][0]["kind"]) == ("blocked", "signature")


def test_a_driver_that_needs_one_that_is_refused(
    kernels: tuple[DebianKernel, ...], built: Callable[[DebianKernel], Path], tmp_path: Path
) -> None:
    """The loss of the one is accepted, that of the other is not."""
    folder = built(kernels[0])
    unsigned = folder / "kmpsolve_base.ko"
    key, certificate = kbuild.signing_key(tmp_path / "key")
    signed = tmp_path / "signed.ko"
    sign: list[str | Path] = [folder / "sign-file", "sha256", key, certificate, unsigned, signed]
    subprocess.run(sign, check=True)

    def needing(spec: PackageSpec, number: str, module: Path) -> PackageSpec:
        """The KMP itself, and another one that uses a symbol of it."""
        name = spec.files[0].rpartition("/")[0] + f"/beta{number}.ko"
        return PackageSpec(
            name="beta-kmp-default",
            version=spec.version,
            release="1",
            vendor=spec.vendor,
            provides=("kmod(beta.ko)", "multiversion(kernel)"),
            requires=(f"ksym(default:acme_open) = {number}",),
            contents=((name, module.read_bytes()),),
        )

    def lending(spec: PackageSpec, number: str, module: Path) -> PackageSpec:
        provides = (*spec.provides, f"ksym(default:acme_open) = {number}")
        content = module.read_bytes()
        return dataclasses.replace(spec, files=(), contents=((spec.files[0], content),), provides=provides)

    (old, new) = specs(DRIVER, REBUILD)
    waiver = '[[waiver]]\nkmp = "acme-*"\nreason = "unused"\nexpires = 2099-01-01\n'
    for module in (signed, unsigned):
        installed = [lending(old, "1", unsigned), needing(old, "1", unsigned)]
        with Host(OLD, configuration=f"require_signed = true\n{waiver}", more=installed) as host:
            host.add("updates", [*specs(NEW), lending(new, "2", module), needing(new, "2", signed)])
            before = host.rpmdb()
            ended = host.zypper("up")
            if module == signed:
                assert ended.code == 0, str(ended)
                continue
            assert stopped(host, ended, before) == [], str(ended)
            (flavor,) = host.last_verdict()["flavors"]
            told = {kmp["name"]: [cause["kind"] for cause in kmp["causes"]] for kmp in flavor["kmps"]}
            assert told == {"acme-kmp-default": ["signature"], "beta-kmp-default": ["signature"]}
            assert {use["via"] for use in flavor["boot_matrix"][0]["kmps"].values()} == {"none"}


def test_the_last_good_kernel_is_kept_for_a_rebuild_that_is_refused(unsigned: PackageSpec) -> None:
    configuration = 'require_signed = true\non_blocked = "warn"\nkeep_last_good = true\n'
    with Host(OLD, DRIVER, configuration=configuration) as host:
        host.add("updates", [*specs(NEW), unsigned])
        ended = host.zypper("up")
        assert ended.code == 0, str(ended)
        assert NEW in host.installed()
        assert "comment: kmpsolve keep" in host.locks()
