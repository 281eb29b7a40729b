"""Magpie features against matminer's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Composition

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import SYMBOLS
from matgen.prediction.magpie import feature_names, magpie_features, magpie_table

matminer = pytest.importorskip("matminer.featurizers.composition")


@pytest.fixture(scope="module")
def featurizer():
    return matminer.ElementProperty.from_preset("magpie", impute_nan=False)


def by_matminer(featurizer, formula: str) -> dict[str, float]:
    labels = [label.removeprefix("MagpieData ") for label in featurizer.feature_labels()]
    return dict(zip(labels, featurizer.featurize(Composition(formula)), strict=True))


def test_the_table_is_matminers(featurizer) -> None:
    assert len(COMPLETE) > 80
    names, table = magpie_table()
    assert list(names) == featurizer.features
    for z in (1, 8, 26, 57, 92, 103):
        theirs = [featurizer.data_source.get_elemental_property(_element(z), name) for name in names]
        assert table[z] == pytest.approx(theirs, nan_ok=True)


def _element(z: int):
    from pymatgen.core import Element

    return Element.from_Z(z)


COMPLETE = np.flatnonzero(np.isfinite(magpie_table()[1]).all(axis=1)).tolist()


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(COMPLETE), st.integers(1, 9), min_size=1, max_size=6))
def test_features_are_matminers(featurizer, counts: dict[int, int]) -> None:
    formula = "".join(f"{SYMBOLS[z]}{n}" for z, n in counts.items())
    expected = by_matminer(featurizer, formula)
    found = magpie_features(CompositionBatch.from_formulas([formula]))[0]
    assert set(expected) == set(feature_names())
    for name, value in zip(feature_names(), found, strict=True):
        assert value == pytest.approx(expected[name], rel=1e-4, abs=1e-4), name


def test_batches_and_elements_without_values() -> None:
    formulas = ["SrTiO3", "NaCl", "OgF2", "Fe"]
    whole = magpie_features(CompositionBatch.from_formulas(formulas))
    assert whole.shape == (4, 132)
    for row, formula in zip(whole, formulas, strict=True):
        alone = magpie_features(CompositionBatch.from_formulas([formula]))[0]
        assert row == pytest.approx(alone, nan_ok=True)
    assert np.isfinite(whole[[0, 1, 3]]).all()
    assert np.isnan(whole[2]).any()
