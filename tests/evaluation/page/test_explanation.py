"""Lines on the oxidation states of one formula, for the app's card."""

from __future__ import annotations

import pytest

from matgen.errors import FormulaError
from matgen.evaluation.page.explanation import states_in_words


def test_a_rare_state_and_an_intermetallic_are_warnings() -> None:
    common, score, metallic = states_in_words("CsPbSe")
    assert common == ("Balanced by common states: no", False)
    assert "rarest is Pb+1, 0.06 %" in score[0] and score[1] and not metallic[1]
    common, score, metallic = states_in_words("SrTiO3")
    assert common[0].endswith("yes") and not score[1] and not metallic[1]
    assert states_in_words("Co2MnSi")[2] == (
        "Metallicity score: 0.78: an intermetallic: oxidation states say little of it", True,
    )  # fmt: skip


def test_mixed_valence_comes_first() -> None:
    assert states_in_words("Fe3O4")[0] == ("Passes with mixed valence: Fe2+ 2Fe3+ 4O2-", False)
    assert states_in_words("Fe") == []
    with pytest.raises(FormulaError):
        states_in_words("Xx2")
