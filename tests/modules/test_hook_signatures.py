"""The commit hook under ``require_signed``, where zypper already has the RPMs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from tests.e2e.host import DRIVER, NEW, OLD, REBUILD, Host, specs, stopped
from tests.modules.debian import DebianKernel


def test_a_rebuild_whose_module_nobody_signed(
    kernels: tuple[DebianKernel, ...], built: Callable[[DebianKernel], Path]
) -> None:
    module = (built(kernels[0]) / "kmpsolve_base.ko").read_bytes()
    (rebuild,) = specs(REBUILD)
    unsigned = dataclasses.replace(rebuild, files=(), contents=((rebuild.files[0], module),))
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
