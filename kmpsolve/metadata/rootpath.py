"""Files of a system that is mounted or unpacked somewhere: looked up below its root, never outside of it."""

from __future__ import annotations

import errno
import os
import shlex
import stat
from dataclasses import dataclass
from pathlib import Path

from kmpsolve.errors import ConfigError, MetadataError

__all__ = ["Root"]

_LINKS = 40
"""As many symbolic links as the kernel itself follows in one path."""


@dataclass(frozen=True, slots=True)
class Root:
    """The root folder of a system.

    Paths are given as the system itself would write them (``/etc/zypp/zypp.conf``). A symbolic link in that
    system means what it means there: an absolute one begins at this root, and ``..`` does not lead out of it.

    Parameters
    ----------
    folder
        Where the root folder is found on this machine; ``/`` for the machine itself.
    """

    folder: Path

    @classmethod
    def at(cls, folder: Path) -> Root:
        """Take the root at `folder`.

        Raises
        ------
        MetadataError
            ``no-root``, if it is no folder.
        """
        # Not resolved: what the user typed is what messages should show, and /proc/PID/root must stay as it
        # is.
        absolute = Path(os.path.abspath(folder))  # noqa: PTH100
        if not absolute.is_dir():
            raise MetadataError(
                "there is no such folder", reference="no-root", where=str(folder), hint="Give --root a folder"
            )
        return cls(absolute)

    @property
    def is_machine(self) -> bool:
        """Whether it is the root of this machine."""
        return str(self.folder) == "/"

    def path(self, inside: str) -> Path:
        """Find where the file that the system calls `inside` is; it need not exist.

        Raises
        ------
        MetadataError
            ``link-loop``, if its symbolic links go round in circles.
        """
        if self.is_machine:
            return Path("/", inside)
        base = str(self.folder)
        found: list[str] = []
        ahead = [part for part in reversed(inside.split("/")) if part]
        links = 0
        while ahead:
            part = ahead.pop()
            if part == ".":
                continue
            if part == "..":
                del found[-1:]
                continue
            found.append(part)
            try:
                target = os.readlink("/".join([base, *found]))  # noqa: PTH115 (a string: its ".." parts must stay)
            except OSError:
                continue  # no link, or nothing there
            links += 1
            if links > _LINKS:
                raise MetadataError(
                    "its symbolic links go round in circles",
                    reference="link-loop",
                    where=f"{base}{inside}",
                    hint=f"See where they lead: namei {shlex.quote(f'{base}{inside}')}",
                )
            if target.startswith("/"):
                found.clear()
            else:
                found.pop()
            ahead += [step for step in reversed(target.split("/")) if step]
        return Path("/".join([base, *found]))

    def read(self, inside: str) -> str | None:
        """Read a configuration file; None if there is none.

        Bytes that are no UTF-8 survive as surrogates, so that encoding the text again gives the same bytes.

        Raises
        ------
        ConfigError
            ``configuration-unreadable``, if it is there and cannot be read.
        """
        path = self.path(inside)
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                return None
            return path.read_bytes().decode("utf-8", "surrogateescape")
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return None
            raise ConfigError(
                f"cannot be read ({error.strerror})",
                reference="configuration-unreadable",
                where=str(path),
                hint="Run it as root, or check the file's permissions",
            ) from error

    def names(self, folder: str) -> list[str]:
        """List the names in a folder, sorted, without hidden ones; empty if there is no such folder.

        Raises
        ------
        ConfigError
            ``configuration-unreadable``, if it is there and cannot be listed.
        """
        path = self.path(folder)
        try:
            return sorted(name for name in os.listdir(path) if not name.startswith("."))  # noqa: PTH208
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return []
            raise ConfigError(
                f"cannot be listed ({error.strerror})",
                reference="configuration-unreadable",
                where=str(path),
                hint="Run it as root, or check the folder's permissions",
            ) from error
