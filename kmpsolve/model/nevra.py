"""The full name of a package: name, epoch, version, release, architecture."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kmpsolve.model.evr import Evr

__all__ = ["Nevra", "same_architecture"]


@dataclass(frozen=True, slots=True)
class Nevra:
    """``name-[epoch:]version-release.arch``."""

    name: str
    evr: Evr
    arch: str

    @classmethod
    def parse(cls, text: str) -> Nevra:
        """Read a NEVRA.

        Raises
        ------
        ValueError
            If `text` has no architecture or fewer than two dashes before it.
        """
        rest, dot, arch = text.rpartition(".")
        parts = rest.rsplit("-", 2)
        if not dot or len(parts) != 3 or not all(parts) or not arch:
            raise ValueError(text)
        name, version, release = parts
        return cls(name, Evr.parse(f"{version}-{release}"), arch)

    def __str__(self) -> str:
        return f"{self.name}-{self.evr}.{self.arch}"


def same_architecture(a: str, b: str) -> bool:
    """Whether modules of architecture `a` can belong to a kernel of architecture `b`."""

    def family(arch: str) -> str:
        return "ix86" if re.fullmatch(r"i[3-6]86", arch) else arch

    return "noarch" in (a, b) or family(a) == family(b)
