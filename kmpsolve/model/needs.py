"""What a module needs from a kernel: symbol versions, symsets, an exact kernel.

Five spellings exist in the wild; all become a `Need`:

- ``ksym(FLAVOR:SYMBOL) = CRC`` (SLE 12 and later; also between KMPs)
- ``kernel(FLAVOR:SYMSET) = HASH`` (SLE 11: one checksum for a class of symbols)
- ``kernel-uname-r = KREL-FLAVOR`` (exactly this kernel; Tumbleweed before 2023-09)
- ``kernel(SYMBOL) = 0xCRC`` and ``ksym(SYMBOL) = 0xCRC`` (Red Hat's, without a flavor)

A package without any of them was built without symbol versions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from kmpsolve.model.evr import Evr

__all__ = ["Need", "flavor_of_uname", "normal_crc", "parse_need", "usual_uname"]

NeedKind = Literal["ksym", "symset", "exact-kernel", "damaged"]

_VERSIONED = re.compile(
    r"(?P<kind>ksym|kernel)\((?:(?P<flavor>[\w.+-]+):)?(?P<name>[^():\s]+)\)"
    r" = (?P<crc>(?:0x)?[0-9a-fA-F]{1,16})"
)
_EXACT = re.compile(r"kernel-uname-r = (?P<uname>\S+)")
_LOOKS_LIKE_A_NEED = re.compile(
    r"ksym\(|kernel\([^()]*:|(?:modversions|retpoline)(?: |$)|kernel\([^()]*\) = 0x"
)


@dataclass(frozen=True, slots=True)
class Need:
    """One symbol version, symset or exact kernel that a build asks for, or that a unit provides.

    Parameters
    ----------
    kind
        ``damaged`` for a capability that looks like a symbol requirement and is none.
    flavor
        ``""`` where the capability names none.
    name
        The symbol, the symset, the uname -r, or the damaged capability itself.
    key
        The capability's name part; what a provider must provide too.
    value
        CRC or hash: lower-case hex without ``0x`` and leading zeros; the uname -r for an exact kernel.
    """

    kind: NeedKind
    flavor: str
    name: str
    key: str
    value: str


def normal_crc(text: str) -> str:
    """A CRC as the contract writes it: lower-case hex, no ``0x``, no leading zeros."""
    return text.lower().removeprefix("0x").lstrip("0") or "0"


def flavor_of_uname(uname_r: str) -> str:
    """The flavor in a uname -r (``6.4.0-150600.23-default`` -> ``default``); ``""`` if it has none.

    A flavor is the part after the last dash that does not begin with a digit, or begins with one and
    is a known page size (``64kb``).
    """
    tail = uname_r.rpartition("-")[2] if uname_r.count("-") >= 2 else ""
    return "" if not tail or (tail[0].isdigit() and not tail.endswith("kb")) else tail


def usual_uname(flavor: str, evr: Evr, arch: str) -> str:
    """The uname -r of a kernel that does not tell it: without the rebuild counter; of Red Hat's kernel-core, all."""
    if flavor == "core":
        return f"{evr.version}-{evr.release}.{arch}"
    return f"{evr.version}-{evr.release.rpartition('.')[0] or evr.release}-{flavor}"


def parse_need(capability: str) -> Need | None:
    """Understand one capability as printed by rpm (``name = value``); ``None`` if it is no symbol's."""
    if match := _VERSIONED.fullmatch(capability):
        kind: NeedKind = "ksym"
        flavor, name = match["flavor"] or "", match["name"]
        if match["kind"] == "kernel":
            if not flavor and not match["crc"].startswith("0x"):
                return None
            kind = "symset" if flavor else "ksym"
        return Need(kind, flavor, name, capability.partition(" ")[0], normal_crc(match["crc"]))
    if match := _EXACT.fullmatch(capability):
        return Need(
            "exact-kernel", flavor_of_uname(match["uname"]), match["uname"], "kernel-uname-r", match["uname"]
        )
    if _LOOKS_LIKE_A_NEED.match(capability):
        return Need("damaged", "", capability, capability, "")
    return None
