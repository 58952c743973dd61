"""Whether a repository's metadata may be believed: who signed it, and whether it goes back in time.

The rules are libzypp's (RepoInfo::repoGpgCheckIsMandatory, KeyRing::verifyFileSignature), without its
questions: what zypper would ask about is an error here or, where no configuration says that signatures are
checked, a remark. Keys are those that rpm trusts, and the files that the repository's definition names.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from kmpsolve.metadata.content import Content
from kmpsolve.metadata.origin import Origin

__all__ = ["SIGNATURE_LIMIT", "Trust", "dearmored", "joined", "told_if_older"]

SIGNATURE_LIMIT = 1 << 20
"""Bytes: a signature has some hundred."""

_GPGV = "gpgv"
_SECONDS = 30
_LAST_DAY = 253402300799
"""The end of the year 9999, behind which there are no dates."""
_BEGIN = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"
_END = b"-----END PGP PUBLIC KEY BLOCK-----"
_REMEDY = "Let zypper look at it, which asks whether to trust its key: zypper refresh {0}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What is asked of a repository's signature. One that does not fit what it signs is never accepted.

    Parameters
    ----------
    keys
        Gives the public keys that are trusted, in OpenPGP's binary form one after the other.
    required
        Whether there has to be a signature of one of them.
    silent
        Say nothing about a missing one either: zypper has asked, and was told to go on.
    """

    keys: Callable[[], bytes]
    required: bool
    silent: bool = False

    def check(self, signed: bytes, signature: bytes | None, origin: Origin) -> tuple[tuple[str, str], ...]:
        """Look at the signature of a repomd.xml.

        Parameters
        ----------
        signed
            The file.
        signature
            The content of repomd.xml.asc, or ``None`` if there is none.

        Returns
        -------
        tuple
            Reference and message of what a user should be told, if anything.

        Raises
        ------
        MetadataError
            ``signature-wrong``; and where one is required, ``signature-missing``, ``signature-unknown-key`` or
            ``signature-unchecked``.
        """
        asking = Origin(alias=origin.alias, remedy=_REMEDY.format(shlex.quote(origin.alias)))
        if signature is None:
            return self._lacking("signature-missing", "repomd.xml is not signed", asking)
        status = _gpgv(self.keys(), signed, signature)
        if status is None:
            return self._lacking(
                "signature-unchecked", "its signature cannot be checked: gpgv does not run", asking
            )
        if "BADSIG" in status:
            raise asking.damaged("repomd.xml was changed after it was signed", "signature-wrong")
        if "VALIDSIG" in status and status.isdisjoint(("ERRSIG", "REVKEYSIG")):
            return ()
        return self._lacking(
            "signature-unknown-key", "repomd.xml is signed with a key that is not trusted", asking
        )

    def _lacking(self, reference: str, message: str, origin: Origin) -> tuple[tuple[str, str], ...]:
        if self.required:
            raise origin.damaged(message, reference)
        return () if self.silent else ((reference, f"{origin.alias}: {message}"),)


def _gpgv(keys: bytes, signed: bytes, signature: bytes) -> frozenset[str] | None:
    """The keywords of gpgv's answer; ``None`` if it does not run."""
    import subprocess
    import tempfile

    with tempfile.TemporaryDirectory(prefix="kmpsolve-keys-") as folder:
        names = ("keys", "signature", "signed")
        for name, content in zip(names, (keys, signature, signed), strict=True):
            Path(folder, name).write_bytes(content)
        keyring, *files = (os.path.join(folder, name) for name in names)  # noqa: PTH118
        try:
            said = subprocess.run(
                [_GPGV, "--homedir", folder, "--status-fd", "1", "--keyring", keyring, *files],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
                timeout=_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
    lines = said.stdout.decode("ascii", "replace").splitlines()
    return frozenset(line.split()[1] for line in lines if line.startswith("[GNUPG:] "))


def dearmored(text: bytes) -> bytes:
    """The keys in a file: armored ones in their binary form, one after the other; else the file itself."""
    if _BEGIN not in text:
        return text
    import base64
    import binascii

    found = b""
    for block in text.split(_BEGIN)[1:]:
        # Headers, an empty line, the key in base64, a checksum.
        lines = [line.strip() for line in block.partition(_END)[0].splitlines()[1:]]
        body = lines[lines.index(b"") + 1 :] if b"" in lines else []
        try:
            encoded = b"".join(line for line in body if not line.startswith(b"="))
            found += base64.b64decode(encoded, validate=True)
        except binascii.Error:
            continue
    return found


def joined(keys: Iterable[bytes]) -> bytes:
    """Keys as one keyring."""
    return b"".join(map(dearmored, keys))


def told_if_older(content: Content, before: int | None) -> Content:
    """Say so if metadata is older than what was seen before: updates may be held back, or taken away.

    Parameters
    ----------
    before
        The newest timestamp of it that was seen (seconds since the epoch), where known.
    """
    if before is None or content.timestamp is None or content.timestamp >= before:
        return content
    now, then = (
        time.strftime("%Y-%m-%d %H:%M", time.gmtime(min(stamp, _LAST_DAY)))
        for stamp in (content.timestamp, before)
    )
    message = f"{content.alias}: its metadata is of {now}, older than what was there before, of {then}"
    return replace(content, remarks=(*content.remarks, ("older-metadata", message)))
