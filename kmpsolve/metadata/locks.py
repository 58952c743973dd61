"""zypp's package locks: which packages may neither be installed nor removed.

A lock is a query in a file of blocks (libzypp's PoolQuery), and the file is read forgivingly: a line without
a colon ends a block, an unknown word is skipped, and what is left decides. A block that says no more than
``type: package`` locks every package. What zypp would read otherwise than its author meant is reported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import translate
from itertools import chain

from kmpsolve.model.evr import Evr

__all__ = ["Lock", "LockBlock", "Locks", "parse_locks"]

_OPERATORS: dict[str, Callable[[int], bool]] = {
    "=": lambda order: order == 0,
    "==": lambda order: order == 0,
    "!=": lambda order: order != 0,
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
}
_VERSIONED = re.compile(r"(.*\S)\s+(==?|!=|<=?|>=?)\s*(\S+)")
_KIND = re.compile(r"(package|patch|pattern|product|srcpackage|application):(.*)", re.DOTALL)
_MODES = ("exact", "glob", "substring", "word", "regex")
_COMPLEX_MODES = {"T": "exact", "G": "glob", "B": "substring", "R": "regex"}
_TRUE = frozenset({"1", "yes", "true", "always", "on", "+"})
_GLOB = re.compile(r"[*?[]")
_BLANKS = " \t\n"
"""What zypp trims: a carriage return is not among it, so that a file with Windows line ends locks nothing."""
_MAX_PATTERN = 4096
"""A package has a name of 250 characters at most; a pattern of 100,000 takes minutes to compile."""
_NAME = "solvable:name"
_ARCH = "solvable:arch"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pattern:
    """One way for a package to be meant: an attribute that matches, under further conditions of its own."""

    attribute: str
    expression: re.Pattern[str] | None
    kind: str | None = None
    range: tuple[str, Evr] | None = None
    arch: str | None = None

    def matches(self, name: str, evr: Evr, arch: str, kinds: frozenset[str]) -> bool:
        if (self.kind != "package") if self.kind else (kinds and "package" not in kinds):
            return False
        if self.expression is not None:
            subject = {_NAME: name, _ARCH: arch, "": name}.get(self.attribute)
            if subject is None or not self.expression.search(subject):
                return False
        if self.arch and self.arch != arch:
            return False
        return self.range is None or _OPERATORS[self.range[0]](evr.compare(self.range[1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """One lock.

    Parameters
    ----------
    names
        The name patterns as written, for messages.
    comment
        The block's comment: its owner, such as ``kmpsolve hold``.
    repositories
        The lock is about packages from these repositories (aliases) only; empty: from all.
    kinds
        Kinds of things it is about (``package``, ``patch``, ...); empty: all.
    installed
        True: installed packages only, False: others only, None: both.
    version
        An operator and an EVR that the package's own must fulfil.
    argument
        The words by which ``zypper removelock`` knows it: it takes away the one lock that it would have written
        for them, with the same version and repository. ``None`` if it would not have written this one.
    """

    names: tuple[str, ...]
    comment: str
    repositories: frozenset[str]
    kinds: frozenset[str]
    installed: bool | None
    version: tuple[str, Evr] | None
    argument: tuple[str, ...] | None
    _patterns: tuple[_Pattern, ...]

    def matches(self, name: str, evr: Evr, arch: str, repository: str, installed: bool) -> bool:
        """Tell whether a package is locked.

        Parameters
        ----------
        name, evr, arch
            The package's.
        repository
            The alias of its repository; ``@System`` for an installed package.
        installed
            Whether it is an installed package.
        """
        if self.installed is not None and self.installed != installed:
            return False
        if self.repositories and repository not in self.repositories:
            return False
        if self.version is not None and not _OPERATORS[self.version[0]](evr.compare(self.version[1])):
            return False
        return any(pattern.matches(name, evr, arch, self.kinds) for pattern in self._patterns)


@dataclass(frozen=True, slots=True, kw_only=True)
class LockBlock:
    """A part of the file: one lock, or text between locks.

    Parameters
    ----------
    raw
        The text as it stands in the file, with its line ends and the empty lines that end it. The blocks'
        texts together are the file; bytes that are no UTF-8 are surrogates.
    lock
        What it locks; None for text without a lock, and for a lock that never locks a package.
    """

    raw: str
    lock: Lock | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Locks:
    """A locks file.

    Parameters
    ----------
    blocks
        All of it, in order.
    problems
        What in it does something else than it seems to say: one line each, beginning with the line's number.
    """

    blocks: tuple[LockBlock, ...] = ()
    problems: tuple[str, ...] = ()

    def matching(self, name: str, evr: Evr, arch: str, repository: str, installed: bool) -> Lock | None:
        """Find the first lock on a package; parameters as for `Lock.matches`."""
        for block in self.blocks:
            if block.lock is not None and block.lock.matches(name, evr, arch, repository, installed):
                return block.lock
        return None


def parse_locks(text: str) -> Locks:
    """Read the text of a locks file; never fails, as zypp never does."""
    problems: list[str] = []
    blocks = [
        LockBlock(raw="".join(lines), lock=_Block(first, lines, problems).lock())
        for first, lines in _split(text, problems)
    ]
    return Locks(blocks=tuple(blocks), problems=tuple(problems))


def _split(text: str, problems: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Cut the text after the empty lines that follow a block; yield the first line's number and the lines."""
    lines: list[str] = []
    first = 1
    attributes = ended = False
    for number, line in enumerate(re.findall(r"[^\n]*\n|[^\n]+", text), 1):
        content = line.rstrip("\n")
        comment = content.startswith("#")
        attribute = not comment and ":" in content
        if ended and (attribute or comment):
            yield first, lines
            lines, first, attributes, ended = [], number, False, False
        lines.append(line)
        if attribute:
            attributes = True
        elif attributes and not comment:
            ended = True
        if content.strip() and not attribute and not comment:
            problems.append(f"line {number}: {content.strip()!r} has no colon; to zypp the lock ends there")
    if lines:
        yield first, lines


