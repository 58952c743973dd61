"""Variables in repository definitions: ``$releasever``, ``$basearch``, ``${name:-default}`` and the like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

from kmpsolve.metadata.rootpath import Root

__all__ = ["base_architecture", "expand", "expand_url", "read_variables", "without_password"]

_NAME = re.compile(r"[A-Za-z0-9_]+")
_BASE_ARCHITECTURES = {
    **dict.fromkeys(("i486", "i586", "i686", "athlon", "pentium3", "pentium4", "ia64"), "i386"),
    **dict.fromkeys(("x86_64_v2", "x86_64_v3", "x86_64_v4"), "x86_64"),
    "ppc64p7": "ppc64",
    "armv7hl": "armv6hl",
    "armv7hnl": "armv6hl",
    "armv8hl": "armv7hl",
}
"""Architectures that libzypp's ``Arch::baseArch`` replaces, as far as rpm distributions still use them."""


def base_architecture(arch: str) -> str:
    """Name the architecture that stands in for `arch` in addresses (``i686`` is ``i386`` there)."""
    return _BASE_ARCHITECTURES.get(arch, arch)


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace variables in a text as libzypp's RepoVarExpand does.

    ``$name`` and ``${name}`` give the value, or stay as they are if there is no such variable;
    ``${name:-word}`` gives `word` if the variable is unset or empty, ``${name:+word}`` gives it if the
    variable has a value. In `word`, variables are replaced too, and a backslash protects ``$``, ``}`` and
    itself. What is nested too deeply for anybody to have written it stays as it is.
    """
    try:
        return _expand(text, variables, embedded=False)
    except RecursionError:  # a word in a word in a word, without an end
        return text


def expand_url(url: str, variables: Mapping[str, str]) -> str:
    """Replace variables in an address, but not in its user name and password."""
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]*://)([^/?#]*@)", url)
    if match is None:
        return expand(url, variables)
    return match[1] + match[2] + expand(url[match.end() :], variables)


def without_password(url: str) -> str:
    """Leave out the user name and the password of an address, for messages."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _expand(text: str, variables: Mapping[str, str], *, embedded: bool) -> str:
    result: list[str] = []
    position = 0
    while position < len(text):
        character = text[position]
        if embedded and character == "\\" and text[position + 1 : position + 2] in ("$", "}", "\\"):
            result.append(text[position + 1])
            position += 2
            continue
        end = _end(text, position) if character == "$" else None
        if end is None:
            result.append(character)
            position += 1
            continue
        result.append(_value(text[position:end], variables))
        position = end
    return "".join(result)


def _value(reference: str, variables: Mapping[str, str]) -> str:
    braced = reference.startswith("${")
    match = _NAME.match(reference, 2 if braced else 1)
    assert match is not None
    value = variables.get(match[0])
    if not braced or reference[match.end()] == "}":
        return reference if value is None else value
    word = reference[match.end() + 2 : -1]
    if reference[match.end() + 1] == "-":
        return value or _expand(word, variables, embedded=True)
    return _expand(word, variables, embedded=True) if value else ""


def _end(text: str, start: int) -> int | None:
    """Find the end of the variable that begins with the ``$`` at `start`; None if there is none."""
    braced = text[start + 1 : start + 2] == "{"
    match = _NAME.match(text, start + (2 if braced else 1))
    if match is None:
        return None
    end = match.end()
    if not braced:
        return end
    if text[end : end + 1] == "}":
        return end + 1
    if text[end : end + 2] not in (":-", ":+"):
        return None
    position: int | None = end + 2
    while position is not None and position < len(text):
        if text[position] == "\\":
            position += 2
        elif text[position] == "$":
            position = _end(text, position)
        elif text[position] == "}":
            return position + 1
        else:
            position += 1
    return None


def read_variables(
    root: Root, folder: str, *, releasever: str | None = None, arch: str | None = None
) -> dict[str, str]:
    """Collect a system's variables.

    Files in vars.d are variables, their first lines the values. ``releasever`` is `releasever` if given,
    else a file's, else the version of the installed base product; ``releasever_major`` and ``_minor`` are
    its parts before and after the first dot unless files define them.

    Parameters
    ----------
    root
        The system.
    folder
        vars.d, as the system names it.
    releasever
        What the user wants it to be; overrules files.
    arch
        The system's architecture, where known.
    """
    variables = {name: (root.read(f"{folder}/{name}") or "").split("\n")[0] for name in root.names(folder)}
    if releasever is not None:
        for part in ("", "_major", "_minor"):
            variables.pop(f"releasever{part}", None)
        variables["releasever"] = releasever
    elif "releasever" not in variables:
        # Without a product the variable is not unknown but empty: zypp replaces it by nothing.
        variables["releasever"] = _product_version(root)
    major, _, minor = variables["releasever"].partition(".")
    variables.setdefault("releasever_major", major)
    variables.setdefault("releasever_minor", minor)
    if arch is not None:
        for name, value in (("arch", arch), ("basearch", base_architecture(arch))):
            variables[name] = variables.get(name) or value
    return variables


def _product_version(root: Root) -> str:
    text = root.read("/etc/products.d/baseproduct")
    if text is None:
        return ""
    # The file is a small XML document of the distribution's own; a look at one element needs no parser, and
    # nothing in it can then do harm.
    match = re.search(r"<version>\s*([^<]*?)\s*</version>", text)
    return match[1] if match else ""
