"""Reading a system while zypper is at work: from zypper's own caches, without its lock, without a network."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from kmpsolve.cache.identity import name_of
from kmpsolve.config import Config
from kmpsolve.errors import KmpsolveError, MetadataError, RequestError
from kmpsolve.metadata.belief import believed
from kmpsolve.metadata.content import Content, Patch
from kmpsolve.metadata.repository import Repository
from kmpsolve.metadata.root import System, read_root
from kmpsolve.model.nevra import Nevra
from kmpsolve.model.plan import Inputs, RepositoryInput, SkippedInput
from kmpsolve.request import Request
from kmpsolve.session import Loaded, on_machine, prepare
from kmpsolve.solver.universe import Universe
from kmpsolve.solver.view import View, open_view, solver_version
from kmpsolve.zypp.lockfile import HOLD

__all__ = ["Reading", "every_patch", "read_caches"]

_TEMPORARY = "/var/tmp"  # noqa: S108 (zypper's own choice; see _temporary for whose folders count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was read, and the aliases of the repositories that zypper was given with the command."""

    loaded: Loaded
    first: frozenset[str]


def read_caches(
    root: Path,
    request: Request,
    config: Config,
    *,
    pid: int | None = None,
    named: Iterable[Nevra] | None = None,
    without_holds: bool = False,
    patches: bool = False,
) -> Reading:
    """Read the rpmdb, and of each repository what zypper has loaded: its ``.solv``, however old that may be.

    Parameters
    ----------
    pid
        zypper's process, whose temporary repositories (``zypper install ./x.rpm``, ``--plus-repo``) count
        too; ``None``: nobody's.
    named
        Packages that are asked about besides kernels and KMPs: a cache of kmpsolve's own is enough if it knows
        these. ``None``: it is never enough.
    without_holds
        Read as if the guard had no locks.
    patches
        Read the patches too, which zypper's ``.solv`` does not tell.

    Raises
    ------
    MetadataError, ConfigError
        If the rpmdb or zypp's configuration cannot be read.
    """
    system = read_root(root)
    if without_holds:
        others = tuple(b for b in system.locks_file.blocks if b.lock is None or b.lock.comment != HOLD)
        system = replace(system, locks_file=replace(system.locks_file, blocks=others))
    universe, request = prepare(system, request, config)
    # Only now: zypper has weighed this machine's hardware already, and reading it takes its time.
    request = on_machine(request, root, here=request.running is not None)
    if not patches:
        universe.patches_unread = lambda: _patches(system)
    read: list[RepositoryInput] = []
    skipped = [SkippedInput(alias=one.alias, reason=one.reason) for one in system.definitions.invalid]
    temporary = list(_temporary(pid)) if pid is not None else []
    view = None if temporary or patches or named is None else _view(system)
    if view is not None:
        view.load_into(universe, patches=False)
        read += [_input(system, content.alias, packages) for content, packages in view.contents[1:]]
    else:
        universe.load(system.installed().content)
        for content in (*_caches(system, skipped, patches=patches), *temporary):
            try:
                packages = universe.load(content)
            except (MetadataError, RequestError) as error:
                skipped.append(SkippedInput(alias=content.alias, reason=error.message))
                continue
            read.append(
                RepositoryInput(
                    alias=content.alias,
                    source=content.source,
                    packages=packages,
                    revision=content.revision,
                    timestamp=content.timestamp,
                )
            )
    universe.seal()
    if view is not None and not _knows(universe, named or ()):
        return read_caches(root, request, config, pid=pid, without_holds=without_holds)
    inputs = Inputs(
        root=str(root),
        repositories=tuple(sorted(read, key=lambda r: r.alias)),
        skipped=tuple(sorted(skipped, key=lambda s: s.alias)),
    )
    return Reading(
        loaded=Loaded(universe, request, inputs),
        first=frozenset(content.alias for content in temporary),
    )


def _patches(system: System) -> Iterator[Patch]:
    """The patches that zypper's ``.solv`` files do not tell.

    What cannot be read is left out: patches are told, never judged by.
    """
    from kmpsolve.metadata.rpmmd import with_patches

    for repository in system.repositories:
        if repository.metadata is not None:
            with contextlib.suppress(KmpsolveError):
                bare = Content(alias=repository.alias, source=str(repository.metadata))
                yield from with_patches(bare, repository.metadata).patches


def every_patch(root: Path) -> Iterator[Patch]:
    """All patches in the metadata that zypper has, those of no kernel too; what cannot be read is left out."""
    from kmpsolve.metadata import rpmmd

    for repository in read_root(root).repositories:
        if repository.metadata is not None:
            with contextlib.suppress(KmpsolveError):
                yield from rpmmd.every_patch(repository.metadata, repository.alias)


def _solv(system: System, repository: Repository) -> Path:
    """Where zypper keeps what it has loaded of a repository."""
    name = repository.alias.replace("/", "_")
    return system.root.path(f"{system.conf.solv_folder}/{name}/solv")


def _view(system: System) -> View | None:
    """What kmpsolve keeps of the rpmdb and the very files that are read here; ``None`` if it keeps nothing."""
    if any(one.location != str(_solv(system, one)) for one in system.repositories):
        return None
    name = name_of(system, solver=solver_version())
    return open_view(name) if name is not None else None


def _knows(universe: Universe, named: Iterable[Nevra]) -> bool:
    return all(any(p.nevra == nevra for p in universe.called(nevra.name)) for nevra in named)


def _input(system: System, alias: str, packages: int) -> RepositoryInput:
    repository = next(one for one in system.repositories if one.alias == alias)
    return RepositoryInput(
        alias=alias, source=str(_solv(system, repository)), packages=packages, revision=None, timestamp=None
    )


def _caches(system: System, skipped: list[SkippedInput], *, patches: bool) -> Iterator[Content]:
    for repository in system.repositories:
        solv = _solv(system, repository)
        ours = believed(system.root, solv.parent.parent, solv.parent, solv)
        if ours and solv.is_file() and not (patches and repository.location == str(solv)):
            yield Content(
                alias=repository.alias,
                source=str(solv),
                priority=repository.priority,
                solv=solv,
                refreshed=repository.refreshed,
                packages_at=repository.packages,
                trusted=_owned(solv),
            )
            continue
        location = repository.location
        if location is None or "://" in location:
            reason = repository.reason or "zypper has no copy of it"
            skipped.append(SkippedInput(alias=repository.alias, reason=reason))
            continue
        try:
            yield repository.open()
        except (MetadataError, RequestError) as error:
            skipped.append(SkippedInput(alias=repository.alias, reason=error.message))


def _owned(path: Path) -> bool:
    """Whether a file is of this user, and nobody else can write it."""
    status = path.stat()
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


def _temporary(pid: int) -> Iterator[Content]:
    """What zypper keeps for packages of no repository: ``/var/tmp/zypp.XXXXXX/zypper/ALIAS/%SLV%/solv``.

    Anybody can write to /var/tmp, so that only this user's own folders count; those of a zypper that was
    killed may lie there too, so that only what is younger than this one counts.
    """
    try:
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return
    since_boot = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    started = time.time() - since_boot
    for folder in sorted(Path(_TEMPORARY).glob("zypp.??????")):
        try:
            status = folder.lstat()
        except OSError:
            continue
        if status.st_uid != os.geteuid() or status.st_mode & 0o077 or status.st_mtime < started - 1:
            continue
        for solv in sorted(folder.glob("zypper/*/%SLV%/solv")):
            yield Content(alias=solv.parts[-3], source=str(solv), solv=solv, trusted=_owned(solv))
