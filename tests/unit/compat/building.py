"""Kernels and KMP builds in a few words, without a solver: ``kmp('a', needs='x=1', gives='y=2')``."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from kmpsolve.model.evr import Evr
from kmpsolve.model.nevra import Nevra
from kmpsolve.model.package import KernelUnit, KmpBuild, Package
from kmpsolve.model.symbols import Exports, SymbolTable

_texts: list[str] = []
TABLE = SymbolTable(_texts.__getitem__)


def _capability(text: str) -> int:
    if text not in _texts:
        _texts.append(text)
    return _texts.index(text)


def _symbols(words: str) -> list[int]:
    """``x=1`` is a symbol of flavor default, ``exact=UNAME`` an exact kernel, ``{fs}=1`` a symset."""
    found = []
    for word in words.split():
        name, _, value = word.partition("=")
        if name == "exact":
            found.append(_capability(f"kernel-uname-r = {value}"))
        elif name.startswith("{"):
            found.append(_capability(f"kernel(default:{name[1:-1]}) = {value}"))
        else:
            found.append(_capability(f"ksym(default:{name}) = {value}"))
    return found


def _exports(words: str) -> Exports:
    return Exports(partial(_symbols, words), TABLE)


class Classes:
    """The symbols x, y and z stand behind one capability; whoever asks requires the same of them."""

    def __init__(self, capability: int, *, required: str = "xy") -> None:
        self._capability = capability
        self._required = required

    @property
    def capabilities(self) -> frozenset[int]:
        return frozenset({self._capability})

    def members(self, capability: int, start: str) -> list[str]:
        return [f"ksym(default:{name}) = 1" for name in "xyz"]

    def needed(self, handle: int) -> list[int]:
        return [self._capability]

    def required(self, handle: int, capability: int) -> list[str]:
        return [f"ksym(default:{name}) = 1" for name in self._required]

    def count(self, handle: int, capabilities: Iterable[int]) -> int:
        return len(self._required) * len(set(capabilities))

    def versions(self, name: str) -> list[tuple[int, str]]:
        return []


_handles = iter(range(1, 1 << 30))


def package(name: str, evr: str, *, installed: bool) -> Package:
    return Package(
        handle=next(_handles),
        nevra=Nevra(name, Evr.parse(evr), "x86_64"),
        vendor="",
        repository=None if installed else "r1",
        priority=99,
    )


def kernel(gives: str, *, evr: str = "6.4.0-20.1", uname_r: str = "6.4.0-20-default") -> KernelUnit:
    main = package("kernel-default", evr, installed=False)
    return KernelUnit(
        flavor="default",
        uname_r=uname_r,
        main=main,
        packages=(main,),
        exports=_exports(f"{gives} exact={uname_r}"),
        modules={},
        obsoletes=(),
    )


def kmp(
    name: str, needs: str = "", gives: str = "", *, evr: str = "1_k6.4.0_10-1", installed: bool = True
) -> KmpBuild:
    return KmpBuild(
        package=package(f"{name}-kmp-default", evr, installed=installed),
        flavor="default",
        needs=frozenset(_symbols(needs)),
        damaged=(),
        exports=_exports(gives),
        modules={},
        obsoletes=(),
        built_for="",
        module_folders=frozenset(),
        multiversion=True,
        rebuilds_on_host=False,
    )
