"""The type of a column from its chunks, against the one that pandas gives the whole column."""

from __future__ import annotations

import io
import itertools

import pandas as pd
import pytest

from matgen.datasets.column_types import ChunkTypes

CHUNKS = {
    "natural": ["1", "2"],
    "signed": ["-1"],
    "float": ["0.5"],
    "empty": ["", ""],
    "flag": ["True", "False"],
    "text": ["a"],
    "gap in integers": ["3", ""],
    "gap in flags": ["", "True"],
    "gap in texts": ["a", ""],
}
PAIRS = list(itertools.product(CHUNKS, repeat=2))


def _csv(cells: list[str]) -> pd.DataFrame:
    return pd.read_csv(io.StringIO("x,y\n" + "".join(f"{cell},1\n" for cell in cells)))


@pytest.mark.parametrize("names", [*PAIRS, ("natural", "empty", "float"), ("natural", "signed", "empty")])
def test_csv(names: tuple[str, ...]) -> None:
    types = ChunkTypes()
    for name in names:
        types.add(_csv(CHUNKS[name]))
    expected = _csv([cell for name in names for cell in CHUNKS[name]])["x"].dtype
    dtype = types.in_csv("x")
    assert pd.api.types.is_object_dtype(expected) == (dtype in (str, "object"))
    assert dtype is str or pd.Series([], dtype=dtype).dtype == expected


@pytest.mark.parametrize("names", PAIRS)
@pytest.mark.parametrize("lacking", [False, True])
def test_json(names: tuple[str, ...], lacking: bool) -> None:
    def rows(name: str) -> list[dict]:
        values = _csv(CHUNKS[name])["x"].tolist()
        return [{} if pd.isna(value) and lacking else {"x": None if pd.isna(value) else value} for value in values]

    types = ChunkTypes()
    for name in names:
        types.add(pd.DataFrame.from_records(rows(name), columns=["x"]))
    whole = pd.DataFrame.from_records([row for name in names for row in rows(name)], columns=["x"])
    assert pd.Series([], dtype=types.in_json("x")).dtype == whole["x"].dtype


def test_integers_of_64_bits() -> None:
    for other, expected in ((["1"], "uint64"), (["-1"], str), (["0.5"], "float64")):
        types = ChunkTypes()
        types.add(_csv([str(2**64 - 1)]))
        types.add(_csv(other))
        assert types.in_csv("x") == expected
        assert types.in_json("x") == ("object" if expected is str else expected)


def test_a_column_that_begins_late() -> None:
    types = ChunkTypes()
    types.add(pd.DataFrame({"x": [1]}))
    types.add(pd.DataFrame({"x": [1], "y": [2]}))
    types.add(pd.DataFrame({"y": [2]}))
    assert types.in_json("x") == types.in_json("y") == "float64"
    types.add_text("y")
    assert types.in_json("y") == "object"
