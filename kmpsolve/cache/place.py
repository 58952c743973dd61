"""Where caches lie, and whom they are believed from.

A cache is a folder that is written under another name and moved into place whole: readers find all of it or
nothing, and of two writers the second loses, having written the same. It is believed only if nobody but root
and this user can have written it, if every file has the checksum that the folder's own list states, and if that
list is whole and this cache's own.
"""

from __future__ import annotations

import json
import mmap
import os
import stat
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

__all__ = ["Stored", "folder", "read", "survey", "write"]

FORMAT = 5
"""Raised whenever the same folder would be read in another way."""

_SHARED = Path("/var/cache/kmpsolve/views")
"""Beside what is fetched: old caches are removed here, and what is remembered of repositories is not."""

_LIST = "list.json"
_KEPT = 6
"""This many caches are kept; a system has one, and one for each matrix that is asked for."""

_ABANDONED = 3600
"""Seconds after which an unfinished cache is nobody's any more."""


def folder() -> Path | None:
    """The folder that caches are written to; ``None`` if there are to be none.

    ``KMPSOLVE_CACHE`` names another one; empty, it switches caches off.
    """
    named = os.environ.get("KMPSOLVE_CACHE")
    if named is not None:
        return Path(named) if named else None
    if os.geteuid() == 0:
        return _SHARED
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 (may have no home)
    return Path(home) / "kmpsolve" / "views" if os.path.isabs(home) else None  # noqa: PTH117


def _candidates() -> list[Path]:
    mine = folder()
    if mine is None:
        return []
    return [mine] if mine == _SHARED or "KMPSOLVE_CACHE" in os.environ else [mine, _SHARED]


class Stored:
    """The files of a cache, open; they stay readable when it is replaced meanwhile."""

    def __init__(self, files: Mapping[str, int]) -> None:
        self._files = dict(files)

    def block(self, name: str) -> memoryview:
        """The bytes of a file."""
        file = self._files[name]
        size = os.fstat(file).st_size
        return memoryview(mmap.mmap(file, size, prot=mmap.PROT_READ)) if size else memoryview(b"")

    def path(self, name: str) -> Path:
        """A path that leads to the file even if it has no name any more."""
        return Path(f"/proc/self/fd/{self._files[name]}")

    def close(self) -> None:
        """Close all of them."""
        for file in self._files.values():
            os.close(file)
        self._files = {}


def read(name: str) -> Stored | None:
    """Open the cache `name`; ``None`` if there is none that can be believed."""
    for place in _candidates():
        stored = _read(place, name)
        if stored is not None:
            return stored
    return None


def survey() -> tuple[dict[str, bool], int]:
    """Each cache that is there, by name, and whether it is believed; the bytes that they take."""
    place, found, size = folder(), {}, 0
    with suppress(OSError):
        for path in sorted(place.iterdir()) if place is not None else ():
            if place is not None and not path.name.startswith("."):
                stored = _read(place, path.name)
                found[path.name] = stored is not None
                if stored is not None:
                    stored.close()
                size += sum(file.lstat().st_size for file in path.iterdir())
    return found, size


def _read(place: Path, name: str) -> Stored | None:
    files: dict[str, int] = {}
    try:
        for above in (place, place / name):
            if not _only_ours(os.lstat(above)):
                return None
        files[_LIST] = _open(place / name / _LIST)
        listed = json.loads(Stored(files).block(_LIST).tobytes())
        checksum = listed.pop("checksum")
        if listed["format"] != FORMAT or listed["name"] != name or _checksum(listed) != checksum:
            raise ValueError(name)
        for file, checksum in listed["files"].items():
            files[file] = _open(place / name / file)
            if zlib.crc32(Stored({file: files[file]}).block(file)) != checksum:
                raise ValueError(file)
        if not Path("/proc/self/fd").is_dir():
            raise ValueError(name)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        Stored(files).close()
        return None
    return Stored(files)


def _checksum(listed: Mapping[str, object]) -> int:
    """Of a list itself: a file that is missing from it would be missed by nobody else."""
    return zlib.crc32(json.dumps(listed).encode())


def _open(path: Path) -> int:
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    status = os.fstat(file)
    if not (stat.S_ISREG(status.st_mode) and _only_ours(status)):
        os.close(file)
        raise PermissionError(path)
    return file


def _only_ours(status: os.stat_result) -> bool:
    """Whether nobody but root and this user can have written a file or folder."""
    return status.st_uid in (0, os.geteuid()) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def write(name: str, files: Mapping[str, bytes]) -> bool:
    """Write the cache `name`; False if it cannot be written, which is nobody's loss."""
    place = folder()
    if place is None:
        return False
    # What only reads does not wait for these.
    import shutil
    import tempfile

    draft = None
    try:
        place.mkdir(mode=0o755, parents=True, exist_ok=True)
        if not _only_ours(os.lstat(place)):
            return False
        present = _read(place, name)
        if present is not None:
            present.close()
            return True
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=place))
        checksums = {file: zlib.crc32(content) for file, content in files.items()}
        listed = {"format": FORMAT, "name": name, "files": checksums}
        text = json.dumps({**listed, "checksum": _checksum(listed)})
        for file, content in {**files, _LIST: text.encode()}.items():
            path = draft / file
            path.write_bytes(content)
            path.chmod(0o644)
        draft.chmod(0o755)
        _remove(place / name)
        draft.rename(place / name)
        _forget_old(place)
    except OSError:
        return False
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)
    return True


def _remove(path: Path) -> None:
    """Remove a cache, or whatever else stands in its place: a pipe there is not even opened, which would wait."""
    import shutil

    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _forget_old(place: Path) -> None:
    by_age = sorted(((path.lstat().st_mtime, path) for path in place.iterdir()), reverse=True)
    views = [path for _, path in by_age if not path.name.startswith(".")]
    left = [path for age, path in by_age if path.name.startswith(".") and age < time.time() - _ABANDONED]
    for old in [*views[_KEPT:], *left]:
        _remove(old)
