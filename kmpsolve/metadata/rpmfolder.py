"""A folder of RPMs, read as if createrepo_c had written metadata for it.

The headers are written as a primary.xml, so that the solver meets one kind of repository only, and a
folder gives the same plan as its metadata. What createrepo_c leaves out of its metadata is therefore
left out here too: ``rpmlib(...)`` requirements, requirements that the package itself meets, and all
but the newest of the ``libc.so.6`` ones.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, NamedTuple

from kmpsolve.metadata.content import Content
from kmpsolve.metadata.files import open_regular
from kmpsolve.metadata.origin import Origin
from kmpsolve.metadata.rpmbinding import load_rpm
from kmpsolve.metadata.spool import spooled

__all__ = ["find_rpms", "open_rpm_folder"]

_SKIPPED = (".src.rpm", ".nosrc.rpm")

_MODULE = re.compile(r"(?:/usr)?/lib/modules/.+\.ko(?:\.(?:gz|xz|zst))?")

_COMPARISONS = {2: "LT", 4: "GT", 8: "EQ", 10: "LE", 12: "GE"}
"""rpm's sense bits (less 2, greater 4, equal 8) as rpm-md writes them."""

_PRE = 1 << 6 | 1 << 7 | 1 << 9 | 1 << 10 | 1 << 5
"""Requirements that must be met before a scriptlet runs: bits for prereq, pretrans, pre, post, posttrans."""

_LIBC_VERSION = re.compile(r"[^(]*\([^)\d]*(\d[^)]*)\)")

_MISSING_OK = 1 << 19
_STRONG = 1 << 27
"""How rpm before 4.12 (Code 11 and 12) spelt weak dependencies: a requirement that may be missing is a
recommendation, and a strong suggestion or enhancement is a recommendation or a supplement."""

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

_ESCAPES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "\t": "&#9;",
    "\n": "&#10;",
    "\r": "&#13;",
}
_ESCAPED = re.compile('[&<>"\t\n\r]')


class _Dependency(NamedTuple):
    """A capability or a requirement as an RPM header holds it."""

    name: str
    comparison: str
    evr: str
    sense: int

    def entry(self, pre: bool) -> str:
        """Write it as an ``<rpm:entry>``."""
        mark = ' pre="1"' if pre else ""
        evr = f' flags="{self.comparison}"{_evr_attributes(self.evr)}' if self.comparison else ""
        return f'<rpm:entry name="{_xml(self.name)}"{evr}{mark}/>\n'


class _Package(NamedTuple):
    """What one RPM adds to the repository."""

    nevra: str
    xml: str
    triggers: tuple[str, ...]
    module_files: tuple[str, ...]


def find_rpms(folder: Path) -> list[Path]:
    """List the RPMs in `folder` and below it, without source packages, sorted by path.

    Raises
    ------
    OSError
        If a folder cannot be read: an RPM in it could be the one that matters.
    """

    def fail(error: OSError) -> None:
        raise error

    return sorted(
        Path(parent, name)
        for parent, _, names in os.walk(folder, onerror=fail)
        for name in names
        if name.endswith(".rpm") and not name.endswith(_SKIPPED)
    )


