"""Cells among numbers that are none are said by every reader of tables."""

from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd
import pytest

from matgen.datasets.any_table import read_any_table
from matgen.datasets.number_marks import OddCells
from matgen.errors import MatgenWarning

ODD = [">60", "45%", "52,1", "7 eV", "n.d.", "1.2(3)"]


@pytest.mark.parametrize("cell", ODD)
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_every_kind_of_file_says_so(cell: str, suffix: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": list("abcd"), "y": ["1", cell, "3", "4"]})
    path = tmp_path / f"a{suffix}"
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    elif suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_parquet(path)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        read = read_any_table(path)
    said = [str(one.message) for one in told if issubclass(one.category, MatgenWarning)]
    if suffix == ".csv" and cell == "52,1":  # a decimal comma, since every other cell is a number by it too
        assert read["y"].tolist() == [1, 52.1, 3, 4] and "decimal commas in y" in said[0]
    else:
        assert said == [f"{path}: {cell!r} in y, row 2, is not a number: the column is read as text"]


def test_texts_flags_and_gaps_are_not_odd() -> None:
    odd = OddCells()
    odd.add(pd.DataFrame({"a": ["x", "1", "y"], "b": ["true", "False", None], "c": ["1", None, " "], "d": [1, 2, 3]}))
    assert not odd.remarks()


def test_chunks_count_together() -> None:
    odd = OddCells()
    odd.add(pd.DataFrame({"y": [1.0, 2.0]}))
    odd.add(pd.DataFrame({"y": ["3", "<4", "~5"], "formula": ["1", "NaCl", "2"]}), 2, skip="formula")
    assert odd.remarks() == ["'<4' in y, row 4, is not a number, nor is 1 more cell: the column is read as text"]
