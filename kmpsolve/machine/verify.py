"""The disk against what should stand on it: links, modules, initrds, folders."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass

from cryptography import x509

from kmpsolve.errors import MetadataError
from kmpsolve.machine.kernels import read_module_file
from kmpsolve.machine.links import of_links
from kmpsolve.machine.outdated import of_initrd, of_modules_dep
from kmpsolve.machine.precedence import Resolved
from kmpsolve.machine.reading import Disk, KernelDisk
from kmpsolve.machine.tree import ModuleFile
from kmpsolve.machine.unmanaged import find_unmanaged, judge_unmanaged
from kmpsolve.machine.verifyreport import VerifyReport
from kmpsolve.metadata.files import read_small
from kmpsolve.metadata.rootpath import Root
from kmpsolve.model.needs import flavor_of_uname
from kmpsolve.model.plan import Unmanaged
from kmpsolve.modules.checkreport import Subject
from kmpsolve.modules.efikeys import enrolled_certificates, refuses_unsigned
from kmpsolve.modules.findings import Finding, Severity, named
from kmpsolve.modules.loader import Judgement, judge_together
from kmpsolve.modules.module import Module
from kmpsolve.modules.signature import parse_certificates
from kmpsolve.modules.signature import verify as verify_signature

__all__ = ["verify_disk"]

_WEAK_MODULES = "suse-module-tools: weak-modules2"
_DEPMOD = "depmod.d(5): search order"
_LOADER = "Linux: kernel/module/main.c"
_CERTIFICATES = "/etc/uefi/certs"


def verify_disk(disk: Disk, *, require_signed: bool = False) -> VerifyReport:
    """Compare the disk with what should stand on it.

    Parameters
    ----------
    require_signed
        Whether a module that is not signed, or by a stranger, is an error.
    """
    findings: list[Finding] = []
    subjects: list[Subject] = []
    findings += _of_folders(disk)
    findings += _of_kmp_files(disk)
    certificates = _certificates(disk.trees.root)
    policy = refuses_unsigned(disk.trees.root.path("/sys"))
    for kernel in disk.kernels:
        links = list(of_links(disk, kernel))
        findings += links
        named_already = {finding.subject for finding in links} | disk.damage.keys()
        for subject, finding in _of_modules(disk, kernel, certificates, policy, require_signed):
            subjects.append(subject)
            if finding is not None and finding.subject not in named_already:
                findings.append(finding)
        findings += _of_builds(disk, kernel)
        findings += _of_clashes(kernel)
        findings += of_modules_dep(disk, kernel)
        findings += of_initrd(disk, kernel)
    unmanaged = _unmanaged(disk)
    findings += _of_unmanaged(disk, unmanaged)
    return VerifyReport(
        subjects=tuple(sorted(subjects, key=lambda s: (s.path, s.kernel or ""))),
        findings=tuple(sorted(set(findings), key=lambda f: (f.subject, f.reference, f.message))),
        unmanaged=unmanaged,
        # A driver that the system boots from may be in an initrd that nobody could look into.
        complete=disk.owners.known and all(found.reference != "unreadable-initrd" for found in findings),
    )


def _finding(reference: str, severity: Severity, subject: str, message: str, rule: str) -> Finding:
    return Finding(reference=reference, severity=severity, subject=subject, message=message, rule=rule)


# folders and files


def _of_folders(disk: Disk) -> Iterator[Finding]:
    if not disk.trees.merged:
        yield _finding(
            "modules-folder-split",
            "error",
            "/usr/lib/modules",
            "/lib/modules and /usr/lib/modules are two places; the kernel's tools look into one of them only",
            "usrmerge: /lib is a link to /usr/lib",
        )
    for tree in disk.leftovers:
        yield _finding(
            "removed-kernel-folder",
            "warning",
            tree.path,
            f"is left over: kernel {tree.uname_r} is not installed, and no package owns a module in it",
            f"{_WEAK_MODULES}, remove_kernel",
        )
    for uname_r in disk.missing:
        yield _finding(
            "kernel-folder-missing",
            "error",
            f"/lib/modules/{uname_r}",
            f"is missing: kernel {uname_r} is installed, and would boot without a single module",
            "rpm(8): --verify",
        )
    if not disk.owners.known:
        yield _finding(
            "owners-unknown",
            "warning",
            disk.trees.root.folder.as_posix(),
            "there is no rpmdb: nobody can tell which modules are a KMP's, and which links should be there",
            "What cannot be read cannot be vouched for",
        )


def _of_kmp_files(disk: Disk) -> Iterator[Finding]:
    for path, reason in sorted(disk.damage.items()):
        missing = reason == "is missing"
        yield _finding(
            "module-missing" if missing else "unreadable-module",
            "error",
            path,
            f"{reason}, though {disk.owners.of(path)} installed it"
            if missing
            else f"{reason}; {disk.owners.of(path)} installed it",
            "rpm(8): --verify",
        )


# modules


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    """A file that modprobe would load.

    Parameters
    ----------
    owner
        The NEVRA of its package; ``None`` if it has none.
    behind
        The module of a KMP in whose place it would be loaded, and that KMP's NEVRA.
    """

    file: ModuleFile
    owner: str | None
    behind: tuple[str, str] | None

    @property
    def who(self) -> str:
        if self.behind is not None:
            path, nevra = self.behind
            return f"in the place of {path} of {nevra}"
        return self.owner or ""


def _of_modules(
    disk: Disk,
    kernel: KernelDisk,
    certificates: Sequence[x509.Certificate],
    policy: str,
    require_signed: bool,
) -> Iterator[tuple[Subject, Finding | None]]:
    """Every module of a KMP that this kernel would load, judged together with what no package owns.

    What no package owns and would be loaded in the place of a KMP's module counts as one of them. Where nobody
    knows the owners, every module in the folders of KMPs does.
    """
    readable: list[tuple[_Loaded, bool, Module]] = []
    contents = {m.path: m.module for o in disk.offers for m in o.modules}
    for resolved in kernel.actual.values():
        file = resolved.file
        target = disk.trees.spelled(file.target or "")
        owner = disk.owners.of(target)
        loaded = _Loaded(
            file=file, owner=owner, behind=_behind(disk, resolved, contents) if owner is None else None
        )
        counts = owner is not None or loaded.behind is not None or not disk.owners.known
        if target in contents:
            module = contents[target]
        elif owner is None and (file.folder != "kernel" or kernel.tree.uname_r in disk.owners.kernels):
            try:
                module = read_module_file(disk.trees.root, target)
            except MetadataError:
                module = None
        else:
            continue
        if module is not None:
            readable.append((loaded, counts, module))
        elif counts:
            yield (
                Subject(
                    path=file.path,
                    nevra=owner,
                    kernel=kernel.tree.uname_r,
                    verdict="blocked",
                    mismatches=(),
                ),
                _finding("unreadable-module", "error", target, "cannot be read as a module", _LOADER),
            )
    judged = judge_together([module for _, _, module in readable], kernel.kernel)
    for (loaded, counts, module), judgement in zip(readable, judged, strict=True):
        if counts:
            yield _of_module(kernel, loaded, module, judgement, certificates, policy, require_signed)


def _behind(disk: Disk, resolved: Resolved, modules: Container[str]) -> tuple[str, str] | None:
    """The strongest of a KMP's modules that lose against a file, with its NEVRA."""
    for file in resolved.shadowed:
        target = disk.trees.spelled(file.target or "")
        nevra = disk.owners.of(target)
        if nevra is not None and target in modules:
            return target, nevra
    return None


