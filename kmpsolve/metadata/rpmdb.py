"""The installed packages: a system's rpmdb, read through rpm's own binding and without touching the system.

rpm writes beside the database even when it only reads it (sqlite's shared memory, lock files), and waits for
those who change it. The database is therefore copied, and the copy is read. What is installed is written as a
primary.xml, so that the solver meets one kind of repository only.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from kmpsolve.errors import MetadataError
from kmpsolve.metadata.content import Content
from kmpsolve.metadata.files import read_small
from kmpsolve.metadata.origin import Origin
from kmpsolve.metadata.rootpath import Root
from kmpsolve.metadata.rpmbinding import load_rpm
from kmpsolve.metadata.spool import spooled

__all__ = [
    "SYSTEM",
    "Database",
    "Installed",
    "database_files",
    "find_database",
    "main_architecture",
    "read_installed",
]

SYSTEM = "@System"
"""zypp's alias for what is installed."""

_FOLDERS = ("/var/lib/rpm", "/usr/lib/sysimage/rpm")
"""Where libzypp looks for a database before it asks rpm's macros, in its order (librpmDb.cc)."""

_BACKENDS = {
    "rpmdb.sqlite": ("sqlite", ("rpmdb.sqlite-wal",)),
    "Packages.db": ("ndb", ()),
    "Packages": ("bdb", ()),
}
"""The file with the packages, by backend, and what belongs to it."""

_ATTEMPTS = 10
_PREREQUISITE = 1 << 6 | 1 << 7 | 1 << 9 | 1 << 10 | 1 << 5
_MISSING_OK = 1 << 19
_STRONG = 1 << 27
_EQUAL = 8
_COMPARISONS = {2: "LT", 4: "GT", 8: "EQ", 10: "LE", 12: "GE"}
_KINDS = (
    "provides",
    "requires",
    "conflicts",
    "obsoletes",
    "recommends",
    "suggests",
    "supplements",
    "enhances",
)
_MODULE = re.compile(r".+\.ko(?:\.(?:gz|xz|zst))?")
_MACRO = re.compile(r"^%_dbpath[ \t]+(\S+)", re.MULTILINE)
_FOLDER_MACROS = {
    "_var": "/var",
    "_usr": "/usr",
    "_prefix": "/usr",
    "_localstatedir": "/var",
    "_exec_prefix": "/usr",
}
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_ESCAPED = re.compile('[&<>"\t\n\r]')
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """Where a system's rpmdb is.

    Parameters
    ----------
    path
        The file with the packages, on this machine.
    backend
        ``sqlite``, ``ndb`` or ``bdb``.
    """

    path: Path
    backend: str


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
    """

    content: Content
    stale: str | None = None


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
        ``no-rpmdb``, ``rpmdb-unreadable`` or ``no-rpm-binding``, if neither can be read.
    """
    database = find_database(root)
    try:
        return Installed(content=_read(database))
    except MetadataError as error:
        copy = root.path(cache)
        if error.reference == "rpmdb-damaged" or not copy.is_file():
            raise
        content = Content(alias=SYSTEM, source=str(copy), solv=copy)
        return Installed(content=content, stale=str(error))


def find_database(root: Root) -> Database:
    """Find a system's rpmdb: where libzypp looks first, else where rpm's macros say.

    Raises
    ------
    MetadataError
        ``no-rpmdb``, if there is none.
    """
    folders = dict.fromkeys([*_FOLDERS, *_macro_folders(root)])
    for folder in folders:
        for name, (backend, _) in _BACKENDS.items():
            path = root.path(f"{folder}/{name}")
            if _is_file(path):
                return Database(path=path, backend=backend)
    raise MetadataError(
        f"no rpmdb in {', '.join(folders)}",
        reference="no-rpmdb",
        where=str(root.folder),
        hint="Give the root of an RPM system with --root, or what is installed with --installed",
    )


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
        with tempfile.TemporaryDirectory(prefix="kmpsolve-rpmdb-") as folder:
            _copy(database, Path(folder))
            keys = [
                PublicKey(
                    name=_text(header[rpm.RPMTAG_NVR]),
                    summary=_text(header[rpm.RPMTAG_SUMMARY]),
                    armored=_text(header[rpm.RPMTAG_DESCRIPTION]).encode("ascii", "replace"),
                )
                for header in _headers(rpm, database, folder)
                if _text(header[rpm.RPMTAG_NAME]) == "gpg-pubkey"
            ]
        keys += [
            PublicKey(name=path.name, summary="", armored=read_small(path))
            for path in database.path.parent.glob("pubkeys/*.key")
        ]
    except (MetadataError, OSError):
        return ()
    return tuple(sorted(keys, key=lambda key: key.name))


