"""Writing packages as primary.xml, so that the solver meets one kind of source only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from kmpsolve.model.nevra import Nevra

__all__ = ["FOOT", "HEAD", "package_xml"]

HEAD = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b'<metadata xmlns="http://linux.duke.edu/metadata/common"'
    b' xmlns:rpm="http://linux.duke.edu/metadata/rpm">\n'
)
FOOT = b"</metadata>\n"

_FLAGS = {"=": "EQ", "<": "LT", "<=": "LE", ">": "GT", ">=": "GE"}
_VERSIONED = re.compile(r"(?P<name>[^\s(]\S*) (?P<flag>=|<=|>=|<|>) (?P<evr>\S+)")
_ILLEGAL = re.compile("[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def package_xml(nevra: Nevra, vendor: str, relations: Mapping[str, Iterable[str]]) -> str:
    """One ``<package>`` element.

    Parameters
    ----------
    relations
        ``provides``, ``requires``, ``conflicts``, ``obsoletes``: capabilities as rpm prints them. What XML
        cannot express becomes U+FFFD, which nothing matches.
    """
    lines = [
        f'<package type="rpm">\n<name>{_text(nevra.name)}</name>\n<arch>{_text(nevra.arch)}</arch>\n'
        f'<version epoch="{nevra.evr.epoch}" ver={_quoted(nevra.evr.version)}'
        f" rel={_quoted(nevra.evr.release)}/>\n<format>\n<rpm:vendor>{_text(vendor)}</rpm:vendor>\n"
    ]
    for kind, capabilities in relations.items():
        entries = [_entry(capability) for capability in capabilities]
        if entries:
            lines += [f"<rpm:{kind}>\n", *entries, f"</rpm:{kind}>\n"]
    lines.append("</format>\n</package>\n")
    return "".join(lines)


def _legal(text: str) -> str:
    return _ILLEGAL.sub("\ufffd", text)


def _quoted(text: str) -> str:
    # Without xml.sax, whose import costs more than a small inventory.
    return '"' + _text(text).replace('"', "&quot;") + '"'


def _text(text: str) -> str:
    return _legal(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _entry(capability: str) -> str:
    match = _VERSIONED.fullmatch(capability)
    if match is None:  # a bare name or a rich dependency, which rpm-md knows as one long name
        return f"<rpm:entry name={_quoted(capability)}/>\n"
    epoch, colon, rest = match["evr"].partition(":")
    if not (colon and epoch.isdecimal()):
        epoch, rest = "0", match["evr"]
    version, dash, release = rest.partition("-")
    rel = f" rel={_quoted(release)}" if dash else ""
    return (
        f'<rpm:entry name={_quoted(match["name"])} flags="{_FLAGS[match["flag"]]}"'
        f' epoch="{epoch}" ver={_quoted(version)}{rel}/>\n'
    )
