"""The header of an RPM file: text that XML can express, and the dependencies that createrepo_c would write.

What createrepo_c leaves out of its metadata is left out here too: ``rpmlib(...)`` requirements, requirements
that the package itself meets, and all but the newest of the ``libc.so.6`` ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from kmpsolve.metadata.headerxml import COMPARISONS, MISSING_OK, STRONG

__all__ = ["Dependency", "Header", "clean", "in_primary"]

_LIBC_VERSION = re.compile(r"[^(]*\([^)\d]*(\d[^)]*)\)")

_KINDS = (
    "provides",
    "requires",
    "conflicts",
    "obsoletes",
    "suggests",
    "enhances",
    "recommends",
    "supplements",
)
"""The dependency lists of rpm-md, in createrepo_c's order; the RPM tags are named after them."""

_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""Characters that XML 1.0 cannot express, not even escaped."""


class Dependency(NamedTuple):
    """A capability or a requirement as an RPM header holds it."""

    name: str
    comparison: str
    evr: str
    sense: int


class Header:
    """One RPM's header, as text that XML can express.

    Parameters
    ----------
    rpm
        rpm's binding.
    header
        As the binding reads it.

    Raises
    ------
    ValueError
        If it lacks a name, version, release or architecture.
    """

    def __init__(self, rpm: ModuleType, header: Any) -> None:
        self._rpm = rpm
        self._header = header
        self.name, self.version, self.release, self.arch = (
            self.text(tag) for tag in ("NAME", "VERSION", "RELEASE", "ARCH")
        )
        if not (self.name and self.version and self.release and self.arch):
            raise ValueError("its header has no full name")
        self.epoch = self.number("EPOCH")
        self.source = bool(self.number("SOURCEPACKAGE"))

    @property
    def nevra(self) -> str:
        """The NEVRA, without an epoch of 0."""
        epoch = f"{self.epoch}:" if self.epoch else ""
        return f"{self.name}-{epoch}{self.version}-{self.release}.{self.arch}"

    def number(self, tag: str) -> int:
        """Read a number; 0 if it is absent."""
        return int(self._get(tag) or 0)

    def text(self, tag: str) -> str:
        """Read a text; empty if it is absent."""
        value = self._get(tag)
        return self._cleaned([value])[0] if value else ""

    def texts(self, tag: str) -> list[str]:
        """Read a list of texts; empty if it is absent."""
        return self._cleaned(self._get(tag))

    def dependencies(self, files: set[str]) -> dict[str, list[Dependency]]:
        """List all dependencies by kind, those that createrepo_c would write.

        Parameters
        ----------
        files
            The package's own files.
        """
        found = {kind: self._dependencies(kind[:-1].upper()) for kind in _KINDS}
        required = self._visible(found["requires"], set(found["provides"]), files)
        found["requires"] = [one for one in required if not one.sense & MISSING_OK]
        found["recommends"][:0] = [one for one in required if one.sense & MISSING_OK]
        for tag, weak, strong in (
            ("OLDSUGGESTS", "suggests", "recommends"),
            ("OLDENHANCES", "enhances", "supplements"),
        ):
            for one in self._dependencies(tag):
                found[strong if one.sense & STRONG else weak].append(one)
        return found

    def _get(self, tag: str) -> Any:
        return self._header[getattr(self._rpm, f"RPMTAG_{tag}")]

    @staticmethod
    def _cleaned(values: Sequence[str] | Sequence[bytes]) -> list[str]:
        # rpm's binding gives bytes before 4.15, and later on text with surrogates for what is not UTF-8.
        texts = [
            value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
            for value in values
        ]
        joined = "".join(texts)
        return texts if joined.isascii() and joined.isprintable() else [clean(text) for text in texts]

    def _dependencies(self, tag: str) -> list[Dependency]:
        return [
            Dependency(name, COMPARISONS.get(sense & 0xF, ""), evr, sense)
            for name, sense, evr in zip(
                self.texts(f"{tag}NAME"), self._get(f"{tag}FLAGS"), self.texts(f"{tag}VERSION"), strict=False
            )
        ]

    def _visible(
        self, requires: Iterable[Dependency], provides: set[Dependency], files: set[str]
    ) -> list[Dependency]:
        """Leave out the requirements that createrepo_c leaves out."""
        own = {one[:3] for one in provides}
        kept: list[Dependency] = []
        libc: Dependency | None = None
        for one in requires:
            name = one.name
            if name.startswith("rpmlib(") or (name in files and in_primary(name)) or one[:3] in own:
                continue
            if name.startswith("libc.so.6") and not one.sense & MISSING_OK:
                if libc is None or self._newer(name, libc.name):
                    libc = one
            else:
                kept.append(one)
        return [*kept, libc] if libc else kept

    def _newer(self, first: str, second: str) -> bool:
        """Compare the versions in two names such as ``libc.so.6(GLIBC_2.34)(64bit)``."""
        versions = [_LIBC_VERSION.match(name) for name in (first, second)]
        if versions[0] is None or versions[1] is None:
            return versions[0] is not None
        newer: int = self._rpm.labelCompare(("0", versions[0][1], ""), ("0", versions[1][1], ""))
        return newer > 0


def in_primary(file: str) -> bool:
    """Tell whether primary.xml lists a file; all others are in filelists.xml, which nobody has to load."""
    return file.startswith("/etc/") or "bin/" in file or file == "/usr/lib/sendmail"


def clean(text: str) -> str:
    """Make a text out of whatever an RPM holds.

    Bytes that are not UTF-8 are taken as Latin-1, as createrepo_c takes them. A character that XML
    cannot express, as in the ``ksym(default:\\x02)`` of some real KMPs, becomes U+FFFD: the package still
    counts, and the damaged requirement matches nothing.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raw = text.encode("utf-8", "surrogateescape")
        # Latin-1 has only control characters from 0x80 to 0x9f; createrepo_c leaves out all up to 0xbf.
        text = bytes(byte for byte in raw if not 0x80 <= byte < 0xC0).decode("latin-1")
    return _ILLEGAL.sub("\ufffd", text)
