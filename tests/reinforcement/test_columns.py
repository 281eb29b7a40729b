from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from matgen.composition.batch import CompositionBatch
from matgen.composition.keys import KeySet
from matgen.datasets import load_dataset
from matgen.datasets.labels import labeled_phases
from matgen.errors import OptionError
from matgen.prediction import Predictor
from matgen.prediction.locate import find_predictor
from matgen.prediction.predicting import predict_table
from matgen.reinforcement.columns import RewardColumns
from matgen.screening import supply
from matgen.validity import COMMON, check, explain

FORMULAS = ["NaCl", "SrTiO3", "LiFeO2", "UCl4", "Na2Al", "KF", "Fe", "LiMnPO4", "CsPbSe"]
FRAME = pd.DataFrame({"formula": FORMULAS})
BATCH = CompositionBatch.from_formulas(FORMULAS)


def test_predicted_columns_are_those_of_predict(of_oqmd: Predictor) -> None:
    names = ["probability_hull_0.05", "Energy_Above_Hull", "formation_energy_std", "in_domain"]
    frame = predict_table(of_oqmd, FRAME, "formula").frame
    columns, inside = RewardColumns(names, predictors=[of_oqmd.folder])(BATCH)
    for name in names:
        np.testing.assert_array_equal(columns[name].astype(float), frame[name.lower()].to_numpy(dtype=float))
    assert inside.tolist() == frame["in_domain"].tolist()


def test_bundled_probabilities_are_those_of_predict() -> None:
    predictor = Predictor.load(find_predictor("formation_energy-oqmd"))
    frame = predict_table(predictor, FRAME, "formula", phases=labeled_phases("oqmd")).frame
    columns, inside = RewardColumns(["probability_hull_0.1"])(BATCH)
    np.testing.assert_array_equal(columns["probability_hull_0.1"], frame["probability_hull_0.1"])
    assert inside.tolist() == frame["in_domain"].tolist()


def test_columns_of_evaluate_screen_and_elements() -> None:
    names = [
        "valid", "balanced_common", "novel", "oxidation_state_score", "cost", "toxic", "num_elements", "NUM_ATOMS",
        "all_metal", "contains(Li)", "fraction(transition_metals)",
    ]  # fmt: skip
    given = RewardColumns(names, reference=("hybrid-pure",))
    assert given.predicted is None  # nothing that is not named is opened
    columns, inside = given(BATCH)
    assert set(columns) == set(names)
    assert inside.all()
    np.testing.assert_array_equal(columns["valid"], check(BATCH).valid)
    np.testing.assert_array_equal(columns["balanced_common"], check(BATCH, COMMON).electronegativity_balanced)
    np.testing.assert_array_equal(columns["oxidation_state_score"], explain(BATCH).commonness.score)
    np.testing.assert_array_equal(columns["cost"], supply(BATCH)["cost"])
    assert columns["toxic"].tolist() == ["Pb" in formula for formula in FORMULAS]
    known = KeySet(load_dataset("hybrid-pure").batch.keys())
    assert columns["novel"].tolist() == (~known.contains(BATCH.keys())).tolist()
    assert columns["num_elements"].tolist() == BATCH.n_elements.tolist()
    assert columns["NUM_ATOMS"].tolist() == BATCH.n_atoms.tolist()
    assert columns["contains(Li)"].tolist() == ["Li" in formula for formula in FORMULAS]
    np.testing.assert_allclose(columns["fraction(transition_metals)"], [0, 0.2, 0.25, 0, 0, 0, 1, 1 / 7, 0])


def test_in_domain_alone_is_that_of_formation_energies() -> None:
    columns, inside = RewardColumns(["in_domain"])(BATCH)
    assert columns["in_domain"].tolist() == inside.tolist()
    assert not inside[FORMULAS.index("Fe")]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("probability_hul_0.05", "did you mean probability_hull_0.05"),
        ("novle", "did you mean novel"),
        ("qqqqqq", "nothing writes; there are charge_neutral"),
        ("rarest_state", "holds text"),
        ("probability_hull_0.07", "did you mean"),
    ],
)
def test_unknown_columns_are_refused_with_those_alike(name: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        RewardColumns([name])


def test_a_column_that_its_predictor_does_not_write_is_refused() -> None:
    with pytest.raises(OptionError, match="does not write is_metal_std"):
        RewardColumns(["is_metal_std"])(BATCH)
