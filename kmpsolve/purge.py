"""What ``zypper purge-kernels`` would remove: pure, from small values.

A model of libzypp's PurgeKernels.cc (as of mid-2026), with its solver reduced to what it does there: it
removes a package together with everything that needs it, and refuses if that hits something that has to stay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cmp_to_key

from kmpsolve.model.evr import Evr, rpmvercmp

__all__ = ["Candidate", "KeepSpec", "purged"]

_KEEP_WORD = re.compile(r"(latest|oldest)([+-][0-9]+)?")
_REBUILD_COUNTER = re.compile(r"\.[0-9]+(|\.g[0-9a-f]{7})$")
_RELATED = re.compile(r"kernel-syms(-.*)?|kernel(-.*)?-devel")
_MAY_GO = re.compile(r"kernel-syms|kgraft-patch|kernel-.*-livepatch|kernel-livepatch|-kmp")
"""Names (parts of names: libzypp's expression is not anchored) of packages that may go with a kernel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An installed package, as far as purging asks about it.

    Parameters
    ----------
    name, evr, arch
        The package's.
    own_provides
        The EVRs with which it provides its own name, sorted: rpmbuild sorts them, and no ``.solv`` file keeps
        another order.
    is_kernel
        It provides ``kernel-uname-r``.
    multiversion
        It provides ``multiversion(kernel)``.
    has_modules
        It provides any ``kmod(...)`` or ``ksym(...)``.
    locked
        A zypp lock holds it.
    needs
        For each of its requirements that installed packages meet: the positions, in the sequence of all
        installed packages, of those that do. Requirements that nothing meets do not count.
    """

    name: str
    evr: Evr
    arch: str
    own_provides: tuple[Evr, ...] = ()
    is_kernel: bool = False
    multiversion: bool = False
    has_modules: bool = False
    locked: bool = False
    needs: tuple[frozenset[int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepSpec:
    """zypp.conf's ``multiversion.kernels``, understood.

    Parameters
    ----------
    running
        Whether the running kernel is kept.
    latest, oldest
        Distances from the newest and from the oldest one that are kept.
    versions
        Versions that are kept.
    """

    running: bool
    latest: frozenset[int]
    oldest: frozenset[int]
    versions: tuple[Evr, ...]

    @classmethod
    def parse(cls, text: str) -> KeepSpec | None:
        """Read a keep spec; None if it is empty, which keeps everything.

        ``latest+1`` and ``oldest-1`` say nothing. A version may carry a flavor, as ``uname -r`` spells it.
        """
        if not text:
            return None
        words = [word.strip() for word in text.split(",") if word]
        if not words:
            return cls(running=True, latest=frozenset({0}), oldest=frozenset(), versions=())
        latest: set[int] = set()
        oldest: set[int] = set()
        versions: list[Evr] = []
        for word in words:
            match = _KEEP_WORD.fullmatch(word)
            if match:
                distance = int(match[2] or 0)
                if match[1] == "latest" and distance <= 0:
                    latest.add(-distance)
                elif match[1] == "oldest" and distance >= 0:
                    oldest.add(distance)
            elif word != "running":
                versions.append(Evr.parse("-".join(word.split("-")[:2])))
        return cls(
            running="running" in words,
            latest=frozenset(latest),
            oldest=frozenset(oldest),
            versions=tuple(versions),
        )


@dataclass(frozen=True, slots=True)
class _Group:
    """Packages among which versions are counted: a flavor's kernels, or one package's versions."""

    flavor: str
    ignores_flavor: bool
    members: dict[str, list[int]] = field(default_factory=dict)
    """Positions by architecture."""


def purged(
    installed: Sequence[Candidate], keep: str, running: str | None, machine: str | None = None
) -> frozenset[int]:
    """Tell which packages ``zypper purge-kernels`` would remove.

    Parameters
    ----------
    installed
        All installed packages that matter, in the rpmdb's order (which decides where two removals exclude
        each other); anything left out is taken as not needing a kernel or a KMP.
    keep
        zypp.conf's ``multiversion.kernels``.
    running
        ``uname -r``; None if it is not known: then only a keep spec without ``running`` removes anything.
    machine
        ``uname -m``; by default the architecture of the kernels of the running flavor is taken for it.

    Returns
    -------
    frozenset
        Positions in `installed`.
    """
    spec = KeepSpec.parse(keep)
    if spec is None or (spec.running and running is None):
        return frozenset()
    groups = _groups(installed)
    kept: set[int] = set()
    for group in groups.values():
        for arch, members in group.members.items():
            own = running is not None and (
                group.ignores_flavor
                or (group.flavor == running.rpartition("-")[2] and arch == _architecture(machine or arch))
            )
            kept |= _kept(installed, members, spec, running if own else None, group.ignores_flavor)
    wanted = [
        position
        for position in range(len(installed))
        if any(position in members for group in groups.values() for members in group.members.values())
        and position not in kept
    ]
    removal = _Removal(installed, kept, frozenset(wanted))
    for position in wanted:
        removal.try_without(position)
    return frozenset(removal.gone)


def _architecture(machine: str) -> str:
    return "i586" if re.fullmatch(r"i.86", machine) else machine


def _groups(installed: Sequence[Candidate]) -> dict[str, _Group]:
    groups: dict[str, _Group] = {}
    for position, one in enumerate(installed):
        if not one.multiversion:
            continue
        related = _RELATED.search(one.name)
        if one.is_kernel:
            flavor = (
                one.name.removeprefix("kernel-").partition("-")[0] if one.name.startswith("kernel-") else ""
            )
            if not flavor:
                continue
            name, ignores = flavor, False
        elif one.arch == "noarch":
            name, flavor, ignores = one.name, "", True
        elif related:
            part = related[1] or related[2] or ""
            flavor = part[1:] or ("default" if one.name == "kernel-syms" else "")
            name, ignores = one.name, False
        else:
            continue
        group = groups.setdefault(name, _Group(flavor, ignores))
        group.members.setdefault(one.arch, []).append(position)
    return groups


def _compare(a: Evr, b: Evr) -> int:
    """Order two EVRs strictly: a missing release sorts before any."""
    return a.compare(b) or rpmvercmp(a.release, b.release)


_order = cmp_to_key(_compare)


def _generic(one: Candidate) -> Evr:
    """Choose the EVR that stands for a package in its group: of those that it provides, the one with the
    fewest dots in its release, so that rebuilds count as one version. libzypp takes the package's own for
    the first provide.
    """
    chosen = one.evr
    for provided in one.own_provides[1:]:
        if provided.release.count(".") < chosen.release.count("."):
            chosen = provided
    return chosen


def _kept(
    installed: Sequence[Candidate],
    members: Sequence[int],
    spec: KeepSpec,
    running: str | None,
    ignores_flavor: bool,
) -> set[int]:
    """Tell which packages of one group and architecture the keep spec keeps."""
    versions: list[tuple[Evr, list[int]]] = []
    for position in members:
        generic = _generic(installed[position])
        same = next((entry for entry in versions if _compare(entry[0], generic) == 0), None)
        if same is None:
            versions.append((generic, [position]))
        else:
            same[1].append(position)
    versions.sort(key=lambda entry: _order(entry[0]))
    kept: set[int] = set()
    if spec.running and running is not None:
        wanted = _running_versions(running)
        matches = [any(_is_version(one, version) for one in wanted) for version, _ in versions]
        if True in matches:
            # Rebuilds of one kernel have one uname -r; the newest of them is what it started from.
            last = matches.index(True)
            while last + 1 < len(matches) and matches[last + 1]:
                last += 1
            kept.update(versions[last][1])
        elif not ignores_flavor:
            return set(members)
    for index, (_, positions) in enumerate(versions):
        if index in spec.oldest or len(versions) - 1 - index in spec.latest:
            kept.update(positions)
        for position in positions:
            own = installed[position].own_provides
            if any(_compare(version, provided) == 0 for version in spec.versions for provided in own):
                kept.add(position)
    return kept


def _running_versions(running: str) -> list[Evr]:
    """The EVRs that a running kernel's package may have: of release candidates, uname and rpm spell versions
    differently, and rpm's way has changed from ``.rc`` to ``~rc``."""
    version, _, release = running.rpartition("-")[0].rpartition("-")
    found = []
    for mark in ("~rc", ".rc"):
        spelled = re.sub(r"-rc[0-9]+", "", version.replace(".0-rc", mark)).replace("-", ".")
        found.append(Evr(0, spelled, release))
    return found


