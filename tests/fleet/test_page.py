"""The page, in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.conftest import Browser, browser  # noqa: F401 - a fixture
from tests.fleet.conftest import World, run

ATTACK = "<script>document.title=String(6*7)</script>"


@pytest.fixture
def page(world: World, tmp_path: Path) -> Path:
    lines = [world.line(f"host-{i}{ATTACK if i == 3 else ''}", i, labels={"env": ATTACK}) for i in range(60)]
    (tmp_path / "f.jsonl").write_bytes(b"".join(lines))
    target = tmp_path / "audit.html"
    done = run(
        "audit", tmp_path / "f.jsonl", *world.repo, "--group-by", "env", "--format", "html", "-o", target
    )
    assert done.returncode == 4, done.stderr
    return target


def test_the_page_shows_what_blocks_and_runs_nothing(world: World, page: Path, browser: Browser) -> None:  # noqa: F811
    browser.open(page)
    assert browser.run("return document.title") == "blocked - kmpsolve audit"
    assert browser.console() == []
    assert [url for url in browser.requests() if not url.startswith(("file:", "data:", "about:"))] == []
    document = world.audit(page.parent / "f.jsonl")
    rows = browser.run(
        "return [...document.querySelectorAll('#table-blocking tbody tr')].map(r => r.innerText)"
    )
    assert len(rows) == len(document["blocking"])
    assert document["blocking"][0]["kmp"] in rows[0]
    bars = browser.run(
        "return [...document.querySelectorAll('#table-blocking rect')].map(r => r.getBoundingClientRect().width)"
    )
    assert bars == sorted(bars, reverse=True)
    assert bars[0] > 100
    assert browser.run("return document.querySelectorAll('#heatmap-hosts tbody tr').length") > 0
    assert browser.run("return document.querySelectorAll('#table-hosts tbody tr').length") == 60
    assert browser.run("return document.querySelectorAll('#states article').length") == len(
        document["states"]
    )
    wide = browser.run("return document.documentElement.scrollWidth > document.documentElement.clientWidth")
    assert wide is False


def test_a_host_can_be_searched_for(page: Path, browser: Browser) -> None:  # noqa: F811
    browser.open(page)
    browser.run(
        "const e = document.getElementById('table-hosts-search'); e.value = 'host-17';"
        "e.dispatchEvent(new Event('input', {bubbles: true}))"
    )
    shown = browser.run(
        "return [...document.querySelectorAll('#table-hosts tbody tr')]"
        ".filter(r => r.getClientRects().length).map(r => r.cells[0].innerText)"
    )
    assert shown == ["host-17"]
