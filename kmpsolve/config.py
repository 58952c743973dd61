"""kmpsolve's own configuration: TOML, strict, in layers.

``/etc/kmpsolve/kmpsolve.toml``, then ``/etc/kmpsolve/conf.d/*.toml`` in order of their names, then
``--config``; a later file's setting replaces an earlier one's, and its ``[[kmp]]`` and ``[[waiver]]``
entries come before the earlier ones', since the first that matches counts.
"""

from __future__ import annotations

import datetime
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from kmpsolve.errors import ConfigError
from kmpsolve.metadata.files import out_of_reach
from kmpsolve.request import KmpRule, Waiver

__all__ = ["Config", "read_config"]

_CHOICES: dict[str, tuple[str, ...]] = {
    "on_blocked": ("abort", "hold", "warn"),
    "unverified": ("warn", "abort"),
    "on_error": ("warn", "abort"),
    "already_broken": ("warn", "block"),
}
_FLAGS = ("protect_fallback", "require_signed", "keep_last_good")
_COMMENTS = re.compile(r"(?:[ \t]*(?:#[^\x00-\x08\x0a-\x1f\x7f]*)?\n)*")
_AGE = re.compile(r"([0-9]{1,9})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings; see ``kmpsolve.toml(5)``.

    Parameters
    ----------
    metadata_max_age
        Seconds since a repository's last successful refresh after which it is reported.
    """

    on_blocked: str = "abort"
    unverified: str = "warn"
    on_error: str = "warn"
    already_broken: str = "warn"
    protect_fallback: bool = False
    require_signed: bool = False
    keep_last_good: bool = False
    metadata_max_age: int = 7 * 86400
    kmp_rules: tuple[KmpRule, ...] = ()
    waivers: tuple[Waiver, ...] = ()


def read_config(root: Path | None, extra: Path | None = None) -> Config:
    """Read the configuration of a root, then `extra`.

    Raises
    ------
    ConfigError
        For a file that is no TOML, an unknown key or a value out of its range; names file and key. For root,
        also if somebody else can write one: it decides whether an update is stopped.
    """
    config = Config()
    try:
        for path in _files(root, extra):
            config = _layer(config, path)
    except OSError as error:
        raise _wrong(Path(str(error.filename)), f"cannot be read: {error.strerror}") from error
    return config


def _files(root: Path | None, extra: Path | None) -> list[Path]:
    files: list[Path] = []
    if root is not None:
        folder = root / "etc" / "kmpsolve"
        for place, pattern in ((folder, "kmpsolve.toml"), (folder / "conf.d", "*.toml")):
            found = sorted(path for path in _entries_of(place) if path.match(pattern))
            for path in [place, *found] if found else ():
                _only_ours(path, root.stat().st_uid)
            files += found
    if extra is not None:
        _only_ours(extra, extra.stat().st_uid)
        files.append(extra)
    return files


def _entries_of(folder: Path) -> list[Path]:
    """What is in a folder, links that lead nowhere included: one that was meant to be read must not be missed."""
    return [path for path in folder.iterdir() if path.name[0] != "."] if folder.is_dir() else []


def _only_ours(path: Path, owner: int) -> None:
    """Refuse what root must not believe; whoever owns a mounted root owns its configuration too."""
    if os.geteuid() == 0 and not out_of_reach(path, owner=owner):
        raise _wrong(
            path,
            "can be written by others than root",
            f"Look at what it says, then: chown root:root {path}; chmod go-w {path}",
        )


def _wrong(path: Path, message: str, hint: str | None = None) -> ConfigError:
    return ConfigError(message, reference="wrong-configuration", where=str(path), hint=hint)


def _layer(config: Config, path: Path) -> Config:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise _wrong(path, "is no regular file", "Give a file that holds TOML")
        settings = _settings(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _wrong(path, f"cannot be read: {error.strerror}", "Check its permissions") from error
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, a number or a nesting without an end
        raise _wrong(path, f"is no valid TOML: {error}", "Correct it there") from error
    known = {field.name for field in fields(Config)} - {"kmp_rules", "waivers"} | {"kmp", "waiver"}
    for key in settings:
        if key not in known:
            raise _wrong(path, f"unknown key {key!r}", f"known keys: {', '.join(sorted(known))}")
    changes: dict[str, Any] = {}
    for key, choices in _CHOICES.items():
        if key in settings:
            changes[key] = _choice(path, key, settings[key], choices)
    for key in _FLAGS:
        if key in settings:
            if not isinstance(settings[key], bool):
                raise _wrong(path, f"{key} must be true or false")
            changes[key] = settings[key]
    if "metadata_max_age" in settings:
        match = _AGE.fullmatch(str(settings["metadata_max_age"]))
        if match is None:
            raise _wrong(path, "metadata_max_age must be a number with a unit, such as 7d or 12h")
        changes["metadata_max_age"] = int(match[1]) * _SECONDS[match[2]]
    rules = tuple(_kmp_rule(path, entry) for entry in _entries(path, settings, "kmp"))
    waivers = tuple(_waiver(path, entry) for entry in _entries(path, settings, "waiver"))
    return replace(config, **changes, kmp_rules=rules + config.kmp_rules, waivers=waivers + config.waivers)


def _settings(text: str) -> dict[str, Any]:
    """What a TOML document says; one of comments only, as it is installed, needs no parser."""
    if _COMMENTS.fullmatch(text):
        return {}
    import tomllib

    return tomllib.loads(text)


def _choice(path: Path, key: str, value: object, choices: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in choices:
        raise _wrong(path, f"{key} must be one of {', '.join(choices)}, not {value!r}")
    return value


def _entries(path: Path, settings: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    entries = settings.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise _wrong(path, f"{key} must be written as [[{key}]]")
    return entries


def _only(
    path: Path, kind: str, entry: Mapping[str, Any], known: tuple[str, ...], needed: tuple[str, ...]
) -> None:
    for key in entry:
        if key not in known:
            raise _wrong(path, f"unknown key {key!r} in [[{kind}]]", f"known keys: {', '.join(known)}")
    for key in needed:
        if not isinstance(entry.get(key), str) or not entry[key]:
            raise _wrong(path, f"[[{kind}]] needs {key} as text")


def _kmp_rule(path: Path, entry: Mapping[str, Any]) -> KmpRule:
    _only(path, "kmp", entry, ("match", "on_blocked", "scope", "rebuilt_on_host"), ("match",))
    on_blocked = entry.get("on_blocked")
    if on_blocked is not None:
        on_blocked = _choice(path, "on_blocked in [[kmp]]", on_blocked, (*_CHOICES["on_blocked"], "ignore"))
    scope = _choice(path, "scope in [[kmp]]", entry.get("scope", "all"), ("all", "in-use"))
    rebuilt = entry.get("rebuilt_on_host", False)
    if not isinstance(rebuilt, bool):
        raise _wrong(path, "rebuilt_on_host in [[kmp]] must be true or false")
    return KmpRule(match=entry["match"], on_blocked=on_blocked, scope=scope, rebuilt_on_host=rebuilt)


def _waiver(path: Path, entry: Mapping[str, Any]) -> Waiver:
    _only(path, "waiver", entry, ("kmp", "reason", "expires"), ("kmp", "reason"))
    expires = entry.get("expires")
    if isinstance(expires, datetime.datetime) or not isinstance(expires, datetime.date):
        raise _wrong(path, "[[waiver]] needs expires as a date, such as 2027-01-01")
    return Waiver(kmp=entry["kmp"], reason=entry["reason"], expires=expires.isoformat())
