"""What depmod wrote down for modprobe: modules.dep to read, modules.dep.bin to look things up in.

kmod looks into the index only; depmod writes both at once. The format is libkmod's (libkmod-index.c): big-endian
numbers, a header with the offset of the root, and a trie of names whose values are the lines of the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from kmpsolve.errors import MetadataError
from kmpsolve.machine.tree import ModuleTree, Trees, module_name
from kmpsolve.metadata.files import read_small

__all__ = ["INDEX", "TEXT", "listed_modules", "listed_needs"]

TEXT = "modules.dep"
INDEX = "modules.dep.bin"

_MAGIC = 0xB007F457
_MAJOR_VERSION = 2
_PREFIX, _VALUES, _CHILDREN = 0x80000000, 0x40000000, 0x20000000
_OFFSET = 0x0FFFFFFF
_END = b"\0"


def listed_modules(trees: Trees, tree: ModuleTree, name: str) -> Mapping[str, str] | None:
    """Module name -> its path below the tree, as `TEXT` or `INDEX` tells it; ``None`` if that cannot be read."""
    lines = _lines(trees, tree, name)
    if lines is None:
        return None
    files = [file for file, _ in lines]
    return {module_name(file): below for file, below in zip(files, _below(files, tree), strict=True)}


def listed_needs(trees: Trees, tree: ModuleTree, name: str) -> Mapping[str, frozenset[str]]:
    """Module name -> the names of those that modprobe loads before it; nothing if that cannot be read."""
    lines = _lines(trees, tree, name) or ()
    return {module_name(file): frozenset(map(module_name, needed.split())) for file, needed in lines}


def _lines(trees: Trees, tree: ModuleTree, name: str) -> list[tuple[str, str]] | None:
    """What stands before and behind the colon of each line."""
    try:
        content = read_small(trees.locate(f"{tree.path}/{name}"))
        lines = _indexed(content) if name == INDEX else content.splitlines()
        texts = [line.decode("utf-8", "surrogateescape") for line in lines]
    except (OSError, MetadataError, IndexError, ValueError):
        return None
    return [(file, needed) for file, colon, needed in (text.partition(":") for text in texts) if colon]


def _below(files: Iterable[str], tree: ModuleTree) -> Iterator[str]:
    """depmod tells paths below the tree; older ones told them from the root."""
    inside = f"/modules/{tree.uname_r}/"
    for file in files:
        yield (file.partition(inside)[2] or file) if file.startswith("/") else file


def _indexed(content: bytes) -> list[bytes]:
    """The values of an index.

    Raises
    ------
    IndexError, ValueError
        If it is damaged or cut off.
    """
    if _number(content, 0) != _MAGIC or _number(content, 4) >> 16 != _MAJOR_VERSION:
        raise ValueError("no index of depmod")
    found: list[bytes] = []
    ahead = [_number(content, 8)]
    entered: set[int] = set()
    while ahead:
        offset = ahead.pop()
        if offset in entered:
            raise ValueError("a node is there twice")
        entered.add(offset)
        at = offset & _OFFSET
        if offset & _PREFIX:
            at = content.index(_END, at) + 1
        if offset & _CHILDREN:
            first, last = content[at], content[at + 1]
            at += 2
            children = (_number(content, at + 4 * place) for place in range(last - first + 1))
            ahead += [child for child in children if child & _OFFSET]
            at += 4 * (last - first + 1)
        if offset & _VALUES:
            count = _number(content, at)
            at += 4
            for _ in range(count):
                end = content.index(_END, at + 4)
                found.append(content[at + 4 : end])
                at = end + 1
            if len(found) > len(content):
                raise ValueError("more values than there is room for")
    return found


def _number(content: bytes, at: int) -> int:
    if at + 4 > len(content):
        raise IndexError("cut off")
    return int.from_bytes(content[at : at + 4], "big")
