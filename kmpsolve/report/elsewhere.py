"""Commands for the system below another root, as they are typed on this machine, and for another release."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from kmpsolve.model.plan import Plan
from kmpsolve.planner.command import quoted

__all__ = ["command_here", "command_of_release", "of_release", "typed_here"]

_TYPED = re.compile(r"(?:^|(?<=&& ))(?:zypper|kmpsolve guard on)(?= |$)")
_ZYPPER = re.compile(r"^zypper(?= )")


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
    return _with_commands(plan, lambda command: command_here(command, root))


def command_here(command: str | None, root: str | None) -> str | None:
    """One command that names the root, as in `typed_here`."""
    if command is None or root in (None, "/"):
        return command
    return _TYPED.sub(lambda words: f"{words[0]} --root {quoted(str(root))}", command)


def of_release(plan: Plan, releasever: str | None) -> Plan:
    """The plan with commands that read the repositories as those of the release that was planned for.

    zypper would look for its packages in the repositories of the release that is installed.
    """
    return (
        _with_commands(plan, lambda command: command_of_release(command, releasever)) if releasever else plan
    )


def command_of_release(command: str | None, releasever: str | None) -> str | None:
    """One command that names the release, as in `of_release`; the guard only knows the one that is installed."""
    if command is None or not releasever:
        return command
    return _ZYPPER.sub(lambda _: f"zypper --releasever {quoted(releasever)}", command)


def _with_commands(plan: Plan, rewritten: Callable[[str | None], str | None]) -> Plan:
    flavors = (
        replace(f, ways_out=tuple(replace(way, command=rewritten(way.command)) for way in f.ways_out))
        for f in plan.flavors
    )
    return replace(plan, command=rewritten(plan.command), flavors=tuple(flavors))
