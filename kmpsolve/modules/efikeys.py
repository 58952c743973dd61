"""Secure Boot as the firmware tells it: whether it is on, and which certificates it knows."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509

from kmpsolve.metadata.files import read_small
from kmpsolve.modules.certificates import readable

__all__ = ["enrolled_certificates", "refuses_unsigned", "secure_boot"]

_SECURE_BOOT = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_LISTS = (
    "MokListRT-605dab50-e046-4300-abb6-3dd810dd8b23",  # what mokutil enrolled, and shim's own
    "db-d719b2cb-3d3a-4596-a3bc-dad00e67656f",  # the firmware's
)
_REVOKED = (
    "MokListXRT-605dab50-e046-4300-abb6-3dd810dd8b23",
    "dbx-d719b2cb-3d3a-4596-a3bc-dad00e67656f",
)
_X509 = bytes.fromhex("a159c0a5e494a74a87b5ab155c2bf072")  # EFI_CERT_X509_GUID
_X509_HASH = bytes.fromhex("92a4d23bc0967940b420fcf98ef103ed")  # EFI_CERT_X509_SHA256_GUID
_POLICIES = (
    ("kernel/security/lockdown", ("[integrity]", "[confidentiality]"), "the kernel is locked down"),
    ("module/module/parameters/sig_enforce", ("Y",), "module.sig_enforce is on"),
)
_ATTRIBUTES = 4  # efivarfs puts them before the content
_HEAD = struct.Struct("<16sIII")
_OWNER = 16
_SHA256_SIZE = 32


def _read(efivars: Path, name: str) -> bytes | None:
    try:
        return read_small(efivars / name)[_ATTRIBUTES:]
    except OSError:
        return None


def secure_boot(efivars: Path) -> bool | None:
    """Whether Secure Boot is on; ``None`` if the firmware does not say.

    Parameters
    ----------
    efivars
        The folder with the firmware's variables, /sys/firmware/efi/efivars on a running system.
    """
    content = _read(efivars, _SECURE_BOOT)
    return None if not content else content[0] == 1


def refuses_unsigned(sys: Path) -> str:
    """Why the kernel that runs refuses modules without a signature; empty if nothing is known to make it.

    Linux, kernel/module/signing.c: module.sig_enforce, or a lockdown, which Secure Boot brings.

    Parameters
    ----------
    sys
        /sys of the system.
    """
    if secure_boot(sys / "firmware" / "efi" / "efivars"):
        return "Secure Boot is on"
    for place, wanted, reason in _POLICIES:
        try:
            content = read_small(sys / place).decode("ascii", "replace")
        except OSError:
            continue
        if any(word in content for word in wanted):
            return reason
    return ""


def enrolled_certificates(efivars: Path) -> tuple[x509.Certificate, ...] | None:
    """The certificates in the firmware's and the machine owner's lists; ``None`` if there are no lists.

    Those that were revoked are left out: the kernel takes nothing that they signed (Linux: certs/blacklist.c). An
    entry that is no certificate is passed over, as the kernel does (UEFI 2.10, 32.4.1).
    """
    contents = [content for name in _LISTS if (content := _read(efivars, name)) is not None]
    if not contents:
        return None
    lists = [content for name in _REVOKED if (content := _read(efivars, name)) is not None]
    revoked = {certificate for content in lists for certificate in _certificates(content)}
    hashes = {entry[:_SHA256_SIZE] for content in lists for entry in _entries(content, _X509_HASH)}
    return tuple(
        certificate
        for content in contents
        for certificate in _certificates(content)
        if certificate not in revoked
        and hashlib.sha256(certificate.tbs_certificate_bytes).digest() not in hashes
    )


def _certificates(content: bytes) -> Iterator[x509.Certificate]:
    return readable(_entries(content, _X509))


def _entries(content: bytes, wanted: bytes) -> Iterator[bytes]:
    """The entries of one kind in EFI signature lists; a damaged list ends the reading."""
    while len(content) >= _HEAD.size:
        kind, size, header, entry = _HEAD.unpack_from(content)
        if not _HEAD.size <= size <= len(content) or entry <= _OWNER:
            return
        if kind == wanted:
            start = _HEAD.size + header
            for place in range(start, size - entry + 1, entry):
                yield content[place + _OWNER : place + entry]
        content = content[size:]
