"""Modules that no package owns: put there by a vendor's installer, by DKMS, by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from kmpsolve.errors import MetadataError
from kmpsolve.machine.installed import Owners
from kmpsolve.machine.tree import ModuleFile, ModuleTree, Trees
from kmpsolve.metadata.rootpath import Root
from kmpsolve.model.needs import flavor_of_uname
from kmpsolve.model.plan import Mismatch, Unmanaged

if TYPE_CHECKING:  # most systems have no such modules, and reading modules takes long to import
    from kmpsolve.modules.kernel import Kernel
    from kmpsolve.modules.loader import Judgement
    from kmpsolve.modules.module import Module

__all__ = ["find_unmanaged", "judge_unmanaged", "planned_mismatches"]


def find_unmanaged(trees: Trees, owners: Owners, tree: ModuleTree) -> tuple[ModuleFile, ...]:
    """The files in one tree that no package owns; none if ownership is not known.

    A link into a tree is another file's second place; one to a file elsewhere is the only place where that
    file is a module. A kernel that no package owns was made by hand: its own modules are not what is looked for.
    """
    if not owners.known:
        return ()
    return tuple(
        file
        for file in tree.files
        if owners.of(file.path) is None
        and (file.link is None or _leads_elsewhere(file, owners))
        and (file.folder != "kernel" or tree.uname_r in owners.kernels)
    )


def _leads_elsewhere(file: ModuleFile, owners: Owners) -> bool:
    """Whether a link leads to a file that stands in no tree and that no package owns."""
    return file.target is not None and "/lib/modules/" not in file.target and owners.of(file.target) is None


def planned_mismatches(judgement: Judgement) -> tuple[Mismatch, ...]:
    """Mismatches as a plan shows them; a symbol needed without a version wants ``0``, which no CRC is."""
    return tuple(
        sorted(
            Mismatch(symbol=m.symbol, kind=m.kind, wanted=m.wanted or "0", found=m.found)
            for m in judgement.mismatches
        )
    )


def judge_unmanaged(
    root: Root, files: Iterable[ModuleFile], kernel: Kernel, others: Sequence[Module] = ()
) -> tuple[Unmanaged, ...]:
    """Judge modules that no package owns against a kernel, from its symbols alone; sorted by path.

    Those of one kernel's folder are judged together, since they use each other's symbols, and with `others`:
    the modules of the KMPs that will be there. Modules of another flavor's folders are left out.
    """
    from kmpsolve.machine.kernels import read_module_file
    from kmpsolve.modules.loader import judge_together

    by_tree: dict[str, list[ModuleFile]] = {}
    for file in files:
        if flavor_of_uname(file.uname_r) in ("", kernel.flavor) or not kernel.flavor:
            by_tree.setdefault(file.uname_r, []).append(file)
    found: list[Unmanaged] = []
    for group in by_tree.values():
        modules: list[tuple[ModuleFile, Module]] = []
        for file in group:
            try:
                modules.append((file, read_module_file(root, file.path)))
            except MetadataError:
                found.append(Unmanaged(module=file.name, path=file.path, state="unverified", mismatches=()))
        judged = judge_together([module for _, module in modules] + list(others), kernel)
        for (file, _), judgement in zip(modules, judged, strict=False):
            found.append(
                Unmanaged(
                    module=file.name,
                    path=file.path,
                    state="loads" if judgement.verdict == "safe" else judgement.verdict,
                    mismatches=planned_mismatches(judgement),
                )
            )
    return tuple(sorted(found, key=lambda one: one.path))
