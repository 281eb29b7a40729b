from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from matgen.io import chunks
from matgen.io.chunks import ColumnTypes, as_table, join_chunks

FRAME = pd.DataFrame(
    {
        "text": ["a", "", None, "ü,\n", "b"],
        "number": [1.5, np.nan, 0.1 + 0.2, 1e-300, -0.0],
        "flag": [True, None, None, False, True],
        "late": [None, None, None, None, "x"],
        "mixed": [1, "one", None, 2.5, True],
    }
)


def joined(pieces: list[pd.DataFrame], folder: Path, suffix: str) -> Path:
    paths, types = [], ColumnTypes()
    for number, piece in enumerate(pieces):
        own = ColumnTypes()
        own.add(piece)
        paths.append(folder / f"{number}.parquet")
        pq.write_table(as_table(piece, own.schema_so_far()), paths[-1])
        types.add_schema(pq.read_schema(paths[-1]))
    out = folder / f"out{suffix}"
    join_chunks(paths, types.schema(), out, parquet=suffix == ".parquet")
    return out


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(st.integers(1, 19)), st.sampled_from([".csv", ".parquet"]))
def test_bytes_do_not_depend_on_the_chunks(tmp_path_factory, monkeypatch, cuts: set[int], suffix: str) -> None:
    monkeypatch.setattr(chunks, "_ROW_GROUP", 8)
    frame = pd.concat([FRAME.drop(columns="mixed")] * 4, ignore_index=True)
    bounds = [0, *sorted(cuts), len(frame)]
    pieces = [frame.iloc[a:b].reset_index(drop=True) for a, b in itertools.pairwise(bounds)]
    whole = joined([frame], tmp_path_factory.mktemp("whole"), suffix).read_bytes()
    assert joined(pieces, tmp_path_factory.mktemp("pieces"), suffix).read_bytes() == whole


def test_values_come_back(tmp_path: Path) -> None:
    back = pd.read_parquet(joined([FRAME.iloc[:2], FRAME.iloc[2:]], tmp_path, ".parquet"))
    np.testing.assert_array_equal(back["number"], FRAME["number"])
    assert back["text"].fillna("-").tolist() == ["a", "", "-", "ü,\n", "b"]
    assert [None if pd.isna(flag) else flag for flag in back["flag"]] == FRAME["flag"].tolist()
    assert back["mixed"].fillna("-").tolist() == ["1", "one", "-", "2.5", "True"]
    text = pd.read_csv(joined([FRAME.iloc[:2], FRAME.iloc[2:]], tmp_path, ".csv"), float_precision="round_trip")
    np.testing.assert_array_equal(text["number"], FRAME["number"])


def test_columns_of_some_chunks_alone(tmp_path: Path) -> None:
    pieces = [pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"b": ["x"], "a": [0.5]})]
    back = pd.read_parquet(joined(pieces, tmp_path, ".parquet"))
    assert back["a"].tolist() == [1.0, 2.0, 0.5] and back["b"].isna().tolist() == [True, True, False]


@pytest.mark.parametrize(
    "values, kind", [([True, None], pa.bool_()), ([True, "x"], pa.string()), ([None, None], pa.null())]
)
def test_types_of_columns_with_gaps(values: list[object], kind: pa.DataType) -> None:
    types = ColumnTypes()
    types.add(pd.DataFrame({"a": pd.Series(values, dtype=object)}))
    assert types.schema_so_far().field("a").type == kind
