from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from matgen.api.candidates import Candidates, Replacements
from matgen.api.pipeline import Structures
from matgen.evaluation.page.card import Crystal


def table() -> Candidates:
    frame = pd.DataFrame(
        {"formula": ["Fe2O3", "<img>", "NaCl"], "share": [0.123456, None, 1.0], "why": [None, "&", "x"]}
    )
    return Candidates(frame, summary={"rows": 3})


def test_a_table_is_picked_from_and_gone_through() -> None:
    candidates = table()
    assert list(candidates) == candidates.formulas == ["Fe2O3", "<img>", "NaCl"]
    assert candidates["share"].equals(candidates.frame["share"])
    assert candidates.head(1).formulas == ["Fe2O3"]
    assert candidates[candidates.frame["share"].notna()].formulas == ["Fe2O3", "NaCl"]
    assert candidates[[0, 2]].compositions()[0]["Fe"] == 2
    assert repr(candidates) == "Candidates(n=3, Fe2O3, <img>, NaCl; columns: formula, share, why)"


def test_a_notebook_shows_text_as_text() -> None:
    shown = table()._repr_html_()
    assert "Fe<sub>2</sub>O<sub>3</sub>" in shown and "0.1235" in shown
    assert "&lt;img&gt;" in shown and "&amp;" in shown and "<img>" not in shown


def test_cards_are_folded_below_the_table() -> None:
    shown = table()._repr_html_()
    assert shown.index("</table>") < shown.index("<details>") and "<details open" not in shown
    cards = shown[shown.index("<details>") :]
    assert re.findall(r'data-formula="([^"]+)"', cards) == ["Fe2O3", "NaCl"]  # what cannot be read has none
    assert "common, " in cards and "<script" not in cards.replace('<script type="application/json"', "")
    assert "<details>" not in Candidates(pd.DataFrame({"formula": ["?"]}))._repr_html_()
    many = Candidates(pd.DataFrame({"formula": ["NaCl", "KBr", "MgO", "CaO"]}))._repr_html_()
    assert many.count('class="matgen-card"') == 3 and "Cards: NaCl, KBr, MgO" in many


def test_columns_of_a_user_do_not_stop_cards() -> None:
    own = {
        "rank": ["A"],
        "cost": ["cheap"],
        "energy_above_hull": ["-"],
        "decomposition": [3],
        "toxic": ["?"],
        "formula": ["x"],
    }
    frame = pd.DataFrame({"composition": ["NaCl"], **own})
    shown = Candidates(frame, "composition")._repr_html_()
    assert 'data-formula="NaCl"' in shown and "cheap" not in shown[shown.index("<details>") :]


def test_structures_are_drawn_in_their_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = {"elements": {"Na": {"color": "#ab5cf2", "radius": 1.66}}, "atoms": [["Na", 0, 0, 0]], "bonds": [],
             "cell": [[4, 0, 0], [0, 4, 0], [0, 0, 4]]}  # fmt: skip
    crystal = Crystal("1", scene, "one atom", "data_Na", "Na", {"chgnet": 0.0123})
    monkeypatch.setattr("matgen.structure_report.crystals_in", lambda folder: {"Na": crystal})
    frame = pd.DataFrame({"formula": ["Na", "NaCl"]})
    shown = Structures(tmp_path, frame, Candidates(frame), {}, "said")._repr_html_()
    assert shown.count("matgen-still") > 1 and "+0.012" in shown and 'download="Na.cif"' in shown
    monkeypatch.undo()  # no folder of structures there: cards without them
    assert "matgen-view" not in without_style(Structures(tmp_path, frame, Candidates(frame), {}, "said")._repr_html_())


def without_style(html: str) -> str:
    return re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)


def test_replacements_have_a_heat_map_for_each_blank() -> None:
    ways = Replacements(pd.DataFrame({"formula": ["NaCl"]}), positions=[{"Na": 0.7, "K": 0.3}, {"Cl": 1.0}, {}])
    assert ways.heat_map().count("<svg") == 2
    assert Replacements(pd.DataFrame({"formula": ["NaCl"]})).heat_map() == ""
