from __future__ import annotations

import math

from matgen.runtime.notebook import cell_html, facts_html, formula_html


def test_formulas_have_subscripts() -> None:
    assert formula_html("Ca3(PO4)2") == "Ca<sub>3</sub>(PO<sub>4</sub>)<sub>2</sub>"
    assert formula_html("Li0.5CoO2") == "Li<sub>0.5</sub>CoO<sub>2</sub>"
    assert formula_html("2<i>") == "2&lt;i&gt;"


def test_cells_say_what_is_there() -> None:
    assert [cell_html(value) for value in (None, math.nan, 1.23456, True, 3, "<")] == [
        "",
        "",
        "1.235",
        "True",
        "3",
        "&lt;",
    ]
    assert "<td>unit</td>" not in facts_html("Predictor", [("unit", None), ("kind", "trees")])
