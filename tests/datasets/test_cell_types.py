import warnings

import pandas as pd
import pytest

from matgen.datasets.any_table import read_any_table
from matgen.errors import DataError, MatgenWarning


def read(folder, text):
    """The table of a CSV file, and what was told of it without its path."""
    path = folder / "t.csv"
    path.write_text(text)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", MatgenWarning)
        frame = read_any_table(path)
    return frame, [str(one.message).removeprefix(f"{path}: ") for one in caught]


@pytest.mark.parametrize("separator", [",", ";"])  # as it stands, and through a clean copy
def test_codes_and_large_integers_keep_their_digits(tmp_path, separator):
    rows = ["code,id,plain,month", "003,9007199254740993,10,2023_01", "010,,20,2023_02", "100,7,,2023_03"]
    frame, told = read(tmp_path, "\n".join(rows).replace(",", separator))
    assert frame["code"].tolist() == ["003", "010", "100"]
    assert frame["id"].tolist()[::2] == ["9007199254740993", "7"] and frame["id"].isna().tolist() == [
        False,
        True,
        False,
    ]
    assert frame["plain"].tolist()[:2] == [10.0, 20.0]
    assert frame["month"].tolist() == ["2023_01", "2023_02", "2023_03"]
    assert told == [
        "code is read as text: '003' has leading zeros; "
        "id is read as text: '9007199254740993' is an integer beyond 2^53"
    ]


def test_large_integers_without_gaps_are_integers(tmp_path):
    frame, told = read(tmp_path, "id,x\n9007199254740993,0.5\n-9007199254740995,0.05\n")
    assert frame["id"].tolist() == [9007199254740993, -9007199254740995] and frame["x"].tolist() == [0.5, 0.05]
    assert not told


def test_words_for_missing_cells_are_categories_among_text(tmp_path):
    frame, told = read(tmp_path, "x,region\n1,NA\n2,EU\n3,None\n4,null\n5,nan\n6,\n7,NA\n")
    assert frame["region"].tolist()[:5] == ["NA", "EU", "None", "null", "nan"] and pd.isna(frame["region"].iloc[5])
    assert "'NA' in region (2 cells) is read as a value like others" in told[0]


def test_words_for_missing_numbers_are_missing_in_the_whole_file(tmp_path):
    frame, told = read(tmp_path, "x,region,flag\n1,NA,True\nNA,EU,\n3,None,False\n")
    assert frame["x"].isna().tolist() == [False, True, False]
    assert pd.isna(frame["region"].iloc[0]) and frame["region"].tolist()[1:] == ["EU", "None"]
    assert frame["flag"].tolist()[::2] == [True, False]
    assert told == [
        "'NA' in region (1 cell) is read as missing, as it is in x; "
        "'None' in region (1 cell) is read as a value like others"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2,\n3,4,\n",
        "a,b\n1,2,\n3,4\n",
        "a,b\n1,2\n3,4,\n",
        "a,b,\n1,2,\n3,4,\n",
    ],
)
def test_a_trailing_comma_shifts_nothing(tmp_path, text):
    frame, told = read(tmp_path, text)
    assert frame.to_dict("list") == {"a": [1, 3], "b": [2, 4]} and not told


def test_a_field_more_in_all_rows_is_a_name_of_the_row_or_refused(tmp_path):
    frame, told = read(tmp_path, "a,b\nr1,1,2\nr2,3,4\n")  # as R writes row names
    assert frame.to_dict("list") == {"a": [1, 3], "b": [2, 4]}
    assert told == ["rows have one field more than the header: the first, a name of the row, is left out"]
    with pytest.raises(DataError, match="2 of 2 rows .* row 1: 3 fields, 2 in the header"):
        read(tmp_path, "a,b\n1,2,9\n1,4,9\n")
