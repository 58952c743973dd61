"""JSON that is fit for a terminal, a log and a file."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["json_text"]

# What json leaves as it is and a terminal may obey, an editor turn round, and UTF-8 not express. A first and
# coarse look: most documents have nothing of it.
_SUSPICIOUS = re.compile(r"[^\n -~]")


def json_text(document: Any, indent: int | None = None) -> str:
    """A document as JSON, with characters that are not printable as escapes, so that no name acts.

    Bytes that are no UTF-8, as file names may have, become U+FFFD: RFC 8259 (8.2) leaves open what comes of them.
    """
    text = json.dumps(document, indent=indent, ensure_ascii=False)
    return _SUSPICIOUS.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    if match[0].isprintable():
        return match[0]
    if "\ud800" <= match[0] <= "\udfff":  # a byte that is no UTF-8; escaped, many parsers refuse the document
        return "\ufffd"
    units = match[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
