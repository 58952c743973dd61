"""Errors: what kmpsolve raises when it could not decide.

A blocked update is a Plan, never an exception. An exception means that there is no plan: the input is
unreadable, the request makes no sense, the configuration is wrong, or kmpsolve itself is.
"""

from __future__ import annotations

__all__ = [
    "ConfigError",
    "KmpsolveError",
    "MetadataError",
    "NoRepositoryError",
    "PluginProtocolError",
    "PrivilegeError",
    "RequestError",
    "SolverError",
    "UsageError",
    "ZyppLockedError",
]


class KmpsolveError(Exception):
    """Something a user has to be told in one line.

    Parameters
    ----------
    message
        What is wrong, in one line, beginning with the thing that is wrong.
    reference
        A stable kebab-case name for this kind of error, for documentation and scripts.
    where
        The file, address, alias or option concerned; printed before the message.
    hint
        What to do about it; a command that can be pasted where there is one.
    """

    exit_code = 1

    def __init__(
        self, message: str, *, reference: str, where: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reference = reference
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class UsageError(KmpsolveError):
    """The command line is wrong (exit 2)."""

    exit_code = 2


class MetadataError(KmpsolveError):
    """A repository, RPM, module, rpmdb, inventory or cache cannot be read or is damaged (exit 3)."""

    exit_code = 3


class RequestError(KmpsolveError):
    """The request names something that does not exist, such as an unknown kernel or flavor (exit 3)."""

    exit_code = 3


class ConfigError(KmpsolveError):
    """kmpsolve's own or zypp's configuration is wrong (exit 3)."""

    exit_code = 3


class PluginProtocolError(KmpsolveError):
    """The other end of the commit plugin's pipe does not speak libzypp's protocol (exit 3)."""

    exit_code = 3


class PrivilegeError(KmpsolveError):
    """Only root may do this (exit 5)."""

    exit_code = 5


class NoRepositoryError(KmpsolveError):
    """No repository is defined or enabled (exit 6)."""

    exit_code = 6


class ZyppLockedError(KmpsolveError):
    """Another program holds zypp's lock (exit 7)."""

    exit_code = 7


class SolverError(KmpsolveError):
    """libsolv answered something that kmpsolve does not know or that it refutes: a bug (exit 1)."""

    exit_code = 1
