"""Builds held against a kernel unit, each beside the other KMPs that are there or come closest."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from kmpsolve.compat.judgement import Fit, count_mismatches, mismatches
from kmpsolve.model.package import KernelUnit, KmpBuild
from kmpsolve.model.plan import Attempt, CauseKind, Mismatch

__all__ = ["Comparison"]

_Entry = tuple[KmpBuild, bool]


class Comparison:
    """What each build misses on one unit.

    Parameters
    ----------
    fit
        Knows every build that is asked about.
    providers
        For each KMP, by name, the build that its symbols are looked up in, and True if that build serves
        the unit, False if it is only the best one tried.
    """

    def __init__(self, fit: Fit, providers: Mapping[str, _Entry]) -> None:
        self.fit = fit
        self.providers = providers

    @property
    def unit(self) -> KernelUnit:
        """The kernel."""
        return self.fit.unit

    def mismatches(self, name: str, build: KmpBuild) -> tuple[tuple[Mismatch, ...], bool, bool]:
        """What `build`, tried for KMP `name`, misses: `kmpsolve.compat.judgement.mismatches`."""
        return mismatches(build, self.fit, lambda key: self._others(key, name, build))

    def count(self, name: str, build: KmpBuild) -> tuple[int, bool, bool]:
        """As `mismatches`, but only how many."""
        return count_mismatches(build, self.fit, lambda key: self._others(key, name, build))

    def attempt(
        self, name: str, build: KmpBuild, barred: CauseKind | None = None, otherwise: CauseKind | None = None
    ) -> Attempt:
        """How `build` was tried.

        Parameters
        ----------
        barred
            Which of zypp's rules keeps it out.
        otherwise
            The cause if nothing that it requires of kernels and KMPs is one.
        """
        found, by_kernel, by_kmp = self.count(name, build)
        own: CauseKind | None = "symbols" if by_kernel else "kmp" if by_kmp else None
        if own is None and self.exact_kernel(build) is not None:
            own = "exact-kernel"
        return Attempt(str(build.nevra), build.package.repository, found, barred or own or otherwise)

    def exact_kernel(self, build: KmpBuild) -> str | None:
        """The other kernel, as a uname -r, that `build` was made for alone."""
        open_ = self.fit.open[build.package.handle]
        return next((need.value for need in open_ if need.kind == "exact-kernel"), None)

    def lenders(self, symbol: str, build: KmpBuild) -> list[str]:
        """Names of KMPs, other than the one of `build`, that provide a symbol which the unit does not."""
        keys = {need.key for need in self.fit.open[build.package.handle] if need.name == symbol}
        if any(key in self.unit.exports for key in keys):
            return []
        return [
            name
            for key in sorted(keys)
            for name, (other, _) in self._providing(key)
            if other.name != build.name
        ]

    def _others(self, key: str, name: str, build: KmpBuild) -> list[_Entry]:
        return [
            entry for other, entry in self._providing(key) if name != other and entry[0].name != build.name
        ]

    def _providing(self, key: str) -> list[tuple[str, _Entry]]:
        return self._by_key.get(key, [])

    @cached_property
    def _by_key(self) -> dict[str, list[tuple[str, _Entry]]]:
        found: dict[str, list[tuple[str, _Entry]]] = {}
        for name, entry in self.providers.items():
            for key in entry[0].exports:
                found.setdefault(key, []).append((name, entry))
        return found
