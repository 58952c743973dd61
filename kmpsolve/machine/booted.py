"""After a reboot: does each KMP's module come from the planned file, and is it loaded if it was before?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from kmpsolve.errors import ConfigError, MetadataError, RequestError
from kmpsolve.machine.live import LiveMachine
from kmpsolve.machine.modulesdep import TEXT
from kmpsolve.machine.reading import Disk, KernelDisk
from kmpsolve.machine.sysfs import text_of
from kmpsolve.machine.verifyreport import VerifyReport
from kmpsolve.metadata.rootpath import Root
from kmpsolve.model.needs import flavor_of_uname
from kmpsolve.modules.findings import Finding

__all__ = ["STATE", "Before", "boot_once", "read_before", "remember", "verify_booted"]

STATE = "/var/lib/kmpsolve/before-reboot.json"
_RULE = "kmpsolve verify --booted"
_ENTRY = re.compile(r"""menuentry_id_option\s+['"](?P<id>gnulinux-[^'"]+)['"]""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What was remembered before the reboot.

    Parameters
    ----------
    uname_r
        The kernel that ran.
    loaded
        The modules of KMPs that were loaded.
    """

    uname_r: str
    loaded: frozenset[str]


def _kmp_modules(disk: Disk) -> dict[str, str]:
    """Module name -> package name of the KMP."""
    return {module.name: offer.name for offer in disk.offers for module in offer.modules}


def remember(disk: Disk, machine: LiveMachine) -> str:
    """The text of the state file: which modules of KMPs are loaded now.

    Raises
    ------
    MetadataError
        ``loaded-modules-unknown``, if /proc/modules cannot be read.
    """
    if machine.loaded is None:
        raise MetadataError(
            "cannot be read, so the loaded modules are not known",
            reference="loaded-modules-unknown",
            where=str(machine.proc.folder / "modules"),
            hint="Mount /proc there, or ask on the running machine",
        )
    loaded = sorted(machine.loaded & _kmp_modules(disk).keys())
    document = {"schema_version": 1, "uname_r": machine.uname_r, "loaded": loaded}
    return json.dumps(document, indent=2) + "\n"


def read_before(root: Root) -> Before | None:
    """What was remembered; ``None`` if nothing was, or it is damaged."""
    try:
        document = json.loads(root.read(STATE) or "")
        return Before(uname_r=str(document["uname_r"]), loaded=frozenset(map(str, document["loaded"])))
    except (ValueError, KeyError, TypeError, ConfigError, MetadataError):
        return None


def _error(reference: str, subject: str, message: str) -> Finding:
    return Finding(reference=reference, severity="error", subject=subject, message=message, rule=_RULE)


def verify_booted(
    report: VerifyReport, disk: Disk, machine: LiveMachine, before: Before | None
) -> VerifyReport:
    """The part of a report that concerns the running kernel, and what only the running machine tells.

    Parameters
    ----------
    report
        Of `verify_disk` on the same disk.
    before
        What was remembered; without it nobody knows what was loaded.

    Raises
    ------
    RequestError
        ``unknown-kernel`` if the running kernel is not on the disk.
    """
    uname_r = machine.uname_r
    running = next((k for k in disk.kernels if k.tree.uname_r == uname_r), None)
    if running is None:
        raise RequestError(
            f"the running kernel {uname_r} has no folder below /lib/modules",
            reference="unknown-kernel",
            where=str(disk.trees.root.folder),
            hint="reboot into an installed kernel",
        )
    others = {k.tree.uname_r for k in disk.kernels} - {uname_r}
    findings = [f for f in report.findings if not any(_about(f, other) for other in others)]
    findings += _of_resolution(running)
    findings += _of_loading(disk, running, machine, before)
    if any(finding.severity == "error" for finding in findings):
        findings.append(_way_back(report, disk, running, before))
    return replace(
        report,
        subjects=tuple(subject for subject in report.subjects if subject.kernel == uname_r),
        findings=tuple(sorted(set(findings), key=lambda f: (f.subject, f.reference, f.message))),
    )


def _about(finding: Finding, uname_r: str) -> bool:
    return f"/{uname_r}/" in f"{finding.subject}/" or finding.subject.endswith(f"-{uname_r}")


def _of_resolution(kernel: KernelDisk) -> Iterator[Finding]:
    listed = kernel.listed[TEXT] or {}
    for name, source in kernel.expected.sources.items():
        if source.build is None:
            continue
        planned = source.path.partition(f"/modules/{kernel.tree.uname_r}/")[2]
        found = listed.get(name)
        if found != planned:
            yield _error(
                "resolves-elsewhere",
                f"{kernel.tree.path}/{planned}",
                f"{name} of {source.build} should be loaded from there; modprobe"
                f" {'loads ' + found if found else 'does not know it'}: run depmod -a {kernel.tree.uname_r}",
            )


def _of_loading(
    disk: Disk, kernel: KernelDisk, machine: LiveMachine, before: Before | None
) -> Iterator[Finding]:
    owners = _kmp_modules(disk)
    if machine.loaded is None:
        yield Finding(
            reference="loaded-unknown",
            severity="warning",
            subject=str(machine.proc.folder / "modules"),
            message="cannot be read, so nobody can tell which modules are loaded",
            rule=_RULE,
        )
        return
    if before is None:
        yield Finding(
            reference="before-unknown",
            severity="note",
            subject=STATE,
            message="nothing was remembered before the reboot (kmpsolve verify --remember does it), so nobody"
            " can tell what was loaded then",
            rule=_RULE,
        )
    for name in sorted(before.loaded if before else ()):
        if name in owners and name not in machine.loaded:
            assert before is not None
            yield _error(
                "not-loaded",
                f"{kernel.tree.path} {name}",
                f"{name} of {owners[name]} was loaded on {before.uname_r} and is not loaded now",
            )
    for name, source in kernel.expected.sources.items():
        if source.build is None or name not in machine.loaded or source.judgement is None:
            continue
        planned = source.judgement.module.said("srcversion")
        loaded = text_of(machine.sys.folder / "module" / name / "srcversion")
        if planned and loaded and planned != loaded:
            yield _error(
                "other-build-loaded",
                source.path,
                f"{name} is loaded from another build than {source.build}: the loaded one has source version"
                f" {loaded}, the planned one {planned}; the initrd may be outdated",
            )


def _way_back(report: VerifyReport, disk: Disk, running: KernelDisk, before: Before | None) -> Finding:
    """A line that boots the last kernel on which every KMP works, and of whose folder nothing is wrong."""
    bad = {subject.kernel for subject in report.subjects if subject.verdict == "blocked"}
    errors = [finding for finding in report.findings if finding.severity == "error"]
    good = [
        kernel.tree.uname_r
        for kernel in disk.kernels
        if kernel is not running
        and kernel.tree.uname_r not in bad
        and not any(_about(finding, kernel.tree.uname_r) for finding in errors)
        and flavor_of_uname(kernel.tree.uname_r) == flavor_of_uname(running.tree.uname_r)
        and all(kernel.expected.builds.values())
    ]
    if before is not None and before.uname_r in good:
        choice: str | None = before.uname_r
    else:
        choice = good[-1] if good else None
    text = (
        f"boot {choice}, on which every KMP works:  {boot_once(disk.trees.root, choice)}"
        if choice
        else "no other installed kernel keeps every KMP"
    )
    return Finding(
        reference="last-good-kernel",
        severity="note",
        subject=running.tree.path,
        message=text,
        rule=_RULE,
    )


def boot_once(root: Root, uname_r: str) -> str:
    """A command that boots a kernel once: by the boot loader that is there, else by kexec."""
    for place in ("/boot/grub2/grub.cfg", "/boot/grub/grub.cfg"):
        identifiers = _ENTRY.findall(_text(root, place))
        entry = next((one for one in identifiers if one.startswith(f"gnulinux-{uname_r}-advanced")), None)
        if entry is not None:
            menu = next((one for one in identifiers if one.startswith("gnulinux-advanced")), None)
            tool = "grub2-reboot" if "grub2" in place else "grub-reboot"
            return f"{tool} '{menu + '>' if menu else ''}{entry}' && systemctl reboot"
    for folder in ("/boot/efi/loader/entries", "/boot/loader/entries", "/efi/loader/entries"):
        for name in root.names(folder):
            words = _text(root, f"{folder}/{name}").split()
            if name.endswith(".conf") and (uname_r in words or any(f"/{uname_r}/" in word for word in words)):
                return f"bootctl set-oneshot {name} && systemctl reboot"
    image = next(
        (
            f"/boot/{kind}-{uname_r}"
            for kind in ("vmlinuz", "Image", "image", "vmlinux")
            if root.path(f"/boot/{kind}-{uname_r}").exists()
        ),
        f"/boot/vmlinuz-{uname_r}",
    )
    return f"kexec -l {image} --initrd=/boot/initrd-{uname_r} --reuse-cmdline && systemctl kexec"


def _text(root: Root, inside: str) -> str:
    try:
        return root.read(inside) or ""
    except (ConfigError, MetadataError):
        return ""
