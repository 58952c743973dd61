"""Inventories: what hosts say of themselves, one JSON line each.

A line has two parts. What tells one host from another (its name, when it was asked, labels, how old its
metadata is) stands outside; everything that a verdict depends on stands in ``state``. Hosts of a fleet fall
into few distinct states, which then differ in no byte: each has to be decided once only.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from kmpsolve.model.nevra import Nevra

__all__ = [
    "MAX_LINE",
    "SCHEMA_VERSION",
    "Line",
    "ListedPackage",
    "LooseModule",
    "State",
    "check_host",
    "decode_line",
    "decode_state",
    "encode_state",
    "fingerprint",
    "in_unicode",
    "is_package",
    "schema",
    "seconds",
]

SCHEMA_VERSION = 1
MAX_LINE = 64 << 20
"""Bytes that one record may have; a host with a thousand unknown KMPs stays far below."""

_PACKAGE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+~^:-]*")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_HOST_LENGTH = 255


class ListedPackage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An installed package.

    Parameters
    ----------
    vendor
        ``None`` if the source does not tell.
    digest
        `symbol_digest` of what a kernel provides, `kmp_digest` of a KMP: a package of the same NEVRA in a
        repository is the same one only if this agrees.
    provides, requires, conflicts, obsoletes
        As rpm prints them; all ``None`` if only the name is known. A kernel or package of user space lists
        what the host's KMPs have to do with only.
    files
        Paths of its kernel modules.
    triggers
        Names of the packages on whose installation its ``%trigger`` scriptlets run.
    """

    nevra: str
    vendor: str | None = None
    digest: str | None = None
    provides: tuple[str, ...] | None = None
    requires: tuple[str, ...] | None = None
    conflicts: tuple[str, ...] | None = None
    obsoletes: tuple[str, ...] | None = None
    files: tuple[str, ...] = ()
    triggers: tuple[str, ...] = ()

    @property
    def name_only(self) -> bool:
        """Whether a repository has to tell what it provides and requires."""
        return self.provides is None and self.requires is None


