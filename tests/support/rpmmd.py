"""rpm-md repositories written straight from package descriptions, without building an RPM.

Thousands of small worlds are planned by the property tests: rpmbuild and createrepo_c would take a second
for each. What is written here loads to the dependencies that createrepo_c's metadata of the real RPMs loads
to; ``tests/property/test_rpmmd.py`` holds the two against each other.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from tests.support.packages import PackageSpec

TIMESTAMP = 1_700_000_000
_FLAGS = {"=": "EQ", "<": "LT", "<=": "LE", ">": "GT", ">=": "GE"}
_VERSIONED = re.compile(r"^(?P<name>\S+)\s+(?P<flag>=|<=|>=|<|>)\s+(?P<evr>\S+)$")
# rpmbuild lets every package of an architecture provide its name with one of these.
_ISA = {"x86_64": "x86-64", "i586": "x86-32", "aarch64": "aarch-64"}
# createrepo_c lists these in primary.xml and the others in filelists.xml only.
_PRIMARY_FILE = re.compile(r"^(/etc/.*|.*bin/.*|/usr/lib/sendmail)$")


def write(
    folder: Path,
    packages: Sequence[PackageSpec],
    *,
    retracted: Iterable[PackageSpec] = (),
    compress: bool = True,
) -> Path:
    """Write ``repodata/`` for `packages` below `folder` and return `folder`.

    Parameters
    ----------
    folder
        Made if it does not exist.
    packages
        What the repository offers, in the order in which primary.xml lists them.
    retracted
        Packages of an updateinfo entry with ``status="retracted"``.
    compress
        Whether the files are gzipped.
    """
    repodata = folder / "repodata"
    repodata.mkdir(parents=True, exist_ok=True)
    kinds = {"primary": _primary(packages), "filelists": _filelists(packages)}
    withdrawn = tuple(retracted)
    if withdrawn:
        kinds["updateinfo"] = _updateinfo(withdrawn)
    entries = [_store(repodata, kind, text.encode(), compress) for kind, text in kinds.items()]
    repomd = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<repomd xmlns="http://linux.duke.edu/metadata/repo">\n'
        f"<revision>{TIMESTAMP}</revision>\n{''.join(entries)}</repomd>\n"
    )
    (repodata / "repomd.xml").write_text(repomd, encoding="utf-8")
    return folder


def _store(repodata: Path, kind: str, content: bytes, compress: bool) -> str:
    stored = gzip.compress(content, compresslevel=1, mtime=0) if compress else content
    name = f"{kind}.xml.gz" if compress else f"{kind}.xml"
    (repodata / name).write_bytes(stored)
    return (
        f'<data type="{kind}">'
        f'<checksum type="sha256">{hashlib.sha256(stored).hexdigest()}</checksum>'
        f'<open-checksum type="sha256">{hashlib.sha256(content).hexdigest()}</open-checksum>'
        f'<location href="repodata/{name}"/><timestamp>{TIMESTAMP}</timestamp>'
        f"<size>{len(stored)}</size><open-size>{len(content)}</open-size></data>\n"
    )


def _primary(packages: Sequence[PackageSpec]) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<metadata xmlns="http://linux.duke.edu/metadata/common"'
        f' xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="{len(packages)}">\n'
        f"{''.join(map(_package, packages))}</metadata>\n"
    )


def _package(spec: PackageSpec) -> str:
    file_name = f"{spec.name}-{spec.version}-{spec.release}.{spec.arch}.rpm"
    names = [spec.name, *([f"{spec.name}({_ISA[spec.arch]})"] if spec.arch in _ISA else [])]
    own = tuple(f"{name} = {spec.evr}" for name in names)
    files = "".join(f"<file>{escape(path)}</file>" for path in _paths(spec) if _PRIMARY_FILE.match(path))
    return (
        f'<package type="rpm"><name>{escape(spec.name)}</name><arch>{spec.arch}</arch>{_version(spec)}'
        f'<checksum type="sha256" pkgid="YES">{_pkgid(spec)}</checksum>'
        f"<summary>{escape(spec.name)}</summary><description/><packager/><url/>"
        f'<time file="{TIMESTAMP}" build="{TIMESTAMP}"/><size package="1" installed="1" archive="1"/>'
        f"<location href={quoteattr(file_name)}/><format><rpm:license>GPL-2.0-or-later</rpm:license>"
        f"<rpm:vendor>{escape(spec.vendor)}</rpm:vendor><rpm:sourcerpm/>"
        f"{_dependencies('provides', own + spec.provides)}{_requires(spec)}"
        f"{_dependencies('conflicts', spec.conflicts)}{_dependencies('obsoletes', spec.obsoletes)}"
        f"{_dependencies('enhances', spec.enhances)}{_dependencies('recommends', spec.recommends)}"
        f"{_dependencies('supplements', spec.supplements)}{files}</format></package>\n"
    )


def _version(spec: PackageSpec) -> str:
    return f'<version epoch="{spec.epoch}" ver={quoteattr(spec.version)} rel={quoteattr(spec.release)}/>'


_RPM = '<rpm:entry name="rpmlib(CompressedFileNames)" flags="LE" epoch="0" ver="3.0.4" rel="1" pre="1"/>'
"""What old metadata says of every package: it is for rpm itself to promise."""


def _requires(spec: PackageSpec) -> str:
    for_scripts = (_entry(value).replace("/>", ' pre="1"/>') for value in spec.post)
    entries = "".join((*map(_entry, spec.requires), *for_scripts, _RPM))
    return f"<rpm:requires>{entries}</rpm:requires>"


def _dependencies(kind: str, values: tuple[str, ...]) -> str:
    if not values:
        return ""
    return f"<rpm:{kind}>{''.join(map(_entry, values))}</rpm:{kind}>"


def _entry(value: str) -> str:
    match = _VERSIONED.match(value)
    if match is None:  # a bare name or a rich dependency, which rpm-md knows as one long name
        return f"<rpm:entry name={quoteattr(value)}/>"
    epoch, _, version_release = match["evr"].rpartition(":")
    version, dash, release = version_release.partition("-")
    rel = f" rel={quoteattr(release)}" if dash else ""
    return (
        f'<rpm:entry name={quoteattr(match["name"])} flags="{_FLAGS[match["flag"]]}"'
        f' epoch="{epoch or 0}" ver={quoteattr(version)}{rel}/>'
    )


def _filelists(packages: Sequence[PackageSpec]) -> str:
    def entries() -> Iterator[str]:
        for spec in packages:
            files = "".join(f"<file>{escape(path)}</file>" for path in _paths(spec))
            yield (
                f'<package pkgid="{_pkgid(spec)}" name={quoteattr(spec.name)} arch="{spec.arch}">'
                f"{_version(spec)}{files}</package>\n"
            )

    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<filelists xmlns="http://linux.duke.edu/metadata/filelists" packages="{len(packages)}">\n'
        f"{''.join(entries())}</filelists>\n"
    )


def _paths(spec: PackageSpec) -> tuple[str, ...]:
    return spec.files + tuple(path for path, _ in spec.contents)


def _pkgid(spec: PackageSpec) -> str:
    return hashlib.sha256(repr(spec).encode()).hexdigest()


def _updateinfo(retracted: Sequence[PackageSpec]) -> str:
    updates = "".join(
        f'<update from="maint@example.com" status="retracted" type="recommended" version="1">'
        f"<id>RETRACTED-{number}</id><title>retracted</title><severity>moderate</severity>"
        f'<issued date="{TIMESTAMP}"/><references/><description/><pkglist><collection>'
        f'<package name={quoteattr(spec.name)} epoch="{spec.epoch}" version={quoteattr(spec.version)}'
        f' release={quoteattr(spec.release)} arch="{spec.arch}">'
        f"<filename>{escape(f'{spec.name}-{spec.version}-{spec.release}.{spec.arch}.rpm')}</filename>"
        "</package></collection></pkglist></update>\n"
        for number, spec in enumerate(retracted, start=1)
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<updates>\n{updates}</updates>\n'
