"""Packages of which an inventory knows the name only: they take their dependencies from a repository.

An inventory of ten thousand hosts cannot carry the 28,000 symbols of every kernel, and ``rpm -qa`` carries
none. The same NEVRA in a repository tells them. Where an inventory also carries a digest of the symbols, it
has to agree: a package can be built again under the same name (bsc#1219345).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import solv

from kmpsolve.metadata.content import UNKNOWN_ARCH, symbol_digest
from kmpsolve.model.evr import Evr
from kmpsolve.model.nevra import Nevra

__all__ = ["join", "relevant_names"]

_KERNEL = re.compile(r"kernel-(?P<flavor>[A-Za-z0-9_]+)(?:-(?:base|extra|optional))?")
_MAIN_KERNEL = re.compile(r"kernel-(?P<flavor>[A-Za-z0-9_]+)(?:-base)?")
_NO_FLAVOR = frozenset(
    ("devel", "source", "syms", "macros", "firmware", "docs", "obs", "vanilla", "livepatch")
)
_KMP = re.compile(r".+-kmp-(?P<flavor>[A-Za-z0-9_]+)")
_SYMBOL = ("ksym(", "kernel(")
_WORDS = re.compile(r"[^\s()]+(?:\([^\s()]*\))?")
_KEYS = {
    solv.SOLVABLE_PROVIDES: int(solv.SOLVABLE_FILEMARKER),
    solv.SOLVABLE_REQUIRES: int(solv.SOLVABLE_PREREQMARKER),
    solv.SOLVABLE_CONFLICTS: 0,
    solv.SOLVABLE_OBSOLETES: 0,
    solv.SOLVABLE_SUPPLEMENTS: 0,
    solv.SOLVABLE_ENHANCES: 0,
}
"""Relations, and the number that parts a list of capabilities in two, where there may be one."""


def join(
    pool: solv.Pool, listed: frozenset[str], digests: Mapping[str, str], vendor_class: Callable[[str], str]
) -> frozenset[int]:
    """Complete the installed packages that are only listed; returns the kernels whose symbols nobody knows.

    Such a kernel is taken to fit the installed KMPs, so that these count as drivers in use and are judged
    against the target; it must not be believed to be safe itself.

    Parameters
    ----------
    listed
        NEVRAs of the installed packages to complete.
    digests
        NEVRA -> the symbols' digest, where the host told it.
    vendor_class
        zypp's, for packages of an unknown vendor.
    """
    system = [s for s in pool.installed.solvables if _nevra(s) in listed]
    unsorted = {s.name for s in system if not (_KERNEL.fullmatch(s.name) or _KMP.fullmatch(s.name))}
    passed_over = unsorted - relevant_names(pool) if unsorted else unsorted
    system = [s for s in system if s.name not in passed_over]
    twins = _twins(pool, {s.nameid for s in system})
    bare: list[solv.XSolvable] = []
    for solvable in system:
        twin = _twin(solvable, twins.get(solvable.nameid, ()))
        if twin is None or not _same_symbols(pool, twin, digests.get(_nevra(solvable))):
            bare.append(solvable)
            continue
        solvable.arch = twin.arch
        if not solvable.vendor:
            solvable.vendor = twin.vendor
        for key, marker in _KEYS.items():
            known, side = set(solvable.lookup_idarray(key)), -1
            for capability in twin.lookup_idarray(key):
                if marker and capability == marker:
                    side = 1
                elif capability not in known:
                    solvable.add_deparray(key, capability, side)
    _guess_architecture(pool, system)
    unread = []
    for solvable in bare:
        if not solvable.vendor:
            classes = {vendor_class(t.vendor or ""): t.vendor for t in twins.get(solvable.nameid, ())}
            if len(classes) == 1:
                solvable.vendor = next(iter(classes.values()))
        if _assume_kernel(pool, solvable):
            unread.append(int(solvable.id))
    return frozenset(unread)


def relevant_names(pool: solv.Pool) -> frozenset[str]:
    """Names of the packages in repositories that a judgement of KMPs may have to do with.

    Kernels, KMPs, what KMPs require, what requires them and what conflicts with them; in an inventory of all
    packages of a host the others only make equal hosts look different. Needs no index of the pool.
    """
    spell = pool.dep2str
    kmps: set[int] = set()
    names: set[str] = set()
    wanted: set[str] = set()
    offered: set[str] = set()
    heads: dict[int, tuple[str, ...]] = {}

    def words(capability: int) -> tuple[str, ...]:
        known = heads.get(capability)
        if known is None:
            text = spell(capability)
            known = heads[capability] = (
                tuple(_WORDS.findall(text)) if text.startswith("(") else (text.partition(" ")[0],)
            )
        return known

    everyone = [s for s in pool.solvables if s.repo.name != "@System"]
    for solvable in everyone:
        name = solvable.name
        if _KERNEL.fullmatch(name):
            names.add(name)
            continue
        required = solvable.lookup_idarray(solv.SOLVABLE_REQUIRES)
        provided = solvable.lookup_idarray(solv.SOLVABLE_PROVIDES)
        if not (_KMP.fullmatch(name) or _symbolic(words, required) or _symbolic(words, provided)):
            continue
        names.add(name)
        kmps.add(solvable.id)
        offered.add(name)
        offered.update(w for c in provided for w in words(c) if not w.startswith((*_SYMBOL, "kmod(")))
        for key in (solv.SOLVABLE_REQUIRES, solv.SOLVABLE_CONFLICTS, solv.SOLVABLE_OBSOLETES):
            wanted.update(
                w for c in solvable.lookup_idarray(key) for w in words(c) if not w.startswith(_SYMBOL)
            )
    offered.discard("multiversion(kernel)")
    for solvable in everyone:
        if solvable.id in kmps or solvable.name in names:
            continue
        meets = any(w in wanted for c in solvable.lookup_idarray(solv.SOLVABLE_PROVIDES) for w in words(c))
        if meets or any(
            w in offered
            for key in (solv.SOLVABLE_REQUIRES, solv.SOLVABLE_CONFLICTS, solv.SOLVABLE_OBSOLETES)
            for c in solvable.lookup_idarray(key)
            for w in words(c)
        ):
            names.add(solvable.name)
    return frozenset(names)


def _symbolic(words: Callable[[int], tuple[str, ...]], capabilities: Iterable[int]) -> bool:
    return any(w.startswith((*_SYMBOL, "kmod(", "kernel-uname-r")) for c in capabilities for w in words(c))


def _nevra(solvable: solv.XSolvable) -> str:
    return str(Nevra(solvable.name, Evr.parse(solvable.evr), solvable.arch))


def _twins(pool: solv.Pool, names: set[int]) -> dict[int, list[solv.XSolvable]]:
    """Packages of these names in repositories, the best repository first."""
    found: dict[int, list[solv.XSolvable]] = {}
    for solvable in pool.solvables:
        if (
            solvable.nameid in names
            and solvable.repo.name != "@System"
            and solvable.arch not in ("src", "nosrc")
        ):
            found.setdefault(solvable.nameid, []).append(solvable)
    for solvables in found.values():
        solvables.sort(key=lambda s: (-s.repo.priority, s.repo.name, s.id))
    return found


def _twin(listed: solv.XSolvable, among: Iterable[solv.XSolvable]) -> solv.XSolvable | None:
    """The package that is meant: ``rpm -qa`` tells no epoch, and other tools no architecture."""
    arches = (listed.arch, "noarch")
    fitting = [s for s in among if s.arch in arches or listed.arch == UNKNOWN_ARCH]
    exact = [s for s in fitting if s.evr == listed.evr]
    if not exact and ":" not in listed.evr:
        exact = [s for s in fitting if s.evr.partition(":")[2] == listed.evr]
        if len({s.evr for s in exact}) > 1:
            return None
    if len({s.arch for s in exact if s.arch != "noarch"}) > 1:
        return None
    return min(exact, key=lambda s: s.arch != listed.arch, default=None)


def _same_symbols(pool: solv.Pool, twin: solv.XSolvable, digest: str | None) -> bool:
    if digest is None:
        return True
    key = solv.SOLVABLE_PROVIDES if _KERNEL.fullmatch(twin.name) else solv.SOLVABLE_REQUIRES
    return digest == symbol_digest(map(pool.dep2str, twin.lookup_idarray(key)))


def _guess_architecture(pool: solv.Pool, system: Iterable[solv.XSolvable]) -> None:
    """Packages of unknown architecture get that of the others."""
    nameless = [s for s in system if s.arch == UNKNOWN_ARCH]
    if nameless:
        counted = Counter(s.arch for s in pool.installed.solvables if s.arch not in (UNKNOWN_ARCH, "noarch"))
        arch = max(counted, key=lambda a: (counted[a], a), default="noarch")
        for solvable in nameless:
            solvable.arch = arch


def _assume_kernel(pool: solv.Pool, solvable: solv.XSolvable) -> bool:
    """Let a kernel that no repository knows be one that the installed KMPs work on."""
    match = _MAIN_KERNEL.fullmatch(solvable.name)
    spell = pool.dep2str
    provides = solvable.lookup_idarray(solv.SOLVABLE_PROVIDES)
    if match is None or match["flavor"] in _NO_FLAVOR or any(spell(p).startswith(_SYMBOL) for p in provides):
        return False
    evr = Evr.parse(solvable.evr)
    uname_r = f"{evr.version}-{evr.release.rpartition('.')[0] or evr.release}-{match['flavor']}"
    if not any(spell(p).startswith("kernel-uname-r ") for p in provides):
        capability = pool.rel2id(pool.str2id("kernel-uname-r"), pool.str2id(uname_r), solv.REL_EQ)
        solvable.add_deparray(solv.SOLVABLE_PROVIDES, capability)
    solvable.add_deparray(solv.SOLVABLE_PROVIDES, pool.str2id("multiversion(kernel)"))
    for other in pool.installed.solvables:
        if _KERNEL.fullmatch(other.name):
            continue
        for capability in other.lookup_idarray(solv.SOLVABLE_REQUIRES):
            if spell(capability).startswith(_SYMBOL):
                solvable.add_deparray(solv.SOLVABLE_PROVIDES, capability)
        for capability in other.lookup_idarray(solv.SOLVABLE_PROVIDES):
            if spell(capability).startswith("kmod("):
                solvable.add_deparray(solv.SOLVABLE_PROVIDES, capability)
    return True
