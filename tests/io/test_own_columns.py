"""A user's columns are never replaced, and matgen's own always are."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from matgen.datasets.tables import read_formula_table
from matgen.errors import MatgenWarning
from matgen.io.own_columns import add_own_columns
from matgen.screening import screen, screen_file


def test_columns_of_the_user_stay() -> None:
    theirs = pd.DataFrame({"formula": ["NaCl", "MgO"], "cost": [1.0, 2.0]})
    with pytest.warns(MatgenWarning, match="columns cost of its own: matgen's are cost_matgen"):
        joined, names = add_own_columns(theirs, pd.DataFrame({"cost": [3, 4], "toxic": [True, False]}))
    assert names == {"cost": "cost_matgen"}
    assert joined.columns.tolist() == ["formula", "cost", "cost_matgen", "toxic"]
    assert joined["cost"].tolist() == [1.0, 2.0] and joined["cost_matgen"].tolist() == [3, 4]
    with pytest.warns(MatgenWarning):
        again, _ = add_own_columns(joined, pd.DataFrame({"cost": [5, 6], "toxic": [False, False]}))
    assert again.columns.tolist() == joined.columns.tolist()
    assert again["cost"].tolist() == [1.0, 2.0] and again["cost_matgen"].tolist() == [5, 6]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_through_files(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "a.csv").write_text("formula,cost,toxic\nNaCl,7,no\nPbO,8,yes\n")
    with pytest.warns(MatgenWarning, match="cost, toxic of its own"):
        first = screen_file(tmp_path / "a.csv", tmp_path / f"b{suffix}", where="cost < 7.5 and toxic_matgen = 0").frame
    assert first["toxic"].tolist() == ["no"]
    assert {"cost_matgen", "hhi_reserve"} <= set(json.loads((tmp_path / f"b{suffix}.json").read_text())["columns"])
    with pytest.warns(MatgenWarning):
        second = screen_file(tmp_path / f"b{suffix}", tmp_path / f"c{suffix}").frame
    assert second.columns.tolist() == first.columns.tolist()
    assert second["cost"].tolist() == [7]


def test_a_family_of_the_user_is_not_the_one_that_is_capped() -> None:
    frame = pd.DataFrame({"formula": ["NaCl", "Na2Cl2", "KCl"], "chemical_system": ["a", "b", "c"]})
    with pytest.warns(MatgenWarning):
        assert screen(frame, "formula", max_per_system=1).frame["formula"].tolist() == ["NaCl", "KCl"]


def test_results_of_before_are_made_anew(tmp_path: Path) -> None:
    """Up to 0.2 the metadata did not list the columns."""
    (tmp_path / "a.csv").write_text("formula,cost\nNaCl,7\n")
    (tmp_path / "a.csv.json").write_text(json.dumps({"column": "formula", "where": None}))
    frame, column = read_formula_table(tmp_path / "a.csv")
    assert screen(frame, column).frame.columns.tolist().count("cost") == 1
    assert screen(frame, column).frame["cost"].tolist() != [7]
