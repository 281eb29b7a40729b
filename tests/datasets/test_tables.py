"""Users' tables: every kind, and every way to be bad."""

from __future__ import annotations

import gzip
import json
import pickle
from pathlib import Path

import pandas as pd
import pytest

from matgen.datasets import read_formula_table
from matgen.errors import DataError


def _write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_csv_keeps_formulas_that_look_like_missing_values(tmp_path: Path) -> None:
    path = _write(tmp_path, "a.csv", "\ufeffFormula,gap,note\nNaN,,x\nNone,1.5,\nNO,nan,\nInF3,2,\n")
    frame, name = read_formula_table(path)
    assert name == "Formula"
    assert frame["Formula"].tolist() == ["NaN", "None", "NO", "InF3"]
    assert frame["gap"].dtype == float and frame["gap"].isna().tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    "column", ["formula", "Pretty_Formula", "reduced_formula", "COMPOSITION", "full_formula", "pretty formula"]
)
def test_formula_column_is_found(tmp_path: Path, column: str) -> None:
    path = _write(tmp_path, "a.csv", f"id,{column}\n7,Fe2O3\n")
    assert read_formula_table(path)[1] == column


def test_formula_column_is_named(tmp_path: Path) -> None:
    path = _write(tmp_path, "a.csv", "formula,Material\nFe2O3,NaCl\n")
    frame, name = read_formula_table(path, "material")
    assert (name, frame[name].tolist()) == ("Material", ["NaCl"])


def test_every_kind_says_the_same(tmp_path: Path) -> None:
    formulas, values = ["SrTiO3", "NaN", "Fe2 O3"], [1.0, 2.0, 3.0]
    frame = pd.DataFrame({"formula": formulas, "y": values})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "a.csv.gz", index=False)
    frame.to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    frame.to_json(tmp_path / "a.json", orient="records")
    for name in ("a.csv", "a.csv.gz", "a.tsv", "a.parquet", "a.jsonl", "a.json"):
        read, column = read_formula_table(tmp_path / name)
        pd.testing.assert_frame_equal(read, frame, check_dtype=False)
        assert column == "formula"
    _write(tmp_path, "a.txt", "SrTiO3\n\n NaN \r\nFe2 O3")
    assert read_formula_table(tmp_path / "a.txt")[0]["formula"].tolist() == formulas
    _write(tmp_path, "list.json", json.dumps(formulas))
    assert read_formula_table(tmp_path / "list.json")[0]["formula"].tolist() == formulas


def test_folder_of_shards(tmp_path: Path) -> None:
    for number, formula in enumerate(["Fe2O3", "NaCl", "MgO"]):
        pd.DataFrame({"formula": [formula], "log_prob": [-1.0]}).to_parquet(tmp_path / f"{number:05d}.parquet")
    _write(tmp_path, ".hidden.csv", "nothing\n")
    _write(tmp_path, "state.json", "{}")
    frame, _ = read_formula_table(tmp_path)
    assert frame["formula"].tolist() == ["Fe2O3", "NaCl", "MgO"]
    assert frame.index.tolist() == [0, 1, 2]


def test_a_row_with_too_many_fields_becomes_a_bad_row(tmp_path: Path) -> None:
    path = _write(tmp_path, "a.csv", "id,formula\n1,Fe2O3\n2,Na,Cl\n3,MgO\n")
    frame, _ = read_formula_table(path)
    assert frame["formula"].tolist() == ["Fe2O3", "2,Na,Cl", "MgO"]
    path = _write(tmp_path, "a.csv", "id,formula\n1,Fe2,O3\n2,NaCl\n")  # the first row, which pandas cuts in silence
    assert read_formula_table(path)[0]["formula"].tolist() == ["1,Fe2,O3", "NaCl"]
    path = _write(tmp_path, "a.csv", "id,formula\n1,Fe2O3,\n2,Na,Cl,\n3,MgO\n")  # a comma at the end holds nothing
    assert read_formula_table(path)[0]["formula"].tolist() == ["Fe2O3", "2,Na,Cl,", "MgO"]
    path = _write(tmp_path, "a.jsonl", '{"formula": "Fe2O3"}\n{"formula": "Na\n{"formula": "MgO"}\n')
    assert read_formula_table(path)[0]["formula"].tolist() == ["Fe2O3", '{"formula": "Na', "MgO"]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.csv", "", "is empty"),
        ("a.csv", "formula\n", "has no rows"),
        ("a.csv", "x,y\n1,2\n", r"has no formula column \(its columns: x, y\)"),
        ("a.txt", "\n \n", "has no rows"),
        ("a.jsonl", '{"x": 1}\n', "has no formula column"),
        ("a.json", "{", "cannot read"),
        ("a.json", "3", "holds no list"),
        ("a.parquet", "formula\nNaCl\n", "cannot read"),
        ("a.csv.gz", "formula\nNaCl\n", "cannot read"),
        ("a.xlsx", "x", "no spreadsheet but text"),
        ("a.doc", "x", "unknown kind of file '.doc'"),
    ],
)
def test_bad_files_get_one_line(tmp_path: Path, name: str, text: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason) as caught:
        read_formula_table(_write(tmp_path, name, text))
    assert "\n" not in str(caught.value)


def test_other_bad_input(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_formula_table(tmp_path / "none.csv")
    with pytest.raises(DataError, match="holds no table"):
        read_formula_table(tmp_path)
    path = _write(tmp_path, "a.csv", "formula\nNaCl\n")
    with pytest.raises(DataError, match="has no column 'smiles'; its columns: formula"):
        read_formula_table(path, "smiles")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"formula\nNaCl\n" * 99)[:-9])
    with pytest.raises(DataError, match="cannot read"):
        read_formula_table(tmp_path / "a.csv.gz")


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(["NaCl"]))
    with pytest.raises(DataError, match="unknown kind of file"):
        read_formula_table(tmp_path / "a.pkl")
