"""A folder of RPMs, read as if createrepo_c had written metadata for it.

The headers are written as a primary.xml, so that the solver meets one kind of repository only, and a
folder gives the same plan as its metadata.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

from kmpsolve.metadata.content import Content
from kmpsolve.metadata.files import every_folder, open_regular
from kmpsolve.metadata.headerxml import PREREQUISITE, xml_text
from kmpsolve.metadata.origin import Origin
from kmpsolve.metadata.primaryxml import FOOT, HEAD
from kmpsolve.metadata.rpmbinding import load_rpm
from kmpsolve.metadata.rpmheader import Dependency, Header, clean, in_primary
from kmpsolve.metadata.spool import spooled

__all__ = ["find_rpms", "open_rpm_folder"]

_SKIPPED = (".src.rpm", ".nosrc.rpm")
_MODULE = re.compile(r"(?:/usr)?/lib/modules/.+\.ko(?:\.(?:gz|xz|zst))?")


class _Package(NamedTuple):
    """What one RPM adds to the repository."""

    nevra: str
    xml: str
    triggers: tuple[str, ...]
    module_files: tuple[str, ...]


def find_rpms(folder: Path) -> list[Path]:
    """List the RPMs in `folder` and below it, links followed, without source packages, sorted by path.

    Raises
    ------
    OSError
        If a folder cannot be read: an RPM in it could be the one that matters.
    """
    return sorted(
        parent / name
        for parent, names in every_folder(folder)
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
        target.write(HEAD)
        for path in paths:
            package = reader.read(path)
            if package is None:
                continue
            target.write(package.xml.encode())
            _add(triggers, package.nevra, package.triggers)
            _add(module_files, package.nevra, package.module_files)
        target.write(FOOT)
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
            f"<name>{xml_text(header.name)}</name>\n"
            f"<arch>{xml_text(header.arch)}</arch>\n"
            f'<version epoch="{header.epoch}" ver="{xml_text(header.version)}"'
            f' rel="{xml_text(header.release)}"/>\n'
            f'<checksum type="sha256" pkgid="YES">{checksum}</checksum>\n'
            f'<time file="{int(status.st_mtime)}" build="{header.number("BUILDTIME")}"/>\n'
            f'<size package="{status.st_size}" installed="{header.number("LONGSIZE")}"/>\n'
            f'<location href="{xml_text(clean(str(path.relative_to(self._folder))))}"/>\n'
            "<format>\n"
            f"<rpm:license>{xml_text(header.text('LICENSE'))}</rpm:license>\n"
            f"<rpm:vendor>{xml_text(header.text('VENDOR'))}</rpm:vendor>\n"
            f"<rpm:sourcerpm>{xml_text(header.text('SOURCERPM'))}</rpm:sourcerpm>\n"
        ]
        for kind, found in header.dependencies(set(files)).items():
            if found:
                requires = kind == "requires"
                xml.append(f"<rpm:{kind}>\n")
                xml += [_entry(one, pre=requires and bool(one.sense & PREREQUISITE)) for one in found]
                xml.append(f"</rpm:{kind}>\n")
        xml += [f"<file>{xml_text(file)}</file>\n" for file in files if in_primary(file)]
        xml.append("</format>\n</package>\n")
        return _Package(
            nevra=header.nevra,
            xml="".join(xml),
            triggers=tuple(header.texts("TRIGGERNAME")),
            module_files=tuple(file for file in files if _MODULE.fullmatch(file)),
        )

    def _header(self, file: BinaryIO, path: Path, size: int) -> Header:
        try:
            header = Header(self._rpm, self._transaction.hdrFromFdno(file.fileno()))
        except (self._rpm.error, ValueError) as error:
            raise self._origin.damaged(
                f"{path} is no RPM, or a damaged one ({error})", "damaged-rpm"
            ) from None
        # The signature header states the length of all that follows it; only large RPMs need the long form.
        want = header.number("LONGSIGSIZE") or header.number("SIGSIZE")
        if want and size < _main_header_offset(file) + want:
            raise self._origin.damaged(f"{path} is cut short", "damaged-rpm")
        return header


def _main_header_offset(file: BinaryIO) -> int:
    """Where an RPM's main header begins: after the lead (96 bytes) and the signature header, padded to 8."""
    entries, size = struct.unpack(">8xII", os.pread(file.fileno(), 16, 96))
    end: int = 96 + 16 + 16 * entries + size
    return end + -end % 8


def _entry(one: Dependency, *, pre: bool) -> str:
    mark = ' pre="1"' if pre else ""
    evr = f' flags="{one.comparison}"{_evr_attributes(one.evr)}' if one.comparison else ""
    return f'<rpm:entry name="{xml_text(one.name)}"{evr}{mark}/>\n'


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
    text = f' epoch="{xml_text(epoch) or 0}"'
    if version:
        text += f' ver="{xml_text(version)}"'
    if release:
        text += f' rel="{xml_text(release)}"'
    return text
