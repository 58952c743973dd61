"""What /sys tells: devices and their drivers.

/sys is read below a root of its own, so that a copy of another machine's is read the same way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from kmpsolve.errors import KmpsolveError
from kmpsolve.metadata.files import read_small
from kmpsolve.metadata.rootpath import Root

__all__ = ["drivers_above", "modaliases_in", "names_in", "text_of"]

_HUGE = "system/memory"
"""Has a folder for every piece of memory and no modalias (bnc#824110)."""
_LONGEST = 1 << 16


def text_of(path: Path) -> str:
    """The content of a small file without the newline at its end; empty if it cannot be read."""
    try:
        return read_small(path)[:_LONGEST].decode("utf-8", "replace").rstrip("\n")
    except OSError:
        return ""


def names_in(path: Path) -> list[str]:
    """The names in a folder, sorted; none if it cannot be listed."""
    try:
        return sorted(os.listdir(path))  # noqa: PTH208
    except OSError:
        return []


def modaliases_in(sys: Root) -> Iterator[str]:
    """The modalias of every device, as libzypp collects them: all files of that name, links not followed."""
    ahead = [sys.folder]
    skipped = sys.folder / "devices" / _HUGE
    while ahead:
        folder = ahead.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        if Path(entry.path) != skipped:
                            ahead.append(Path(entry.path))
                    elif entry.name == "modalias" and entry.is_file(follow_symlinks=False):
                        line = text_of(Path(entry.path)).partition("\n")[0]
                        if line:
                            yield line
        except OSError:
            continue


def drivers_above(sys: Root, device: Path) -> Iterator[tuple[Path, str]]:
    """The device and every device above it, each with the module that drives it; ``""`` for none.

    Parameters
    ----------
    device
        A folder below /sys/devices.
    """
    top = sys.folder / "devices"
    while device != top and top in device.parents:
        yield device, _driver(sys, device)
        device = device.parent


def _driver(sys: Root, device: Path) -> str:
    """A driver that is part of the kernel's image has no module."""
    inside = "/" + str((device / "driver" / "module").relative_to(sys.folder))
    try:
        module = sys.path(inside)
    except KmpsolveError:
        return ""
    return module.name if module.name != "module" and module.is_dir() else ""
