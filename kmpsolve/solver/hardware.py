"""libsolv's namespace of hardware: which ``Supplements: modalias(...)`` this machine meets.

libsolv turns ``modalias(kernel-default:pci:v00008086d*)`` into
``(kernel-default and namespace:modalias(pci:v00008086d*))`` and asks its user about the second part. zypper
answers from /sys; here the patterns are looked up beforehand, since the binding offers no callback.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import solv

from kmpsolve.model.modalias import Modaliases, unescaped

__all__ = ["answer_for_hardware", "hardware_patterns", "supplementing"]

_ASKED = re.compile(r"namespace:modalias\((\S*?)\)(?=\)*(?:\s|$))")


def supplementing(pool: solv.Pool) -> list[solv.XSolvable]:
    """All packages that supplement a piece of hardware."""
    found: list[solv.XSolvable] = pool.matchdeps(
        "*modalias(*", solv.Selection.SELECTION_GLOB, solv.SOLVABLE_SUPPLEMENTS
    ).solvables()
    return found


def hardware_patterns(pool: solv.Pool, solvable: solv.XSolvable) -> list[tuple[int, str]]:
    """The supplements of a package that name hardware: the dependency's id, and the pattern as written."""
    found = []
    for dependency in solvable.lookup_idarray(solv.SOLVABLE_SUPPLEMENTS):
        for pattern in _ASKED.findall(pool.dep2str(dependency)):
            found.append((dependency, pattern))
    return found


def answer_for_hardware(pool: solv.Pool, patterns: Iterable[str], devices: Modaliases) -> None:
    """Tell the pool which patterns match a device; to be repeated after each ``createwhatprovides``."""
    namespace = pool.Dep("namespace:modalias")
    for pattern in patterns:
        pool.set_namespaceproviders(namespace, pool.Dep(pattern), bool(devices.matching(unescaped(pattern))))
