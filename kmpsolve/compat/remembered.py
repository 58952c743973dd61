"""Matrices that were made before: of the same packages, the same kernels have the same cells."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterable
from itertools import islice

from kmpsolve.cache.place import read, write
from kmpsolve.compat.matrix import Cell, Column, Matrix, Row
from kmpsolve.model.evr import Evr
from kmpsolve.model.nevra import Nevra
from kmpsolve.model.package import KernelUnit

__all__ = ["recall", "remember"]

_UNKNOWN = -1
_HEADS, _CELLS = "heads.json", "cells"


def recall(sources: str, units: Iterable[KernelUnit]) -> Matrix | None:
    """The matrix of all KMPs and these kernels, if it was kept.

    Parameters
    ----------
    sources
        Names everything that packages were read from (`kmpsolve.cache.identity`).
    """
    stored = read(_name(sources, units))
    if stored is None:
        return None
    heads = json.loads(bytes(stored.block(_HEADS)))
    codes = stored.block(_CELLS).cast("i")
    known = {code: Cell(code >> 1, bool(code & 1)) for code in set(codes) - {_UNKNOWN}}
    cells = map(known.get, codes)
    width = len(heads["kernels"])
    return Matrix(
        kernels=tuple(Column(_nevra(nevra), flavor) for nevra, flavor in heads["kernels"]),
        builds=tuple(Row(_nevra(nevra), flavor, alias) for nevra, flavor, alias in heads["builds"]),
        cells=tuple(tuple(islice(cells, width)) for _ in heads["builds"]),
    )


def remember(sources: str, units: Iterable[KernelUnit], matrix: Matrix) -> bool:
    """Keep a matrix for `recall`; False if it cannot be written."""
    heads = {
        "kernels": [(_words(column.nevra), column.flavor) for column in matrix.kernels],
        "builds": [(_words(row.nevra), row.flavor, row.repository) for row in matrix.builds],
    }
    codes = array(
        "i",
        (
            _UNKNOWN if cell is None else cell.mismatches << 1 | cell.fits
            for row in matrix.cells
            for cell in row
        ),
    )
    return write(_name(sources, units), {_HEADS: json.dumps(heads).encode(), _CELLS: codes.tobytes()})


def _name(sources: str, units: Iterable[KernelUnit]) -> str:
    """Which packages make up a kernel depends on more than the packages: on locks, vendors and what is asked for."""
    parts = [[unit.flavor, *((str(p.nevra), p.repository) for p in unit.packages)] for unit in units]
    return "matrix-" + hashlib.sha256(json.dumps([sources, parts]).encode()).hexdigest()[:32]


def _words(nevra: Nevra) -> tuple[str, int, str, str, str]:
    return nevra.name, nevra.evr.epoch, nevra.evr.version, nevra.evr.release, nevra.arch


def _nevra(words: tuple[str, int, str, str, str]) -> Nevra:
    name, epoch, version, release, arch = words
    return Nevra(name, Evr(epoch, version, release), arch)