def _of_module(
    kernel: KernelDisk,
    loaded: _Loaded,
    module: Module,
    judgement: Judgement,
    certificates: Sequence[x509.Certificate],
    policy: str,
    require_signed: bool,
) -> tuple[Subject, Finding | None]:
    uname_r = kernel.tree.uname_r
    who = f"{loaded.who} on {uname_r}".lstrip()
    verdict = judgement.verdict
    finding: Finding | None = None
    reasons = []
    if judgement.mismatches:
        changed = [m.symbol for m in judgement.mismatches if m.kind == "disagrees"]
        gone = [m.symbol for m in judgement.mismatches if m.kind == "unknown"]
        if changed:
            reasons.append(f"disagrees about version of {named(changed)}")
        if gone:
            reasons.append(f"unknown {named(gone)}")
    reasons += [obstacle.message for obstacle in judgement.obstacles]
    state = verify_signature(module.signature, certificates)
    if state == "corrupted":
        verdict = "blocked"
        reasons.append("its signature is damaged, or it was changed after it was signed")
    elif policy and state == "unsigned":
        verdict = "blocked"
        reasons.append(f"it is not signed, and {policy}")
    elif require_signed and state in ("unsigned", "unknown-key"):
        verdict = "blocked"
        reasons.append("it is not signed" if state == "unsigned" else "none of the certificates signed it")
    unknown = state == "unchecked" and bool(policy or require_signed)
    if unknown and verdict != "blocked":
        verdict = "unverified"
    if verdict == "blocked":
        finding = _finding(
            "would-not-load", "error", loaded.file.path, f"{who}: {'; '.join(reasons)}", _LOADER
        )
    elif verdict == "unverified":
        why = (
            "it is signed in a way that is not known here"
            if unknown and judgement.verdict != "unverified"
            else "it was built without symbol versions"
            if not module.versions
            else kernel.kernel.symvers.gap or f"nothing tells the version of {named(judgement.unverified)}"
        )
        finding = _finding("unverified-module", "warning", loaded.file.path, f"{who}: {why}", _LOADER)
    subject = Subject(
        path=loaded.file.path,
        nevra=loaded.owner,
        kernel=uname_r,
        verdict=verdict,
        mismatches=judgement.mismatches,
    )
    return subject, finding


