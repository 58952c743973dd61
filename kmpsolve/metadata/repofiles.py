"""Repository definitions: the .repo files in repos.d."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from kmpsolve.errors import ConfigError
from kmpsolve.metadata.content import Skipped
from kmpsolve.metadata.database import SYSTEM
from kmpsolve.metadata.inifile import IniSyntaxError, entries, is_true
from kmpsolve.metadata.rootpath import Root
from kmpsolve.metadata.variables import expand, expand_url

__all__ = ["DEFAULT_PRIORITY", "RepoFiles", "RepositoryDefinition", "list_services", "read_repo_files"]

DEFAULT_PRIORITY = 99

_FILE = re.compile(r".+\.repo(_[0-9]+)?")
_SEVERAL = frozenset({"baseurl", "gpgkey", "mirrorlist", "metalink"})
"""Keys whose value may go on in the lines below."""
_NUMBER = re.compile(
    r"\s*(?P<sign>[+-]?)(?:0[xX](?P<base16>[0-9a-fA-F]+)|(?P<base8>0[0-7]*)|(?P<base10>[1-9][0-9]*))"
)
_MOST_DIGITS = 23
"""More than a number of 64 bits has in any base."""
_LARGEST = (1 << 32) - 1
_URL_SEPARATOR = re.compile(r"[,\s]*\s[,\s]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryDefinition:
    """One repository as a .repo file defines it, with its variables replaced.

    Parameters
    ----------
    alias
        The section's name.
    name
        What it is called; the alias if the file does not say.
    enabled
        Whether zypper uses it.
    priority
        1 is the highest, 99 the default.
    urls
        Where it is, in the order in which zypper tries them; they may hold passwords.
    path
        The folder below each address where it really begins; ``/`` by default.
    mirrorlist, metalink
        Where a list of further addresses is, if anywhere.
    autorefresh
        Whether zypper refreshes it by itself.
    gpgcheck, repo_gpgcheck, pkg_gpgcheck
        Whether signatures are checked: of either, the metadata, the packages; None: as zypp.conf says.
    keys
        Where its public keys are, as addresses.
    keep_packages
        Whether downloaded packages stay in the cache.
    type
        The type as written (``rpm-md``, ``yast2``, ...); zypp itself finds out.
    service
        The service that brought this repository, if one did.
    file
        The .repo file, as the system names it.
    """

    alias: str
    name: str
    enabled: bool = True
    priority: int = DEFAULT_PRIORITY
    urls: tuple[str, ...] = ()
    path: str = "/"
    mirrorlist: str | None = None
    metalink: str | None = None
    autorefresh: bool = False
    gpgcheck: bool | None = None
    repo_gpgcheck: bool | None = None
    pkg_gpgcheck: bool | None = None
    keys: tuple[str, ...] = ()
    keep_packages: bool = False
    type: str | None = None
    service: str | None = None
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RepoFiles:
    """What repos.d holds.

    Parameters
    ----------
    repositories
        The definitions, enabled or not, sorted by alias.
    invalid
        Files that could not be read and definitions that could not be used; the alias is a file's name there
        where there is no other.
    """

    repositories: tuple[RepositoryDefinition, ...]
    invalid: tuple[Skipped, ...]


@dataclass(slots=True)
class _Section:
    values: dict[str, str] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)


def read_repo_files(root: Root, folder: str, variables: Mapping[str, str]) -> RepoFiles:
    """Read all .repo files of a system.

    Parameters
    ----------
    root
        The system.
    folder
        repos.d, as the system names it.
    variables
        The values of ``$releasever`` and the like.
    """
    found: dict[str, RepositoryDefinition] = {}
    invalid: list[Skipped] = []
    for name in root.names(folder):
        if not _FILE.fullmatch(name):
            continue
        file = f"{folder}/{name}"
        try:
            sections = _sections(root.read(file) or "")
        except IniSyntaxError as error:
            invalid.append(Skipped(alias=name, reason=f"{file}: line {error.line} is no assignment"))
            continue
        except ConfigError as error:
            invalid.append(Skipped(alias=name, reason=f"{file} {error.message}"))
            continue
        for alias in sorted(sections):
            if wrong := _no_alias(alias):
                invalid.append(Skipped(alias=name, reason=f"{file}: {wrong}"))
            elif alias in found:
                reason = f"{file} defines it again; {found[alias].file} counts"
                invalid.append(Skipped(alias=alias, reason=reason))
            else:
                found[alias] = _definition(alias, sections[alias], file, variables)
    return RepoFiles(
        repositories=tuple(found[alias] for alias in sorted(found)),
        invalid=tuple(sorted(invalid, key=lambda one: (one.alias, one.reason))),
    )


def _no_alias(text: str) -> str:
    """Why the name of a section cannot be the alias of a repository; empty if it can."""
    if text == SYSTEM:
        return f"{text} stands for what is installed, and can be no repository's alias"
    readable = text.encode(errors="backslashreplace").decode()
    return "" if readable == text else f"the alias {readable} has bytes in it that are no text"


def list_services(root: Root, folder: str) -> tuple[str, ...]:
    """Name the services that bring repositories: those of services.d and the executable plugins."""
    names = {name.removesuffix(".service") for name in root.names(folder) if name.endswith(".service")}
    plugins = "/usr/lib/zypp/plugins/services"
    names.update(name for name in root.names(plugins) if root.path(f"{plugins}/{name}").is_file())
    return tuple(sorted(names))


def _sections(text: str) -> dict[str, _Section]:
    sections: dict[str, _Section] = {}
    several: str | None = None
    for entry in entries(text):
        section = sections.setdefault(entry.section, _Section())
        if entry.value is None:
            continue
        if entry.key is None:
            if several is None:
                raise IniSyntaxError(entry.line)
            section.lists.setdefault(several, []).extend(_urls(entry.value))
        elif entry.key in _SEVERAL:
            several = entry.key
            section.lists.setdefault(several, []).extend(_urls(entry.value))
        else:
            several = None
            section.values[entry.key] = entry.value
    return sections


def _urls(text: str) -> list[str]:
    return [word for word in _URL_SEPARATOR.split(text) if word]


def _unsigned(text: str) -> int:
    """A number as zypp reads it: strtoul's, with C's prefixes for other bases, cut to 32 bits; 0 for nonsense."""
    match = _NUMBER.match(text)
    if match is None:
        return 0
    base, digits = next((base, match[f"base{base}"]) for base in (16, 8, 10) if match[f"base{base}"])
    digits = digits.lstrip("0")[:_MOST_DIGITS]
    number = int(digits or "0", base)
    if number >= 1 << 64:  # strtoul gives its largest number then
        return _LARGEST
    return (-number if match["sign"] == "-" else number) & _LARGEST


def _definition(
    alias: str, section: _Section, file: str, variables: Mapping[str, str]
) -> RepositoryDefinition:
    values = section.values

    def truth(key: str) -> bool | None:
        return is_true(values[key], False) if key in values else None

    def first(key: str) -> str | None:
        urls = section.lists.get(key)
        return expand_url(urls[0], variables) if urls else None

    return RepositoryDefinition(
        alias=alias,
        name=expand(values.get("name", ""), variables) or alias,
        enabled=is_true(values["enabled"], False) if "enabled" in values else True,
        priority=_unsigned(values.get("priority", "")) or DEFAULT_PRIORITY,
        urls=tuple(dict.fromkeys(expand_url(url, variables) for url in section.lists.get("baseurl", ()))),
        path=values.get("path") or "/",
        mirrorlist=first("mirrorlist"),
        metalink=first("metalink"),
        autorefresh=bool(truth("autorefresh")),
        gpgcheck=truth("gpgcheck"),
        repo_gpgcheck=truth("repo_gpgcheck"),
        pkg_gpgcheck=truth("pkg_gpgcheck"),
        keys=tuple(expand_url(url, variables) for url in section.lists.get("gpgkey", ())),
        keep_packages=bool(truth("keeppackages")),
        type=values.get("type"),
        service=values.get("service"),
        file=file,
    )
