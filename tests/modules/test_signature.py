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


def _pem(certificate: Path) -> Path:
    made = certificate.with_suffix(".pem")
    subprocess.run(["openssl", "x509", "-inform", "DER", "-in", certificate, "-out", made], check=True)
    return made


def _message(content: Path, *signers: tuple[Path, Path], options: tuple[str, ...]) -> bytes:
    """What openssl makes of a file: a CMS message in DER; `signers` are keys with their certificates (PEM)."""
    command = ["openssl", "cms", "-sign", "-binary", "-outform", "DER", "-in", str(content)]
    for key, certificate in signers:
        command += ["-signer", str(certificate), "-inkey", str(key)]
    return subprocess.run([*command, *options], check=True, capture_output=True).stdout


_PLAIN = ("-noattr", "-nocerts", "-md", "sha256")


@pytest.mark.parametrize(
    ("options", "head", "state"),
    [
        (_PLAIN, (0, 0, 2, 0, 0), "fine"),
        ((*_PLAIN, "-keyid"), (0, 0, 2, 0, 0), "fine"),
        (("-noattr", "-md", "sha256"), (0, 0, 2, 0, 0), "fine"),
        (("-nocerts", "-md", "sha256"), (0, 0, 2, 0, 0), "corrupted"),
        ((*_PLAIN, "-nodetach"), (0, 0, 2, 0, 0), "corrupted"),
        ((*_PLAIN, "-econtent_type", "1.2.3.4"), (0, 0, 2, 0, 0), "corrupted"),
        (_PLAIN, (1, 0, 2, 0, 0), "corrupted"),
        (_PLAIN, (0, 0, 2, 0, 1), "corrupted"),
        (_PLAIN, (0, 0, 0, 0, 0), "unchecked"),
        (("-noattr", "-nocerts", "-md", "md5"), (0, 0, 2, 0, 0), "unchecked"),
        ((*_PLAIN, "-keyopt", "rsa_padding_mode:pss"), (0, 0, 2, 0, 0), "unchecked"),
    ],
    ids=[
        "plain",
        "by key id",
        "with its certificate",
        "signed attributes",
        "with the content",
        "no data",
        "a key's number",
        "a key's length",
        "no PKCS#7",
        "md5",
        "pss",
    ],
)
def test_signed_by_openssl(
    options: tuple[str, ...], head: tuple[int, int, int, int, int], state: str, base: Path, tmp_path: Path
) -> None:
    """The kernel's loader is choosy (Linux: kernel/module_signature.c, crypto/asymmetric_keys/pkcs7_verify.c)."""
    key, certificate = kbuild.signing_key(tmp_path, name="Ours")
    message = _message(base, (key, _pem(certificate)), options=options)
    content = base.read_bytes()
    known = parse_certificates(certificate.read_bytes(), "")
    signature = read_module(_with_trailer(content, message, head), "signed").signature
    assert verify(signature, known) == state
    assert verify(signature, ()) == ("unknown-key" if state == "fine" else state)
    if state == "fine":
        other = content[:0x50] + b"\1" + content[0x51:]
        signature = read_module(_with_trailer(other, message, head), "changed").signature
        assert verify(signature, known) == "corrupted"
        # What comes with its certificate can be checked by everybody.
        assert verify(signature, ()) == ("unknown-key" if "-nocerts" in options else "corrupted")


def test_what_stands_after_the_message_or_in_the_trailer(base: Path, tmp_path: Path) -> None:
    key, certificate = kbuild.signing_key(tmp_path, name="Ours")
    message = _message(base, (key, _pem(certificate)), options=_PLAIN)
    known = parse_certificates(certificate.read_bytes(), "")
    content = base.read_bytes()
    assert verify(read_module(_with_trailer(content, message + b"x"), "signed").signature, known) == "fine"
    whole = bytearray(_with_trailer(content, message))
    whole[-len(_MARK) - 6] = 1
    assert verify(read_module(bytes(whole), "signed").signature, known) == "corrupted"
    again = _with_trailer(content, message) + _with_trailer(b"", message)
    assert verify(read_module(again, "signed twice").signature, known) == "corrupted"


