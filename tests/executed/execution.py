"""One universe from end to end: real RPMs, a plan, its command run by the real zypper, then purge-kernels.

``python -m tests.executed.execution FILE`` does it for a world's text and shows everything.
"""

from __future__ import annotations

import functools
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import kmpsolve
from tests.executed import rpmdb
from tests.sandbox import Finished, Sandbox
from tests.support import repository, rpmbuild
from tests.support.oracle import Package, System, by_evr, missing
from tests.support.packages import PackageSpec
from tests.support.worlds import KernelExtra, Kmp, Repository, World, world
from tests.unit.purge.test_purge_against_zypper import UNAME

_SAVED = "/root/rpmdb"

Planned = dict[str, Any]
"""A plan as the JSON object that the contract describes."""


def disagreements(of: World, alter: Callable[[Planned], None] = lambda plan: None) -> list[str]:
    """What the real zypper makes of the plan for a world and the plan did not say; [] if all is well.

    Parameters
    ----------
    alter
        Changes the plan, to see that a wrong one is found out.
    """
    with Sandbox(shared=[shim().parent]) as sandbox:
        set_up(sandbox, of)
        plan = plan_in(sandbox, of)
        alter(plan)
        before = rpmdb.read(sandbox)
        if plan["command"]:
            done = sandbox.run(non_interactive(plan["command"]))
            if done.code:
                return [f"zypper refused: {done}"]
        after = rpmdb.read(sandbox)
        found = _transaction(plan, before, after)
        found += [f"after the update: {line}" for line in _served(plan, before, after)]
        if not found:
            found += _purged(sandbox, plan, before, after)
    return found


def set_up(sandbox: Sandbox, of: World) -> None:
    """Install what the world has installed; define its repositories and locks."""
    sandbox.install_rpms(rpmbuild.build([noun.spec() for noun in of.installed]))
    sandbox.write("/etc/zypp/locks", "\n".join(map(_lock, of.locks)))
    for offered in of.repositories:
        folder = repository.rpm_md(_specs(offered))
        sandbox.add_repository(offered.alias, f"dir:{folder}", priority=offered.priority)


def _lock(text: str) -> str:
    name, _, evr = text.partition(" == ")
    version = f"version: == {evr}\n" if evr else ""
    return f"type: package\nmatch_type: exact\ncase_sensitive: on\nsolvable_name: {name}\n{version}"


def _specs(offered: Repository) -> list[PackageSpec]:
    """Its packages, retracted ones marked in the way that SUSE's repo2solv does it and Debian's does not."""
    specs = [noun.spec() for noun in offered.packages]
    return [
        replace(spec, provides=(*spec.provides, "retracted-patch-package()"))
        if spec.nevra in offered.retracted
        else spec
        for spec in specs
    ]


def plan_in(sandbox: Sandbox, of: World) -> Planned:
    """The plan for the sandbox, read from its rpmdb and its repositories as its own zypper sees them."""
    plan = kmpsolve.plan(root=sandbox.root, kernel=of.kernel, running=of.running)
    said = json.loads(plan.to_json())
    assert isinstance(said, dict)
    return said


def non_interactive(command: str) -> list[str]:
    """A plan's command as somebody runs it who answers no question."""
    program, *arguments = shlex.split(command)
    return [program, "--non-interactive", *arguments]


# -- what the transaction did --------------------------------------------------------------------------------


def _transaction(plan: Mapping[str, Any], before: System, after: System) -> list[str]:
    """Whether the rpmdb is what the transaction makes of it."""
    expected = {package.nevra for package in before.installed}
    for step in plan["transaction"]:
        if step["action"] in ("upgrade", "downgrade"):
            name = step["nevra"].rsplit("-", 2)[0]
            expected -= {package.nevra for package in before.installed if package.name == name}
    expected -= {step["nevra"] for step in plan["transaction"] if step["action"] == "erase"}
    expected |= {step["nevra"] for step in plan["transaction"] if step["action"] != "erase"}
    there = {package.nevra for package in after.installed}
    if there == expected:
        return []
    return [
        f"{plan['command']}: too many {sorted(there - expected)}, too few {sorted(expected - there)}, "
        f"transaction {plan['transaction']}"
    ]


# -- what boots next -----------------------------------------------------------------------------------------


def _boots(said: Mapping[str, Any], system: System) -> Package:
    """The kernel of a flavor that boots next: the target, else the newest."""
    kernels = system.kernels(said["flavor"])
    if said["target"] is None:
        return kernels[-1]
    return next(kernel for kernel in kernels if kernel.nevra == said["target"]["nevra"])


def _served(plan: Mapping[str, Any], before: System, after: System) -> list[str]:
    """Which KMPs do not work on the kernel that boots next, although the plan is not blocked."""
    if plan["verdict"] == "blocked":
        return []
    return [
        f"{said['flavor']}: {line}"
        for said in plan["flavors"]
        if said["target"] is not None
        for line in _flavor_served(said, before, after)
    ]


