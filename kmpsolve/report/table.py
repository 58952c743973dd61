"""Tables for terminals: too many columns go below each other, the first ones repeated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kmpsolve.report.terminal import Terminal, Tone, printable

__all__ = ["TextCell", "table"]


@dataclass(frozen=True, slots=True)
class TextCell:
    """One cell; numbers stand at the right."""

    text: str
    tone: Tone = "plain"
    number: bool = False


def table(
    rows: Sequence[Sequence[TextCell]], terminal: Terminal, *, fixed: int = 1, indent: int = 2
) -> Iterator[str]:
    """Lines of a table whose rows are equally long.

    Parameters
    ----------
    fixed
        How many columns at the left stand before every block of the others.
    """
    if not rows:
        return
    widths = [max(len(printable(row[i].text)) for row in rows) for i in range(len(rows[0]))]
    room = terminal.width - indent - sum(width + 2 for width in widths[:fixed])
    start = fixed
    while True:
        end, used = start, 0
        while end < len(widths) and (end == start or used + widths[end] + 2 <= room + 2):
            used += widths[end] + 2
            end += 1
        shown = [*range(fixed), *range(start, end)]
        for row in rows:
            yield " " * indent + _line(row, shown, widths, terminal)
        start = end
        if start >= len(widths):
            return
        yield ""


def _line(row: Sequence[TextCell], shown: Sequence[int], widths: Sequence[int], terminal: Terminal) -> str:
    parts = []
    for position, i in enumerate(shown):
        text = printable(row[i].text)
        pad = " " * (widths[i] - len(text))
        toned = terminal.tone(text, row[i].tone)
        last = position == len(shown) - 1
        parts.append(pad + toned if row[i].number else toned if last else toned + pad)
    return "  ".join(parts).rstrip()
