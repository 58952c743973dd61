"""One kernel module: what it needs, what it exports, what it says of itself."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from kmpsolve.errors import MetadataError
from kmpsolve.modules.compression import KMOD, damaged, open_unpacked, unpack
from kmpsolve.modules.elf import ABSOLUTE, UNDEFINED, WEAK, Elf, Relocation, Section
from kmpsolve.modules.signature import Signature, read_signature

__all__ = ["MODULE_FILE", "Export", "Module", "module_name", "read_module"]

MODULE_FILE = re.compile(r"\.ko(?:\.(?:gz|xz|zst))?$")
"""Matches at the end of a module's file name."""

_RECORD = 64
_GPL_ONLY = 1
# The linker and the kernel supply these themselves (Linux: ignore_undef_symbol, ppc64's module_64.c).
_NOT_FROM_THE_KERNEL = frozenset(("_GLOBAL_OFFSET_TABLE_", "TOC.", "__this_module"))
_TABLES = {
    "__ksymtab": "EXPORT_SYMBOL",
    "__ksymtab_gpl": "EXPORT_SYMBOL_GPL",
    "__ksymtab_gpl_future": "EXPORT_SYMBOL_GPL_FUTURE",
    "__ksymtab_unused": "EXPORT_UNUSED_SYMBOL",
    "__ksymtab_unused_gpl": "EXPORT_UNUSED_SYMBOL_GPL",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A symbol that others may use.

    Parameters
    ----------
    crc
        Lower-case hex without leading zeros; ``None`` if the module was built without symbol versions.
    kind
        ``EXPORT_SYMBOL``, ``EXPORT_SYMBOL_GPL``, ... as in Module.symvers; empty if unknown.
    namespace
        Which namespace a user has to import; empty for none.
    """

    crc: str | None
    kind: str = ""
    namespace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A kernel module as its file describes it.

    Parameters
    ----------
    name
        The kernel's name for it, with underscores.
    path
        Where it was read from, as given.
    versions
        Needed symbol -> the CRC it was built against. Empty if it was built without symbol versions.
    undefined
        All symbols that it needs, versioned or not, sorted; weak ones excluded.
    weak
        Symbols that it can do without.
    exports
        Symbol -> `Export`.
    modinfo
        Key -> values, in file order.
    machine
        What it was compiled for, as ``X86_64, 64-bit little-endian``; empty if unknown.
    structure_size
        Bytes of the kernel's description of a module (struct module) in it; 0 if unknown.
    stripped
        Whether it has lost its symbol table, without which no kernel loads it.
    signature
        ``None`` if it is not signed.
    """

    name: str
    path: str
    versions: Mapping[str, str]
    undefined: tuple[str, ...] = ()
    weak: frozenset[str] = frozenset()
    exports: Mapping[str, Export] = field(default_factory=dict)
    modinfo: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    machine: str = ""
    structure_size: int = 0
    stripped: bool = False
    signature: Signature | None = None

    def said(self, key: str) -> str | None:
        """The first modinfo value of a key."""
        return next(iter(self.modinfo.get(key, ())), None)

    @property
    def vermagic(self) -> str:
        """The version magic: the uname -r it was built for, then the properties of that kernel."""
        return (self.said("vermagic") or "").strip()

    @property
    def built_for(self) -> str:
        """The uname -r in its version magic; empty if there is none."""
        return self.vermagic.partition(" ")[0]

    @property
    def depends(self) -> tuple[str, ...]:
        """Names of the modules it needs, as its builder found them."""
        return tuple(name for name in (self.said("depends") or "").split(",") if name)

    @property
    def unversioned(self) -> tuple[str, ...]:
        """Needed symbols of which the module does not say a version."""
        return tuple(symbol for symbol in self.undefined if symbol not in self.versions)

    @property
    def proprietary(self) -> bool:
        """Whether the kernel denies it symbols that are exported to GPL modules only."""
        return (self.said("license") or "unspecified") not in _GPL_COMPATIBLE


# Linux: license_is_gpl_compatible in include/linux/license.h.
_GPL_COMPATIBLE = frozenset(
    ("GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL")
)


def module_name(path: str) -> str:
    """The kernel's name for the module in a file: without folder and suffixes, dashes as underscores."""
    return MODULE_FILE.sub("", path.rpartition("/")[2]).replace("-", "_")


def _crc(number: int) -> str:
    return format(number & 0xFFFFFFFF, "x")


def _plain(symbol: str) -> str:
    """A symbol's name without the dot that marks code on 64-bit POWER (the kernel drops it too)."""
    return symbol.removeprefix(".")


def _read_versions(elf: Elf, where: str) -> dict[str, str]:
    """Needed symbols and their CRCs.

    Linux 6.14 added two tables without the limit of 56 characters a name; where both forms are
    present the kernel uses the new one.
    """
    crcs, names = elf.named("__version_ext_crcs"), elf.named("__version_ext_names")
    # Of two entries of one name the kernel looks at the first.
    versions: dict[str, str] = {}
    if crcs:
        if len(crcs) % 4 or names.count(b"\0") < len(crcs) // 4 or names[-1:] != b"\0":
            raise damaged(where, "its two tables of symbol versions do not fit together")
        spelled = names.decode("utf-8", "replace").split("\0")
        for place in range(len(crcs) // 4):
            versions.setdefault(_plain(spelled[place]), _crc(elf.number(crcs, 4 * place, 4)))
        return versions
    table = elf.named("__versions")
    if len(table) % _RECORD:
        raise damaged(where, "its table of symbol versions is cut short")
    for place in range(0, len(table), _RECORD):
        name = table[place + elf.word : place + _RECORD].partition(b"\0")[0].decode("utf-8", "replace")
        # The kernel compares the whole word.
        versions.setdefault(_plain(name), format(elf.number(table, place, elf.word), "x"))
    return versions


def _read_crc(elf: Elf, relocation: Relocation) -> str | None:
    """What a reference to a ``__crc_`` symbol leads to.

    The symbol's value is the CRC itself, or, where the kernel may be moved at boot, the place where it
    stands. A symbol that is defined nowhere means that no CRC could be made.
    """
    symbol = relocation.symbol
    if symbol.section == ABSOLUTE:
        return _crc(symbol.value + relocation.addend)
    if symbol.section == UNDEFINED:
        return None
    place = symbol.value + relocation.addend
    return _crc(elf.number(elf.content(elf.sections[symbol.section]), place, 4))


def _read_crcs(elf: Elf, table: Section, count: int) -> list[str | None]:
    """The CRCs of a table, in order.

    They stand in it (Linux 5.19 and later), or references to ``__crc_`` symbols do: as 4 bytes, or as a
    word before Linux 4.10.
    """
    content = elf.content(table)
    size = len(content) // count
    if size not in (4, 8) or len(content) != size * count:
        raise damaged(elf.where, "its exported symbols and their versions do not fit together")
    references = {relocation.offset: relocation for relocation in elf.relocations(table)}
    return [
        _read_crc(elf, references[place]) if place in references else _crc(elf.number(content, place, size))
        for place in range(0, len(content), size)
    ]


def _read_names(elf: Elf, table: Section) -> Iterator[tuple[str, str]]:
    """Name and namespace of each entry of an export table, in order.

    An entry is the symbol's address, its name and, since Linux 5.4, its namespace, as 4-byte distances
    or as addresses. All are filled in at load time, so the references tell more than the content:
    one that does not lead to a string starts an entry.
    """
    strings = elf.section("__ksymtab_strings")
    if strings is None:
        raise damaged(elf.where, "exports symbols without names")
    content = elf.content(strings)
    entry: list[str] | None = None
    for relocation in elf.relocations(table):
        if relocation.symbol.section != strings.index:
            if entry:
                yield entry[0], entry[1] if len(entry) > 1 else ""
            entry = []
        elif entry is not None:
            entry.append(elf.string(content, relocation.symbol.value + relocation.addend))
    if entry:
        yield entry[0], entry[1] if len(entry) > 1 else ""


def _read_exports(elf: Elf) -> dict[str, Export]:
    exports: dict[str, Export] = {}
    for name, kind in _TABLES.items():
        table = elf.section(name)
        if table is None or not table.size:
            continue
        names = list(_read_names(elf, table))
        if not names:
            raise damaged(elf.where, f"its export table {name} names nothing")
        versions = elf.section(name.replace("ksymtab", "kcrctab"))
        crcs = _read_crcs(elf, versions, len(names)) if versions and versions.size else [None] * len(names)
        # One table for all exports, with a byte of flags for each: what Linux is moving to.
        flags = elf.named("__kflagstab") if name == "__ksymtab" else b""
        for place, ((symbol, namespace), crc) in enumerate(zip(names, crcs, strict=True)):
            gpl_only = place < len(flags) and flags[place] & _GPL_ONLY
            exports[_plain(symbol)] = Export(
                crc=crc, kind="EXPORT_SYMBOL_GPL" if gpl_only else kind, namespace=namespace
            )
    return exports


def _read_modinfo(content: bytes) -> dict[str, tuple[str, ...]]:
    values: dict[str, tuple[str, ...]] = {}
    for entry in content.split(b"\0"):
        key, equals, value = entry.decode("utf-8", "replace").partition("=")
        if equals:
            values[key] = (*values.get(key, ()), value)
    return values


def _read(stream: BinaryIO, path: str) -> Module:
    signature, _ = read_signature(stream)
    elf = Elf(stream, path)
    if elf.type != "ET_REL":
        raise damaged(path, "is an ELF file, but no kernel module")
    modinfo = _read_modinfo(elf.named(".modinfo"))
    structure = elf.section(".gnu.linkonce.this_module")
    if structure is None or not structure.size:
        raise damaged(path, "is an object file, but no kernel module: it has no struct module")
    needed: dict[str, bool] = {}
    for symbol in elf.symbols:
        if symbol.section == UNDEFINED and symbol.name:
            needed[_plain(elf.name(symbol))] = symbol.binding == WEAK
    for name in _NOT_FROM_THE_KERNEL:
        needed.pop(name, None)
    return Module(
        name=modinfo.get("name", (module_name(path),))[0],
        path=path,
        versions=_read_versions(elf, path),
        undefined=tuple(sorted(name for name, weak in needed.items() if not weak)),
        weak=frozenset(name for name, weak in needed.items() if weak),
        exports=_read_exports(elf),
        modinfo=modinfo,
        machine=elf.machine,
        structure_size=structure.size,
        stripped=not elf.symbols,
        signature=signature,
    )


def read_module(source: Path | bytes | BinaryIO, name: str | None = None) -> Module:
    """Read a kernel module, compressed (gzip, xz, zstd) or not, of any word size and byte order.

    Parameters
    ----------
    source
        The file, its content, or a seekable stream of its content, which is closed.
    name
        What to call it: the path in `Module.path` and in errors. Default: the file's path.

    Raises
    ------
    MetadataError
        ``unreadable-module``: it is not there, no module, damaged, cut short, or unpacks to more than a
        module can have.
    """
    where = name or (str(source) if isinstance(source, Path) else "module")
    if isinstance(source, Path):
        opened = open_unpacked(source, kinds=KMOD)
    else:
        content = io.BytesIO(source) if isinstance(source, bytes) else source
        opened = unpack(content, where, kinds=KMOD)
    with closing(opened) as stream:
        try:
            return _read(stream, where)
        except MetadataError:
            raise
        except Exception as error:  # pyelftools lets many kinds of exception out of a damaged file
            raise damaged(where, "is no readable kernel module: its ELF structure is damaged") from error
