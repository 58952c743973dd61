"""The guard: kernels that would break a KMP are held back by zypp locks, before zypper's solver runs.

With the lock in place the same ``zypper up`` takes the newest kernel that keeps every KMP, or none. What is
held is a kernel build and everything of its release that would only be in the way without it: -devel,
-source, -macros, -syms, -vdso, its live patches. Firmware never is, nor is what another flavor of the same
release needs, nor are the live patches of a kernel that runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kmpsolve.errors import ConfigError, PrivilegeError
from kmpsolve.metadata.content import Patch
from kmpsolve.metadata.rootpath import Root
from kmpsolve.model.evr import Evr
from kmpsolve.model.nevra import Nevra
from kmpsolve.model.package import KernelUnit, Package
from kmpsolve.model.plan import Plan
from kmpsolve.planner.carrying import carry_out
from kmpsolve.planner.deciding import endangered
from kmpsolve.planner.evaluation import Evaluation, evaluate
from kmpsolve.planner.system import FlavorSystem
from kmpsolve.session import Loaded
from kmpsolve.zypp.lockfile import HOLD, KEEP, OwnLock, own_locks, rewrite

__all__ = [
    "SERVICE",
    "Guarded",
    "Held",
    "free_patches",
    "hold",
    "installed_service",
    "keep",
    "locks_path",
    "standing",
    "survey",
    "switch",
    "write",
]

SERVICE = "/usr/lib/zypp/plugins/services/kmpsolve"
"""Where zypper looks for the service plugin."""
_SHARED = ("devel", "source", "macros", "syms", "docs")
"""Packages of a kernel release that all its flavors share."""


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
    """

    kernel: Package
    kmps: tuple[tuple[str, str], ...]
    instead: Package | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """What the guard has to do: which kernels it holds, and all its locks."""

    held: tuple[Held, ...]
    locks: tuple[OwnLock, ...]
    keeps: tuple[OwnLock, ...]


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
    flavors = sorted(universe.standing_flavors)
    held: list[Held] = []
    keeps: list[OwnLock] = []
    units: list[KernelUnit] = []
    spared: list[KernelUnit] = []
    for flavor in flavors:
        system = FlavorSystem(universe, request, flavor)
        broken: list[tuple[KernelUnit, tuple[tuple[str, str], ...]]] = []
        safe: list[KernelUnit] = []
        for unit in system.kernels.candidates():
            if unit.nevra.evr > system.newest.nevra.evr:
                evaluation = evaluate(system, unit)
                lost = _lost(system, evaluation, doubtful) or _lost_elsewhere(system, evaluation)
                if lost:
                    broken.append((unit, lost))
                else:
                    safe.append(unit)
        instead = safe[-1].main if safe else None
        held += [Held(kernel=unit.main, kmps=lost, instead=instead) for unit, lost in broken]
        units += [unit for unit, _ in broken]
        spared += safe
        spared += system.units
        keeps += _keep(system)
    locks = {
        OwnLock(name=package.name, evr=str(package.nevra.evr), comment=HOLD)
        for package in _siblings(loaded, units, spared)
    }
    return Guarded(held=tuple(held), locks=tuple(sorted(locks)), keeps=tuple(sorted(keeps)))


def _lost(system: FlavorSystem, evaluation: Evaluation, doubtful: bool) -> tuple[tuple[str, str], ...]:
    """KMPs for which the hook would stop this kernel, with reasons: of those that count, as for every verdict."""
    found = []
    for subject, kmp in zip(system.kmps, evaluation.kmps, strict=True):
        if not subject.counts:
            continue
        if doubtful and kmp.decision == "unverified":
            found.append((kmp.name, "built without symbol versions"))
        rule = system.request.rule(kmp.name)
        if kmp.decision != "blocked" or (rule is not None and rule.on_blocked == "warn"):
            continue
        count = len(kmp.mismatches)
        reason = f"{count} of {kmp.symbols_required} symbols changed" if count else kmp.causes[0].kind
        found.append((kmp.name, reason))
    return tuple(found)


def _lost_elsewhere(system: FlavorSystem, evaluation: Evaluation) -> tuple[tuple[str, str], ...]:
    """KMPs that a kernel which stays would lose for this one, where that is a reason to stop it."""
    if not system.request.protect_fallback:
        return ()
    names = endangered(system, evaluation, carry_out(system.universe, [(system, evaluation)]))
    warned = {name for name in names if (rule := system.request.rule(name)) and rule.on_blocked == "warn"}
    return tuple((name, "a fallback kernel would lose it") for name in names if name not in warned)


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
        names = {unit.main.name}
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


