"""updateinfo.xml: patches and retractions."""

from __future__ import annotations

import io
import random

import pytest

from kmpsolve.errors import MetadataError
from kmpsolve.metadata.content import Patch
from kmpsolve.metadata.origin import Origin
from kmpsolve.metadata.updateinfo import read_updateinfo, retracted_packages

ORIGIN = Origin(alias="SLE-Updates", remedy="Refresh it: zypper refresh SLE-Updates")

SAMPLE = """<?xml version="1.0" encoding="UTF-8"?>
<updates>
  <update from="maint@suse.de" status="retracted" type="security" version="1">
    <id>SUSE-SLE-Module-Basesystem-15-SP6-2026-7</id>
    <title>Security update for the Linux Kernel &amp; friends</title>
    <severity>important</severity>
    <release>SUSE Updates</release>
    <issued date="1700000000"/>
    <references>
      <reference href="https://example.com/1" id="1219345" title="bug" type="bugzilla"/>
      <reference href="https://example.com/2" id="CVE-2026-0002" title="CVE-2026-0002" type="cve"/>
      <reference href="https://example.com/3" id="CVE-2026-0001" title="CVE-2026-0001" type="cve"/>
      <reference href="https://example.com/3" id="CVE-2026-0001" title="again" type="cve"/>
    </references>
    <description>An id: <![CDATA[<id>no id</id>]]></description>
    <pkglist>
      <collection short="x">
        <name>a collection has a name too</name>
        <package name="kernel-rt" epoch="0" version="6.4.0" release="150600.10.2" arch="x86_64" src="k">
          <filename>kernel-rt-6.4.0-150600.10.2.x86_64.rpm</filename>
        </package>
        <package name="acme" epoch="2" version="1" release="1" arch="noarch"><filename>a</filename></package>
        <package name="kernel-default" version="6.4.0" release="150600.23.7" arch="x86_64"/>
      </collection>
    </pkglist>
  </update>
  <update><id> B </id></update>
</updates>
"""


def read(text: str) -> list[Patch]:
    return read_updateinfo(io.BytesIO(text.encode()), name="updateinfo.xml", origin=ORIGIN)


def test_an_entry_is_read() -> None:
    assert read(SAMPLE) == [
        Patch(
            id="SUSE-SLE-Module-Basesystem-15-SP6-2026-7",
            severity="important",
            cves=("CVE-2026-0001", "CVE-2026-0002"),
            status="retracted",
            packages=(
                "acme-2:1-1.noarch",
                "kernel-default-6.4.0-150600.23.7.x86_64",
                "kernel-rt-6.4.0-150600.10.2.x86_64",
            ),
        )
    ]


KERNELS = """<update status="stable"><id>K</id><severity>low</severity><pkglist><collection>
<package name="kernel-default" version="1" release="1" arch="x86_64"/></collection></pkglist></update>"""
OTHERS = """<update status="stable"><id>O</id><references><reference id="CVE-1" type="cve"/></references><pkglist>
<collection><package name="zlib" version="1" release="1" arch="x86_64"/></collection></pkglist></update >"""
TAKEN_BACK = """<update status="retr&#97;cted"><id>T</id><pkglist><collection>
<package name="zlib" version="2" release="1" arch="x86_64"/></collection></pkglist></update>"""
DISGUISED = KERNELS.replace("<id>K", "<id>D").replace("kernel-default", "kern&#101;l&#45;rt")
NO_ENTRY = f"<update-notes>{OTHERS}</update-notes>"
"""A name that begins like an entry's, and entries where none are looked for."""


@pytest.mark.parametrize(
    "between", ["", "\n  ", "<other/>", "<!-- <update> kernel- -->", "<![CDATA[</update>]]>"]
)
@pytest.mark.parametrize("seed", range(12))
def test_what_is_passed_over_is_of_no_interest(between: str, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 (the same files each time)
    usual = [KERNELS, OTHERS, TAKEN_BACK, DISGUISED, OTHERS.replace("</update >", "</update>")]
    entries = chance.choices([*usual, *([NO_ENTRY, "<update/>"] if seed % 3 == 0 else [])], k=seed)
    found = read(f"<updates>{between}{between.join(entries)}{between}</updates>")
    expected = {KERNELS: "K", TAKEN_BACK: "T", DISGUISED: "D"}
    assert [patch.id for patch in found] == [expected[entry] for entry in entries if entry in expected]


def test_only_retracted_entries_retract() -> None:
    assert retracted_packages(read(SAMPLE)) == set(read(SAMPLE)[0].packages)
    assert retracted_packages(read(SAMPLE.replace("retracted", "stable"))) == frozenset()


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        (SAMPLE[:-20], "malformed-xml"),
        (SAMPLE.replace('release="150600.23.7" ', ""), "malformed-updateinfo"),
        (SAMPLE.replace('name="acme" ', ""), "malformed-updateinfo"),
        (SAMPLE.replace("<id>SUSE-SLE-Module-Basesystem-15-SP6-2026-7</id>", ""), "malformed-updateinfo"),
        (f"<updates>{OTHERS.replace('</references>', '')}</updates>", "malformed-xml"),
        ("<patches/>", "wrong-xml"),
        ("", "malformed-xml"),
    ],
)
def test_a_damaged_file_is_an_error(text: str, reference: str) -> None:
    with pytest.raises(MetadataError) as caught:
        read(text)
    assert caught.value.reference == reference
    assert caught.value.where == "SLE-Updates"
    assert caught.value.hint == ORIGIN.remedy


def test_the_line_of_a_fault_is_named() -> None:
    with pytest.raises(MetadataError, match=r"line 5: mismatched tag"):
        read(SAMPLE.replace("</title>", "</titel>"))
