"""Our own entries in zypp's locks file, and nobody else's.

zypp reads the file forgivingly and rewrites it whole; people edit it by hand. Every byte that is not one of
our blocks is put back as it was found, and a file that somebody else replaces in the same moment is merged,
not lost: the new file is exchanged with the old one in one step, and what comes out of the exchange is
compared with what went into the merge.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kmpsolve.errors import ConfigError, PrivilegeError, ZyppLockedError
from kmpsolve.metadata.files import read_small
from kmpsolve.metadata.locks import parse_locks
from kmpsolve.metadata.rootpath import Root
from kmpsolve.report.files import begin_beside, forget_drafts

__all__ = ["HOLD", "KEEP", "OwnLock", "own_locks", "rewrite", "zypp_lock"]

HOLD = "kmpsolve hold"
"""The comment of a lock on a kernel that would break a KMP; dropped as soon as it would not any more."""

KEEP = "kmpsolve keep"
"""The comment of a lock on a kernel that purge-kernels must not take."""

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+~^:-]*")
"""Names and EVRs that cannot end a line of the file, and with it the lock."""

_RENAME_EXCHANGE = 2
_AT_FDCWD = -100
_ATTEMPTS = 100


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class OwnLock:
    """One lock of ours: exactly one version of exactly one package name.

    Parameters
    ----------
    comment
        `HOLD` or `KEEP`.
    """

    name: str
    evr: str
    comment: str

    @property
    def plain(self) -> bool:
        """Whether it can be written; no package that rpmbuild made has a name or EVR that cannot."""
        return bool(_PLAIN.fullmatch(self.name) and _PLAIN.fullmatch(self.evr))

    def block(self) -> str:
        """The lock as zypp reads it."""
        return (
            "type: package\nmatch_type: exact\ncase_sensitive: on\n"
            f"solvable_name: {self.name}\nversion: == {self.evr}\ncomment: {self.comment}\n"
        )


def own_locks(text: str) -> tuple[OwnLock, ...]:
    """Our locks in the text of a locks file, sorted."""
    found = []
    for block in parse_locks(text).blocks:
        lock = block.lock
        if lock is not None and lock.comment in (HOLD, KEEP) and lock.names:
            evr = str(lock.version[1]) if lock.version else ""
            found.append(OwnLock(name=lock.names[0], evr=evr, comment=lock.comment))
    return tuple(sorted(set(found)))


def merged(text: str, wanted: Iterable[OwnLock], comments: frozenset[str]) -> str:
    """`text` with `wanted` as the only locks under `comments`; everything else as it was, byte for byte.

    A block of ours that is wanted stays where it is. What is new comes at the end, after the empty line that
    ends whatever stands there.
    """
    missing = set(wanted)
    kept: list[str] = []
    for block in parse_locks(text).blocks:
        lock = block.lock
        if lock is None or lock.comment not in comments:
            kept.append(block.raw)
            continue
        mine = OwnLock(
            name=lock.names[0] if lock.names else "",
            evr=str(lock.version[1]) if lock.version else "",
            comment=lock.comment,
        )
        if mine in missing:
            missing.discard(mine)
            kept.append(block.raw)
        else:
            kept.append(_around(block.raw))
    result = "".join(kept)
    for new in sorted(missing):
        if result and not result.endswith("\n"):
            result += "\n"
        if result and not result.endswith("\n\n"):
            result += "\n"
        result += new.block() + "\n"
    return result


def _union(text: str, other: str) -> str:
    """`text`, then the blocks of `other` that it lacks: nobody's entry is lost, though one may come back."""
    there = {block.raw.strip() for block in parse_locks(text).blocks}
    missing = [block.raw for block in parse_locks(other).blocks if block.raw.strip() not in there]
    return text + ("" if not missing or text.endswith("\n\n") or not text else "\n\n") + "".join(missing)


def _around(raw: str) -> str:
    """What is left of a block without its attributes and the one empty line that ends it."""
    lines = raw.splitlines(keepends=True)
    attributes = [n for n, line in enumerate(lines) if ":" in line and not line.startswith("#")]
    after = lines[attributes[-1] + 1 :]
    if after and not after[0].strip():
        del after[0]
    return "".join(lines[: attributes[0]] + after)


