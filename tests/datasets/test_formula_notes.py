"""The column of what stands beside formulas: matgen's own is made anew, a user's is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from matgen.composition.batch import parse_formulas
from matgen.datasets.formula_notes import with_formula_notes
from matgen.errors import MatgenWarning
from matgen.evaluation import evaluate

FORMULAS = ["SiO2 (quartz)", "GaN 3.4", "Fe(III)2O3", "NaCl"]
NOTES = ["quartz", None, "Fe(III)", None]


def noted(frame: pd.DataFrame) -> pd.DataFrame:
    return with_formula_notes(frame, parse_formulas(frame["formula"]))


def values(column: pd.Series) -> list[str | None]:
    return [None if pd.isna(cell) else cell for cell in column]


def test_one_note_a_row() -> None:
    made = noted(pd.DataFrame({"formula": FORMULAS, "gap": np.arange(4.0)}))
    assert list(made) == ["formula", "gap", "formula_note"]
    assert values(made["formula_note"]) == NOTES
    assert list(noted(made)) == list(made)  # again: nothing new


def test_no_note_no_column() -> None:
    frame = pd.DataFrame({"formula": ["NaCl", "xx"]})
    assert noted(frame) is frame


def test_a_users_column_stays() -> None:
    frame = pd.DataFrame({"formula": FORMULAS, "formula_note": list("abcd")})
    with pytest.warns(MatgenWarning, match="formula_note_matgen"):
        made = noted(frame)
    assert made["formula_note"].tolist() == list("abcd")
    assert values(made["formula_note_matgen"]) == NOTES
    assert list(noted(made)) == list(made)


def test_evaluate_writes_it(tmp_path: Path) -> None:
    table, reference = tmp_path / "a.csv", tmp_path / "known.csv"
    pd.DataFrame({"formula": FORMULAS}).to_csv(table, index=False)
    reference.write_text("formula\nNaCl\n")
    with pytest.warns(MatgenWarning, match="with a remark"):
        evaluate(table, reference, out=tmp_path / "report", baselines=False)
    judged = pd.read_parquet(tmp_path / "report" / "candidates.parquet")
    assert values(judged["formula_note"]) == NOTES
    with pytest.warns(MatgenWarning, match="with a remark"):
        again = tmp_path / "report" / "candidates.parquet"
        evaluate(again, reference, out=tmp_path / "again", baselines=False)
    assert list(pd.read_parquet(tmp_path / "again" / "candidates.parquet")) == list(judged)
