"""Files, folders and streams of inventories: what each holds is told by its content, not by its name."""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, cast

from kmpsolve.errors import ConfigError, KmpsolveError
from kmpsolve.metadata.compression import CorruptError, decompressed
from kmpsolve.metadata.files import open_regular
from kmpsolve.metadata.foreign import (
    Census,
    csv_columns,
    from_csv,
    from_json,
    from_supportconfig,
    listed_package,
)
from kmpsolve.metadata.inventory import check_host, decode_line, decode_state, encode_state, seconds
from kmpsolve.metadata.origin import Origin

__all__ = ["Damage", "Kind", "Place", "Record", "host_of_file", "is_root", "places", "read_place", "sniff"]

Kind = Literal["lines", "listing", "document", "csv", "archive"]

HEAD = 1 << 16
"""Bytes that tell what a file holds."""
_LARGEST = 256 << 20
"""Bytes that a document, which has to be read whole, may have."""
_NAMED = re.compile(r"(?:\.txt|\.json|\.jsonl|\.csv)(?:\.gz|\.zst|\.xz)?$")
_DATABASES = ("var/lib/rpm", "usr/lib/sysimage/rpm")
_DATABASE_FILES = ("rpmdb.sqlite", "Packages.db", "Packages")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_OUR_LINE = re.compile(rb'^[ \t]*\{[ \t]*"', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Damage:
    """Something in an inventory that could not be read.

    Parameters
    ----------
    line
        Counted from 1; ``None`` for a file as a whole.
    """

    source: str
    line: int | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One host as it was found.

    Parameters
    ----------
    host
        ``None`` if the record names none.
    keyed
        The record's place in a larger document names it: then its file never does.
    state
        Canonical JSON, or the reason why there is none.
    """

    host: str | None
    keyed: bool
    line: int
    collected: float | None
    refreshed: float | None
    labels: dict[str, str]
    state: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One thing to read: a file, an unpacked supportconfig, the root of a system, a stream.

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
    kind: Literal["file", "root", "supportconfig", "stdin", "address"] = "file"
    host: str | None = None
    folder: str = ""


def host_of_file(name: str) -> str:
    """The host that a file in a folder stands for: its name without the endings of inventories."""
    return _NAMED.sub("", name)


def is_root(folder: Path) -> bool:
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
        else:
            yield from _in_folder(path, argument, argument, frozenset())


def _in_folder(folder: Path, name: str, argument: str, above: frozenset[tuple[int, int]]) -> Iterator[Place]:
    if is_root(folder):
        yield Place(
            name=name, path=folder, kind="root", host=folder.resolve().name or "localhost", folder=argument
        )
        return
    if (folder / "rpm.txt").is_file() and (folder / "basic-environment.txt").is_file():
        yield Place(name=name, path=folder, kind="supportconfig", host=folder.name, folder=argument)
        return
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    for entry in sorted(os.listdir(folder)):  # noqa: PTH208 (names only, and many of them)
        if entry.startswith("."):
            continue
        path = folder / entry
        below = f"{name.rstrip('/')}/{entry}"
        if path.is_dir():
            yield from _in_folder(path, below, argument, above | {here})
        else:
            yield Place(name=below, path=path, host=host_of_file(entry), folder=argument)


def sniff(head: bytes) -> Kind:
    """What a file holds, by its first bytes (uncompressed)."""
    if head[257:262] == b"ustar":
        return "archive"
    text = head.removeprefix(_BYTE_ORDER_MARK).lstrip(b" \t\r\n")
    first = text.partition(b"\n")[0]
    if text[:1] in (b"{", b"["):
        ours = text.startswith(b'{"') and (b'"state"' in first or b'"schema_version"' in first)
        if ours and (b"\n" not in text.rstrip() or _complete(first)):
            return "lines"
        several = _OUR_LINE.findall(text)
        if text.startswith(b'{"') and b'"state"' in text and len(several) > 1:
            return "lines"
        return "document"
    if _OUR_LINE.search(text) and b'"state"' in text:
        return "lines"
    if csv_columns(first.decode("utf-8", "replace")):
        return "csv"
    return "listing"


def _complete(line: bytes) -> bool:
    return line.rstrip().endswith(b"}") or not line.rstrip().endswith((b"{", b",", b"["))


def read_place(place: Place, wanted: Iterable[str] | None = None) -> Iterator[Record | Damage]:
    """Read everything behind a place; what cannot be read is told and passed over.

    Parameters
    ----------
    wanted
        Package names that matter besides kernels and KMPs, for inventories of all packages.
    """
    try:
        if place.kind == "root":
            yield _from_root(place)
        elif place.kind == "supportconfig":
            assert place.path is not None
            texts = [_text(place, f"{name}.txt") for name in ("rpm", "basic-environment")]
            yield _record(from_supportconfig(*texts), 1, wanted, keyed=True)
        else:
            with open_place(place) as stream:
                yield from read_stream(place.name, decompressed(stream), wanted)
    except (CorruptError, tarfile.TarError) as error:
        yield Damage(place.name, None, f"is damaged ({error})")
    except ValueError as error:
        yield Damage(place.name, None, str(error))
    except OSError as error:
        yield Damage(place.name, None, f"cannot be read ({error.strerror or error})")
    except KmpsolveError as error:
        yield Damage(place.name, None, error.message)


def _text(place: Place, file: str) -> str:
    """A file of an unpacked supportconfig."""
    assert place.path is not None
    with open_regular(place.path / file, file, Origin(alias=place.name, remedy="Check it")) as stream:
        data = stream.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise ValueError(f"has more than the {_LARGEST >> 20} MiB that a document may have")
    return data.decode("utf-8", "replace")


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


def read_stream(
    name: str, chunks: Iterable[bytes], wanted: Iterable[str] | None
) -> Iterator[Record | Damage]:
    """Read one file's records.

    Raises
    ------
    CorruptError, ValueError, OSError
        If nothing more can be read.
    """
    data = bytearray()
    for chunk in chunks:
        data += chunk
        if len(data) > _LARGEST:
            raise ValueError(f"has more than the {_LARGEST >> 20} MiB that a document may have")
    if not data.strip():
        raise ValueError("is empty")
    kind = sniff(bytes(data[:HEAD]))
    if kind == "archive":
        yield _from_archive(bytes(data), wanted)
        return
    if kind == "document":
        try:
            yield from _from_documents(bytes(data), wanted)
            return
        except ValueError as error:
            if not _OUR_LINE.search(data[1:]):
                yield Damage(name, 1, str(error))
                return
            kind = "lines"  # a damaged first line, perhaps
    lines = bytes(data).removeprefix(_BYTE_ORDER_MARK).split(b"\n")
    if kind == "csv":
        text = [line.decode("utf-8", "replace") for line in lines]
        first = next((number for number, line in enumerate(text) if line.strip()), 0)
        if delimiter := csv_columns(text[first]):
            for census in from_csv([line.rstrip("\r") for line in text[first:] if line.strip()], delimiter):
                yield _record(census, first + 2, wanted, keyed=census.host is not None)
            return
        kind = "listing"  # the whole line is no header, only its beginning looked like one
    if kind == "listing":
        found = list(_from_listing(name, lines, wanted))
        if any(isinstance(one, Record) for one in found) or not any(_OUR_LINE.match(line) for line in lines):
            yield from found
            return
    yield from _from_lines(name, lines)


def _from_lines(name: str, lines: Sequence[bytes]) -> Iterator[Record | Damage]:
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            yield record_of_line(text, number)
        except ValueError as error:
            yield Damage(name, number, str(error))


def record_of_line(text: bytes, number: int) -> Record:
    """Read one of our lines whole.

    Raises
    ------
    ValueError
        With one sentence.
    """
    line = decode_line(text)
    return Record(
        host=line.host,
        keyed=False,
        line=number,
        collected=seconds(line.collected),
        refreshed=line.refreshed,
        labels=line.labels,
        state=encode_state(decode_state(bytes(line.state))),
    )


def _from_listing(
    name: str, lines: Sequence[bytes], wanted: Iterable[str] | None
) -> Iterator[Record | Damage]:
    census = Census()
    first = 0
    damaged: list[Damage] = []
    for number, raw in enumerate(lines, 1):
        text = raw.decode("utf-8", "replace").rstrip("\r")
        nevra = listed_package(text)
        if nevra:
            first = first or number
            census.packages.append(nevra)
        elif nevra is None:
            reason = (
                "is no package name"
                if len(text) <= 4096
                else f"has {len(text)} characters and is no package name"
            )
            damaged.append(Damage(name, number, reason))
            census.gaps.append(f"line {number} of its list of packages is no package name")
    yield from damaged
    if census.packages:
        yield _record(census, first, wanted)
    elif not damaged:
        raise ValueError("lists no package")


def _from_documents(data: bytes, wanted: Iterable[str] | None) -> Iterator[Record]:
    """One JSON document, or several one after the other, as Salt prints them."""
    text = data.decode("utf-8-sig")
    decoder = json.JSONDecoder()
    place, records = 0, []
    try:
        while place < len(text):
            document, place = decoder.raw_decode(text, place)
            while place < len(text) and text[place].isspace():
                place += 1
            records += list(_hosts_in(document, wanted))
    except json.JSONDecodeError as error:
        raise ValueError(f"is no JSON: {error}") from error
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error
    yield from records


def _hosts_in(document: object, wanted: Iterable[str] | None) -> Iterator[Record]:
    ours = document if isinstance(document, list) else [document]
    if ours and all(isinstance(one, dict) and "state" in one and "schema_version" in one for one in ours):
        for one in ours:
            yield record_of_line(json.dumps(one).encode(), 1)
        return
    found = from_json(document)
    keyed = len(found) > 1 or (isinstance(document, dict) and "plays" in document)
    for census in found:
        named = keyed or (isinstance(document, dict) and census.host in document)
        yield _record(census, 1, wanted, keyed=named)


def _from_archive(data: bytes, wanted: Iterable[str] | None) -> Record:
    texts = {"rpm.txt": "", "basic-environment.txt": ""}
    try:
        # Without a colon tarfile would unpack once more, and a file of holes has any size it likes.
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                name = member.name.rpartition("/")[2]
                if name in texts and member.isfile() and (file := archive.extractfile(member)) is not None:
                    texts[name] = file.read(len(data)).decode("utf-8", "replace")
    except (tarfile.TarError, EOFError) as error:
        raise ValueError(f"is a damaged archive ({' '.join(str(error).split())})") from error
    return _record(from_supportconfig(*texts.values()), 1, wanted, keyed=True)


def _from_root(place: Place) -> Record:
    from kmpsolve.metadata.collecting import collect_state

    assert place.path is not None
    state = collect_state(place.path)
    return Record(
        host=None,
        keyed=False,
        line=1,
        collected=None,
        refreshed=None,
        labels={},
        state=encode_state(state),
    )


def _record(census: Census, line: int, wanted: Iterable[str] | None, *, keyed: bool = False) -> Record:
    if census.host is not None:
        check_host(census.host)
    return Record(
        host=census.host,
        keyed=keyed and census.host is not None,
        line=line,
        collected=None,
        refreshed=None,
        labels=census.labels,
        state=encode_state(census.state(wanted)),
    )
