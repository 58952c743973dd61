"""Whose files are being read: what every complaint about them has to say besides what is wrong."""

from __future__ import annotations

from dataclasses import dataclass

from kmpsolve.errors import MetadataError

__all__ = ["Origin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The source that is being read, as it appears in errors.

    Parameters
    ----------
    alias
        The repository's alias; printed before the message.
    remedy
        What to do when the source is damaged: one sentence, with a command where there is one.
    """

    alias: str
    remedy: str

    def damaged(self, message: str, reference: str) -> MetadataError:
        """Make the error for a source that is damaged or unreadable.

        Parameters
        ----------
        message
            What is wrong, one line.
        reference
            The kebab-case name of this kind of error.
        """
        return MetadataError(message, reference=reference, where=self.alias, hint=self.remedy)
