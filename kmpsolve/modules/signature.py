"""Signatures appended to modules, and who made them.

A signed module ends in: the signature, a `struct module_signature` of 12 bytes, a fixed line of text
(Linux: include/linux/module_signature.h). Since Linux 4.3 the signature is a PKCS#7 message without
content; before, it was a bare RSA signature preceded by the signer's name and key id.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias

from asn1crypto import cms  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from kmpsolve.errors import MetadataError
from kmpsolve.modules.certificates import certificates_in, readable
from kmpsolve.modules.folder import files_below
from kmpsolve.modules.moklist import ListedKey, is_key_list, parse_key_list

__all__ = [
    "KnownKey",
    "Signature",
    "SignatureState",
    "parse_certificates",
    "read_certificates",
    "read_signature",
    "verify",
]

KnownKey: TypeAlias = x509.Certificate | ListedKey
SignatureState = Literal["unsigned", "fine", "unknown-key", "corrupted", "unchecked"]

_MARK = b"~Module signature appended~\n"
_TRAILER = struct.Struct(">5B3sI")
_X509, _PKCS7 = 1, 2
# Linux: crypto/hash_info.c, the order of the hash numbers in the older form.
_HASHES = ("md4", "md5", "sha1", "ripemd160", "sha256", "sha384", "sha512", "sha224")
# Linux: crypto/asymmetric_keys/pkcs7_parser.c; which of the others a kernel knows depends on its age.
_DIGESTS = frozenset(("sha1", "sha224", "sha256", "sha384", "sha512"))
_KEY_ALGORITHMS = frozenset(("rsassa_pkcs1v15", *(f"{digest}_ecdsa" for digest in _DIGESTS)))
_MAX_MESSAGE = 0xFFFF
"""Linux: lib/asn1_decoder.c refuses what is longer."""
_MAX_CERTIFICATES = 1 << 20
_NO_EXTENSION = (
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.UnsupportedGeneralNameType,
    TypeError,
    ValueError,
)
_STEP = 1 << 20
_CERTIFICATE_SUFFIXES = frozenset((".der", ".crt", ".cer", ".pem"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A module's signature, taken apart but not believed.

    Parameters
    ----------
    form
        ``pkcs7``, or ``x509`` before Linux 4.3; ``damaged`` if every kernel refuses it as it stands; ``other`` if
        nobody here knows how to read it.
    signer
        The common name of the signing key's issuer, or the signer the older form names; may be empty.
    key_id
        The certificate's serial number, or its subject key identifier: lower-case hex.
    issuer
        The issuer's name in DER where `key_id` is a serial number, else empty.
    hash_algorithm
        As in ``sha256``.
    digest
        The module's content, without the signature, under `hash_algorithm`; empty where that hash, or the kind
        of key, is none that every kernel knows.
    value
        The signature proper.
    certificates
        The DER of the certificates that come with it: the signer's own, and those that lead from it to one that
        the kernel knows.
    """

    form: Literal["pkcs7", "x509", "damaged", "other"]
    signer: str = ""
    key_id: str = ""
    issuer: bytes = b""
    hash_algorithm: str = ""
    digest: bytes = b""
    value: bytes = b""
    certificates: tuple[bytes, ...] = ()


def _digest(stream: BinaryIO, size: int, algorithm: str) -> bytes:
    """The hash of the first `size` bytes; empty if not every kernel knows the algorithm."""
    if algorithm not in _DIGESTS:
        return b""
    running = hashlib.new(algorithm, usedforsecurity=False)
    stream.seek(0)
    while size > 0 and (piece := stream.read(min(size, _STEP))):
        running.update(piece)
        size -= len(piece)
    return running.digest()


