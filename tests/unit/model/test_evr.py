"""Our order of versions is rpm's own."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmpsolve.metadata.rpmbinding import load_rpm
from kmpsolve.model.evr import Evr, rpmvercmp
from kmpsolve.model.nevra import Nevra

_PIECES = st.sampled_from(
    ["0", "1", "01", "10", "a", "b", "rc", "~", "^", ".", "_", "+", "1e", "150600", "k6"]
)
_VERSIONS = st.lists(_PIECES, min_size=1, max_size=6).map("".join)


@settings(max_examples=2000, deadline=None)
@given(_VERSIONS, _VERSIONS)
def test_rpmvercmp_is_rpms(a: str, b: str) -> None:
    rpm = load_rpm()
    assert rpmvercmp(a, b) == rpm.labelCompare(("0", a, "1"), ("0", b, "1"))


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 2), _VERSIONS, _VERSIONS, st.integers(0, 2), _VERSIONS, _VERSIONS)
def test_evr_order_is_rpms(e1: int, v1: str, r1: str, e2: int, v2: str, r2: str) -> None:
    rpm = load_rpm()
    expected = rpm.labelCompare((str(e1), v1, r1), (str(e2), v2, r2))
    assert Evr(e1, v1, r1).compare(Evr(e2, v2, r2)) == expected


@given(_VERSIONS, _VERSIONS)
def test_equal_versions_have_equal_hashes(a: str, b: str) -> None:
    if Evr(0, a, "1") == Evr(0, b, "1"):
        assert hash(Evr(0, a, "1")) == hash(Evr(0, b, "1"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("6.4.0-150600.23.25.1", Evr(0, "6.4.0", "150600.23.25.1")),
        ("2:1.0-3", Evr(2, "1.0", "3")),
        ("1.0", Evr(0, "1.0", "")),
        ("6.4.0-150600.23-default", Evr(0, "6.4.0-150600.23", "default")),
        ("x:1-2", Evr(0, "x:1", "2")),
        ("²:1-2", Evr(0, "²:1", "2")),
        ("9" * 5000 + ":1-2", Evr(0, "9" * 5000 + ":1", "2")),
    ],
)
def test_parse(text: str, expected: Evr) -> None:
    parsed = Evr.parse(text)
    assert (parsed.epoch, parsed.version, parsed.release) == (
        expected.epoch,
        expected.version,
        expected.release,
    )


def test_numbers_of_any_length_are_compared() -> None:
    assert rpmvercmp("9" * 5000, "1" + "0" * 5000) == -1
    assert rpmvercmp("0" * 5000 + "1", "1") == 0


def test_without_a_release_only_epoch_and_version_count() -> None:
    assert Evr.parse("1.0") == Evr.parse("1.0-5")
    assert Evr.parse("1.0") < Evr.parse("1.1-1")


@pytest.mark.parametrize("text", ["kernel-default-6.4.0-1.x86_64", "a-b-c-1:2_3-4.5.noarch"])
def test_nevra_round_trip(text: str) -> None:
    assert str(Nevra.parse(text)) == text


@pytest.mark.parametrize("text", ["", "kernel", "kernel.x86_64", "a-1.x86_64", "-1-2.x86_64", "a-1-2."])
def test_nevra_refuses(text: str) -> None:
    with pytest.raises(ValueError):
        Nevra.parse(text)