def _of_builds(disk: Disk, kernel: KernelDisk) -> Iterator[Finding]:
    """KMPs that do not serve this kernel, and modules that silently come from the kernel itself."""
    uname_r = kernel.tree.uname_r
    flavor = flavor_of_uname(uname_r)
    newest = disk.newest(flavor) is kernel
    for name, build in kernel.expected.builds.items():
        if build is not None:
            continue
        builds = [offer for offer in disk.offers if offer.name == name]
        if any(uname_r in offer.homes for offer in builds):
            continue  # its own modules are subjects
        if any(module.path in disk.damage for offer in builds for module in offer.modules):
            continue
        elsewhere = any(other.expected.builds.get(name) for other in disk.kernels if other is not kernel)
        best = max(builds, key=lambda offer: offer.evr)
        loads, refused = kernel.expected.partly(best.build)
        partly = (
            f"; of its modules {named(loads)} would load, {named(refused)} would not"
            if loads and refused
            else ""
        )
        fallen = sorted({m.name for o in builds for m in o.modules} & set(kernel.expected.fallen_back))
        if fallen:
            yield _finding(
                "falls-back-to-in-tree",
                "error" if newest and elsewhere else "warning",
                kernel.tree.path,
                f"{named(fallen)} silently comes from {uname_r} itself: no installed build of {name}"
                f" fits{partly}",
                "SolidDriver: a driver of the kernel's own that a KMP overrides",
            )
        else:
            linked = any(module.path in kernel.expected.links.values() for module in best.modules)
            message = (
                f"{best.build} fits {uname_r} and is not used: other files of its modules' names stand there"
                if linked or (loads and not refused)
                else f"no installed build of {name} fits {uname_r}{partly}"
            )
            yield _finding(
                "no-build-fits",
                "error" if newest and elsewhere else "warning",
                kernel.tree.path,
                message,
                _WEAK_MODULES,
            )


def _of_clashes(kernel: KernelDisk) -> Iterator[Finding]:
    for name, resolved in sorted(kernel.actual.items()):
        if resolved.clashes and resolved.file.folder != "kernel":
            others = named(file.path for file in resolved.clashes)
            yield _finding(
                "name-clash",
                "warning",
                resolved.file.path,
                f"{name} is there twice with the same precedence: {others}; depmod takes what it reads last",
                _DEPMOD,
            )


# what no package owns


def _unmanaged(disk: Disk) -> tuple[Unmanaged, ...]:
    """Judged against the newest kernel of the flavor, as `plan` judges them against the new one."""
    found: list[Unmanaged] = []
    for flavor in sorted({flavor_of_uname(k.tree.uname_r) for k in disk.kernels}):
        newest = disk.newest(flavor)
        assert newest is not None
        files = [
            file
            for tree in disk.trees.trees
            if flavor_of_uname(tree.uname_r) == flavor
            for file in find_unmanaged(disk.trees, disk.owners, tree)
        ]
        if files:
            found += judge_unmanaged(disk.trees.root, files, newest.kernel, _served(disk, newest))
    return tuple(sorted(found, key=lambda one: one.path))


def _served(disk: Disk, kernel: KernelDisk) -> list[Module]:
    """The modules of the KMP builds that serve a kernel."""
    serving = {build for build in kernel.expected.builds.values() if build}
    return [
        module.module
        for offer in disk.offers
        if offer.build in serving
        for module in offer.modules
        if module.module is not None
    ]


def _of_unmanaged(disk: Disk, unmanaged: Iterable[Unmanaged]) -> Iterator[Finding]:
    for one in unmanaged:
        uname_r = one.path.partition("/modules/")[2].partition("/")[0]
        newest = disk.newest(flavor_of_uname(uname_r))
        label = newest.tree.uname_r if newest else "any kernel"
        why = named(m.symbol for m in one.mismatches) or "it was made for another kernel"
        texts = {
            "loads": f"its symbols fit {label}",
            "blocked": f"would not load on {label}: {why}",
            "unverified": f"cannot be verified against {label}",
        }
        yield _finding(
            "unmanaged-module",
            "note" if one.state == "loads" else "warning",
            one.path,
            f"no package owns it; {texts[one.state]}",
            "rpm(8): --query --file",
        )


def _certificates(root: Root) -> tuple[x509.Certificate, ...]:
    """The certificates that packages put there to be enrolled, and those that are."""
    found = [*(enrolled_certificates(root.path("/sys/firmware/efi/efivars")) or ())]
    for name in root.names(_CERTIFICATES):
        path = root.path(f"{_CERTIFICATES}/{name}")
        try:
            found += parse_certificates(read_small(path), str(path))
        except (OSError, MetadataError):
            continue
    return tuple(found)
