"""Child processes whose coverage must not be measured."""

from __future__ import annotations

import os

__all__ = ["unmeasured"]


def unmeasured(**more: str) -> dict[str, str]:
    """This process's environment and `more`, for a child whose memory, time or rights the measuring would change."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")} | more
