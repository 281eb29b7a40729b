from __future__ import annotations

import pandas as pd

from matgen.api.candidates import Candidates, Replacements


def table() -> Candidates:
    frame = pd.DataFrame({"formula": ["Fe2O3", "<b>", "NaCl"], "share": [0.123456, None, 1.0], "why": [None, "&", "x"]})
    return Candidates(frame, summary={"rows": 3})


def test_a_table_is_picked_from_and_gone_through() -> None:
    candidates = table()
    assert list(candidates) == candidates.formulas == ["Fe2O3", "<b>", "NaCl"]
    assert candidates["share"].equals(candidates.frame["share"])
    assert candidates.head(1).formulas == ["Fe2O3"]
    assert candidates[candidates.frame["share"].notna()].formulas == ["Fe2O3", "NaCl"]
    assert candidates[[0, 2]].compositions()[0]["Fe"] == 2
    assert repr(candidates) == "Candidates(n=3, Fe2O3, <b>, NaCl; columns: formula, share, why)"


def test_a_notebook_shows_text_as_text() -> None:
    shown = table()._repr_html_()
    assert "Fe<sub>2</sub>O<sub>3</sub>" in shown and "0.1235" in shown
    assert "&lt;b&gt;" in shown and "&amp;" in shown and "<b>" not in shown


def test_replacements_have_a_heat_map_for_each_blank() -> None:
    ways = Replacements(pd.DataFrame({"formula": ["NaCl"]}), positions=[{"Na": 0.7, "K": 0.3}, {"Cl": 1.0}, {}])
    assert ways.heat_map().count("<svg") == 2
    assert Replacements(pd.DataFrame({"formula": ["NaCl"]})).heat_map() == ""
