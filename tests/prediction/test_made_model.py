from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from matgen.composition.batch import CompositionBatch
from matgen.composition.keys import KeySet
from matgen.datasets import data_folder, load_dataset
from matgen.errors import CheckpointError
from matgen.io.weights import load_arrays, save_arrays
from matgen.prediction import made_model
from matgen.prediction.made_fit import MadeRows, cross_fit, fit_made, made_rows
from matgen.prediction.made_model import (
    MadeModel,
    bundled_made_model,
    corrected,
    made_feature_names,
    made_features,
)

DRAWN = CompositionBatch.from_formulas(["Ba7SrTi8O24", "K5Rb3Cl8", "SrTiO3", "Cs9Na7Br16", "AcTbPmI7"])


def test_features_have_names_and_no_gaps() -> None:
    features = made_features(CompositionBatch.from_formulas(["SrTiO3", "Fe3Al", "LiO1000", "HeNe", "RfO2"]))
    assert features.shape == (5, len(made_feature_names())) and np.isfinite(features).all()
    column = {name: features[:, place] for place, name in enumerate(made_feature_names())}
    assert column["oxidation_state_score"][0] == pytest.approx(1.0) and column["num_atoms"][0] == 5
    assert column["balanced"].tolist()[:2] == [1, 0]


def test_what_is_for_testing_is_never_learned_from() -> None:
    held_back = load_dataset("experimental-test").batch
    rows = made_rows(CompositionBatch.concatenate([DRAWN, held_back[:50]]), 500)
    assert not KeySet(held_back.keys()).contains(rows.batch.keys()).any()
    assert rows.made.sum() == (load_dataset("experimental").batch.n_elements > 1).sum()


def test_rows_are_of_three_origins_none_twice() -> None:
    rows = made_rows(DRAWN, 300)
    assert len(np.unique(rows.batch.keys(), axis=0)) == len(rows.batch)
    assert sorted(set(rows.origin)) == ["database", "drawn", "made"]
    hybrid, made = (KeySet(load_dataset(name).batch.keys()) for name in ("hybrid", "experimental"))
    keys = rows.batch.keys()
    assert not hybrid.contains(keys[rows.origin == "drawn"]).any()
    assert hybrid.contains(keys[rows.origin == "database"]).all()
    assert not made.contains(keys[rows.origin == "database"]).any()
    weights = rows.weights()
    assert weights[rows.made].tolist() == [1.0] * rows.made.sum()
    drawn, database = (weights[rows.origin == origin].sum() for origin in ("drawn", "database"))
    assert drawn == pytest.approx(database)


def test_the_correction_is_that_of_elkan_and_noto() -> None:
    """Of simulated rows of which a share is labeled, the corrected probability is that of being positive."""
    rng = np.random.default_rng(0)
    chance = rng.uniform(size=200_000)
    positive = rng.uniform(size=len(chance)) < chance
    labeled = positive & (rng.uniform(size=len(chance)) < 0.25)
    of_label = 0.25 * chance  # what a perfect classifier of labels says
    share = of_label[labeled].mean() / chance[labeled].mean()
    assert share == pytest.approx(0.25)
    assert corrected(of_label, share) == pytest.approx(chance)
    assert corrected(np.array([0.9]), 0.5).tolist() == [1.0]


def test_trees_do_not_judge_systems_that_they_have_seen() -> None:
    """Oxides are made and nitrides are not; but a system that is all of its fold is judged by the others alone."""
    rng = np.random.default_rng(0)
    metals = ["Li", "Na", "K", "Mg", "Ca", "Sr", "Ba", "Al", "Ga", "In", "Ti", "Zr", "Fe", "Co", "Ni", "Cu", "Zn", "Y"]
    formulas = {
        f"{a}{rng.integers(1, 9)}{b}{rng.integers(1, 9)}{anion}{rng.integers(1, 9)}"
        for a in metals for b in metals if a < b for anion in ("O", "N") for _ in range(3)
    }  # fmt: skip
    batch = CompositionBatch.from_formulas(sorted(formulas))
    batch = batch[np.unique(batch.keys(), axis=0, return_index=True)[1]]
    made = (batch.elements == 8).any(axis=1)
    rows = MadeRows(batch, np.where(made, "made", "drawn").astype(object))
    model, probability = fit_made(rows)
    assert roc_auc_score(made, probability) > 0.95
    # Labels that have nothing to do with the composition cannot be foretold, unless they were seen.
    at_random = MadeRows(batch, np.where(rng.uniform(size=len(batch)) < 0.5, "made", "drawn").astype(object))
    features = made_features(batch)
    unseen = cross_fit(at_random, features, batch, features)
    assert abs(roc_auc_score(at_random.made, unseen) - 0.5) < 0.1
    seen, _ = fit_made(at_random)
    assert roc_auc_score(at_random.made, seen.probability(batch)) > 0.7
    again = MadeModel.from_arrays(model.arrays())
    np.testing.assert_array_equal(again.probability(batch), model.probability(batch))


def test_the_bundled_model_tells_minerals_from_what_nobody_made() -> None:
    model = bundled_made_model()
    made = model.probability(CompositionBatch.from_formulas(["ZnS", "CaF2", "MgAl2O4", "PbTe", "Na2SO4"]))
    never = model.probability(CompositionBatch.from_formulas(["AcTbPmI7", "Ba7SrTi8PaO24", "PmAcLuRh"]))
    assert made.min() > never.max()
    assert (data_folder() / "predictors" / made_model.FILE).stat().st_size < 1_000_000


def test_a_damaged_file_is_named(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "predictors").mkdir()
    monkeypatch.setattr(made_model, "data_folder", lambda: tmp_path)
    bundled_made_model.cache_clear()
    try:
        with pytest.raises(CheckpointError, match=r"cannot open .*made.safetensors.*install matgen again"):
            bundled_made_model()
        save_arrays({"other": np.zeros(2)}, tmp_path / "predictors" / made_model.FILE)
        with pytest.raises(CheckpointError, match=r"cannot open .*made.safetensors"):
            bundled_made_model()
    finally:
        bundled_made_model.cache_clear()


def test_what_is_saved_is_what_is_loaded(tmp_path) -> None:
    arrays = bundled_made_model().arrays()
    save_arrays(arrays, tmp_path / "made.safetensors")
    loaded = MadeModel.from_arrays(load_arrays(tmp_path / "made.safetensors"))
    batch = CompositionBatch.from_formulas(["SrTiO3", "KCl"])
    np.testing.assert_array_equal(loaded.probability(batch), bundled_made_model().probability(batch))
