from __future__ import annotations

import numpy as np
import pandas as pd

from matgen.composition.batch import CompositionBatch
from matgen.datasets import load_dataset
from matgen.datasets.storage import data_folder
from matgen.evaluation.facts import facts


def test_what_is_known_of_known_compositions() -> None:
    found = facts(CompositionBatch.from_formulas(["SrTiO3", "Ti3Sr3O9", "Ba7SrTi8O24"]))
    assert found["made"].tolist() == [True, True, False]
    assert found["energy_above_hull"][0] == found["energy_above_hull"][1] and np.isnan(found["energy_above_hull"][2])


def test_distances_are_the_tables() -> None:
    hybrid = load_dataset("hybrid")
    rows = np.random.default_rng(0).permutation(len(hybrid.batch))[:500]
    frame = hybrid.frame.iloc[rows]
    expected = frame["energy_above_hull_mp"].fillna(frame[["hull_distance_oqmd", "hull_distance_mp"]].min(axis=1))
    np.testing.assert_allclose(facts(hybrid.batch[rows])["energy_above_hull"], expected, rtol=1e-6)


def test_compounds_that_are_for_testing_do_not_count_as_made() -> None:
    held_back = pd.read_parquet(data_folder() / "experimental.parquet").query("testing")["formula"]
    assert not facts(CompositionBatch.from_formulas(held_back.astype(str)))["made"].any()
