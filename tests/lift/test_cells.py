import datetime
import warnings

import numpy as np
import pandas as pd
import pytest

from matgen.errors import DataError, MatgenWarning
from matgen.lift.cells import mostly_numbers
from matgen.lift.columns import Column, as_numbers, as_source, describe, typed


def described(cells, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MatgenWarning)
        return describe(pd.DataFrame({"a": cells}), **options)[0]


@pytest.mark.parametrize(
    "cells",
    [
        ["2023_01", "2023_02"],
        ["003", "010", "100"],
        ["45", "45%"],
        ["1.5", ">60"],
        ["2D", "3D"],
        ["1,234", "2,345"],  # thousands, or decimals?
        ["01/02/2020", "02/02/2020"],
        pd.Categorical([1, 2, 2]),
        [True, False],
        [True, None, False],
    ],
)
def test_what_is_no_number_is_a_category(cells):
    assert described(cells).type == "category"


@pytest.mark.parametrize(
    ("cells", "numbers", "unit"),
    [
        (["45%", " 7.5 %", None], None, None),
        (["45%", "7.5%", None], [45, 7.5, np.nan], "%"),
        (["$1.50", "$2.25"], [1.5, 2.25], "$"),
        (["5.2 eV", "-1e-3 eV"], [5.2, -0.001], "eV"),
        (["5.2eV", "6eV"], [5.2, 6], "eV"),
        (["52,1", "7,25"], [52.1, 7.25], ""),
        (["12,000", "1,234.5"], [12_000, 1_234.5], ""),
        (["NA", "1.5", "null"], [np.nan, 1.5, np.nan], ""),
        (["1", " 2.5 "], [1, 2.5], ""),
    ],
)
def test_numbers_as_people_write_them(cells, numbers, unit):
    column = described(cells)
    if numbers is None:  # not written alike
        assert column.type == "category"
        return
    assert column.type == "number" and column.unit == unit
    assert typed(pd.DataFrame({"a": cells}), [column])["a"].tolist() == pytest.approx(numbers, nan_ok=True)
    assert Column.from_json(column.as_json()) == column


def test_a_unit_is_told_and_given_back():
    with pytest.warns(MatgenWarning, match="column 'a': '45%' is read as the number 45"):
        (column,) = describe(pd.DataFrame({"a": ["45%", "7.5%"]}))
    assert as_source([50.0, 7.25, np.nan], column).tolist()[0::2] == ["50.0%", None]
    assert as_source([1.5], described(["52,1", "7,2"])).tolist() == ["1,5"]
    # Later cells may leave the unit out, and have no other.
    assert typed(pd.DataFrame({"a": ["60%", "61"]}), [column])["a"].tolist() == [60, 61]
    with pytest.raises(DataError, match="row 2: '61 eV' in 'a' is not a number"):
        typed(pd.DataFrame({"a": ["60%", "61 eV"]}), [column])
    with pytest.raises(DataError, match="row 1: '52,1' in 'a' is not a number"):
        typed(pd.DataFrame({"a": ["52,1"]}), [described([52.1, 52.2])])


DAY = datetime.date(2024, 2, 29)


@pytest.mark.parametrize(
    "cells",
    [
        pd.to_datetime(["2024-02-29", "2023-12-31", None]),
        pd.to_datetime(["2024-02-29 12:00", "2023-12-31 06:30"]),
        pd.to_timedelta(["1 days 06:00:00", "2 hours", None]),
        ["2024-02-29", "2023-12-31", None],
        ["2024-02-29T12:00:00", "2023-12-31T06:30:00"],
    ],
)
def test_dates_and_durations_are_days_and_come_back(cells):
    frame = pd.DataFrame({"a": cells})
    column = described(cells)
    assert column.type == "number" and column.unit.startswith("days")
    numbers = typed(frame, [column])["a"]
    assert numbers.diff().dropna().tolist() == pytest.approx(
        (pd.to_timedelta(pd.Series(cells)) if column.source_type == "duration" else pd.to_datetime(pd.Series(cells)))
        .diff()
        .dropna()
        .dt.total_seconds()
        / 86_400
    )
    back, there = as_source(numbers, column), frame["a"].notna()
    assert back[there].tolist() == frame["a"][there].tolist() and back.isna().tolist() == (~there).tolist()


def test_dates_are_read_in_any_guise_and_named_where_they_are_none():
    column = described(["2024-02-29", "2023-12-31"])
    assert as_numbers([DAY], column) == as_numbers(["2024-02-29"], column) == as_numbers([pd.Timestamp(DAY)], column)
    for cells in (["2024-02-30"], ["soon"], [19_782]):
        with pytest.raises(DataError, match="row 1: .* in 'a' is not a number"):
            typed(pd.DataFrame({"a": cells}), [column])
    with pytest.raises(DataError, match="row 1: '2024-02-29' in 'a' is not a number"):
        typed(pd.DataFrame({"a": ["2024-02-29"]}), [described([1.5, 2.5])])


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (pd.Categorical([10, 9, 9]), ["10", "9"]),
        ([2**53 + 1, 3, 3], ["3", str(2**53 + 1)]),
        (pd.array([True, None, False], dtype="boolean"), ["False", "True"]),
        ([False, None, True], ["False", "True"]),
    ],
)
def test_categories_come_back_as_they_were(cells, values):
    column, frame = described(cells), pd.DataFrame({"a": cells})
    assert list(column.values) == values
    texts = typed(frame, [column])["a"]
    back = as_source(texts, column)
    there = frame["a"].notna()
    assert back[there].tolist() == frame["a"][there].tolist() and back.isna().tolist() == (~there).tolist()


def test_a_type_that_is_given_counts():
    assert described(["003", "010"], column_types={"a": "number"}).high == 10
    assert described([1, 2], column_types={"a": "category"}).values == ("1", "2")
    assert described([2**53 + 1, 3], column_types={"a": "number"}).type == "number"


def test_the_first_cell_that_is_no_number_is_found():
    assert mostly_numbers(["1", "", "2", ">60", "45%"]) == (3, ">60")
    assert mostly_numbers(["a", "b", "1"]) is None and mostly_numbers(["1", "2"]) is None
    assert mostly_numbers(["1%", "2%", "3"]) == (2, "3") and mostly_numbers(["1.5", "2.5", "52,1"]) == (2, "52,1")
