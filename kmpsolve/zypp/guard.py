"""The guard: kernels that would break a KMP are held back by zypp locks, before zypper's solver runs.

With the lock in place the same ``zypper up`` takes the newest kernel that keeps every KMP, or none.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from kmpsolve.errors import ConfigError, PrivilegeError
from kmpsolve.metadata.rootpath import Root
from kmpsolve.model.nevra import Nevra
from kmpsolve.model.plan import FlavorPlan, Plan
from kmpsolve.planner.system import FlavorSystem
from kmpsolve.session import Loaded
from kmpsolve.zypp.lockfile import HOLD, KEEP, OwnLock, own_locks, rewrite
from kmpsolve.zypp.survey import Guarded, survey

__all__ = [
    "SERVICE",
    "hold",
    "installed_service",
    "keep",
    "locks_path",
    "standing",
    "switch",
    "write",
]

SERVICE = "/usr/lib/zypp/plugins/services/kmpsolve"
"""Where zypper looks for the service plugin."""


def write(guarded: Guarded, root: Path, loaded: Loaded, *, keep: bool) -> bool:
    """Bring the locks file in line; tells whether it changed.

    Parameters
    ----------
    loaded
        What the survey looked at.

    Raises
    ------
    PrivilegeError, ConfigError
        If it cannot be written.
    """
    wanted = (*guarded.locks, *_unseen(loaded, root), *(guarded.keeps if keep else ()))
    return rewrite(locks_path(root), wanted, frozenset((HOLD, KEEP)))


def hold(loaded: Loaded, root: Path, *, doubtful: bool) -> Guarded:
    """Write locks for a judgement that said ``hold``.

    Raises
    ------
    PrivilegeError, ConfigError
        If they cannot be written.
    """
    guarded = survey(loaded, doubtful=doubtful)
    mine = own_locks(_text(root))
    keeps = [lock for lock in mine if lock.comment == KEEP]
    rewrite(locks_path(root), (*guarded.locks, *_unseen(loaded, root), *keeps), frozenset((HOLD, KEEP)))
    return guarded


def _unseen(loaded: Loaded, root: Path) -> list[OwnLock]:
    """Holds on what is nowhere to be seen while some repository could not be read: it may be in that one.

    What was found to break a KMP is not safe because it could not be looked at again.
    """
    if not (loaded.inputs.skipped and loaded.universe.installed_kmps):
        return []
    return [
        lock
        for lock in standing(root)
        if lock.comment == HOLD
        and all(str(package.nevra.evr) != lock.evr for package in loaded.universe.called(lock.name))
    ]


def keep(plan: Plan, root: Path, loaded: Loaded) -> None:
    """Keep the last kernel that is good for every KMP, if the one that boots next is not.

    Parameters
    ----------
    plan
        The judgement of a transaction that goes on. Flavors that it does not touch keep what they have.
    loaded
        What it was made from.

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
        minded = {kmp.name for kmp in flavor.kmps if kmp.waived is None} - _nobodys_loss(flavor, loaded)
        kernels = {kernel.uname_r: Nevra.parse(kernel.nevra) for kernel in flavor.current}
        good = [
            row.uname_r
            for row in flavor.boot_matrix
            if all(use.via != "none" for name, use in row.kmps.items() if name in minded)
        ]
        if good and good[0] != flavor.boot_matrix[0].uname_r and good[0] in kernels:
            nevra = kernels[good[0]]
            locks.add(OwnLock(name=nevra.name, evr=str(nevra.evr), comment=KEEP))
    rewrite(locks_path(root), sorted(locks), frozenset((KEEP,)))


def _nobodys_loss(flavor: FlavorPlan, loaded: Loaded) -> set[str]:
    """KMPs that no kernel has to keep: those that do not count, and those that a person removes.

    One that worked nowhere before counts as soon as it works.
    """
    strict = replace(loaded.request, already_broken="block")
    kmps = FlavorSystem(loaded.universe, strict, flavor.flavor).kmps
    spared = {kmp.name for kmp in kmps if not kmp.counts}
    if loaded.request.already_broken != "block":
        serving = {name for row in flavor.boot_matrix for name, use in row.kmps.items() if use.via != "none"}
        spared |= {kmp.name for kmp in kmps if not kmp.works_somewhere} - serving
    return spared | {w.message.partition(" ")[0] for w in flavor.warnings if w.reference == "removed"}


def locks_path(root: Path) -> Path:
    """The locks file of a system."""
    from kmpsolve.metadata.zyppconf import read_zypp_conf

    below = Root.at(root)
    path = below.path(read_zypp_conf(below).locks_file)
    # Where somebody keeps the file elsewhere, the link stays; below another root it is followed already.
    return Path(os.path.realpath(path)) if below.is_machine and path.is_symlink() else path


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
            f"cannot be changed: {error.strerror}",
            reference="guard-unwritable",
            where=str(service),
            hint="Look at what stands there, and whether the file system can be written; then try again",
        ) from error
