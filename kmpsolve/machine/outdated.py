"""What was made of the modules on a disk, and may be older than they: modules.dep and the initrd."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from kmpsolve.errors import MetadataError
from kmpsolve.machine.initrd import Initrd, find_initrd, read_initrd
from kmpsolve.machine.kernels import read_module_file
from kmpsolve.machine.modulesdep import INDEX, TEXT, listed_needs
from kmpsolve.machine.reading import Disk, KernelDisk
from kmpsolve.machine.tree import module_name
from kmpsolve.modules.findings import Finding, named
from kmpsolve.modules.loader import judge_together
from kmpsolve.modules.module import Module, read_module

__all__ = ["of_initrd", "of_modules_dep"]

_MODPROBE = "modprobe(8)"
_INITRD = "dracut(8): an initrd keeps the modules it was made with"


def of_modules_dep(disk: Disk, kernel: KernelDisk) -> Iterator[Finding]:
    """What modprobe will load is what depmod wrote down, not what it would write now."""
    for name in (TEXT, INDEX):
        found = _of_listing(disk, kernel, name)
        if found is not None:
            yield found
            return  # one run of depmod mends both


def _of_listing(disk: Disk, kernel: KernelDisk, name: str) -> Finding | None:
    tree = kernel.tree
    path = f"{tree.path}/{name}"
    listed = kernel.listed[name]
    if listed is None:
        there = disk.trees.locate(path).exists()
        return Finding(
            reference="modules-dep-missing",
            severity="error" if kernel.actual else "warning",
            subject=path,
            message=f"{'is damaged' if there else 'is missing'}, so that modprobe finds no module:"
            f" run depmod -a {tree.uname_r}",
            rule=_MODPROBE,
        )
    wrong = []
    for module, resolved in kernel.actual.items():
        folders = {file.folder for file in (resolved.file, *resolved.shadowed)}
        if folders == {"kernel"}:
            continue
        # Which of two files of the same strength depmod took is not wrong either way.
        files = (resolved.file, *resolved.clashes)
        if listed.get(module) not in {file.below for file in files}:
            wrong.append(module)
    wrong += sorted(_without_what_they_need(disk, kernel, name) - set(wrong))
    gone = [
        module
        for module, said in listed.items()
        if module not in kernel.actual and not said.startswith("kernel/")
    ]
    if not wrong and not gone:
        return None
    return Finding(
        reference="modules-dep-outdated",
        severity="error",
        subject=path,
        message=f"does not know what stands on disk for {named([*wrong, *gone])}:"
        f" run depmod -a {tree.uname_r}",
        rule=_MODPROBE,
    )


def _without_what_they_need(disk: Disk, kernel: KernelDisk, name: str) -> set[str]:
    """Modules of KMPs before which modprobe would not load one whose symbols they need.

    So it is where a file was exchanged for one that needs more, and depmod did not run. As depmod does, the module
    is taken that exports the symbol; where that is not one module alone, nothing is said.
    """
    read = _of_kmps(disk, kernel)
    if not read:
        return set()
    needs = _needs(kernel, read)
    listed = listed_needs(disk.trees, kernel.tree, name)
    return {name for name in read if not needs[name] <= listed.get(name, frozenset())}


def _of_kmps(disk: Disk, kernel: KernelDisk) -> dict[str, Module]:
    """The modules of KMPs that a kernel loads, by name."""
    contents = {module.path: module.module for offer in disk.offers for module in offer.modules}
    read: dict[str, Module] = {}
    for loaded, resolved in kernel.actual.items():
        module = contents.get(disk.trees.spelled(resolved.file.target or ""))
        if module is not None:
            read[loaded] = module
    return read


def _needs(kernel: KernelDisk, read: Mapping[str, Module]) -> dict[str, set[str]]:
    """The modules on disk whose symbols each of these needs; where not one module alone exports one, it is left out."""
    exporters: dict[str, set[str]] = {}
    for symbol, place in kernel.kernel.symvers.modules.items():
        exporters.setdefault(symbol, set()).add(module_name(place))
    for loaded, module in read.items():
        for symbol in module.exports:
            exporters.setdefault(symbol, set()).add(loaded)
    found: dict[str, set[str]] = {}
    for loaded, module in read.items():
        from_where = [exporters.get(symbol, set()) for symbol in module.undefined]
        known = set().union(*(one for one in from_where if len(one) == 1))
        found[loaded] = known & kernel.actual.keys() - {loaded}
    return found


def of_initrd(disk: Disk, kernel: KernelDisk) -> Iterator[Finding]:
    """Compare the modules that a kernel boots with, copies that dracut made once, with those on the disk."""
    uname_r = kernel.tree.uname_r
    inside = find_initrd(disk.trees.root, uname_r)
    if inside is None:
        return
    try:
        initrd = read_initrd(disk.trees.root, inside)
    except MetadataError as error:
        yield Finding(
            reference="unreadable-initrd",
            severity="warning",
            subject=inside,
            message=error.message,
            rule=_INITRD,
        )
        return
    changed, gone = [], []
    for name, content in sorted(initrd.modules.items()):
        target = _should_be(disk, kernel, name)
        if target is None:
            gone.append(name)
        elif target not in disk.damage and not _same_module(disk, target, content):
            changed.append(name)
    lacking = _lacking(disk, kernel, initrd, changed)
    if changed or gone or lacking:
        refused = _refused_in(initrd, changed, kernel)
        others = [name for name in changed if name not in refused]
        parts = [
            *([f"{named(refused)} in it would not load on {uname_r}"] if refused else []),
            *(
                f"{named(sorted(without))}, which {name} in it needs, is on the disk only"
                for name, without in lacking.items()
            ),
            *([f"{named(others)} changed since"] if others else []),
            *([f"{named(gone)} no longer on disk"] if gone else []),
        ]
        yield Finding(
            reference="initrd-outdated",
            severity="error" if refused or lacking else "warning",
            subject=inside,
            message=f"has other modules than the disk ({'; '.join(parts)}):"
            f" run dracut --force --kver {uname_r}",
            rule=_INITRD,
        )


def _lacking(disk: Disk, kernel: KernelDisk, initrd: Initrd, changed: Sequence[str]) -> dict[str, set[str]]:
    """Modules of KMPs in an initrd, with those on the disk alone that each cannot be loaded without.

    Parameters
    ----------
    changed
        Those in it that are not the disk's, which may need others.
    """
    read = _of_kmps(disk, kernel)
    if read.keys().isdisjoint(initrd.modules):
        return {}
    needs = _needs(kernel, read)
    alike = sorted(read.keys() & initrd.modules.keys() - set(changed))
    return {name: without for name in alike if (without := needs[name] - initrd.modules.keys())}


def _refused_in(initrd: Initrd, names: Sequence[str], kernel: KernelDisk) -> list[str]:
    """Of an initrd's modules that differ from the disk's, those that its kernel refuses when it boots."""
    if not names:
        return []
    read = []
    for name, content in initrd.modules.items():
        try:
            read.append(read_module(content, name))
        except MetadataError:
            continue
    judged = judge_together(read, kernel.kernel)
    return sorted(set(names) & {j.module.path for j in judged if j.verdict == "blocked"})


def _should_be(disk: Disk, kernel: KernelDisk, name: str) -> str | None:
    """The file that a module should come from: a fault of the links is told as one, not again here."""
    if disk.owners.known:
        source = kernel.expected.sources.get(name)
        return source.target if source else None
    resolved = kernel.actual.get(name)
    return resolved.file.target if resolved else None


def _same_module(disk: Disk, inside: str, content: bytes) -> bool:
    """Whether an initrd's copy is the module on disk; dracut may strip or unpack what it copies."""
    try:
        file = disk.trees.locate(inside)
        if file.is_file() and file.read_bytes() == content:
            return True
        ours = read_module_file(disk.trees.root, inside)
        theirs = read_module(content, inside)
    except (OSError, MetadataError):
        return False
    if ours.said("srcversion") is None or theirs.said("srcversion") is None:
        return False
    return replace(ours, path="", signature=None) == replace(theirs, path="", signature=None)
