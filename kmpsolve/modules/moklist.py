"""What ``mokutil --list-enrolled`` prints: certificates as text, as OpenSSL writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec, rsa

__all__ = ["ListedKey", "is_key_list", "parse_key_list"]

_FINGERPRINT = b"SHA1 Fingerprint:"
_HEX = r"[0-9A-Fa-f]{2}(?::\s*[0-9A-Fa-f]{2})*"
_SERIAL = re.compile(rf"Serial Number:\s*(?:(?P<number>\d+) \(0x|(?P<bytes>{_HEX}))")
_ISSUER = re.compile(r"^\s*Issuer:.*?\bCN ?= ?(?P<name>[^,\n/]+)", re.MULTILINE)
_KEY_ID = re.compile(rf"Subject Key Identifier:\s*(?P<bytes>{_HEX})")
_RSA = re.compile(rf"Modulus:\s*(?P<modulus>{_HEX})\s*Exponent: (?P<exponent>\d+)")
_EC = re.compile(rf"pub:\s*(?P<point>{_HEX})\s*ASN1 OID: (?P<curve>\w+)")
_CURVES: dict[str, type[ec.EllipticCurve]] = {
    "prime256v1": ec.SECP256R1,
    "secp384r1": ec.SECP384R1,
    "secp521r1": ec.SECP521R1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedKey:
    """An enrolled key, as far as its description tells.

    Parameters
    ----------
    issuer
        The common name of the certificate's issuer; empty if it has none.
    key_id
        The subject key identifier: lower-case hex; empty if it has none.
    key
        ``None`` for a kind of key that signs no modules.
    """

    serial_number: int
    issuer: str
    key_id: str
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey | None

    def public_key(self) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey | None:
        """The key."""
        return self.key


def is_key_list(content: bytes) -> bool:
    """Whether it is such a list and no certificate."""
    return _FINGERPRINT in content


def parse_key_list(content: bytes) -> tuple[ListedKey, ...]:
    """The keys in a list; an entry without a serial number is passed over.

    Source: mokutil prints each certificate with X509_print_fp of OpenSSL, below its fingerprint.
    """
    text = content.decode("utf-8", "replace")
    return tuple(_listed(text))


def _listed(text: str) -> Iterator[ListedKey]:
    for entry in text.split(_FINGERPRINT.decode())[1:]:
        serial = _SERIAL.search(entry)
        if serial is None:
            continue
        issuer, key_id = _ISSUER.search(entry), _KEY_ID.search(entry)
        yield ListedKey(
            serial_number=int(serial["number"]) if serial["number"] else int(_plain(serial["bytes"]), 16),
            issuer=issuer["name"].strip() if issuer else "",
            key_id=_plain(key_id["bytes"]).lower() if key_id else "",
            key=_key(entry),
        )


def _key(entry: str) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey | None:
    try:
        if found := _RSA.search(entry):
            modulus = int(_plain(found["modulus"]), 16)
            return rsa.RSAPublicNumbers(int(found["exponent"]), modulus).public_key()
        if (found := _EC.search(entry)) and found["curve"] in _CURVES:
            point = bytes.fromhex(_plain(found["point"]))
            return ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[found["curve"]](), point)
    except ValueError:
        return None
    return None


def _plain(listed: str) -> str:
    return re.sub(r"[:\s]", "", listed)
