"""What the commit hook said last, for people who ask ``kmpsolve doctor``; nothing else looks at it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kmpsolve.errors import KmpsolveError, MetadataError
from kmpsolve.metadata.rootpath import Root
from kmpsolve.report.files import write_whole

__all__ = ["recent", "remember"]

_FILE = Path("/run/kmpsolve/verdicts.json")
_KEPT = 10
_LONGEST = 500
_WORDS = {"verdict": "KMPSOLVE_VERDICT", "action": "KMPSOLVE_ACTION", "message": "MESSAGE"}


def remember(journal: Mapping[str, str]) -> None:
    """Add what the journal is told of a transaction; a full disk is no reason for another verdict."""
    said = {key: journal.get(word, "")[:_LONGEST] for key, word in _WORDS.items()}
    entries = [{"at": int(time.time()), **said}, *recent(Root(Path("/")))]
    try:
        _FILE.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_whole(_FILE, json.dumps(entries[:_KEPT]))
    except (OSError, MetadataError) as error:
        print(f"kmpsolve: {error}", file=sys.stderr)


def recent(root: Root) -> list[dict[str, Any]]:
    """What was said since the last boot, the newest first.

    Each has ``at`` (seconds since the epoch), ``verdict`` (``error`` where there was none), ``action`` (``abort``,
    ``hold`` or ``warn``) and ``message``, one line.
    """
    try:
        entries = json.loads(root.read(str(_FILE)) or "[]")
        return [{"at": int(one["at"]), **{key: str(one[key]) for key in _WORDS}} for one in entries[:_KEPT]]
    except (KmpsolveError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return []
