"""From sources to a sealed universe, and the request that the configuration and the machine complete."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from kmpsolve.cache.identity import name_of
from kmpsolve.cache.place import folder
from kmpsolve.config import Config
from kmpsolve.errors import KmpsolveError, MetadataError, NoRepositoryError, RequestError
from kmpsolve.machine.disk import SystemDisk
from kmpsolve.machine.live import LiveMachine
from kmpsolve.machine.told import ToldDisk
from kmpsolve.metadata.content import Content, HostSettings
from kmpsolve.metadata.locks import parse_locks
from kmpsolve.metadata.root import System, read_root
from kmpsolve.metadata.vendors import VendorClasses
from kmpsolve.model.clock import now, today
from kmpsolve.model.plan import Inputs, RepositoryInput, SkippedInput, Warned
from kmpsolve.request import KmpRule, MachineView, Policy, Request
from kmpsolve.solver.universe import SYSTEM, Universe
from kmpsolve.solver.view import View, open_view, save_view, solver_version
from kmpsolve.sources import Sources, open_installed, openers

__all__ = [
    "Loaded",
    "inputs_of",
    "load",
    "load_repositories",
    "new_universe",
    "of_host",
    "on_machine",
    "policy_of_host",
    "prepare",
]


_WORTH_A_CACHE = 5000
"""Packages; fewer are read as they are in no time."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A sealed universe with the request that its configuration completes.

    Parameters
    ----------
    keep
        Writes the cache that the next run may read instead; ``None`` if there is nothing to be won.
    cache
        The name of that cache, or of the one that was read; ``None`` if there is to be none.
    from_cache
        What does not matter to a plan is not there.
    """

    universe: Universe
    request: Request
    inputs: Inputs
    keep: Callable[[], object] | None = None
    cache: str | None = None
    from_cache: bool = False


def new_universe(policy: Policy, rules: Sequence[KmpRule]) -> Universe:
    """An empty universe under zypp's rules and those that the configuration has for KMPs."""
    asked = Request(kmp_rules=tuple(rules))
    return Universe(policy, lambda name: (rule := asked.rule(name)) is not None and rule.rebuilt_on_host)


def prepare(
    system: System | None, request: Request, config: Config, settings: HostSettings | None = None
) -> tuple[Universe, Request]:
    """An empty universe under a system's rules, and the request that the configuration completes.

    Parameters
    ----------
    system
        ``None``: zypp's defaults.
    settings
        What an inventory tells of its host's own rules; they come before the others.
    """
    policy = _policy(system, request.machine)
    if settings is not None:
        policy = policy_of_host(policy, settings)
        request = of_host(request, settings)
    return new_universe(policy, config.kmp_rules), replace(
        request,
        policy=policy,
        kmp_rules=config.kmp_rules,
        waivers=config.waivers,
        already_broken=config.already_broken,
        protect_fallback=config.protect_fallback,
        require_signed=config.require_signed,
        today=today(),
    )


def load(sources: Sources, request: Request, config: Config, *, cached: bool = False) -> Loaded:
    """Read every source and seal the universe.

    A repository that cannot be read is skipped, with its reason in the inputs; the others are used.

    Parameters
    ----------
    cached
        A universe of what matters to a plan is enough, if a cache has it.

    Raises
    ------
    MetadataError
        If the system cannot be read, or no repository can.
    NoRepositoryError
        If no repository is defined or enabled.
    """
    system = read_root(sources.root, releasever=sources.releasever) if sources.root is not None else None
    skipped: list[SkippedInput] = []
    repositories = openers(sources, system, skipped)
    given = open_installed(sources.installed) if sources.installed is not None else None
    settings = given.settings if given is not None else None
    # What is skipped from here on, the name of a cache does not tell.
    foreseen = len(skipped)
    universe, request = prepare(
        system, on_machine(request, sources.root, here=sources.here), config, settings
    )
    name = None
    if cached and folder() is not None and system is not None and not (given or sources.repositories):
        name = name_of(system, solver=solver_version())
        view = open_view(name) if name is not None else None
        if view is not None:
            loaded = _load_view(view, system, universe, request, config, skipped)
            return replace(loaded, cache=name, from_cache=True)
    if given is not None:
        universe.load(given)
        if settings is not None:
            skipped += [SkippedInput(alias=SYSTEM, reason=gap) for gap in settings.gaps]
    elif system is None:
        universe.load_no_system()
    else:
        installed = system.installed()
        universe.load(installed.content)
        known = installed.content.module_files if installed.stale is None else None
        request = replace(request, disk=SystemDisk(system.root, known))
        if installed.stale is not None:
            skipped.append(SkippedInput(alias=SYSTEM, reason=installed.stale))
    contents: list[Content] = []
    read: list[RepositoryInput] = []
    if repositories or sources.repositories != ():
        read, notes = load_repositories(universe, repositories, config, skipped, contents)
        request = replace(request, notes=notes)
    universe.seal()
    inputs = inputs_of(sources.root, read, skipped)
    keep = None
    worth_it = universe.packages > _WORTH_A_CACHE and len(skipped) == foreseen
    if name is not None and worth_it and system is not None:
        sizes = [len(universe.installed_handles), *(one.packages for one in read)]
        kept = list(zip([installed.content, *contents], sizes, strict=True))
        keep = partial(save_view, name, universe, kept)
    return Loaded(universe, request, inputs, keep, name if keep is not None else None)


