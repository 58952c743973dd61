"""Tolerance rules in the syntax of SUSE's kABI ``severities`` files.

A line is a pattern and a verdict, ``PASS`` or ``FAIL``; ``#`` begins a comment. A pattern with a ``/``, or
``vmlinux``, means the module that exports the symbol; one in capitals means a namespace; any other means
the symbol. ``*`` and ``?`` are wildcards, and ``*`` crosses slashes. The first rule that matches decides; a
symbol that no rule matches fails (suse-kabi-tools(5)).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kmpsolve.errors import ConfigError

__all__ = ["Rule", "Severities", "parse_severities", "read_severities"]

Subject = Literal["module", "namespace", "symbol"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One line.

    Parameters
    ----------
    line
        Its number, from 1.
    tolerates
        ``PASS``: a change is tolerated.
    """

    line: int
    pattern: str
    subject: Subject
    tolerates: bool

    def matches(self, text: str) -> bool:
        """Whether the pattern means `text`; only ``*`` and ``?`` are special."""
        wild = "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in self.pattern)
        return re.fullmatch(wild, text, re.DOTALL) is not None

    def __str__(self) -> str:
        return f"{self.pattern} {'PASS' if self.tolerates else 'FAIL'}"


@dataclass(frozen=True, slots=True)
class Severities:
    """All rules of a file, in order."""

    rules: tuple[Rule, ...] = ()

    def rule_for(self, symbol: str, module: str, namespace: str) -> Rule | None:
        """The first rule that matches; an empty module or namespace is unknown and matches none."""
        texts: dict[Subject, str] = {"symbol": symbol, "module": module, "namespace": namespace}
        for rule in self.rules:
            text = texts[rule.subject]
            if text and rule.matches(text):
                return rule
        return None

    def unused(self, used: Iterable[Rule]) -> tuple[Rule, ...]:
        """Rules that decided nothing."""
        known = set(used)
        return tuple(rule for rule in self.rules if rule not in known)


def parse_severities(text: str, where: str) -> Severities:
    """Read the text of a severities file.

    Parameters
    ----------
    where
        What to call it in an error.

    Raises
    ------
    ConfigError
        ``wrong-severities``: a line without a verdict, with another word, or with more words.
    """
    rules = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 2 or words[1] not in ("PASS", "FAIL"):
            raise ConfigError(
                f"line {number} is not: PATTERN PASS, or PATTERN FAIL",
                reference="wrong-severities",
                where=where,
                hint="a pattern is a symbol, a module with a slash in it (or vmlinux), or a NAMESPACE",
            )
        pattern = words[0]
        subject: Subject = "symbol"
        if "/" in pattern or pattern == "vmlinux":
            subject = "module"
        elif pattern == pattern.upper():
            subject = "namespace"
        rules.append(Rule(number, pattern, subject, words[1] == "PASS"))
    return Severities(tuple(rules))


def read_severities(path: Path) -> Severities:
    """Read a severities file.

    Raises
    ------
    ConfigError
        If it cannot be read, or a line in it is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}",
            reference="wrong-severities",
            where=str(path),
            hint="Check its path and its permissions",
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            "is not text",
            reference="wrong-severities",
            where=str(path),
            hint="Give a severities file as SUSE's kernel-source has it",
        ) from error
    return parse_severities(text, str(path))
