"""From what hosts say of themselves to systems that the solver can load."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import BinaryIO

import msgspec

from kmpsolve.metadata.content import UNKNOWN_ARCH, Content, HostSettings, ToldModule
from kmpsolve.metadata.database import SYSTEM
from kmpsolve.metadata.inventory import ListedPackage, State
from kmpsolve.metadata.origin import Origin
from kmpsolve.metadata.primaryxml import FOOT, HEAD, package_xml
from kmpsolve.metadata.spool import spooled
from kmpsolve.model.nevra import Nevra

__all__ = ["Hosts", "hosts_content", "settings_of", "system_content", "system_settings"]


def system_content(state: State, source: str) -> Content:
    """Make the installed packages of a host, ready for the solver.

    Parameters
    ----------
    source
        What to call it in errors.

    Raises
    ------
    MetadataError
        If it cannot be written to a temporary file.
    """
    packages = _packages(state)
    told = system_settings(state, source)
    names = {package.nevra: _with_arch(package.nevra, state.arch) for package in packages}
    kernels = _kernel_nevras(state)
    return replace(
        told,
        primary=_spooled(((package, state.arch) for package in packages), source),
        listed=frozenset(names[p.nevra] for p in packages if p.name_only or p.nevra in kernels),
        digests={names[p.nevra]: p.digest for p in packages if p.digest is not None},
    )


def system_settings(state: State, source: str) -> Content:
    """What a host says of itself besides its packages' relations."""
    packages = _packages(state)
    return Content(
        alias=SYSTEM,
        source=source,
        triggers={_with_arch(p.nevra, state.arch): p.triggers for p in packages if p.triggers},
        module_files={_with_arch(p.nevra, state.arch): p.files for p in packages if p.files},
        partial_system=True,
        settings=settings_of(state),
    )


def settings_of(state: State) -> HostSettings:
    """What a host says of itself besides its packages."""
    return HostSettings(
        running=state.running,
        keep=state.keep,
        multiversion=state.multiversion,
        locks="\n\n".join(state.locks),
        allow_vendor_change=state.allow_vendor_change,
        vendors=state.vendors,
        gaps=state.gaps,
        unmanaged=tuple(ToldModule(**msgspec.structs.asdict(one)) for one in state.unmanaged),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """The packages of many hosts as those of one system, each distinct one once.

    Parameters
    ----------
    content
        The packages, in an order of their own.
    chosen
        Which of them each host has, counted from 0.
    listed
        Those that a repository has to complete, with the digest that their hosts told.
    """

    content: Content
    chosen: tuple[tuple[int, ...], ...]
    listed: Mapping[int, str | None]


def hosts_content(states: Iterable[State], source: str) -> Hosts:
    """Make the packages of many hosts, ready for the solver.

    Raises
    ------
    MetadataError
        If they cannot be written to a temporary file.
    """
    numbers: dict[tuple[ListedPackage, str | None, bool], int] = {}
    chosen: list[tuple[int, ...]] = []
    listed: dict[int, str | None] = {}
    files: dict[str, set[str]] = {}
    for state in states:
        kernels = _kernel_nevras(state)
        mine: list[int] = []
        for package in _packages(state):
            completed = package.name_only or package.nevra in kernels
            arch = state.arch if package.nevra.endswith(f".{UNKNOWN_ARCH}") else None
            number = numbers.setdefault((package, arch, completed), len(numbers))
            mine.append(number)
            if completed:
                listed[number] = package.digest
            if package.files:
                files.setdefault(_with_arch(package.nevra, arch), set()).update(package.files)
        chosen.append(tuple(mine))
    content = Content(
        alias=SYSTEM,
        source=source,
        primary=_spooled(((package, arch) for package, arch, _ in numbers), source),
        module_files={nevra: tuple(sorted(paths)) for nevra, paths in files.items()},
        partial_system=True,
    )
    return Hosts(content=content, chosen=tuple(chosen), listed=listed)


def _packages(state: State) -> list[ListedPackage]:
    return list({package.nevra: package for package in state.every_package()}.values())


def _kernel_nevras(state: State) -> set[str]:
    return {one if isinstance(one, str) else one.nevra for one in state.kernels}


def _spooled(packages: Iterable[tuple[ListedPackage, str | None]], source: str) -> BinaryIO:
    origin = Origin(alias=SYSTEM, remedy="Check the space in the folder for temporary files")
    with spooled(source, origin) as target:
        target.write(HEAD)
        for package, arch in packages:
            target.write(_package_xml(package, arch).encode())
        target.write(FOOT)
    return target


def _with_arch(nevra: str, arch: str | None) -> str:
    """A NEVRA whose source does not tell the architecture gets the host's."""
    nevra = nevra.replace("-0:", "-")  # dnf tells an epoch of 0
    name, _, own = nevra.rpartition(".")
    return f"{name}.{arch}" if own == UNKNOWN_ARCH and arch else nevra


def _package_xml(package: ListedPackage, arch: str | None) -> str:
    nevra = Nevra.parse(_with_arch(package.nevra, arch))
    own = f"{nevra.name} = {nevra.evr}"
    return package_xml(
        nevra,
        package.vendor or "",
        {
            "provides": (*(p for p in package.provides or () if p != own), own),
            "requires": package.requires or (),
            "conflicts": package.conflicts or (),
            "obsoletes": package.obsoletes or (),
        },
    )
