"""The time that plans are made at."""

from __future__ import annotations

import time

import pytest

from kmpsolve.errors import ConfigError
from kmpsolve.model.clock import now, today


def test_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert 0 <= time.time() - now() < 60
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "")
    assert 0 <= time.time() - now() < 60


@pytest.mark.parametrize(("said", "day"), [("0", "1970-01-01"), ("253402300799", "9999-12-31")])
def test_a_time_that_is_told(said: str, day: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", said)
    assert now() == int(said)
    assert today() == day


@pytest.mark.parametrize("said", ["-5", "soon", "²", "1.5", "253402300800", "9" * 5000])
def test_what_is_no_time(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", said)
    with pytest.raises(ConfigError, match="SOURCE_DATE_EPOCH: is no number of seconds since 1970"):
        today()
