"""From sources to a plan: opens what is asked for, loads the universe, calls the planner."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from kmpsolve.config import Config, read_config
from kmpsolve.errors import KmpsolveError, MetadataError, NoRepositoryError, RequestError
from kmpsolve.metadata.content import Content
from kmpsolve.metadata.source import open_source
from kmpsolve.metadata.vendors import VendorClasses
from kmpsolve.model.plan import Inputs, Plan, RepositoryInput, SkippedInput
from kmpsolve.planner import plan as plan_universe
from kmpsolve.request import Policy, Request
from kmpsolve.solver.universe import SYSTEM, Universe

__all__ = ["Sources", "load", "plan", "today"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the system and its repositories are read from.

    Parameters
    ----------
    root
        The system's root; ``None`` if nothing of any root is to be read.
    installed
        Instead of the root's rpmdb: a folder of RPMs, an rpm-md folder, a .solv file, an inventory.
    repositories
        Instead of the root's repositories: (alias, source) pairs.
    """

    root: Path | None = None
    installed: str | None = None
    repositories: tuple[tuple[str, str], ...] | None = None


def today() -> str:
    """The ISO date that waivers are held against: the clock's, or SOURCE_DATE_EPOCH's."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    return time.strftime("%Y-%m-%d", time.gmtime(int(epoch) if epoch.isdigit() else None))


@dataclass(frozen=True, slots=True)
class Loaded:
    """A sealed universe with the request that its configuration completes."""

    universe: Universe
    request: Request
    inputs: Inputs


def load(sources: Sources, request: Request, config: Config) -> Loaded:
    """Read every source and seal the universe.

    A repository that cannot be read is skipped, with its reason in the inputs; the others are used.

    Raises
    ------
    MetadataError
        If the system cannot be read, or no repository can.
    NoRepositoryError
        If no repository is defined or enabled.
    """
    root_system = None
    policy = Policy(vendor_class=VendorClasses().canonical)
    if sources.root is not None:
        from kmpsolve.metadata.root import read_root

        root_system = read_root(sources.root)
        policy = Policy(
            multiversion=root_system.multiversion,
            keep=root_system.keep,
            vendor_class=root_system.vendors.canonical,
            allow_vendor_change=root_system.allow_vendor_change,
            locks=root_system.locks,
        )
    request = replace(
        request,
        policy=policy,
        kmp_rules=config.kmp_rules,
        waivers=config.waivers,
        already_broken=config.already_broken,
        protect_fallback=config.protect_fallback,
        require_signed=config.require_signed,
        today=today(),
    )
    rules = config.kmp_rules
    universe = Universe(
        policy, lambda name: any(rule.rebuilt_on_host and fnmatchcase(name, rule.match) for rule in rules)
    )
    if sources.installed is not None:
        universe.load(open_source(sources.installed, alias=SYSTEM))
    else:
        assert root_system is not None
        universe.load(root_system.read_installed())
    read: list[RepositoryInput] = []
    skipped: list[SkippedInput] = []
    failures: list[KmpsolveError] = []
    if sources.repositories is not None:
        openers = [(alias, source, 99) for alias, source in sources.repositories]
    else:
        assert root_system is not None
        openers = [(r.alias, r.source, r.priority) for r in root_system.repositories]
        skipped += [SkippedInput(alias=s.alias, reason=s.reason) for s in root_system.skipped]
    for alias, source, priority in sorted(openers):
        try:
            content = open_source(source, alias=alias, priority=priority)
            packages = universe.load(content)
        except (MetadataError, RequestError) as error:
            failures.append(error)
            skipped.append(SkippedInput(alias=alias, reason=error.message))
            continue
        read.append(_repository_input(content, packages))
    if not read and not skipped:
        raise NoRepositoryError(
            "no repository is defined or enabled",
            reference="no-repository",
            hint="give one with --repo, or enable one: zypper modifyrepo --enable ALIAS",
        )
    if not read:
        if len(failures) == 1:
            raise failures[0]
        raise MetadataError(
            f"none of {len(skipped)} repositories can be read: {skipped[0].alias}: {skipped[0].reason}",
            reference="no-repository-readable",
            hint="refresh them: zypper refresh",
        )
    universe.seal()
    inputs = Inputs(
        root=str(sources.root) if sources.root is not None else None,
        repositories=tuple(sorted(read, key=lambda r: r.alias)),
        skipped=tuple(sorted(skipped, key=lambda s: s.alias)),
    )
    return Loaded(universe, request, inputs)


def _repository_input(content: Content, packages: int) -> RepositoryInput:
    return RepositoryInput(
        alias=content.alias,
        source=content.source,
        packages=packages,
        revision=content.revision,
        timestamp=content.timestamp,
    )


def plan(
    *,
    root: str | os.PathLike[str] | None = None,
    installed: str | os.PathLike[str] | None = None,
    repositories: Mapping[str, str | os.PathLike[str]] | Iterable[tuple[str, str]] | None = None,
    kernel: str | None = None,
    flavors: Sequence[str] = (),
    running: str | None = None,
    config: str | os.PathLike[str] | None = None,
) -> Plan:
    """Plan a kernel update; the same as ``kmpsolve plan``.

    Parameters
    ----------
    root
        The system; by default ``/`` unless both `installed` and `repositories` are given.
    installed
        Instead of the rpmdb: a folder of RPMs, an rpm-md folder, a ``.solv`` file, an inventory.
    repositories
        Instead of the root's: alias -> rpm-md folder, folder of RPMs, ``.solv`` file or address.
    kernel
        ``latest``, ``newest-safe``, VERSION-RELEASE or UNAME-R; by default what ``zypper up`` would pick.
    flavors
        Kernel flavors; by default all that are installed.
    running
        The uname -r of the running kernel, where it is not this machine's.
    config
        A configuration file to read after the root's.

    Returns
    -------
    Plan
        Blocked is a plan too, never an exception.

    Raises
    ------
    KmpsolveError
        If no plan can be made: unreadable input, an unknown kernel, a wrong configuration.
    """
    if root is None and (installed is None or repositories is None):
        root = "/"
    pairs = None
    if repositories is not None:
        entries = repositories.items() if isinstance(repositories, Mapping) else repositories
        pairs = tuple((alias, os.fspath(source)) for alias, source in entries)
    sources = Sources(
        root=Path(root) if root is not None else None,
        installed=os.fspath(installed) if installed is not None else None,
        repositories=pairs,
    )
    settings = read_config(sources.root, Path(config) if config is not None else None)
    request = Request(kernel=kernel, flavors=tuple(flavors), running=running or _running(sources))
    loaded = load(sources, request, settings)
    return plan_universe(loaded.universe, loaded.request, loaded.inputs)


def _running(sources: Sources) -> str | None:
    """This machine's kernel runs only on this machine's own root."""
    if sources.root == Path("/") and sources.installed is None:
        return os.uname().release
    return None
