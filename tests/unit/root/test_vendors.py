"""Vendor classes are those by which the real zypper updates or holds back a package."""

from __future__ import annotations

from pathlib import Path

import pytest

from kmpsolve.metadata.rootpath import Root
from kmpsolve.metadata.vendors import VendorClasses, read_vendor_classes
from tests.sandbox import Sandbox
from tests.support import repository, rpmbuild
from tests.support.packages import PackageSpec

VENDORS_D = {
    "acme.conf": "[main]\nvendors = ACME, Umbrella ,,acme drivers\n",
    "join.conf": "[main]\nvendors=Umbrella,Cyberdyne\n",
    "other.conf": "[other]\nvendors=ACME,Nobody\n",
    "project.conf": "[main]\nvendors = openSUSE Build Service, obs://build.example/Kernel\n",
}
PAIRS = {
    "same": ("ACME Inc.", "ACME Inc.", True),
    "case": ("Nobody GmbH", "NOBODY gmbh", True),
    "suse by prefix": (
        "SUSE LLC <https://www.suse.com/>",
        "SUSE Linux Products GmbH, Nuernberg, Germany",
        True,
    ),
    "opensuse is not suse": ("SUSE LLC <https://www.suse.com/>", "openSUSE", False),
    "opensuse is no prefix": ("openSUSE", "openSUSE.org", False),
    "opensuse with itself": ("openSUSE", "opensuse", True),
    "strangers": ("Nobody GmbH", "Somebody GmbH", False),
    "prefix without a class": ("Nobody", "Nobody GmbH", False),
    "a list": ("ACME Inc.", "Umbrella Corp.", True),
    "joined lists": ("ACME Inc.", "Cyberdyne Systems", True),
    "other section": ("ACME Inc.", "Nobody", False),
    "opensuse in a list, whole": ("openSUSE Build Service", "obs://build.example/Kernel:stable", True),
    "opensuse in a list, prefix": ("openSUSE Build Service 2", "obs://build.example/Kernel", False),
    "none and none": ("", "", True),
    "none and some": ("", "ACME Inc.", False),
}


@pytest.fixture
def classes(tmp_path: Path) -> VendorClasses:
    folder = tmp_path / "etc/zypp/vendors.d"
    folder.mkdir(parents=True)
    for name, text in VENDORS_D.items():
        (folder / name).write_text(text)
    return read_vendor_classes(Root.at(tmp_path), "/etc/zypp/vendors.d")


@pytest.mark.parametrize("name", PAIRS)
def test_classes(name: str, classes: VendorClasses) -> None:
    old, new, expected = PAIRS[name]
    assert classes.equivalent(old, new) is expected
    assert classes.equivalent(new, old) is expected


@pytest.mark.parametrize("name", PAIRS)
def test_zypper_agrees(name: str) -> None:
    old, new, expected = PAIRS[name]
    installed = PackageSpec(name="thing", version="1", release="1", vendor=old)
    available = PackageSpec(name="thing", version="2", release="1", vendor=new)
    with Sandbox() as sandbox:
        sandbox.install_rpms(rpmbuild.build([installed]))
        sandbox.add_repository("a", f"dir:{repository.rpm_md([available])}")
        for file, text in VENDORS_D.items():
            sandbox.write(f"/etc/zypp/vendors.d/{file}", text)
        ended = sandbox.zypper("update")
        assert ended.code == 0, ended
        assert sandbox.installed() == [(available if expected else installed).nevra], ended


def test_malformed_file_adds_nothing(tmp_path: Path) -> None:
    (tmp_path / "vendors.d").mkdir()
    (tmp_path / "vendors.d/bad").write_text("[main]\nrubbish\nvendors=a,b\n")
    assert not read_vendor_classes(Root.at(tmp_path), "/vendors.d").equivalent("a", "b")
