"""A disk that an inventory tells of: modules that no package owns, and the symbols that they need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from kmpsolve.metadata.content import ToldModule
from kmpsolve.model.needs import flavor_of_uname, parse_need
from kmpsolve.model.plan import Mismatch, Unmanaged, Warned

__all__ = ["ToldDisk"]


class ToldDisk:
    """Judges modules from what was told of them; see `kmpsolve.request.DiskView`.

    Parameters
    ----------
    modules
        Those of one host.
    """

    def __init__(self, modules: Sequence[ToldModule]) -> None:
        self._modules = modules

    def unmanaged(
        self, flavor: str, uname_r: str, nevra: str, provides: Callable[[], Iterable[str]]
    ) -> tuple[Unmanaged, ...]:
        """The modules that are there for this flavor, against the symbols that will be provided."""
        mine = [module for module in self._modules if flavor_of_uname(module.uname_r) in ("", flavor)]
        if not mine:
            return ()
        offered: dict[str, str] = {}
        for need in filter(None, map(parse_need, provides())):
            if need.kind == "ksym" and need.flavor in ("", flavor):
                offered[need.name] = need.value
        return tuple(sorted((self._judged(module, offered) for module in mine), key=lambda one: one.path))

    def _judged(self, module: ToldModule, offered: dict[str, str]) -> Unmanaged:
        # Modules of one kernel's folder use each other's symbols.
        beside = [one for one in self._modules if one.uname_r == module.uname_r and one.path != module.path]
        exported = {name: crc for one in beside for name, crc in one.exports.items()} | dict(offered)
        mismatches = tuple(
            Mismatch(
                symbol=symbol,
                kind="disagrees" if symbol in exported else "unknown",
                wanted=crc,
                found=exported.get(symbol),
            )
            for symbol, crc in sorted((module.needs or {}).items())
            if exported.get(symbol) != crc
        )
        # Without symbol versions nothing is known, and what nobody knows does not load for sure.
        state: Literal["loads", "blocked", "unverified"] = "blocked" if mismatches else "loads"
        if not module.needs:
            state = "unverified"
        return Unmanaged(module=module.module, path=module.path, state=state, mismatches=mismatches)

    def rebuilds(
        self, kmps: Iterable[str], uname_r: str, arch: str, missing_headers: Iterable[str]
    ) -> tuple[Warned, ...]:
        """Inventories do not tell what DKMS would build."""
        return ()

    def parts(
        self, builds: Iterable[str], uname_r: str, nevra: str, provides: Callable[[], Iterable[str]]
    ) -> Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]:
        """Inventories tell of packages, not of the modules in them."""
        return {}

    def overruled(self, build: str, modules: Iterable[str], uname_r: str, *, native: bool) -> tuple[str, ...]:
        """Inventories do not tell how depmod is configured."""
        return ()
