"""The headers of the installed packages, read through rpm's own binding and without touching the system.

rpm writes beside the database even when it only reads it (sqlite's shared memory, lock files), and waits for
those who change it. The database is therefore copied, and the copy is read.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from kmpsolve.errors import MetadataError
from kmpsolve.metadata.database import Database, forbidden

__all__ = ["header_text", "headers"]

_ATTEMPTS = 10
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def headers(rpm: ModuleType, database: Database) -> Iterator[Any]:
    """Every header in a database.

    Parameters
    ----------
    rpm
        rpm's binding.

    Raises
    ------
    MetadataError
        ``rpmdb-unreadable``, ``rpmdb-busy``, or after the last header ``rpmdb-damaged``: rpm passes over what
        it cannot read, and only says so.
    """
    with tempfile.TemporaryDirectory(prefix="kmpsolve-rpmdb-") as folder:
        _copy(database, Path(folder))
        yield from _read(rpm, database, folder)


def header_text(value: str | bytes | None) -> str:
    """Make a text that XML can express of what a header holds; damaged bytes match nothing afterwards."""
    if not value:
        return ""
    # rpm's binding gave bytes before 4.15.
    text = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
    return text if text.isascii() and text.isprintable() else _ILLEGAL.sub("\ufffd", text)


def _copy(database: Database, folder: Path) -> None:
    """Copy the database's files; again if one of them changed meanwhile."""
    for _ in range(_ATTEMPTS):
        try:
            before = [_state(path) for path in database.files]
            for path, state in zip(database.files, before, strict=True):
                copy = folder / path.name
                copy.unlink(missing_ok=True)
                if state is not None:
                    shutil.copyfile(path, copy)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise forbidden(database.path, error) from error
        if before == [_state(path) for path in database.files]:
            return
    raise MetadataError(
        "is being changed all the time",
        reference="rpmdb-busy",
        where=str(database.path),
        hint="Wait until rpm or zypper has finished",
    )


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


@cache
def _complaints(rpm: ModuleType) -> BinaryIO:
    """Where rpm writes what it complains of, from now on: its binding cannot be told to go back to stderr."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - rpm writes to it as long as the process lives
    rpm.setLogFile(file)
    return file


def _read(rpm: ModuleType, database: Database, folder: str) -> Iterator[Any]:
    complaints = _complaints(rpm)
    rpm.addMacro("_dbpath", folder)
    rpm.setVerbosity(rpm.RPMLOG_ERR)
    try:
        transaction = rpm.TransactionSet("/")
        # Digests and signatures were checked when the packages were installed.
        transaction.setVSFlags(-1)
        found = False
        try:
            matches = transaction.dbMatch()
            # Opening it makes the indexes again, which were not copied; what rpm says of that is no matter.
            said_before = complaints.seek(0, os.SEEK_END)
            for header in matches:
                found = True
                yield header
        except rpm.error as error:
            raise _unreadable(rpm, database, str(error)) from None
        finally:
            transaction.closeDB()
        if not found and database.path.stat().st_size:
            raise _unreadable(rpm, database, "it yields no package")
        complaints.seek(said_before)
        if said := complaints.read().decode("utf-8", "replace").splitlines():
            raise MetadataError(
                f"rpm cannot read all of this {database.backend} rpmdb ({said[0].removeprefix('error: ')})",
                reference="rpmdb-damaged",
                where=str(database.path),
                hint="Restore it, as from /var/adm/backup/rpmdb: rpm --rebuilddb would drop what is damaged",
            )
    finally:
        rpm.setVerbosity(rpm.RPMLOG_EMERG)
        rpm.delMacro("_dbpath")


def _unreadable(rpm: ModuleType, database: Database, reason: str) -> MetadataError:
    return MetadataError(
        f"rpm {rpm.__version__} cannot read this {database.backend} rpmdb ({reason})",
        reference="rpmdb-unreadable",
        where=str(database.path),
        hint="Use an rpm that knows this format, or give what is installed with --installed",
    )
