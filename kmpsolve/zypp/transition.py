"""What zypper is about to do, from libzypp's short description of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from kmpsolve.errors import MetadataError, PluginProtocolError
from kmpsolve.model.evr import Evr
from kmpsolve.model.nevra import Nevra
from kmpsolve.model.package import Package
from kmpsolve.model.plan import Action, Step
from kmpsolve.model.relation import obsoleted_by
from kmpsolve.planner.judgement import Transition
from kmpsolve.solver.universe import Universe
from kmpsolve.zypp.first_stage import relevant_name

__all__ = ["ZypperStep", "named_for_removal", "read_steps", "read_transition"]

_WORD = re.compile(r"^(?:[^:]+:)?(?P<name>[^=<>\s]+)")


@dataclass(frozen=True, slots=True)
class ZypperStep:
    """One step of a commit plugin's COMMITBEGIN.

    Parameters
    ----------
    type
        ``M``: install beside other builds; ``+``: install, or replace what has the name; ``-``: remove.
    """

    type: str
    nevra: Nevra


def read_steps(listed: Iterable[Mapping[str, Any]]) -> tuple[ZypperStep, ...]:
    """Read steps as the first stage hands them on.

    Raises
    ------
    PluginProtocolError
        If something is missing in one.
    """
    steps = []
    try:
        for entry in listed:
            if entry["type"] not in ("M", "+", "-"):
                raise PluginProtocolError(
                    f"libzypp names a step of type {entry['type']!r}, which is not known",
                    reference="unknown-step",
                )
            evr = Evr(int(entry.get("e") or 0), str(entry["v"]), str(entry["r"]))
            steps.append(ZypperStep(str(entry["type"]), Nevra(str(entry["n"]), evr, str(entry["a"]))))
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise PluginProtocolError(
            f"libzypp's description of the transaction cannot be read: {error}",
            reference="malformed-transaction",
        ) from error
    return tuple(steps)


def named_for_removal(arguments: Sequence[str], nevra: Nevra) -> bool:
    """Whether a person named this package for removal on zypper's command line."""
    words = [word for word in arguments[1:] if word]
    removing = any(word in ("rm", "remove") for word in words)
    for word in words:
        if word.startswith(("-", "!", "~")) and not word.startswith("--"):
            asked = word[1:]
        elif removing and not word.startswith("-"):
            asked = word
        else:
            continue
        match = _WORD.match(asked)
        if match is not None:
            spellings = (nevra.name, f"{nevra.name}.{nevra.arch}", f"{nevra.name}-{nevra.evr}", str(nevra))
            if any(fnmatchcase(spelled, match["name"]) for spelled in spellings):
                return True
    return False


def read_transition(
    universe: Universe,
    steps: Sequence[ZypperStep],
    *,
    arguments: Sequence[str] = (),
    first: frozenset[str] = frozenset(),
    in_use: frozenset[str] | None = frozenset(),
) -> Transition:
    """Find the packages behind the steps, and what goes without being named: the replaced and the obsoleted.

    Parameters
    ----------
    arguments
        zypper's command line.
    first
        Aliases of repositories that zypper was given with the command, whose packages it prefers.
    in_use
        Modules that are loaded, as the kernel spells them; ``None`` if nobody can tell: any may be.

    Raises
    ------
    MetadataError
        ``package-unread``, if a kernel or KMP among them is in no repository that could be read.
    """
    found = _Finder(universe, first, {step.nevra.name for step in steps}, frozenset(arguments))
    mentioned = [(step, found.candidate(step)) for step in steps]
    for step, package in mentioned:
        unknown = package is None and step.type != "-" and relevant_name(step.nevra.name)
        if unknown and not _is_no_kmp(universe, step, found.repository(step, package)):
            raise MetadataError(
                f"{step.nevra} is in no repository that could be read",
                reference="package-unread",
                hint="zypper refresh --force",
            )
    arrived = [package for _, package in mentioned if package is not None]
    gone = list(_gone(universe, steps, {str(s.nevra) for s in steps if s.type != "-"}))
    by_name: dict[str, list[Evr]] = {}
    for package in gone:
        by_name.setdefault(package.name, []).append(package.nevra.evr)
    listed = []
    for step, package in mentioned:
        action: Action = "install"
        if step.type == "-":
            action = "erase"
        elif step.type == "+" and step.nevra.name in by_name:
            action = "downgrade" if step.nevra.evr < max(by_name[step.nevra.name]) else "upgrade"
        elif step.type == "+" and (
            evrs := [p.nevra.evr for p in universe.called(step.nevra.name) if p.installed]
        ):
            action = "downgrade" if step.nevra.evr < max(evrs) else "upgrade"
        alias = found.repository(step, package) if action != "erase" else None
        listed.append(Step(action=action, nevra=str(step.nevra), repository=alias))
    builds = {p.handle: build for p in gone if (build := universe.kmp(p.handle)) is not None}
    return Transition(
        steps=tuple(sorted(listed, key=lambda s: (s.nevra, s.action))),
        arrived=tuple(arrived),
        gone=tuple(gone),
        arriving=frozenset(str(step.nevra) for step in steps if step.type != "-"),
        dismissed=frozenset(
            package.name
            for package in gone
            if package.handle in builds
            and in_use is not None
            and not builds[package.handle].modules.keys() & in_use
            and named_for_removal(arguments, package.nevra)
        ),
    )


