"""What holds for every test: the caller's environment and clock do not show."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.support import bindings

bindings.use_asked_for()

# A shared machine is slow at times; that is no property of the code.
settings.register_profile("kmpsolve", deadline=None)
settings.load_profile("kmpsolve")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COLUMNS", "FORCE_COLOR", "KMPSOLVE_DISABLE", "NO_COLOR", "SOURCE_DATE_EPOCH", "ZYPP_CONF"):
        monkeypatch.delenv(name, raising=False)
