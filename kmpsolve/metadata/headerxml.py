"""Headers of installed packages as primary.xml has packages, so that the solver meets one kind of source only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from kmpsolve.metadata.headers import header_text

__all__ = ["COMPARISONS", "MISSING_OK", "PREREQUISITE", "STRONG", "HeaderWriter", "xml_text"]

PREREQUISITE = 1 << 6 | 1 << 7 | 1 << 9 | 1 << 10 | 1 << 5
"""Requirements that must be met before a scriptlet runs: bits for prereq, pretrans, pre, post, posttrans."""
_ON_INSTALLING = 1 << 9 | 1 << 10
_LATER_TOO = 1 << 6 | 1 << 11 | 1 << 12
"""Bits for pre and post, and for prereq, preun and postun: neither rpm nor libsolv asks again for what only the
scriptlets required that ran when a package was installed."""
MISSING_OK = 1 << 19
STRONG = 1 << 27
"""How rpm before 4.12 (Code 11 and 12) spelt weak dependencies: a requirement that may be missing is a
recommendation, and a strong suggestion or enhancement is a recommendation or a supplement."""
COMPARISONS = {2: "LT", 4: "GT", 8: "EQ", 10: "LE", 12: "GE"}
"""rpm's sense bits (less 2, greater 4, equal 8) as rpm-md writes them."""
_EQUAL = 8
_KINDS = (
    "provides",
    "requires",
    "conflicts",
    "obsoletes",
    "recommends",
    "suggests",
    "supplements",
    "enhances",
)
_PROMISE = '<rpm:entry name="rpmlib('
_MODULE = re.compile(r".+\.ko(?:\.(?:gz|xz|zst))?")
_ESCAPED = re.compile('[&<>"\t\n\r]')
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}


class HeaderWriter:
    """Writes headers as ``<package>`` elements.

    Parameters
    ----------
    rpm
        rpm's binding.
    """

    def __init__(self, rpm: ModuleType) -> None:
        self._tags = {
            name: getattr(rpm, f"RPMTAG_{name}")
            for name in ("NAME", "VERSION", "RELEASE", "ARCH", "EPOCH", "VENDOR", "BASENAMES", "DIRNAMES")
        }
        self._tags |= {
            name: getattr(rpm, f"RPMTAG_{name}") for name in ("DIRINDEXES", "TRIGGERNAME", "BUILDTIME")
        }
        self._dependencies = {
            name: [getattr(rpm, f"RPMTAG_{name}{part}") for part in ("NAME", "FLAGS", "VERSION")]
            for name in [*(kind[:-1].upper() for kind in _KINDS), "OLDSUGGESTS", "OLDENHANCES"]
        }

    def package(self, header: Any) -> tuple[str, str, list[str], list[str]] | None:
        """Return NEVRA, XML, names in triggers and module files; None for a public key."""
        name, version, release, arch, vendor = (
            header_text(header[self._tags[tag]]) for tag in ("NAME", "VERSION", "RELEASE", "ARCH", "VENDOR")
        )
        if name == "gpg-pubkey":
            return None
        arch = arch or "noarch"  # as libsolv has it
        epoch = int(header[self._tags["EPOCH"]] or 0)
        listed, modules = self._files(header)
        lines = [
            '<package type="rpm">\n'
            f"<name>{xml_text(name)}</name>\n<arch>{xml_text(arch)}</arch>\n"
            f'<version epoch="{epoch}" ver="{xml_text(version)}" rel="{xml_text(release)}"/>\n'
            # By which libsolv tells an installed package from a rebuild of the same NEVRA, as rpm's own reader does.
            f'<time build="{int(header[self._tags["BUILDTIME"]] or 0)}"/>\n'
            f"<format>\n<rpm:vendor>{xml_text(vendor)}</rpm:vendor>\n"
        ]
        for kind, found in self._relations(header).items():
            if found:
                lines += [f"<rpm:{kind}>\n", *found, f"</rpm:{kind}>\n"]
        lines += [f"<file>{xml_text(file)}</file>\n" for file in listed]
        lines.append("</format>\n</package>\n")
        nevra = f"{name}-{f'{epoch}:' if epoch else ''}{version}-{release}.{arch}"
        names = [header_text(one) for one in header[self._tags["TRIGGERNAME"]] or ()]
        return nevra, "".join(lines), names, modules

    def _relations(self, header: Any) -> dict[str, list[str]]:
        result = {
            kind: [line for _, line in self._entries(header, kind[:-1].upper())]
            for kind in _KINDS
            if kind != "requires"
        }
        requires = self._entries(header, "REQUIRE")
        # What the package provides itself is not in metadata either (createrepo_c leaves it out).
        own = {line for _, line in requires}.intersection(result["provides"])
        # Nor are promises of rpm itself, which no package makes.
        requires = [
            (sense, line)
            for sense, line in requires
            if line not in own and not line.startswith(_PROMISE) and not _is_past(sense)
        ]
        result["requires"] = [line for sense, line in requires if not sense & MISSING_OK]
        result["recommends"] += [line for sense, line in requires if sense & MISSING_OK]
        for old, weak, strong in (
            ("OLDSUGGESTS", "suggests", "recommends"),
            ("OLDENHANCES", "enhances", "supplements"),
        ):
            for sense, line in self._entries(header, old):
                result[strong if sense & STRONG else weak].append(line)
        return result

    def _entries(self, header: Any, name: str) -> list[tuple[int, str]]:
        """Each dependency of a kind, with its flags."""
        tags = self._dependencies[name]
        names = header[tags[0]]
        if not names:
            return []
        return [
            (
                sense,
                # What a kernel has 28,000 of.
                f'<rpm:entry name="{capability}" flags="EQ" epoch="0" ver="{evr}"/>\n'
                if sense & 0xF == _EQUAL and evr.isalnum()
                else _entry(capability, sense, evr),
            )
            for capability, sense, evr in zip(
                _texts(names), header[tags[1]], _texts(header[tags[2]]), strict=False
            )
        ]

    def _files(self, header: Any) -> tuple[list[str], list[str]]:
        """List the files that primary.xml would name, and the kernel modules."""
        listed: dict[int, str] = {}
        modules: dict[int, str] = {}
        single: dict[int, str] = {}
        for index, folder in enumerate(header[self._tags["DIRNAMES"]] or ()):
            path = header_text(folder)
            if "bin/" in path or path.startswith("/etc/"):
                listed[index] = path
            elif path.startswith(("/lib/modules/", "/usr/lib/modules/")):
                modules[index] = path
            elif path in ("/", "/usr/lib/"):
                single[index] = path
        if not (listed or modules or single):
            return [], []
        names: Sequence[str] = header[self._tags["BASENAMES"]]
        in_primary: list[str] = []
        kernel_modules: list[str] = []
        for name, index in zip(names, header[self._tags["DIRINDEXES"]], strict=False):
            if index in listed:
                in_primary.append(listed[index] + header_text(name))
            elif index in modules and _MODULE.fullmatch(header_text(name)):
                kernel_modules.append(modules[index] + header_text(name))
            elif index in single and single[index] + header_text(name) in (
                "/usr/lib/sendmail",
                "/etc",
                "/bin",
                "/sbin",
            ):
                in_primary.append(single[index] + header_text(name))
        return in_primary, kernel_modules


