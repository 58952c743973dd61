"""XML from strangers: expat, without document types and the entities that they could declare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import BinaryIO, NoReturn
from xml.parsers import expat

from kmpsolve.metadata.origin import Origin

__all__ = ["PROLOG", "check_prolog", "check_xml", "read_xml"]

PROLOG = 1 << 16
"""Bytes in which the root element of a document must begin: comments before it are short in practice."""

Start = Callable[[str, Mapping[str, str]], None]
End = Callable[[str, str], None]


class _DocumentTypeError(Exception):
    """The document has a DOCTYPE."""


def read_xml(stream: BinaryIO, *, name: str, root: str, start: Start, end: End, origin: Origin) -> None:
    """Read a whole document, calling `start` and `end` for each element.

    Parameters
    ----------
    stream
        The document, positioned at its beginning.
    name
        What to call it in errors, such as ``repomd.xml``.
    root
        The name that the outermost element must have.
    start
        Called with an element's name and attributes.
    end
        Called with an element's name and its text, without that of its children, stripped.
    origin
        Whose document it is.

    Raises
    ------
    MetadataError
        ``malformed-xml``, ``xml-document-type`` or ``wrong-xml``.
    """
    parser = _parser()
    texts: list[list[str]] = []

    def on_start(element: str, attributes: dict[str, str]) -> None:
        if not texts and element != root:
            raise _wrong_root(name, element, root, origin)
        texts.append([])
        start(element, attributes)

    def on_end(element: str) -> None:
        end(element, "".join(texts.pop()).strip())

    def on_text(text: str) -> None:
        texts[-1].append(text)

    parser.StartElementHandler = on_start
    parser.EndElementHandler = on_end
    parser.CharacterDataHandler = on_text
    try:
        parser.ParseFile(stream)
    except (expat.ExpatError, _DocumentTypeError, LookupError, ValueError) as error:
        _complain(error, name, origin)


def check_xml(stream: BinaryIO, *, name: str, root: str, origin: Origin) -> None:
    """Read a whole document for its faults only, ten times as fast as `read_xml`, with the same errors."""
    parser = _parser()
    _expect_root(parser, name, root, origin)
    try:
        parser.ParseFile(stream)
    except (expat.ExpatError, _DocumentTypeError, LookupError, ValueError) as error:
        _complain(error, name, origin)


def check_prolog(head: bytes, *, name: str, root: str, origin: Origin) -> None:
    """Refuse a document that begins with a document type or is something else altogether.

    A document type, and with it every entity declaration, can stand only before the root element
    (XML 1.0, production 22), so that the beginning tells for the whole. A full pass over a large
    primary.xml would cost seconds and find nothing that the solver's own parser does not.

    Parameters
    ----------
    head
        The first `PROLOG` bytes of the document, or all of a shorter one.
    name, root, origin
        As for `read_xml`.

    Raises
    ------
    MetadataError
        ``malformed-xml``, ``xml-document-type`` or ``wrong-xml``.
    """
    parser = _parser()
    found: list[str] = []

    def on_start(element: str, _attributes: dict[str, str]) -> None:
        found.append(element)
        parser.StartElementHandler = None

    parser.StartElementHandler = on_start
    try:
        parser.Parse(head, len(head) < PROLOG and not found)
    except (expat.ExpatError, _DocumentTypeError, LookupError, ValueError) as error:
        # What follows the root's start tag is for the solver's parser to judge, which sees all of it.
        if not found:
            _complain(error, name, origin)
    if not found:
        raise origin.damaged(
            f"{name} is not well-formed XML (no element in its first {PROLOG} bytes)", "malformed-xml"
        )
    if found[0] != root:
        raise _wrong_root(name, found[0], root, origin)


def _expect_root(parser: expat.XMLParserType, name: str, root: str, origin: Origin) -> None:
    """Let a parser look at the outermost element, and at no other one."""

    def on_start(element: str, _attributes: dict[str, str]) -> None:
        parser.StartElementHandler = None
        if element != root:
            raise _wrong_root(name, element, root, origin)

    parser.StartElementHandler = on_start


def _parser() -> expat.XMLParserType:
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse
    return parser


def _refuse(*_declaration: object) -> None:
    raise _DocumentTypeError


def _complain(error: Exception, name: str, origin: Origin) -> NoReturn:
    if isinstance(error, _DocumentTypeError):
        raise origin.damaged(
            f"{name} declares a document type, which repository metadata never does", "xml-document-type"
        ) from None
    # LookupError, ValueError: an encoding that Python does not know, or that expat cannot use.
    detail = (
        f"line {error.lineno}: {expat.errors.messages.get(error.code, 'unknown error')}"
        if isinstance(error, expat.ExpatError)
        else str(error)
    )
    raise origin.damaged(f"{name} is not well-formed XML ({detail})", "malformed-xml") from error


def _wrong_root(name: str, found: str, wanted: str, origin: Origin) -> Exception:
    return origin.damaged(f"{name} begins with <{found}>, not <{wanted}>", "wrong-xml")
