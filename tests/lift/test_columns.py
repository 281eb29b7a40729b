import math

import numpy as np
import pandas as pd
import pytest

from matgen.datasets.column_types import as_texts
from matgen.errors import DataError, MatgenWarning, OptionError
from matgen.lift.columns import Column, describe, typed, types_of_mixed
from matgen.lift.number_format import NumberFormat


def test_column_types_are_inferred():
    frame = pd.DataFrame(
        {
            "number": [1.5, 2.25, np.nan],
            "as text": ["1", "2.5", None],
            "label": ["a", "b", "a"],
            "truth": [True, False, True],
            "formula": ["Fe2O3", "NaCl", "SrTiO3"],
        }
    )
    found = {column.name: (column.type, column.source_type) for column in describe(frame)}
    assert found == {
        "number": ("number", "number"),
        "as text": ("number", "text"),
        "label": ("category", "text"),
        "truth": ("category", "bool"),
        "formula": ("formula", "text"),
    }


def test_many_texts_are_text():
    (column,) = describe(pd.DataFrame({"note": [f"sample no {i} of the series" for i in range(100)]}))
    assert column.type == "text"


def test_formulas_are_found_under_any_name():
    formulas = ["Fe2O3", "NaCl", "SrTiO3", "GaAs", "ZnS", "Al2O3"]
    assert describe(pd.DataFrame({"what": formulas}))[0].type == "formula"
    assert describe(pd.DataFrame({"who": ["I", "He", "She", "It", "We", "No"]}))[0].type == "category"


def test_precision_is_taken_from_the_user():
    frame = pd.DataFrame({"a": [1.23456, 2.34567]})
    assert describe(frame, precision={"a": 4})[0].format == NumberFormat(4)
    with pytest.raises(OptionError, match="there is no column 'b'"):
        describe(frame, precision={"b": 4})
    with pytest.raises(OptionError, match="unknown column type 'color'"):
        describe(frame, column_types={"a": "color"})


def test_infinite_numbers_and_double_names_are_refused():
    with pytest.raises(DataError, match=r"column 'a', row 2: an infinite number"):
        describe(pd.DataFrame({"a": [1.0, np.inf]}))
    with pytest.raises(DataError, match="more than one column 'a'"):
        describe(pd.DataFrame([[1, 2]], columns=["a", "a"]))


def test_later_rows_are_read_as_the_first_ones_were():
    columns = describe(pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}))
    later = pd.DataFrame({"extra": [0, 0], "b": ["y", ""], "a": ["3.5", None]})
    rows = typed(later, columns)
    assert list(rows.columns) == ["a", "b"]
    assert rows["a"].iloc[0] == 3.5 and math.isnan(rows["a"].iloc[1])
    assert rows["b"].tolist() == ["y", None]


def test_what_cannot_be_read_is_named():
    columns = describe(pd.DataFrame({"a": [1.0, 2.0]}))
    with pytest.raises(DataError, match=r"row 2: 'wide' in 'a' is not a number"):
        typed(pd.DataFrame({"a": ["1", "wide"]}), columns)
    with pytest.raises(DataError, match=r"no column 'a'; it has b"):
        typed(pd.DataFrame({"b": [1]}), columns)


def test_columns_survive_json():
    frame = pd.DataFrame({"a": [1e-9, 2e-9], "b": ["x", "y"]})
    for column in describe(frame, units={"a": "K"}):
        assert Column.from_json(column.as_json()) == column


def test_columns_of_earlier_files_are_read():
    """Version 0.2 wrote `kind` for the type and `was` for the type of the cells."""
    (column,) = describe(pd.DataFrame({"b": [True, False]}))
    content = column.as_json()
    content["kind"], content["was"] = content.pop("type"), content.pop("source_type")
    assert Column.from_json(content) == column and (column.type, column.source_type) == ("category", "bool")


def test_missing_cells_in_any_guise():
    assert as_texts([None, float("nan"), pd.NA, pd.NaT, "", "  ", "x", 1.0, 1.5]) == [None] * 6 + ["x", "1", "1.5"]


def test_padded_range_stays_above_zero_where_all_was():
    assert Column("a", "number", low=0.0, high=10.0).padded_range() == (0.0, 11.0)
    assert Column("a", "number", low=-10.0, high=10.0).padded_range() == (-12.0, 12.0)


def test_columns_of_numbers_with_odd_cells():
    frame = pd.DataFrame({"x": ["1", ">60", "2"], "y": [1.0, 2.0, 3.0], "c": ["a", "b", "a"], "d": ["1", "", "3"]})
    assert types_of_mixed(frame) == {"x": "category"}


def test_formulas_that_cannot_be_read_are_said():
    few = pd.DataFrame({"formula": ["NaCl", "MgO", "TiO2", "GaN 3.4"]})
    with pytest.warns(MatgenWarning, match="1 of 4 formulas cannot be read, such as 'GaN 3.4' .*the column is read"):
        assert describe(few)[0].type == "category"
    many = pd.DataFrame({"formula": [*(f"Na{n}Cl" for n in range(1, 31)), "GaN 3.4"]})
    with pytest.warns(MatgenWarning, match=r"1 of 31 formulas cannot be read, such as 'GaN 3.4' .*formula a cell\)$"):
        assert describe(many)[0].type == "formula"
