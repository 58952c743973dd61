"""Folders of RPMs and real rpm-md repositories, made from package descriptions by createrepo_c."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path

from tests.support import cache as rpm_cache
from tests.support import rpmbuild
from tests.support.packages import PackageSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchSpec:
    """One updateinfo entry to be."""

    id: str
    packages: tuple[PackageSpec, ...]
    severity: str = "important"
    cves: tuple[str, ...] = ()
    status: str = "stable"
    category: str = "security"


def rpm_folder(specs: Iterable[PackageSpec]) -> Path:
    """Return a folder that holds the RPMs of `specs` and nothing else."""
    rpms = rpmbuild.build(specs)

    def fill(folder: Path) -> None:
        for rpm in rpms:
            _place(rpm, folder)

    return rpm_cache.folder("rpm-folders", rpm_cache.digest(_names(rpms)), fill)


def rpm_md(
    specs: Iterable[PackageSpec],
    patches: Iterable[PatchSpec] = (),
    *,
    compression: str = "gz",
) -> Path:
    """Return a repository: the RPMs of `specs`, ``repodata/`` and, with `patches`, an updateinfo.xml.

    `compression` is createrepo_c's name for it: gz, xz or bz2 (zstd needs createrepo_c 1.0).
    """
    rpms = rpmbuild.build(specs)
    entries = tuple(patches)
    name = rpm_cache.digest(
        _names(rpms), [astuple(patch) for patch in entries], compression, _createrepo_version()
    )

    def fill(folder: Path) -> None:
        for rpm in rpms:
            _place(rpm, folder)
        create_metadata(folder, entries, compression=compression)

    return rpm_cache.folder("rpm-md", name, fill)


def create_metadata(folder: Path, patches: Iterable[PatchSpec] = (), *, compression: str = "gz") -> None:
    """Write ``repodata/`` for the RPMs in `folder`, the same bytes whenever it is done."""
    _run(
        [
            "createrepo_c",
            "--no-database",
            "--workers=1",
            f"--general-compress-type={compression}",
            f"--revision={rpmbuild.BUILD_TIME}",
            "--set-timestamp-to-revision",
            str(folder),
        ]
    )
    entries = tuple(patches)
    if entries:
        with tempfile.TemporaryDirectory(prefix="kmpsolve-updateinfo-") as work:
            updateinfo = Path(work) / "updateinfo.xml"
            updateinfo.write_bytes(_updateinfo(entries))
            os.utime(updateinfo, (rpmbuild.BUILD_TIME, rpmbuild.BUILD_TIME))
            _run(
                [
                    "modifyrepo_c",
                    f"--compress-type={compression}",
                    "--mdtype=updateinfo",
                    str(updateinfo),
                    str(folder / "repodata"),
                ]
            )
            _fix_timestamps(folder / "repodata" / "repomd.xml")


def _fix_timestamps(repomd: Path) -> None:
    """Undo modifyrepo_c's clock, which would make every build of the same repository another one."""
    namespace = "http://linux.duke.edu/metadata/repo"
    ElementTree.register_namespace("", namespace)
    ElementTree.register_namespace("rpm", "http://linux.duke.edu/metadata/rpm")
    document = ElementTree.parse(repomd)  # noqa: S314 - our own file
    for timestamp in document.iter(f"{{{namespace}}}timestamp"):
        timestamp.text = str(rpmbuild.BUILD_TIME)
    document.write(repomd, encoding="UTF-8", xml_declaration=True)


def _updateinfo(patches: tuple[PatchSpec, ...]) -> bytes:
    updates = ElementTree.Element("updates")
    for patch in patches:
        update = ElementTree.SubElement(
            updates,
            "update",
            {"from": "maint@example.com", "status": patch.status, "type": patch.category, "version": "1"},
        )
        for tag, text in (("id", patch.id), ("title", patch.id), ("severity", patch.severity)):
            ElementTree.SubElement(update, tag).text = text
        ElementTree.SubElement(update, "issued", {"date": str(rpmbuild.BUILD_TIME)})
        references = ElementTree.SubElement(update, "references")
        for cve in patch.cves:
            ElementTree.SubElement(
                references, "reference", {"href": f"cve:{cve}", "id": cve, "title": cve, "type": "cve"}
            )
        ElementTree.SubElement(update, "description").text = patch.id
        collection = ElementTree.SubElement(ElementTree.SubElement(update, "pkglist"), "collection")
        for spec in patch.packages:
            package = ElementTree.SubElement(
                collection,
                "package",
                {
                    "name": spec.name,
                    "epoch": str(spec.epoch),
                    "version": spec.version,
                    "release": spec.release,
                    "arch": spec.arch,
                },
            )
            ElementTree.SubElement(package, "filename").text = rpmbuild.file_name(spec)
    document: bytes = ElementTree.tostring(updates, encoding="UTF-8", xml_declaration=True)
    return document


def _names(rpms: Iterable[Path]) -> list[str]:
    return sorted(rpm.parent.name for rpm in rpms)


def _place(rpm: Path, folder: Path) -> None:
    place = folder / rpm.name
    if place.exists():
        raise ValueError(f"two packages named {rpm.name} in one folder")
    try:
        os.link(rpm, place)
    except OSError:  # another file system, or a file system without hard links
        shutil.copy2(rpm, place)


@cache
def _createrepo_version() -> str:
    return subprocess.run(["createrepo_c", "--version"], check=True, capture_output=True, text=True).stdout


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # createrepo_c leaves a package out that it cannot write as XML, says so, and exits with 0.
    if done.returncode or "Critical" in done.stderr:
        raise RuntimeError(f"{command[0]} failed: {done.stderr or done.stdout}")
