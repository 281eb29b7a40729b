"""The page in a real browser: from elements to exported structures, by mouse and by keyboard, wide and narrow."""

from __future__ import annotations

import io
import os
import re
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
    outer |= {"TMPDIR": str(work), "MATGEN_CACHE": str(tmp_path_factory.mktemp("cache"))}
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
        ready(page)
        yield page
        chromium.close()
    assert not heard
    assert all(url.startswith((address, "data:", "blob:")) for url in asked)


def ready(page: Any) -> None:
    """Wait until the server listens to the page."""
    expect(page.get_by_role("button", name="Generate")).to_be_visible(timeout=SOON)
    page.wait_for_function("window.did_handshake && window.matgenCards")


def serious(page: Any) -> list[Any]:
    """What axe finds that keeps people from using the page."""
    page.mouse.move(0, 0)  # no tooltip that is just fading
    page.wait_for_timeout(500)
    found = Axe().run(page).response["violations"]
    return [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]


def turn(page: Any, symbol: str, now: str, then: str) -> None:
    """Turn an element by the keyboard."""
    page.get_by_role("button", name=f"{symbol}: {now}", exact=True).press("Enter")
    page.get_by_role("button", name=f"{symbol}: {then}", exact=True).wait_for()


def focused(page: Any) -> str:
    """What the focused element is called."""
    return page.evaluate("document.activeElement.getAttribute('aria-label') ?? document.activeElement.innerText")


def drawn(card: Any) -> None:
    """Wait until a card's structure is drawn, which it is once it is in sight."""
    view = card.locator(".matgen-view").first
    view.wait_for(timeout=LONG)
    view.scroll_into_view_if_needed()
    view.locator("canvas").first.wait_for()


def formulas_of(page: Any) -> list[str]:
    """The formulas of the rows that are shown."""
    labels = page.locator(".results tbody").get_by_role("button", name="Look at").all()
    return [one.get_attribute("aria-label").removeprefix("Look at ") for one in labels]


def column_of(page: Any, head: str) -> list[str]:
    """The cells of a column that is shown, by its head."""
    heads = page.locator(".results thead th").all_inner_texts()
    place = next(i for i, text in enumerate(heads, 1) if text.split("\n")[0].strip() == head)
    return page.locator(f".results tbody td:nth-child({place})").all_inner_texts()


def scores(page: Any) -> list[float]:
    """Their scores."""
    return [float(text) for text in page.locator(".results tbody td:nth-child(2)").all_inner_texts()]


