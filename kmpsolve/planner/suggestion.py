"""KMPs in the repositories for the hardware of a machine, and the kernels that they fit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kmpsolve.compat.judgement import judge
from kmpsolve.model.modalias import Modaliases
from kmpsolve.model.nevra import same_architecture
from kmpsolve.model.package import KernelUnit, KmpBuild
from kmpsolve.planner.command import quoted, word_for
from kmpsolve.planner.system import FlavorSystem, preference
from kmpsolve.request import Request
from kmpsolve.solver.universe import Universe

__all__ = ["Suggestion", "Suggestions", "suggest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """One KMP that supplements hardware of the machine.

    Parameters
    ----------
    flavor
        The flavor of kernel that it is for.
    build
        The NEVRA that would be installed: it fits the newest installed kernel if any does, else the newest
        kernel there is.
    installed
        NEVRAs of the installed builds.
    devices
        The modaliases of the devices that it drives, sorted.
    patterns
        Those of its Supplements that match them.
    kernels
        The kernels that `build` fits, newest first; none if it fits none.
    fits_now
        Whether it fits the newest installed kernel.
    unverified
        Whether nobody can tell which kernels it fits: it was built without symbol versions.
    """

    kmp: str
    flavor: str
    build: str
    repository: str | None
    installed: tuple[str, ...]
    devices: tuple[str, ...]
    patterns: tuple[str, ...]
    modules: tuple[str, ...]
    kernels: tuple[str, ...]
    fits_now: bool
    unverified: bool
    command: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestions:
    """The answer of ``suggest``."""

    devices: int
    suggestions: tuple[Suggestion, ...]

    def to_json(self) -> dict[str, Any]:
        """The document that ``suggest --format json`` prints."""
        return {
            "schema_version": 1,
            "devices": self.devices,
            "suggestions": [
                {
                    "kmp": one.kmp,
                    "flavor": one.flavor,
                    "build": one.build,
                    "repository": one.repository,
                    "installed": list(one.installed),
                    "devices": list(one.devices),
                    "patterns": list(one.patterns),
                    "modules": list(one.modules),
                    "kernels": list(one.kernels),
                    "fits_now": one.fits_now,
                    "unverified": one.unverified,
                    "command": one.command,
                }
                for one in self.suggestions
            ],
        }


def suggest(
    universe: Universe, request: Request, systems: Iterable[FlavorSystem], devices: Modaliases
) -> Suggestions:
    """Find the KMPs whose ``Supplements: modalias(...)`` match the machine, by flavor and name.

    A pattern that names a package, as ``modalias(kernel-default:pci:...)`` does, counts only where that
    package is installed: zypper would not take it either.
    """
    found: list[Suggestion] = []
    for system in systems:
        units = [*reversed(system.kernels.candidates(locked=True)), *reversed(system.units)]
        by_name: dict[str, list[tuple[KmpBuild, tuple[str, ...]]]] = {}
        for build in universe.kmps:
            if build.flavor not in (system.flavor, "") or build.package.barred is not None:
                continue
            if not same_architecture(build.nevra.arch, system.arch):
                continue
            patterns = universe.supplemented(build.package, devices)
            if patterns:
                by_name.setdefault(build.name, []).append((build, patterns))
        for name, builds in sorted(by_name.items()):
            found.append(_suggestion(universe, system, name, builds, units, devices))
    return Suggestions(
        devices=len(devices),
        suggestions=tuple(sorted(found, key=lambda s: (not s.fits_now, not s.kernels, s.flavor, s.kmp))),
    )


def _fitting(universe: Universe, build: KmpBuild, units: Iterable[KernelUnit]) -> list[KernelUnit]:
    """The kernels that a build fits with the KMPs that are installed or on offer, of those whose symbols are known."""
    others = [b for b in universe.kmps if b.package.barred is None]
    known = [unit for unit in units if unit.main.handle not in universe.unread]
    return [unit for unit in known if judge([build, *others], unit, universe.table).fits(build)]


def _suggestion(
    universe: Universe,
    system: FlavorSystem,
    name: str,
    builds: list[tuple[KmpBuild, tuple[str, ...]]],
    units: list[KernelUnit],
    devices: Modaliases,
) -> Suggestion:
    installed = [build for build, _ in builds if build.package.installed]
    fits = {build.package.handle: _fitting(universe, build, units) for build, _ in builds}
    newest = system.newest.main.handle

    def rank(entry: tuple[KmpBuild, tuple[str, ...]]) -> tuple[Any, ...]:
        build = entry[0]
        kernels = fits[build.package.handle]
        now = any(unit.main.handle == newest for unit in kernels)
        return (not now, not kernels, not build.package.installed, preference(build, ""))

    build, patterns = min(builds, key=rank)
    kernels = fits[build.package.handle]
    now = any(unit.main.handle == newest for unit in kernels)
    command = None
    # One that fits older kernels only would not load on the kernel that boots next: no command makes that good.
    if kernels and not build.package.installed and kernels[0].nevra.evr >= system.newest.nevra.evr:
        wanted = [build.package] if now else [build.package, kernels[0].main]
        command = " ".join(["zypper install", *(quoted(word_for(universe, one)) for one in wanted)])
    return Suggestion(
        kmp=name,
        flavor=system.flavor,
        build=str(build.nevra),
        repository=build.package.repository,
        installed=tuple(sorted(str(b.nevra) for b in installed)),
        devices=tuple(sorted({d for pattern in patterns for d in devices.matching(pattern)})),
        patterns=patterns,
        modules=tuple(sorted(build.modules.values())),
        kernels=tuple(dict.fromkeys(str(unit.nevra) for unit in kernels)),
        fits_now=now,
        unverified=not build.versioned,
        command=command,
    )
