"""What the kernels of a system export, from its disk or, failing that, from its packages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from kmpsolve.errors import MetadataError
from kmpsolve.machine.installed import Packaged
from kmpsolve.machine.tree import ModuleTree, Trees
from kmpsolve.metadata.rootpath import Root
from kmpsolve.modules.kernel import Kernel, of_modules
from kmpsolve.modules.module import Module, read_module
from kmpsolve.modules.symvers import Symvers, read_symvers

__all__ = ["read_kernel", "read_module_file"]

_SUFFIXES = ("", ".gz", ".xz", ".zst")


def _places(tree: ModuleTree) -> Iterator[str]:
    name = tree.uname_r
    for place in (f"{tree.path}/symvers", f"/boot/symvers-{name}", f"/usr/lib/modules/{name}/symvers"):
        yield from (place + suffix for suffix in _SUFFIXES)
    yield f"{tree.path}/Module.symvers"
    yield f"{tree.path}/build/Module.symvers"
    yield f"/usr/src/linux-headers-{name}/Module.symvers"


def read_module_file(root: Root, inside: str) -> Module:
    """Read a module of the system; `Module.path` is what the system calls it.

    Raises
    ------
    MetadataError
        If it cannot be read.
    """
    return replace(read_module(root.path(inside)), path=inside)


def read_kernel(trees: Trees, tree: ModuleTree, packaged: Packaged) -> Kernel:
    """What the kernel of a tree exports.

    Its list of symbols on disk is the truth; without one, what its packages provide; without both nothing is
    known, and everything that is judged against it stays unverified.

    Parameters
    ----------
    packaged
        Gives a kernel as its packages describe it.
    """
    root = trees.root
    symvers: Symvers | None = None
    for place in _places(tree):
        try:
            path = root.path(place)
            if path.is_file():
                symvers = _of_present_modules(read_symvers(path), tree)
                break
        except (OSError, MetadataError):
            continue
    known = _own_module(root, tree)
    if symvers is None and (described := packaged(tree.uname_r)) is not None:
        symvers = described.symvers
    if symvers is None:
        symvers = Symvers(crcs={}, gap=f"there is no list of the symbols of {tree.uname_r}")
    return Kernel(
        source=tree.path,
        symvers=symvers,
        uname_r=tree.uname_r,
        vermagic=known.vermagic if known else "",
        machine=known.machine if known else "",
        structure_size=known.structure_size if known else 0,
    )


def _of_present_modules(symvers: Symvers, tree: ModuleTree) -> Symvers:
    """A kernel's list without what modules export that are not on the disk, such as those of -extra.

    depmod too takes from the list only what the image exports, and asks the modules for the rest.
    """
    return of_modules(symvers, {file.name for file in tree.files if file.target is not None})


def _own_module(root: Root, tree: ModuleTree) -> Module | None:
    """One readable module of the kernel itself: its version magic and structure are the kernel's."""
    tries = 0
    for file in tree.files:
        if file.folder == "kernel" and file.link is None:
            try:
                module = read_module_file(root, file.path)
            except MetadataError:
                module = None
            # A vendor's installer may have put another kernel's module there.
            if module is not None and module.built_for == tree.uname_r:
                return module
            tries += 1
            if tries == 20:
                return None
    return None
