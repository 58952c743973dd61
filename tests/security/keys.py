"""Real OpenPGP keys, and repositories signed with them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.support import rpmmd
from tests.support.packages import PackageSpec


class Signer:
    """Somebody with a key of their own.

    Parameters
    ----------
    folder
        An empty folder; its path must be short, since gpg's agent listens on a socket below it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        self._home = folder
        self._gpg("--quick-gen-key", f"{folder.name} <{folder.name}@example.com>", "rsa2048", "sign", "never")

    def _gpg(self, *words: str) -> bytes:
        flags = ["--homedir", str(self._home), "--batch", "--no-tty", "--pinentry-mode", "loopback"]
        return subprocess.run(
            ["gpg", *flags, "--passphrase", "", *words], check=True, capture_output=True
        ).stdout

    def public(self) -> str:
        """The public key, armored."""
        return self._gpg("--armor", "--export").decode()

    def revoked(self) -> str:
        """The public key with its revocation."""
        certificate = next(self._home.glob("openpgp-revocs.d/*.rev"))
        certificate.write_text(certificate.read_text().replace(":-----BEGIN", "-----BEGIN"))
        self._gpg("--import", str(certificate))
        return self.public()

    def sign(self, repository: Path) -> None:
        """Sign a repository as it is now."""
        repomd = repository / "repodata" / "repomd.xml"
        self._gpg("--yes", "--armor", "--output", f"{repomd}.asc", "--detach-sign", str(repomd))

    def close(self) -> None:
        """End gpg's agent and forget the key."""
        subprocess.run(["gpgconf", "--homedir", str(self._home), "--kill", "all"], check=True)
        shutil.rmtree(self._home, ignore_errors=True)


def write_at(folder: Path, packages: Iterable[PackageSpec], timestamp: int) -> None:
    """A repository whose metadata says that it is of `timestamp`."""
    rpmmd.write(folder, tuple(packages))
    repomd = folder / "repodata" / "repomd.xml"
    repomd.write_text(repomd.read_text().replace(str(rpmmd.TIMESTAMP), str(timestamp)))
