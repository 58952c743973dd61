"""Which kernels the guard has to hold back, since a KMP would be lost on them or with them.

What is held is a kernel build and everything of its release that would only be in the way without it: -devel,
-source, -macros, -syms, -vdso, its live patches. Firmware never is, nor is what another flavor of the same
release needs, nor are the live patches of a kernel that runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from kmpsolve.metadata.content import Patch
from kmpsolve.model.evr import Evr
from kmpsolve.model.nevra import Nevra
from kmpsolve.model.package import KernelUnit, Package
from kmpsolve.model.plan import FlavorPlan, KmpPlan
from kmpsolve.planner.aftermath import transition_of
from kmpsolve.planner.carrying import carry_out
from kmpsolve.planner.command import zypper_install
from kmpsolve.planner.deciding import endangered
from kmpsolve.planner.evaluation import Evaluation, evaluate
from kmpsolve.planner.judgement import judge_transaction
from kmpsolve.planner.signing import REQUIRED
from kmpsolve.planner.system import FlavorSystem
from kmpsolve.session import Loaded
from kmpsolve.solver.transaction import update_everything
from kmpsolve.zypp.action import falling
from kmpsolve.zypp.lockfile import HOLD, KEEP, OwnLock

__all__ = ["Guarded", "Held", "free_patches", "survey"]

_SHARED = ("devel", "source", "macros", "syms", "docs")
"""Packages of a kernel release that all its flavors share."""
_UNVERSIONED = "built without symbol versions"
_UNSEEN = "its signature is not known"
_FALLBACK = "a fallback kernel would lose it"

Lost: TypeAlias = tuple[tuple[str, str], ...]
"""KMPs, each with the reason in a few words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One kernel build that is held back.

    Parameters
    ----------
    kernel
        Its package.
    kmps
        Each KMP that would not work on it, with the reason in a few words.
    instead
        The newest kernel that ``zypper up`` may take instead; ``None``: it stays with what is installed.
    command
        What installs it with builds that keep every KMP, where there is such a command; without the lock.
    """

    kernel: Package
    kmps: Lost
    instead: Package | None
    command: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """What the guard has to do: which kernels it holds, and all its locks.

    Parameters
    ----------
    in_vain
        Whether the hook would stop ``zypper up`` beside these locks too, for an update of a KMP.
    """

    held: tuple[Held, ...]
    locks: tuple[OwnLock, ...]
    keeps: tuple[OwnLock, ...]
    in_vain: bool


def survey(loaded: Loaded, *, doubtful: bool = False) -> Guarded:
    """Find the kernels to hold and the ones to keep.

    Parameters
    ----------
    loaded
        Read without the guard's own holds, which must not be a reason for themselves.
    doubtful
        Whether the hook would also stop a kernel on which a KMP cannot be verified.
    """
    universe, request = loaded.universe, loaded.request
    looked_at = [
        _look(FlavorSystem(universe, request, flavor), doubtful)
        for flavor in sorted(universe.standing_flavors)
    ]
    in_vain = _hold_what_up_leaves_behind(loaded, looked_at, doubtful)
    locks = {
        OwnLock(name=package.name, evr=str(package.nevra.evr), comment=HOLD)
        for package in _barred(loaded, looked_at)
    }
    return Guarded(
        held=tuple(held for one in looked_at for held in one.holds()),
        locks=tuple(sorted(locks)),
        keeps=tuple(sorted(lock for one in looked_at for lock in _keep(one.system))),
        in_vain=in_vain,
    )


@dataclass(slots=True, kw_only=True)
class _Newer:
    """The kernels of one flavor that are newer than what is installed: the safe ones, and the others with reasons."""

    system: FlavorSystem
    safe: list[tuple[KernelUnit, Evaluation]]
    broken: list[tuple[KernelUnit, Lost]]
    left_behind: list[tuple[KernelUnit, Evaluation, Lost]]
    """Safe, were it not for what ``zypper up`` does not bring along."""

    def holds(self) -> list[Held]:
        """All that is not safe, older ones first."""
        instead = self.safe[-1][0].main if self.safe else None
        held = [Held(kernel=unit.main, kmps=lost, instead=instead) for unit, lost in self.broken]
        for unit, evaluation, lost in self.left_behind:
            done = carry_out(self.system.universe, [(self.system, evaluation)])
            command = zypper_install(self.system.universe, done) if done.steps else None
            held.append(Held(kernel=unit.main, kmps=lost, instead=instead, command=command))
        return sorted(held, key=lambda one: one.kernel.nevra.evr)


def _look(system: FlavorSystem, doubtful: bool) -> _Newer:
    newer = _Newer(system=system, safe=[], broken=[], left_behind=[])
    for unit in system.kernels.candidates():
        if unit.nevra.evr > system.newest.nevra.evr:
            evaluation = evaluate(system, unit)
            lost = _lost(system, evaluation, doubtful) or _lost_elsewhere(system, evaluation)
            if lost:
                newer.broken.append((unit, lost))
            else:
                newer.safe.append((unit, evaluation))
    return newer


def _barred(loaded: Loaded, looked_at: Sequence[_Newer]) -> set[Package]:
    """What is held, and what comes with it."""
    units: list[KernelUnit] = []
    spared: list[KernelUnit] = []
    for one in looked_at:
        units += [unit for unit, _ in one.broken] + [unit for unit, _, _ in one.left_behind]
        spared += [unit for unit, _ in one.safe] + [*one.system.units]
    return _siblings(loaded, units, spared)


def _hold_what_up_leaves_behind(loaded: Loaded, looked_at: Sequence[_Newer], doubtful: bool) -> bool:
    """Hold also a kernel that keeps every KMP with builds which ``zypper up`` does not bring along with it.

    Tells whether the hook would stop ``zypper up`` nevertheless.

    An older build than the installed one is none to it, nor is one that another repository outranks: it takes the
    kernel alone, and the hook stops that, again and again. Where it is stopped without any kernel too, a lock helps
    nobody.
    """
    by_flavor = {one.system.flavor: one for one in looked_at}
    helpless: set[str] = set()
    while True:
        barred = [package.handle for package in _barred(loaded, looked_at)]
        done = update_everything(loaded.universe, barred=barred)
        transition = transition_of(loaded.universe, done)
        judged = judge_transaction(loaded.universe, loaded.request, loaded.inputs, transition)
        again = False
        for flavor in judged.flavors:
            newer = by_flavor[flavor.flavor]
            lost = _stopped(newer.system, flavor, doubtful)
            if not lost or flavor.flavor in helpless:
                continue
            arriving = flavor.target.nevra if flavor.target is not None and flavor.target.repository else None
            taken = next((one for one in newer.safe if str(one[0].nevra) == arriving), None)
            again = True
            if taken is not None:
                newer.safe.remove(taken)
                newer.left_behind.append((*taken, _not_brought(taken[1], lost)))
            else:
                helpless.add(flavor.flavor)
                newer.safe += [(unit, evaluation) for unit, evaluation, _ in newer.left_behind]
                newer.safe.sort(key=lambda one: one[0].nevra.evr)
                newer.left_behind.clear()
        if not again:
            return bool(helpless)


def _stopped(system: FlavorSystem, flavor: FlavorPlan, doubtful: bool) -> Lost:
    """KMPs for which the hook would stop a transaction, with reasons."""
    counted = {kmp.name for kmp in system.kmps if kmp.counts and not _only_warned(system, kmp.name)}
    found = []
    for kmp in flavor.kmps if flavor.verdict in ("blocked", "unverified") else ():
        if kmp.name not in counted:
            continue
        if kmp.decision == "blocked" and flavor.verdict == "blocked":
            found.append((kmp.name, _reason(kmp)))
        elif doubtful and (doubt := _doubt(kmp)):
            found.append((kmp.name, doubt))
    if system.request.protect_fallback and not found:
        found = [(name, _FALLBACK) for name in sorted(falling(flavor) & counted)]
    return tuple(found)


def _not_brought(evaluation: Evaluation, lost: Lost) -> Lost:
    """The same, with what would have to come along where that is known."""
    fetched = {kmp.name: kmp for kmp in evaluation.kmps if kmp.decision == "fetch" and kmp.chosen}
    return tuple(
        (name, f"zypper up does not bring {Nevra.parse(kmp.chosen).evr} from {kmp.repository}")
        if (kmp := fetched.get(name)) is not None and kmp.chosen is not None
        else (name, reason)
        for name, reason in lost
    )


def _lost(system: FlavorSystem, evaluation: Evaluation, doubtful: bool) -> Lost:
    """KMPs for which the hook would stop this kernel, with reasons: of those that count, as for every verdict."""
    found = []
    for subject, kmp in zip(system.kmps, evaluation.kmps, strict=True):
        if not subject.counts:
            continue
        if doubtful and (doubt := _doubt(kmp)):
            found.append((kmp.name, doubt))
        if kmp.decision == "blocked" and not _only_warned(system, kmp.name):
            found.append((kmp.name, _reason(kmp)))
    return tuple(found)


def _doubt(kmp: KmpPlan) -> str:
    """Why nobody can tell whether a KMP loads; empty if somebody can."""
    if kmp.decision == "unverified":
        return _UNVERSIONED
    return _UNSEEN if any(warning.reference == REQUIRED for warning in kmp.warnings) else ""


def _only_warned(system: FlavorSystem, name: str) -> bool:
    rule = system.request.rule(name)
    return rule is not None and rule.on_blocked == "warn"


def _reason(kmp: KmpPlan) -> str:
    count = len(kmp.mismatches)
    return f"{count} of {kmp.symbols_required} symbols changed" if count else kmp.causes[0].kind


def _lost_elsewhere(system: FlavorSystem, evaluation: Evaluation) -> Lost:
    """KMPs that a kernel which stays would lose for this one, where that is a reason to stop it."""
    if not system.request.protect_fallback:
        return ()
    names = endangered(system, evaluation, carry_out(system.universe, [(system, evaluation)]))
    return tuple((name, _FALLBACK) for name in names if not _only_warned(system, name))


def _keep(system: FlavorSystem) -> list[OwnLock]:
    """The newest installed kernel on which every KMP works, unless it is the newest one anyway."""
    for unit in reversed(system.units):
        if evaluate(system, unit, installed_only=True).verdict != "blocked":
            if unit.main.handle == system.newest.main.handle or not system.kmps:
                return []
            return [OwnLock(name=unit.main.name, evr=str(unit.nevra.evr), comment=KEEP)]
    return []


def _krel(unit: KernelUnit) -> str:
    return unit.uname_r.removesuffix(f"-{unit.flavor}")


def _siblings(loaded: Loaded, units: Sequence[KernelUnit], spared: Sequence[KernelUnit]) -> set[Package]:
    """Packages in repositories that belong to the held kernels and to no other."""
    found: set[Package] = set()
    releases = {_krel(unit) for unit in spared}
    for unit in units:
        evr, krel = unit.nevra.evr, _krel(unit)
        livepatch = f"kernel-livepatch-{krel.replace('.', '_')}-{unit.flavor}"
        names = {package.name for package in unit.packages}
        for suffix in ("base", "extra", "optional", "devel", "vdso", "livepatch", "livepatch-devel"):
            names.add(f"kernel-{unit.flavor}-{suffix}")
        for package in _offered(loaded, names):
            release = package.nevra.evr.release
            longer = package.name != unit.main.name and release.startswith(f"{evr.release}.")
            if package.nevra.evr.version == evr.version and (release == evr.release or longer):
                found.add(package)
        found.update(_offered(loaded, {livepatch}))
        if krel not in releases:
            source = krel.removeprefix(f"{evr.version}-")
            for package in _offered(loaded, {f"kernel-{name}" for name in _SHARED}):
                release = package.nevra.evr.release
                if package.nevra.evr.version == evr.version and f"{release}.".startswith(f"{source}."):
                    found.add(package)
    return found


def _offered(loaded: Loaded, names: Iterable[str]) -> list[Package]:
    return [p for name in sorted(names) for p in loaded.universe.called(name) if not p.installed]


def free_patches(loaded: Loaded, guarded: Guarded, patches: Iterable[Patch]) -> list[str]:
    """Names of the patches that this system needs and that contain nothing that is held.

    A patch is needed if it has a newer build of an installed package.
    """
    held = {(lock.name, lock.evr) for lock in guarded.locks}
    installed: dict[str, list[Evr]] = {}
    needed: set[str] = set()
    for patch in patches:
        packages = [Nevra.parse(text) for text in patch.packages]
        if patch.status == "retracted" or any((p.name, str(p.evr)) in held for p in packages):
            continue
        for package in packages:
            if package.name not in installed:
                there = [p.nevra.evr for p in loaded.universe.called(package.name) if p.installed]
                installed[package.name] = there
            standing = installed[package.name]
            if standing and package.evr > max(standing):
                needed.add(patch.id)
    return sorted(needed)
