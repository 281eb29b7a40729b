from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from matgen.api.candidates import Candidates
from matgen.api.inputs import batch_of, path_of, table_of
from matgen.composition.batch import CompositionBatch
from matgen.errors import DataError, FormulaError


@pytest.mark.parametrize(
    "formulas",
    [
        ["NaCl", "SrTiO3"],
        ("NaCl", "SrTiO3"),
        np.array(["NaCl", "SrTiO3"]),
        pd.Series(["NaCl", "SrTiO3"], index=[5, 3]),
        pd.DataFrame({"formula": ["NaCl", "SrTiO3"]}),
        Candidates(pd.DataFrame({"text": ["NaCl", "SrTiO3"]}), "text"),
        CompositionBatch.from_formulas(["NaCl", "SrTiO3"]),
        [{"Na": 1, "Cl": 1}, "SrTiO3"],
    ],
    ids=lambda formulas: type(formulas).__name__,
)
def test_formulas_in_any_form(formulas: object) -> None:
    frame, column = table_of(formulas)
    assert frame[column].tolist() == ["NaCl", "SrTiO3"]
    assert batch_of(formulas).formulas().tolist() == ["NaCl", "SrTiO3"]


def test_columns_of_a_users_table_are_kept() -> None:
    frame, column = table_of(pd.DataFrame({"mine": ["NaCl"], "Tc": [3.0]}), "mine")
    assert column == "mine" and frame["Tc"].tolist() == [3.0]
    with pytest.raises(DataError, match="no column 'other'"):
        table_of(frame, "other")


def test_a_text_is_a_formula_before_it_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("MgO").mkdir()
    Path("shards").mkdir()
    Path("some.csv").write_text("formula\nKBr\n", encoding="utf-8")
    assert path_of("MgO") is None
    assert path_of("shards") == Path("shards")
    assert path_of(Path("MgO")) == Path("MgO")
    assert path_of("none.parquet") == Path("none.parquet")
    assert batch_of("some.csv").formulas().tolist() == ["KBr"]
    with pytest.raises(FormulaError, match="neither a formula nor a file"):
        path_of("x" * 5000)
