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
    """The module that a ``kmod()`` capability names, and its file."""
    text = capability.partition(" ")[0]
    if not (text.startswith("kmod(") and text.endswith(")")):
        return None
    return module_name(text[5:-1]), text[5:-1]


@lru_cache(maxsize=1 << 10)
def _named(capabilities: tuple[str, ...]) -> dict[str, str]:
    return dict(sorted(filter(None, map(_offered, capabilities))))


class Modules(Mapping[str, str]):
    """What ``kmod(NAME.ko)`` capabilities offer: the module's name -> the spelling that is provided.

    The names are only read when somebody asks: a kernel has thousands, and most kernels are never asked.

    Parameters
    ----------
    capabilities
        Reads them, in parts that other packages may have in common.
    """

    def __init__(self, capabilities: Callable[[], Iterable[Iterable[str]]]) -> None:
        self._read = capabilities

    @cached_property
    def _by_name(self) -> dict[str, str]:
        parts = [_named(tuple(part)) for part in self._read()]
        if len(parts) == 1:
            return parts[0]
        found: dict[str, str] = {}
        for part in parts:
            twice = found.keys() & part.keys()
            found |= part | {name: max(found[name], part[name]) for name in twice}
        return found

    def __getitem__(self, name: str) -> str:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._by_name))

    def keys(self) -> KeysView[str]:
        """The names, for comparisons of sets: in no order."""
        return self._by_name.keys()

    def __len__(self) -> int:
        return len(self._by_name)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name
