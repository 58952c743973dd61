"""Commands for the system below another root, as they are typed on this machine."""

from __future__ import annotations

import re
from dataclasses import replace

from kmpsolve.model.plan import Plan
from kmpsolve.planner.command import quoted

__all__ = ["command_here", "typed_here"]

_TYPED = re.compile(r"(?:^|(?<=&& ))(?:zypper|kmpsolve guard on)(?= |$)")


def typed_here(plan: Plan, root: str | None) -> Plan:
    """The plan with commands that name the root: pasted without it, they would change this machine instead.

    A program runs the ones in the plan where that root is ``/``.

    Parameters
    ----------
    root
        The folder below which the system stands that was planned for; ``None`` if it is on no disk here.
    """
    if root in (None, "/"):
        return plan
    flavors = (
        replace(
            f, ways_out=tuple(replace(way, command=command_here(way.command, root)) for way in f.ways_out)
        )
        for f in plan.flavors
    )
    return replace(plan, command=command_here(plan.command, root), flavors=tuple(flavors))


def command_here(command: str | None, root: str | None) -> str | None:
    """One command that names the root, as in `typed_here`."""
    if command is None or root in (None, "/"):
        return command
    return _TYPED.sub(lambda words: f"{words[0]} --root {quoted(str(root))}", command)
