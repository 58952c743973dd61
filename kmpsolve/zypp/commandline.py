"""zypper's command line, as its process shows it: the options before the verb."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["global_options", "root_of"]

_ROOT_OPTIONS = ("--root", "-R", "--installroot")
_VALUED_OPTIONS = frozenset(
    (
        *_ROOT_OPTIONS,
        "-c",
        "--config",
        "--userdata",
        "-D",
        "--reposd-dir",
        "-C",
        "--cache-dir",
        "--raw-cache-dir",
        "--solv-cache-dir",
        "--pkg-cache-dir",
        "-p",
        "--plus-repo",
        "--plus-content",
        "--releasever",
    )
)
"""zypper's global options whose value may be the next word."""


def global_options(arguments: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """The options before the verb, after which they mean something else, each with its value.

    Parameters
    ----------
    arguments
        All words, the program's name first.
    """
    words = iter(arguments[1:])
    for word in words:
        if not word.startswith("-"):
            return
        name, equals, value = word.partition("=") if word.startswith("--") else (word[:2], word[2:], word[2:])
        if name in _VALUED_OPTIONS:
            yield name, value if equals else next(words, None)
        else:
            yield word, None


def root_of(arguments: Sequence[str]) -> Path:
    """The root that zypper was told to work on."""
    given = (value for name, value in global_options(arguments) if name in _ROOT_OPTIONS)
    return Path(next(given, None) or "/")
