"""Tables of any kind in, one Parquet file out."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from matgen.datasets import read_formula_table
from matgen.errors import DataError, MatgenWarning, OptionError
from matgen.evaluation import evaluate
from matgen.evaluation.candidate_table import CandidateTable
from matgen.evaluation.labels import COLUMNS, NEWER
from matgen.evaluation.limits import Limits
from matgen.io.chunks import ColumnTypes
from tests.frames import listed

from .standin import Reference


@pytest.mark.parametrize(
    ("chunks", "kind"),
    [
        ([[1, 2], [3]], pa.int64()),
        ([[1, 2], [0.5]], pa.float64()),
        ([[1, 2], [None]], pa.float64()),
        ([[True], [False]], pa.bool_()),
        ([[True], [3]], pa.string()),
        ([["a"], [3]], pa.string()),
        ([["a", 4], ["b"]], pa.string()),
        ([[None], [None]], pa.string()),
        ([[None], ["a"]], pa.string()),
    ],
)
def test_types_of_columns_over_chunks(chunks: list[list], kind: pa.DataType) -> None:
    types = ColumnTypes()
    for values in chunks:
        column = pd.Series(values)
        types.add(pd.DataFrame({"x": column.astype(float) if values == [None] and kind == pa.float64() else column}))
    assert types.schema().field("x").type == kind


def test_a_folder_of_unlike_tables(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    pd.DataFrame({"formula": ["NaCl", "KCl"] * 20, "a": range(40)}).to_csv(folder / "1.csv", index=False)
    pd.DataFrame({"formula": ["MgO"] * 9, "a": 0.5, "b": "text"}).to_parquet(folder / "2.parquet")
    pd.DataFrame({"formula": ["LiF"] * 5, "b": range(5)}).to_json(folder / "3.jsonl", orient="records", lines=True)
    few = Limits(rows_per_chunk=7)
    report = evaluate(folder, Reference(), baselines=False, out=tmp_path / "out", limits=few)
    stored = pd.read_parquet(tmp_path / "out" / "candidates.parquet")
    whole, _ = read_formula_table(folder)
    assert stored.columns.tolist() == ["formula", "a", "b", *COLUMNS] == report.frame.columns.tolist()
    assert listed(stored["formula"]) == listed(whole["formula"])
    assert stored["a"].tolist()[:49] == [*map(float, range(40)), *[0.5] * 9]
    assert stored["a"][49:].isna().all()
    assert listed(stored["b"]) == [None] * 40 + ["text"] * 9 + ["0", "1", "2", "3", "4"]
    assert stored["duplicate_of"].dtype == "Int64"
    assert stored["duplicate_of"].isna().sum() == 4


def test_arrow_columns_become_plain_ones(tmp_path: Path) -> None:
    table = pa.table(
        {
            "formula": pa.array(["NaCl", None, "KCl"], pa.large_string()),
            "flag": pa.array([True, None, False]),
            "list": pa.array([[1], None, [2, 3]]),
            "kind": pa.array(["x", "y", "x"]).dictionary_encode(),
            "small": pa.array([1, 2, 3], pa.int8()),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    report = evaluate(tmp_path / "in.parquet", Reference(), baselines=False, out=tmp_path / "out")
    assert not any(isinstance(dtype, pd.ArrowDtype) for dtype in report.frame.dtypes)
    stored = pd.read_parquet(tmp_path / "out" / "candidates.parquet")
    for frame in (stored, report.frame):
        assert listed(frame["formula"]) == ["NaCl", None, "KCl"]
        assert listed(frame["flag"]) == [True, None, False]
        assert frame["kind"].tolist() == ["x", "y", "x"]
        assert frame["small"].tolist() == [1, 2, 3] and frame["small"].dtype == np.int8
        assert [None if v is None else list(v) for v in frame["list"]] == [[1], None, [2, 3]]
    again = evaluate(tmp_path / "out" / "candidates.parquet", Reference(), baselines=False)
    pd.testing.assert_frame_equal(again.frame[list(COLUMNS)], report.frame[list(COLUMNS)])


def test_chunks_of_a_table_in_memory() -> None:
    table = CandidateTable(pd.DataFrame({"Formula": list("HBCNOF"), "x": range(6)}), None, rows_per_chunk=4)
    assert table.held
    for _ in range(2):
        chunks = list(table.chunks())
        assert [len(frame) for frame, _ in chunks] == [4, 2]
        assert {column for _, column in chunks} == {"Formula"}
    generator = CandidateTable((text for text in ["NaCl", "KCl"]), None)
    assert [len(frame) for frame, _ in [*generator.chunks(), *generator.chunks()]] == [2, 2]


def test_references_are_checked(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no reference"):
        evaluate(["NaCl"], [])
    with pytest.raises(OptionError, match="stand-in is named twice"):
        evaluate(["NaCl"], [Reference(), Reference()])
    with pytest.raises(OptionError, match="unknown dataset 'nothing'"):
        evaluate(["NaCl"], ["nothing"])
    (tmp_path / "bad.csv").write_text("formula\nXx\nYy\n")
    with pytest.raises(DataError, match="none of the 2 formulas"):
        evaluate(["NaCl"], tmp_path / "bad.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="has no formula column"):
        evaluate(["NaCl"], tmp_path / "other.csv")
    (tmp_path / "mine.csv").write_text("formula\nNaCl\n")
    content = evaluate(["NaCl", "KCl", "CuZn"], [tmp_path / "mine.csv", Reference()], baselines=False).content
    assert content["novel"] == 0.0
    assert [entry["size"] for entry in content["references"]] == [1, len(Reference().formulas)]
    assert content["references"][0]["novel"] == pytest.approx(2 / 3)
    assert str(tmp_path / "mine.csv") in content["protocol"]["novel_means"]
    assert "stand-in" in content["protocol"]["novel_means"]


def test_columns_of_the_user_are_kept(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("formula,valid,reason\nNaCl,maybe,mine\nNaCl2,no,\n")
    (tmp_path / "known.txt").write_text("MgO\nNaF\nKCl\n")
    with pytest.warns(MatgenWarning, match="valid, reason of its own: matgen's are valid_matgen, reason_matgen"):
        report = evaluate(tmp_path / "a.csv", tmp_path / "known.txt", baselines=False, out=tmp_path / "r")
    ours = [f"{name}_matgen" if name in ("valid", "reason") else name for name in COLUMNS]
    stored = pd.read_parquet(tmp_path / "r" / "candidates.parquet")
    written = report.write(tmp_path / "w").frame
    with warnings.catch_warnings():
        warnings.simplefilter("error", MatgenWarning)
        again = evaluate(tmp_path / "r" / "candidates.parquet", tmp_path / "known.txt", baselines=False).frame
    for frame in (report.frame, stored, written, pd.read_parquet(tmp_path / "w" / "candidates.parquet"), again):
        assert frame.columns.tolist() == ["formula", "valid", "reason", *ours]
        assert frame["valid"].tolist() == ["maybe", "no"] and frame["valid_matgen"].tolist() == [True, False]
        assert frame["reason"].tolist()[0] == "mine" and "neutral" in frame["reason_matgen"].tolist()[1]
    for folder in ("r", "w"):
        page = (tmp_path / folder / "report.html").read_text(encoding="utf-8")
        assert "valid (input)" in page and "maybe" in page and "\0" not in page
    (tmp_path / "b.csv").write_text("formula,valid,valid_matgen\nNaCl,maybe,mine\n")
    with pytest.raises(DataError, match="column 'valid_matgen' would be replaced"):
        evaluate(tmp_path / "b.csv", tmp_path / "known.txt", baselines=False)


def test_a_table_judged_by_an_earlier_version_is_judged_anew(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("formula\nNaCl\nNaCl2\n")
    (tmp_path / "known.txt").write_text("MgO\n")
    now = evaluate(tmp_path / "a.csv", tmp_path / "known.txt", baselines=False).frame
    now.drop(columns=list(NEWER)).assign(valid=False).to_parquet(tmp_path / "earlier.parquet")
    with warnings.catch_warnings():
        warnings.simplefilter("error", MatgenWarning)
        again = evaluate(tmp_path / "earlier.parquet", tmp_path / "known.txt", baselines=False).frame
    pd.testing.assert_frame_equal(again, now)


def test_objects_become_formulas() -> None:
    from ase import Atoms
    from pymatgen.core import Composition

    entries = [Composition("Fe0.5O0.75"), "MgO", {"Na": 1, "Cl": 1}, None, Atoms("CO2")]
    for candidates in (entries, pd.DataFrame({"formula": entries, "x": range(5)})):
        ((frame, column),) = CandidateTable(candidates, None).chunks()
        assert frame[column].tolist()[:3] == ["Fe2O3", "MgO", "NaCl"] and frame[column].tolist()[4] == "CO2"
        assert pd.isna(frame[column].tolist()[3])
    ((frame, column),) = CandidateTable(Composition("Fe2O3"), None).chunks()
    assert frame[column].tolist() == ["Fe2O3"]
