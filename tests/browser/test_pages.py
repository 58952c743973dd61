"""The pages in a real browser: they work, they are safe, everybody can use them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from kmpsolve.cli import main
from tests.browser import pages
from tests.browser.conftest import Browser

PAGES = {
    "plan-blocked": ("demo-blocked", "plan"),
    "plan-safe": ("demo-safe", "plan"),
    "plan-chain": ("chain-lower-blocked", "plan"),
    "plan-two-flavors": ("two-flavors-one-blocked", "plan"),
    "plan-unverified": ("no-symbol-versions", "plan"),
    "plan-broken-repository": ("broken-repository", "plan"),
    "matrix": ("demo-blocked", "matrix"),
    "diff": ("demo-blocked", "diff", "6.4.0-150600.23.25.1", "6.4.0-150600.23.30.1"),
}


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    work = tmp_path_factory.mktemp("large")
    options = pages.large(work)
    files = {verb: work / f"{verb}.html" for verb in ("plan", "matrix")}
    for verb, file in files.items():
        assert main([verb, *options, "--format", "html", "-o", str(file)]) in (0, 4)
    return files


@pytest.mark.parametrize("name", PAGES)
def test_page(name: str, browser: Browser, tmp_path: Path) -> None:
    """No error in the console, no request but the page, nothing serious for axe; phone and desk, dark too."""
    scenario, *words = PAGES[name]
    file = pages.page(scenario, tmp_path, *words)
    for width, dark in ((400, False), (1400, True)):
        browser.open(file, width=width, height=8000, dark=dark)
        assert browser.console() == []
        assert browser.requests() == [file.as_uri()]
        assert browser.run("return document.documentElement.scrollWidth") <= width
        assert browser.violations() == []
        browser.screenshot(f"{name}-{width}{'-dark' if dark else ''}")
    browser.open(file, height=8000)
    browser.screenshot(f"{name}-1400")


def test_verdict_and_facts_are_those_of_the_text(browser: Browser, tmp_path: Path) -> None:
    browser.open(pages.page("demo-blocked", tmp_path, "plan"))
    body = browser.run("return document.body.innerText")
    assert (
        browser.run("return document.querySelector('h1').textContent")
        == "BLOCKED: 1 of 3 KMPs would not load"
    )
    for fact in (
        "Because kernel-default 6.4.0-150600.23.30.1 changed 2 symbols",
        "2.2 (acme-drivers) fails for the same 3",
        "zypper install --no-recommends kernel-default=6.4.0-150600.23.27.1",
        "SUSE-2026-1234, important, CVE-2026-1111",
        "newest safe",
    ):
        assert fact in body
    cells = browser.run(
        "return Array.from(document.querySelectorAll('.heat tbody tr'),"
        " r => Array.from(r.cells, c => c.textContent))"
    )
    assert ["acme-storage-kmp-default", "3", "0", "0"] in cells
    labels = browser.run("return Array.from(document.querySelectorAll('svg text'), t => t.textContent)")
    assert {"acme-storage-kmp-default", "builds 2.1, 2.2", "2 changed", "1 gone"} <= set(labels)


def test_markup_in_names_is_only_text(browser: Browser, tmp_path: Path) -> None:
    options = pages.hostile(tmp_path)
    for verb in (["plan"], ["matrix"], ["diff", "6.4.0-150600.23.25.1", "6.4.0-150600.23.30.1"]):
        file = tmp_path / f"{verb[0]}.html"
        assert main([*verb, *options, "--format", "html", "-o", str(file)]) in (0, 4)
        browser.open(file)
        assert browser.run("return document.title") not in ("42", "43")
        assert pages.ATTACK in browser.run("return document.body.innerText")
        assert browser.run("return document.scripts.length") == 1
        assert browser.run("return document.images.length") == 0
        assert browser.run("return document.querySelectorAll('[style], [onload], [onerror]').length") == 0
        assert browser.console() == []
        assert browser.requests() == [file.as_uri()]
        assert "\u202e" not in file.read_text(encoding="utf-8")


def test_the_policy_stops_what_escaping_would_have_let_through(browser: Browser, tmp_path: Path) -> None:
    """The same page with the package's name unescaped, as a bug in a template would leave it."""
    file = tmp_path / "plan.html"
    main(["plan", *pages.hostile(tmp_path), "--format", "html", "-o", str(file)])
    text = file.read_text(encoding="utf-8")
    escaped = pages.ATTACK.replace("<", "&lt;").replace(">", "&gt;")
    assert escaped in text
    attacks = pages.ATTACK + '<img src="https://example.invalid/x.png" onerror="document.title=42">'
    attacks += '<p style="color:red">styled</p><base href="https://example.invalid/">'
    file.write_text(text.replace(escaped, attacks, 2), encoding="utf-8")
    browser.open(file)
    assert browser.run("return document.scripts.length") > 1
    assert browser.run("return document.title") != "42"
    refused = "\n".join(browser.console())
    for word in ("script", "img", "style"):
        assert re.search(
            rf"{word}[^\n]*Content Security Policy|Content Security Policy[^\n]*{word}", refused
        ), refused
    assert all(address.startswith("file:") for address in browser.requests())
    # The page's own script still runs.
    assert browser.run("return typeof document.querySelector('table') === 'object'")


