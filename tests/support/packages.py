"""Packages described by tests: the one noun from which RPMs, metadata and oracle worlds are made."""

from __future__ import annotations

from dataclasses import dataclass

SUSE = "SUSE LLC <https://www.suse.com/>"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSpec:
    """One RPM to be.

    Dependencies are written as in a spec file (``acme-kmp = 2.1``, ``(a and b)``). The package's own
    ``name = evr`` is provided without being listed.
    """

    name: str
    version: str
    release: str
    epoch: int = 0
    arch: str = "x86_64"
    vendor: str = SUSE
    provides: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    post: tuple[str, ...] = ()
    """What the scripts require (``Requires(post)``)."""
    conflicts: tuple[str, ...] = ()
    obsoletes: tuple[str, ...] = ()
    recommends: tuple[str, ...] = ()
    supplements: tuple[str, ...] = ()
    enhances: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    """Paths of files in the RPM; each holds one line made of its own path."""
    triggers: tuple[str, ...] = ()
    """Names of packages for which the RPM carries a ``%triggerin``."""
    contents: tuple[tuple[str, bytes], ...] = ()
    """Paths with the bytes of the file, such as a module that was really compiled."""
    scripts: tuple[tuple[str, str], ...] = ()
    """Scriptlets: ``("post", "weak-updates-here --add …")``."""

    @property
    def evr(self) -> str:
        return (f"{self.epoch}:" if self.epoch else "") + f"{self.version}-{self.release}"

    @property
    def nevra(self) -> str:
        return f"{self.name}-{self.evr}.{self.arch}"
