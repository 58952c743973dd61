"""kmpsolve: will every third-party driver load on the kernel you boot next?

``kmpsolve.plan(...)`` is the whole public interface; what it returns is described in `kmpsolve.model.plan.Plan`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kmpsolve.version import __version__

if TYPE_CHECKING:
    from kmpsolve.library import plan

__all__ = ["__version__", "plan"]


def __getattr__(name: str) -> Any:
    """Load the planner when it is first asked for: the hook's first stage must start at once."""
    if name == "plan":
        from kmpsolve.library import plan

        return plan
    raise AttributeError(name)
