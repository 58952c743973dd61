"""Compiling the suite's own modules against Debian's headers."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.modules.debian import DebianKernel, package
from tests.support import cache as test_cache

_ROOM = 256 << 20
SOURCE = Path(__file__).parent / "src"


def _workshop() -> Path | None:
    """In memory, if there is room for 9,000 headers: most disks take seven times as long."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > _ROOM else None


def modules(kernel: DebianKernel) -> Path:
    """A folder with kmpsolve_base.ko, kmpsolve_user.ko, Module.symvers and sign-file for a kernel."""
    sources = {path.name: path.read_text() for path in sorted(SOURCE.iterdir())}

    def fill(draft: Path) -> None:
        # Not in the cache: kbuild refuses a path with a space in it.
        with tempfile.TemporaryDirectory(prefix="kmpsolve-kbuild-", dir=_workshop()) as name:
            headers = kernel.headers(Path(name) / "root")
            work = shutil.copytree(SOURCE, Path(name) / "modules")
            done = subprocess.run(
                ["make", "-C", headers, f"M={work}", "modules"], capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise RuntimeError(done.stdout + done.stderr)
            for made in ("kmpsolve_base.ko", "kmpsolve_user.ko", "Module.symvers"):
                shutil.copy(work / made, draft)
            shutil.copy(headers / "scripts" / "sign-file", draft)

    return test_cache.folder(
        "kbuild", test_cache.digest(package(f"linux-headers-{kernel.uname_r}").name, sources), fill
    )


def with_section(module: Path, name: str, content: bytes, made: Path) -> Path:
    """A copy of a module in which one section has another content, or is new."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        how = "--update-section" if name.encode() in module.read_bytes() else "--add-section"
        subprocess.run(["objcopy", how, f"{name}={file.name}", module, made], check=True)
    return made


def section(module: Path, name: str) -> bytes:
    """The content of a section, as binutils reads it."""
    with tempfile.NamedTemporaryFile() as file:
        subprocess.run(["objcopy", "--dump-section", f"{name}={file.name}", module, "/dev/null"], check=True)
        return Path(file.name).read_bytes()


def with_section_renamed(module: Path, old: str, new: str, made: Path) -> Path:
    """A copy of a module in which a section has another name, which hides it from every reader."""
    subprocess.run(["objcopy", f"--rename-section={old}={new}", module, made], check=True)
    return made


def signing_key(
    place: Path, *, name: str = "kmpsolve throw-away", kind: str = "rsa:2048"
) -> tuple[Path, Path]:
    """A new key and its certificate (DER), for sign-file."""
    place.mkdir(exist_ok=True)
    key, certificate = place / "key", place / "certificate.der"
    command = [
        "openssl",
        "req",
        "-new",
        "-x509",
        "-newkey",
        kind,
        "-nodes",
        "-days",
        "36500",
        "-outform",
        "DER",
    ]
    if kind == "ec":
        command += ["-pkeyopt", "ec_paramgen_curve:secp384r1"]
    command += ["-subj", f"/CN={name}", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return key, certificate


def signed_rpm(rpm: Path, gpg: Path, place: Path) -> Path:
    """A copy of a package in `place`, signed with the key of that GnuPG home."""
    signed = Path(shutil.copy(rpm, place))
    defines = {"_gpg_name": "throw-away@example.org", "_gpg_path": str(gpg), "__gpg": "/usr/bin/gpg"}
    arguments = [argument for key, value in defines.items() for argument in ("--define", f"{key} {value}")]
    subprocess.run(["rpmsign", *arguments, "--addsign", signed], check=True, capture_output=True)
    return signed
