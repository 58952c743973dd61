"""Booting real kernels, in software: slow per instruction, but a kernel is up in three seconds.

`pack` makes an initramfs of files and whole folders, `boot` starts a kernel with it, `run_script` does both
for a shell script and busybox, and returns what the script printed. Needs no privileges and no KVM.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_DEVICE = stat.S_IFCHR | 0o600
_CONSOLE = (5, 1)
_SCRIPT = "/script"
_START, _END = "@@ script starts", "@@ script ends"
_INIT = f"""#!/bin/busybox sh
/bin/busybox --install -s /bin
mkdir -p /proc /sys /dev /tmp /run
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2>/dev/null
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
dmesg -n 1
echo '{_START}'
sh {_SCRIPT} 2>&1
echo '{_END}'
poweroff -f
"""


class QemuError(Exception):
    """The machine did not come as far as it should; the message ends with what it printed."""


def _entry(name: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)) -> Iterator[bytes]:
    """One member of a cpio archive of the form newc (Linux: Documentation/driver-api/early-userspace)."""
    path = name.lstrip("/").encode() + b"\0"
    fields = (0, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(path), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + path
    yield head + b"\0" * (-len(head) % 4)
    yield content + b"\0" * (-len(content) % 4)


def _members(source: Path, name: str) -> Iterator[bytes]:
    """A file, link or folder with all that is in it; special files are left out."""
    mode = source.lstat().st_mode
    if stat.S_ISLNK(mode):
        yield from _entry(name, mode, os.fsencode(source.readlink()))
    elif stat.S_ISREG(mode):
        yield from _entry(name, mode, source.read_bytes())
    elif stat.S_ISDIR(mode):
        yield from _entry(name, mode)
        for child in sorted(source.iterdir()):
            yield from _members(child, f"{name}/{child.name}")


def pack(place: Path, files: Mapping[str, Path | str], *, busybox: Path) -> Path:
    """Write an initramfs to `place` and return it.

    Parameters
    ----------
    files
        Path in the initramfs -> a file, link or whole folder to put there, or a text for an executable file.
    """
    folders = {str(parent) for name in files for parent in Path("/", name).parents} - {"/"}
    with place.open("wb") as archive:
        for folder in sorted({*folders, "/bin", "/dev"}):
            archive.writelines(_entry(folder, stat.S_IFDIR | 0o755))
        archive.writelines(_entry("/dev/console", _DEVICE, device=_CONSOLE))
        archive.writelines(_entry("/bin/busybox", stat.S_IFREG | 0o755, busybox.read_bytes()))
        for name, source in files.items():
            if isinstance(source, str):
                archive.writelines(_entry(name, stat.S_IFREG | 0o755, source.encode()))
            else:
                archive.writelines(_members(source, name))
        archive.writelines(_entry("TRAILER!!!", 0))
    return place


def boot(
    vmlinuz: Path,
    initramfs: Path,
    *,
    append: str = "",
    arguments: Sequence[str] = (),
    memory: int = 512,
    timeout: float = 240,
) -> str:
    """Boot a kernel until it powers off, and return what came over the serial console.

    Parameters
    ----------
    append
        Added to the kernel's command line.
    arguments
        Added to qemu's, such as ``-drive``.
    memory
        In MiB.
    timeout
        In seconds.

    Raises
    ------
    QemuError
        If it runs longer or qemu itself fails.
    """
    qemu = shutil.which("qemu-system-x86_64")
    if qemu is None:
        raise QemuError("qemu-system-x86 is missing: tests/modules/apt-packages.txt")
    command = [
        *(
            qemu,
            "-accel",
            "tcg",
            "-cpu",
            "max",
            "-m",
            str(memory),
            "-nographic",
            "-no-reboot",
            "-nic",
            "none",
        ),
        *("-kernel", str(vmlinuz), "-initrd", str(initramfs)),
        *("-append", f"console=ttyS0 panic=-1 tsc=unstable {append}".strip()),
        *arguments,
    ]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        tail = (error.stdout or b"")[-2000:].decode(errors="replace")
        raise QemuError(f"not done after {timeout:.0f} s: {tail}") from error
    text = done.stdout.decode(errors="replace").replace("\r\n", "\n")
    if done.returncode:
        raise QemuError(text[-2000:])
    return text


def run_script(
    vmlinuz: Path, script: str, files: Mapping[str, Path | str], *, busybox: Path, timeout: float = 240
) -> str:
    """Boot a kernel into busybox, run a shell script as root, and return its output.

    Kernel messages do not reach the output by themselves; the script can ask ``dmesg``.

    Raises
    ------
    QemuError
        If the script did not come to its end.
    """
    with tempfile.TemporaryDirectory(prefix="kmpsolve-qemu-") as name:
        content = {**files, _SCRIPT: script, "/init": _INIT}
        initramfs = pack(Path(name) / "initramfs", content, busybox=busybox)
        console = boot(vmlinuz, initramfs, append="quiet", timeout=timeout)
    _, started, rest = console.partition(_START + "\n")
    output, ended, _ = rest.partition(_END)
    if not started or not ended:
        raise QemuError(f"the script did not come to its end: {console[-2000:]}")
    return output