class LooseModule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A module below /lib/modules that no package owns.

    Parameters
    ----------
    needs, exports
        Symbol -> CRC, lower-case hex without leading zeros; `needs` is ``None`` if it could not be read.
    """

    module: str
    path: str
    uname_r: str
    needs: dict[str, str] | None = None
    exports: dict[str, str] = {}


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything about a host that a verdict depends on.

    Parameters
    ----------
    arch
        The kernels' architecture.
    running
        The running kernel's uname -r.
    kernels, kmps, user_space
        Packages by what they are; a bare NEVRA is one of which only the name is known.
    packages
        All packages, as NEVRAs, where the source does not tell which are kernels.
    gaps
        What could not be read, one sentence each; then the host is never safe.
    keep, multiversion, locks, allow_vendor_change, vendors
        zypp's settings; a lock is a block of its locks file, a vendor list one of vendors.d.
    unmanaged
        Modules that no package owns.
    """

    arch: str | None = None
    running: str | None = None
    kernels: tuple[str | ListedPackage, ...] = ()
    kmps: tuple[str | ListedPackage, ...] = ()
    user_space: tuple[str | ListedPackage, ...] = ()
    packages: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    keep: str | None = None
    multiversion: tuple[str, ...] | None = None
    locks: tuple[str, ...] = ()
    allow_vendor_change: bool = False
    vendors: tuple[tuple[str, ...], ...] = ()
    unmanaged: tuple[LooseModule, ...] = ()

    def every_package(self) -> Iterator[ListedPackage]:
        """All packages, bare names included."""
        for one in (*self.kernels, *self.kmps, *self.user_space, *self.packages):
            yield ListedPackage(nevra=one) if isinstance(one, str) else one


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One record of an inventory; unknown keys are passed over, so that newer hosts can tell more.

    Parameters
    ----------
    collected
        When the host was asked: seconds since the epoch or ISO 8601.
    labels
        What the administrator calls the host: ``{"env": "prod"}``.
    refreshed
        Seconds since the epoch of the oldest last refresh among the host's repositories.
    """

    schema_version: int
    state: msgspec.Raw
    host: str | None = None
    collected: float | str | None = None
    labels: dict[str, str] = {}
    refreshed: float | None = None


_LINES = msgspec.json.Decoder(Line)
_STATES = msgspec.json.Decoder(State)
_SORTED = msgspec.json.Encoder(order="sorted")
_SURROGATE = re.compile("[\ud800-\udfff]")
"""A byte that is no UTF-8, as `Root.read` gives it."""


def decode_line(text: bytes) -> Line:
    """Read one record; its state stays bytes.

    Raises
    ------
    ValueError
        With one sentence: no JSON, wrong types, another version, no usable name.
    """
    line: Line = _decoded(_LINES, text)
    if line.schema_version != SCHEMA_VERSION:
        raise ValueError(f"schema_version {line.schema_version} is not known, only {SCHEMA_VERSION} is")
    if line.host is not None:
        check_host(line.host)
    return line


def check_host(host: str) -> str:
    """The name of a host, if it can stand in reports, files and tables.

    Raises
    ------
    ValueError
        If it is empty, too long or has control characters.
    """
    if not host or len(host) > _HOST_LENGTH or _CONTROL.search(host):
        raise ValueError("the host's name is empty, too long or has control characters")
    return host


def decode_state(text: bytes) -> State:
    """Read a state.

    Raises
    ------
    ValueError
        With one sentence: no JSON, wrong types, a package name that is none.
    """
    state: State = _decoded(_STATES, text)
    for package in state.every_package():
        if not is_package(package.nevra):
            raise ValueError(f"{_shown(package.nevra)} is no package name")
    return state


def _decoded(decoder: msgspec.json.Decoder[Any], text: bytes) -> Any:
    if len(text) > MAX_LINE:
        raise ValueError(f"has {len(text)} bytes, more than the {MAX_LINE} allowed")
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        raise ValueError(f"is no inventory line: {_shown(str(error))}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"is no JSON: {_shown(str(error))}") from error
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error


def _shown(text: str) -> str:
    return _CONTROL.sub("\ufffd", text)[:120]


def is_package(nevra: str) -> bool:
    """Whether a text is a NEVRA, and nothing that a command or a path would take for something else."""
    if not _PACKAGE.fullmatch(nevra):
        return False
    try:
        Nevra.parse(nevra)
    except ValueError:
        return False
    return True


def encode_state(state: State) -> bytes:
    """The one spelling of a state: sorted, without what is not known."""
    key = _sorting_key
    ordered = msgspec.structs.replace(
        state,
        kernels=tuple(sorted(state.kernels, key=key)),
        kmps=tuple(sorted(state.kmps, key=key)),
        user_space=tuple(sorted(state.user_space, key=key)),
        packages=tuple(sorted(set(state.packages))),
    )
    try:
        return _SORTED.encode(ordered)
    except UnicodeEncodeError:  # seldom, so that the many states of a fleet are not copied for it
        return _SORTED.encode(in_unicode(msgspec.to_builtins(ordered)))


def in_unicode(value: Any) -> Any:
    """A copy in which bytes that are no UTF-8, which no JSON can hold, are replaced in all texts."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {in_unicode(key): in_unicode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [in_unicode(item) for item in value]
    return value


def _sorting_key(package: str | ListedPackage) -> str:
    return package if isinstance(package, str) else package.nevra


def fingerprint(state: bytes) -> str:
    """The name of a state in reports: 16 hex digits."""
    return hashlib.sha256(state).hexdigest()[:16]


def seconds(collected: float | str | None) -> float | None:
    """When a host was asked, in seconds since the epoch; ``None`` if that is not told or not understood."""
    if not isinstance(collected, str):
        return None if collected is None else float(collected)
    try:
        moment = datetime.fromisoformat(collected)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def schema() -> dict[str, Any]:
    """The JSON schema of a line (draft 2020-12)."""
    line = msgspec.json.schema(Line)
    definitions = line.pop("$defs", {})
    own = definitions.pop("Line")
    state = msgspec.json.schema(State)
    definitions |= state.pop("$defs", {})
    own["properties"]["state"] = {"$ref": "#/$defs/State"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "kmpsolve inventory line",
        **own,
        "$defs": definitions,
    }
