"""Cost, abundance and concentration of supply, against pymatgen and SMACT."""

from __future__ import annotations

import math

import numpy as np
import pytest
import smact
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.cost import CostAnalyzer, CostDBElements
from pymatgen.analysis.hhi import HHIModel
from pymatgen.core import Composition

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import ATOMIC_NUMBER, PRICE, SYMBOLS
from matgen.screening import COLUMNS, supply

pytestmark = pytest.mark.filterwarnings("ignore:No Pauling electronegativity")

PRICED = [str(symbol) for symbol, price in zip(SYMBOLS, PRICE, strict=True) if not math.isnan(price)]


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(PRICED), st.integers(1, 30), min_size=1, max_size=6))
def test_cost_and_concentration_are_pymatgens(counts: dict[str, int]) -> None:
    formula = "".join(f"{symbol}{count}" for symbol, count in counts.items())
    found = supply(CompositionBatch.from_formulas([formula])).iloc[0]
    assert found["cost"] == pytest.approx(
        CostAnalyzer(CostDBElements()).get_cost_per_kg(Composition(formula)), rel=1e-6
    )
    production, reserve = HHIModel().get_hhi(Composition(formula))
    if production is not None and not math.isnan(found["hhi_production"]):
        assert found["hhi_production"] == pytest.approx(production, rel=1e-3)
        assert found["hhi_reserve"] == pytest.approx(reserve, rel=1e-3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([str(symbol) for symbol in SYMBOLS[1:]]), min_size=1, max_size=6, unique=True))
def test_the_scarcest_element_is_smacts(symbols: list[str]) -> None:
    found = supply(CompositionBatch.from_formulas(["".join(symbols)])).iloc[0]
    known = {s: smact.Element(s).crustal_abundance if ATOMIC_NUMBER[s] <= 103 else None for s in symbols}
    if None in known.values():
        assert math.isnan(found["crustal_abundance"])
        assert known[found["scarcest_element"]] is None
    else:
        assert found["crustal_abundance"] == min(known.values())
        assert known[found["scarcest_element"]] == min(known.values())


def test_columns_and_groups() -> None:
    found = supply(CompositionBatch.from_formulas(["NaCl", "CdTe", "UO2", "PuCl3", "Xe"]))
    assert list(found) == list(COLUMNS)
    assert found["toxic"].tolist() == [False, True, False, False, False]
    assert found["radioactive"].tolist() == [False, False, True, True, False]
    assert np.isnan(found["cost"][3])
    assert len(supply(CompositionBatch.from_formulas([]))) == 0