def _is_no_kmp(universe: Universe, step: ZypperStep, repository: str | None) -> bool:
    """Whether a package only has a name like a KMP's: an in-tree KMP, or one on offer whose name ends in no
    kernel's flavor, such as a KMP's debug information or its tools.
    """
    _, like_a_kmp, ending = step.nevra.name.rpartition("-kmp")
    flavors = {kernel.flavor for kernel in universe.kernels}
    beside_a_kmp = bool(like_a_kmp and ending) and ending.removeprefix("-") not in flavors
    return universe.knows_in_tree(step.nevra) or (beside_a_kmp and repository is not None)


class _Finder:
    """Finds kernels and KMPs by NEVRA; zypper says no more about them, but its command line may."""

    def __init__(
        self, universe: Universe, first: frozenset[str], names: set[str], arguments: frozenset[str]
    ) -> None:
        self._universe = universe
        self._first = first
        self._arguments = arguments
        self._offered: dict[str, list[Package]] = {}
        offered = [k.package for k in universe.kernels] + [b.package for b in universe.near_kmps(names)]
        for package in offered:
            if not package.installed:
                self._offered.setdefault(str(package.nevra), []).append(package)

    def _rank(self, package: Package) -> tuple[bool, bool, int, str]:
        named, evr = f"{package.repository}:{package.name}", package.nevra.evr
        asked = {named, f"{named}={evr}", f"{named}.{package.nevra.arch}={evr}"}
        return (
            asked.isdisjoint(self._arguments),
            package.repository not in self._first,
            package.priority,
            package.repository or "",
        )

    def candidate(self, step: ZypperStep) -> Package | None:
        """The kernel or KMP that a step brings."""
        if step.type == "-":
            return None
        return min(self._offered.get(str(step.nevra), ()), key=self._rank, default=None)

    def repository(self, step: ZypperStep, package: Package | None) -> str | None:
        """Where a step's package comes from."""
        if package is None:
            offered = [
                p for p in self._universe.called(step.nevra.name) if not p.installed and p.nevra == step.nevra
            ]
            package = min(offered, key=self._rank, default=None)
        return package.repository if package else None


def _gone(universe: Universe, steps: Sequence[ZypperStep], arriving: set[str]) -> Iterable[Package]:
    """Installed kernels and KMPs that will not be there any more."""
    removed = {str(step.nevra) for step in steps if step.type == "-"}
    replaced = {step.nevra.name for step in steps if step.type == "+"}
    standing = [k.package for k in universe.kernels] + [b.package for b in universe.installed_kmps]
    for package in standing:
        if not package.installed:
            continue
        nevra = str(package.nevra)
        if (
            nevra in removed
            or nevra in arriving
            or package.name in replaced
            or any(
                str(other.nevra) in arriving and obsoleted_by(obsoletes, package.nevra)
                for other, obsoletes in universe.obsoleting(package.name)
            )
        ):
            yield package