def _from_pkcs7(message: bytes, stream: BinaryIO, size: int) -> Signature:
    content: Any = cms.ContentInfo.load(message)["content"]
    signed: Any = content["encap_content_info"]
    if signed["content_type"].native != "data" or signed["content"].native is not None:
        return Signature(form="damaged")
    signers = content["signer_infos"]
    if len(signers) > 1:
        return Signature(form="other")
    (signer,) = signers
    algorithm = str(signer["digest_algorithm"]["algorithm"].native)
    checkable = signer["signature_algorithm"]["algorithm"].native in _KEY_ALGORITHMS
    if checkable and signer["signed_attrs"]:
        # Linux: crypto/asymmetric_keys/pkcs7_verify.c; newer kernels let them pass with keys that nobody checks here.
        return Signature(form="damaged")
    issuer, name = b"", ""
    identifier = signer["sid"]
    if identifier.name == "issuer_and_serial_number":
        issuer = identifier.chosen["issuer"].dump()
        name = identifier.chosen["issuer"].native.get("common_name", "")
        number = int(identifier.chosen["serial_number"].native)
        key_id = number.to_bytes((number.bit_length() + 7) // 8 or 1, "big").hex()
    else:
        key_id = bytes(identifier.chosen.native).hex()
    return Signature(
        form="pkcs7",
        signer=str(name),
        key_id=key_id,
        issuer=issuer,
        hash_algorithm=algorithm,
        digest=_digest(stream, size, algorithm) if checkable else b"",
        value=bytes(signer["signature"].native),
        certificates=tuple(choice.chosen.dump() for choice in content["certificates"] or ()),
    )


def read_signature(stream: BinaryIO) -> tuple[Signature | None, int]:
    """The appended signature of a module, and the size in bytes of what it signs.

    Parameters
    ----------
    stream
        The whole, uncompressed module.

    Returns
    -------
    tuple
        ``None`` for an unsigned module. A trailer that promises something else than what stands before it
        gives a signature of the form ``damaged``: the kernel refuses such a module whatever its policy.
    """
    whole = stream.seek(0, os.SEEK_END)
    tail = len(_MARK) + _TRAILER.size
    if whole < tail:
        return None, whole
    stream.seek(whole - tail)
    trailer = stream.read(tail)
    if not trailer.endswith(_MARK):
        return None, whole
    key_number, hash_number, form, signer_length, key_length, rest, length = _TRAILER.unpack_from(trailer)
    size = whole - tail - length - signer_length - key_length
    if size <= 0:
        return Signature(form="damaged"), whole - tail
    if form not in (_X509, _PKCS7):
        return Signature(form="other"), size
    if length > _MAX_MESSAGE:
        return Signature(form="damaged"), size
    stream.seek(size)
    signer, key = stream.read(signer_length), stream.read(key_length)
    message = stream.read(length)
    if form == _PKCS7:
        if key_number or hash_number or signer_length or key_length or any(rest):
            return Signature(form="damaged"), size
        try:
            return _from_pkcs7(message, stream, size), size
        except Exception:  # asn1crypto lets many kinds of exception out of a damaged message
            return Signature(form="damaged"), size
    if hash_number >= len(_HASHES) or length < 2:
        return Signature(form="damaged"), size
    return (
        Signature(
            form="x509",
            signer=signer.decode("utf-8", "replace"),
            key_id=key.hex(),
            hash_algorithm=_HASHES[hash_number],
            digest=_digest(stream, size, _HASHES[hash_number]),
            value=message[2:],
        ),
        size,
    )


def parse_certificates(content: bytes, where: str) -> tuple[x509.Certificate, ...]:
    """The certificates in a DER or PEM file.

    Raises
    ------
    MetadataError
        If it holds none.
    """
    try:
        return certificates_in(content)
    except ValueError as error:
        raise MetadataError(
            "is no X.509 certificate in DER or PEM form",
            reference="unreadable-certificate",
            where=where,
            hint="Give certificates, or what mokutil --list-enrolled prints",
        ) from error


def read_certificates(path: Path) -> tuple[KnownKey, ...]:
    """The certificates in a file, or in all ``.der .crt .cer .pem`` files below a folder, sorted by path.

    What ``mokutil --list-enrolled`` prints, kept in a file, will do too.

    Raises
    ------
    MetadataError
        If one of them cannot be read, or a folder holds none.
    """
    files: Iterable[Path] = [path]
    if path.is_dir():
        files = (
            file
            for file in files_below(path)
            if file.suffix.lower() in _CERTIFICATE_SUFFIXES and file.is_file()
        )
    found: list[KnownKey] = []
    for file in files:
        try:
            with file.open("rb") as stream:
                content = stream.read(_MAX_CERTIFICATES)
        except OSError as error:
            raise MetadataError(
                f"cannot be read: {error.strerror}",
                reference="unreadable-certificate",
                where=str(file),
                hint="Check its path and its permissions",
            ) from error
        found += parse_key_list(content) if is_key_list(content) else parse_certificates(content, str(file))
    if path.is_dir() and not found:
        raise MetadataError(
            "holds no certificate: no file ends in .der, .crt, .cer or .pem",
            reference="unreadable-certificate",
            where=str(path),
            hint="Give certificates, or what mokutil --list-enrolled prints",
        )
    return tuple(found)


def _matches(signature: Signature, certificate: KnownKey) -> bool:
    """Whether the signature names this certificate, by issuer and serial number or by key identifier."""
    if not signature.issuer:
        return bool(signature.key_id) and _key_id(certificate) == signature.key_id
    if isinstance(certificate, ListedKey):
        named = (signature.signer, int(signature.key_id, 16))
        return (certificate.issuer, certificate.serial_number) == named
    named_alike = certificate.issuer.public_bytes() == signature.issuer
    return named_alike and certificate.serial_number == int(signature.key_id, 16)


def _key_id(certificate: KnownKey) -> str:
    """The subject key identifier in hex; empty if it has none."""
    if isinstance(certificate, ListedKey):
        return certificate.key_id
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except _NO_EXTENSION:
        return ""
    return extension.value.digest.hex()


def verify(signature: Signature | None, certificates: Iterable[KnownKey]) -> SignatureState:
    """Check a module's signature as the kernel does against its keyring.

    When a certificate ends is nothing to the kernel.

    Returns
    -------
    str
        ``unsigned``; ``corrupted`` (the content, or the signature, is not what was signed: such a module
        never loads); ``unknown-key`` (none of the certificates made it: loads unless signatures are
        enforced); ``unchecked`` (an algorithm, or a form, that this check or some kernels do not have: if the
        kernel does not know it, it loads unless signatures are enforced); ``fine``.
    """
    if signature is None:
        return "unsigned"
    if signature.form == "damaged":
        return "corrupted"
    if signature.form == "other" or not signature.digest:
        return "unchecked"
    certificates = tuple(certificates)
    embedded = tuple(readable(signature.certificates))
    signer = next((known for known in (*certificates, *embedded) if _matches(signature, known)), None)
    if signer is None:
        return "unknown-key"
    state = _made_by(signature, signer)
    if state == "fine" and signer not in certificates and not _leads_to(signer, embedded, certificates):
        return "unknown-key"
    return state


def _made_by(signature: Signature, signer: KnownKey) -> SignatureState:
    """Whether a key made a signature, whoever it belongs to."""
    algorithm = Prehashed(_hash(signature.hash_algorithm))
    try:
        key = signer.public_key()
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature.value, signature.digest, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature.value, signature.digest, ec.ECDSA(algorithm))
        else:
            return "unchecked"
    except InvalidSignature:
        return "corrupted"
    except (UnsupportedAlgorithm, ValueError):
        return "unchecked"
    return "fine"


