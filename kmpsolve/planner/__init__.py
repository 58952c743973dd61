"""The planner: a universe and a request become a plan."""

from __future__ import annotations

from kmpsolve.planner.deciding import flavor_systems
from kmpsolve.planner.planning import plan

__all__ = ["flavor_systems", "plan"]
