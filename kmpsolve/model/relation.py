"""Relations between packages as rpm prints them: a name, or a name with a comparison and an EVR."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kmpsolve.model.evr import Evr
from kmpsolve.model.nevra import Nevra

__all__ = ["Relation", "covers", "obsoleted_by", "parse_relation"]

_RELATION = re.compile(r"(?P<name>\S+)(?: (?P<op>[<>=]+) (?P<evr>\S+))?")

Relation = tuple[str, str, Evr | None]
"""Name, comparison (``""`` if none, else of ``<``, ``>`` and ``=``), and what is compared with."""


def parse_relation(text: str) -> Relation | None:
    """Read a relation; ``None`` if it is a rich one."""
    match = _RELATION.fullmatch(text)
    if match is None:
        return None
    return match["name"], match["op"] or "", Evr.parse(match["evr"]) if match["evr"] else None


def covers(relation: Relation, nevra: Nevra) -> bool:
    """Whether a package is what a relation names, by name and EVR."""
    name, operator, evr = relation
    if name != nevra.name or evr is None:
        return name == nevra.name
    order = nevra.evr.compare(evr)
    return (
        (order < 0 and "<" in operator) or (order > 0 and ">" in operator) or (order == 0 and "=" in operator)
    )


def obsoleted_by(capabilities: Iterable[str], nevra: Nevra) -> bool:
    """Whether one of `capabilities` (an Obsoletes list) names the package.

    Obsoletes match package names, not provides (rpm, and libsolv for rpm).
    """
    return any(covers(relation, nevra) for relation in filter(None, map(parse_relation, capabilities)))
