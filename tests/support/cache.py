"""A folder of built things, named by what they were built from and shared by all test processes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def root() -> Path:
    """Return the cache folder: ``KMPSOLVE_TEST_CACHE``, or ``.cache/rpm`` in the checkout."""
    return Path(os.environ.get("KMPSOLVE_TEST_CACHE") or CHECKOUT / ".cache" / "rpm")


def digest(*parts: object) -> str:
    """Return the name of what is built from `parts`, which are JSON values, bytes or tuples of them."""
    text = json.dumps(parts, ensure_ascii=True, default=lambda value: value.hex())
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def folder(kind: str, name: str, fill: Callable[[Path], None]) -> Path:
    """Return the cached folder `name`, filled by `fill` if nobody did before.

    It is filled under another name and moved into place whole, so that a process that comes upon it,
    or is killed meanwhile, never meets or leaves half of it.
    """
    place = root() / kind / name[:2] / name
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=place.parent))
        try:
            fill(draft)
            draft.chmod(0o755)
            draft.rename(place)
        except OSError:
            if not place.is_dir():
                raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return place
