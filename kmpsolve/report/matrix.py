"""The matrix of KMP builds and kernels as text, CSV and JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby, takewhile
from typing import Any

from kmpsolve.compat.matrix import Cell, Matrix
from kmpsolve.model.nevra import Nevra
from kmpsolve.model.plan import SCHEMA_VERSION
from kmpsolve.report.explain import cell_text
from kmpsolve.report.table import TextCell, table
from kmpsolve.report.terminal import Terminal, printable

__all__ = ["document", "plain", "render_csv", "render_matrix", "short_kernels"]


def document(matrix: Matrix) -> dict[str, Any]:
    """The JSON document; `fits` tells what a number cannot: that another exact kernel is required."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kernels": [str(unit.nevra) for unit in matrix.kernels],
        "builds": [str(build.nevra) for build in matrix.builds],
        "cells": [[cell.mismatches if cell else None for cell in row] for row in matrix.cells],
        "fits": [[cell.fits if cell else None for cell in row] for row in matrix.cells],
    }


def render_csv(matrix: Matrix) -> str:
    """A row for each build, a column for each kernel; empty where nothing can be said, else as the text."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["build", *(plain(str(unit.nevra)) for unit in matrix.kernels)])
    for build, row in zip(matrix.builds, matrix.cells, strict=True):
        writer.writerow(
            [plain(str(build.nevra)), *("" if cell is None else cell_text(cell).text for cell in row)]
        )
    return out.getvalue()


def plain(text: str) -> str:
    """Spreadsheets run what begins like a formula; no package name has to."""
    text = printable(text)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def short_kernels(evrs: Sequence[str]) -> tuple[str, list[str]]:
    """What all of `evrs` begin with, version included, up to a dot or dash, and what is left of each."""
    first, last = (min(evrs), max(evrs)) if len(evrs) > 1 else ("", "")
    common = "".join(a for a, b in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))
    common = common[: max(common.rfind("."), common.rfind("-")) + 1] if "-" in common else ""
    return common, [evr.removeprefix(common) for evr in evrs]


def render_matrix(matrix: Matrix, terminal: Terminal, marked: Collection[str]) -> str:
    """A table for each flavor, KMP by KMP, the newest kernels first.

    Parameters
    ----------
    marked
        NEVRAs of the newest safe kernels.
    """
    lines = list(_lines(matrix, terminal, marked))
    return "\n".join(lines) + "\n" if lines else "no KMP for these kernels is installed or in a repository\n"


def _lines(matrix: Matrix, terminal: Terminal, marked: Collection[str]) -> Iterator[str]:
    exact = shown = False
    for flavor in sorted({unit.flavor for unit in matrix.kernels}):
        columns = [i for i, unit in enumerate(matrix.kernels) if unit.flavor == flavor]
        rows = [
            (build, [row[i] for i in columns])
            for build, row in zip(matrix.builds, matrix.cells, strict=True)
            if build.flavor in (flavor, "")
        ]
        if not rows:
            continue
        shown = True
        units = [matrix.kernels[i] for i in columns]
        common, short = short_kernels([str(unit.nevra.evr) for unit in units])
        name = units[0].nevra.name
        yield terminal.tone(f"{name} {common}*" if common else name, "strong")
        nevras = [*(unit.nevra for unit in units), *(build.nevra for build, _ in rows)]
        several = len({nevra.arch for nevra in nevras} - {"noarch"}) > 1
        heads = [
            f"{text}{_arch(unit.nevra, several)}{'*' if str(unit.nevra) in marked else ''}"
            for unit, text in zip(units, short, strict=True)
        ]
        cells = [[TextCell(""), *(TextCell(head, "strong", True) for head in heads)]]
        for kmp, group in groupby(rows, key=lambda entry: entry[0].name):
            cells.append([TextCell(kmp, "strong"), *(TextCell("", number=True) for _ in heads)])
            for build, row in group:
                where = "" if build.installed else f"  {build.repository}"
                mark = "= " if build.installed else "  "
                label = f"{mark}{build.nevra.evr}{_arch(build.nevra, several)}{where}"
                cells.append([TextCell(label), *map(cell_text, row)])
                exact |= any(map(_exact, row))
        yield from table(cells, terminal)
        yield ""
    if not shown:
        return
    legend = ["0 fits", "- cannot be checked", "= installed"]
    legend += ["x built for another kernel only"] if exact else []
    legend += ["* newest safe kernel"] if marked else []
    yield from terminal.wrapped("", "; ".join(legend))


def _arch(nevra: Nevra, told: bool) -> str:
    return f".{nevra.arch}" if told else ""


def _exact(cell: Cell | None) -> bool:
    return cell is not None and not cell.fits and not cell.mismatches
