"""The planner: a universe and a request become a plan."""

from __future__ import annotations

from kmpsolve.planner.distupgrade import plan_dist_upgrade
from kmpsolve.planner.planning import flavor_systems, plan

__all__ = ["flavor_systems", "plan", "plan_dist_upgrade"]
