"""A large primary.xml is read by a child, and everything else is as if it had been read here."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import solv

from kmpsolve.errors import MetadataError
from kmpsolve.metadata.content import Content
from kmpsolve.metadata.source import open_source
from kmpsolve.solver import confinement, sources
from tests.support import repository
from tests.unit.metadata_sources.samples import ACME, KERNEL, TOOLS, facts_of, view


def _opened() -> Content:
    return open_source(str(repository.rpm_folder([KERNEL, ACME, TOOLS])), alias="x")


def _pool() -> solv.Pool:
    pool = solv.Pool()
    pool.setdisttype(solv.Pool.DISTTYPE_RPM)
    pool.setarch("x86_64")
    return pool


def _text(text: bytes) -> Content:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - whoever loads it closes it
    file.write(text)
    file.seek(0)
    return Content(alias="x", source="x", primary=file)


def _told(content: Content) -> str:
    pool = _pool()
    with pytest.raises(MetadataError) as caught:
        sources.load_into(pool, content)
    assert caught.value.reference == "malformed-metadata"
    assert not list(pool.solvables)
    return caught.value.message


def test_nothing_is_lost_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    read_here = _sorted(view(_opened()))
    assert len(read_here) == 3
    monkeypatch.setattr(sources, "_SMALL", 0)
    pool = _pool()
    assert _sorted(facts_of(pool, sources.load_into(pool, _opened()))) == read_here


def _sorted(seen: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Lists of capabilities have no order of their own, and a .solv file another one."""
    return {
        package: {
            name: sorted(fact, key=str) if isinstance(fact, list) else fact for name, fact in facts.items()
        }
        for package, facts in seen.items()
    }


@pytest.mark.parametrize("text", [b"<metadata><package>", b"<metadata", b"<metadata>\xff</metadata>", b"\0"])
def test_the_same_words_about_damage(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    here = _told(_text(text))
    monkeypatch.setattr(sources, "_SMALL", 0)
    assert _told(_text(text)) == here


@pytest.mark.parametrize(
    ("action", "told"),
    [
        ("import os; os.abort()", "libsolv crashes on it"),
        ("while True: pass", "loading it does not end"),
        ("bytes(5 << 30)", "libsolv crashes on it"),
    ],
    ids=["abort", "spin", "greed"],
)
def test_whatever_becomes_of_the_child_is_told(
    action: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "solv.py").write_text(action)
    monkeypatch.setattr(confinement, "_solv_folder", lambda: str(tmp_path))
    monkeypatch.setattr(sources, "_SMALL", 0)
    monkeypatch.setattr(sources, "_SECONDS", 1)
    assert _told(_text(b"<metadata/>")) == f"the package metadata cannot be read: {told}"


def test_a_copy_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_SMALL", 0)
    content = _opened()
    full = Path("/dev/full").open("r+b", buffering=0)  # noqa: SIM115 - closed by whoever takes it for his own
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: full)
    assert "copy cannot be written" in _told(content)
