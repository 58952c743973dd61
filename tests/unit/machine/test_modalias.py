"""Patterns match as libc's fnmatch does, which zypper and modprobe use."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmpsolve.model.modalias import Modaliases, pattern_to_regex, unescaped

_libc = ctypes.CDLL(None)
_SIGNS = "abAB01:*?[]!^-\\._/"


def _fnmatch(pattern: str, text: str) -> bool:
    return bool(_libc.fnmatch(pattern.encode(), text.encode(), 0) == 0)


@settings(max_examples=3000)
@given(st.text(_SIGNS, max_size=9), st.text("abAB01:-]^!\\._/", max_size=7))
def test_as_libc(pattern: str, text: str) -> None:
    # POSIX leaves open what these are: [a-] with nothing behind the dash, classes, equivalents.
    if "[:" in pattern or "[." in pattern or "[=" in pattern:
        return
    assert bool(pattern_to_regex(pattern).fullmatch(text)) == _fnmatch(pattern, text)


@pytest.mark.parametrize(
    ("pattern", "device"),
    [
        ("pci:v00008086d0000265Asv*sd*bc*sc*i*", "pci:v00008086d0000265Asv00008086sd00004556bc0Csc03i00"),
        ("pci:v00008086d0000265[AB]sv*sd*bc*sc*i*", "pci:v00008086d0000265Bsv00008086sd00004556bc0Csc03i00"),
        ("usb:v046DpC52Bd*dc*dsc*dp*ic*isc*ip*in02*", "usb:v046DpC52Bd1211dc00dsc00dp00ic03isc00ip00in02"),
        ("acpi*:PNP0C0A:*", "acpi:PNP0C0A:"),
        ("of:N*T*Cti,am33*", "of:NmmcTdiskCti,am3352"),
        ("[pP]ci:v*", "pci:v1"),
    ],
)
def test_known_pairs(pattern: str, device: str) -> None:
    devices = Modaliases(["usb:v1", device, "pci:v9d9", ""])
    assert device in devices.matching(pattern)
    assert _fnmatch(pattern, device)
    assert Modaliases(["pci:v00008086d0000265Csv1"]).matching("pci:v00008086d0000265[AB]sv*") == ()


def test_escapes_are_undone() -> None:
    assert unescaped("of:N*T*Cti%2cam33%20x") == "of:N*T*Cti,am33 x"
    assert unescaped("dmi:100%") == "dmi:100%"
