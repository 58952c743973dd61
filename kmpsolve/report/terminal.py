"""What the terminal at hand can show: its width, colours, and which characters are safe to print."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from typing import Literal

__all__ = ["Terminal", "printable"]

Tone = Literal["good", "bad", "doubt", "strong"]

# Blue and orange rather than green and red: they differ for colour-blind eyes too, and words say the same.
_CODES: dict[Tone, str] = {"good": "34", "bad": "1;33", "doubt": "35", "strong": "1"}


def printable(text: str) -> str:
    """`text` with control characters shown instead of obeyed: names come from metadata."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@dataclass(frozen=True, slots=True)
class Terminal:
    """How wide, and whether in colour."""

    width: int = 100
    colour: bool = False

    @classmethod
    def of(cls, choice: str, *, to_file: bool = False) -> Terminal:
        """Look at stdout and the environment.

        Parameters
        ----------
        choice
            ``auto``, ``always`` or ``never``; ``auto`` honours NO_COLOR and needs a terminal.
        """
        tty = sys.stdout.isatty() and not to_file
        colour = choice == "always" or (
            choice == "auto" and tty and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        )
        width = shutil.get_terminal_size((100, 24)).columns if tty else 100
        return cls(max(40, min(width, 200)), colour)

    def tone(self, text: str, tone: Tone) -> str:
        """`text` in a colour, where colours are wanted."""
        return f"\x1b[{_CODES[tone]}m{text}\x1b[0m" if self.colour else text