def database_files(root: Root) -> list[Path]:
    """The files whose change tells that the installed packages may have changed; errors as `find_database`."""
    database = find_database(root)
    beside = (database.path.with_name(name) for name in _BACKENDS[database.path.name][1])
    # Whoever reads a database with an empty log touches the log.
    return [database.path, *(path for path in beside if path.exists() and path.stat().st_size)]


def main_architecture(database: Database) -> str | None:
    """Tell the architecture of most installed packages; None if they have none.

    Raises
    ------
    MetadataError
        If the database cannot be read.
    """
    rpm = load_rpm()
    with tempfile.TemporaryDirectory(prefix="kmpsolve-rpmdb-") as folder:
        _copy(database, Path(folder))
        count = Counter(_text(header[rpm.RPMTAG_ARCH]) for header in _headers(rpm, database, folder))
    found = [(number, arch) for arch, number in count.items() if arch not in ("", "noarch")]
    return max(found)[1] if found else None


def _macro_folders(root: Root) -> Iterator[str]:
    """Yield what ``%_dbpath`` is in the system, the strongest definition first."""
    files = ["/etc/rpm/macros"]
    files += [f"/etc/rpm/{name}" for name in reversed(root.names("/etc/rpm")) if name.startswith("macros.")]
    files += [f"/usr/lib/rpm/macros.d/{name}" for name in reversed(root.names("/usr/lib/rpm/macros.d"))]
    files += ["/usr/lib/rpm/macros"]
    for file in files:
        for value in reversed(_MACRO.findall(root.read(file) or "")):
            folder = re.sub(r"%\{?(\w+)\}?", lambda match: _FOLDER_MACROS.get(match[1], match[0]), value)
            if folder.startswith("/") and "%" not in folder:
                yield folder


def _read(database: Database) -> Content:
    origin = Origin(alias=SYSTEM, remedy="Check it with: rpm --verifydb")
    rpm = load_rpm()
    modules: dict[str, tuple[str, ...]] = {}
    triggers: dict[str, tuple[str, ...]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="kmpsolve-rpmdb-") as folder,
        spooled(str(database.path), origin) as target,
    ):
        _copy(database, Path(folder))
        target.write(
            b'<?xml version="1.0" encoding="UTF-8"?>\n'
            b'<metadata xmlns="http://linux.duke.edu/metadata/common"'
            b' xmlns:rpm="http://linux.duke.edu/metadata/rpm">\n'
        )
        writer = _Writer(rpm)
        for header in _headers(rpm, database, folder):
            package = writer.package(header)
            if package is None:
                continue
            nevra, xml, names, files = package
            target.write(xml.encode())
            if names:
                triggers[nevra] = tuple(sorted({*triggers.get(nevra, ()), *names}))
            if files:
                modules[nevra] = tuple(sorted({*modules.get(nevra, ()), *files}))
        target.write(b"</metadata>\n")
    return Content(
        alias=SYSTEM,
        source=str(database.path),
        primary=target,
        triggers=triggers,
        module_files=modules,
        trusted=True,
    )


