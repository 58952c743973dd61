"""The records in files and streams: what each holds is told by its content, not by its name."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from kmpsolve.errors import KmpsolveError
from kmpsolve.metadata.compression import CorruptError, decompressed
from kmpsolve.metadata.files import open_regular
from kmpsolve.metadata.foreign import (
    Absent,
    Census,
    csv_columns,
    from_csv,
    from_json,
    from_supportconfig,
    listed_package,
    shown,
)
from kmpsolve.metadata.inventory import check_host, decode_line, decode_state, encode_state, seconds
from kmpsolve.metadata.origin import Origin
from kmpsolve.metadata.places import Place, open_place

__all__ = ["HEAD", "Damage", "Kind", "Record", "read_place", "read_stream", "sniff"]

Kind = Literal["lines", "listing", "document", "csv", "archive"]

HEAD = 1 << 16
"""Bytes that tell what a file holds."""
_LARGEST = 256 << 20
"""Bytes that a document, which has to be read whole, may have."""
_SUPPORTCONFIG = ("rpm.txt", "basic-environment.txt")
"""The files of a supportconfig that tell of kernels and packages."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_OF_ANSIBLE = (b'{"ansible_', b'{"packages"', b'{"plays"')
"""What its documents begin with, in which services and module arguments have states too."""
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
        Canonical JSON.
    """

    host: str | None
    keyed: bool
    line: int
    collected: float | None
    refreshed: float | None
    labels: dict[str, str]
    state: bytes


def sniff(head: bytes) -> Kind:
    """What a file holds, by its first bytes (uncompressed)."""
    if head[257:262] == b"ustar":
        return "archive"
    text = head.removeprefix(_BYTE_ORDER_MARK).lstrip(b" \t\r\n")
    first = text.partition(b"\n")[0]
    if text[:1] in (b"{", b"["):
        ours = text.startswith(b'{"') and (b'"state"' in first or b'"schema_version"' in first)
        ours &= not text.startswith(_OF_ANSIBLE)
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
        if place.kind == "nothing":
            yield Damage(place.name, None, "holds no file")
        elif place.kind == "root":
            yield _from_root(place)
        elif place.kind == "supportconfig":
            assert place.path is not None
            texts = [_text(place, file) for file in _SUPPORTCONFIG]
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
        yield from _from_archive(name, bytes(data), wanted)
        return
    if kind == "document":
        try:
            yield from _from_documents(name, bytes(data), wanted)
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
            for census in from_csv([f"{line}\n" for line in text[first:] if line.strip()], delimiter):
                yield _taken(name, census, first + 2, wanted, keyed=census.host is not None)
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
            yield _record_of_line(text, number)
        except ValueError as error:
            yield Damage(name, number, str(error))


def _record_of_line(text: bytes, number: int) -> Record:
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


def _from_documents(name: str, data: bytes, wanted: Iterable[str] | None) -> Iterator[Record | Damage]:
    """One JSON document, or several one after the other, as Salt prints them.

    Raises
    ------
    ValueError
        If it is no text, or begins with no JSON where lines of ours may follow.
    """
    text = data.decode("utf-8-sig")
    decoder = json.JSONDecoder(object_pairs_hook=_each_once)
    place = 0
    found: list[Record | Damage] = []
    while place < len(text):
        line = text.count("\n", 0, place) + 1
        end = len(text)
        try:
            document, end = decoder.raw_decode(text, place)
            found += _hosts_in(name, line, document, wanted)
        except json.JSONDecodeError as error:
            if _OUR_LINE.search(data[1:]) and not any(isinstance(one, Record) for one in found):
                raise
            found.append(Damage(name, line, f"is no JSON: {error}"))
        except RecursionError:
            found.append(Damage(name, line, "is nested too deeply"))
        except ValueError as error:
            found.append(Damage(name, line, str(error)))
        place = end
        while place < len(text) and text[place].isspace():
            place += 1
    yield from found


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of JSON; of what stands there twice, a host or its packages, nobody knows which counts."""
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"names {shown(twice)} twice")
    return found


def _hosts_in(
    name: str, line: int, document: object, wanted: Iterable[str] | None
) -> Iterator[Record | Damage]:
    entries = document if isinstance(document, list) else [document]
    if any(isinstance(one, dict) and "state" in one and "schema_version" in one for one in entries):
        for number, one in enumerate(entries, 1):
            try:
                yield _record_of_line(json.dumps(one).encode(), line)
            except ValueError as error:
                if len(entries) == 1:
                    raise
                yield Damage(name, line, f"entry {number}: {error}")
        return
    found = from_json(document)
    keyed = len(found) > 1 or (isinstance(document, dict) and "plays" in document)
    for census in found:
        if isinstance(census, Absent):
            yield Damage(name, line, f"{shown(census.name)}: {census.reason}")
            continue
        named = keyed or (isinstance(document, dict) and census.host in document)
        yield _taken(name, census, line, wanted, keyed=named)


def _from_archive(name: str, data: bytes, wanted: Iterable[str] | None) -> Iterator[Record | Damage]:
    """A packed supportconfig, or several in folders of their own.

    Raises
    ------
    ValueError
        If the archive is damaged, or no supportconfig is in it.
    """
    folders: dict[str, dict[str, str]] = {}
    try:
        # Without a colon tarfile would unpack once more, and a file of holes has any size it likes.
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                folder, _, file = member.name.rpartition("/")
                if file not in _SUPPORTCONFIG or not member.isfile():
                    continue
                if (content := archive.extractfile(member)) is not None:
                    text = content.read(len(data)).decode("utf-8", "replace")
                    folders.setdefault(folder, dict.fromkeys(_SUPPORTCONFIG, ""))[file] = text
    except (tarfile.TarError, EOFError) as error:
        raise ValueError(f"is a damaged archive ({' '.join(str(error).split())})") from error
    if len(folders) < 2:
        texts = next(iter(folders.values()), dict.fromkeys(_SUPPORTCONFIG, ""))
        yield _record(from_supportconfig(*texts.values()), 1, wanted, keyed=True)
        return
    for folder, texts in folders.items():
        try:
            yield _record(from_supportconfig(*texts.values()), 1, wanted, keyed=True)
        except ValueError as error:
            yield Damage(name, None, f"{shown(folder)}: {error}")


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


def _taken(
    name: str, census: Census, line: int, wanted: Iterable[str] | None, *, keyed: bool
) -> Record | Damage:
    """One host among others, which a bad name does not take along."""
    try:
        return _record(census, line, wanted, keyed=keyed)
    except ValueError as error:
        return Damage(name, line, str(error))


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
