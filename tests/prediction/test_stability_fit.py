"""Probabilities of stability learned where predictions fail; scikit-learn is the oracle of the figures."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from matgen.composition.batch import CompositionBatch
from matgen.composition.keys import KeySet
from matgen.datasets import load_dataset
from matgen.datasets.labels import labeled_phases
from matgen.prediction import Predictor, bundled_property, forest_fit, stability_fit
from matgen.prediction.locate import find_predictor
from matgen.prediction.stability import stability
from matgen.prediction.stability_fit import (
    CrossFitted,
    StabilityRows,
    fit_stability,
    novel_shift,
    relaxed_draws,
    shifted_by_other_folds,
    stability_figures,
    stability_rows,
)
from matgen.prediction.stability_model import LIMITS, OFF, StabilityModel

pytest.importorskip("lightgbm")
SOURCE = "oqmd"


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load(find_predictor(f"formation_energy-{SOURCE}"))


@pytest.fixture(scope="module")
def rows() -> StabilityRows:
    """A tenth of what the bundled model learns from."""
    held_out, energy = bundled_property("formation_energy", SOURCE).of("valid")
    whole = stability_rows(SOURCE, held_out, energy)
    some = np.random.default_rng(0).permutation(len(whole.batch))[:8_000]
    return StabilityRows(whole.batch[some], whole.distance[some], whole.origin[some])


@pytest.fixture(scope="module")
def fitted(predictor: Predictor, rows: StabilityRows) -> tuple[StabilityModel, CrossFitted]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forest_fit, "_ROUNDS", 60)
        return fit_stability(predictor, rows)


def test_what_it_learns_from_is_unseen_and_never_a_test_row(rows: StabilityRows) -> None:
    dataset = load_dataset("hybrid")
    test = KeySet(dataset.batch[np.flatnonzero(dataset.frame["split_oqmd"] == "test")].keys())
    train = KeySet(dataset.batch[np.flatnonzero(dataset.frame["split_oqmd"] == "train")].keys())
    keys = rows.batch.keys()
    assert not test.contains(keys).any()
    assert not train.contains(keys).any()
    frame = dataset.frame.set_index("formula").loc[rows.batch.formulas()[rows.origin == "other_source"]]
    assert not frame["in_oqmd"].any() and frame["in_mp"].all()


def test_distances_are_those_of_the_bundled_table(rows: StabilityRows) -> None:
    frame = load_dataset("hybrid").frame.set_index("formula")
    held_out = np.flatnonzero(rows.origin == "held_out")[:500]
    expected = frame.loc[rows.batch.formulas()[held_out], "hull_distance_oqmd"].to_numpy()
    assert rows.distance[held_out] == pytest.approx(expected, abs=1e-4)


def test_drawn_compositions_are_in_no_database() -> None:
    batch, distance = relaxed_draws()
    known = KeySet(load_dataset("hybrid").batch.keys())
    assert len(batch) > 50
    assert not known.contains(batch.keys()).any()
    assert np.isfinite(distance).all()


def test_folds_hold_whole_chemical_systems(rows: StabilityRows) -> None:
    folds, systems = rows.folds(), rows.batch.chemical_systems()
    fold_of: dict[str, int] = {}
    assert all(fold_of.setdefault(system, fold) == fold for system, fold in zip(systems, folds, strict=True))
    assert set(folds) == set(range(5))


def test_better_than_the_spread_outside_the_families(
    predictor: Predictor, fitted: tuple[StabilityModel, CrossFitted]
) -> None:
    _, said = fitted
    chosen = said.rows.origin == "other_source"
    batch, truth = said.rows.batch[np.flatnonzero(chosen)], said.rows.distance[chosen]
    plain = Predictor(predictor.members, predictor.metadata, predictor.calibration, selection=predictor.selection)
    by_spread = stability(batch, plain.predict(batch), plain, labeled_phases(SOURCE))
    for column, limit in enumerate(LIMITS):
        true = truth <= limit
        brier = brier_score_loss(true, said.probability[chosen, column])
        assert brier < 0.85 * true.mean() * (1 - true.mean())
        assert brier < 0.7 * brier_score_loss(true, by_spread[f"probability_hull_{limit:g}"])
    assert roc_auc_score(said.is_off[chosen], said.off[chosen]) > 0.75


def test_figures_are_scikit_learns(fitted: tuple[StabilityModel, CrossFitted]) -> None:
    model, said = fitted
    figures = stability_figures(said, model.most_off)
    for origin in ("held_out", "other_source"):
        chosen = said.rows.origin == origin
        for column, limit in enumerate(LIMITS):
            true, told = said.rows.distance[chosen] <= limit, said.probability[chosen, column]
            assert figures[origin][f"{limit:g}"]["brier"] == pytest.approx(brier_score_loss(true, told), abs=1e-4)
            assert figures[origin][f"{limit:g}"]["found"] == pytest.approx(true.mean(), abs=1e-4)
    shifted = (said.rows.origin != "held_out") & ~said.is_off
    assert (said.off[shifted] > model.most_off).mean() == pytest.approx(0.1, abs=0.005)


def test_probabilities_rise_with_the_limit_and_come_back_from_arrays(
    predictor: Predictor, fitted: tuple[StabilityModel, CrossFitted]
) -> None:
    model, said = fitted
    batch = said.rows.batch[:300]
    whole = stability_fit.said_of(predictor, batch, labeled_phases(SOURCE).decompose(batch).energy)
    features = model.features(batch, whole)
    assert np.isfinite(features).all()
    probability = model.probabilities(batch, features)
    assert (np.diff(probability, axis=1) >= 0).all() and (probability > 0).all() and (probability < 1).all()
    again = StabilityModel.from_arrays(SOURCE, model.arrays())
    assert np.array_equal(again.probabilities(batch, features), probability)
    assert again.most_off == model.most_off and OFF == 0.3


def test_a_predictor_keeps_it(predictor: Predictor, fitted: tuple[StabilityModel, CrossFitted], tmp_path) -> None:
    model, _ = fitted
    with_model = Predictor(predictor.members, predictor.metadata, predictor.calibration, stability=model)
    with_model.save(tmp_path / "saved")
    again = Predictor.load(tmp_path / "saved")
    batch = CompositionBatch.from_formulas(["NaCl", "SrTiO3", "Cs3NaFe2", "F2"])
    one, other = (stability(batch, p.predict(batch), p, labeled_phases(SOURCE)) for p in (with_model, again))
    assert one.equals(other)
    with_model.stability = None
    with_model.save(tmp_path / "saved")
    assert Predictor.load(tmp_path / "saved").stability is None


def test_novel_compositions_are_shifted_to_what_is_found(rows: StabilityRows) -> None:
    drawn, distance = relaxed_draws()
    rng = np.random.default_rng(0)
    origin = np.full(len(drawn), "drawn", dtype=object)
    odds = rng.normal(2.0, 1.0, (len(drawn), 1)) + np.array([[0.0, 0.5, 1.0]])
    said = CrossFitted(StabilityRows(drawn, distance, origin), distance, 1 / (1 + np.exp(-odds)), np.zeros(len(drawn)))
    shift = novel_shift(said, np.ones(len(drawn), dtype=bool))
    for column, limit in enumerate(LIMITS):
        mean = (1 / (1 + np.exp(-odds[:, column] - shift[column]))).mean()
        assert mean == pytest.approx(((distance <= limit).sum() + 0.5) / (len(drawn) + 1), abs=1e-6)
    again = shifted_by_other_folds(said)
    assert again.probability.mean(axis=0) == pytest.approx([(distance <= limit).mean() for limit in LIMITS], abs=0.1)
    nothing = replace(said, rows=replace(said.rows, origin=np.full(len(drawn), "held_out", dtype=object)))
    assert novel_shift(nothing, np.ones(len(drawn), dtype=bool)).tolist() == [0, 0, 0]
    assert np.array_equal(shifted_by_other_folds(nothing).probability, said.probability)
