"""A system's modules, read once: what stands on the disk beside what should be there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cmp_to_key

from kmpsolve.errors import MetadataError
from kmpsolve.machine.forecast import Forecast, Offer, OfferedModule, forecast
from kmpsolve.machine.installed import InstalledKmp, Owners, Packaged
from kmpsolve.machine.kernels import read_kernel, read_module_file
from kmpsolve.machine.modulesdep import INDEX, TEXT, listed_modules
from kmpsolve.machine.precedence import Precedence, Resolved, read_precedence, resolve
from kmpsolve.machine.tree import ModuleTree, Trees, read_trees
from kmpsolve.metadata.rootpath import Root
from kmpsolve.model.evr import rpmvercmp
from kmpsolve.model.needs import flavor_of_uname
from kmpsolve.modules.kernel import Kernel
from kmpsolve.modules.module import Module

__all__ = ["Disk", "KernelDisk", "read_disk"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelDisk:
    """One kernel of the disk.

    Parameters
    ----------
    expected
        What should be, given the packages.
    actual
        What is: by module name the file that wins.
    listed
        `TEXT` and `INDEX` -> what depmod wrote down there (`listed_modules`).
    """

    tree: ModuleTree
    kernel: Kernel
    expected: Forecast
    actual: dict[str, Resolved]
    listed: Mapping[str, Mapping[str, str] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A system's modules, read once."""

    trees: Trees
    owners: Owners
    offers: tuple[Offer, ...]
    damage: dict[str, str]
    """Path of a KMP's module -> why it could not be read; ``"is missing"`` if it is not there."""
    kernels: tuple[KernelDisk, ...]
    """Sorted, oldest first."""
    leftovers: tuple[ModuleTree, ...]
    """Folders without a kernel in which no package owns anything."""
    missing: tuple[str, ...]
    """Kernels that are installed and have no folder, by uname -r."""

    def newest(self, flavor: str) -> KernelDisk | None:
        """The newest kernel of a flavor."""
        return next((k for k in reversed(self.kernels) if flavor_of_uname(k.tree.uname_r) == flavor), None)


def read_disk(root: Root, module_files: Mapping[str, tuple[str, ...]] | None, packaged: Packaged) -> Disk:
    """Read the modules of a system and work out what should be there.

    Parameters
    ----------
    module_files
        NEVRA -> the modules it owns, from the rpmdb; ``None`` if there is none.

    Raises
    ------
    MetadataError
        ``no-kernel`` if there is no kernel below /lib/modules; ``modules-unreadable``.
    """
    trees = read_trees(root)
    owners = Owners(trees, module_files)
    damage: dict[str, str] = {}
    offers = tuple(_offer(trees, kmp, damage) for kmp in owners.kmps)
    homes = {home for offer in offers for home in offer.homes}
    precedence = read_precedence(root)
    kernels, leftovers = [], []
    for tree in trees.trees:
        if tree.has_kernel or tree.uname_r in owners.kernels:
            kernels.append(_read_kernel_disk(trees, tree, owners, offers, precedence, packaged))
        elif tree.uname_r not in homes and (owners.known or not _may_be_a_home(tree)):
            leftovers.append(tree)
    if not kernels:
        raise MetadataError(
            "there is no kernel below /lib/modules",
            reference="no-kernel",
            where=str(root.folder),
            hint="give the root of a system with --root",
        )
    kernels.sort(key=cmp_to_key(lambda a, b: rpmvercmp(a.tree.uname_r, b.tree.uname_r)))
    return Disk(
        trees=trees,
        owners=owners,
        offers=offers,
        damage=damage,
        kernels=tuple(kernels),
        leftovers=tuple(leftovers),
        missing=tuple(sorted(owners.kernels - {tree.uname_r for tree in trees.trees})),
    )


def _may_be_a_home(tree: ModuleTree) -> bool:
    return any(file.link is None for file in tree.files)


def _offer(trees: Trees, kmp: InstalledKmp, damage: dict[str, str]) -> Offer:
    modules = []
    for path in kmp.files:
        module: Module | None = None
        try:
            if not trees.locate(path).is_file():
                damage[path] = "is missing"
            else:
                module = read_module_file(trees.root, path)
        except MetadataError as error:
            damage[path] = error.message
        modules.append(OfferedModule(path=path, module=module))
    return Offer(build=str(kmp.nevra), name=kmp.nevra.name, evr=kmp.nevra.evr, modules=tuple(modules))


def _read_kernel_disk(
    trees: Trees,
    tree: ModuleTree,
    owners: Owners,
    offers: Sequence[Offer],
    precedence: Precedence,
    packaged: Packaged,
) -> KernelDisk:
    kmp_files = {module.path for offer in offers for module in offer.modules}
    stays = [
        file
        for file in tree.files
        if trees.spelled(file.path) not in kmp_files
        and not (file.folder == "weak-updates" and file.link is not None)
    ]
    kernel = read_kernel(trees, tree, packaged)
    listed = {name: listed_modules(trees, tree, name) for name in (TEXT, INDEX)}
    return KernelDisk(
        tree=tree,
        kernel=kernel,
        expected=forecast(kernel, stays, offers, precedence, tree.path.rpartition("/")[0]),
        actual=resolve(tree.files, precedence, listed[INDEX] or {}),
        listed=listed,
    )
