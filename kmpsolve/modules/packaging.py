"""The packaging of a KMP, whatever the kernel: name, version, folders, capabilities, support."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from kmpsolve.model.needs import flavor_of_uname
from kmpsolve.modules.findings import Finding, Severity, against_manual, named, number_of
from kmpsolve.modules.kmp import Candidate, folders_of
from kmpsolve.modules.module import MODULE_FILE, module_name
from kmpsolve.modules.rpmfile import Rpm

__all__ = ["of_packaging", "of_support"]

_DISTRIBUTIONS = ("suse", "opensuse")
_KMP_NAME = re.compile(r".+-kmp-[A-Za-z0-9_]+")
_BUILT_FOR = re.compile(r".+?_k?(?P<release>[0-9]+\.[0-9]+.*)")


def of_packaging(candidate: Candidate) -> Iterator[Finding]:
    """Name, version, folders and capabilities of a KMP."""
    if candidate.rpm:
        yield from _of_name(candidate, candidate.rpm)
        yield from _of_version(candidate, candidate.rpm)
        yield from _of_folders(candidate, candidate.rpm)
        yield from _of_capabilities(candidate, candidate.rpm)


def _of_name(candidate: Candidate, rpm: Rpm) -> Iterator[Finding]:
    name = rpm.nevra.name
    if not _KMP_NAME.fullmatch(name):
        yield against_manual(
            candidate.path, "kmp-name", "warning", f"{name} is not PREFIX-NAME-kmp-FLAVOR", "package names"
        )
    elif "-" not in name.rpartition("-kmp-")[0] and not rpm.vendor.lower().startswith(_DISTRIBUTIONS):
        yield against_manual(
            candidate.path,
            "kmp-name-prefix",
            "note",
            f"{name} has no prefix that tells whose it is: PREFIX-NAME-kmp-FLAVOR",
            "package names",
        )


def _of_version(candidate: Candidate, rpm: Rpm) -> Iterator[Finding]:
    version = rpm.nevra.evr.version
    releases = sorted({uname_r for uname_r, _ in folders_of(rpm.files)})
    match = _BUILT_FOR.fullmatch(version)
    if match is None:
        yield against_manual(
            candidate.path,
            "kmp-version",
            "warning",
            f"version {version} does not end in the kernel release it was built for (_kKREL)",
            "package versions",
        )
    elif len(releases) == 1 and not _same_release(match["release"], releases[0]):
        yield against_manual(
            candidate.path,
            "kmp-version-kernel",
            "warning",
            f"version {version} names another kernel than its folder /lib/modules/{releases[0]}",
            "package versions",
        )


def _same_release(suffix: str, uname_r: str) -> bool:
    """Whether a version's suffix names the kernel release in a uname -r, a rebuild number apart."""
    flavor = flavor_of_uname(uname_r)
    release = (uname_r.removesuffix(f"-{flavor}") if flavor else uname_r).replace("-", "_")
    shorter, longer = sorted((suffix, release), key=len)
    return longer == shorter or longer.startswith(f"{shorter}.")


def _of_folders(candidate: Candidate, rpm: Rpm) -> Iterator[Finding]:
    def finding(reference: str, severity: Severity, message: str) -> Finding:
        return against_manual(candidate.path, reference, severity, message, "package contents")

    folders = folders_of(rpm.files)
    releases = {uname_r for uname_r, _ in folders}
    if len(releases) > 1:
        yield finding("several-kernels", "error", f"holds modules for several kernels: {named(releases)}")
    for folder in sorted({folder for _, folder in folders} - {"updates", "extra"}):
        owner = "weak-modules2" if folder == "weak-updates" else "the kernel"
        yield finding(
            "module-folder",
            "error",
            f"installs modules into {folder}/, which is for {owner}; a KMP's place is updates/ or extra/",
        )
    if outside := {file for file in rpm.files if MODULE_FILE.search(file) and not folders_of([file])}:
        yield finding("module-outside", "error", f"has modules outside /lib/modules: {named(outside)}")
    if others := {uname_r for uname_r in releases if flavor_of_uname(uname_r) not in ("", candidate.flavor)}:
        yield finding(
            "folder-other-flavor",
            "error",
            f"is for flavor {candidate.flavor}, its modules lie in {named(others)}",
        )
    strays = {module.name for module in candidate.modules if module.built_for not in ("", *releases)}
    if strays and releases:
        yield finding(
            "module-other-kernel",
            "warning",
            f"modules built for another kernel than the folder they lie in: {named(strays)}",
        )


def _of_capabilities(candidate: Candidate, rpm: Rpm) -> Iterator[Finding]:
    provided = {capability.partition(" ")[0] for capability in rpm.provides}
    kmods = {module_name(capability[5:-1]) for capability in provided if capability.startswith("kmod(")}
    files = {PurePosixPath(file.path).name for file in candidate.files}
    if unnamed := {file for file in files if module_name(file) not in kmods}:
        yield against_manual(
            candidate.path,
            "kmod-missing",
            "warning",
            f"does not provide kmod() for {named(unnamed)}",
            "dependencies",
        )
    if "multiversion(kernel)" not in provided:
        yield against_manual(
            candidate.path,
            "not-multiversion",
            "note",
            "does not provide multiversion(kernel): an update replaces this build, and a fallback kernel"
            " that needs it loses its driver",
            "installing several versions (bsc#1109137)",
        )


def of_support(candidate: Candidate) -> Iterator[Finding]:
    """Report modules that taint the kernel as unsupported."""
    unsupported = {
        module.name for module in candidate.modules if module.said("supported") not in ("yes", "external")
    }
    if unsupported:
        yield against_manual(
            candidate.path,
            "unsupported",
            "warning",
            f"{number_of(unsupported, 'module')} without supported=yes or external, which taints the"
            f" kernel, and modprobe may refuse it: {named(unsupported)}",
            "supported modules",
        )
