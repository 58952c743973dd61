"""The zypper command that does exactly what a transaction says."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection

from kmpsolve.model.package import Package
from kmpsolve.solver.namesakes import namesakes
from kmpsolve.solver.transaction import Transacted
from kmpsolve.solver.universe import Universe

__all__ = ["forced", "quoted", "word_for", "zypper_install"]

_PLAIN = re.compile(r"[A-Za-z0-9_.+=:,/%@-][A-Za-z0-9_.+=:,/%@~^-]*")


def zypper_install(universe: Universe, transacted: Transacted) -> str:
    """One line to paste; run with ``-n`` as root it results in exactly the steps.

    ``--no-recommends`` keeps weak dependencies from adding to the steps; ``--oldpackage`` is needed as
    soon as one EVR is older than an installed build of its name, multiversion or not, else zypper says
    "Nothing to do" (measured); ``--force``, as soon as a lock holds what was named, else zypper asks whether to
    remove the lock (measured; it removes it then); what only goes is named with a leading ``-``, and ``--`` must then
    stand before the names.
    """
    installed = universe.installed_evrs({p.name for p in transacted.arrived})
    older = any(p.nevra.evr < evr for p in transacted.arrived for evr in installed.get(p.name, ()))
    words = [
        word_for(universe, p)
        for p in sorted(transacted.arrived, key=lambda p: (not p.name.startswith("kernel-"), str(p)))
    ]
    erased = {step.nevra for step in transacted.steps if step.action == "erase"}
    gone = sorted(f"-{p.name}={p.nevra.evr}" for p in transacted.gone if str(p) in erased)
    flags = ["--no-recommends"]
    if older:
        flags.append("--oldpackage")
    flags += forced(universe, transacted.arrived)
    if gone:
        flags.append("--")
    return " ".join(["zypper", "install", *flags, *map(quoted, [*words, *gone])])


def forced(universe: Universe, packages: Collection[Package]) -> list[str]:
    """The flag without which zypper refuses one of these, though it is named; else none.

    It refuses what a lock holds. With a lock on any version of a name it also asks its solver for a capability
    instead of the package, and what is only installed when named for itself is refused for that (measured).
    """
    names = {p.name for p in packages if p.barred in ("retracted", "ptf")}
    asked = [*packages, *(k.package for k in universe.kernels if k.package.name in names)]
    return ["--force"] if any(map(universe.locked, asked)) else []


def word_for(universe: Universe, package: Package) -> str:
    """What zypper takes for exactly this package on offer, not yet quoted.

    Where a name and an EVR mean several packages, the repository and the architecture are named too: zypper would
    take the one of the better repository, whatever its content (measured).
    """
    nevra, others = package.nevra, namesakes(universe, package)
    alias = f"{package.repository}:" if any(o.repository != package.repository for o in others) else ""
    arch = f".{nevra.arch}" if any(o.nevra.arch != nevra.arch for o in others) else ""
    return f"{alias}{nevra.name}{arch}={nevra.evr}"


def quoted(text: str) -> str:
    """A word, quoted for a shell where it has to be; ``~`` and ``^``, which EVRs have, mean nothing inside a word."""
    return text if _PLAIN.fullmatch(text) else shlex.quote(text)
