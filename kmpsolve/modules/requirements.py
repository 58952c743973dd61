"""What a package requires of a kernel besides single symbols: symsets, and which kernel it is."""

from __future__ import annotations

from collections.abc import Iterator

from kmpsolve.model.evr import Evr
from kmpsolve.model.nevra import Nevra
from kmpsolve.model.relation import covers, parse_relation
from kmpsolve.modules.findings import Finding, named
from kmpsolve.modules.kernel import Kernel
from kmpsolve.modules.kmp import Candidate
from kmpsolve.modules.loader import Mismatch

__all__ = ["elsewhere_only", "of_requirements", "symset_mismatches", "untold_by"]

_RULE = "what the package requires of kernels"
_MANY_REBUILDS = 10**9


def symset_mismatches(candidate: Candidate, kernel: Kernel) -> Iterator[Mismatch]:
    """The symsets that it requires and the kernel does not have, where the kernel's source tells its own."""
    for need in candidate.needs:
        if need.kind == "symset" and _tells_symsets(kernel):
            hashes = kernel.symvers.symsets.get(need.name, frozenset())
            if need.value not in hashes:
                yield Mismatch(
                    symbol=need.name,
                    kind="disagrees" if hashes else "unknown",
                    wanted=need.value,
                    found=min(hashes, default=None),
                )


def _tells_symsets(kernel: Kernel) -> bool:
    """Whether a symset that is not listed is not there: a package provides all that it has."""
    return kernel.whole and (bool(kernel.symvers.symsets) or kernel.nevra is not None)


def elsewhere_only(candidate: Candidate, kernel: Kernel) -> frozenset[str]:
    """The kernels that it requires, if this is none of them: by uname -r, or by its package's version."""
    exact = {need.value for need in candidate.needs if need.kind == "exact-kernel"}
    found = {f"kernel {one}" for one in exact} if kernel.uname_r and kernel.uname_r not in exact else set()
    return frozenset(found).union(text for text, met in _of_its_package(candidate, kernel) if met is False)


def _of_its_package(candidate: Candidate, kernel: Kernel) -> Iterator[tuple[str, bool | None]]:
    """What it requires of the kernel's package, and whether that is met; ``None`` if its source does not tell."""
    flavors = {kernel.flavor} if kernel.uname_r else {need.flavor for need in candidate.needs}
    names = {Nevra.parse(kernel.nevra).name} if kernel.nevra else {f"kernel-{flavor}" for flavor in flavors}
    for text in candidate.rpm.requires if candidate.rpm else ():
        relation = parse_relation(text)
        if relation is not None and relation[0] in names and relation[2] is not None:
            versions = list(_versions_between(kernel, relation[0]))
            met = {covers(relation, version) for version in versions}
            inside = len(versions) == 2 and versions[0].evr < relation[2] < versions[1].evr
            yield text, met.pop() if len(met) == 1 and not inside else None


def _versions_between(kernel: Kernel, name: str) -> Iterator[Nevra]:
    """The package of a kernel; else the lowest and highest that it can be, since uname -r has no rebuild counter."""
    krel = kernel.uname_r.removesuffix(f"-{kernel.flavor}")
    if kernel.nevra:
        yield Nevra.parse(kernel.nevra)
    elif krel.count("-") == 1:  # not that of a release candidate, which its package spells otherwise
        yield from (Nevra(name, Evr.parse(evr), "") for evr in (krel, f"{krel}.{_MANY_REBUILDS}"))


def _kernels_refused(candidate: Candidate, kernel: Kernel) -> Iterator[str]:
    """The conflicts of a package that name the kernel, by its package or by its uname -r."""
    nevra = Nevra.parse(kernel.nevra) if kernel.nevra else None
    for text in candidate.rpm.conflicts if candidate.rpm else ():
        relation = parse_relation(text)
        by_package = nevra is not None and relation is not None and covers(relation, nevra)
        if by_package or (kernel.uname_r and text == f"kernel-uname-r = {kernel.uname_r}"):
            yield text


def untold_by(candidate: Candidate, kernel: Kernel) -> frozenset[str]:
    """What it requires and the kernel's source says nothing of.

    A list of symbols alone has no symsets, which is no matter where all modules could be asked instead, and
    may not say which kernel it is from. A folder of modules does, but not of which build of its package.
    """
    kinds = {"exact-kernel"} if not kernel.uname_r else set()
    if not candidate.readable and not _tells_symsets(kernel):
        kinds.add("symset")
    untold = {f"{need.key} = {need.value}" for need in candidate.needs if need.kind in kinds}
    return frozenset(untold).union(text for text, met in _of_its_package(candidate, kernel) if met is None)


def of_requirements(candidate: Candidate, kernel: Kernel) -> Iterator[Finding]:
    """Tell what is required of another kernel, or of nobody knows which, and that it excludes this one."""
    if refused := list(_kernels_refused(candidate, kernel)):
        yield Finding(
            reference="kernel-conflict",
            severity="error",
            subject=candidate.path,
            message=f"conflicts with {named(refused)}, so that rpm and zypper do not install it beside {kernel.label}",
            rule=_RULE,
        )
    if elsewhere := elsewhere_only(candidate, kernel):
        yield Finding(
            reference="exact-kernel",
            severity="error",
            subject=candidate.path,
            message=f"requires {named(elsewhere)}, not {kernel.label}",
            rule=_RULE,
        )
    if untold := untold_by(candidate, kernel):
        yield Finding(
            reference="requirement-untold",
            severity="warning",
            subject=candidate.path,
            message=f"requires {named(untold)}, of which {kernel.label} tells nothing",
            rule=_RULE,
        )