def _is_version(running: Evr, version: Evr) -> bool:
    """Tell whether a package's version is the running one, or a rebuild of it."""
    if _compare(running, version) == 0:
        return True
    text = str(version)
    match = _REBUILD_COUNTER.search(text)
    return match is not None and _compare(running, Evr.parse(text[: match.start()] + match[1])) == 0


class _Removal:
    """Removes packages one after the other, each with what needs it, or not at all."""

    def __init__(self, installed: Sequence[Candidate], kept: set[int], wanted: frozenset[int]) -> None:
        self._installed = installed
        self._kept = kept
        self._wanted = wanted
        self._dependents = _dependents(installed)
        self.gone: set[int] = set()

    def try_without(self, position: int) -> None:
        if self._installed[position].locked:
            return
        gone = self._closure(position)
        new = gone - self.gone
        for other in new - {position}:
            if self._installed[other].locked:
                return  # the solver finds no solution
            if other in self._wanted:
                continue
            if other in self._kept or not self._may_go(other):
                return
        self.gone = gone
        for removed in sorted(new):
            self._debug_packages(removed)

    def _may_go(self, position: int) -> bool:
        one = self._installed[position]
        return one.has_modules or _MAY_GO.search(one.name) is not None

    def _closure(self, position: int) -> set[int]:
        gone = {*self.gone, position}
        ahead = [position]
        while ahead:
            for other in self._dependents.get(ahead.pop(), ()):
                if other not in gone and any(need <= gone for need in self._installed[other].needs):
                    gone.add(other)
                    ahead.append(other)
        return gone

    def _debug_packages(self, position: int) -> None:
        one = self._installed[position]
        if one.arch in ("", "noarch"):
            return
        for other, package in enumerate(self._installed):
            if (
                package.name in (f"{one.name}-debugsource", f"{one.name}-debuginfo")
                and package.arch == one.arch
                and any(_compare(provided, one.evr) == 0 for provided in package.own_provides)
                and other not in self.gone
            ):
                self.try_without(other)


def _dependents(installed: Sequence[Candidate]) -> Mapping[int, set[int]]:
    found: dict[int, set[int]] = {}
    for position, one in enumerate(installed):
        for need in one.needs:
            for provider in need:
                found.setdefault(provider, set()).add(position)
    return found
