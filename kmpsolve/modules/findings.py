"""What is wrong with a KMP, whatever the kernel: declared or real symbols, packaging, signatures, support.

The rules are those of SUSE's Kernel Module Packages Manuals (Code 11; SLE 12 SP2 and 15) and of the
scripts that make a KMP's dependencies; each finding names its source.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from kmpsolve.model.symbols import Need, flavor_of_uname
from kmpsolve.modules.kmp import Candidate, UefiCert, folders_of
from kmpsolve.modules.module import MODULE_FILE, module_name
from kmpsolve.modules.rpmfile import Rpm, RpmSignatureState
from kmpsolve.modules.signature import KnownKey, SignatureState, verify

__all__ = [
    "Finding",
    "Severity",
    "modules_refused",
    "named",
    "of_declarations",
    "of_module_signatures",
    "of_packaging",
    "of_rpm_signature",
    "of_support",
]

Severity = Literal["error", "warning", "note"]

_MANUAL = "SUSE Kernel Module Packages Manual"
_KSYMS = "rpm-config-SUSE: find-requires.ksyms and find-provides.ksyms"
_SIGNING = "Linux: Documentation/admin-guide/module-signing.rst"
_DISTRIBUTIONS = ("suse", "opensuse")
_SHOWN = 5
_KMP_NAME = re.compile(r".+-kmp-[A-Za-z0-9_]+")
_BUILT_FOR = re.compile(r".+?_k?(?P<release>[0-9]+\.[0-9]+.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something about a subject that its maker or user should know.

    Parameters
    ----------
    reference
        A stable kebab-case name.
    severity
        An ``error`` makes the check fail; a ``warning`` may bite; a ``note`` is for knowing.
    subject
        The path of the package or module.
    message
        One line.
    rule
        Where the rule comes from.
    """

    reference: str
    severity: Severity
    subject: str
    message: str
    rule: str


def named(names: Iterable[str]) -> str:
    """A list for a message: the first few names, then how many more."""
    found = sorted(names)
    more = f" (+{len(found) - _SHOWN})" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]) + more


def _count(names: Collection[str], noun: str) -> str:
    return f"{len(names)} {noun}{'' if len(names) == 1 else 's'}"


def _versions(needs: Iterable[Need]) -> dict[str, set[str]]:
    versions: dict[str, set[str]] = defaultdict(set)
    for need in needs:
        versions[need.name].add(need.value)
    return versions


def of_declarations(candidate: Candidate) -> Iterator[Finding]:
    """Compare what the package declares with what its modules need and export."""
    without = [module.name for module in candidate.modules if not module.versions]
    if without:
        yield Finding(
            reference="no-symbol-versions",
            severity="warning",
            subject=candidate.path,
            message=f"{_count(without, 'module')} built without symbol versions (was kernel-syms missing?);"
            f" nothing can be said of another kernel: {named(without)}",
            rule=f"{_MANUAL}: build requirements",
        )
    if candidate.rpm is None:
        return
    yield from _of_forms(candidate)
    if candidate.readable:
        yield from _of_requires(candidate)
        yield from _of_provides(candidate)


def _ksyms(candidate: Candidate, reference: str, severity: Severity, message: str) -> Finding:
    return Finding(
        reference=reference, severity=severity, subject=candidate.path, message=message, rule=_KSYMS
    )


def _of_forms(candidate: Candidate) -> Iterator[Finding]:
    damaged = [repr(need.name) for need in candidate.needs if need.kind == "damaged"]
    if damaged:
        yield _ksyms(
            candidate,
            "ksym-damaged",
            "warning",
            f"{_count(damaged, 'requirement')} of no known form: {named(damaged)}",
        )
    others = {need.flavor for need in candidate.needs if need.flavor} - {candidate.flavor}
    if others:
        yield _ksyms(
            candidate,
            "ksym-other-flavor",
            "error",
            f"is for flavor {candidate.flavor} but requires symbols of {named(others)}",
        )