def rewrite(path: Path, wanted: Iterable[OwnLock], comments: frozenset[str]) -> bool:
    """Make `wanted` our only locks under `comments` in a file; tells whether that changed it.

    Raises
    ------
    PrivilegeError
        If the file may not be written.
    ConfigError
        ``locks-unwritable``, if it cannot be, or is being changed without an end.
    """
    wanted = tuple(lock for lock in wanted if lock.plain)
    forget_drafts(path)
    try:
        text, before = _read(path)
        new = merged(text, wanted, comments)
        if new == text:
            return False
        theirs = ""
        for _ in range(_ATTEMPTS):
            found = _exchange(path, new, before)
            if found == before:
                if not new and not path.read_bytes():
                    path.unlink()  # as it was before our first lock
                return True
            # Somebody else's file came out: ours is in place, and is made again from theirs.
            before = new.encode("utf-8", "surrogateescape")
            theirs = _union((found or b"").decode("utf-8", "surrogateescape"), theirs)
            new = merged(theirs, wanted, comments)
    except PermissionError as error:
        raise PrivilegeError(
            "cannot be written by this user",
            reference="locks-unwritable",
            where=str(path),
            hint="Run it as root",
        ) from error
    except OSError as error:
        raise ConfigError(
            f"cannot be written: {error.strerror}",
            reference="locks-unwritable",
            where=str(path),
            hint="Look at what stands there, and whether the file system can be written; then try again",
        ) from error
    raise ConfigError(
        "is being changed all the time",
        reference="locks-unwritable",
        where=str(path),
        hint="Try again when no other program changes zypp's locks",
    )


def _read(path: Path) -> tuple[str, bytes | None]:
    try:
        content = read_small(path)
    except FileNotFoundError:
        return "", None
    return content.decode("utf-8", "surrogateescape"), content


def _exchange(path: Path, text: str, before: bytes | None) -> bytes | None:
    """Put `text` in the place of the file; returns what was there."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    descriptor, name = begin_beside(path)
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(text.encode("utf-8", "surrogateescape"))
            stream.flush()
            os.fsync(stream.fileno())
            mode = 0o644
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                mode = status.st_mode & 0o777
                os.fchown(stream.fileno(), status.st_uid, status.st_gid)
            os.fchmod(stream.fileno(), mode)
        if before is None:
            try:
                os.link(draft, path)  # fails if somebody made the file meanwhile
            except FileExistsError:
                return _swap(draft, path)
            return None
        return _swap(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _swap(draft: Path, path: Path) -> bytes | None:
    """Exchange two files in one step; returns what `path` was."""
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.renameat2(_AT_FDCWD, os.fsencode(draft), _AT_FDCWD, os.fsencode(path), _RENAME_EXCHANGE)
    if done == 0:
        return draft.read_bytes()
    number = ctypes.get_errno()
    if number == errno.ENOENT:  # somebody removed the file
        draft.rename(path)
        return None
    if number not in (errno.EINVAL, errno.ENOSYS):
        raise OSError(number, os.strerror(number), str(path))
    # A file system that cannot exchange: the moment between these two lines is all that is left.
    found = path.read_bytes()
    draft.replace(path)
    return found


@contextlib.contextmanager
def zypp_lock(root: Path) -> Iterator[None]:
    """Hold zypp's own lock on a system, so that no zypper changes it meanwhile.

    The lock is a file with the process id of its holder; whoever finds the id of a living process in it keeps
    out (libzypp's ZYppFactory). Where that is the program that this one runs for, it holds for both.

    Parameters
    ----------
    root
        The system; zypper, told of another one with ``--root``, takes the lock there.

    Raises
    ------
    ZyppLockedError
        If somebody else holds it.
    PrivilegeError
        If this user may not take it.
    ConfigError
        ``zypp-lock-unwritable``, if it cannot be written.
    """
    path = Root.at(root).path("/run/zypp.pid")
    if _holder(path) in _ancestors():
        yield  # a scriptlet or a subcommand of the very zypper that holds it
        return
    try:
        path.parent.mkdir(exist_ok=True)
        with path.open("a+") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            holder = _holder(path)
            if holder is not None and holder != os.getpid() and _runs(holder):
                raise ZyppLockedError(
                    f"zypp is locked by process {holder}",
                    reference="zypp-locked",
                    hint="Wait until that program has finished",
                )
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
    except PermissionError as error:
        raise PrivilegeError("only root may do this", reference="not-root", hint="Run it as root") from error
    except OSError as error:
        raise ConfigError(
            f"zypp's lock cannot be taken: {error.strerror}",
            reference="zypp-lock-unwritable",
            where=str(path),
            hint="Look whether that file system is full or read-only",
        ) from error
    try:
        yield
    finally:
        # The id of a process that is gone locks nobody out.
        with contextlib.suppress(OSError), path.open("a+") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            file.truncate(0)


def _holder(path: Path) -> int | None:
    """The process id in zypp's lock file."""
    try:
        text = path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() and int(text) else None


def _runs(pid: int) -> bool:
    """Whether a process has not ended: one that has holds nothing, also before its parent fetches its exit code
    (which init does not do in many a container).
    """
    try:
        state = (
            Path(f"/proc/{pid}/stat")
            .read_text(encoding="ascii", errors="replace")
            .rpartition(")")[2]
            .split()[0]
        )
    except (OSError, IndexError):
        return False
    return state not in ("Z", "X")


def _ancestors() -> set[int]:
    """The processes that this one was started by."""
    found: set[int] = set()
    pid = os.getppid()
    while pid > 1 and pid not in found:
        found.add(pid)
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            break
    return found
