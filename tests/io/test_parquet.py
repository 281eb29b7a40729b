"""Files that are whole are read, whatever their columns are called and hold."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matgen.datasets.tables import read_formula_table
from matgen.errors import DataError
from matgen.io.parquet import check_names, read_parquet, write_parquet

NAMES = st.lists(
    st.sampled_from(["a", "a.b", "a.b.c", "a.", ".", "", "b", "b.a", "ä", "0", "0.1"]), unique=True, min_size=1
)


@settings(max_examples=80, deadline=None)
@given(NAMES)
def test_any_names(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    path = tmp_path_factory.mktemp("names") / "a.parquet"
    frame = pd.DataFrame({name: [1.5, 2.5] for name in names})
    write_parquet(frame, path)
    pd.testing.assert_frame_equal(read_parquet(path), frame)


def test_nested_columns_indexes_and_other_programs(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    columns = {
        "list": pa.array([[1, 2], []]),
        "struct": pa.array([{"x": 1, "y": {"z": "a"}}, None]),
        "map": pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int64())),
        "category": pa.array(["u", "v"]).dictionary_encode(),
        "list.of": pa.array([1, 2]),
    }
    pq.write_table(pa.table(columns), path)
    check_names(path)
    pq.write_table(pa.table(columns), path, store_schema=False)
    check_names(path)
    pd.DataFrame({1: [1], "b": [2]}, index=pd.Index([7], name="key")).rename(columns=str).to_parquet(path)
    assert read_parquet(path)["b"].tolist() == [2]
    pd.DataFrame({"b": [2]}, index=[5]).to_parquet(path)
    assert read_parquet(path).index.tolist() == [5]


def test_a_page_that_is_damaged_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    frame = pd.DataFrame({"formula": ["NaCl"] * 50, "value": range(50)})
    write_parquet(frame, path)
    whole, silent = path.read_bytes(), 0
    for place in range(4, len(whole) // 3, 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            silent += not read_formula_table(path)[0].equals(frame)
        except DataError:
            continue
    assert silent == 0
