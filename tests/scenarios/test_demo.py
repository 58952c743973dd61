"""The metadata bundled for `make demo` is what the builder makes of its fixtures."""

from __future__ import annotations

import gzip
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.scenarios import demo

PAIRS = list(demo.repositories())
COMMON = "{http://linux.duke.edu/metadata/common}"
RPM = "{http://linux.duke.edu/metadata/rpm}"


def _packages(repository: Path) -> list[tuple[object, ...]]:
    """Return what the primary metadata says about the packages, without sizes, checksums and places.

    Another version of rpm or createrepo_c makes other files of the same packages.
    """
    (primary,) = repository.glob("repodata/*-primary.xml.gz")
    document = ElementTree.fromstring(gzip.decompress(primary.read_bytes()))  # noqa: S314 - our own file
    packages: list[tuple[object, ...]] = []
    for package in document:
        version = package.find(f"{COMMON}version")
        vendor = package.find(f"{COMMON}format/{RPM}vendor")
        assert version is not None
        assert vendor is not None
        entries = [
            (relation.tag, tuple(sorted(entry.attrib.items())))
            for relation in package.find(f"{COMMON}format") or ()
            for entry in relation.iter(f"{RPM}entry")
            if not entry.attrib["name"].startswith("rpmlib(")
        ]
        packages.append(
            (
                package.findtext(f"{COMMON}name"),
                package.findtext(f"{COMMON}arch"),
                tuple(sorted(version.attrib.items())),
                vendor.text,
                tuple(sorted(entries)),
            )
        )
    return sorted(packages, key=str)


def _updateinfo(repository: Path) -> list[bytes]:
    return [gzip.decompress(path.read_bytes()) for path in repository.glob("repodata/*-updateinfo.xml.gz")]


@pytest.mark.parametrize(("committed", "built"), PAIRS, ids=[committed.name for committed, _ in PAIRS])
def test_committed_metadata_is_what_the_builder_makes(committed: Path, built: Path) -> None:
    assert _packages(committed) == _packages(built)
    assert _packages(committed)
    assert _updateinfo(committed) == _updateinfo(built)


def test_nothing_else_is_bundled() -> None:
    assert {path.parent for path in demo.DEMO.glob("**/repodata")} == {committed for committed, _ in PAIRS}
    assert not list(demo.DEMO.glob("**/*.rpm"))


def test_readme_shows_what_the_demo_prints() -> None:
    assert demo.transcript_in_readme() == demo.transcript()
