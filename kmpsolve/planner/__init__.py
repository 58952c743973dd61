"""The planner: a universe and a request become a plan."""

from __future__ import annotations

from kmpsolve.planner.planning import plan

__all__ = ["plan"]
