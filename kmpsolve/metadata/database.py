"""Where a system's rpmdb is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kmpsolve.errors import MetadataError
from kmpsolve.metadata.rootpath import Root

__all__ = ["SYSTEM", "Database", "find_database", "forbidden"]

SYSTEM = "@System"
"""zypp's alias for what is installed."""

_FOLDERS = ("/var/lib/rpm", "/usr/lib/sysimage/rpm")
"""Where libzypp looks for a database before it asks rpm's macros, in its order (librpmDb.cc)."""

_BACKENDS = {
    "rpmdb.sqlite": ("sqlite", ("rpmdb.sqlite-wal", "rpmdb.sqlite-journal")),
    "Packages.db": ("ndb", ()),
    "Packages": ("bdb", ()),
}
"""The file with the packages, by backend, and what belongs to it."""

_MACRO = re.compile(r"^%(_dbpath|_db_backend)[ \t]+(\S+)", re.MULTILINE)
_FOLDER_MACROS = {
    "_var": "/var",
    "_usr": "/usr",
    "_prefix": "/usr",
    "_localstatedir": "/var",
    "_exec_prefix": "/usr",
}


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

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that make it up; not every one needs to be there."""
        return (self.path, *(self.path.with_name(name) for name in _BACKENDS[self.path.name][1]))

    @property
    def witnesses(self) -> list[Path]:
        """The files whose change tells that the installed packages may have changed."""
        # Whoever reads a database with an empty log touches the log.
        beside = self.files[1:]
        return [self.path, *(path for path in beside if path.exists() and path.stat().st_size)]


def find_database(root: Root) -> Database:
    """Find a system's rpmdb: where libzypp looks first, else where rpm's macros say.

    Where there are several in one folder, rpm takes that of the backend it is told to use.

    Raises
    ------
    MetadataError
        ``no-rpmdb``, if there is none; ``rpmdb-ambiguous``, if nothing tells which of several is in use.
    """
    folders = dict.fromkeys([*_FOLDERS, *_macro_folders(root)])
    for folder in folders:
        paths = {backend: root.path(f"{folder}/{name}") for name, (backend, _) in _BACKENDS.items()}
        found = {backend: path for backend, path in paths.items() if _is_file(path)}
        backend = next(iter(found), None)
        if len(found) > 1:
            backend = next(_macros(root, "_db_backend"), "").removesuffix("_ro")
            if backend not in found:
                raise MetadataError(
                    f"holds {len(found)} rpmdbs ({', '.join(path.name for path in found.values())}), and"
                    " nothing tells which of them is in use",
                    reference="rpmdb-ambiguous",
                    where=str(root.path(folder)),
                    hint="Remove what is left over, or set %_db_backend in /etc/rpm/macros of that system",
                )
        if backend:
            return Database(path=found[backend], backend=backend)
    raise MetadataError(
        f"no rpmdb in {', '.join(folders)}",
        reference="no-rpmdb",
        where=str(root.folder),
        hint="Give the root of an RPM system with --root, or what is installed with --installed",
    )


def _macro_folders(root: Root) -> Iterator[str]:
    """Yield what ``%_dbpath`` is in the system, the strongest definition first."""
    for value in _macros(root, "_dbpath"):
        folder = re.sub(r"%\{?(\w+)\}?", lambda match: _FOLDER_MACROS.get(match[1], match[0]), value)
        if folder.startswith("/") and "%" not in folder:
            yield folder


def _macros(root: Root, wanted: str) -> Iterator[str]:
    """Yield how the system's files define a macro of rpm's, the strongest definition first."""
    files = ["/etc/rpm/macros"]
    files += [f"/etc/rpm/{name}" for name in reversed(root.names("/etc/rpm")) if name.startswith("macros.")]
    files += [f"/usr/lib/rpm/macros.d/{name}" for name in reversed(root.names("/usr/lib/rpm/macros.d"))]
    files += ["/usr/lib/rpm/macros"]
    for file in files:
        yield from (
            value for name, value in reversed(_MACRO.findall(root.read(file) or "")) if name == wanted
        )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        raise forbidden(path, error) from error


def forbidden(path: Path, error: OSError) -> MetadataError:
    """What to say of a file of the database that cannot be read."""
    return MetadataError(
        f"cannot be read ({error.strerror})",
        reference="rpmdb-unreadable",
        where=str(path),
        hint="Run it as root, or check the file's permissions",
    )