def _flavor_served(said: Mapping[str, Any], before: System, after: System) -> list[str]:
    kernel = _boots(said, after)
    unit, working = after.unit(kernel), after.working(kernel)
    (row,) = [row for row in said["boot_matrix"] if row["uname_r"] == kernel.uname_r]
    serving = {use["build"] for use in row["kmps"].values()}
    others = [b for b in after.installed if isinstance(b.noun, Kmp) and b.name not in row["kmps"]]
    together = [build for build in working if build.nevra in serving] + others
    there = unit.modules.union(*(build.modules for build in working))
    found: list[str] = []
    for build in together:
        if build.nevra in serving and missing(build, unit, together):
            found.append(f"{build} misses {missing(build, unit, together)} beside {together}")
    for name, builds in before.kmps(said["flavor"]).items():
        if before.is_broken(builds):
            continue
        modules = before.modules(builds)
        heirs = [b for b in after.installed if b.name == name or any(b.obsoletes_package(o) for o in builds)]
        if working.intersection(heirs):
            if row["kmps"][name]["build"] not in {build.nevra for build in working.intersection(heirs)}:
                found.append(f"{name} is served by one of {working & set(heirs)}, not by {row['kmps'][name]}")
        elif said["verdict"] == "unverified" and any(not heir.verifiable for heir in heirs):
            continue
        elif modules <= before.unit(before.used_on(builds)).modules and not _taken(builds, after):
            found.append(f"{name} has no build that works on {kernel}, which has only in-tree modules")
        if not modules <= there:
            found.append(f"{name}: {sorted(modules - there)} do not load on {kernel}")
    return found


def _taken(builds: list[Package], after: System) -> bool:
    """Whether a build is gone: a kernel that obsoletes its name took it."""
    return any(build.nevra not in {package.nevra for package in after.installed} for build in builds)


# -- purge-kernels -------------------------------------------------------------------------------------------


@functools.cache
def shim() -> Path:
    """A library that lets uname(2) answer with ``$UNAME_R``."""
    folder = Path(tempfile.mkdtemp(prefix="kmpsolve-uname-"))
    (folder / "uname.c").write_text(UNAME)
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-o", folder / "uname.so", folder / "uname.c", "-ldl"], check=True
    )
    return folder / "uname.so"


def purge(sandbox: Sandbox, running: str) -> Finished:
    """``zypper purge-kernels``, carried out, on a kernel that is said to run."""
    ended = sandbox.run(
        ["zypper", "--non-interactive", "purge-kernels"], env={"LD_PRELOAD": str(shim()), "UNAME_R": running}
    )
    assert f"Running kernel release: {running}" in ended.stdout, ended
    return ended


def _purged(sandbox: Sandbox, plan: Mapping[str, Any], before: System, after: System) -> list[str]:
    """What purge-kernels takes when each flavor's next kernel boots, where that was foretold otherwise."""
    found: list[str] = []
    assert sandbox.run(["cp", "-a", "/var/lib/rpm", _SAVED]).code == 0
    for said in plan["flavors"]:
        kernel = _boots(said, after)
        ended = purge(sandbox, kernel.uname_r)
        if ended.code:
            return [f"purge-kernels failed: {ended}"]
        left = rpmdb.read(sandbox)
        states = {row["uname_r"]: row["state"] for row in said["boot_matrix"]}
        here = {one.uname_r for one in after.kernels(said["flavor"])}
        taken = here - {one.uname_r for one in left.kernels(said["flavor"])}
        foretold = {uname_r for uname_r, state in states.items() if state == "purged-next"} - _held(after)
        # "running" goes before "purged-next" in the matrix, and another kernel runs at the next boot.
        hidden = {uname_r for uname_r, state in states.items() if state == "running"}
        if here != set(states) or taken - hidden != foretold:
            found.append(f"{kernel.uname_r} boots: purge takes {sorted(taken)}, the matrix says {states}")
        if plan["verdict"] != "blocked" and said["target"] is not None:
            found += [f"after purge-kernels: {line}" for line in _flavor_served(said, before, left)]
        sandbox.run(["rm", "-rf", "/var/lib/rpm"])
        assert sandbox.run(["cp", "-a", _SAVED, "/var/lib/rpm"]).code == 0
    return found


def _held(system: System) -> set[str]:
    """Kernels that libzypp 17.25.7 leaves because of their -extra, and the libzypp of mid-2026 does not."""
    extras = [package for package in system.installed if isinstance(package.noun, KernelExtra)]
    flavors = {extra.flavor for extra in extras}
    return {
        kernel.uname_r
        for flavor in flavors
        for kernel in by_evr(system.kernels(flavor))
        if any(extra.flavor == flavor and extra.evr == kernel.evr for extra in extras)
    }


def main() -> None:
    """Carry out the world in the file named on the command line."""
    of = world(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with Sandbox(shared=[shim().parent]) as sandbox:
        set_up(sandbox, of)
        plan = plan_in(sandbox, of)
        print(json.dumps(plan, indent=1))
        if plan["command"]:
            print(sandbox.run(non_interactive(plan["command"])))
        print(*sandbox.installed(), sep="\n")
        for said in plan["flavors"]:
            print(purge(sandbox, _boots(said, rpmdb.read(sandbox)).uname_r))
        print(*sandbox.installed(), sep="\n")
    print(*disagreements(of) or ["zypper did what the plan said"], sep="\n")


if __name__ == "__main__":
    main()
