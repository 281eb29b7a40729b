"""The pages in a real browser: silent, alone, and a table that filters, sorts, turns and prints.

Debian's Chromium is driven by playwright. Where there is none the tests are skipped, but not in CI (`CI=true`).
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from matgen.evaluation import evaluate
from matgen.evaluation.comparison import compare
from matgen.evaluation.page.card import Crystal
from matgen.evaluation.page.structures import StructureSection
from tests.evaluation.page.test_structures import section

from .standin import FORMULAS, Reference

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
IN_CI = os.environ.get("CI", "").lower() in ("true", "1")

if CHROMIUM is None and not IN_CI:
    pytest.skip("no Chromium on this machine (apt-get install chromium)", allow_module_level=True)
if IN_CI:
    import playwright.sync_api as playwright_api
else:
    playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra dev)")

HOSTILE = [
    "<img src=x onerror=\"window.hacked='img'\">",
    "</script><script>window.hacked='script'</script>",
    "--><svg onload=\"window.hacked='svg'\">\u2028\u2029&amp;&lt;b&gt;",
]
NOVEL = ["NaBr", "SrZrO3", "Cu2Zn5", "Na2Cl", "H7C3S3I2", "CaHfO3", "XeAu2", "K2ZnO2"]
ROWS = [*FORMULAS, *NOVEL, *HOSTILE, "SrTiO3", "O3SrTi"] * 2


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory):
    frame = pd.DataFrame(
        {
            "formula": ROWS,
            "log_prob": [-0.37 * ((i * 37) % 101) for i in range(len(ROWS))],
            "<img src=x onerror=window.hacked=1>": HOSTILE[1],
        }
    )
    return evaluate(frame, Reference(), out=tmp_path_factory.mktemp("browser") / "report")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    assert CHROMIUM, "CI needs a Chromium: apt-get install chromium"
    with playwright_api.sync_playwright() as driver:
        chromium = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--enable-unsafe-swiftshader"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Any]:
    """A function that opens a file; when the test ends, nothing may have been complained of or asked for."""
    contexts, heard, asked = [], [], []

    def opened(path: Path, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": 1200, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console",
            lambda message: heard.append(f"{message.type}: {message.text}") if not _of_driver(message) else None,
        )
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        expected.append(path.as_uri())
        return page

    expected: list[str] = []
    yield opened
    for context in contexts:
        context.close()
    assert not heard
    assert asked == expected


def _of_driver(message: Any) -> bool:
    """What the browser's own drawing code says of reading pictures back, as a screenshot does."""
    return "GL Driver Message" in message.text


def shown(page: Any, name: str) -> list[str]:
    """Text of a column's cells, as the table shows it now."""
    heads = page.locator("#candidates thead th:not([hidden])").all_inner_texts()
    place = next(i for i, head in enumerate(heads) if head.strip() == name)
    return page.locator(f"#candidates tbody tr td:nth-child({place + 1})").all_inner_texts()


def numbers(page: Any) -> list[int]:
    """Rows of the table that are shown, from 0."""
    return [int(text.replace(",", "")) - 1 for text in shown(page, "row")]


def search(page: Any, text: str) -> None:
    page.fill("#candidates-table .query", text)
    page.wait_for_timeout(250)


def choose(page: Any, name: str, answer: str) -> None:
    page.locator("#candidates-table label", has_text=name).filter(has=page.locator("select[data-column]")).locator(
        "select"
    ).select_option(answer)


def sort_by(page: Any, name: str) -> None:
    page.locator("#candidates thead th", has_text=name).first.locator(".sorter").click()


