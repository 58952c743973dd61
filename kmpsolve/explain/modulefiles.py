"""Which modules of a build are hit: an RPM's requirements are the union of what its modules need."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kmpsolve.errors import MetadataError
from kmpsolve.model.nevra import Nevra
from kmpsolve.modules.kmp import Candidate, read_candidate
from kmpsolve.modules.module import MODULE_FILE, Module, read_module

__all__ = ["ModuleHit", "module_hits", "modules_in_root", "modules_in_rpm"]


@dataclass(frozen=True, slots=True, order=True)
class ModuleHit:
    """One module; without `symbols` it would still load.

    Parameters
    ----------
    module
        The name of its file.
    """

    module: str
    symbols: tuple[str, ...]


def module_hits(modules: Iterable[Module], mismatched: Collection[str]) -> tuple[ModuleHit, ...]:
    """For each module, the mismatched symbols that it needs itself."""
    wanted = frozenset(mismatched)
    return tuple(
        sorted(
            ModuleHit(Path(module.path).name, tuple(sorted(wanted.intersection(module.versions))))
            for module in modules
        )
    )


def modules_in_rpm(nevra: str, folder: Path) -> tuple[Module, ...]:
    """The modules of a build whose RPM lies in a local repository or folder; empty if none does.

    A module that cannot be read leaves the whole answer empty: what is left would be half the truth.
    """
    parsed = Nevra.parse(nevra)
    file = f"{parsed.name}-{parsed.evr.version}-{parsed.evr.release}.{parsed.arch}.rpm"
    for place in (folder / file, folder / parsed.arch / file):
        if place.is_file():
            try:
                candidate = read_candidate(place)
            except MetadataError:
                return ()
            if isinstance(candidate, Candidate) and candidate.readable:
                return candidate.modules
    return ()


def modules_in_root(root: Path, folders: Iterable[str], names: Collection[str]) -> tuple[Module, ...]:
    """The modules of an installed build, below /lib/modules of the kernels that it was installed for.

    Parameters
    ----------
    folders
        uname -r's.
    names
        File names of its modules without any suffix of compression (``acme.ko``).
    """
    wanted = {_bare(name) for name in names}
    found: dict[str, Module] = {}
    for folder in folders:
        for place in _files(root / "lib" / "modules" / folder):
            if _bare(place.name) in wanted:
                try:
                    found.setdefault(_bare(place.name), read_module(place))
                except MetadataError:
                    return ()
    return tuple(found.values()) if found.keys() == wanted else ()


def _bare(name: str) -> str:
    return MODULE_FILE.sub("", name).replace("-", "_")


def _files(tree: Path) -> Iterator[Path]:
    for part in ("updates", "extra"):
        for folder, folders, names in os.walk(tree / part):
            folders.sort()
            yield from (Path(folder, name) for name in sorted(names))
