"""A real Chromium, headless, with a profile that is thrown away."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.remote.webelement import WebElement

ARTEFACTS = Path(__file__).parents[2] / ".cache" / "artefacts"
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass(frozen=True, slots=True)
class Browser:
    """Opens pages and watches what they do."""

    driver: Chrome

    def open(self, page: Path, *, width: int = 1400, height: int = 900, dark: bool = False) -> None:
        """Load a page; what is not in sight is not laid out, so a look at all of it takes a high window."""
        self.driver.get("about:blank")
        self.console()
        self.requests()
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.driver.get(page.as_uri())
        self.drawn()

    def drawn(self) -> None:
        """Wait until what came into sight is drawn, and what came into sight by that."""
        self.driver.execute_async_script(
            "const done = arguments[0]; let left = 5;"
            "(function next() { left -= 1; requestAnimationFrame(left ? next : () => done()); })();"
        )

    def show(self, element: WebElement) -> None:
        """Bring something into the middle of the window, as a person who looks for it does."""
        self.run("arguments[0].scrollIntoView({block: 'center'})", element)
        self.drawn()

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def _log(self, name: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.driver.get_log(name)  # type: ignore[no-untyped-call]
        return entries

    def console(self) -> list[str]:
        """What was written to the console since the last call, CSP violations included."""
        return [entry["message"] for entry in self._log("browser")]

    def requests(self) -> list[str]:
        """Addresses asked for since the last call, without those that the policy of the page stopped."""
        events = [json.loads(entry["message"])["message"] for entry in self._log("performance")]
        stopped = {
            event["params"]["requestId"]
            for event in events
            if event["method"] == "Network.loadingFailed" and event["params"].get("blockedReason") == "csp"
        }
        return [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent" and event["params"]["requestId"] not in stopped
        ]

    def seconds_of_work(self, page: Path) -> float:
        """How long the page keeps the main thread busy until it is drawn; other programs do not count."""
        self.driver.get("about:blank")
        self.driver.execute_cdp_cmd("Performance.disable", {})
        self.driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
        before = self._task_seconds()
        self.driver.get(page.as_uri())
        self.drawn()
        after = self._task_seconds()
        return after - before if after > before else after

    def _task_seconds(self) -> float:
        metrics = self.driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
        return float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))

    def violations(self) -> list[str]:
        """What axe-core finds serious or worse."""
        axe = resources.files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
        self.run(axe)
        self.driver.set_script_timeout(60)
        found = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            "axe.run().then(done, (e) => done({error: String(e)}));"
        )
        assert found.get("passes"), found
        return [
            f"{entry['id']} ({entry['impact']}): {entry['nodes'][0]['html'][:200]}"
            for entry in found["violations"]
            if entry["impact"] in ("serious", "critical")
        ]

    def screenshot(self, name: str) -> Path:
        """Keep a picture of the whole page."""
        width, height = self.run(
            "const r = document.body.getBoundingClientRect(); return [innerWidth, r.bottom]"
        )
        clip = {"x": 0, "y": 0, "width": width, "height": min(height, 8000), "scale": 1}
        shot = self.driver.execute_cdp_cmd(
            "Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip}
        )
        ARTEFACTS.mkdir(parents=True, exist_ok=True)
        file = ARTEFACTS / f"{name}.png"
        file.write_bytes(base64.b64decode(shot["data"]))
        return file


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    assert chromium, "chromium is missing: tools/system-packages"
    assert chromedriver, "chromium-driver is missing: tools/system-packages"
    options = Options()
    options.binary_location = chromium
    for flag in (*_FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=Service(chromedriver))
    yield Browser(driver)
    driver.quit()
