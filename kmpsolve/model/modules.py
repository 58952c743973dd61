"""Names of kernel modules, as packages provide them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, KeysView, Mapping
from functools import cached_property, lru_cache

__all__ = ["Modules", "module_name"]

_SUFFIX = re.compile(r"\.ko(\.(gz|xz|zst))?$")


def module_name(file: str) -> str:
    """The module in a file's name, spelled as the kernel does: no suffix, ``_`` for ``-``."""
    return _SUFFIX.sub("", file).replace("-", "_")


@lru_cache(maxsize=1 << 16)  # kernels have thousands each, and most of them in common
def _offered(capability: str) -> tuple[str, str] | None:
    """The file that a ``kmod()`` capability names, and its module."""
    text = capability.partition(" ")[0]
    if not (text.startswith("kmod(") and text.endswith(")")):
        return None
    return text[5:-1], module_name(text[5:-1])


class Modules(Mapping[str, str]):
    """What ``kmod(NAME.ko)`` capabilities offer: the module's name -> the spelling that is provided.

    The names are only read when somebody asks: a kernel has thousands, and most kernels are never asked.
    """

    def __init__(self, capabilities: Callable[[], Iterable[str]]) -> None:
        self._read = capabilities

    @cached_property
    def _by_name(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for file, name in filter(None, map(_offered, self._read())):
            if file > found.get(name, ""):
                found[name] = file
        return found

    def __getitem__(self, name: str) -> str:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._by_name, key=self._by_name.__getitem__))

    def keys(self) -> KeysView[str]:
        """The names, for comparisons of sets: in no order."""
        return self._by_name.keys()

    def __len__(self) -> int:
        return len(self._by_name)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name
