"""RPM files: what the header declares, which modules the payload holds, whether the signature is good."""

from __future__ import annotations

import contextlib
import hashlib
import os
import posixpath
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from kmpsolve.errors import MetadataError
from kmpsolve.metadata.rpmbinding import load_rpm
from kmpsolve.model.evr import Evr
from kmpsolve.model.nevra import Nevra
from kmpsolve.modules.compression import MAX_UNPACKED, damaged

__all__ = ["Rpm", "RpmSignatureState", "check_rpm_signature", "payload", "read_rpm", "readable_keys"]

RpmSignatureState = Literal["unsigned", "fine", "unknown-key", "corrupted"]

_IN_MEMORY = 16 << 20
_STEP = 1 << 20
_LEAD = 96
_INTRO = 16
_INDEX_ENTRY = 16
_SIGNATURES = ("RSAHEADER", "DSAHEADER", "SIGPGP", "SIGGPG")
_SHA = {8: "sha256", 9: "sha384", 10: "sha512", 11: "sha224"}
"""OpenPGP's numbers of the hash algorithms that rpm uses for a payload's digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rpm:
    """An RPM's header, as far as it concerns kernels and modules.

    Parameters
    ----------
    path
        The file.
    provides, requires, conflicts, obsoletes
        Capabilities as rpm prints them: ``name`` or ``name = evr``.
    supplements, enhances
        The same, for weak dependencies.
    files
        Paths, sorted.
    ghosts
        Those of them whose content is not in the package: it is made on the host.
    links
        Those of them that are other names of something: symbolic links, with the path they lead to, and hard
        links, with the last of them, which has the content.
    """

    path: str
    nevra: Nevra
    vendor: str
    provides: tuple[str, ...]
    requires: tuple[str, ...]
    conflicts: tuple[str, ...]
    obsoletes: tuple[str, ...]
    supplements: tuple[str, ...]
    enhances: tuple[str, ...]
    files: tuple[str, ...]
    ghosts: tuple[str, ...]
    links: Mapping[str, str] = field(default_factory=dict)


def _damaged(path: Path, message: str) -> MetadataError:
    return damaged(str(path), message, "unreadable-rpm")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for its writer
            raise _damaged(path, "is not a regular file")
        with path.open("rb") as stream:
            yield stream
    except OSError as error:
        raise _damaged(path, f"cannot be read: {error.strerror}") from error


def _header(rpm: Any, descriptor: int, path: Path) -> Any:
    """The header, whatever its digests say: what is wrong with it is a finding, not the end."""
    transaction = rpm.TransactionSet()
    transaction.setKeyring(rpm.keyring())
    transaction.setVSFlags(rpm._RPMVSF_NOSIGNATURES | rpm._RPMVSF_NODIGESTS)
    try:
        return transaction.hdrFromFdno(descriptor)
    except rpm.error as error:
        raise _damaged(path, "is no RPM, or its header is damaged") from error


def _text(value: str | bytes | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""


def read_rpm(path: Path) -> Rpm:
    """Read an RPM's header.

    Raises
    ------
    MetadataError
        ``unreadable-rpm``.
    """
    rpm = load_rpm()
    with _opened(path) as stream:
        header = _header(rpm, stream.fileno(), path)

    def texts(tag: str) -> Iterator[str]:
        return (_text(value) for value in header[getattr(rpm, f"RPMTAG_{tag}")])

    try:
        return Rpm(
            path=str(path),
            nevra=Nevra(
                _text(header[rpm.RPMTAG_NAME]),
                Evr(
                    header[rpm.RPMTAG_EPOCH] or 0,
                    _text(header[rpm.RPMTAG_VERSION]),
                    _text(header[rpm.RPMTAG_RELEASE]),
                ),
                _text(header[rpm.RPMTAG_ARCH]),
            ),
            vendor=_text(header[rpm.RPMTAG_VENDOR]),
            provides=tuple(texts("PROVIDENEVRS")),
            requires=tuple(texts("REQUIRENEVRS")),
            conflicts=tuple(texts("CONFLICTNEVRS")),
            obsoletes=tuple(texts("OBSOLETENEVRS")),
            supplements=tuple(texts("SUPPLEMENTNEVRS")),
            enhances=tuple(texts("ENHANCENEVRS")),
            files=tuple(sorted(texts("FILENAMES"))),
            ghosts=tuple(
                sorted(
                    name
                    for name, flags in zip(texts("FILENAMES"), header[rpm.RPMTAG_FILEFLAGS], strict=True)
                    if flags & rpm.RPMFILE_GHOST
                )
            ),
            links=_links(rpm, header, list(texts("FILENAMES")), list(texts("FILELINKTOS"))),
        )
    except (rpm.error, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, "its header is damaged") from error


def _links(rpm: Any, header: Any, names: Sequence[str], targets: Sequence[str]) -> dict[str, str]:
    """See `Rpm.links`."""
    places = list(zip(header[rpm.RPMTAG_FILEDEVICES], header[rpm.RPMTAG_FILEINODES], strict=False))
    last = dict(zip(places, names, strict=False))
    found = {name: last[place] for name, place in zip(names, places, strict=False) if last[place] != name}
    for name, target in zip(names, targets, strict=False):
        if target:
            found[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    return found


def payload(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, BinaryIO]]:
    """The wanted regular files of an RPM: their path and a stream of their content, in archive order.

    The caller closes each stream. A file larger than a module can be ends the reading.

    Raises
    ------
    MetadataError
        ``unreadable-rpm``, also in the middle, where the payload is damaged or cut short.
    """
    rpm = load_rpm()
    with _opened(path) as stream:
        try:
            descriptor = rpm.fd(stream.fileno(), "r")
            header = _header(rpm, descriptor, path)
            unpacked = rpm.fd(descriptor, "r", header[rpm.RPMTAG_PAYLOADCOMPRESSOR] or "gzip")
            archive = rpm.files(header).archive(unpacked)
            for entry in archive:
                if not archive.hascontent() or not wanted(_text(entry.name)):
                    continue
                if entry.size > MAX_UNPACKED:
                    raise _damaged(path, f"{_text(entry.name)} has more than {MAX_UNPACKED >> 20} MiB")
                yield _text(entry.name), _content(archive, entry.size)
        except (rpm.error, OSError, ValueError, TypeError) as error:
            raise _damaged(path, "its payload is damaged or cut short") from error


def _content(archive: Any, size: int) -> BinaryIO:
    """The content of the entry at which the archive stands.

    Nothing is asked for behind its end: rpm answers that with an error where the payload is xz or lzma.
    """
    content = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - handed to the caller
    try:
        while size and (piece := archive.read(min(size, _STEP))):
            size -= len(piece)
            content.write(piece)
    except BaseException:
        content.close()
        raise
    content.seek(0)
    return cast(BinaryIO, content)


def _hash_from(stream: BinaryIO, offset: int, algorithm: str) -> str:
    stream.seek(offset)
    running = hashlib.new(algorithm, usedforsecurity=False)
    while piece := stream.read(_STEP):
        running.update(piece)
    return running.hexdigest()


def _header_start(stream: BinaryIO) -> int:
    """Where the main header begins: behind the lead and the signature header, which is padded to 8."""
    stream.seek(_LEAD)
    intro = stream.read(_INTRO)
    count, size = int.from_bytes(intro[8:12], "big"), int.from_bytes(intro[12:16], "big")
    end = _LEAD + _INTRO + count * _INDEX_ENTRY + size
    return end + -end % 8


def _content_intact(rpm: Any, header: Any, stream: BinaryIO, behind_header: int) -> bool:
    """Whether the payload is the one the header was made for."""
    digests: Sequence[str] = header[rpm.RPMTAG_PAYLOADDIGEST] or ()
    algorithm = _SHA.get(header[rpm.RPMTAG_PAYLOADDIGESTALGO] or 0)
    if digests and algorithm:
        return _hash_from(stream, behind_header, algorithm) == _text(digests[0])
    md5 = header[rpm.RPMTAG_SIGMD5]
    return md5 is None or _hash_from(stream, _header_start(stream), "md5") == bytes(md5).hex()


def readable_keys(keys: Iterable[bytes]) -> list[bytes]:
    """Those of a system's keys that rpm's bindings understand: a keyring may hold older ones."""
    rpm = load_rpm()
    readable = []
    for key in keys:
        with contextlib.suppress(ValueError, rpm.error):
            rpm.pubkey(key)
            readable.append(key)
    return readable


def check_rpm_signature(path: Path, keys: Iterable[bytes]) -> RpmSignatureState:
    """Check an RPM as ``rpmkeys --checksig`` would with nothing but `keys` in its keyring.

    Parameters
    ----------
    keys
        OpenPGP public keys, armored.

    Raises
    ------
    MetadataError
        ``unreadable-key`` if a key is none; ``unreadable-rpm`` if this is no RPM at all.
    """
    rpm = load_rpm()
    keyring = rpm.keyring()
    for key in keys:
        try:
            keyring.addKey(rpm.pubkey(key))
        except (ValueError, rpm.error) as error:
            raise MetadataError(
                "a given OpenPGP key cannot be read",
                reference="unreadable-key",
                hint="Give armored public keys (gpg --armor --export)",
            ) from error
    with _opened(path) as stream:
        header = _header(rpm, stream.fileno(), path)
        behind_header = os.lseek(stream.fileno(), 0, os.SEEK_CUR)
        if not _content_intact(rpm, header, stream, behind_header):
            return "corrupted"
        os.lseek(stream.fileno(), 0, os.SEEK_SET)
        transaction = rpm.TransactionSet()
        transaction.setKeyring(keyring)
        transaction.setVSFlags(0)
        try:
            transaction.hdrFromFdno(stream.fileno())
        except rpm.error as error:
            return "unknown-key" if "not available" in str(error) else "corrupted"
    signed = any(header[getattr(rpm, f"RPMTAG_{tag}")] for tag in _SIGNATURES)
    return "fine" if signed else "unsigned"
