"""The metallicity score against SMACT's own."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Composition
from smact.metallicity import metallicity_score as of_smact

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import SYMBOLS
from matgen.datasets import load_dataset
from matgen.validity import INTERMETALLIC, metallicity_score


def expected(formula: str) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return of_smact(Composition(formula))


def test_bundled_compositions_get_smacts_score() -> None:
    every = load_dataset("hybrid").batch
    batch = every[np.random.default_rng(5).choice(len(every), 2_000, replace=False)]
    found = metallicity_score(batch)
    assert found == pytest.approx([expected(str(formula)) for formula in batch.formulas()], abs=1e-9)
    assert 0.1 < (found >= INTERMETALLIC).mean() < 0.9


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(SYMBOLS[1:104].tolist()), st.integers(1, 40), min_size=2, max_size=7))
def test_any_composition_gets_smacts_score(formula: dict[str, int]) -> None:
    text = "".join(f"{symbol}{count}" for symbol, count in formula.items())
    batch = CompositionBatch.from_formulas([text])
    assert metallicity_score(batch)[0] == pytest.approx(expected(text), abs=1e-9)


def test_a_heusler_compound_is_intermetallic_and_an_oxide_is_not() -> None:
    # Padding beside longer formulas changes nothing; SMACT does not know rutherfordium.
    batch = CompositionBatch.from_formulas(["Co2MnSi", "SrTiO3", "Li7La3Zr2O12", "O2", "RfO2"])
    found = metallicity_score(batch)
    assert (found[:4] >= INTERMETALLIC).tolist() == [True, False, False, False]
    assert found[0] == metallicity_score(batch[:1])[0] and np.isnan(found[4])


def test_no_rows() -> None:
    assert metallicity_score(CompositionBatch.from_formulas([])).shape == (0,)
