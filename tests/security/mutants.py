"""``python -m tests.security.mutants NAME SECONDS [SEED]``: damaged files for what is written in C, libsolv and rpm.

Each is read in a forked child with limits for memory and time; a child that a signal ends, that runs out of
its limits or says anything but our own errors is told, and its file is kept.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kmpsolve.errors import KmpsolveError
from kmpsolve.metadata.content import Content
from kmpsolve.metadata.rpmbinding import load_rpm
from kmpsolve.metadata.source import open_source
from kmpsolve.metadata.vendors import VendorClasses
from kmpsolve.modules.rpmfile import check_rpm_signature, payload, read_rpm
from kmpsolve.request import Policy
from kmpsolve.solver.universe import Universe
from tests.support import repository, rpmbuild, rpmmd
from tests.unit.metadata_sources.samples import ACME, KERNEL, TOOLS

MEMORY = 2 << 30
_SECONDS = 20
_NUMBERS = (
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"\0\0\xff\xff",
    b"\x1f\xff\xff\xff",
)


def mutated(data: bytes, dice: random.Random) -> bytes:
    """Some bytes of `data` changed, cut out, doubled or replaced by extreme numbers."""
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 4, 16))):
        at = dice.randrange(len(changed)) if changed else 0
        kind = dice.randrange(6)
        if kind == 0 and changed:
            changed[at] ^= 1 << dice.randrange(8)
        elif kind == 1 and changed:
            changed[at] = dice.randrange(256)
        elif kind == 2:
            changed[at : at + 4] = dice.choice(_NUMBERS)
        elif kind == 3:
            del changed[at : at + dice.randrange(1, 64)]
        elif kind == 4:
            start = dice.randrange(len(changed)) if changed else 0
            changed[at:at] = changed[start : start + dice.randrange(1, 256)]
        else:
            del changed[at:]
    return bytes(changed)


def _universe() -> Universe:
    return Universe(Policy(vendor_class=VendorClasses().canonical), lambda _: False)


def _packages_of(content: Content) -> None:
    universe = _universe()
    universe.load_no_system()
    universe.load(content)
    universe.seal()
    for kernel in universe.kernels:
        str(kernel.package)


def primary(path: Path) -> None:
    """primary.xml, as libsolv reads it."""
    with path.open("rb") as stream:
        _packages_of(Content(alias="x", source="x", primary=stream))


def solv_file(path: Path) -> None:
    """A .solv file of nobody we know."""
    _packages_of(open_source(str(path), alias="x"))


def rpm_header(path: Path) -> None:
    """An RPM, its header, its signature and its payload."""
    rpm = read_rpm(path)
    check_rpm_signature(path, [])
    for _, stream in payload(path, lambda name: name.endswith(".ko")):
        stream.read(1 << 16)
    assert rpm.nevra


def rpm_folder(path: Path) -> None:
    """A folder of RPMs."""
    _packages_of(open_source(str(path.parent), alias="x"))


@contextlib.contextmanager
def _made() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="kmpsolve-mutants-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _xml(folder: Path) -> bytes:
    rpmmd.write(folder, [KERNEL, ACME, TOOLS], compress=False)
    return (folder / "repodata" / "primary.xml").read_bytes()


def _solv(folder: Path) -> bytes:
    import solv

    pool = solv.Pool()
    repo = pool.add_repo("x")
    content = open_source(str(repository.rpm_folder([KERNEL, ACME, TOOLS])), alias="x")
    assert content.primary is not None
    with content.primary as stream:
        repo.add_rpmmd(solv.xfopen_fd("primary.xml", stream.fileno()), None)
    stream = solv.xfopen(str(folder / "x.solv"), "w")
    repo.write(stream)
    stream.close()
    return (folder / "x.solv").read_bytes()


def _rpm(_folder: Path) -> bytes:
    return rpmbuild.build([ACME])[0].read_bytes()


@dataclass(frozen=True, slots=True)
class Target:
    """What reads a file, a sound one to start from, and the name that it must have."""

    read: Callable[[Path], None]
    sound: Callable[[Path], bytes]
    name: str


TARGETS = {
    "primary": Target(primary, _xml, "primary.xml"),
    "solv": Target(solv_file, _solv, "x.solv"),
    "rpm": Target(rpm_header, _rpm, "x.rpm"),
    "rpms": Target(rpm_folder, _rpm, "x.rpm"),
}


@dataclass(slots=True)
class Harvest:
    """How many files were read, refused, and survived by nobody."""

    counts: Counter[str] = field(default_factory=Counter)
    kept: list[Path] = field(default_factory=list)


def _child(target: Target, path: Path) -> None:
    for kind, limit in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, _SECONDS),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))
    code = 0
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        target.read(path)
    except KmpsolveError:
        code = 3
    except BaseException as error:
        os.write(1, f"{type(error).__name__}: {error}\n".encode("utf-8", "replace"))
        code = 1
    os._exit(code)


_ENDS = {0: "read", 3: "refused"}


def harvest(name: str, *, seed: int, seconds: float, keep: Path | None = None) -> Harvest:
    """Read damaged files for some seconds."""
    target = TARGETS[name]
    load_rpm()
    result = Harvest()
    dice = random.Random(seed)  # noqa: S311 - the same files every time
    end = time.monotonic() + seconds
    with _made() as folder:
        sound = target.sound(folder)
        place = folder / "mutant"
        place.mkdir()
        path = place / target.name
        while time.monotonic() < end:
            data = mutated(sound, dice)
            path.write_bytes(data)
            pid = os.fork()
            if pid == 0:
                _child(target, path)
            status = os.waitpid(pid, 0)[1]
            how = (
                f"signal {os.WTERMSIG(status)}"
                if os.WIFSIGNALED(status)
                else _ENDS.get(os.WEXITSTATUS(status), "bug")
            )
            result.counts[how] += 1
            if how not in _ENDS.values() and keep is not None:
                kept = keep / f"{name}-{seed}-{result.counts.total()}"
                kept.write_bytes(data)
                result.kept.append(kept)
    return result


if __name__ == "__main__":
    found = harvest(
        sys.argv[1], seconds=float(sys.argv[2]), seed=int((sys.argv[3:] or ["1"])[0]), keep=Path.cwd()
    )
    print(sys.argv[1], dict(found.counts), *found.kept)
