"""The links in weak-updates/: those that are missing, and those that lead to the wrong place."""

from __future__ import annotations

from collections.abc import Iterator

from kmpsolve.machine.reading import Disk, KernelDisk
from kmpsolve.machine.tree import ModuleFile, module_name
from kmpsolve.model.needs import flavor_of_uname
from kmpsolve.modules.findings import Finding, Severity, named

__all__ = ["of_links"]

_RULE = "suse-module-tools: weak-modules2"


def _fault(reference: str, severity: Severity, subject: str, message: str) -> Finding:
    return Finding(reference=reference, severity=severity, subject=subject, message=message, rule=_RULE)


def of_links(disk: Disk, kernel: KernelDisk) -> Iterator[Finding]:
    """Compare the links of one kernel's tree with those that are foreseen; one finding a link."""
    expected = kernel.expected.links
    here = {file.path: file for file in kernel.tree.files if file.link is not None}
    missing_names = {module_name(path) for path in disk.damage}
    for path, target in expected.items():
        if path not in here and not _served_alike(disk, kernel, path, target):
            yield _fault(
                "missing-link",
                "error",
                path,
                f"is missing: {disk.owners.of(target)} fits {kernel.tree.uname_r}, and without the link to"
                f" {target} that kernel does not find it",
            )
    for path, file in sorted(here.items()):
        if file.target is None:
            if module_name(path) not in missing_names:
                yield _fault("dangling-link", "error", path, f"leads to {file.link}, where nothing is")
            continue
        yield from _of_link(disk, kernel, file, expected.get(path))


def _served_alike(disk: Disk, kernel: KernelDisk, path: str, target: str) -> bool:
    """Whether the module arrives all the same, by a link of another name to the same file."""
    found = kernel.actual.get(module_name(path))
    return found is not None and disk.trees.spelled(found.file.target or "") == target


def _of_link(disk: Disk, kernel: KernelDisk, file: ModuleFile, expected: str | None) -> Iterator[Finding]:
    assert file.target is not None
    target = disk.trees.spelled(file.target)
    if expected is not None and target == disk.trees.spelled(expected):
        return
    owner = disk.owners.of(target)
    uname_r = kernel.tree.uname_r
    if owner is None:
        # What no package owns is judged with the modules that no package owns.
        return
    if module_name(target) != file.name:
        yield _fault("wrong-link", "error", file.path, f"leads to another module: {target}")
        return
    offer = next((offer for offer in disk.offers if offer.build == owner), None)
    if offer is None:
        yield _fault(
            "wrong-link",
            "error",
            file.path,
            f"leads to a module of another kernel: {target}",
        )
        return
    if offer.flavor != flavor_of_uname(uname_r):
        yield _fault(
            "wrong-link",
            "error",
            file.path,
            f"leads to {owner}, which was built for flavor {offer.flavor}",
        )
        return
    unfit = [j for j in kernel.expected.unfit.get(owner, ()) if j.mismatches]
    if unfit and expected is None:
        mismatches = {m.symbol for j in unfit for m in j.mismatches}
        yield _fault(
            "wrong-link",
            "error",
            file.path,
            f"leads to {owner}, which does not fit {uname_r}: {len(mismatches)} symbols differ:"
            f" {named(mismatches)}",
        )
        return
    better = disk.owners.of(expected) if expected is not None else kernel.expected.builds.get(offer.name)
    if unfit:
        yield _fault(
            "wrong-link",
            "error",
            file.path,
            f"leads to {owner}, which does not fit {uname_r}; {better} does",
        )
    elif better != owner:
        yield _fault(
            "stale-link",
            "warning",
            file.path,
            f"leads to {owner}, though {better} is installed"
            if better
            else f"leads to {owner}, which is not used",
        )
