"""Signatures made by the kernel's own sign-file, by openssl, and as kernels before 4.3 made them."""

from __future__ import annotations

import hashlib
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from kmpsolve.errors import MetadataError
from kmpsolve.modules.module import Module, read_module
from kmpsolve.modules.signature import parse_certificates, read_certificates, verify
from tests.modules import kbuild
from tests.modules.debian import DebianKernel

Built = Callable[[DebianKernel], Path]

_MARK = b"~Module signature appended~\n"


@pytest.fixture
def base(kernels: tuple[DebianKernel, ...], built: Built) -> Path:
    return built(kernels[0]) / "kmpsolve_base.ko"


def _with_trailer(
    content: bytes, message: bytes, head: tuple[int, int, int, int, int] = (0, 0, 2, 0, 0)
) -> bytes:
    return content + message + struct.pack(">BBBBBxxxI", *head, len(message)) + _MARK


def _changed(module: Path, place: int) -> Module:
    content = bytearray(module.read_bytes())
    content[place] ^= 1
    return read_module(bytes(content), "changed")


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [("rsa:2048", "sha256"), ("rsa:4096", "sha512"), ("ec", "sha384"), ("rsa:2048", "sha1")],
)
def test_signed_by_sign_file(kind: str, algorithm: str, base: Path, tmp_path: Path) -> None:
    key, certificate = kbuild.signing_key(tmp_path / "ours", name="Ours", kind=kind)
    # Of the same name, with another key and number.
    _, stranger = kbuild.signing_key(tmp_path / "other", name="Ours")
    signed = tmp_path / "signed.ko"
    subprocess.run([base.parent / "sign-file", algorithm, key, certificate, base, signed], check=True)
    module = read_module(signed)
    assert module.signature is not None
    assert module.signature.form == "pkcs7"
    assert (module.signature.signer, module.signature.hash_algorithm) == ("Ours", algorithm)
    known = read_certificates(certificate)
    # Not always 40 digits: a number whose first byte is 0 is a byte shorter.
    assert int(module.signature.key_id, 16) == known[0].serial_number
    assert verify(module.signature, known) == "fine"
    assert verify(module.signature, read_certificates(tmp_path)) == "fine"
    assert verify(module.signature, read_certificates(stranger)) == "unknown-key"
    assert verify(module.signature, ()) == "unknown-key"
    # A byte of the content, then the last one of the signature itself.
    assert verify(_changed(signed, 0x50).signature, known) == "corrupted"
    end = signed.stat().st_size - len(_MARK) - 12
    assert verify(_changed(signed, end - 1).signature, known) == "corrupted"
    assert verify(read_module(base).signature, known) == "unsigned"


def _listed(place: Path, *certificates: Path) -> Path:
    """What ``mokutil --list-enrolled`` prints of these: it has OpenSSL print each, as this does."""
    text = b""
    for number, certificate in enumerate(certificates, 1):
        command: list[str | Path] = [
            "openssl",
            "x509",
            "-inform",
            "DER",
            "-in",
            certificate,
            "-noout",
            "-text",
        ]
        printed = subprocess.run(command, check=True, capture_output=True).stdout
        fingerprint = hashlib.sha1(certificate.read_bytes(), usedforsecurity=False).digest().hex(":")
        text += f"[key {number}]\nSHA1 Fingerprint: {fingerprint}\n".encode() + printed + b"\n"
    made = place / "enrolled.txt"
    made.write_bytes(text)
    return made


@pytest.mark.parametrize("by_key_id", [False, True])
@pytest.mark.parametrize("kind", ["rsa:2048", "ec"])
def test_what_mokutil_lists(kind: str, by_key_id: bool, base: Path, tmp_path: Path) -> None:
    key, certificate = kbuild.signing_key(tmp_path / "ours", name="Ours", kind=kind)
    _, stranger = kbuild.signing_key(tmp_path / "other", name="Ours")
    signed = tmp_path / "signed.ko"
    how = ["-k", "sha256"] if by_key_id else ["sha256"]
    command = [str(base.parent / "sign-file"), *how, *map(str, (key, certificate, base, signed))]
    subprocess.run(command, check=True)
    known = read_certificates(_listed(tmp_path, stranger, certificate))
    assert len(known) == 2
    assert verify(read_module(signed).signature, known) == "fine"
    assert verify(_changed(signed, 0x50).signature, known) == "corrupted"
    assert (
        verify(read_module(signed).signature, read_certificates(_listed(tmp_path, stranger))) == "unknown-key"
    )
    cut = _listed(tmp_path, certificate)
    cut.write_bytes(cut.read_bytes()[:400])
    assert verify(read_module(signed).signature, read_certificates(cut)) in ("unknown-key", "unchecked")


