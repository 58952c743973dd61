"""Which packages of a pool are kernels or KMPs: by what they provide and require, not by their names alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import solv

from kmpsolve.cache.symbols import PREFIX
from kmpsolve.solver.kernels import KERNEL_NAME, KMOD_NAME

__all__ = ["Found", "find"]

_NOT_A_KMP = re.compile(r"kernel-(?!.*-kmp)|kgraft-patch-")
_LIVEPATCH = re.compile(r"kernel-livepatch-\d|kernel-\w+-livepatch|kgraft-patch-\d")
_OUT_OF_TREE = re.compile(r"/(updates|extra)/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Handles, in order.

    Parameters
    ----------
    kernels
        Kernel packages with the uname -r that they provide, ``""`` if none.
    modular
        What may be a KMP.
    """

    kernels: Mapping[int, str]
    modular: tuple[int, ...]
    livepatches: tuple[int, ...]


def find(pool: solv.Pool, module_files: Mapping[tuple[str, str], Iterable[str]], *, classes: bool) -> Found:
    """Look through all packages once; nothing that a name, a capability or a file gives away is missed.

    Parameters
    ----------
    module_files
        (alias, NEVRA) -> files below /lib/modules, where known.
    classes
        Whether the pool holds symbols packed into classes.
    """
    provides, requires = solv.SOLVABLE_PROVIDES, solv.SOLVABLE_REQUIRES
    symbolic = _starting(pool, "ksym(", provides) | _starting(pool, "kmod(", provides)
    found = _starting(pool, "ksym(", requires)
    if classes:
        symbolic |= _starting(pool, PREFIX, provides)
        found |= _starting(pool, PREFIX, requires)
    unames: dict[int, str] = {}
    for place in _places(pool, "kernel", provides):
        text = place.str
        if text.startswith("kernel("):
            symbolic.add(place.solvid)
        elif text == "kernel-uname-r":
            found.add(place.solvid)
            spelled = pool.dep2str(place.id)
            if spelled.startswith("kernel-uname-r = "):
                unames.setdefault(place.solvid, spelled[17:])
    for place in _places(pool, "kernel", requires):
        if place.str.startswith("kernel(") or place.str == "kernel-uname-r":
            found.add(place.solvid)
    substring = solv.Dataiterator.SEARCH_SUBSTRING
    found.update(m.solvid for m in pool.Dataiterator(solv.SOLVABLE_NAME, "-kmp-", substring))
    found.update(m.solvid for m in _places(pool, "kmod-", solv.SOLVABLE_NAME) if KMOD_NAME.fullmatch(m.str))
    for (alias, nevra), files in module_files.items():
        if any(map(_OUT_OF_TREE.search, files)):
            for s in pool.select(nevra, solv.Selection.SELECTION_CANON).solvables():
                if s.repo.name == alias:
                    found.add(s.id)
    return _sorted_out(pool, found | symbolic, symbolic, unames)


def _sorted_out(
    pool: solv.Pool, found: Iterable[int], symbolic: set[int], unames: Mapping[int, str]
) -> Found:
    kernels: dict[int, str] = {}
    modular: list[int] = []
    livepatches: list[int] = []
    for handle in sorted(found):
        solvable = pool.id2solvable(handle)
        name = solvable.name
        if solvable.arch in ("src", "nosrc"):
            continue
        if KERNEL_NAME.fullmatch(name):
            if handle in symbolic or handle in unames:
                kernels[handle] = unames.get(handle, "")
        elif _LIVEPATCH.match(name):
            livepatches.append(handle)
        elif not _NOT_A_KMP.match(name):
            modular.append(handle)
    return Found(kernels=kernels, modular=tuple(modular), livepatches=tuple(livepatches))


def _places(pool: solv.Pool, start: str, keyname: int) -> solv.Dataiterator:
    """Where the name part of a capability starts like this, package by package."""
    return pool.Dataiterator(keyname, start, solv.Dataiterator.SEARCH_STRINGSTART)


def _starting(pool: solv.Pool, start: str, keyname: int) -> set[int]:
    found: set[int] = set()
    places = _places(pool, start, keyname)
    for place in places:
        found.add(place.solvid)
        places.skip_solvable()
    return found
