"""The shell of every page: a title, a verdict, sections; style and script inside, and nothing else allowed.

The Content-Security-Policy names the hashes of the one style sheet and the one script, so that markup in
a package name could not even act if it got through the escaping. Style attributes are forbidden with it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from kmpsolve.report.terminal import printable

__all__ = ["Badge", "Section", "render_page", "render_part"]

Badge = Literal["good", "bad", "doubt", "plain"]
_TEMPLATES = ("page", "parts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One part of a page.

    Parameters
    ----------
    id
        For the link in the table of contents; unique on the page.
    body
        Made by `render_part`, so that everything in it is escaped.
    """

    id: str
    title: str
    body: Markup


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath("assets", name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    sources = {f"{name}.html": _asset(f"{name}.html.jinja") for name in _TEMPLATES}
    return Environment(
        loader=DictLoader(sources),
        autoescape=True,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )


def _shown(value: object) -> object:
    """Control characters, such as those that turn the writing direction, are shown instead of obeyed."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def render_part(name: str, **values: Any) -> Markup:
    """One of the macros of ``parts.html``; plain strings among `values` are escaped.

    Parameters
    ----------
    name
        ``table``, ``heatmap``, ``timeline``, ``picture``, ``facts``, ``ways``, ``prose`` or ``article``.
    """
    macro = getattr(_environment().get_template("parts.html").module, name)
    return Markup(macro(**values))  # noqa: S704 - the macro has escaped what it was given


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def render_page(
    *, title: str, verdict: str, badge: Badge, lead: Sequence[str], sections: Sequence[Section]
) -> str:
    """A whole page.

    Parameters
    ----------
    title
        What the page is about.
    verdict
        The answer in a few words.
    lead
        Sentences below it.
    """
    style, script = _asset("page.css"), _asset("page.js")
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        _environment()
        .get_template("page.html")
        .render(
            title=title,
            verdict=verdict,
            badge=badge,
            lead=lead,
            sections=sections,
            policy=policy,
            style=Markup(style),  # noqa: S704 - our own files
            script=Markup(script),  # noqa: S704
        )
    )