def _load_view(
    view: View,
    system: System,
    universe: Universe,
    request: Request,
    config: Config,
    skipped: list[SkippedInput],
) -> Loaded:
    """Load what a cache holds; what is told of the sources is what the full ones would tell."""
    view.load_into(universe)
    (installed, _), *repositories = view.contents
    read = [_repository_input(content, packages) for content, packages in repositories]
    stale = [content.alias for content, _ in repositories if _is_stale(content, config)]
    request = replace(
        request, notes=_stale_notes(stale), disk=SystemDisk(system.root, installed.module_files)
    )
    universe.seal()
    return Loaded(universe, request, inputs_of(system.root.folder, read, skipped))


def inputs_of(root: Path | None, read: Iterable[RepositoryInput], skipped: Iterable[SkippedInput]) -> Inputs:
    """What a plan tells of its sources, in the order of their aliases."""
    return Inputs(
        root=str(root) if root is not None else None,
        repositories=tuple(sorted(read, key=lambda r: r.alias)),
        skipped=tuple(sorted(skipped, key=lambda s: s.alias)),
    )


def load_repositories(
    universe: Universe,
    repositories: Iterable[tuple[str, Callable[[], Content]]],
    config: Config,
    skipped: list[SkippedInput],
    contents: list[Content] | None = None,
) -> tuple[list[RepositoryInput], tuple[Warned, ...]]:
    """Read every repository that can be read; adds the others to `skipped`, and what was read to `contents`.

    Returns
    -------
    tuple
        What was read, and warnings about metadata that is out of date.

    Raises
    ------
    MetadataError
        If no repository can be read.
    NoRepositoryError
        If no repository is defined or enabled.
    """
    read: list[RepositoryInput] = []
    stale: list[str] = []
    notes: list[Warned] = []
    failures: list[KmpsolveError] = []
    for alias, open_it in repositories:
        try:
            content = open_it()
            packages = universe.load(content)
        except (MetadataError, RequestError) as error:
            failures.append(error)
            skipped.append(SkippedInput(alias=alias, reason=error.message))
            continue
        read.append(_repository_input(content, packages))
        if contents is not None:
            contents.append(content)
        notes += [Warned(reference=reference, message=message) for reference, message in content.remarks]
        if _is_stale(content, config):
            stale.append(alias)
    if not read:
        unread = [one for one in skipped if one.alias != SYSTEM]
        if len(failures) == 1 and len(unread) == 1:
            raise failures[0]
        raise nothing_read(unread)
    return read, (*_stale_notes(stale), *notes)


def nothing_read(unread: Sequence[SkippedInput]) -> KmpsolveError:
    """The error for a system of which no repository was read: none can be, or there is none."""
    if unread:
        return MetadataError(
            f"none of {len(unread)} repositories can be read: {unread[0].alias}: {unread[0].reason}",
            reference="no-repository-readable",
            hint="refresh them: zypper refresh",
        )
    return NoRepositoryError(
        "no repository is defined or enabled",
        reference="no-repository",
        hint="give one with --repo, or enable one: zypper modifyrepo --enable ALIAS",
    )


def _is_stale(content: Content, config: Config) -> bool:
    return content.refreshed is not None and now() - content.refreshed > config.metadata_max_age


def _stale_notes(aliases: Iterable[str]) -> tuple[Warned, ...]:
    return tuple(
        Warned(
            reference="stale-metadata",
            message=f"{alias} was not refreshed lately: zypper refresh {shlex.quote(alias)}",
        )
        for alias in sorted(aliases)
    )


def on_machine(request: Request, root: Path | None, *, here: bool) -> Request:
    """The request with what firmware, hardware and the running kernel tell.

    Parameters
    ----------
    here
        Whether the system is this machine's; of any other nobody knows what runs there.
    """
    if root is not None:
        efivars = root / "sys/firmware/efi/efivars"
        request = replace(request, efivars=efivars if efivars.is_dir() else None)
    return replace(request, machine=LiveMachine(os.uname().release)) if here else request


def _policy(system: System | None, machine: MachineView | None) -> Policy:
    if system is None:
        return Policy(vendor_class=VendorClasses().canonical)
    return Policy(
        multiversion=system.multiversion,
        keep=system.keep,
        vendor_class=system.vendors.canonical,
        allow_vendor_change=system.allow_vendor_change,
        dup_allow_vendor_change=system.conf.dup_allow_vendor_change,
        locks=system.locks,
        devices=(lambda: machine.devices) if isinstance(machine, LiveMachine) else None,
    )


def of_host(request: Request, settings: HostSettings) -> Request:
    """A request on behalf of a host that an inventory tells of: what runs there, and what its disk holds."""
    disk = ToldDisk(settings.unmanaged) if settings.unmanaged else request.disk
    return replace(request, running=request.running or settings.running, disk=disk)


def policy_of_host(policy: Policy, settings: HostSettings) -> Policy:
    """zypp's settings as an inventory tells them of its host; `policy` for what it does not tell."""
    if settings.keep is None:
        return policy
    blocks = parse_locks(settings.locks).blocks
    return replace(
        policy,
        multiversion=policy.multiversion if settings.multiversion is None else settings.multiversion,
        keep=settings.keep,
        vendor_class=VendorClasses.of(settings.vendors).canonical,
        allow_vendor_change=settings.allow_vendor_change,
        locks=tuple(block.lock for block in blocks if block.lock is not None),
    )


def _repository_input(content: Content, packages: int) -> RepositoryInput:
    return RepositoryInput(
        alias=content.alias,
        source=content.source,
        packages=packages,
        revision=content.revision,
        timestamp=content.timestamp,
    )
