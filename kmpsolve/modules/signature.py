"""Signatures appended to modules, and who made them.

A signed module ends in: the signature, a `struct module_signature` of 12 bytes, a fixed line of text
(Linux: include/linux/module_signature.h). Since Linux 4.3 the signature is a PKCS#7 message without
content; before, it was a bare RSA signature preceded by the signer's name and key id.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterable
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
_TRAILER = struct.Struct(">BBBBBxxxI")
_X509, _PKCS7 = 1, 2
# Linux: crypto/hash_info.c, the order of the hash numbers in the older form.
_HASHES = ("md4", "md5", "sha1", "ripemd160", "sha256", "sha384", "sha512", "sha224")
_MAX_SIGNATURE = 1 << 20
_STEP = 1 << 20
_CERTIFICATE_SUFFIXES = frozenset((".der", ".crt", ".cer", ".pem"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A module's signature, taken apart but not believed.

    Parameters
    ----------
    form
        ``pkcs7``, or ``x509`` before Linux 4.3; ``damaged`` if nothing else in here can be trusted.
    signer
        The common name of the signing key's issuer, or the signer the older form names; may be empty.
    key_id
        The certificate's serial number, or its subject key identifier: lower-case hex.
    issuer
        The issuer's name in DER where `key_id` is a serial number, else empty.
    hash_algorithm
        As in ``sha256``.
    digest
        The module's content, without the signature, under `hash_algorithm`; empty where that hash is
        not available here.
    attributes
        The DER of the signed attributes, if any; then they are what is signed.
    attribute_digest
        The content's digest that the signed attributes promise.
    value
        The signature proper.
    """

    form: Literal["pkcs7", "x509", "damaged"]
    signer: str = ""
    key_id: str = ""
    issuer: bytes = b""
    hash_algorithm: str = ""
    digest: bytes = b""
    attributes: bytes = b""
    attribute_digest: bytes = b""
    value: bytes = b""


def _digest(stream: BinaryIO, size: int, algorithm: str) -> bytes:
    """The hash of the first `size` bytes; empty if this Python lacks the algorithm."""
    try:
        running = hashlib.new(algorithm, usedforsecurity=False)
    except ValueError:
        return b""
    stream.seek(0)
    while size > 0 and (piece := stream.read(min(size, _STEP))):
        running.update(piece)
        size -= len(piece)
    return running.digest()


def _from_pkcs7(message: bytes, stream: BinaryIO, size: int) -> Signature:
    content: Any = cms.ContentInfo.load(message, strict=True)["content"]
    (signer,) = content["signer_infos"]
    algorithm = str(signer["digest_algorithm"]["algorithm"].native)
    issuer, name = b"", ""
    identifier = signer["sid"]
    if identifier.name == "issuer_and_serial_number":
        issuer = identifier.chosen["issuer"].dump()
        name = identifier.chosen["issuer"].native.get("common_name", "")
        number = int(identifier.chosen["serial_number"].native)
        key_id = number.to_bytes((number.bit_length() + 7) // 8 or 1, "big").hex()
    else:
        key_id = bytes(identifier.chosen.native).hex()
    attributes, promised = b"", b""
    if signer["signed_attrs"]:
        attributes = signer["signed_attrs"].untag().dump(force=True)
        for attribute in signer["signed_attrs"]:
            if attribute["type"].native == "message_digest":
                promised = bytes(attribute["values"][0].native)
    return Signature(
        form="pkcs7",
        signer=str(name),
        key_id=key_id,
        issuer=issuer,
        hash_algorithm=algorithm,
        digest=_digest(stream, size, algorithm),
        attributes=attributes,
        attribute_digest=promised,
        value=bytes(signer["signature"].native),
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
    _, hash_number, form, signer_length, key_length, length = _TRAILER.unpack_from(trailer)
    size = whole - tail - length - signer_length - key_length
    if size < 0 or length > _MAX_SIGNATURE:
        return Signature(form="damaged"), whole - tail
    stream.seek(size)
    signer, key = stream.read(signer_length), stream.read(key_length)
    message = stream.read(length)
    if form == _PKCS7 and not (hash_number or signer_length or key_length):
        try:
            return _from_pkcs7(message, stream, size), size
        except Exception:  # asn1crypto lets many kinds of exception out of a damaged message
            return Signature(form="damaged"), size
    if form != _X509 or hash_number >= len(_HASHES) or length < 2:
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
        if b"-----BEGIN CERTIFICATE-----" in content:
            return tuple(x509.load_pem_x509_certificates(content))
        return (x509.load_der_x509_certificate(content),)
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
                content = stream.read(_MAX_SIGNATURE)
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
    if isinstance(certificate, ListedKey):
        if signature.issuer:
            named = (signature.signer, int(signature.key_id, 16))
            return (certificate.issuer, certificate.serial_number) == named
        return bool(signature.key_id) and certificate.key_id == signature.key_id
    if signature.issuer:
        return certificate.issuer.public_bytes() == signature.issuer and certificate.serial_number == int(
            signature.key_id, 16
        )
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except (x509.ExtensionNotFound, ValueError):
        return False
    return bool(signature.key_id) and extension.value.digest.hex() == signature.key_id


def _hash(name: str) -> hashes.HashAlgorithm | None:
    algorithm = getattr(hashes, name.upper(), None)
    return algorithm() if algorithm else None


def verify(signature: Signature | None, certificates: Iterable[KnownKey]) -> SignatureState:
    """Check a module's signature as the kernel does against its keyring.

    Returns
    -------
    str
        ``unsigned``; ``corrupted`` (the content, or the signature, is not what was signed: such a module
        never loads); ``unknown-key`` (none of the certificates made it: loads unless signatures are
        enforced); ``unchecked`` (an algorithm this check does not have); ``fine``.
    """
    if signature is None:
        return "unsigned"
    if signature.form == "damaged":
        return "corrupted"
    certificate = next((known for known in certificates if _matches(signature, known)), None)
    if certificate is None:
        return "unknown-key"
    algorithm = _hash(signature.hash_algorithm)
    if algorithm is None or not signature.digest:
        return "unchecked"
    digest = signature.digest
    if signature.attributes:
        if signature.attribute_digest != digest:
            return "corrupted"
        digest = hashlib.new(signature.hash_algorithm, signature.attributes).digest()
    key = certificate.public_key()
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature.value, digest, padding.PKCS1v15(), Prehashed(algorithm))
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature.value, digest, ec.ECDSA(Prehashed(algorithm)))
        else:
            return "unchecked"
    except InvalidSignature:
        return "corrupted"
    except UnsupportedAlgorithm:
        return "unchecked"
    return "fine"
