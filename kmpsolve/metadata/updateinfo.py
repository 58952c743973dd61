"""updateinfo.xml: patches, their severity and CVEs, and the packages that were retracted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import BinaryIO

from kmpsolve.metadata.content import Patch
from kmpsolve.metadata.origin import Origin
from kmpsolve.metadata.xmlstream import read_xml

__all__ = ["read_updateinfo", "retracted_packages"]


def read_updateinfo(stream: BinaryIO, *, name: str, origin: Origin) -> list[Patch]:
    """Read all entries of an updateinfo.xml, in the file's order.

    Parameters
    ----------
    stream
        The decompressed file, positioned at its beginning.
    name
        What to call it in errors.
    origin
        The repository.

    Raises
    ------
    MetadataError
        If it is malformed, or an entry names a package without saying which one.
    """
    reader = _Reader(name, origin)
    read_xml(stream, name=name, root="updates", start=reader.start, end=reader.end, origin=origin)
    return reader.patches


def retracted_packages(patches: Iterable[Patch]) -> frozenset[str]:
    """List the packages, as NEVRAs, of entries with ``status="retracted"``.

    zypp never installs these unless they are asked for by name.
    """
    return frozenset(
        package for patch in patches if patch.status == "retracted" for package in patch.packages
    )


class _Reader:
    """Collects the entries of updateinfo.xml while it is parsed."""

    def __init__(self, name: str, origin: Origin) -> None:
        self._name = name
        self._origin = origin
        self._depth = 0
        self._status = ""
        self._texts: dict[str, str] = {}
        self._cves: set[str] = set()
        self._packages: set[str] = set()
        self.patches: list[Patch] = []

    def start(self, element: str, attributes: Mapping[str, str]) -> None:
        self._depth += 1
        if element == "update" and self._depth == 2:
            self._status = attributes.get("status", "")
            self._texts = {}
            self._cves = set()
            self._packages = set()
        elif element == "reference" and attributes.get("type") == "cve" and attributes.get("id"):
            self._cves.add(attributes["id"])
        elif element == "package":
            self._packages.add(self._nevra(attributes))

    def end(self, element: str, text: str) -> None:
        if self._depth == 3:
            self._texts[element] = text
        elif self._depth == 2 and element == "update":
            if not self._texts.get("id"):
                raise self._origin.damaged(f"{self._name} has an entry without an id", "malformed-updateinfo")
            self.patches.append(
                Patch(
                    id=self._texts["id"],
                    severity=self._texts.get("severity", ""),
                    cves=tuple(sorted(self._cves)),
                    status=self._status,
                    packages=tuple(sorted(self._packages)),
                )
            )
        self._depth -= 1

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
