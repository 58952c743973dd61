"""updateinfo.xml: patches of kernels, their severity and CVEs, and the packages that were retracted."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import BinaryIO

from kmpsolve.metadata.content import Patch
from kmpsolve.metadata.origin import Origin
from kmpsolve.metadata.xmlstream import check_xml, read_xml

__all__ = ["read_updateinfo", "retracted_packages"]

_KERNEL, _RETRACTED = "kernel-", "retracted"
_ENTRY = b"<update"
_TAIL = 64
"""Bytes at the end of an entry that tell; more white space than fits in makes no difference but in speed."""
_IN_MEMORY = 32 << 20
"""Bytes; a larger file, which no distribution has, is read piece by piece."""


def read_updateinfo(stream: BinaryIO, *, name: str, origin: Origin, every: bool = False) -> list[Patch]:
    """Read the entries that a kernel's update has to do with, in the file's order.

    These are the ones that name a kernel's package or retract something: a distribution has ten thousand others.

    Parameters
    ----------
    stream
        The decompressed file, positioned at its beginning.
    name
        What to call it in errors.
    origin
        The repository.
    every
        Read all the others too.

    Raises
    ------
    MetadataError
        If it is malformed, or one of these entries has no id or names a package without saying which one.
    """
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    if size <= _IN_MEMORY and not every:
        text = stream.read()
        check_xml(io.BytesIO(text), name=name, root="updates", origin=origin)
        stream = io.BytesIO(_without_others(text))
    reader = _Reader(name, origin, every)
    read_xml(stream, name=name, root="updates", start=reader.start, end=reader.end, origin=origin)
    return reader.patches


def retracted_packages(patches: Iterable[Patch]) -> frozenset[str]:
    """List the packages, as NEVRAs, of entries with ``status="retracted"``.

    zypp never installs these unless they are asked for by name.
    """
    return frozenset(package for patch in patches if patch.status == _RETRACTED for package in patch.packages)


def _without_others(text: bytes) -> bytes:
    """A well-formed document without the entries that are certainly of no interest.

    All of it where comments or CDATA could hide something, or entries do not simply follow each other.
    """
    starts = [place for place in _places(text, _ENTRY) if text[place + len(_ENTRY)] in b" \t\r\n>/"]
    if not starts or b"<!" in text:
        return text
    words = (_KERNEL.encode(), _RETRACTED.encode(), b"&#")
    wanted = {bisect_right(starts, place) for word in words for place in _places(text, word)}
    starts.append(text.rindex(b"</updates"))
    if not all(_ends_an_entry(text[max(start, end - _TAIL) : end]) for start, end in pairwise(starts)):
        return text
    kept = [text[starts[number - 1] : starts[number]] for number in sorted(wanted - {0})]
    return b"".join([text[: starts[0]], *kept, text[starts[-1] :]])


def _ends_an_entry(text: bytes) -> bool:
    return text.rstrip().endswith(b"</update>")


def _places(text: bytes, word: bytes) -> Iterator[int]:
    place = text.find(word)
    while place >= 0:
        yield place
        place = text.find(word, place + 1)


class _Reader:
    """Collects the entries of updateinfo.xml while it is parsed."""

    def __init__(self, name: str, origin: Origin, every: bool) -> None:
        self._every = every
        self._name = name
        self._origin = origin
        self._depth = 0
        self._status = ""
        self._texts: dict[str, str] = {}
        self._cves: set[str] = set()
        self._packages: list[Mapping[str, str]] = []
        self.patches: list[Patch] = []

    def start(self, element: str, attributes: Mapping[str, str]) -> None:
        self._depth += 1
        if element == "update" and self._depth == 2:
            self._status = attributes.get("status", "")
            self._texts = {}
            self._cves = set()
            self._packages = []
        elif element == "reference" and attributes.get("type") == "cve" and attributes.get("id"):
            self._cves.add(attributes["id"])
        elif element == "package":
            self._packages.append(attributes)

    def end(self, element: str, text: str) -> None:
        if self._depth == 3:
            self._texts[element] = text
        elif self._depth == 2 and element == "update" and self._is_of_interest():
            if not self._texts.get("id"):
                raise self._origin.damaged(f"{self._name} has an entry without an id", "malformed-updateinfo")
            self.patches.append(
                Patch(
                    id=self._texts["id"],
                    severity=self._texts.get("severity", ""),
                    cves=tuple(sorted(self._cves)),
                    status=self._status,
                    packages=tuple(sorted(set(map(self._nevra, self._packages)))),
                )
            )
        self._depth -= 1

    def _is_of_interest(self) -> bool:
        return (
            self._every
            or self._status == _RETRACTED
            or any(package.get("name", "").startswith(_KERNEL) for package in self._packages)
        )

    def _nevra(self, attributes: Mapping[str, str]) -> str:
        try:
            name, version, release, arch = (attributes[key] for key in ("name", "version", "release", "arch"))
        except KeyError as error:
            raise self._origin.damaged(
                f"{self._name} lists a package without its {error.args[0]}: "
                f"{attributes.get('name') or attributes.get('src') or 'nameless'}",
                "malformed-updateinfo",
            ) from None
        epoch = attributes.get("epoch", "0")
        prefix = f"{epoch}:" if epoch not in ("", "0") else ""
        return f"{name}-{prefix}{version}-{release}.{arch}"
