from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matgen.composition.batch import CompositionBatch
from matgen.errors import DataError, OptionError
from matgen.prediction.features import (
    MOST_CATEGORIES,
    Feature,
    FeaturedBatch,
    chosen_features,
    described,
    with_features,
)
from tests.prediction.user_tables import hardness_table


def test_what_columns_are() -> None:
    frame = hardness_table(40)
    frame.loc[3, "temperature"] = np.nan
    frame["flag"] = [True, False] * 20
    features, left_out = chosen_features(frame, ["all"], ["formula", "hardness", "paper"])
    named = {one.name: one for one in features}
    assert set(named) == {"temperature", "method", "state", "rank", "flag"}
    assert (named["temperature"].low, named["temperature"].high) == (300, 600)
    assert named["temperature"].missing == pytest.approx(1 / 40)
    assert named["method"].values == ("cold", "hot", "spark")
    assert named["flag"].type == "number"
    assert left_out == {
        "doi": f"40 different texts in 40 rows are no categories (at most {MOST_CATEGORIES}, each in several rows)"
    }
    assert str(named["temperature"]) == "temperature (number, 300 to 600, missing in 3 %)"
    assert str(named["method"]) == "method (category: cold, hot, spark)"
    for one in features:
        assert Feature.from_json(one.as_json()) == one


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([None, " ", None, np.nan], "column c: empty"),
        ([2, 2, 2.0, None], "column c: 2 in every row"),
        (["x", "x", None, "x"], "column c: 'x' in every row"),
        (["1", "2", "three", "4"], "column c: 'three' in row 3 is not a number, as most of its cells are"),
        (["p", "q", "r", "s"], "4 different texts in 4 rows are no categories"),
    ],
)
def test_columns_that_are_no_features(cells: list, message: str) -> None:
    with pytest.raises(DataError, match=message):
        described("c", pd.Series(cells, dtype=object))


def test_names_that_cannot_be_features() -> None:
    frame = hardness_table(20)
    with pytest.raises(DataError, match="no column 'x' for --features; the table has formula, temperature"):
        chosen_features(frame, ["x"], [])
    with pytest.raises(OptionError, match="hardness is the formula, a target or the group"):
        chosen_features(frame, ["hardness"], ["hardness"])
    with pytest.raises(OptionError, match="a column twice"):
        chosen_features(frame, ["method", "method"], [])


def test_rows_are_read_by_the_description() -> None:
    frame = pd.DataFrame({"m": ["hot", " cold", None, "new", ""], "t": ["1", 2.0, None, 900, " "], "other": 0})
    schema = (Feature("t", "number", low=0, high=2, spread=1.0), Feature("m", "category", ("cold", "hot")))
    batch = CompositionBatch.from_formulas(["NaCl", "KCl", "LiF", "MgO", "CaO"])
    found = with_features(batch, frame, schema)
    assert isinstance(found, FeaturedBatch)
    assert found.features == pytest.approx(
        np.array([[1, 1], [2, 0], [np.nan] * 2, [900, np.nan], [np.nan] * 2]), nan_ok=True
    )
    assert found.strange.tolist() == [False, False, False, True, False]
    picked = found[np.array([3, 0])]
    assert picked.formulas().tolist() == ["MgO", "NaCl"]
    assert picked.strange.tolist() == [True, False] and picked.features[1].tolist() == [1, 1]
    assert with_features(batch, frame, ()) is batch
    with pytest.raises(
        DataError, match="the table lacks the column t that the predictor needs beside the formula; it has m"
    ):
        with_features(batch, frame[["m"]], schema)
    with pytest.raises(DataError, match="the table, row 2: 'warm' in t is not a number: clear"):
        with_features(batch, frame.assign(t=[1, "warm", 2, 3, 4]), schema)


@given(st.lists(st.one_of(st.none(), st.floats(), st.integers(), st.booleans(), st.text(max_size=5)), min_size=1))
def test_any_cells_are_described_or_refused(cells: list) -> None:
    column = pd.Series(cells, dtype=object)
    try:
        feature = described("c", column)
    except DataError as error:
        assert "\n" not in str(error).replace(repr("\n"), "")
        return
    batch = CompositionBatch(np.ones((len(cells), 1), np.uint8), np.ones((len(cells), 1), np.int32))
    found = with_features(batch, pd.DataFrame({"c": column}), [feature])
    assert not found.strange.any()  # what was learned from is like itself
    assert np.isfinite(found.features).any()
