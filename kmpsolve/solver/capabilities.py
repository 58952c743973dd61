"""What the pool's capabilities mean to kernels and KMPs, found out once for each.

A capability is a small integer, and packages share equal ones: 1,500 KMP builds have half a million symbol
requirements, of which 85,000 differ. The sets made here turn the rest into set operations.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat

from kmpsolve.cache.symbols import PREFIX
from kmpsolve.model.symbols import SymbolTable

__all__ = ["Capabilities"]

_CLASS = re.compile(rf"{PREFIX}ksym\((?P<flavor>[^()]*)\):")

_BUILT_FOR = re.compile(r".+-kmp-[A-Za-z0-9_]+-k(?P<krel>\d.*)")


class Capabilities:
    """Capabilities by kind; whatever is to be looked up here is to be learnt before.

    Parameters
    ----------
    table
        Understands symbols.
    """

    def __init__(self, table: SymbolTable) -> None:
        self._table = table
        self._known: set[int] = set()
        self.symbols: set[int] = set()
        """Symbol versions and symsets."""
        self.needs: set[int] = set()
        """These, and exact kernels."""
        self.damaged: set[int] = set()
        self.modules: set[int] = set()
        self.multiversion: set[int] = set()
        self.in_kernel: set[int] = set()
        self.built_for: dict[int, str] = {}
        """The kernel release in ``N-kmp-FLAVOR-kKREL``."""
        self.by_flavor: dict[str, set[int]] = {}
        """The needs of each flavor, ``""`` for those that name none."""

    def learn(self, capabilities: Iterable[int]) -> None:
        """Sort those that are not known yet."""
        new = set(capabilities) - self._known
        self._known |= new
        usual, others = self._table.sorted_out(new)
        for flavor, those in _by_flavor(usual).items():
            self._learn_needs(flavor, those)
        for capability, text in others.items():
            if match := _CLASS.match(text):
                self._learn_needs(match["flavor"], [capability])
            else:
                self._learn_other(capability, text)

    def _learn_needs(self, flavor: str, capabilities: Sequence[int]) -> None:
        self.symbols.update(capabilities)
        self.needs.update(capabilities)
        self.by_flavor.setdefault(flavor, set()).update(capabilities)

    def _learn_other(self, capability: int, text: str) -> None:
        need = self._table.need(capability)
        if need is not None:
            if need.kind == "damaged":
                self.damaged.add(capability)
                return
            self.needs.add(capability)
            self.by_flavor.setdefault(need.flavor, set()).add(capability)
            if need.kind != "exact-kernel":
                self.symbols.add(capability)
        elif text.startswith("kmod("):
            self.modules.add(capability)
        elif text == "multiversion(kernel)":
            self.multiversion.add(capability)
        elif text.startswith("kmp_in_kernel"):
            self.in_kernel.add(capability)
        elif match := _BUILT_FOR.fullmatch(text.partition(" ")[0]):
            self.built_for[capability] = match["krel"]


def _by_flavor(symbols: Mapping[int, str]) -> Mapping[str, Sequence[int]]:
    """Symbols, ``ksym(FLAVOR:NAME) = CRC``, by flavor; nearly always they are all of one."""
    start = next(iter(symbols.values()), "").partition(":")[0]
    if all(map(str.startswith, symbols.values(), repeat(f"{start}:"))):
        return {start[5:]: list(symbols)} if symbols else {}
    found: dict[str, list[int]] = {}
    for capability, text in symbols.items():
        start, colon, _ = text.partition(":")
        found.setdefault(start[5:] if colon else "", []).append(capability)
    return found
