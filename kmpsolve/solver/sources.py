"""Loading contents into a pool."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

import solv

from kmpsolve.errors import MetadataError
from kmpsolve.metadata.content import Content
from kmpsolve.metadata.solvfile import package_count
from kmpsolve.model.nevra import same_architecture
from kmpsolve.solver.confinement import CannotReadError, confined
from kmpsolve.solver.kernels import KERNEL_NAME
from kmpsolve.solver.trial import trial_load
from kmpsolve.solver.userspace import SYSTEM

__all__ = ["kernel_architecture", "load_into"]

_EMPTY = 1
"""libsolv's number for the empty text; 0 is for none."""
_EVR = re.compile(r"([0-9]+:)?[^:-]+-[^:-]+")

_WORD_SIZES = {"x86_64": "i[3-6]86", "s390x": "s390", "ppc64": "ppc"}
"""Architectures, and those of 32 bits that their machines run too."""

_SMALL = 1 << 20
"""Bytes of XML that libsolv reads in this process. Names can be chosen so that all of them share one place in
libsolv's hash tables: twice as many then take four times as long, some seconds for what fits into this."""

_SECONDS = 10
_BYTES_A_SECOND = 2_000_000
"""Processor time for a larger file; an honest one takes a tenth of it."""


def load_into(pool: solv.Pool, content: Content) -> solv.Repo:
    """Load one source as a repository of its own.

    Raises
    ------
    MetadataError
        If libsolv cannot read it; then nothing of it is in the pool.
    """
    repo = pool.add_repo(content.alias)
    repo.priority = -content.priority
    if content.solv is not None:
        if not content.trusted:
            trial_load(content.solv)
        stream = solv.xfopen(str(content.solv))
        reason = _added(pool, stream, repo.add_solv) or _passed_over(repo, content.solv)
    else:
        assert content.primary is not None
        with content.primary as primary:
            reason = _read_primary(pool, repo, primary, trusted=content.trusted)
    if reason is None and not content.trusted:
        reason = _unnamed(repo)
    if reason is not None:
        repo.free(True)
        raise MetadataError(
            f"the package metadata cannot be read: {reason}",
            reference="malformed-metadata",
            where=content.source if content.alias == SYSTEM else content.alias,
            hint="refresh the repository, or have its owner create the metadata again",
        )
    return repo


def _read_primary(pool: solv.Pool, repo: solv.Repo, primary: BinaryIO, *, trusted: bool) -> str | None:
    """Read primary.xml; why it cannot be read."""
    size = os.fstat(primary.fileno()).st_size
    if trusted or size <= _SMALL:
        stream = solv.xfopen_fd("primary.xml", primary.fileno())
        return _added(pool, stream, lambda stream: repo.add_rpmmd(stream, None))
    import tempfile

    with tempfile.TemporaryFile() as converted:
        files = primary.fileno(), converted.fileno()
        try:
            confined("convert", *map(str, files), seconds=_SECONDS + size // _BYTES_A_SECOND, files=files)
        except CannotReadError as error:
            return str(error)
        converted.seek(0)
        return _added(pool, solv.xfopen_fd("converted.solv", converted.fileno()), repo.add_solv)


def _added(pool: solv.Pool, stream: solv.SolvFp | None, add: Callable[[solv.SolvFp], bool]) -> str | None:
    good = stream is not None and add(stream)
    if stream is not None:
        stream.close()
    return None if good else " ".join(str(pool.errstr).split())


def _passed_over(repo: solv.Repo, path: Path) -> str | None:
    """Why a file that libsolv took is damaged all the same: at zeros it ends without a complaint.

    A disk that lost its power leaves such files, root's too, which are not tried before.
    """
    told = package_count(path)
    return None if repo.nsolvables == told else f"of its {told} packages {repo.nsolvables} can be read"


def _unnamed(repo: solv.Repo) -> str | None:
    """Why packages are damaged that libsolv took: without name or version they are nothing that anybody updates to.

    It makes such of zeros in a ``.solv`` file, and of entries in primary.xml that lack these; how many packages the
    latter's root speaks of is no witness, since not everybody who writes it counts.
    """
    for number, solvable in enumerate(repo.solvables_iter(), start=1):
        if solvable.nameid <= _EMPTY:
            return f"package {number} has no name"
        if ":" in solvable.name:  # no RPM (``patch:``, ``product:``)
            continue
        if solvable.archid <= _EMPTY:
            return f"package {number}, {solvable.name}, has no architecture"
        if _EVR.fullmatch(solvable.evr) is None:
            return f"package {number}, {solvable.name}, has no version and release"
    return None


def kernel_architecture(pool: solv.Pool, repositories: Iterable[solv.Repo]) -> str:
    """The architecture of the installed kernels, never this machine's; ``noarch`` if nothing tells.

    A kernel for i586 also runs on what i686 packages need, and where one is installed it does; where there are
    kernels for both word sizes, the machine is one for the larger.
    """
    kernels: Counter[str] = Counter()
    others: Counter[str] = Counter()
    if pool.installed is not None:
        for solvable in pool.installed.solvables:
            arch = solvable.arch
            if KERNEL_NAME.fullmatch(solvable.name):
                kernels[arch] += 1
            others[arch] += 1
    for large, small in _WORD_SIZES.items():
        if large in kernels:
            kernels[large] += sum(number for arch, number in kernels.items() if re.fullmatch(small, arch))
    for counted in (kernels, others):
        counted.pop("noarch", None)
        if counted:
            arch = max(counted, key=lambda arch: (counted[arch], arch))
            return "i686" if "i686" in others and same_architecture(arch, "i686") else arch
    arches = (solvable.arch for repo in repositories for solvable in repo.solvables_iter())
    return next((arch for arch in arches if arch not in ("noarch", "src", "nosrc")), "noarch")