def _hash(name: str) -> hashes.HashAlgorithm:
    algorithm: hashes.HashAlgorithm = getattr(hashes, name.upper())()
    return algorithm


def _leads_to(certificate: KnownKey, embedded: Iterable[x509.Certificate], known: Sequence[KnownKey]) -> bool:
    """Whether a known key vouches for a certificate, directly or through others that come with the signature.

    Linux: crypto/asymmetric_keys/pkcs7_trust.c.
    """
    reached = [certificate] if isinstance(certificate, x509.Certificate) else []
    left = [other for other in embedded if other not in reached]
    for current in reached:
        if any(_issued(current, key) for key in known):
            return True
        issuers = [other for other in left if _issued(current, other)]
        left = [other for other in left if other not in issuers]
        reached += issuers
    return False


def _issued(certificate: x509.Certificate, issuer: KnownKey) -> bool:
    """Whether a certificate names this key as its issuer's, and the key signed it."""
    try:
        named = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        algorithm = certificate.signature_hash_algorithm
        key = issuer.public_key()
    except (*_NO_EXTENSION, UnsupportedAlgorithm):
        return False
    identifier = named.key_identifier
    if identifier is None or identifier.hex() != _key_id(issuer) or algorithm is None:
        return False
    signed, value = certificate.tbs_certificate_bytes, certificate.signature
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(value, signed, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(value, signed, ec.ECDSA(algorithm))
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
