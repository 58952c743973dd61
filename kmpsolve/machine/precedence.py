"""Which of several modules of one name is loaded: depmod's order of precedence.

depmod.d(5): ``search`` names folders of /lib/modules/UNAME-R, the first one wins, ``built-in`` stands for all
that is not named; ``override MODULE KERNEL FOLDER`` decides for one module. SUSE's own configuration searches
updates, extra, weak-updates, then everything else; it holds where a system does not say otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kmpsolve.errors import ConfigError
from kmpsolve.machine.tree import ModuleFile
from kmpsolve.metadata.rootpath import Root

__all__ = ["Precedence", "Resolved", "read_precedence", "resolve"]

_FOLDERS = ("/etc/depmod.d", "/run/depmod.d", "/usr/local/lib/depmod.d", "/usr/lib/depmod.d", "/lib/depmod.d")
_SEARCH = ("updates", "extra", "weak-updates", "kgraft", "built-in")
_BUILT_IN = "built-in"


@dataclass(frozen=True, slots=True)
class _Override:
    module: str
    kernel: str
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Precedence:
    """The order in which folders win.

    Parameters
    ----------
    search
        Folders, the strongest first; ``built-in`` for all that are not named.
    overrides
        What is decided for single modules.
    """

    search: tuple[str, ...] = _SEARCH
    overrides: tuple[_Override, ...] = ()

    def rank(self, below: str, uname_r: str) -> tuple[int, int]:
        """How strong a file is, by its path below the tree; the lowest wins."""
        folder, _, name = below.rpartition("/")
        bare = re.sub(r"\.ko(\.\w+)?$", "", name)
        overridden = any(
            one.module == bare and one.folder == folder and _same_kernel(one.kernel, uname_r)
            for one in self.overrides
        )
        places = [
            place
            for place, entry in enumerate(self.search)
            if entry != _BUILT_IN and f"{folder}/".startswith(f"{entry}/")
        ]
        if not places:
            places = [self.search.index(_BUILT_IN) if _BUILT_IN in self.search else len(self.search)]
        return (0 if overridden else 1), places[0]

    def prefers_kernel(self, name: str, folder: str, uname_r: str) -> bool:
        """Whether a kernel's own module wins over one of that file name in a folder of KMPs."""
        bare = re.sub(r"\.ko(\.\w+)?$", "", name)
        # Where exactly the kernel keeps its own is known to an override that prefers it.
        own = ["kernel", *(one.folder for one in self.overrides if one.module == bare)]
        ours = self.rank(f"{folder}/{name}", uname_r)
        return any(
            self.rank(f"{place}/{name}", uname_r) < ours for place in own if place.startswith("kernel")
        )


def _same_kernel(pattern: str, uname_r: str) -> bool:
    if pattern == "*":
        return True
    try:
        return re.search(pattern, uname_r) is not None
    except re.error:
        return False


def read_precedence(root: Root) -> Precedence:
    """Read the system's depmod.d; files of one name hide each other, /etc first."""
    files: dict[str, str] = {}
    for folder in _FOLDERS:
        for name in root.names(folder):
            if name.endswith(".conf"):
                files.setdefault(name, f"{folder}/{name}")
    search: list[str] = []
    overrides: list[_Override] = []
    for name in sorted(files):
        try:
            text = root.read(files[name]) or ""
        except ConfigError:
            continue
        for line in re.sub(r"\\\n", " ", text).splitlines():
            words = line.split()
            if words[:1] == ["search"]:
                search += words[1:]
            elif words[:1] == ["override"] and len(words) >= 4:
                overrides.append(_Override(*words[1:4]))
    return Precedence(search=tuple(search) or _SEARCH, overrides=tuple(overrides))


@dataclass(frozen=True, slots=True)
class Resolved:
    """The file that a module comes from.

    Parameters
    ----------
    shadowed
        Files of the same name that lose against it, strongest first.
    clashes
        Those of them in a folder of the same strength: depmod takes whichever it reads last, and wrote down
        which one that was.
    """

    file: ModuleFile
    shadowed: tuple[ModuleFile, ...]
    clashes: tuple[ModuleFile, ...]


def resolve(
    files: Iterable[ModuleFile], precedence: Precedence, listed: Mapping[str, str] = {}
) -> dict[str, Resolved]:
    """For each module name the file that modprobe would load; dangling links do not count.

    Parameters
    ----------
    listed
        Module name -> the path below the tree that depmod wrote down: of files of the same strength that one.
    """
    by_name: dict[str, list[ModuleFile]] = {}
    for file in files:
        if file.target is not None:
            by_name.setdefault(file.name, []).append(file)
    return {
        name: _strongest(candidates, precedence, listed.get(name)) for name, candidates in by_name.items()
    }


def _strongest(candidates: Sequence[ModuleFile], precedence: Precedence, listed: str | None) -> Resolved:
    if len(candidates) == 1:
        return Resolved(candidates[0], (), ())
    ranked = sorted(
        (precedence.rank(file.below, file.uname_r), file.below != listed, file.path, file)
        for file in candidates
    )
    best = ranked[0]
    return Resolved(
        best[-1],
        tuple(file for *_, file in ranked[1:]),
        tuple(file for rank, *_, file in ranked[1:] if rank == best[0]),
    )