def test_several_signers(base: Path, tmp_path: Path) -> None:
    signers = []
    known: list[x509.Certificate] = []
    for name in ("one", "other"):
        key, certificate = kbuild.signing_key(tmp_path / name, name=name)
        signers.append((key, _pem(certificate)))
        known += parse_certificates(certificate.read_bytes(), "")
    message = _message(base, *signers, options=_PLAIN)
    signature = read_module(_with_trailer(base.read_bytes(), message), "signed").signature
    assert verify(signature, known) == "unchecked"


def test_signed_by_a_certificate_that_a_known_one_issued(base: Path, tmp_path: Path) -> None:
    """Linux: crypto/asymmetric_keys/pkcs7_trust.c."""
    key, certificate = kbuild.signing_key(tmp_path / "root", name="Root")
    _, stranger = kbuild.signing_key(tmp_path / "stranger", name="Root")
    extensions = tmp_path / "extensions"
    extensions.write_text("subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
    chain = [(key, _pem(certificate))]
    for name in ("middle", "signer"):
        own, asked, made = (tmp_path / f"{name}.{suffix}" for suffix in ("key", "csr", "pem"))
        command = ["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"]
        subprocess.run([*command, "-keyout", own, "-out", asked], check=True, capture_output=True)
        issue: list[str | Path] = [
            "openssl",
            "x509",
            "-req",
            "-in",
            asked,
            "-CA",
            chain[-1][1],
            "-CAkey",
            chain[-1][0],
        ]
        issue += ["-CAcreateserial", "-days", "9", "-extfile", extensions, "-out", made]
        subprocess.run(issue, check=True, capture_output=True)
        chain.append((own, made))
    known = parse_certificates(certificate.read_bytes(), "")
    middle = parse_certificates(chain[1][1].read_bytes(), "")
    content = base.read_bytes()

    def signed(*options: str) -> Module:
        message = _message(base, chain[2], options=("-noattr", "-md", "sha256", *options))
        return read_module(_with_trailer(content, message), "signed")

    whole = signed("-certfile", str(chain[1][1]))
    assert verify(whole.signature, known) == "fine"
    assert verify(whole.signature, middle) == "fine"
    assert verify(whole.signature, read_certificates(_listed(tmp_path, certificate))) == "fine"
    assert verify(whole.signature, read_certificates(stranger)) == "unknown-key"
    assert verify(signed().signature, known) == "unknown-key"
    assert verify(signed().signature, middle) == "fine"
    assert verify(signed("-nocerts").signature, middle) == "unknown-key"


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
        (b"xx", (0, 99, 1, 0, 0)),
        (b"xx", (0, 4, 2, 0, 0)),
    ],
    ids=["text", "empty", "nested", "no such hash", "a hash in the wrong form"],
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


def test_damaged_certificates(base: Path, tmp_path: Path) -> None:
    """What is wrong with one may only be seen when it is looked at closely."""
    key, certificate = kbuild.signing_key(tmp_path, name="Ours")
    message = _message(base, (key, _pem(certificate)), options=("-noattr", "-md", "sha256"))
    der = certificate.read_bytes()
    assert der in message
    known = parse_certificates(der, "")
    content = base.read_bytes()
    version, name = der.index(b"\xa0\x03\x02\x01\x02") + 4, der.index(b"Ours")
    for place, byte in ((version, b"\x12"), (name, b"\xff")):
        damaged = der[:place] + byte + der[place + 1 :]
        with pytest.raises(MetadataError, match="is no X"):
            parse_certificates(damaged, "")
        signed = read_module(_with_trailer(content, message.replace(der, damaged)), "signed").signature
        assert verify(signed, known) == "fine"
        assert verify(signed, ()) == "unknown-key"
