"""Cards in a real browser: structures drawn and turned, files that read back, commands copied, wide and narrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from matgen.evaluation.page.assets import asset
from matgen.evaluation.page.card import CARD_SCRIPTS, CARD_STYLE, Crystal, candidate_cards, cards_html
from matgen.structure_report import crystal_of
from tests.evaluation.test_browser import CONTRAST, browser, open_page  # noqa: F401

Axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed (extra dev)").Axe

HEAD = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Cards</title>'
    "<style>html {{ color-scheme: light dark; }} {}</style></head>"
)
FORMULAS = ["NaCl", "CsPbSe", "Fe3O4", "Na2Cl", "UO2"]
SALT = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])


def crystal(formula: str = "NaCl") -> Crystal:
    row = {"structure_id": f"0001-{formula}-1", "space_group": 225, "origin": "template", "template": "aflow:x"}
    return crystal_of(SALT.get_primitive_structure(), {**row, "energy_above_hull_chgnet": 0.312})


def write(path: Path, body: str, scripts: bool = True) -> Path:
    """A page of its own around cards."""
    drawn = "".join(f"<script>{asset(name)}</script>" for name in CARD_SCRIPTS) if scripts else ""
    page = f"{HEAD.format(asset(CARD_STYLE))}<body><main><h2>Cards</h2>{body}</main>{drawn}</body></html>"
    path.write_text(page, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frame = pd.DataFrame({"formula": FORMULAS, "energy_above_hull": [0.01, -0.4, 0.05, 0.2, 0.0]})
    frame = frame.assign(**{"probability_hull_0.1": 0.9, "decomposition": ["0.50 Na + 0.50 Cl", *[None] * 4]})
    body = cards_html(candidate_cards(frame, {"NaCl": crystal()}), [("basket", "Add to basket")])
    return write(tmp_path_factory.mktemp("cards") / "cards.html", str(body))


def drawn(page: Any) -> Any:
    page.wait_for_selector(".matgen-view[data-drawn]")
    page.wait_for_timeout(300)
    return page.locator(".matgen-view")


@pytest.mark.slow
@pytest.mark.parametrize(("label", "name", "format"), [("CIF", "NaCl.cif", "cif"), ("POSCAR", "NaCl.vasp", "poscar")])
def test_a_file_reads_back_as_the_structure(
    cards: Path,
    open_page: Any,  # noqa: F811
    tmp_path: Path,
    label: str,
    name: str,
    format: str,
) -> None:
    page = open_page(cards)
    with page.expect_download() as waiting:
        page.get_by_role("link", name=f"{label} of NaCl").click()
    assert waiting.value.suggested_filename == name
    waiting.value.save_as(tmp_path / name)
    read = Structure.from_str((tmp_path / name).read_text(), fmt=format)
    assert len(read) == 8 and StructureMatcher(ltol=0.001, stol=0.001, angle_tol=0.01).fit(read, SALT)


@pytest.mark.slow
def test_a_structure_is_drawn_and_turned_by_keys(cards: Path, open_page: Any) -> None:  # noqa: F811
    page = open_page(cards)
    view = drawn(page)
    assert view.locator("canvas").count() >= 1 and view.locator(".matgen-still").count() == 0
    seen = [view.screenshot()]
    view.focus()
    for key in ("ArrowRight", "ArrowDown", "+"):
        page.keyboard.press(key)
        page.wait_for_timeout(300)
        seen.append(view.screenshot())
    assert len(set(seen)) == len(seen), "a key changed nothing"


@pytest.mark.slow
def test_the_wheel_scrolls_the_page_until_a_structure_is_clicked(cards: Path, open_page: Any) -> None:  # noqa: F811
    page = open_page(cards)
    drawn(page).hover()
    page.mouse.wheel(0, 100)
    page.wait_for_function("window.scrollY > 50")
    before = page.evaluate("window.scrollY")
    page.locator(".matgen-view").click()
    page.mouse.wheel(0, 100)
    page.wait_for_timeout(300)
    assert page.evaluate("window.scrollY") == before


@pytest.mark.slow
def test_a_command_is_copied(cards: Path, open_page: Any) -> None:  # noqa: F811
    page = open_page(cards, permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy as command for NaCl").click()
    page.wait_for_selector("text=Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "echo 'NaCl' | matgen structure - --out NaCl"
    page.wait_for_selector("text=Copied", state="hidden")
    # A page that may not write there itself copies what is selected.
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.get_by_role("button", name="Copy as command for UO2").click()
    page.wait_for_selector("text=Copied")
    assert page.evaluate("getSelection().toString()") == "echo 'UO2' | matgen structure - --out UO2"


@pytest.mark.slow
def test_a_button_tells_the_page_once(cards: Path, open_page: Any) -> None:  # noqa: F811
    page = open_page(cards)
    page.evaluate("""() => {
        window.told = [];
        document.body.addEventListener("matgen-card", (event) => window.told.push(event.detail));
        window.matgenCards.attach(document); window.matgenCards.attach(document.body);
    }""")
    page.get_by_role("button", name="Add to basket for Fe3O4").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("window.told") == [{"action": "basket", "formula": "Fe3O4"}]


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_and_everybody_can_read_it(cards: Path, open_page: Any, scheme: str, width: int) -> None:  # noqa: F811
    page = open_page(cards, color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    drawn(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    verdicts = [f".matgen-verdicts .{kind}" for kind in ("good", "warn", "bad")]
    ions = [f".matgen-ions .{level} small" for level in ("common", "rare")]
    values = [f".value.{kind}" for kind in ("good", "warn", "bad")]
    for selector in (*verdicts, *ions, *values, ".remark", ".note", "dt", "code", ".matgen-button", "figcaption"):
        assert page.evaluate(CONTRAST, selector) >= 4.5, selector
    found = [one for one in Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")]
    assert not found, [(one["id"], [node["html"][:80] for node in one["nodes"]]) for one in found]


@pytest.mark.slow
def test_without_a_script_a_still_picture_and_files(cards: Path, open_page: Any) -> None:  # noqa: F811
    page = open_page(cards, java_script_enabled=False)
    assert page.locator(".matgen-view .matgen-still circle").count() > 8
    assert page.get_by_role("link", name="POSCAR of NaCl").is_visible()
    assert not page.locator(".matgen-copy").first.is_visible() and page.locator("code").first.is_visible()


@pytest.mark.slow
def test_many_structures_share_a_few_contexts(tmp_path: Path, open_page: Any) -> None:  # noqa: F811
    names = [f"Na{n}Cl{m}" for n in range(1, 8) for m in range(1, 8) if n == 1 or m == 1] + ["KCl", "KBr", "KI", "LiF"]
    frame = pd.DataFrame({"formula": names})
    body = cards_html(candidate_cards(frame, {card.formula: crystal(card.formula) for card in candidate_cards(frame)}))
    page = open_page(write(tmp_path / "many.html", str(body)))
    last = page.locator(".matgen-view").last
    count = page.locator(".matgen-view").count()
    assert count == len(names) > 14
    for i in range(count):
        page.locator(".matgen-view").nth(i).scroll_into_view_if_needed()
        page.locator(".matgen-view[data-drawn]").nth(min(i, 11)).wait_for()
        page.wait_for_timeout(50)
    assert page.locator(".matgen-view[data-drawn]").count() <= 12
    assert last.get_attribute("data-drawn") == "yes"
    first = page.locator(".matgen-view").first
    assert first.get_attribute("data-drawn") is None and first.locator(".matgen-still").count() == 1
    # All in sight at once: the ones beyond a dozen stay still pictures.
    page.set_viewport_size({"width": 1200, "height": 9000})
    page.wait_for_timeout(1000)
    assert page.locator(".matgen-view[data-drawn]").count() == 12
    assert page.locator(".matgen-still").count() == count - 12
