"""Module trees: what stands below /lib/modules, link by link, without leaving the system's root."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kmpsolve.errors import MetadataError
from kmpsolve.metadata.rootpath import Root

__all__ = ["ModuleFile", "ModuleTree", "Trees", "module_name", "read_trees", "real_path"]

_MODULE = re.compile(r"\.ko(?:\.(?:gz|xz|zst))?$")
_PLACES = ("/lib/modules", "/usr/lib/modules")
_NOT_SEARCHED = frozenset(("build", "source"))
"""Links to the kernel's sources; depmod passes over them too."""


def module_name(file: str) -> str:
    """The kernel's name for the module in a file: no folder, no suffix, underscores for dashes."""
    return _MODULE.sub("", file.rpartition("/")[2]).replace("-", "_")


def real_path(root: Root, inside: str) -> str | None:
    """Where the links of a path lead, as the system names it; ``None`` if nothing is there.

    Absolute links and ``..`` are followed inside the root only.
    """
    try:
        path = Path(os.path.realpath(inside)) if root.is_machine else root.path(inside)
        path.lstat()
    except (OSError, MetadataError):
        return None
    return inside_name(root, path)


def inside_name(root: Root, path: Path) -> str:
    """How the system itself names a path below its root."""
    return str(path) if root.is_machine else "/" + str(path)[len(str(root.folder)) :].lstrip("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleFile:
    """A file, or a link, with the name of a module.

    Parameters
    ----------
    path
        As the system names it, links in folders above it not followed.
    folder
        ``updates``, ``extra``, ``weak-updates``, ``kernel`` or another one; ``""`` directly in the tree.
    link
        What the link says; ``None`` for a file.
    target
        Where the module really is, as the system names it; ``None`` for a dangling link.
    """

    path: str
    uname_r: str
    folder: str
    link: str | None
    target: str | None

    @property
    def name(self) -> str:
        """The kernel's name for the module."""
        return module_name(self.path)

    @property
    def file_name(self) -> str:
        """Its name without folders."""
        return self.path.rpartition("/")[2]

    @property
    def below(self) -> str:
        """Its path below the tree."""
        return self.path.partition(f"/modules/{self.uname_r}/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleTree:
    """One folder /lib/modules/UNAME-R.

    Parameters
    ----------
    path
        As the system names it.
    files
        Sorted by path.
    """

    uname_r: str
    path: str
    files: tuple[ModuleFile, ...]

    @property
    def has_kernel(self) -> bool:
        """Whether the kernel's own modules are in it."""
        return any(file.folder == "kernel" for file in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trees:
    """All module trees of a system.

    Parameters
    ----------
    merged
        Whether /lib/modules and /usr/lib/modules are one place (usrmerge), or only one of them is there.
    """

    root: Root
    trees: tuple[ModuleTree, ...]
    merged: bool

    def tree(self, uname_r: str) -> ModuleTree | None:
        """The tree of a kernel."""
        return next((tree for tree in self.trees if tree.uname_r == uname_r), None)

    def spelled(self, path: str) -> str:
        """One spelling for the two names of a place, if they are one place."""
        return path.removeprefix("/usr") if self.merged and path.startswith("/usr/lib/modules/") else path

    def locate(self, path: str) -> Path:
        """Where a file of the system is on this machine."""
        return self.root.path(path)


def read_trees(root: Root) -> Trees:
    """Read all module trees of a system, sorted by uname -r; none if it has none.

    Raises
    ------
    MetadataError
        ``modules-unreadable``, if a folder cannot be listed.
    """
    places: dict[str, str] = {}
    for place in _PLACES:
        real = real_path(root, place)
        if real is not None and root.path(real).is_dir():
            places.setdefault(real, place)
    found: dict[str, list[ModuleFile]] = {}
    paths: dict[str, str] = {}
    for place in places.values():
        for name in _listed(root.path(place)):
            path = f"{place}/{name}"
            real = real_path(root, path)
            if name.startswith(".") or real is None or not root.path(real).is_dir():
                continue
            paths.setdefault(name, path)
            found.setdefault(name, []).extend(_walk(root, path, name))
    trees = tuple(
        ModuleTree(uname_r=name, path=paths[name], files=tuple(sorted(found[name], key=lambda f: f.path)))
        for name in sorted(found)
    )
    return Trees(root=root, trees=trees, merged=len(places) < 2)


def _listed(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208
    except OSError as error:
        raise MetadataError(
            f"cannot be listed ({error.strerror})",
            reference="modules-unreadable",
            where=str(folder),
            hint="Run it as root, or check the folder's permissions",
        ) from error


def _walk(root: Root, top: str, uname_r: str) -> Iterator[ModuleFile]:
    """All module files below a tree; a folder behind a link is entered once, and only inside the root."""
    ahead = [top]
    entered = {real_path(root, top)}
    while ahead:
        path = ahead.pop()
        folder = root.path(path)
        for name in _listed(folder):
            inside = f"{path}/{name}"
            on_disk = folder / name
            try:
                mode = on_disk.lstat().st_mode
                link = str(on_disk.readlink()) if stat.S_ISLNK(mode) else None
            except OSError:  # gone meanwhile
                continue
            target = inside if link is None else real_path(root, inside)
            if link is not None and target is not None:
                mode = root.path(target).lstat().st_mode
            if stat.S_ISDIR(mode):
                if name not in _NOT_SEARCHED and target not in entered:
                    entered.add(target)
                    ahead.append(inside)
            elif _MODULE.search(name):
                below = PurePosixPath(inside[len(top) + 1 :])
                yield ModuleFile(
                    path=inside,
                    uname_r=uname_r,
                    folder=below.parts[0] if len(below.parts) > 1 else "",
                    link=link,
                    target=target if link is None or stat.S_ISREG(mode) else None,
                )
