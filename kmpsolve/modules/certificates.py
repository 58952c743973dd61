"""Certificates as they come from firmware, files and signatures: none of them is believed to be whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cryptography import x509

__all__ = ["certificates_in", "read_certificate", "readable"]

_DAMAGE = (x509.InvalidVersion, TypeError)
"""What comes out of a damaged certificate beside a ValueError."""


def read_certificate(content: bytes) -> x509.Certificate:
    """A certificate in DER.

    Raises
    ------
    ValueError
        If it is damaged.
    """
    try:
        return _whole(x509.load_der_x509_certificate(content))
    except _DAMAGE as error:
        raise ValueError(str(error)) from error


def certificates_in(content: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates in a file, in DER or PEM.

    Raises
    ------
    ValueError
        If there are none, or one is damaged.
    """
    if b"-----BEGIN CERTIFICATE-----" not in content:
        return (read_certificate(content),)
    try:
        return tuple(map(_whole, x509.load_pem_x509_certificates(content)))
    except _DAMAGE as error:
        raise ValueError(str(error)) from error


def readable(contents: Iterable[bytes]) -> Iterator[x509.Certificate]:
    """Those of some certificates in DER that are not damaged."""
    for content in contents:
        try:
            yield read_certificate(content)
        except ValueError:
            continue


def _whole(certificate: x509.Certificate) -> x509.Certificate:
    """The same, once what signatures are matched by was read: that is only looked at when it is asked for."""
    _ = certificate.issuer.public_bytes(), certificate.serial_number
    return certificate