@pytest.mark.slow
def test_the_search_narrows_the_table(report, open_page) -> None:
    page = open_page(report.folder / "report.html")
    page.select_option("#candidates-table .page-size", "500")
    frame = report.frame
    assert numbers(page) == list(range(len(ROWS)))
    text = frame[["formula", "reduced_formula", "oxidation_states", "reason", "near_duplicate_of"]].fillna("")
    text = text.agg("\n".join, axis=1)
    for query, expected in {
        "SrTi": text.str.contains("SrTi"),
        "srti": text.str.lower().str.contains("srti"),
        "O3 Ti4+": text.str.contains("O3", regex=False) & text.str.contains("Ti4+", regex=False),
        "assignment no": text.str.contains("no") & text.str.contains("assignment"),
        "nothing has this text": text == "",
    }.items():
        search(page, query)
        assert numbers(page) == list(text.index[expected]), query
        assert page.inner_text("#candidates-table .status").startswith(f"{int(expected.sum())} of {len(ROWS)} ")
    assert page.inner_text("#candidates-table .place") == "no rows"
    page.click("#candidates-table .reset")
    assert numbers(page) == list(range(len(ROWS)))


@pytest.mark.slow
def test_yes_and_no(report, open_page) -> None:
    page = open_page(report.folder / "report.html")
    page.select_option("#candidates-table .page-size", "500")
    frame = report.frame
    unique = frame["duplicate_of"].isna() & frame["parsed"]
    choose(page, "valid", "yes")
    assert numbers(page) == list(frame.index[frame["valid"]])
    choose(page, "novel", "yes")
    choose(page, "unique", "yes")
    kept = frame.index[frame["valid"] & frame["novel"] & unique]
    assert numbers(page) == list(kept) and len(kept) == report.content["counts"]["valid_unique_novel"]
    choose(page, "valid", "no")
    assert numbers(page) == list(frame.index[~frame["valid"] & frame["novel"] & unique])
    search(page, "Na2")
    assert shown(page, "formula") == ["Na2Cl"]