def _is_past(sense: int) -> bool:
    """Whether a requirement counted only while the package was installed."""
    return bool(sense & _ON_INSTALLING) and not sense & _LATER_TOO


def _texts(values: Sequence[str | bytes]) -> Sequence[str]:
    """As `xml_text` of `header_text`, for many at once."""
    try:
        joined = "".join(values)  # type: ignore[arg-type]
    except TypeError:
        joined = "\n"
    if joined.isascii() and joined.isprintable() and not _ESCAPED.search(joined):
        return values  # type: ignore[return-value]
    return [xml_text(header_text(value)) for value in values]


def xml_text(text: str) -> str:
    """Escape what stands between tags or in an attribute."""
    # Nearly none of a kernel's 28,000 capabilities has anything to escape, and a search is quick.
    return _ESCAPED.sub(lambda match: _ESCAPES[match[0]], text) if _ESCAPED.search(text) else text


def _entry(name: str, sense: int, evr: str) -> str:
    comparison = COMPARISONS.get(sense & 0xF)
    mark = ' pre="1"' if sense & PREREQUISITE else ""
    if comparison is None or not evr:
        return f'<rpm:entry name="{name}"{mark}/>\n'
    if evr.isalnum():  # a CRC
        return f'<rpm:entry name="{name}" flags="{comparison}" epoch="0" ver="{evr}"/>\n'
    epoch, colon, rest = evr.partition(":")
    if not (colon and epoch.isdecimal()):
        epoch, rest = "0", evr
    version, dash, release = rest.partition("-")
    rel = f' rel="{release}"' if dash else ""
    evr = f'epoch="{epoch}" ver="{version}"{rel}'
    return f'<rpm:entry name="{name}" flags="{comparison}" {evr}{mark}/>\n'
