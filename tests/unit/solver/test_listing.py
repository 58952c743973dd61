"""All packages of a universe, as text."""

from __future__ import annotations

from pathlib import Path

from kmpsolve.metadata.source import open_source
from kmpsolve.request import Policy
from kmpsolve.solver.listing import every_package
from kmpsolve.solver.universe import Universe
from tests.support import rpmmd
from tests.support.packages import PackageSpec

ACME = PackageSpec(
    name="acme",
    version="2",
    release="1",
    epoch=3,
    vendor="ACME Inc.",
    provides=("ksym(default:a) = 1",),
    requires=("bash",),
    post=("tools > 2",),
    conflicts=("old",),
    obsoletes=("older < 1",),
    files=("/usr/sbin/acme", "/usr/sbin/both"),
)
OTHER = PackageSpec(
    name="other",
    version="1",
    release="1",
    arch="noarch",
    vendor="",
    files=("/usr/sbin/other", "/usr/sbin/both"),
)
SOURCES = [PackageSpec(name="acme", version="2", release="1", arch=arch) for arch in ("src", "nosrc")]


def loaded(folder: Path) -> Universe:
    of = Universe(Policy())
    for alias, packages in (("a", [ACME, *SOURCES]), ("b", [OTHER])):
        of.load(open_source(str(rpmmd.write(folder / alias, packages)), alias=alias))
    return of


def test_what_is_told_of_each_package(tmp_path: Path) -> None:
    acme, other = every_package(loaded(tmp_path))
    assert (str(acme.nevra), acme.vendor) == (ACME.nevra, ACME.vendor)
    assert acme.provides == ("acme = 3:2-1", "acme(x86-64) = 3:2-1", "ksym(default:a) = 1")
    acme_requires = tuple(text for text in acme.requires if not text.startswith("rpmlib("))
    assert (acme_requires, acme.conflicts, acme.obsoletes) == (
        (*ACME.requires, *ACME.post),
        ACME.conflicts,
        ACME.obsoletes,
    )
    assert (str(other.nevra), other.vendor, len(other.requires)) == (OTHER.nevra, "", 1)
    paths = ("/usr/sbin/acme", "/usr/sbin/other", "/usr/sbin/both", "/usr/sbin/nobodys", "acme")
    assert [acme.owns(path) for path in paths] == [True, False, True, False, False]
    assert [other.owns(path) for path in paths] == [False, True, True, False, False]
