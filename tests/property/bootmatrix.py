"""What a plan's transaction leaves, and what its boot matrix may say then.

Worked out from the world and the plan's own transaction, not from what the plan decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.oracle import (
    Capability,
    Package,
    Reading,
    System,
    by_evr,
    hides,
    is_native,
    loads,
    missing,
)
from tests.support.worlds import Kernel, Kmp, World


def disagreements(plan: Mapping[str, Any], of: World) -> list[str]:
    """Return what zypper would refuse of a plan's transaction, and which boot matrices contradict it.

    A blocked plan has none.
    """
    if plan["verdict"] == "blocked":
        return []
    system = System(of, Reading())
    after = installed_after(system, plan["transaction"])
    return _unmet(system, after) + [
        f"{flavor['flavor']}: boot matrix: {complaint}"
        for flavor in plan["flavors"]
        for complaint in _flavor(flavor, system, after)
    ]


def _unmet(system: System, after: list[Package]) -> list[str]:
    """Requirements that were met, or are new, and that nothing meets any more; symbols are for rpm as all others."""

    def meets(packages: list[Package], wanted: Capability) -> bool:
        return any(package.provides_capability(wanted) or package.gives(wanted) for package in packages)

    return [
        f"{package} is left without {wanted.name}"
        for package in after
        for wanted in package.spelled
        if not meets(after, wanted)
        and (meets(system.installed, wanted) if package.installed else system.known_to_lack(wanted))
    ]


def installed_after(system: System, transaction: list[dict[str, Any]]) -> list[Package]:
    """The packages on the system when the transaction has been carried out."""
    known = {package.nevra: package for package in system.packages}
    after = list(system.installed)
    for step in sorted(transaction, key=lambda step: step["action"] != "erase"):
        package = known[step["nevra"]]
        if step["action"] == "erase":
            after.remove(package)
            continue
        if step["action"] != "install":
            after = [old for old in after if old.name != package.name]
        after.append(package)
    arrived = [package for package in after if not package.installed]
    return [
        old for old in after if not (old.installed and any(new.obsoletes_package(old) for new in arrived))
    ]


def _flavor(said: Mapping[str, Any], system: System, after: list[Package]) -> list[str]:
    flavor = said["flavor"]
    kernels = by_evr(p for p in after if isinstance(p.noun, Kernel) and p.flavor == flavor)
    rows = {row["uname_r"]: row for row in said["boot_matrix"]}
    if set(rows) != {kernel.uname_r for kernel in kernels}:
        return [f"rows {sorted(rows)}, expected {[kernel.uname_r for kernel in kernels]}"]
    found: list[str] = []
    for kernel in kernels:
        row = rows[kernel.uname_r]
        may = _states(kernel, kernels, system)
        if row["state"] not in may:
            found.append(f"{kernel.uname_r} is {row['state']}, expected {sorted(may)}")
        for name, builds in system.kmps(flavor).items():
            entry = row["kmps"].get(name)
            if entry is None:
                found.append(f"{kernel.uname_r} has no entry for {name}")
                continue
            if said["target"] and kernel.nevra == said["target"]["nevra"]:
                decided = next(kmp for kmp in said["kmps"] if kmp["name"] == name)
                expected = _by_decision(decided, kernel, system)
                if expected == {(None, "none")}:  # what came for another KMP may serve this one, too
                    came = [
                        p for p in after if not p.installed and not p.verifiable and _stands_for(p, builds)
                    ]
                    expected |= {(p.nevra, "unknown") for p in came if p.flavor == kernel.flavor}
                    if came and system.modules(builds) <= system.unit(kernel).modules:
                        expected.add((None, "builtin"))
            else:
                expected = _by_builds(builds, kernel, system, after)
            if (entry["build"], entry["via"]) not in expected:
                found.append(f"{kernel.uname_r} {name} {entry}, expected one of {sorted(expected, key=str)}")
    return found


def _states(kernel: Package, kernels: list[Package], system: System) -> set[str]:
    """By the keep spec ``latest,latest-1,running``."""
    asked = system.world.running
    newest = system.kernels(kernel.flavor)[-1]  # counts as running when no kernel is known to run
    may = set()
    for running in {asked} if asked else {None, newest.uname_r}:
        if kernel.uname_r == running:
            may |= {"running"} if kernel.installed else {"running", "new"}  # a rebuild in its place
        elif not kernel.installed:
            may.add("new")
        else:
            # Where a release has more than a rebuild's counter behind the kernel's, as -base packages can have,
            # libzypp does not find the running one among them, and takes none then.
            found = kernel.uname_r.removesuffix(f"-{kernel.flavor}").rpartition("-")[2]
            release = kernel.evr.release or ""
            unfound = found not in (release, release.rpartition(".")[0])
            kept = kernel in kernels[-2:] or unfound
            may.add("installed" if kept else "purged-next")
            if system.world.locks:  # what is locked may need what would go with the kernel
                may.add("installed")
    return may


def _by_decision(decided: Mapping[str, Any], kernel: Package, system: System) -> set[tuple[str | None, str]]:
    if decided["decision"] in ("reuse", "fetch"):
        build = next(package for package in system.packages if package.nevra == decided["chosen"])
        return {(build.nevra, _via(build, kernel))}
    if decided["decision"] == "builtin":
        return {(None, "builtin")}
    if decided["decision"] == "unverified":
        known = {package.nevra: package for package in system.packages}
        builds: list[str | None] = [None, decided["chosen"], *decided["installed"]]
        return {(b, "unknown") for b in builds if b is None or not known[b].verifiable}
    return {(None, "none")}


def _via(build: Package, kernel: Package) -> str:
    return "native" if is_native(build, kernel) else "weak-updates"


def _by_builds(
    builds: list[Package], kernel: Package, system: System, after: list[Package]
) -> set[tuple[str | None, str]]:
    """What another kernel is left with: what it loads."""
    unit = system.unit(kernel)
    groups: dict[str, list[Package]] = {}
    there = by_evr(p for p in after if isinstance(p.noun, Kmp) and p.flavor == kernel.flavor)
    for name, own in system.kmps(kernel.flavor).items():
        groups[name] = [p for p in there if _stands_for(p, own) and not unit.obsoletes(p)]
    known = {p for group in groups.values() for p in group}
    groups |= {f"{p} beside": [p] for p in there if p not in known}
    mine = groups[builds[0].name]
    loaded = loads(unit, groups)
    build = loaded.get(builds[0].name)
    if build is not None:
        others = [one for one in mine if one.name != build.name and one.verifiable]  # renames that compete
        fitting = [one for one in others if not missing(one, unit, loaded.values())]
        return {(one.nevra, _via(one, kernel)) for one in (build, *fitting)}
    shipped = {(None, "builtin")} if system.modules(builds) <= unit.modules else set()
    linked = [build for build in mine if not any(hides(other, build, kernel) for other in mine)]
    versionless = {(build.nevra, "unknown") for build in linked if not build.verifiable}
    if versionless:
        return {(None, "unknown"), *versionless, *shipped}
    return {(None, "none"), *shipped}


def _stands_for(build: Package, builds: list[Package]) -> bool:
    return build.name == builds[0].name or any(build.obsoletes_package(old) for old in builds)
