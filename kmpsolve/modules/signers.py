"""Who signed a KMP and the modules in it, and whether the certificate for that comes along."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from kmpsolve.modules.findings import Finding, Severity, against_manual, named, number_of
from kmpsolve.modules.kmp import Candidate, UefiCert
from kmpsolve.modules.rpmfile import RpmSignatureState
from kmpsolve.modules.signature import KnownKey, SignatureState, verify

__all__ = ["modules_refused", "of_module_signatures", "of_rpm_signature"]

_SIGNING = "Linux: Documentation/admin-guide/module-signing.rst"


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
        yield against_manual(
            candidate.path,
            "ueficert-missing",
            "warning",
            f"requires {name}, which is not among the given files: until its certificate is enrolled, the"
            " modules do not load with Secure Boot",
            "signing",
        )
    signed = [module for module in candidate.modules if module.signature]
    if own and signed and all(verify(module.signature, own) == "unknown-key" for module in signed):
        yield against_manual(
            candidate.path,
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
            "error" if bad == "error" else "note",
            "signed in a way that is not known here, and not to every kernel",
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
                message=f"{number_of(names, 'module')} {text}: {named(names)}",
                rule=_SIGNING,
            )
