"""The app as a visitor meets it: when it is painted, how far the keyboard has to go, how long each thing takes.

python -m benchmarks.app_page
python -m benchmarks.app_page --tree ../earlier --name before

A checkout is served by itself, with an empty cache of its own, and a browser (Chromium) goes the same way twice, the
second time in a new window: elements, Generate, one formula, its relaxed structure, its CIF. Beside the seconds that
pass stand those of the processor that the server used, which depend less on what else the machine does.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.record import read_result, write_result

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
REQUIRED = ("Ti", "O")
_FIELDS = {"^compositions$": "10", "^number of elements$": "3", "^(max-atoms|atoms at most)$": "5"}
IDLE_S = 20
LONGEST_MS = 900_000
MOST_TABS = 400

_FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
_FOCUSED = "document.activeElement?.textContent.trim() ?? ''"


@contextmanager
def served(tree: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The app of a checkout: its address and its process."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    with tempfile.TemporaryDirectory() as cache:
        own = {"PYTHONPATH": str(tree), "MATGEN_CACHE": cache, "TOKENIZERS_PARALLELISM": "false"}
        words = [sys.executable, "-m", "matgen", "app", "--port", str(port), "--no-browser"]
        server = subprocess.Popen(words, cwd=tree, env=os.environ | own, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip(), psutil.Process(server.pid)
        finally:
            server.terminate()
            server.wait()


def processor_seconds(*processes: psutil.Process) -> float:
    """What processes have used so far, all cores together."""
    times = [process.cpu_times() for process in processes]
    return float(sum(one.user + one.system for one in times))


def idle_shares(server: psutil.Process) -> dict[str, float]:
    """Shares of one core that the server and the browser use while nobody does anything."""
    asked = {"server": [server], "browser": browser_processes()}
    before = {name: processor_seconds(*processes) for name, processes in asked.items()}
    time.sleep(IDLE_S)
    return {name: (processor_seconds(*processes) - before[name]) / IDLE_S for name, processes in asked.items()}


def browser_processes() -> list[psutil.Process]:
    """All of the browser that this process started."""
    return [one for one in psutil.Process().children(recursive=True) if "chrom" in one.name()]


class Steps:
    """Seconds and processor seconds of the server, step by step."""

    def __init__(self, process: psutil.Process) -> None:
        self.process = process
        self.seconds: dict[str, float] = {}
        self.processor: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure what happens in the block."""
        began, used = time.monotonic(), processor_seconds(self.process)
        yield
        self.seconds[name] = time.monotonic() - began
        self.processor[name] = processor_seconds(self.process) - used


def violations(page: Page, width: int) -> dict[str, Any]:
    """What axe finds at a width: rules that are broken, and which of them keep people from using the page."""
    page.set_viewport_size({"width": width, "height": 900})
    # Without style sheets fetched by axe itself: Quasar shows a loading bar for each request, and axe would find that.
    found = Axe().run(page, options={"preload": False}).response["violations"]
    grave = [one["id"] for one in found if one["impact"] in ("serious", "critical")]
    return {"rules": sorted(one["id"] for one in found), "serious": sorted(grave)}


def tabs_to_generate(page: Page) -> int | None:
    """How often Tab is pressed, from the top, until the button that draws has the focus."""
    for pressed in range(1, MOST_TABS + 1):
        page.keyboard.press("Tab")
        if page.evaluate(_FOCUSED) == "Generate":
            return pressed
    return None


def new_page(chromium: Browser) -> Page:
    """A window that knows nothing of earlier ones."""
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(LONGEST_MS)
    return page


def opened(page: Page, address: str) -> dict[str, Any]:
    """Seconds until something is painted, and until the page can be used."""
    began = time.monotonic()
    page.goto(address)
    page.get_by_role("button", name="Generate", exact=True).wait_for()
    page.wait_for_function("window.socket?.connected")
    return {"usable": time.monotonic() - began, "first_paint": page.evaluate(_FIRST_PAINT) / 1000}


def walked(page: Page, steps: Steps) -> str:
    """Go from elements to a CIF; the formula that was looked at."""
    for symbol in REQUIRED:
        page.get_by_role("button", name=f"{symbol}: any", exact=True).click()
        page.get_by_role("button", name=f"{symbol}: required", exact=True).wait_for()
    for label, text in _FIELDS.items():
        page.get_by_role("textbox", name=re.compile(label, re.IGNORECASE)).fill(text)
    with steps.step("rows"):
        page.get_by_role("button", name="Generate", exact=True).click()
        page.locator("tbody tr").first.wait_for()
    # whatever the order of the rows, the same one of the same draws
    rows = page.locator("tbody").get_by_role("button", name="Look at ")
    formula = min(str(one.get_attribute("aria-label")) for one in rows.all()).removeprefix("Look at ")
    relax, drawn = page.get_by_role("button", name="Relax a structure"), page.locator("canvas, .matgen-view > *")
    with steps.step("structure"):
        page.get_by_role("button", name=f"Look at {formula}", exact=True).click()
        relax.or_(drawn).first.wait_for()
        if not drawn.count():  # what was relaxed before is shown at once
            relax.first.click()
        drawn.first.wait_for()
    page.get_by_role("button", name=f"Add {formula} to the basket", exact=True).first.click()
    page.get_by_text("Basket: 1").wait_for()
    with steps.step("cif"), page.expect_download(timeout=LONGEST_MS):
        page.get_by_role("button", name="Download CIF", exact=True).click()
    return formula


def measured(tree: Path, work: bool) -> Iterator[dict[str, Any]]:
    """All figures of a checkout, after each part those that are there; without `work` those of the empty page."""
    content: dict[str, Any] = {}
    with served(tree) as (address, process), sync_playwright() as driver:
        chromium = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--enable-unsafe-swiftshader"]
        )
        page = new_page(chromium)
        opened(page, address)  # what is loaded once for all
        content["open"] = opened(page, address)
        content["tabs_to_generate"] = tabs_to_generate(page)
        content["idle_share"] = idle_shares(process)
        content["axe"] = {str(width): violations(page, width) for width in (390, 1280)}
        yield content
        for name in ("first", "second") if work else ():
            page.close()
            page = new_page(chromium)
            opened(page, address)
            steps = Steps(process)
            load = os.getloadavg()[0]
            formula = walked(page, steps)
            content[name] = {
                "formula": formula,
                "seconds": steps.seconds,
                "processor_seconds": steps.processor,
                "load_average": [load, os.getloadavg()[0]],
            }
            yield content
        if work:
            content["idle_share_after_work"] = idle_shares(process)
        chromium.close()
    yield content


def main() -> None:
    """Measure one checkout and write its figures beside those of others."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tree", type=Path, default=ROOT, help="checkout to serve (default: this one)")
    parser.add_argument("--name", default="now", help="name of its figures (default: now)")
    parser.add_argument("--without-work", action="store_true", help="the empty page only; other figures stay")
    arguments = parser.parse_args()
    for figures in measured(arguments.tree.resolve(), not arguments.without_work):
        # read anew: another checkout may have been measured meanwhile
        pages = read_result("app_page").get("pages", {})
        write_result("app_page", {"pages": {**pages, arguments.name: pages.get(arguments.name, {}) | figures}})


if __name__ == "__main__":
    main()
