"""The metadata written by ``tests/support/rpmmd.py`` is what createrepo_c makes of the real RPMs."""

from __future__ import annotations

import gzip
import hashlib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import solv

from tests.support import repository, rpmmd
from tests.support.packages import PackageSpec

SAMPLE = (
    PackageSpec(
        name="kernel-default",
        version="6.4.0",
        release="10.1",
        provides=(
            "kernel-uname-r = 6.4.0-10-default",
            "multiversion(kernel)",
            "kmod(loop.ko)",
            "ksym(default:a) = 0abc01de",
            "kernel(default:fs) = 00c0ffee00c0ffee",
        ),
        obsoletes=("old-kmp-default < 2:3",),
        conflicts=("tool < 2",),
        files=("/lib/modules/6.4.0-10-default/modules.dep",),
    ),
    PackageSpec(
        name="acme-kmp-default",
        version="2.1_k6.4.0_10",
        release="1.3",
        epoch=2,
        vendor='ACME <"&"> Inc.',
        provides=(
            "acme-kmp = 2:2.1_k6.4.0_10-1.3",
            "acme-kmp = 2.1",
            "kmod(acme.ko)",
            "ksym(default:x) = 1e010abc",
        ),
        requires=(
            "ksym(default:a) = abc01de",
            "kernel(default:fs) = 00c0ffee00c0ffee",
            "kernel-uname-r = 6.4.0-10-default",
            "tool >= 1.0-2",
            "(coreutils and grep)",
        ),
        post=("suse-kernel-rpm-scriptlets", "depmod >= 3"),
        conflicts=("acme-kmp-default-k6.4.0_10",),
        obsoletes=("old-kmp-default <= 4:2",),
        recommends=("acme-ueficert",),
        supplements=("(kernel-default and acme)", "modalias(kernel-default:pci:v0000A&1d*)"),
        enhances=("kernel-default",),
        files=("/lib/modules/6.4.0-10-default/updates/acme.ko", "/etc/acme.conf", "/usr/sbin/acme"),
    ),
    PackageSpec(name="tool", version="1.0", release="2", arch="noarch", requires=("acme-kmp = 2.1",)),
)


NAMESPACE = "{http://linux.duke.edu/metadata/repo}"


def _metadata(folder: Path) -> dict[str, Path]:
    """The files that repomd.xml lists, by kind, after checking their checksums."""
    found = {}
    repomd = ElementTree.parse(folder / "repodata" / "repomd.xml")  # noqa: S314 (our own)
    for entry in repomd.iter(f"{NAMESPACE}data"):
        path = folder / entry.find(f"{NAMESPACE}location").attrib["href"]  # type: ignore[union-attr]
        stored = path.read_bytes()
        content = gzip.decompress(stored) if path.suffix == ".gz" else stored
        assert entry.findtext(f"{NAMESPACE}checksum") == hashlib.sha256(stored).hexdigest()
        assert entry.findtext(f"{NAMESPACE}open-checksum") == hashlib.sha256(content).hexdigest()
        assert entry.findtext(f"{NAMESPACE}size") == str(len(stored))
        assert entry.findtext(f"{NAMESPACE}open-size") == str(len(content))
        found[entry.attrib["type"]] = path
    return found


def _loaded(folder: Path) -> dict[str, dict[str, object]]:
    """What libsolv knows of every package in `folder`: its dependencies, files and vendor."""
    metadata = _metadata(folder)
    pool = solv.Pool()
    pool.setdisttype(solv.Pool.DISTTYPE_RPM)
    pool.setarch("x86_64")
    repo = pool.add_repo("sample")
    assert repo.add_rpmmd(solv.xfopen(str(metadata["primary"])), None, 0)
    extend = solv.Repo.REPO_EXTEND_SOLVABLES
    assert repo.add_rpmmd(solv.xfopen(str(metadata["filelists"])), "FL", extend)
    kinds = {
        "provides": solv.SOLVABLE_PROVIDES,
        "conflicts": solv.SOLVABLE_CONFLICTS,
        "obsoletes": solv.SOLVABLE_OBSOLETES,
        "recommends": solv.SOLVABLE_RECOMMENDS,
        "supplements": solv.SOLVABLE_SUPPLEMENTS,
        "enhances": solv.SOLVABLE_ENHANCES,
    }
    return {
        str(package): {
            "vendor": package.vendor,
            "files": _files(package),
            **{kind: sorted(map(str, package.lookup_deparray(key, 0))) for kind, key in kinds.items()},
            "requires": _required(package, -1),
            "post": _required(package, 1),
        }
        for package in repo.solvables
    }


def _required(package: solv.Solvable, side: int) -> list[str]:
    """On one side of the marker; createrepo_c leaves out what rpm itself promises."""
    texts = map(str, package.lookup_deparray(solv.SOLVABLE_REQUIRES, side))
    return sorted(text for text in texts if not text.startswith("rpmlib("))


def _files(package: solv.Solvable) -> list[str]:
    search = solv.Dataiterator.SEARCH_FILES | solv.Dataiterator.SEARCH_COMPLETE_FILELIST
    return sorted(found.str for found in package.Dataiterator(solv.SOLVABLE_FILELIST, None, search))


def _retracted(folder: Path) -> list[dict[str, str]]:
    updates = ElementTree.fromstring(  # noqa: S314 (our own)
        gzip.decompress(_metadata(folder)["updateinfo"].read_bytes())
    )
    return [
        dict(package.attrib)
        for update in updates.iter("update")
        if update.attrib["status"] == "retracted"
        for package in update.iter("package")
    ]


def test_loads_to_what_createrepo_c_writes(tmp_path: Path) -> None:
    expected = _loaded(repository.rpm_md(SAMPLE))
    assert set(expected) == {spec.nevra for spec in SAMPLE}
    assert expected["kernel-default-6.4.0-10.1.x86_64"]["provides"]
    assert _loaded(rpmmd.write(tmp_path / "gz", SAMPLE)) == expected
    assert _loaded(rpmmd.write(tmp_path / "plain", SAMPLE, compress=False)) == expected


def test_retracts_what_updateinfo_retracts(tmp_path: Path) -> None:
    kmp = SAMPLE[1]
    patch = repository.PatchSpec(id="RETRACTED-1", packages=(kmp,), status="retracted")
    expected = _retracted(repository.rpm_md(SAMPLE, [patch]))
    assert [package["name"] for package in expected] == ["acme-kmp-default"]
    assert _retracted(rpmmd.write(tmp_path, SAMPLE, retracted=[kmp])) == expected


def test_a_self_provided_symbol_is_kept_where_createrepo_c_drops_it(tmp_path: Path) -> None:
    kmp = PackageSpec(
        name="acme-kmp-default",
        version="2.1",
        release="1",
        provides=("ksym(default:x) = 1",),
        requires=("ksym(default:x) = 1", "ksym(default:a) = 2"),
    )
    (theirs,), (ours,) = (
        [package["requires"] for package in _loaded(folder).values()]
        for folder in (repository.rpm_md([kmp]), rpmmd.write(tmp_path, [kmp]))
    )
    assert theirs == ["ksym(default:a) = 2"]
    assert ours == ["ksym(default:a) = 2", "ksym(default:x) = 1"]