def _of_requires(candidate: Candidate) -> Iterator[Finding]:
    exported = {
        (symbol, export.crc) for module in candidate.modules for symbol, export in module.exports.items()
    }
    real: dict[str, set[str]] = defaultdict(set)
    for module in candidate.modules:
        for symbol, crc in module.versions.items():
            real[symbol].add(crc)
    declared = _versions(need for need in candidate.needs if need.kind == "ksym")
    # A symset or an exact kernel stands for all symbols at once.
    covered = any(need.kind in ("symset", "exact-kernel") for need in candidate.needs)
    missing = {
        symbol
        for symbol, crcs in real.items()
        if symbol not in declared and any((symbol, crc) not in exported for crc in crcs)
    }
    if missing and not covered:
        yield _ksyms(
            candidate,
            "ksym-missing",
            "error",
            f"its modules need {_count(missing, 'symbol')} that the package does not require, so that rpm"
            f" and zypper cannot know: {named(missing)}",
        )
    if wrong := {symbol for symbol, crcs in real.items() if declared.get(symbol, crcs) != crcs}:
        yield _ksyms(
            candidate,
            "ksym-wrong",
            "error",
            f"requires {_count(wrong, 'symbol')} in another version than its modules need: {named(wrong)}",
        )
    if surplus := declared.keys() - real.keys():
        yield _ksyms(
            candidate,
            "ksym-surplus",
            "warning",
            f"requires {_count(surplus, 'symbol')} that none of its modules needs: {named(surplus)}",
        )


def _of_provides(candidate: Candidate) -> Iterator[Finding]:
    real: dict[str, set[str]] = defaultdict(set)
    for module in candidate.modules:
        for symbol, export in module.exports.items():
            if export.crc is not None:
                real[symbol].add(export.crc)
    declared = _versions(candidate.declared)
    if missing := real.keys() - declared.keys():
        yield _ksyms(
            candidate,
            "export-missing",
            "warning",
            f"does not provide {_count(missing, 'symbol')} that its modules export: {named(missing)}",
        )
    if wrong := {symbol for symbol, crcs in declared.items() if real.get(symbol) != crcs}:
        yield _ksyms(
            candidate,
            "export-wrong",
            "error",
            f"provides {_count(wrong, 'symbol')} that its modules do not export in that version:"
            f" {named(wrong)}",
        )