def write(guarded: Guarded, root: Path, *, keep: bool) -> bool:
    """Bring the locks file in line; tells whether it changed.

    Raises
    ------
    PrivilegeError, ConfigError
        If it cannot be written.
    """
    wanted = guarded.locks + (guarded.keeps if keep else ())
    return rewrite(locks_path(root), wanted, frozenset((HOLD, KEEP)))


def hold(loaded: Loaded, root: Path, *, doubtful: bool) -> list[str]:
    """Write locks for a judgement that said ``hold``; returns the kernels, for people.

    Raises
    ------
    PrivilegeError, ConfigError
        If they cannot be written.
    """
    guarded = survey(loaded, doubtful=doubtful)
    mine = own_locks(_text(root))
    keeps = tuple(lock for lock in mine if lock.comment == KEEP)
    rewrite(locks_path(root), guarded.locks + keeps, frozenset((HOLD, KEEP)))
    return [f"{one.kernel.name} {one.kernel.nevra.evr}" for one in guarded.held]


def keep(plan: Plan, root: Path) -> None:
    """Keep the last kernel that is good for every KMP, if the one that boots next is not.

    Parameters
    ----------
    plan
        The judgement of a transaction that goes on. Flavors that it does not touch keep what they have.

    Raises
    ------
    PrivilegeError, ConfigError
        If the lock cannot be written.
    """
    judged = {f"kernel-{flavor.flavor}" for flavor in plan.flavors}
    locks = {
        lock
        for lock in standing(root)
        if lock.comment == KEEP and lock.name.removesuffix("-base") not in judged
    }
    for flavor in plan.flavors:
        counted = {kmp.name for kmp in flavor.kmps if kmp.waived is None}
        kernels = {kernel.uname_r: Nevra.parse(kernel.nevra) for kernel in flavor.current}
        good = [
            row.uname_r
            for row in flavor.boot_matrix
            if all(use.via != "none" for name, use in row.kmps.items() if name in counted)
        ]
        if good and good[0] != flavor.boot_matrix[0].uname_r and good[0] in kernels:
            nevra = kernels[good[0]]
            locks.add(OwnLock(name=nevra.name, evr=str(nevra.evr), comment=KEEP))
    rewrite(locks_path(root), sorted(locks), frozenset((KEEP,)))


def locks_path(root: Path) -> Path:
    """The locks file of a system."""
    from kmpsolve.metadata.zyppconf import read_zypp_conf

    below = Root.at(root)
    return below.path(read_zypp_conf(below).locks_file)


def _text(root: Path) -> str:
    from kmpsolve.metadata.zyppconf import read_zypp_conf

    below = Root.at(root)
    return below.read(read_zypp_conf(below).locks_file) or ""


def standing(root: Path) -> tuple[OwnLock, ...]:
    """Our locks as the file has them."""
    return own_locks(_text(root))


def installed_service(root: Path) -> bool:
    """Whether the guard is on: zypper finds its service plugin."""
    service = _service(root)
    return service.is_symlink() or service.exists()


def _service(root: Path) -> Path:
    folder, _, name = SERVICE.rpartition("/")
    return Root.at(root).path(folder) / name


def switch(root: Path, library: Path, *, on: bool) -> None:
    """Put the service plugin where zypper looks for it, or take it and every lock of ours away.

    Parameters
    ----------
    root
        The system.
    library
        The folder that kmpsolve is installed in there.

    Raises
    ------
    PrivilegeError, ConfigError
        If this user may not.
    """
    service = _service(root)
    try:
        if on:
            plugin = Root.at(root).path(f"{library}/guard-service")
            if not plugin.is_file():
                raise ConfigError(
                    "the guard's service plugin is not installed",
                    reference="not-installed",
                    where=str(plugin),
                    hint="Install kmpsolve: make install, or the package kmpsolve-zypper-plugin",
                )
            if not (service.is_symlink() and service.readlink() == library / "guard-service"):
                service.parent.mkdir(parents=True, exist_ok=True)
                service.unlink(missing_ok=True)
                service.symlink_to(library / "guard-service")
        else:
            # In this order: whoever is interrupted has a guard that makes its locks again, not locks for ever.
            rewrite(locks_path(root), (), frozenset((HOLD, KEEP)))
            service.unlink(missing_ok=True)
    except PermissionError as error:
        raise PrivilegeError("only root may do this", reference="not-root", hint="Run it as root") from error
    except OSError as error:
        raise ConfigError(
            f"cannot be changed: {error.strerror}", reference="guard-unwritable", where=str(service)
        ) from error


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