def _copy(database: Database, folder: Path) -> None:
    """Copy the database's files; again if one of them changed meanwhile."""
    paths = [database.path, *(database.path.with_name(name) for name in _BACKENDS[database.path.name][1])]
    for _ in range(_ATTEMPTS):
        try:
            before = [_state(path) for path in paths]
            for path, state in zip(paths, before, strict=True):
                copy = folder / path.name
                copy.unlink(missing_ok=True)
                if state is not None:
                    shutil.copyfile(path, copy)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _forbidden(database.path, error) from error
        if before == [_state(path) for path in paths]:
            return
    raise MetadataError(
        "is being changed all the time",
        reference="rpmdb-busy",
        where=str(database.path),
        hint="Wait until rpm or zypper has finished",
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        raise _forbidden(path, error) from error


def _forbidden(path: Path, error: OSError) -> MetadataError:
    return MetadataError(
        f"cannot be read ({error.strerror})",
        reference="rpmdb-unreadable",
        where=str(path),
        hint="Run it as root, or check the file's permissions",
    )


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _headers(rpm: ModuleType, database: Database, folder: str) -> Iterator[Any]:
    rpm.addMacro("_dbpath", folder)
    try:
        transaction = rpm.TransactionSet("/")
        # Digests and signatures were checked when the packages were installed.
        transaction.setVSFlags(-1)
        found = False
        try:
            for header in transaction.dbMatch():
                found = True
                yield header
        except rpm.error as error:
            raise _unreadable(rpm, database, str(error)) from None
        finally:
            transaction.closeDB()
        if not found and database.path.stat().st_size:
            raise _unreadable(rpm, database, "it yields no package")
    finally:
        rpm.delMacro("_dbpath")


def _unreadable(rpm: ModuleType, database: Database, reason: str) -> MetadataError:
    return MetadataError(
        f"rpm {rpm.__version__} cannot read this {database.backend} rpmdb ({reason})",
        reference="rpmdb-unreadable",
        where=str(database.path),
        hint="Use an rpm that knows this format, or give what is installed with --installed",
    )


class _Writer:
    """Writes headers as primary.xml's ``<package>`` elements."""

    def __init__(self, rpm: ModuleType) -> None:
        self._tags = {
            name: getattr(rpm, f"RPMTAG_{name}")
            for name in ("NAME", "VERSION", "RELEASE", "ARCH", "EPOCH", "VENDOR", "BASENAMES", "DIRNAMES")
        }
        self._tags |= {name: getattr(rpm, f"RPMTAG_{name}") for name in ("DIRINDEXES", "TRIGGERNAME")}
        self._dependencies = {
            name: [getattr(rpm, f"RPMTAG_{name}{part}") for part in ("NAME", "FLAGS", "VERSION")]
            for name in [*(kind[:-1].upper() for kind in _KINDS), "OLDSUGGESTS", "OLDENHANCES"]
        }

    def package(self, header: Any) -> tuple[str, str, list[str], list[str]] | None:
        """Return NEVRA, XML, names in triggers and module files; None for a public key."""
        name, version, release, arch, vendor = (
            _text(header[self._tags[tag]]) for tag in ("NAME", "VERSION", "RELEASE", "ARCH", "VENDOR")
        )
        if name == "gpg-pubkey":
            return None
        epoch = int(header[self._tags["EPOCH"]] or 0)
        listed, modules = self._files(header)
        lines = [
            '<package type="rpm">\n'
            f"<name>{_xml(name)}</name>\n<arch>{_xml(arch)}</arch>\n"
            f'<version epoch="{epoch}" ver="{_xml(version)}" rel="{_xml(release)}"/>\n'
            f"<format>\n<rpm:vendor>{_xml(vendor)}</rpm:vendor>\n"
        ]
        for kind, found in self._relations(header).items():
            if found:
                lines += [f"<rpm:{kind}>\n", *found, f"</rpm:{kind}>\n"]
        lines += [f"<file>{_xml(file)}</file>\n" for file in listed]
        lines.append("</format>\n</package>\n")
        nevra = f"{name}-{f'{epoch}:' if epoch else ''}{version}-{release}.{arch}"
        names = [_text(one) for one in header[self._tags["TRIGGERNAME"]] or ()]
        return nevra, "".join(lines), names, modules

    def _relations(self, header: Any) -> dict[str, list[str]]:
        found = {kind: self._entries(header, kind[:-1].upper()) for kind in _KINDS}
        requires = found.pop("requires")
        result = {kind: [line for _, line in lines] for kind, lines in found.items()}
        # What the package provides itself is not in metadata either (createrepo_c leaves it out).
        own = set(result["provides"]) if requires else set()
        requires = [(sense, line) for sense, line in requires if line not in own]
        # rpm before 4.12 had no weak dependencies but these spellings of them.
        result["requires"] = [line for sense, line in requires if not sense & _MISSING_OK]
        result["recommends"] += [line for sense, line in requires if sense & _MISSING_OK]
        for old, weak, strong in (
            ("OLDSUGGESTS", "suggests", "recommends"),
            ("OLDENHANCES", "enhances", "supplements"),
        ):
            for sense, line in self._entries(header, old):
                result[strong if sense & _STRONG else weak].append(line)
        return result

    def _entries(self, header: Any, name: str) -> list[tuple[int, str]]:
        tags = self._dependencies[name]
        if not header[tags[0]]:
            return []
        names, plain = _texts(header[tags[0]])
        evrs, _ = _texts(header[tags[2]])
        return [
            (
                sense,
                # What a kernel has 28,000 of.
                f'<rpm:entry name="{capability}" flags="EQ" epoch="0" ver="{evr}"/>\n'
                if plain and sense & 0xF == _EQUAL and evr.isalnum()
                else _entry(capability, sense, evr),
            )
            for capability, sense, evr in zip(names, header[tags[1]], evrs, strict=False)
            # Promises of rpm itself, which no package makes.
            if not capability.startswith("rpmlib(")
        ]

    def _files(self, header: Any) -> tuple[list[str], list[str]]:
        """List the files that primary.xml would name, and the kernel modules."""
        listed: dict[int, str] = {}
        modules: dict[int, str] = {}
        single: dict[int, str] = {}
        for index, folder in enumerate(header[self._tags["DIRNAMES"]] or ()):
            path = _text(folder)
            if "bin/" in path or path.startswith("/etc/"):
                listed[index] = path
            elif path.startswith(("/lib/modules/", "/usr/lib/modules/")):
                modules[index] = path
            elif path in ("/", "/usr/lib/"):
                single[index] = path
        if not (listed or modules or single):
            return [], []
        names: Sequence[str] = header[self._tags["BASENAMES"]]
        in_primary: list[str] = []
        kernel_modules: list[str] = []
        for name, index in zip(names, header[self._tags["DIRINDEXES"]], strict=False):
            if index in listed:
                in_primary.append(listed[index] + _text(name))
            elif index in modules and _MODULE.fullmatch(_text(name)):
                kernel_modules.append(modules[index] + _text(name))
            elif index in single and single[index] + _text(name) in (
                "/usr/lib/sendmail",
                "/etc",
                "/bin",
                "/sbin",
            ):
                in_primary.append(single[index] + _text(name))
        return in_primary, kernel_modules


def _text(value: str | bytes | None) -> str:
    """Make a text that XML can express of what a header holds; damaged bytes match nothing afterwards."""
    if not value:
        return ""
    # rpm's binding gave bytes before 4.15.
    text = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
    return text if text.isascii() and text.isprintable() else _ILLEGAL.sub("\ufffd", text)


def _texts(values: Sequence[str | bytes]) -> tuple[Sequence[str], bool]:
    """As `_text`, for many at once; and whether XML holds all of them as they are."""
    try:
        joined = "".join(values)  # type: ignore[arg-type]
    except TypeError:
        return list(map(_text, values)), False
    if joined.isascii() and joined.isprintable():
        return values, _ESCAPED.search(joined) is None  # type: ignore[return-value]
    return list(map(_text, values)), False


def _xml(text: str) -> str:
    return _ESCAPED.sub(lambda match: _ESCAPES[match[0]], text) if _ESCAPED.search(text) else text


def _entry(name: str, sense: int, evr: str) -> str:
    comparison = _COMPARISONS.get(sense & 0xF)
    mark = ' pre="1"' if sense & _PREREQUISITE else ""
    if comparison is None or not evr:
        return f'<rpm:entry name="{_xml(name)}"{mark}/>\n'
    if evr.isalnum():  # a CRC
        return f'<rpm:entry name="{_xml(name)}" flags="{comparison}" epoch="0" ver="{evr}"/>\n'
    epoch, colon, rest = evr.partition(":")
    if not (colon and epoch.isdecimal()):
        epoch, rest = "0", evr
    version, dash, release = rest.partition("-")
    rel = f' rel="{_xml(release)}"' if dash else ""
    evr = f'epoch="{epoch}" ver="{_xml(version)}"{rel}'
    return f'<rpm:entry name="{_xml(name)}" flags="{comparison}" {evr}{mark}/>\n'