@pytest.mark.slow
def test_from_elements_to_exported_structures(page):
    assert serious(page) == []
    turn(page, "Ti", "any", "required")
    turn(page, "O", "any", "required")
    turn(page, "F", "any", "required")
    turn(page, "F", "required", "forbidden")
    amount = page.get_by_label("Compositions", exact=True)
    amount.fill("120")
    page.get_by_label("Number of elements").fill("3")
    page.get_by_label("Atoms at most").fill("5")
    page.get_by_text("Valid ones only").click()
    amount.press("Enter")
    said = page.get_by_role("region", name="Conditions").get_by_role("status")
    expect(said).to_contain_text(re.compile(r": \d+%"), timeout=SOON)
    expect(page.get_by_role("progressbar", name="Progress of generating")).to_be_visible()
    page.get_by_text("distinct compositions").wait_for()
    formulas = formulas_of(page)
    assert formulas
    assert all("Ti" in formula and "O" in formula for formula in formulas)
    assert set(page.locator(".results tbody td:nth-child(5)").all_inner_texts()) == {"yes"}
    expect(page.get_by_role("heading", name="Results")).to_be_in_viewport()
    assert serious(page) == []

    # a sortable table with a focus that stays
    page.get_by_role("button", name="More columns").press("Enter")
    page.get_by_role("columnheader", name="Nearest known").wait_for()
    flags = [column_of(page, "Novel"), column_of(page, "In domain")]
    ranking = list(zip(*flags, scores(page), strict=True))
    assert ranking == sorted(ranking, reverse=True)  # "yes" before "no"
    page.get_by_role("button", name="Fewer columns").press("Enter")
    expect(page.get_by_role("columnheader", name="Nearest known")).to_have_count(0)
    score = page.get_by_role("columnheader", name="Score").get_by_role("button")
    score.press("Enter")
    expect(page.get_by_role("columnheader", name="Score")).to_have_attribute("aria-sort", "descending")
    score.press("Enter")
    expect(page.get_by_role("columnheader", name="Score")).to_have_attribute("aria-sort", "ascending")
    assert scores(page) == sorted(scores(page))
    assert focused(page) == "Score"
    score.press("Enter")
    expect(page.get_by_role("columnheader", name="Score")).to_have_attribute("aria-sort", "descending")

    # one formula: its card, and what could take an element's place
    opened = page.locator(".results tbody").get_by_role("button", name=f"Look at {formulas[0]}", exact=True)
    opened.press("Enter")
    card = page.get_by_role("article", name=formulas[0], exact=True)
    card.wait_for()
    expect(opened).to_have_attribute("aria-current", "true")
    expect(card.get_by_text("Energy above the hull")).to_be_visible()
    page.get_by_role("button", name="Replace O", exact=True).press("Enter")
    page.get_by_text("In the place of O").wait_for()
    page.get_by_role("button", name="Replace Ti", exact=True).hover()
    page.get_by_text("In the place of Ti").wait_for()
    heat = page.get_by_role("group", name="Probabilities of elements")
    assert serious(page) == []
    heat.get_by_role("button", name="Zr: ").click()
    page.get_by_role("button", name="Replace Zr", exact=True).wait_for()
    opened.click()
    card.wait_for()

    # its structure
    relax = card.get_by_role("button", name="Relax a structure")
    if relax.count():  # what was relaxed before, at the other width, is kept and shown at once
        relax.click()
    drawn(card)
    with page.expect_download() as cif:
        card.get_by_role("link", name="CIF").click()
    assert {"Ti", "O"} <= {
        one.symbol for one in Structure.from_str(Path(cif.value.path()).read_text(), fmt="cif").composition
    }
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    # the basket
    card.get_by_role("button", name="Add to basket").click()
    page.get_by_text("Basket: 1").wait_for()
    page.get_by_role("button", name=f"Remove {formulas[0]} from the basket").wait_for()
    with page.expect_download() as table:
        page.get_by_role("button", name="Download as CSV").click()
    assert pd.read_csv(table.value.path())["formula"].tolist() == [formulas[0]]
    with page.expect_download(timeout=LONG) as inputs:
        page.get_by_role("button", name="Download DFT inputs").click()
    names = zipfile.ZipFile(io.BytesIO(Path(inputs.value.path()).read_bytes())).namelist()
    assert any(name.endswith("POSCAR") for name in names)

    # all of it is there when the page is loaded again
    page.reload()
    ready(page)
    drawn(page.get_by_role("article", name=formulas[0], exact=True))
    assert formulas_of(page) == formulas
    page.get_by_text("Basket: 1").wait_for()
    assert page.get_by_label("Atoms at most").input_value() == "5"
    page.get_by_role("button", name="F: forbidden", exact=True).wait_for()
    page.get_by_role("button", name=f"Remove {formulas[0]}", exact=True).click()
    page.get_by_text("Basket: 0").wait_for()


@pytest.mark.slow
def test_the_periodic_table_is_one_tab_stop_with_arrows(page):
    stops = []
    while "Generate" not in stops and len(stops) < 40:
        page.keyboard.press("Tab")
        stops.append(focused(page))
    assert stops.count("H: any") == 1
    assert not any(stop.endswith(": any") and stop != "H: any" for stop in stops)
    assert len(stops) <= 15
    page.get_by_role("button", name="H: any", exact=True).focus()
    for key, there in (("ArrowDown", "Li"), ("ArrowRight", "Be"), ("ArrowRight", "B"), ("End", "F"), ("Home", "Li")):
        page.keyboard.press(key)
        assert focused(page) == f"{there}: any"
    page.keyboard.press("Space")
    page.get_by_role("button", name="Li: required", exact=True).wait_for()
    assert focused(page) == "Li: required"
    expect(page.get_by_role("button", name="Ne: unknown to the model")).to_be_disabled()


