from __future__ import annotations

import numpy as np
import pytest

import matgen
from matgen.errors import OptionError
from matgen.validity import ValidityRules, explain


def test_verdicts_are_those_of_the_kernel_with_reasons() -> None:
    formulas = ["NaCl", "NaCl2", "CuZn", "Fe3O4"] * 4
    checked, oracle = matgen.check(formulas), explain(formulas)
    assert np.array_equal(checked.valid, oracle.validity.valid)
    assert checked.to_frame()["reason"].tolist() == oracle.reason.tolist()
    assert repr(checked) == "Checked(n=16: 4 charge neutral, 4 balanced, 4 valid)"
    assert "the first 10 of 16" in checked._repr_html_()
    assert not checked and matgen.check("NaCl")


def test_a_notebook_has_cards_by_the_same_rules() -> None:
    shown = matgen.check(["Fe3O4", "CuZn"])._repr_html_()
    assert "valid with mixed valence" in shown and "valid as an alloy" not in shown
    assert "valid as an alloy" in matgen.check("CuZn", include_alloys=True)._repr_html_()
    assert "valid with mixed valence" not in matgen.check("NaCl")._repr_html_()


def test_rules_are_given_once() -> None:
    rules = ValidityRules(include_alloys=True)
    assert (
        matgen.check("CuZn", rules).valid.tolist() == matgen.check("CuZn", include_alloys=True).valid.tolist() == [True]
    )
    with pytest.raises(OptionError, match="the rules are given twice"):
        matgen.check("CuZn", rules, include_alloys=True)
    with pytest.raises(OptionError, match="did you mean include_alloys"):
        matgen.check("CuZn", include_aloys=True)
