"""Where inventories are: files, folders, roots of systems, streams and addresses, found and opened."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, cast

from kmpsolve.errors import ConfigError
from kmpsolve.metadata.files import open_regular
from kmpsolve.metadata.origin import Origin

__all__ = ["Place", "host_of_file", "open_place", "places"]

_NAMED = re.compile(r"(?:\.txt|\.json|\.jsonl|\.csv)(?:\.gz|\.zst|\.xz)?$")
_DATABASES = ("var/lib/rpm", "usr/lib/sysimage/rpm")
_DATABASE_FILES = ("rpmdb.sqlite", "Packages.db", "Packages")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One thing to read: a file, an unpacked supportconfig, the root of a system, a stream; or a folder without any.

    Parameters
    ----------
    name
        What to call it in reports: as the user wrote it.
    path
        ``None`` for standard input and for what only fsspec reads.
    host
        What its host is called if it holds one only; ``None`` where it stands alone.
    folder
        The folder argument that it was found in; ``""`` if it was given itself.
    """

    name: str
    path: Path | None
    kind: Literal["file", "root", "supportconfig", "stdin", "address", "nothing"] = "file"
    host: str | None = None
    folder: str = ""


def host_of_file(name: str) -> str:
    """The host that a file in a folder stands for: its name without the endings of inventories."""
    return _NAMED.sub("", name)


def _is_root(folder: Path) -> bool:
    """Whether a folder is the root of an RPM system."""
    return any((folder / place / name).is_file() for place in _DATABASES for name in _DATABASE_FILES)


def places(argument: str) -> Iterator[Place]:
    """What there is to read behind one argument; a folder's files in the order of their names.

    Raises
    ------
    OSError
        If a folder cannot be listed.
    """
    if argument == "-":
        yield Place(name="<stdin>", path=None, kind="stdin", host="stdin")
    elif re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", argument):
        yield Place(name=argument, path=None, kind="address", host=host_of_file(argument.rpartition("/")[2]))
    else:
        path = Path(argument)
        if not path.is_dir():
            yield Place(name=argument, path=path, host=host_of_file(path.name))
            return
        nothing = True
        for place in _in_folder(path, argument, argument, set()):
            nothing = False
            yield place
        if nothing:  # told, or the hosts that were to be in it would be missing without a word
            yield Place(name=argument, path=path, kind="nothing")


def _in_folder(folder: Path, name: str, argument: str, read: set[tuple[int, int]]) -> Iterator[Place]:
    """What is in a folder; one that a link leads to a second time, or in a circle, is not read again."""
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in read:
        return
    read.add(here)
    if _is_root(folder):
        yield Place(
            name=name, path=folder, kind="root", host=folder.resolve().name or "localhost", folder=argument
        )
        return
    if (folder / "rpm.txt").is_file() and (folder / "basic-environment.txt").is_file():
        yield Place(name=name, path=folder, kind="supportconfig", host=folder.name, folder=argument)
        return
    for entry in sorted(os.listdir(folder)):  # noqa: PTH208 (names only, and many of them)
        if entry.startswith("."):
            continue
        path = folder / entry
        below = f"{name.rstrip('/')}/{entry}"
        if path.is_dir():
            yield from _in_folder(path, below, argument, read)
        else:
            yield Place(name=below, path=path, host=host_of_file(entry), folder=argument)


def open_place(place: Place) -> BinaryIO:
    """Open a file, standard input, or an address that fsspec knows.

    Raises
    ------
    KmpsolveError, OSError
        If it cannot be opened, or fsspec is needed and not there.
    """
    if place.kind == "stdin":
        return io.open(0, "rb", closefd=False)  # noqa: UP020 (descriptor 0, whatever sys.stdin is)
    if place.kind == "address":
        try:
            from fsspec.core import url_to_fs
        except ImportError:
            raise ConfigError(
                "addresses of inventories need fsspec",
                reference="fsspec-missing",
                where=place.name,
                hint="pip install 'kmpsolve[cluster]'",
            ) from None
        with _distant_errors():
            system, path = url_to_fs(place.name)
            return cast("BinaryIO", _Distant(system, system.open(path, "rb")))
    assert place.path is not None
    return open_regular(place.path, place.name, Origin(alias=place.name, remedy="Check its permissions"))


@contextmanager
def _distant_errors() -> Iterator[None]:
    """Behind an address stands whatever library fsspec found for it, with errors of its own."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(0, str(error) or type(error).__name__) from error


class _Distant:
    """A stream that fsspec opened; holds on to the file system, which closes its files when it is dropped."""

    def __init__(self, system: object, stream: BinaryIO) -> None:
        self._system = system
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        with _distant_errors():
            return self._stream.read(size)

    def close(self) -> None:
        with _distant_errors():
            self._stream.close()

    def __enter__(self) -> _Distant:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
