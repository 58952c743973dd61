"""Supplements on hardware, alone and inside of rich dependencies."""

from __future__ import annotations

from pathlib import Path

import pytest

from kmpsolve.model.modalias import Modaliases
from kmpsolve.solver.hardware import hardware_patterns
from tests.support.packages import PackageSpec
from tests.support.universes import sealed

DISK = "virtio:d00000002v00001AF4"
ASKED = "modalias(virtio:d00000002v*)"
OTHER = "modalias(usb:v1d*)"


@pytest.mark.parametrize(
    ("supplements", "met"),
    [
        (ASKED, True),
        (OTHER, False),
        (f"({ASKED})", True),
        ("modalias(tools:virtio:d00000002v*)", True),
        ("modalias(missing:virtio:d00000002v*)", False),
        (f"(tools and {ASKED})", True),
        (f"(missing and {ASKED})", False),
        (f"({ASKED} and {OTHER})", False),
        (f"(missing or {ASKED})", True),
        (f"(missing or {OTHER})", False),
        (f"(tools if {ASKED})", False),
        (f"({ASKED} unless tools)", False),
        (f"((missing or tools) and {ASKED})", True),
        (f"((missing or gone) and {ASKED})", False),
        (f"((missing and tools) or {ASKED})", True),
        (f"({ASKED} and (missing or tools))", True),
        (f"({ASKED} and (missing and tools))", False),
        (f"(rpmlib(X) and {ASKED})", False),
        (f"(rpmlib(X) <= 4 and {ASKED})", True),
    ],
)
def test_a_dependency_counts_as_a_whole(tmp_path: Path, supplements: str, met: bool) -> None:
    driver = PackageSpec(name="acme", version="1", release="1", supplements=(supplements,))
    offered = PackageSpec(name="missing", version="1", release="1")
    tools = PackageSpec(name="tools", version="1", release="1")
    of = sealed(tmp_path, {"r": [driver, offered]}, [tools])
    (package,) = of.called("acme")
    assert of.supplemented(package, Modaliases([DISK])) == (("virtio:d00000002v*",) if met else ())
    if " if " not in supplements:  # libsolv does not look behind it for a name
        written = [text for text in ("usb:v1d*", "virtio:d00000002v*") if text in supplements]
        assert hardware_patterns(of.pool) == tuple(written)


def test_a_pattern_without_a_word(tmp_path: Path) -> None:
    driver = PackageSpec(name="acme", version="1", release="1", supplements=("modalias()",))
    of = sealed(tmp_path, {"r": [driver]}, [])
    (package,) = of.called("acme")
    assert of.supplemented(package, Modaliases([DISK])) == ()
    assert hardware_patterns(of.pool) == ("",)
