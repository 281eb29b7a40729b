"""The condition grammar."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from matgen.datasets.where import parse_where, where_mask
from matgen.errors import OptionError

FRAME = pd.DataFrame(
    {
        "formula": ["A", "B", "C", "D"],
        "band_gap_mp": [0.0, 1.98, 3.0, np.nan],
        "x": [1, 2, 3, 4],
        "ok": [True, False, True, True],
    }
)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("x > 2", [2, 3]),
        ("x>=2", [1, 2, 3]),
        ("x<2", [0]),
        ("x <= -1e0", []),
        ("x == 3", [2]),
        ("x = 3.0", [2]),
        ("x != 3", [0, 1, 3]),
        ("band_gap > 1.98", [2]),
        ("band_gap_mp != 0", [1, 2]),
        ("ok == 1 AND x > .5 and band_gap<5", [0, 2]),
    ],
)
def test_rows(text: str, rows: list[int]) -> None:
    assert np.flatnonzero(where_mask(FRAME, text, {"band_gap": "band_gap_mp"})).tolist() == rows


@pytest.mark.parametrize(
    "text",
    ["", "x", "x >", "x > two", "x > 1 or x < 0", "x > 1 and", "1 < x < 3", "__import__('os')", "x > 1; y", "x == 'a'"],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="cannot read the condition"):
        parse_where(text)


def test_columns_that_cannot_be_compared() -> None:
    with pytest.raises(OptionError, match="no column 'gap' to compare; numeric columns: band_gap_mp, x, ok"):
        where_mask(FRAME, "gap > 1")
    with pytest.raises(OptionError, match="'formula' holds text"):
        where_mask(FRAME, "formula == 1")


def test_numbers_are_rounded_as_the_column_is() -> None:
    frame = pd.DataFrame({"gap": np.array([1.98, 1.99], dtype=np.float32)})
    assert where_mask(frame, "gap > 1.98").tolist() == [False, True]
    assert where_mask(frame, "gap == 1.98").tolist() == [True, False]


def test_a_name_of_several_columns_is_the_lowest_value_of_a_row() -> None:
    frame = pd.DataFrame({"a": [0.1, np.nan, 0.3, np.nan], "b": np.array([0.2, 0.0, np.nan, np.nan], dtype=np.float32)})
    aliases = {"distance": ("a", "b")}
    assert where_mask(frame, "distance <= 0.1", aliases).tolist() == [True, True, False, False]
    assert where_mask(frame, "distance > 0.1", aliases).tolist() == [False, False, True, False]
