"""What a check finds: its form, and the words that all findings share."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Severity", "against_manual", "named", "number_of"]

Severity = Literal["error", "warning", "note"]

_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something about a subject that its maker or user should know.

    Parameters
    ----------
    reference
        A stable kebab-case name.
    severity
        An ``error`` makes the check fail; a ``warning`` may bite; a ``note`` is for knowing.
    subject
        The path of the package or module.
    message
        One line.
    rule
        Where the rule comes from.
    """

    reference: str
    severity: Severity
    subject: str
    message: str
    rule: str


def named(names: Iterable[str]) -> str:
    """A list for a message: the first few names, then how many more."""
    found = sorted(names)
    more = f" (+{len(found) - _SHOWN})" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]) + more


def number_of(names: Collection[str], noun: str) -> str:
    """How many there are: ``1 symbol``, ``2 symbols``."""
    return f"{len(names)} {noun}{'' if len(names) == 1 else 's'}"


def against_manual(subject: str, reference: str, severity: Severity, message: str, chapter: str) -> Finding:
    """A finding whose rule stands in SUSE's Kernel Module Packages Manuals (Code 11; SLE 12 SP2 and 15)."""
    return Finding(
        reference=reference,
        severity=severity,
        subject=subject,
        message=message,
        rule=f"SUSE Kernel Module Packages Manual: {chapter}",
    )
