"""Machines from their descriptions in machines/*.txt."""

from __future__ import annotations

import subprocess
from pathlib import Path

from kmpsolve.machine.live import LiveMachine
from kmpsolve.metadata.rootpath import Root

MACHINES = Path(__file__).parent / "machines"


def build(name: str, folder: Path) -> Path:
    """Make /sys and /proc of a machine below `folder`."""
    for line in (MACHINES / f"{name}.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        inside, arrow, rest = line.partition(" -> ")
        if not arrow:
            inside, _, rest = line.partition(" =")
        place = folder / inside.strip("/")
        if inside.endswith("/"):
            place.mkdir(parents=True, exist_ok=True)
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if arrow:
            place.symlink_to(rest)
        else:
            text = rest.removeprefix(" ").replace("\\n", "\n").replace("\\t", "\t")
            place.write_text(f"{text}\n" if text else "")
    return folder


def live(name: str, folder: Path, *, uname_r: str = "6.4.0-1-default") -> LiveMachine:
    """The machine, with `folder` as its root."""
    root = build(name, folder)
    (root / "sys").mkdir(exist_ok=True)
    (root / "proc").mkdir(exist_ok=True)
    return LiveMachine(uname_r, root=Root(root), sys=Root(root / "sys"), proc=Root(root / "proc"))


def write_initrd(root: Path, *names: str) -> None:
    """An initrd of the machine's kernel that holds modules of these names."""
    work = root / "work"
    for name in names:
        place = work / "lib/modules/6.4.0-1-default/updates" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(name)
    (root / "boot").mkdir(exist_ok=True)
    with (root / "boot/initrd-6.4.0-1-default").open("wb") as target:
        subprocess.run(
            ["sh", "-c", "find . | cpio --quiet -o -H newc | xz"], cwd=work, stdout=target, check=True
        )