def open_rpm_folder(folder: Path, *, alias: str, priority: int = 99, source: str | None = None) -> Content:
    """Read all RPMs in and below a folder.

    Signatures are not looked at; the header's own digests are, and so is the file's length.

    Parameters
    ----------
    folder
        The folder.
    alias, priority
        The repository's, as in `Content`.
    source
        How the user or the configuration named it; by default, the folder.

    Raises
    ------
    MetadataError
        If there is no RPM, or any is damaged: without it, a rebuild could be missed.
    """
    try:
        paths = find_rpms(folder)
    except OSError as error:
        raise Origin(alias=alias, remedy="Check its permissions").damaged(
            f"{error.filename} cannot be read ({error.strerror})", "folder-unreadable"
        ) from error
    if not paths:
        raise Origin(
            alias=alias, remedy="Give a folder of RPMs, or one with repodata/ (createrepo_c makes it)"
        ).damaged(f"{folder} has neither repodata/repomd.xml nor any RPM", "empty-folder")
    origin = Origin(alias=alias, remedy="Remove the file, or copy it again")
    reader = _Reader(folder, origin)
    triggers: dict[str, tuple[str, ...]] = {}
    module_files: dict[str, tuple[str, ...]] = {}
    with spooled(str(folder), origin) as target:
        target.write(
            b'<?xml version="1.0" encoding="UTF-8"?>\n'
            b'<metadata xmlns="http://linux.duke.edu/metadata/common"'
            b' xmlns:rpm="http://linux.duke.edu/metadata/rpm">\n'
        )
        for path in paths:
            package = reader.read(path)
            if package is None:
                continue
            target.write(package.xml.encode())
            _add(triggers, package.nevra, package.triggers)
            _add(module_files, package.nevra, package.module_files)
        target.write(b"</metadata>\n")
    return Content(
        alias=alias,
        source=source or str(folder),
        priority=priority,
        primary=target,
        packages_at=folder,
        triggers=triggers,
        module_files=module_files,
    )


def _add(found: dict[str, tuple[str, ...]], nevra: str, more: tuple[str, ...]) -> None:
    # Two files may carry one NEVRA, and not even the same content.
    if more:
        found[nevra] = tuple(sorted({*found.get(nevra, ()), *more}))


class _Reader:
    """Reads RPMs and writes their headers as primary.xml's ``<package>`` elements."""

    def __init__(self, folder: Path, origin: Origin) -> None:
        self._folder = folder
        self._origin = origin
        self._rpm = rpm = load_rpm()
        self._transaction = rpm.TransactionSet()
        # Without signatures rpm needs no keys, and does not open this machine's rpmdb to look for them.
        self._transaction.setVSFlags(rpm._RPMVSF_NOSIGNATURES)

    def read(self, path: Path) -> _Package | None:
        """Read one RPM; None for a source package that does not say so in its file name."""
        try:
            with open_regular(path, str(path), self._origin) as file:
                status = os.fstat(file.fileno())
                header = self._header(file, path, status.st_size)
                if header.source:
                    return None
                file.seek(0)
                checksum = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise self._origin.damaged(
                f"{path} cannot be read ({error.strerror})", "file-unreadable"
            ) from error
        files = header.texts("FILENAMES")
        xml = [
            '<package type="rpm">\n'
            f"<name>{_xml(header.name)}</name>\n"
            f"<arch>{_xml(header.arch)}</arch>\n"
            f'<version epoch="{header.epoch}" ver="{_xml(header.version)}" rel="{_xml(header.release)}"/>\n'
            f'<checksum type="sha256" pkgid="YES">{checksum}</checksum>\n'
            f'<time file="{int(status.st_mtime)}" build="{header.number("BUILDTIME")}"/>\n'
            f'<size package="{status.st_size}" installed="{header.number("LONGSIZE")}"/>\n'
            f'<location href="{_xml(_clean(str(path.relative_to(self._folder))))}"/>\n'
            "<format>\n"
            f"<rpm:license>{_xml(header.text('LICENSE'))}</rpm:license>\n"
            f"<rpm:vendor>{_xml(header.text('VENDOR'))}</rpm:vendor>\n"
            f"<rpm:sourcerpm>{_xml(header.text('SOURCERPM'))}</rpm:sourcerpm>\n"
        ]
        for kind, found in header.dependencies(set(files)).items():
            if found:
                requires = kind == "requires"
                xml.append(f"<rpm:{kind}>\n")
                xml += [one.entry(requires and bool(one.sense & _PRE)) for one in found]
                xml.append(f"</rpm:{kind}>\n")
        xml += [f"<file>{_xml(file)}</file>\n" for file in files if _in_primary(file)]
        xml.append("</format>\n</package>\n")
        return _Package(
            nevra=header.nevra,
            xml="".join(xml),
            triggers=tuple(header.texts("TRIGGERNAME")),
            module_files=tuple(file for file in files if _MODULE.fullmatch(file)),
        )

    def _header(self, file: BinaryIO, path: Path, size: int) -> _Header:
        try:
            header = _Header(self._rpm, self._transaction.hdrFromFdno(file.fileno()))
        except (self._rpm.error, ValueError) as error:
            raise self._origin.damaged(
                f"{path} is no RPM, or a damaged one ({error})", "damaged-rpm"
            ) from None
        # The signature header states the length of all that follows it; only large RPMs need the long form.
        want = header.number("LONGSIGSIZE") or header.number("SIGSIZE")
        if want and size < _main_header_offset(file) + want:
            raise self._origin.damaged(f"{path} is cut short", "damaged-rpm")
        return header


