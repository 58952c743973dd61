"""Compiling the suite's own modules against Debian's headers."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.modules.debian import DebianKernel, package
from tests.support import cache as test_cache

SOURCE = Path(__file__).parent / "src"


def modules(kernel: DebianKernel) -> Path:
    """A folder with kmpsolve_base.ko, kmpsolve_user.ko, lonely/kmpsolve_user.ko and sign-file for a kernel.

    The lonely one was built without knowing the symbols of the other, hence without their versions.
    """
    sources = {path.name: path.read_text() for path in sorted(SOURCE.iterdir())}

    def fill(draft: Path) -> None:
        # Not in the cache: kbuild refuses a path with a space in it.
        with tempfile.TemporaryDirectory(prefix="kmpsolve-kbuild-") as name:
            work = Path(name)
            headers = kernel.headers(work / "root")
            for folder, objects in (("both", ""), ("lonely", "obj-m := kmpsolve_user.o\n")):
                shutil.copytree(SOURCE, work / folder)
                if objects:
                    (work / folder / "Kbuild").write_text(objects)
                _make(headers, work / folder)
            (draft / "lonely").mkdir()
            shutil.copy(work / "lonely" / "kmpsolve_user.ko", draft / "lonely")
            for made in ("kmpsolve_base.ko", "kmpsolve_user.ko", "Module.symvers"):
                shutil.copy(work / "both" / made, draft)
            shutil.copy(headers / "scripts" / "sign-file", draft)

    return test_cache.folder("kbuild", test_cache.digest(package(f"linux-headers-{kernel.uname_r}").name, sources), fill)


def _make(headers: Path, folder: Path) -> None:
    done = subprocess.run(
        ["make", "-C", headers, f"M={folder}", "KBUILD_MODPOST_WARN=1", "modules"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
