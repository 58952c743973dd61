"""Loading contents into a pool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import solv

from kmpsolve.errors import MetadataError
from kmpsolve.metadata.content import Content
from kmpsolve.solver.kernels import KERNEL_NAME
from kmpsolve.solver.trial import trial_load
from kmpsolve.solver.userspace import SYSTEM

__all__ = ["kernel_architecture", "load_into"]


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
        good = stream is not None and repo.add_solv(stream)
    else:
        assert content.primary is not None
        with content.primary as primary:
            stream = solv.xfopen_fd("primary.xml", primary.fileno())
            good = repo.add_rpmmd(stream, None)
    if stream is not None:
        stream.close()
    if not good:
        reason = pool.errstr
        repo.free(True)
        raise MetadataError(
            f"the package metadata cannot be read: {reason}",
            reference="malformed-metadata",
            where=content.source if content.alias == SYSTEM else content.alias,
            hint="refresh the repository, or have its owner create the metadata again",
        )
    return repo


def kernel_architecture(pool: solv.Pool, repositories: Iterable[solv.Repo]) -> str:
    """The architecture of the installed kernels, never this machine's; ``noarch`` if nothing tells."""
    kernels: Counter[str] = Counter()
    others: Counter[str] = Counter()
    if pool.installed is not None:
        for solvable in pool.installed.solvables:
            arch = solvable.arch
            if KERNEL_NAME.fullmatch(solvable.name):
                kernels[arch] += 1
            others[arch] += 1
    for counted in (kernels, others):
        counted.pop("noarch", None)
        if counted:
            return max(counted, key=lambda arch: (counted[arch], arch))
    arches = (solvable.arch for repo in repositories for solvable in repo.solvables_iter())
    return next((arch for arch in arches if arch not in ("noarch", "src", "nosrc")), "noarch")
