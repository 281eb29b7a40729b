from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from matgen.api.candidates import Candidates
from matgen.api.inputs import batch_of, path_of, table_of
from matgen.composition.batch import CompositionBatch
from matgen.errors import DataError, FormulaError, MatgenWarning


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


def test_one_element_is_a_formula() -> None:
    from ase import Atom
    from pymatgen.core import Element, Species

    for element in (Element("Fe"), Species("Fe", 3), Atom("Fe")):
        assert batch_of(element).formulas().tolist() == batch_of([element]).formulas().tolist() == ["Fe"]


@pytest.mark.parametrize(
    ("formulas", "said"),
    [
        (None, "None is no formula: give a text such as 'Fe2O3', or a list of formulas"),
        (7, "7 is no formula"),
        (b"NaCl", "row 1: .*not text but bytes: decode it"),
        ([b"NaCl"], "row 1: .*not text but bytes: decode it"),
        (["NaCl", None], "row 2: 'None': missing"),
    ],
    ids=repr,
)
def test_what_is_no_formula_gets_one_line(formulas: object, said: str) -> None:
    with pytest.raises(FormulaError, match=said) as error:
        batch_of(formulas)
    assert "\n" not in str(error.value)


def test_formulas_of_an_index() -> None:
    frame = pd.DataFrame({"Tc": [3.0, 39.0]}, index=["NaCl", "MgB2"])
    with pytest.warns(MatgenWarning, match="the table: column 'index' holds formulas by its cells"):
        found, column = table_of(frame)
    assert found[column].tolist() == ["NaCl", "MgB2"] and found["Tc"].tolist() == [3.0, 39.0]
    assert table_of(frame, "index")[0].equals(found)
    named = frame.rename_axis("formula")
    assert table_of(named)[1] == "formula" and batch_of(named).formulas().tolist() == ["NaCl", "MgB2"]
    assert list(frame.columns) == ["Tc"]
    with pytest.raises(DataError, match=r"no formula column \(its columns: index, Tc\)"):
        table_of(frame.set_axis(["a1", "a2"]))


def test_a_column_beside_an_index() -> None:
    frame = pd.DataFrame({"Material": ["NaCl", "MgB2"], "Tc": [3.0, 39.0]}, index=["a1", "a2"])
    with pytest.warns(MatgenWarning, match="column 'Material' holds formulas by its cells"):
        found, column = table_of(frame)
    assert column == "Material" and found is frame
