"""The installed packages: a system's rpmdb, or what zypper last cached of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from kmpsolve.errors import MetadataError
from kmpsolve.metadata.content import Content
from kmpsolve.metadata.database import SYSTEM, Database, find_database
from kmpsolve.metadata.files import read_small
from kmpsolve.metadata.headers import header_text, headers
from kmpsolve.metadata.headerxml import HeaderWriter
from kmpsolve.metadata.origin import Origin
from kmpsolve.metadata.rootpath import Root
from kmpsolve.metadata.rpmbinding import load_rpm
from kmpsolve.metadata.spool import spooled
from kmpsolve.model.evr import Evr
from kmpsolve.model.nevra import Nevra

__all__ = [
    "Installed",
    "PublicKey",
    "installed_nevras",
    "main_architecture",
    "public_keys",
    "read_installed",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What is installed.

    Parameters
    ----------
    content
        The packages.
    stale
        None if they come from the rpmdb; else why it could not be read. They then are what zypper last
        cached, which a plain ``rpm -i`` or ``rpm -e`` since then has made wrong.
    remedy
        What to do about that, one sentence; empty if nothing is known.
    """

    content: Content
    stale: str | None = None
    remedy: str = ""


def read_installed(root: Root, cache: str = "/var/cache/zypp/solv/@System/solv") -> Installed:
    """Read the installed packages of a system; public keys, which rpm keeps there too, are left out.

    Parameters
    ----------
    root
        The system.
    cache
        zypper's copy of the rpmdb, as the system names it, for a backend that this machine's rpm cannot read.

    Raises
    ------
    MetadataError
        ``no-rpmdb``, ``rpmdb-unreadable`` or ``no-rpm-binding``, if neither can be read; ``rpmdb-damaged``, if
        rpm reads only part of it.
    """
    database = find_database(root)
    try:
        return Installed(content=_read(database))
    except MetadataError as error:
        copy = root.path(cache)
        if error.reference == "rpmdb-damaged" or not copy.is_file():
            raise
        content = Content(alias=SYSTEM, source=str(copy), solv=copy, whole_system=True)
        return Installed(content=content, stale=str(error), remedy=error.hint or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A public key that rpm trusts.

    Parameters
    ----------
    name
        ``gpg-pubkey-VERSION-RELEASE``: the end of its id and when it was made, in hex; or a file's name.
    summary
        Whose it is.
    armored
        The key.
    """

    name: str
    summary: str
    armored: bytes


def public_keys(root: Root) -> tuple[PublicKey, ...]:
    """The public keys that rpm trusts on a system, sorted by name.

    They are packages named gpg-pubkey, or, since rpm 4.20, files beside the database where it is told so. A
    database that cannot be read has none: what needs a key then lacks it.
    """
    try:
        database = find_database(root)
        rpm = load_rpm()
        keys = [
            PublicKey(
                name=header_text(header[rpm.RPMTAG_NVR]),
                summary=header_text(header[rpm.RPMTAG_SUMMARY]),
                armored=header_text(header[rpm.RPMTAG_DESCRIPTION]).encode("ascii", "replace"),
            )
            for header in headers(rpm, database)
            if header_text(header[rpm.RPMTAG_NAME]) == "gpg-pubkey"
        ]
        keys += [
            PublicKey(name=path.name, summary="", armored=read_small(path))
            for path in database.path.parent.glob("pubkeys/*.key")
        ]
    except (MetadataError, OSError):
        return ()
    return tuple(sorted(keys, key=lambda key: key.name))


def main_architecture(database: Database) -> str | None:
    """Tell the architecture of most installed packages; None if they have none.

    Raises
    ------
    MetadataError
        If the database cannot be read.
    """
    rpm = load_rpm()
    count = Counter(header_text(header[rpm.RPMTAG_ARCH]) for header in headers(rpm, database))
    found = [(number, arch) for arch, number in count.items() if arch not in ("", "noarch")]
    return max(found)[1] if found else None


def installed_nevras(root: Root) -> frozenset[str]:
    """What is installed, by name.

    Raises
    ------
    MetadataError
        If the rpmdb cannot be read.
    """
    database = find_database(root)
    rpm = load_rpm()
    return frozenset(
        str(
            Nevra(
                header_text(header[rpm.RPMTAG_NAME]),
                Evr(
                    int(header[rpm.RPMTAG_EPOCH] or 0),
                    header_text(header[rpm.RPMTAG_VERSION]),
                    header_text(header[rpm.RPMTAG_RELEASE]),
                ),
                header_text(header[rpm.RPMTAG_ARCH]),
            )
        )
        for header in headers(rpm, database)
    )


def _read(database: Database) -> Content:
    origin = Origin(alias=SYSTEM, remedy="Check it with: rpm --verifydb")
    rpm = load_rpm()
    modules: dict[str, tuple[str, ...]] = {}
    triggers: dict[str, tuple[str, ...]] = {}
    packages: list[tuple[str, bytes]] = []
    writer = HeaderWriter(rpm)
    for header in headers(rpm, database):
        package = writer.package(header)
        if package is None:
            continue
        nevra, xml, names, files = package
        packages.append((header_text(header[rpm.RPMTAG_NAME]), xml.encode()))
        if names:
            triggers[nevra] = tuple(sorted({*triggers.get(nevra, ()), *names}))
        if files:
            modules[nevra] = tuple(sorted({*modules.get(nevra, ()), *files}))
    # In libsolv's own order of an rpmdb (repo_rpmdb.c): by name, then as installed. Where several solutions are as
    # good, the order of what is installed decides which one the solver finds, and so which one zypper carries out.
    packages.sort(key=lambda package: package[0])
    with spooled(str(database.path), origin) as target:
        target.write(
            b'<?xml version="1.0" encoding="UTF-8"?>\n'
            b'<metadata xmlns="http://linux.duke.edu/metadata/common"'
            b' xmlns:rpm="http://linux.duke.edu/metadata/rpm">\n'
        )
        target.writelines(xml for _, xml in packages)
        target.write(b"</metadata>\n")
    return Content(
        alias=SYSTEM,
        source=str(database.path),
        primary=target,
        triggers=triggers,
        module_files=modules,
        trusted=True,
        whole_system=True,
    )