def test_signed_attributes(base: Path, tmp_path: Path) -> None:
    """pesign and openssl sign attributes that hold the content's digest."""
    key, certificate = kbuild.signing_key(tmp_path, name="Ours")
    subprocess.run(
        ["openssl", "x509", "-inform", "DER", "-in", certificate, "-out", tmp_path / "c.pem"], check=True
    )

    def sign(*options: str) -> bytes:
        command = [
            "openssl",
            "cms",
            "-sign",
            "-binary",
            "-nocerts",
            "-md",
            "sha256",
            "-outform",
            "DER",
            *options,
        ]
        command += ["-signer", str(tmp_path / "c.pem"), "-inkey", str(key), "-in", str(base)]
        return subprocess.run(command, check=True, capture_output=True).stdout

    known = parse_certificates(certificate.read_bytes(), "")
    content = base.read_bytes()
    for message in (sign(), sign("-keyid"), sign("-noattr", "-keyid")):
        assert verify(read_module(_with_trailer(content, message), "signed").signature, known) == "fine"
        other = content[:0x50] + b"\1" + content[0x51:]
        assert verify(read_module(_with_trailer(other, message), "changed").signature, known) == "corrupted"
    by_identifier = read_module(_with_trailer(content, sign("-keyid")), "signed").signature
    identifier = known[0].extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert by_identifier is not None
    assert by_identifier.key_id == identifier.hex()


def test_the_form_before_linux_4_3(base: Path, tmp_path: Path) -> None:
    key_file, certificate = kbuild.signing_key(tmp_path, name="SUSE Linux Enterprise Secure Boot Signkey")
    key = load_pem_private_key(key_file.read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    known = parse_certificates(certificate.read_bytes(), "")
    identifier = known[0].extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    content = base.read_bytes()
    value = key.sign(content, padding.PKCS1v15(), hashes.SHA256())
    signer = b"SUSE Linux Enterprise Secure Boot Signkey"
    head = (1, 4, 1, len(signer), len(identifier))
    message = struct.pack(">H", len(value)) + value

    def module(content: bytes) -> Module:
        signed = content + signer + identifier + message
        return read_module(signed + struct.pack(">BBBBBxxxI", *head, len(message)) + _MARK, "signed")

    signature = module(content).signature
    assert signature is not None
    assert signature.form == "x509"
    assert (signature.signer, signature.key_id) == (signer.decode(), identifier.hex())
    assert signature.digest == hashlib.sha256(content).digest()
    assert verify(signature, known) == "fine"
    assert verify(module(content[:0x50] + b"\1" + content[0x51:]).signature, known) == "corrupted"


@pytest.mark.parametrize(
    ("message", "head"),
    [
        (b"no signature at all", (0, 0, 2, 0, 0)),
        (b"", (0, 0, 2, 0, 0)),
        (b"\x30\x80" + b"\x30\x80" * 200, (0, 0, 2, 0, 0)),
        (b"xx", (0, 0, 7, 0, 0)),
        (b"xx", (0, 99, 1, 0, 0)),
        (b"xx", (0, 4, 2, 0, 0)),
    ],
    ids=["text", "empty", "nested", "no such form", "no such hash", "a hash in the wrong form"],
)
def test_damaged_signatures_are_refused(
    message: bytes, head: tuple[int, int, int, int, int], base: Path, tmp_path: Path
) -> None:
    _, certificate = kbuild.signing_key(tmp_path)
    module = read_module(_with_trailer(base.read_bytes(), message, head), "damaged")
    assert module.versions == read_module(base).versions
    assert verify(module.signature, read_certificates(certificate)) == "corrupted"
    assert verify(module.signature, ()) == "corrupted"


def test_a_signature_longer_than_the_file(base: Path) -> None:
    content = base.read_bytes() + struct.pack(">BBBBBxxxI", 0, 0, 2, 0, 0, 0xFFFFFFFF) + _MARK
    assert verify(read_module(content, "damaged").signature, ()) == "corrupted"


def test_certificates(tmp_path: Path) -> None:
    folder = tmp_path / "certificates"
    _, first = kbuild.signing_key(folder, name="First")
    subprocess.run(
        ["openssl", "x509", "-inform", "DER", "-in", first, "-out", folder / "again.pem"], check=True
    )
    (folder / "readme.txt").write_text("not a certificate")
    (one, again) = read_certificates(folder / "certificate.der"), read_certificates(folder / "again.pem")
    assert one == again
    assert len(read_certificates(folder)) == 2
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "readme.txt").write_text("not a certificate")
    with pytest.raises(MetadataError, match="holds no certificate"):
        read_certificates(tmp_path / "none")
    (folder / "broken.crt").write_bytes(first.read_bytes()[:100])
    with pytest.raises(MetadataError, match=r"broken\.crt: is no X\.509 certificate"):
        read_certificates(folder)
    with pytest.raises(MetadataError, match="cannot be read"):
        read_certificates(tmp_path / "nowhere")
