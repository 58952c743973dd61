"""A root read as another release: the caches of this one do not count."""

from __future__ import annotations

from pathlib import Path

from kmpsolve.metadata.root import read_root
from tests.support import rpmmd
from tests.support.packages import PackageSpec


def _package(release: str) -> PackageSpec:
    return PackageSpec(name="tool", version="1", release=release)


def test_releasever_leads_past_the_caches(tmp_path: Path) -> None:
    root = tmp_path / "root"
    repos = root / "etc/zypp/repos.d"
    repos.mkdir(parents=True)
    for release in ("15.6", "15.7"):
        rpmmd.write(tmp_path / f"sle-{release}", [_package(release)])
    (repos / "sle.repo").write_text(
        f"[sle]\nenabled=1\nautorefresh=0\nbaseurl=dir:{tmp_path}/sle-$releasever\n"
    )
    (repos / "vendor.repo").write_text(f"[vendor]\nenabled=1\nbaseurl=dir:{tmp_path}/sle-15.6\n")
    (root / "etc/zypp/vars.d").mkdir()
    (root / "etc/zypp/vars.d/releasever").write_text("15.6\n")
    for alias in ("sle", "vendor"):
        rpmmd.write(root / "var/cache/zypp/raw" / alias, [_package("15.6")])

    def places(releasever: str | None) -> dict[str, str | None]:
        return {one.alias: one.location for one in read_root(root, releasever=releasever).repositories}

    cached = root / "var/cache/zypp/raw"
    assert places(None)["sle"] == str(cached / "sle")
    there = places("15.7")
    assert there["sle"] == str(tmp_path / "sle-15.7")
    assert there["vendor"] == str(cached / "vendor")