@pytest.mark.slow
def test_sorting_and_turning_pages(report, open_page) -> None:
    page = open_page(report.folder / "report.html")
    page.select_option("#candidates-table .page-size", "25")
    frame = report.frame
    sort_by(page, "log_prob")
    best = frame["log_prob"].sort_values(ascending=False, kind="stable").index
    assert numbers(page) == list(best[:25])
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
    page.click("#candidates-table .next")
    assert numbers(page) == list(best[25:50])
    page.click("#candidates-table .last")
    assert numbers(page) == list(best[(len(best) - 1) // 25 * 25 :])
    assert page.is_disabled("#candidates-table .next")
    sort_by(page, "log_prob")
    worst = frame["log_prob"].sort_values(kind="stable").index
    assert numbers(page) == list(worst[:25]) and page.is_disabled("#candidates-table .previous")
    # By keyboard, with empty cells last in both directions.
    page.get_by_role("button", name="All columns").click()
    sorter = page.locator("#candidates thead th", has_text="duplicate of row").locator(".sorter")
    sorter.focus()
    for _ in range(2):
        page.keyboard.press("Enter")
        rows = shown(page, "duplicate of row")
        assert rows[0] and rows == sorted(rows, key=lambda text: text == "")


@pytest.mark.slow
def test_hostile_text_stays_text(report, open_page) -> None:
    page = open_page(report.folder / "report.html")
    page.select_option("#candidates-table .page-size", "500")
    assert page.evaluate("window.hacked") is None
    assert page.locator("img, iframe, object, embed, #candidates script, #candidates svg").count() == 0
    assert page.locator("script:not([type])").count() == 2 and page.locator("script[type]").count() == 1
    page.get_by_role("button", name="All columns").click()
    formulas = page.locator("#candidates tbody tr td:nth-child(2)").evaluate_all("all => all.map(c => c.textContent)")
    assert formulas == ROWS
    assert set(shown(page, "<img src=x onerror=window.hacked=1>")) == {HOSTILE[1]}
    # The list of unreadable rows is there without the script.
    assert HOSTILE[0] in page.locator("#unreadable td").all_inner_texts()


@pytest.mark.slow
def test_without_a_script(report, open_page) -> None:
    page = open_page(report.folder / "report.html", java_script_enabled=False)
    assert numbers(page) == list(range(50))
    assert not page.is_visible("#candidates-table .query") and page.is_visible(".unscripted")
    assert page.locator("figure svg").count() >= 9 and page.locator(".card").count() == 9


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1200])
def test_it_fits_and_prints(report, open_page, scheme: str, width: int, tmp_path: Path) -> None:
    page = open_page(report.folder / "report.html", color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # Text against what is behind it, by the WCAG's formula: at least 4.5.
    for selector in ("p.lead", ".card .meaning", ".yes", ".no", "nav a", "#candidates-table .status"):
        assert page.evaluate(CONTRAST, selector) >= 4.5, selector
    page.pdf(path=tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    page.emulate_media(media="print")
    assert not page.is_visible(".controls") and page.is_visible("#candidates tbody tr:first-child")


CONTRAST = """selector => {
  const element = document.querySelector(selector);
  let behind = element;
  while (getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
  const light = color => {
    const [r, g, b] = color.match(/[0-9.]+/g).slice(0, 3)
      .map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const pair = [light(getComputedStyle(element).color), light(getComputedStyle(behind).backgroundColor)];
  return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
}"""


@pytest.mark.slow
def test_a_comparison(report, open_page, tmp_path: Path) -> None:
    other = tmp_path / HOSTILE[0].replace("/", "")
    evaluate(["NaCl", "SrTiO3", "NaBr"] * 10, Reference(), seed=3, baselines=False, out=other)
    found = compare([report.folder, other], out=tmp_path / "compare")
    page = open_page(found.folder / "compare.html")
    assert page.evaluate("window.hacked") is None and page.locator("img").count() == 0
    assert other.name in page.locator("thead th").all_inner_texts()
    # What differs is above everything else.
    assert "seed" in page.inner_text(".warning") and "number of candidates" in page.inner_text(".warning")
    top = "selector => document.querySelector(selector).getBoundingClientRect().top"
    assert page.evaluate(top, ".warning") < page.evaluate(top, "h2")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1200
    page.pdf(path=tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").stat().st_size > 10_000


def colored_crystals() -> dict[str, Crystal]:
    """Four atoms of one pure color in each of the two structures of `section`."""
    cube = [[0.0, 0.0, 0.0], [4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]]
    return {
        id: Crystal(
            id,
            {
                "elements": {symbol: {"color": color, "radius": 1.5}},
                "atoms": [[symbol, *place] for place in cube],
                "bonds": [[0, 1]],
                "cell": cube[1:],
            },
            "four atoms",
            "data_cif\n",
            "POSCAR\n",
            {"chgnet": 0.05},
        )
        for id, symbol, color in (("0001-NaBr-1", "Na", "#ff0000"), ("0002-SrZrO3-1", "Sr", "#0000ff"))
    }


@pytest.mark.slow
def test_the_report_opens_with_cards_that_draw_structures(tmp_path: Path, open_page: Any) -> None:
    made = section()
    made = StructureSection(made.content, made.frame, colored_crystals())
    report = evaluate(["NaBr", "SrZrO3", "XeAu2"], Reference(), out=tmp_path / "report").with_structures(made)
    page = open_page(report.folder / "report.html")
    assert "2 relaxed, 2 of them within 0.1 eV/atom" in page.inner_text("h1")
    assert page.locator(".matgen-card h3").all_inner_texts() == ["SrZrO3", "NaBr"]  # lowest above the hull first
    for formula, channel in (("SrZrO3", 2), ("NaBr", 0)):
        page.locator("#crystals a", has_text=formula).click()
        view = page.locator(f'[id="card-{formula}"] .matgen-view')
        page.wait_for_selector(f'[id="card-{formula}"] .matgen-view[data-drawn]')
        page.wait_for_timeout(300)
        colors = np.asarray(Image.open(io.BytesIO(view.screenshot())).convert("RGB"), dtype=int)
        others = [c for c in range(3) if c != channel]
        pure = (colors[..., channel] > 100) & (colors[..., others] < 60).all(axis=-1)
        assert pure.mean() > 0.02, "no atom of its color was drawn"
    before = view.screenshot()
    view.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.wait_for_timeout(300)
    assert view.screenshot() != before
    assert page.evaluate("window.hacked") is None
