"""Packages as the planner sees them: plain values, with the solver's number as a handle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from kmpsolve.model.nevra import Nevra
from kmpsolve.model.symbols import Exports

__all__ = ["Barred", "KernelUnit", "KmpBuild", "Package"]

Barred = Literal["architecture", "lock", "retracted", "ptf"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One package of the system or of a repository.

    Parameters
    ----------
    handle
        The solver's number for it; meaningless elsewhere.
    repository
        The alias, or ``None`` for an installed package.
    priority
        zypp's: 1 is the highest, 99 the default.
    barred
        Why zypp would never choose this candidate by itself; ``None`` if it may.
    """

    handle: int
    nevra: Nevra
    vendor: str
    repository: str | None
    priority: int
    barred: Barred | None = None

    @property
    def name(self) -> str:
        """The package name."""
        return self.nevra.name

    @property
    def installed(self) -> bool:
        """Whether it is on the system."""
        return self.repository is None

    def __str__(self) -> str:
        return str(self.nevra)


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelUnit:
    """The packages that together serve one uname -r.

    Parameters
    ----------
    main
        kernel-FLAVOR, or kernel-FLAVOR-base on a host that has only that.
    packages
        `main`, then -base, -extra, -optional as far as they belong to it.
    modules
        Names of all modules in it, mapped to the provided spelling.
    """

    flavor: str
    uname_r: str
    main: Package
    packages: tuple[Package, ...]
    exports: Exports
    modules: Mapping[str, str]
    obsoletes: tuple[str, ...]

    @property
    def nevra(self) -> Nevra:
        """The NEVRA of the main package, which names the unit."""
        return self.main.nevra

    @property
    def installed(self) -> bool:
        """Whether it is on the system."""
        return self.main.installed

    def made_with(self, nevra: Nevra) -> bool:
        """Whether a sibling of the kernel, such as its -devel, comes from the same build of the sources.

        It has the kernel's version and release; the release of a -base alone is longer (5.14.14-1.1.22.7).
        """
        own, other = self.nevra.evr, nevra.evr
        if not self.nevra.name.endswith("-base"):
            return other == own
        same = (other.epoch, other.version) == (own.epoch, own.version)
        krel = self.uname_r.removesuffix(f"-{self.flavor}")
        return (
            same
            and f"{own.release}.".startswith(f"{other.release}.")
            and f"{other.version}-{other.release}.".startswith(f"{krel}.")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KmpBuild:
    """One package with kernel modules.

    Parameters
    ----------
    flavor
        ``""`` if nothing tells.
    needs
        The integers of its symbol, symset and exact-kernel requirements.
    damaged
        Requirements that look like a symbol's and are none.
    modules
        As in `KernelUnit`.
    built_for
        The kernel release, or uname -r, in the capabilities or the version; ``""`` if unknown.
    module_folders
        The uname -r's below /lib/modules that hold its files; empty where files are unknown.
    rebuilds_on_host
        It has a trigger on kernel headers.
    """

    package: Package
    flavor: str
    needs: frozenset[int]
    damaged: tuple[str, ...]
    exports: Exports
    modules: Mapping[str, str]
    obsoletes: tuple[str, ...]
    built_for: str
    module_folders: frozenset[str]
    multiversion: bool
    rebuilds_on_host: bool

    @property
    def nevra(self) -> Nevra:
        """The NEVRA of the package."""
        return self.package.nevra

    @property
    def name(self) -> str:
        """The package name."""
        return self.package.nevra.name

    @property
    def versioned(self) -> bool:
        """Whether it was built with symbol versions (or for an exact kernel) at all."""
        return bool(self.needs)

    def __str__(self) -> str:
        return str(self.package.nevra)