def _packaging(
    candidate: Candidate, reference: str, severity: Severity, message: str, chapter: str
) -> Finding:
    return Finding(
        reference=reference,
        severity=severity,
        subject=candidate.path,
        message=message,
        rule=f"{_MANUAL}: {chapter}",
    )


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
        yield _packaging(
            candidate, "kmp-name", "warning", f"{name} is not PREFIX-NAME-kmp-FLAVOR", "package names"
        )
    elif "-" not in name.rpartition("-kmp-")[0] and not rpm.vendor.lower().startswith(_DISTRIBUTIONS):
        yield _packaging(
            candidate,
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
        yield _packaging(
            candidate,
            "kmp-version",
            "warning",
            f"version {version} does not end in the kernel release it was built for (_kKREL)",
            "package versions",
        )
    elif len(releases) == 1 and not _same_release(match["release"], releases[0]):
        yield _packaging(
            candidate,
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
        return _packaging(candidate, reference, severity, message, "package contents")

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
        yield _packaging(
            candidate,
            "kmod-missing",
            "warning",
            f"does not provide kmod() for {named(unnamed)}",
            "dependencies",
        )
    if "multiversion(kernel)" not in provided:
        yield _packaging(
            candidate,
            "not-multiversion",
            "note",
            "does not provide multiversion(kernel): an update replaces this build, and a fallback kernel"
            " that needs it loses its driver",
            "installing several versions (bsc#1109137)",
        )


def of_rpm_signature(
    candidate: Candidate, state: RpmSignatureState, *, keys: bool, required: bool
) -> Iterator[Finding]:
    """Report the state of the package's own signature.

    Parameters
    ----------
    keys
        Whether there were keys to check it with.
    required
        Whether an unsigned package, or one signed by a stranger, is an error.
    """
    bad: Severity = "error" if required else "warning"
    texts: dict[RpmSignatureState, tuple[str, Severity, str]] = {
        "unsigned": ("rpm-unsigned", bad, "the package is not signed"),
        "corrupted": (
            "rpm-corrupted",
            "error",
            "the package is not what was built: a digest or the signature is wrong",
        ),
        "unknown-key": ("rpm-key-unknown", bad, "the package is signed with a key that is not known"),
    }
    if not keys:
        texts["unknown-key"] = (
            "rpm-signature-unchecked",
            "note",
            "the package is signed; no key was given to check it with",
        )
    if state in texts:
        reference, severity, message = texts[state]
        yield Finding(
            reference=reference,
            severity=severity,
            subject=candidate.path,
            message=message,
            rule="rpmkeys(8): --checksig",
        )


def modules_refused(candidate: Candidate, certificates: Sequence[KnownKey]) -> list[str]:
    """Names of modules whose signature the kernel refuses whatever its policy."""
    return [
        module.name for module in candidate.modules if verify(module.signature, certificates) == "corrupted"
    ]


def of_module_signatures(
    candidate: Candidate,
    certificates: Sequence[KnownKey],
    companions: Mapping[str, UefiCert],
    *,
    required: bool,
) -> Iterator[Finding]:
    """Report who signed the modules, and whether the certificate comes along.

    Parameters
    ----------
    certificates
        Those that the target machine trusts, without those of `companions`.
    companions
        The N-ueficert packages that are checked together with this, by name.
    required
        Whether an unsigned module, or one signed by a stranger, is an error.
    """
    wanted = {
        name
        for capability in (candidate.rpm.requires if candidate.rpm else ())
        if (name := capability.partition(" ")[0]).endswith("-ueficert")
    }
    own = [
        certificate
        for name in sorted(wanted & companions.keys())
        for certificate in companions[name].certificates
    ]
    yield from _of_signers(candidate, [*certificates, *own], "error" if required else "warning")
    for name in sorted(wanted - companions.keys()):
        yield _packaging(
            candidate,
            "ueficert-missing",
            "warning",
            f"requires {name}, which is not among the given files: until its certificate is enrolled, the"
            " modules do not load with Secure Boot",
            "signing",
        )
    signed = [module for module in candidate.modules if module.signature]
    if own and signed and all(verify(module.signature, own) == "unknown-key" for module in signed):
        yield _packaging(
            candidate,
            "ueficert-other-key",
            "warning",
            f"no module is signed by a certificate in {named(wanted)}",
            "signing",
        )


def _of_signers(candidate: Candidate, known: Sequence[KnownKey], bad: Severity) -> Iterator[Finding]:
    states: dict[SignatureState, list[str]] = defaultdict(list)
    signers = set()
    for module in candidate.modules:
        state = verify(module.signature, known)
        states[state].append(module.name)
        if module.signature and state == "unknown-key":
            signers.add(module.signature.signer or module.signature.key_id)
    texts: dict[SignatureState, tuple[str, Severity, str]] = {
        "unsigned": ("module-unsigned", bad, "not signed, which Secure Boot refuses"),
        "corrupted": (
            "module-corrupted",
            "error",
            "changed after signing, or with a damaged signature, which every kernel refuses",
        ),
        "unknown-key": (
            "module-signer-unknown",
            bad,
            f"signed by {named(signers)}, none of the given certificates",
        ),
        "unchecked": (
            "module-signature-unchecked",
            "note",
            "signed with an algorithm that cannot be checked here",
        ),
    }
    if not known:
        texts["unknown-key"] = (
            "module-signature-unchecked",
            "note",
            f"signed by {named(signers)}; no certificate was given to check them with",
        )
    for state, (reference, severity, text) in texts.items():
        if names := states[state]:
            yield Finding(
                reference=reference,
                severity=severity,
                subject=candidate.path,
                message=f"{_count(names, 'module')} {text}: {named(names)}",
                rule=_SIGNING,
            )


def of_support(candidate: Candidate) -> Iterator[Finding]:
    """Report modules that taint the kernel as unsupported."""
    unsupported = {
        module.name for module in candidate.modules if module.said("supported") not in ("yes", "external")
    }
    if unsupported:
        yield _packaging(
            candidate,
            "unsupported",
            "warning",
            f"{_count(unsupported, 'module')} without supported=yes or external, which taints the"
            f" kernel, and modprobe may refuse it: {named(unsupported)}",
            "supported modules",
        )
