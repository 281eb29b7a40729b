"""The page in a real browser: from elements to exported structures, by mouse and by keyboard, wide and narrow."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pymatgen.core import Structure

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
IN_CI = os.environ.get("CI", "").lower() in ("true", "1")

if CHROMIUM is None and not IN_CI:
    pytest.skip("no Chromium on this machine (apt-get install chromium)", allow_module_level=True)
if not IN_CI:
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra dev)")
    pytest.importorskip("nicegui", reason="nicegui is not installed (extra app)")

from axe_playwright_python.sync_playwright import Axe  # noqa: E402
from playwright.sync_api import expect, sync_playwright  # noqa: E402

SOON, LONG = 120_000, 300_000


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    work = tmp_path_factory.mktemp("served")
    port = free_port()
    words = [sys.executable, "-m", "matgen", "app", "--port", str(port), "--no-browser", "--format", "poscar"]
    # what NiceGUI's own test plugin sets would make it look for a test
    outer = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "NICEGUI_"))}
    outer["TMPDIR"] = str(work)
    server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=outer)
    assert server.stdout is not None
    said = server.stdout.readline().strip()
    assert said == f"http://127.0.0.1:{port}"
    yield said
    assert list(work.glob("matgen-app-*"))
    server.terminate()
    complaints = server.communicate(timeout=30)[1]
    assert "Traceback" not in complaints
    assert not list(work.glob("matgen-app-*"))


@pytest.fixture(params=[1280, 390])
def page(address: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The page, which may ask nobody but its server, and complain of nothing."""
    asked, heard = [], []
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--enable-unsafe-swiftshader"]
        )
        page = chromium.new_page(viewport={"width": request.param, "height": 900})
        page.set_default_timeout(SOON)
        page.on("request", lambda one: asked.append(one.url))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("console", lambda one: heard.append(one.text) if one.type == "error" else None)
        page.goto(address)
        expect(page.get_by_role("button", name="Generate")).to_be_visible(timeout=SOON)
        yield page
        chromium.close()
    assert not heard
    assert all(url.startswith((address, "data:", "blob:")) for url in asked)


def serious(page: Any) -> list[Any]:
    """What axe finds that keeps people from using the page."""
    found = Axe().run(page).response["violations"]
    return [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]


def turn(page: Any, symbol: str, now: str, then: str) -> None:
    """Turn an element by the keyboard."""
    page.get_by_role("button", name=f"{symbol}: {now}", exact=True).press("Enter")
    page.get_by_role("button", name=f"{symbol}: {then}", exact=True).wait_for()


@pytest.mark.slow
def test_from_elements_to_exported_structures(page):
    assert serious(page) == []
    turn(page, "Ti", "any", "required")
    turn(page, "O", "any", "required")
    turn(page, "F", "any", "required")
    turn(page, "F", "required", "forbidden")
    page.get_by_label("compositions", exact=True).fill("40")
    page.get_by_label("number of elements").fill("3")
    page.get_by_label("max-atoms").fill("5")
    page.get_by_text("valid ones only").click()
    page.get_by_role("button", name="Generate").click()
    page.get_by_text("distinct compositions").wait_for()
    formulas = page.locator("tbody tr td:first-child").all_inner_texts()
    assert formulas
    assert all("Ti" in formula and "O" in formula for formula in formulas)
    assert set(page.locator("tbody tr td:nth-child(2)").all_inner_texts()) == {"yes"}
    assert serious(page) == []

    # one formula: what could take an element's place
    page.get_by_role("button", name=f"Look at {formulas[0]}", exact=True).click()
    page.get_by_role("button", name="Replace O", exact=True).press("Enter")
    page.get_by_text("In the place of O:").wait_for()
    page.get_by_role("button", name="Replace Ti", exact=True).hover()
    page.get_by_text("In the place of Ti:").wait_for()
    heat = page.get_by_role("group", name="Probabilities of elements")
    heat.wait_for()
    assert heat.get_by_role("button", name="Zr: ").count() == 1
    assert serious(page) == []
    heat.get_by_role("button", name="Zr: ").click()
    page.get_by_role("button", name="Replace Zr", exact=True).wait_for()
    page.get_by_role("button", name=f"Look at {formulas[0]}", exact=True).click()

    # its structure
    page.get_by_role("button", name="Relax a structure").click()
    page.locator("canvas").wait_for(timeout=LONG)
    with page.expect_download() as cif:
        page.get_by_role("button", name="Download the CIF").click()
    assert {"Ti", "O"} <= {
        one.symbol for one in Structure.from_str(Path(cif.value.path()).read_text(), fmt="cif").composition
    }
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    # the basket
    page.get_by_role("button", name=f"Add {formulas[0]} to the basket", exact=True).first.click()
    page.get_by_text("Basket: 1").wait_for()
    with page.expect_download() as table:
        page.get_by_role("button", name="Download as CSV").click()
    assert pd.read_csv(table.value.path())["formula"].tolist() == [formulas[0]]
    with page.expect_download(timeout=LONG) as inputs:
        page.get_by_role("button", name="Download DFT inputs").click()
    names = zipfile.ZipFile(io.BytesIO(Path(inputs.value.path()).read_bytes())).namelist()
    assert any(name.endswith("POSCAR") for name in names)
    page.get_by_role("button", name=f"Remove {formulas[0]}", exact=True).click()
    page.get_by_text("Basket: 0").wait_for()


@pytest.mark.slow
def test_errors_are_sentences_and_work_can_be_cancelled(page):
    amount, said = page.get_by_label("compositions", exact=True), page.get_by_role("status")
    amount.fill("many")
    page.get_by_role("button", name="Generate").click()
    expect(said).to_have_text("compositions is 'many', it must be a number")
    amount.fill("5")
    properties = page.get_by_label("properties")
    properties.fill("hardness > 2")
    page.get_by_role("button", name="Generate").click()
    expect(said).to_contain_text("no predictor writes a column hardness", timeout=SOON)
    properties.fill("band_gap > 2")
    page.get_by_role("button", name="Generate").click()
    page.get_by_role("columnheader", name="band gap").wait_for()
    properties.fill("band_gap > 1 and")
    page.get_by_label("near hull").fill("50")
    page.get_by_role("button", name="Generate").click()
    expect(said).to_contain_text("cannot read the condition 'and'")
    properties.fill("")
    page.get_by_label("near hull").fill("500")
    page.get_by_role("button", name="Generate").click()
    expect(said).to_have_text("near hull is 500, it must be from 0 to 100 %")
    page.get_by_label("near hull").fill("")
    amount.fill("5000")
    page.get_by_role("button", name="Generate").click()
    page.get_by_role("button", name="Cancel").click()
    expect(said).to_have_text("cancelled", timeout=SOON)
    amount.fill("10")
    page.get_by_role("button", name="Generate").click()
    page.get_by_text("distinct compositions").wait_for()


@pytest.mark.slow
def test_a_taken_port_is_told(address):
    port = address.rsplit(":", 1)[1]
    words = [sys.executable, "-m", "matgen", "app", "--port", port, "--no-browser"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "take another --port" in done.stderr