@pytest.mark.slow
def test_examples_and_shared_links_fill_in_the_conditions(page, address):
    page.get_by_role("button", name="Wide-gap oxide").click()
    page.get_by_role("button", name="O: required", exact=True).wait_for()
    expect(page.get_by_label("Predicted properties")).to_have_value("band_gap > 4")
    page.get_by_label("Compositions", exact=True).fill("3")
    page.get_by_role("button", name="Generate").click()
    page.get_by_role("columnheader", name="Band gap").wait_for()
    gaps = page.locator(".results tbody td:nth-child(5)").all_inner_texts()
    assert gaps
    assert all(float(gap) > 4 for gap in gaps)
    assert "contains=O" in page.url
    shared = page.url
    page.get_by_role("button", name="Clear").click()
    page.get_by_role("button", name="O: any", exact=True).wait_for()
    assert page.get_by_label("Predicted properties").input_value() == ""
    other = page.context.browser.new_page()
    other.goto(shared)
    ready(other)
    other.get_by_role("button", name="O: required", exact=True).wait_for()
    assert other.get_by_label("Predicted properties").input_value() == "band_gap > 4"
    assert other.get_by_text("None yet").count() == 1
    other.goto(f"{address}/?contains=Ne,O&nonsense=1")
    ready(other)
    expect(other.get_by_text("the model does not know Ne")).to_be_visible()


@pytest.mark.slow
def test_dark_and_idle(page):
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"{background} !== '{light}'")
    page.get_by_role("button", name="Theme: system").click()
    page.get_by_role("button", name="Theme: dark").click()
    page.get_by_role("button", name="Theme: light").wait_for()
    page.wait_for_function(f"{background} === '{light}'")
    page.reload()
    ready(page)
    page.get_by_role("button", name="Theme: light").click()
    page.get_by_role("button", name="Theme: system").wait_for()
    page.wait_for_function(f"{background} !== '{light}'")
    assert serious(page) == []

    frames = []
    for way in ("framereceived", "framesent"):
        page.on("websocket", lambda socket, way=way: socket.on(way, lambda frame: frames.append(frame)))
    page.reload()
    ready(page)
    page.wait_for_timeout(2000)
    assert frames
    frames.clear()
    page.wait_for_timeout(3000)
    kept_alive = ("2", "3", '42["ack"')  # pings and pongs, and what NiceGUI acknowledges from time to time
    assert [one for one in frames if not str(one).startswith(kept_alive)] == []


@pytest.mark.slow
def test_errors_are_sentences_and_work_can_be_canceled(page):
    amount = page.get_by_label("Compositions", exact=True)
    said = page.get_by_role("region", name="Conditions").get_by_role("status")
    amount.fill("many")
    page.get_by_role("button", name="Generate").click()
    expect(said).to_have_text("Compositions is 'many', it must be a number")
    amount.fill("5")
    properties = page.get_by_label("Predicted properties")
    properties.fill("hardness > 2")
    page.get_by_role("button", name="Generate").click()
    expect(said).to_contain_text("no predictor writes a column hardness", timeout=SOON)
    properties.fill("band_gap > 1 and")
    near = page.get_by_label("P(within 0.1 eV/atom)")
    near.fill("50")
    page.get_by_role("button", name="Generate").click()
    expect(said).to_contain_text("cannot read the condition 'and'")
    properties.fill("")
    near.fill("500")
    page.get_by_role("button", name="Generate").click()
    expect(said).to_have_text("P(within 0.1 eV/atom) is 500, it must be from 0 to 100 %")
    near.fill("")
    amount.fill("5000")
    page.get_by_role("button", name="Generate").click()
    page.get_by_role("button", name="Cancel").click()
    expect(said).to_have_text("canceled", timeout=SOON)
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