def test_no_style_attribute_and_only_hashes_in_the_policy(tmp_path: Path) -> None:
    text = pages.page("demo-blocked", tmp_path, "plan").read_text(encoding="utf-8")
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    assert "unsafe" not in policy
    assert policy.startswith("default-src &#39;none&#39;")
    assert " style=" not in text
    assert not re.search(r"(?:src|href)=\"(?!#)", text)


def test_the_same_input_gives_the_same_page(tmp_path: Path) -> None:
    import os
    import subprocess
    import sys

    demo = Path(__file__).parents[2] / "repos" / "demo" / "blocked"
    words = [
        sys.executable,
        "-m",
        "kmpsolve",
        "plan",
        "--format",
        "html",
        "--installed",
        str(demo / "installed"),
    ]
    for repository in sorted((demo / "repositories").iterdir()):
        words += ["--repo", str(repository)]
    texts = set()
    for seed in ("1", "2", "3"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "SOURCE_DATE_EPOCH": "1767225600"}
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 4
        texts.add(done.stdout)
    assert len(texts) == 1


def test_sort_and_search_by_mouse(browser: Browser, large: dict[str, Path]) -> None:
    browser.open(large["plan"])
    table = "table-kmps-default"
    column = (
        "return Array.from(document.querySelectorAll('#' + arguments[0] + ' tbody th'), c => c.textContent)"
    )
    before = browser.run(column, table)
    button = browser.driver.find_element(By.CSS_SELECTOR, f"#{table} th button")
    browser.show(button)
    button.click()
    up = browser.run(column, table)
    assert up == sorted(before) != before
    button.click()
    assert browser.run(column, table) == up[::-1]
    assert browser.run("return arguments[0].closest('th').getAttribute('aria-sort')", button) == "descending"
    box = browser.driver.find_element(By.CSS_SELECTOR, f"[data-search='{table}']")
    browser.show(box)
    box.send_keys("vendor01 blocked")
    shown = browser.run(
        "return Array.from(document.querySelectorAll('#' + arguments[0] + ' tbody tr:not([hidden])'),"
        " r => r.textContent)",
        table,
    )
    assert shown
    assert all("vendor01" in row and "blocked" in row for row in shown)
    count = browser.run(
        "return document.querySelector('[data-count=\"' + arguments[0] + '\"]').textContent", table
    )
    assert count == f"{len(shown)} rows"
    assert browser.console() == []


def test_numbers_sort_as_numbers(browser: Browser, tmp_path: Path) -> None:
    browser.open(pages.page("demo-blocked", tmp_path, "diff", "6.4.0-150600.23.25.1", "6.4.0-150600.23.30.1"))
    head = browser.driver.find_element(By.XPATH, "//table[@id='table-hits']//button[text()='symbols hit']")
    browser.show(head)
    head.click()
    values = browser.run(
        "return Array.from(document.querySelectorAll('#table-hits tbody tr'),"
        " r => Number(r.cells[3].textContent))"
    )
    assert values == sorted(values)
    assert len(set(values)) > 1


def test_everything_by_keyboard(browser: Browser, large: dict[str, Path]) -> None:
    browser.open(large["matrix"])
    keys = ActionChains(browser.driver)
    seen = []
    for _ in range(12):
        keys.send_keys(Keys.TAB).perform()
        keys.reset_actions()
        seen.append(
            browser.run("return document.activeElement.tagName + ' ' + document.activeElement.className")
        )
        if seen[-1].startswith("INPUT"):
            break
    assert seen[0] == "A skip"
    assert seen[-1].startswith("INPUT")
    keys.send_keys("vendor007").perform()
    shown = browser.run(
        "return Array.from(document.querySelectorAll('.group:not([hidden])'), r => r.textContent.trim())"
    )
    assert shown == ["vendor007-kmp-default"]
    outline = browser.run("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"


def test_sorting_by_keyboard(browser: Browser, tmp_path: Path) -> None:
    browser.open(pages.page("demo-blocked", tmp_path, "plan"))
    button = browser.driver.find_element(By.CSS_SELECTOR, "#table-kmps-default th button")
    browser.run("arguments[0].focus()", button)
    ActionChains(browser.driver).send_keys(Keys.ENTER).perform()
    assert browser.run("return arguments[0].closest('th').getAttribute('aria-sort')", button) == "ascending"


@pytest.mark.parametrize("verb", ["plan", "matrix"])
def test_large_pages_are_light_and_quick(verb: str, browser: Browser, large: dict[str, Path]) -> None:
    """300 KMPs on 60 kernels."""
    file = large[verb]
    assert file.stat().st_size < 5_000_000
    assert min(browser.seconds_of_work(file) for _ in range(2)) < 2
    browser.open(file)
    assert browser.run("return document.querySelectorAll('.heat td').length") >= 300 * 60
    assert browser.console() == []
    browser.open(file, height=8000)
    browser.screenshot(f"large-{verb}-1400")
    browser.open(file, width=400, height=8000)
    assert browser.run("return document.documentElement.scrollWidth") <= 400
    browser.screenshot(f"large-{verb}-400")


def test_folded_parts_are_printed(browser: Browser, large: dict[str, Path]) -> None:
    browser.open(large["plan"])
    assert browser.run("return document.querySelectorAll('details:not([open])').length") > 0
    browser.run("window.dispatchEvent(new Event('beforeprint'))")
    assert browser.run("return document.querySelectorAll('details:not([open])').length") == 0


def test_it_prints(browser: Browser, tmp_path: Path) -> None:
    browser.open(pages.page("demo-blocked", tmp_path, "plan"))
    assert len(browser.driver.print_page()) > 10_000
