"""What a kernel exports: symbol -> CRC, from a list that was made when it was built.

Four shapes exist:

- ``Module.symvers``, and ``symvers-KREL-FLAVOR.gz`` in /boot or /lib/modules: lines of CRC, symbol,
  exporting module, then since Linux 2.6.18 the export type and since 5.4 the namespace (in 5.4 before the
  module, later last);
- ``symsets-KREL-FLAVOR.tar.gz`` of SLE 11: one such list for each class of symbols, in a file called
  SYMSET.HASH, where the hash is the beginning of the list's MD5 (kernel-source: rpm/symsets.pl). The
  tarball also holds lists of earlier kernels that this one still satisfies;
- ``ksym()`` capabilities of a kernel's RPM: see `kmpsolve.modules.kernel`.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from kmpsolve.errors import MetadataError
from kmpsolve.model.needs import flavor_of_uname, normal_crc
from kmpsolve.modules.compression import damaged, open_unpacked, unpack

__all__ = ["Symvers", "read_symvers", "uname_r_in"]

_MAX_LIST = 64 << 20
_MAX_SYMSETS = 20_000
_CRC = re.compile(r"(?:0x)?[0-9a-fA-F]{1,16}")
_SYMSET = re.compile(r"(?P<name>[\w-]+)\.(?P<hash>[0-9a-f]{16})")
_FILE = re.compile(r"(?:symvers|symsets)-(?P<uname_r>\d+\.\d+.*?)(?:\.tar)?(?:\.(?:gz|xz|zst))?")
_FLAVOR = re.compile(r"\w*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Symvers:
    """The symbols that a kernel, with the modules that belong to it, exports.

    Parameters
    ----------
    crcs
        Symbol -> CRC: lower-case hex without leading zeros.
    kinds
        Symbol -> ``EXPORT_SYMBOL``, ``EXPORT_SYMBOL_GPL``, ...; without those of which nothing is known.
    namespaces
        Symbol -> namespace, for symbols in one.
    modules
        Symbol -> ``vmlinux`` or the module that exports it, as the list spells it.
    symsets
        SLE 11: symset -> the hashes of it that this kernel satisfies.
    gap
        What is missing, in one line; empty if this is all that the kernel exports. A symbol that is
        absent from an incomplete list is no evidence of anything.
    """

    crcs: Mapping[str, str]
    kinds: Mapping[str, str] = field(default_factory=dict)
    namespaces: Mapping[str, str] = field(default_factory=dict)
    modules: Mapping[str, str] = field(default_factory=dict)
    symsets: Mapping[str, frozenset[str]] = field(default_factory=dict)
    gap: str = ""


class _Lists:
    """Collects lines of one or more lists."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.crcs: dict[str, str] = {}
        self.kinds: dict[str, str] = {}
        self.namespaces: dict[str, str] = {}
        self.modules: dict[str, str] = {}
        self.symsets: dict[str, frozenset[str]] = {}

    def wrong(self, message: str) -> MetadataError:
        return damaged(self.where, message, "unreadable-symvers")

    def read(self, lines: Iterable[bytes], name: str = "") -> None:
        for number, line in enumerate(lines, 1):
            try:
                text = line.decode("ascii").rstrip("\r\n")
            except UnicodeDecodeError:
                raise self.wrong(f"{name}line {number} is not text") from None
            if text.strip():
                self._line(text, f"{name}line {number}")

    def _line(self, text: str, place: str) -> None:
        columns = text.split("\t") if "\t" in text else text.split()
        if len(columns) < 3 or not _CRC.fullmatch(columns[0]) or not columns[1]:
            raise self.wrong(f"{place} is not: CRC, symbol, module")
        crc, symbol, *rest = columns
        if len(rest) > 2 and rest[2].startswith("EXPORT_"):
            namespace, module, kind = rest[:3]
        else:
            module, kind, namespace = (*rest, "", "")[:3]
        if self.crcs.setdefault(symbol, normal_crc(crc)) != normal_crc(crc):
            raise self.wrong(f"{place} gives {symbol} a second version")
        self.modules[symbol] = module
        if kind:
            self.kinds[symbol] = kind
        if namespace:
            self.namespaces[symbol] = namespace

    def read_symsets(self, stream: BinaryIO) -> None:
        """The lists of a tarball; each must have the hash in its name."""
        total = count = 0
        with tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                match = _SYMSET.fullmatch(PurePosixPath(member.name).name)
                content = archive.extractfile(member) if match and member.isfile() else None
                total, count = total + member.size, count + 1
                if total > _MAX_LIST or count > _MAX_SYMSETS:
                    raise self.wrong(f"holds more than {_MAX_LIST >> 20} MiB or {_MAX_SYMSETS} symsets")
                if match is None or content is None:
                    continue
                text = content.read()
                if hashlib.md5(text, usedforsecurity=False).hexdigest()[:16] != match["hash"]:
                    raise self.wrong(f"symset {member.name} does not have the hash in its name")
                self.read(text.splitlines(), f"{member.name}, ")
                name = match["name"]
                self.symsets[name] = self.symsets.get(name, frozenset()) | {normal_crc(match["hash"])}

    def symvers(self) -> Symvers:
        return Symvers(
            crcs=self.crcs,
            kinds=self.kinds,
            namespaces=self.namespaces,
            modules=self.modules,
            symsets=self.symsets,
        )


def read_symvers(source: Path | BinaryIO, name: str | None = None) -> Symvers:
    """Read a kernel's list of exported symbols, of any shape, compressed or not.

    Parameters
    ----------
    source
        The file, or a seekable stream of its content.
    name
        What to call it in an error. Default: the file's path.

    Raises
    ------
    MetadataError
        ``unreadable-symvers``: no such list, damaged, cut short, empty, or too large. A line that cannot be
        understood is an error: the symbol in it would count as missing.
    """
    where = name or str(source)
    lists = _Lists(where)
    try:
        opened = (
            open_unpacked(source, _MAX_LIST) if isinstance(source, Path) else unpack(source, where, _MAX_LIST)
        )
        with opened as stream:
            stream.seek(257)
            is_tar = stream.read(5) == b"ustar"
            stream.seek(0)
            if is_tar:
                lists.read_symsets(stream)
            else:
                lists.read(stream)
    except MetadataError as error:
        raise lists.wrong(error.message) from error
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise lists.wrong("its tar archive is damaged or cut short") from error
    if not lists.crcs:
        raise lists.wrong("lists no symbol")
    return lists.symvers()


def uname_r_in(path: Path) -> str:
    """The uname -r in the name of a ``symvers-`` or ``symsets-`` file; empty if it has none.

    What else users call their copies (``symvers-sp5-old``, ``symvers-6.4.0-1-default.orig``) must not be taken for a
    flavor: no KMP is for such a one.
    """
    match = _FILE.fullmatch(path.name)
    return match["uname_r"] if match and _FLAVOR.fullmatch(flavor_of_uname(match["uname_r"])) else ""