class _Block:
    """Reads the lines of one block."""

    def __init__(self, first: int, lines: Sequence[str], problems: list[str]) -> None:
        self._line = first
        self._problems = problems
        self._found = False
        self._usable = True
        self._comment = ""
        self._repositories: set[str] = set()
        self._kinds: set[str] = set()
        self._installed: bool | None = None
        self._version: tuple[str, Evr] | None = None
        self._mode = "substring"
        self._case_sensitive = False
        self._strings: list[str] = []
        self._attributes: dict[str, list[str]] = {}
        self._predicates: list[
            tuple[str, str, str | None, tuple[str, Evr] | None, str | None, str | None]
        ] = []
        for number, line in enumerate(lines, first):
            key, colon, value = line.rstrip("\n").partition(":")
            if colon and not line.startswith("#"):
                self._line = number
                self._found = True
                self._read(key.strip(_BLANKS), value.strip(_BLANKS))

    def _complain(self, text: str) -> None:
        self._problems.append(f"line {self._line}: {text}")

    def _read(self, key: str, value: str) -> None:
        if key == "repo":
            if value:
                self._repositories.add(value)
        elif key in ("type", "kind"):
            self._kinds.add(value)
        elif key == "comment":
            self._comment = value
        elif key in ("query_string", "global_string"):
            self._strings.append(value)
        elif key in ("match_type", "string_type"):
            if value in _MODES:
                self._mode = value
            else:
                self._complain(f"unknown match_type {value!r} is ignored")
        elif key == "case_sensitive":
            self._case_sensitive = value.lower() in _TRUE
        elif key == "install_status":
            if value in ("all", "installed", "not-installed"):
                self._installed = None if value == "all" else value == "installed"
            else:
                self._complain(f"unknown install_status {value!r} is ignored")
        elif key == "version":
            self._version = self._range(value)
        elif key == "complex":
            self._complex(value)
        elif key != "require_all":
            self._attribute(key.replace("_", ":"), value)

    def _range(self, text: str) -> tuple[str, Evr] | None:
        operator, rest = "==", text
        if text[:1] in ("=", "<", ">", "!"):
            end = max(text.rfind(character) for character in "=<>") + 1
            operator, rest = text[:end], text[end:].strip(_BLANKS)
        if operator not in _OPERATORS:
            self._complain(f"{operator!r} is no operator; zypper refuses to work with this file")
            self._usable = False
            return None
        return operator, Evr.parse(rest)

    def _attribute(self, attribute: str, value: str) -> None:
        if attribute == _NAME:
            kind = _KIND.fullmatch(value)
            versioned = _VERSIONED.fullmatch(kind[2] if kind else value)
            if kind or versioned:
                name = versioned[1] if versioned else kind[2] if kind else value
                limit = self._range(f"{versioned[2]} {versioned[3]}") if versioned else None
                self._predicates.append((_NAME, name, None, limit, None, kind[1] if kind else None))
                return
        elif attribute != _ARCH:
            self._complain(
                f"{attribute.replace(':', '_')} is not looked at by kmpsolve, which goes by names, versions "
                "and architectures"
            )
        self._attributes.setdefault(attribute, []).append(value)

    def _complex(self, text: str) -> None:
        words = _words(text)
        predicate = _words(words[4]) if len(words) == 5 else []
        if len(words) != 5 or words[0] != "AttrMatchData" or (predicate and len(predicate) not in (3, 4)):
            self._complain("this complex lock cannot be read and is ignored")
            return
        mode = None if words[3][:1] == "C" else _COMPLEX_MODES.get(words[3][:1], "exact")
        limit = None
        arch = None
        if predicate:
            if predicate[0] != "SolvableRange":
                self._complain(f"complex locks with {predicate[0]} are not looked at by kmpsolve")
                self._predicates.append((predicate[0], words[2], mode, None, None, None))
                return
            limit = self._range(f"{predicate[1]} {predicate[2]}") if predicate[1] != "ANY" else None
            arch = predicate[3] if len(predicate) == 4 else None
        self._predicates.append((words[1], words[2], mode, limit, arch or None, None))

    def lock(self) -> Lock | None:
        if not self._found or not self._usable:
            return None
        if self._kinds and "package" not in self._kinds and not self._predicates:
            return None
        if self._longest() > _MAX_PATTERN:
            self._complain(f"a pattern has more than {_MAX_PATTERN} characters, as no name has; left out")
            return None
        try:
            patterns = tuple(self._patterns())
        except re.error as error:
            self._complain(f"its regular expression is malformed ({error}); the lock locks nothing")
            return None
        if all(one.expression is None and one.range is None and not one.kind for one in patterns) and not (
            self._version or self._repositories or self._installed is not None
        ):
            self._complain("this lock names nothing; to zypp it locks every package")
        names = [*self._strings, *self._attributes.get(_NAME, ())]
        return Lock(
            names=tuple(names + [one[1] for one in self._predicates]),
            comment=self._comment,
            repositories=frozenset(self._repositories),
            kinds=frozenset(self._kinds),
            installed=self._installed,
            version=self._version,
            argument=self._argument(),
            _patterns=patterns,
        )

    def _longest(self) -> int:
        attributes = chain.from_iterable(self._attributes.values())
        predicates = (predicate[1] for predicate in self._predicates)
        return max(map(len, chain(self._strings, attributes, predicates)), default=0)

    def _argument(self) -> tuple[str, ...] | None:
        usual = self._case_sensitive and self._kinds == {"package"} and not (self._strings or self._comment)
        if not usual or self._mode not in ("exact", "glob") or self._installed is not None:
            return None
        names = self._attributes.get(_NAME, [])
        if len(names) != 1 or len(self._attributes) > 1 or self._predicates:
            return None
        if len(self._repositories) > 1 or "@System" in self._repositories:
            return None
        if self._mode == "exact" and _GLOB.search(names[0]):
            return None
        limit = " {} {}".format(*self._version) if self._version else ""
        return (*(word for alias in self._repositories for word in ("--repo", alias)), f"{names[0]}{limit}")

    def _patterns(self) -> Iterator[_Pattern]:
        # In libzypp's order, since the first one's texts count for all where the others have them too.
        attributes = sorted(self._attributes.items())
        lists = [values for _, values in attributes]
        shared = bool(lists) and (
            not any(any(values) for values in lists)
            or all(set(lists[0]) <= set(other) for other in lists[1:])
        )
        for attribute, values in attributes:
            strings = [*self._strings, *(lists[0] if shared else values)]
            yield _Pattern(attribute=attribute, expression=self._expression(strings, self._mode))
        for attribute, text, mode, limit, arch, kind in self._predicates:
            strings = [text] if mode else [*self._strings, text]
            expression = self._expression(strings, mode or self._mode, foreign=mode is not None)
            yield _Pattern(attribute=attribute, expression=expression, kind=kind, range=limit, arch=arch)
        if not self._attributes and not self._predicates:
            yield _Pattern(attribute="", expression=self._expression(self._strings, self._mode))

    def _expression(
        self, strings: Sequence[str], mode: str, *, foreign: bool = False
    ) -> re.Pattern[str] | None:
        """Join strings into one expression; None, which matches everything, if all are empty."""
        wanted = [text for text in dict.fromkeys(strings) if text]
        if not wanted:
            return None
        flags = re.IGNORECASE if not (self._case_sensitive or foreign) else re.NOFLAG
        if mode == "glob":
            parts = [translate(text) for text in wanted]
        elif mode == "regex":
            parts = wanted
        else:
            parts = [re.escape(text) for text in wanted]
        joined = "|".join(f"(?:{part})" for part in parts)
        if mode == "exact":
            joined = rf"\A(?:{joined})\Z"
        elif mode == "glob":
            joined = rf"\A(?:{joined})"
        elif mode == "word":
            joined = rf"\b(?:{joined})\b"
        return re.compile(joined, flags)


def _words(text: str) -> list[str]:
    r"""Split at blanks; a backslash protects the next character, and ``""`` is an empty word."""
    words: list[str] = []
    for match in re.finditer(r'"((?:\\.|[^"\\])*)"|((?:\\.|[^\s\\])+)', text):
        words.append(re.sub(r"\\(.)", r"\1", match[1] if match[1] is not None else match[2]))
    return words
