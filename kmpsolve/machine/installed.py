"""What the packages of a system say of modules: who owns which file, and which packages are KMPs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from kmpsolve.machine.tree import Trees
from kmpsolve.model.nevra import Nevra

if TYPE_CHECKING:  # its imports take longer than most plans
    from kmpsolve.modules.kernel import Kernel

__all__ = ["InstalledKmp", "Owners", "Packaged"]

Packaged: TypeAlias = "Callable[[str], Kernel | None]"
"""A kernel as its packages describe it, by uname -r; asked only where the disk does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledKmp:
    """A package with modules for kernels that are not its own."""

    nevra: Nevra
    files: tuple[str, ...]


class Owners:
    """Which package owns a module file.

    Parameters
    ----------
    trees
        For one spelling of /lib/modules and /usr/lib/modules where they are one place.
    module_files
        NEVRA -> paths of modules; ``None`` if nobody knows what is installed.
    """

    def __init__(self, trees: Trees, module_files: Mapping[str, tuple[str, ...]] | None) -> None:
        self.known = module_files is not None
        self._spelled = trees.spelled
        self._owner: dict[str, str] = {}
        kmps: list[InstalledKmp] = []
        for nevra, files in sorted((module_files or {}).items()):
            spelled = tuple(sorted({trees.spelled(file) for file in files}))
            self._owner |= dict.fromkeys(spelled, nevra)
            if any(_outside_kernel(file) for file in spelled) and not _kernels_own(nevra):
                kmps.append(InstalledKmp(nevra=Nevra.parse(nevra), files=spelled))
        self.kmps = tuple(kmps)
        kernels = {_uname_r(file) for file in self._owner if not _outside_kernel(file)}
        self.kernels = frozenset(kernels)
        """uname -r's below whose kernel/ folders packages own files."""

    def of(self, path: str) -> str | None:
        """The NEVRA that owns a file; ``None`` if none does, or nobody knows."""
        return self._owner.get(self._spelled(path))


def _uname_r(path: str) -> str:
    return path.partition("/modules/")[2].partition("/")[0]


def _outside_kernel(path: str) -> bool:
    return not path.partition("/modules/")[2].partition("/")[2].startswith("kernel/")


def _kernels_own(nevra: str) -> bool:
    """Whether a package is part of a kernel, or a live patch, whatever folder it uses."""
    return nevra.startswith(("kernel-", "kgraft-patch-")) and "-kmp-" not in nevra
