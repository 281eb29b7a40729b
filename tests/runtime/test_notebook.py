from __future__ import annotations

import math

from matgen.runtime.notebook import cell_html, facts_html, formula_html


def test_formulas_have_subscripts() -> None:
    assert formula_html("Ca3(PO4)2") == "Ca<sub>3</sub>(PO<sub>4</sub>)<sub>2</sub>"
    assert formula_html("Li0.5CoO2") == "Li<sub>0.5</sub>CoO<sub>2</sub>"
    assert formula_html("2<i>") == "2&lt;i&gt;"


def test_cells_say_what_is_there() -> None:
    shown = {1.23456: "1.235", True: "True", 3: "3", "<": "&lt;", None: ""}
    assert {value: cell_html(value) for value in shown} == shown
    assert cell_html(math.nan) == ""
    assert "<td>unit</td>" not in facts_html("Predictor", [("unit", None), ("kind", "trees")])
