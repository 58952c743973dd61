"""What the terminal at hand can show: its width, colours, and which characters are safe to print."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Terminal", "Tone", "printable"]

Tone = Literal["good", "bad", "doubt", "strong", "plain"]

# Blue, orange and purple rather than green and red: they differ for colour-blind eyes too, and words always
# say the same. Without 256 colours the nearest of the eight.
_CODES: dict[Tone, str] = {"good": "36", "bad": "1;33", "doubt": "35", "strong": "1", "plain": "0"}
_RICH_CODES: dict[Tone, str] = {**_CODES, "good": "38;5;32", "bad": "1;38;5;208", "doubt": "38;5;133"}


def printable(text: str) -> str:
    """`text` with control characters shown instead of obeyed: names come from metadata."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _columns() -> int:
    import shutil

    return shutil.get_terminal_size((100, 24)).columns


@dataclass(frozen=True, slots=True)
class Terminal:
    """How wide, and whether in colour.

    Parameters
    ----------
    width
        In characters, 40 to 200.
    rich
        Whether it has 256 colours.
    """

    width: int = 100
    colour: bool = False
    rich: bool = False

    @classmethod
    def of(cls, choice: str, *, to_file: bool = False) -> Terminal:
        """Look at stdout and the environment.

        Parameters
        ----------
        choice
            ``auto``, ``always`` or ``never``; ``auto`` honours NO_COLOR and needs a terminal.
        """
        tty = sys.stdout.isatty() and not to_file
        term = os.environ.get("TERM", "")
        colour = choice == "always" or (
            choice == "auto" and tty and not os.environ.get("NO_COLOR") and term not in ("", "dumb")
        )
        width = _columns() if tty else 100
        return cls(max(40, min(width, 200)), colour, "256color" in term or "COLORTERM" in os.environ)

    def tone(self, text: str, tone: Tone) -> str:
        """`text` in a colour, where colours are wanted."""
        if not self.colour or tone == "plain" or not text:
            return text
        return f"\x1b[{(_RICH_CODES if self.rich else _CODES)[tone]}m{text}\x1b[0m"

    def flow(self, parts: Sequence[tuple[str, Tone]], *, indent: int = 0, gap: int = 4) -> Iterator[str]:
        """Lines of `parts`, each kept whole: as many beside each other as fit, the rest below, indented.

        Parameters
        ----------
        gap
            Spaces between parts on one line.
        """
        line, length = "", 0
        for text, tone in parts:
            if not text:
                continue
            text = printable(text)
            if line and length + gap + len(text) <= self.width:
                line += " " * gap + self.tone(text, tone)
                length += gap + len(text)
                continue
            if line:
                yield line
                line, length = " " * indent, indent
            line += self.tone(text, tone)
            length += len(text)
        if line:
            yield line

    def wrapped(self, lead: str, text: str, *, hang: int | None = None) -> Iterator[str]:
        """`lead` and `text`, wrapped at spaces only, so that a NEVRA is never cut in two.

        Parameters
        ----------
        hang
            How far later lines are indented; default: below the end of `lead`.
        """
        indent = len(lead) if hang is None else hang
        yield from textwrap.wrap(
            printable(text),
            width=self.width,
            initial_indent=lead,
            subsequent_indent=" " * min(indent, self.width // 3),
            break_long_words=False,
            break_on_hyphens=False,
        ) or [lead.rstrip()]
