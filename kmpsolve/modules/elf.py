"""The parts of an ELF object that the kernel's loader looks at.

pyelftools reads the headers. Section contents, symbols and relocations are cut out here, because a
header may claim any size and a module has thousands of records of one fixed shape.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO, NamedTuple

from elftools.elf.elffile import ELFFile

from kmpsolve.modules.compression import damaged

__all__ = ["ABSOLUTE", "UNDEFINED", "WEAK", "Elf", "Relocation", "Section", "Symbol"]

UNDEFINED = 0
ABSOLUTE = 0xFFF1
WEAK = 2

_MAX_SECTIONS = 65536
_MAX_SECTION = 64 << 20
_MAX_SYMBOLS = 8 << 20
_MAX_NAME = 512
"""The kernel's KSYM_NAME_LEN: no longer name can be exported or needed."""
_COMPRESSED = 0x800


@dataclass(frozen=True, slots=True)
class Section:
    """A section header: where the content stands and what it belongs to."""

    index: int
    name: str
    type: str
    flags: int
    offset: int
    size: int
    link: int
    target: int


class Symbol(NamedTuple):
    """A symbol: `section` is an index, `UNDEFINED` or `ABSOLUTE`; `binding` is ELF's number.

    `name` is an offset for `Elf.name`: most names of a module are never asked for.
    """

    name: int
    section: int
    value: int
    binding: int


class Relocation(NamedTuple):
    """Where in its section a value goes, and to what it refers."""

    offset: int
    symbol: Symbol
    addend: int


class Elf:
    """An ELF object file of either word size and byte order.

    Parameters
    ----------
    stream
        Seekable and uncompressed; must stay open as long as this is used.
    where
        What to call it in an error.

    Notes
    -----
    Any exception may come out of a damaged file; `kmpsolve.modules.module.read_module` turns them
    into one.
    """

    def __init__(self, stream: BinaryIO, where: str) -> None:
        self._stream = stream
        self.where = where
        self._size = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        elf = ELFFile(stream)
        self.word = elf.elfclass // 8
        self.order = "<" if elf.little_endian else ">"
        self.type: str = elf["e_type"]
        ends = "little" if elf.little_endian else "big"
        self.machine = f"{str(elf['e_machine']).removeprefix('EM_')}, {elf.elfclass}-bit {ends}-endian"
        if not elf["e_shoff"] or elf.num_sections() > _MAX_SECTIONS:
            raise damaged(where, "has no usable table of sections")
        self.sections = tuple(
            Section(
                index,
                section.name,
                str(section["sh_type"]),
                section["sh_flags"],
                section["sh_offset"],
                section["sh_size"],
                section["sh_link"],
                section["sh_info"],
            )
            for index, section in enumerate(elf.iter_sections())
        )
        for section in self.sections:
            self._check_length(section)

    def _check_length(self, section: Section) -> None:
        """Refuse what the kernel refuses: a section that the file does not hold whole, read here or not."""
        empty = section.type in ("SHT_NULL", "SHT_NOBITS")
        if not empty and section.offset + section.size > self._size:
            raise damaged(self.where, f"is cut short: section {section.name} ends after the file")

    def section(self, name: str) -> Section | None:
        """The first section of that name."""
        return next((section for section in self.sections if section.name == name), None)

    def content(self, section: Section) -> bytes:
        """A section's bytes, as far as the file has any for it."""
        if section.type == "SHT_NOBITS":
            return b""
        if section.flags & _COMPRESSED:
            raise damaged(self.where, f"section {section.name} is compressed, which no kernel loads")
        if section.size > _MAX_SECTION:
            raise damaged(self.where, f"section {section.name} has more than {_MAX_SECTION >> 20} MiB")
        self._stream.seek(section.offset)
        return self._stream.read(section.size)

    def named(self, name: str) -> bytes:
        """The content of the first section of that name; empty if there is none."""
        section = self.section(name)
        return self.content(section) if section else b""

    def number(self, content: bytes, offset: int, size: int) -> int:
        """The unsigned number of `size` bytes at `offset`."""
        piece = content[offset : offset + size]
        if len(piece) != size:
            raise damaged(self.where, "a table points behind its section")
        return int.from_bytes(piece, "little" if self.order == "<" else "big")

    @cached_property
    def _symbol_table(self) -> Section | None:
        return next((section for section in self.sections if section.type == "SHT_SYMTAB"), None)

    @cached_property
    def _names(self) -> bytes:
        table = self._symbol_table
        return self.content(self.sections[table.link]) if table else b""

    @cached_property
    def symbols(self) -> tuple[Symbol, ...]:
        """The symbol table, in file order, with the null symbol at 0; empty for a stripped file."""
        table = self._symbol_table
        if table is None:
            return ()
        if table.size > _MAX_SYMBOLS:
            raise damaged(self.where, f"its symbol table has more than {_MAX_SYMBOLS >> 20} MiB")
        content = self.content(table)
        if self.word == 8:
            records = struct.iter_unpack(f"{self.order}IBBHQQ", content)
            return tuple(Symbol(name, home, value, kind >> 4) for name, kind, _, home, value, _ in records)
        records = struct.iter_unpack(f"{self.order}IIIBBH", content)
        return tuple(Symbol(name, home, value, kind >> 4) for name, value, _, kind, _, home in records)

    def name(self, symbol: Symbol) -> str:
        """A symbol's name."""
        return self.string(self._names, symbol.name)

    def string(self, content: bytes, offset: int) -> str:
        """The NUL-terminated text at `offset` of a section's content."""
        end = content.find(b"\0", offset, offset + _MAX_NAME)
        if end < 0:
            raise damaged(self.where, "a name has no end, or points behind the table of names")
        return content[offset:end].decode("utf-8", "replace")

    def relocations(self, section: Section) -> list[Relocation]:
        """What is filled in into a section at load time, by offset."""
        found = []
        for table in self.sections:
            if table.target != section.index or table.type not in ("SHT_RELA", "SHT_REL"):
                continue
            with_addend = table.type == "SHT_RELA"
            shape = ("QQq" if self.word == 8 else "IIi") if with_addend else "QQ" if self.word == 8 else "II"
            held = b"" if with_addend else self.content(section)
            for record in struct.iter_unpack(self.order + shape, self.content(table)):
                offset, reference = record[:2]
                symbol = self.symbols[reference >> (32 if self.word == 8 else 8)]
                # A table without addends keeps them in the place that is to be filled in.
                addend = record[2] if with_addend else self.number(held, offset, 4)
                found.append(Relocation(offset, symbol, addend))
        return sorted(found, key=lambda relocation: relocation.offset)