class _Header:
    """One RPM's header, as text that XML can express.

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

    def dependencies(self, files: set[str]) -> dict[str, list[_Dependency]]:
        """List all dependencies by kind, those that createrepo_c would write.

        Parameters
        ----------
        files
            The package's own files.
        """
        found = {kind: self._dependencies(kind[:-1].upper()) for kind in _KINDS}
        required = self._visible(found["requires"], set(found["provides"]), files)
        found["requires"] = [one for one in required if not one.sense & _MISSING_OK]
        found["recommends"][:0] = [one for one in required if one.sense & _MISSING_OK]
        for tag, weak, strong in (
            ("OLDSUGGESTS", "suggests", "recommends"),
            ("OLDENHANCES", "enhances", "supplements"),
        ):
            for one in self._dependencies(tag):
                found[strong if one.sense & _STRONG else weak].append(one)
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
        return texts if joined.isascii() and joined.isprintable() else [_clean(text) for text in texts]

    def _dependencies(self, tag: str) -> list[_Dependency]:
        return [
            _Dependency(name, _COMPARISONS.get(sense & 0xF, ""), evr, sense)
            for name, sense, evr in zip(
                self.texts(f"{tag}NAME"), self._get(f"{tag}FLAGS"), self.texts(f"{tag}VERSION"), strict=False
            )
        ]

    def _visible(
        self, requires: Iterable[_Dependency], provides: set[_Dependency], files: set[str]
    ) -> list[_Dependency]:
        """Leave out the requirements that createrepo_c leaves out."""
        own = {one[:3] for one in provides}
        kept: list[_Dependency] = []
        libc: _Dependency | None = None
        for one in requires:
            name = one.name
            if name.startswith("rpmlib(") or (name in files and _in_primary(name)) or one[:3] in own:
                continue
            if name.startswith("libc.so.6") and not one.sense & _MISSING_OK:
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


def _main_header_offset(file: BinaryIO) -> int:
    """Where an RPM's main header begins: after the lead (96 bytes) and the signature header, padded to 8."""
    entries, size = struct.unpack(">8xII", os.pread(file.fileno(), 16, 96))
    end: int = 96 + 16 + 16 * entries + size
    return end + -end % 8


def _in_primary(file: str) -> bool:
    """Tell whether primary.xml lists a file; all others are in filelists.xml, which nobody has to load."""
    return file.startswith("/etc/") or "bin/" in file or file == "/usr/lib/sendmail"


def _evr_attributes(evr: str) -> str:
    """Split an EVR as createrepo_c does: at the first colon if a number precedes it, and the first dash.

    With ``kernel-uname-r = 6.4.0-1-default`` the release is ``1-default``. Where no number precedes the
    colon, createrepo_c drops the whole dependency; rpm, and this, take the colon as part of the version.
    """
    if not evr:
        return ""
    epoch, colon, rest = evr.partition(":")
    if not colon or not (epoch.isdecimal() or not epoch):
        epoch, rest = "0", evr
    version, _, release = rest.partition("-")
    text = f' epoch="{_xml(epoch) or 0}"'
    if version:
        text += f' ver="{_xml(version)}"'
    if release:
        text += f' rel="{_xml(release)}"'
    return text


def _clean(text: str) -> str:
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


def _xml(text: str) -> str:
    # Nearly none of a kernel's 28,000 capabilities has anything to escape, and a search is quick.
    return _ESCAPED.sub(lambda match: _ESCAPES[match[0]], text) if _ESCAPED.search(text) else text
