from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from matgen.io.arrow import column_as_numpy, numbers_as_arrow, read_arrow, texts_as_arrow

NUMBERS = st.lists(st.floats(width=64))


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))), NUMBERS, st.lists(st.booleans()))
def test_arrays_are_those_of_pyarrow(texts: list[str], numbers: list[float], truths: list[bool]) -> None:
    assert texts_as_arrow(texts).equals(pa.array(texts, pa.string()))
    got = numbers_as_arrow(np.array(numbers, dtype=np.float64))
    assert np.array_equal(
        np.array(got.to_pylist(), dtype=np.float64), np.array(numbers, dtype=np.float64), equal_nan=True
    )
    assert numbers_as_arrow(np.array(truths, dtype=bool)).to_pylist() == truths


def test_columns_come_back_from_a_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    columns = {
        "text": np.array(["a", "", "…", "Ca(OH)2"], dtype=object),
        "number": np.array([1.5, np.nan, -np.inf, 0.0]),
        "key": rng.integers(0, 1 << 63, 4).astype(np.uint64),
        "truth": np.array([True, False, True, True]),
    }
    arrays = [
        texts_as_arrow(column) if column.dtype == object else numbers_as_arrow(column) for column in columns.values()
    ]
    table = pa.Table.from_arrays(arrays, names=list(columns))
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=3)
    read = read_arrow(tmp_path / "t.parquet")
    for name, expected in columns.items():
        got = column_as_numpy(read, name)
        assert got.dtype == expected.dtype
        assert list(got) == list(expected) if name != "number" else np.array_equal(got, expected, equal_nan=True)
    part = column_as_numpy(table.slice(1, 2), "key")
    assert np.array_equal(part, columns["key"][1:3])
    assert read_arrow(tmp_path / "t.parquet", ["truth"]).column_names == ["truth"]
