"""Tables in chunks of any size: joined, they are the same tables read whole, values and types."""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matgen.datasets import read_formula_table
from matgen.datasets.tables import iterate_formula_table
from matgen.errors import DataError


def together(path: Path, column: str | None = None, **options) -> tuple[pd.DataFrame, str]:
    chunks = list(iterate_formula_table(path, column, **options))
    assert all(len(frame) for frame, _ in chunks)
    assert max(len(frame) for frame, _ in chunks) <= options.get("rows_per_chunk", 250_000)
    return pd.concat([frame for frame, _ in chunks]), chunks[0][1]


def assert_as_whole(path: Path, column: str | None = None, *, exactly: bool = True, **options) -> None:
    expected, name = read_formula_table(path, column)
    joined, joined_name = together(path, column, **options)
    assert joined_name == name
    if exactly:
        for chunk, _ in iterate_formula_table(path, column, **options):
            assert chunk.dtypes.to_dict() == expected.dtypes.to_dict()
    else:  # Arrow's types
        joined = joined.astype(object).where(joined.notna(), None)
        expected = expected.astype(object).where(expected.notna(), None)
    pd.testing.assert_frame_equal(joined, expected, check_index_type=False, check_exact=True)
    only, _ = together(path, column, formula_only=True, **options)
    assert list(only.columns) == [name]
    assert only[name].astype(object).where(only[name].notna(), None).tolist() == [
        None if pd.isna(one) else one for one in expected[name].tolist()
    ]


_FORMULA = st.sampled_from(["NaCl", "Fe2O3", "NaN", "None", "Xx", "", "Fe2 O3", "Ca3(PO4)2", "CuSO4·5H2O", "Na,Cl"])
_CELL = {
    "whole": st.integers(-5, 5),
    "number": st.one_of(st.integers(-5, 5), st.sampled_from([0.5, 1e300, -2.25, 2**53 + 1, 123456789012345678])),
    "flag": st.booleans(),
    "text": st.sampled_from(["a", "b b", "5", "true"]),
    "mixed": st.one_of(st.integers(0, 3), st.booleans(), st.sampled_from(["x", "1.5"])),
    "nothing": st.none(),
    "unsigned": st.sampled_from([2**63, 2**64 - 1]),
}


@st.composite
def _tables(draw) -> list[dict]:
    n = draw(st.integers(1, 12))
    names = draw(st.lists(st.sampled_from(sorted(_CELL)), unique=True))
    # In a CSV column of integers beyond 63 bits and gaps, pandas leaves the empty cells empty texts.
    gaps = {name: name != "unsigned" and draw(st.booleans()) for name in names}
    return [
        {"formula": draw(_FORMULA)}
        | {name: draw(st.one_of(st.none(), _CELL[name]) if gaps[name] else _CELL[name]) for name in names}
        for _ in range(n)
    ]


@settings(max_examples=150, deadline=None)
@given(_tables(), st.integers(1, 13), st.sampled_from([".csv", ".tsv", ".csv.gz", ".csv.xz"]))
def test_csv_in_chunks(rows, rows_per_chunk, suffix) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        rows = [*rows, {"formula": "MgO"}]  # blank rows are left out, and one must be left
        frame = pd.DataFrame.from_records(rows).astype(object)
        frame.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
        assert_as_whole(path, rows_per_chunk=rows_per_chunk)


@settings(max_examples=150, deadline=None)
@given(_tables(), st.integers(1, 13), st.sampled_from([".jsonl", ".ndjson", ".jsonl.gz", ".json"]), st.data())
def test_json_in_chunks(rows, rows_per_chunk, suffix, data) -> None:
    lines = [json.dumps({key: value for key, value in row.items() if data.draw(st.booleans())}) for row in rows]
    lines += [json.dumps(rows[0]), *data.draw(st.lists(st.sampled_from(['{"formula": "Na', "3", '"KBr"', " "])))]
    lines = data.draw(st.permutations(lines))
    text = "\n".join(lines) + data.draw(st.sampled_from(["", "\n"]))
    if suffix == ".json":
        text = json.dumps(rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        path.write_bytes(gzip.compress(text.encode()) if suffix.endswith(".gz") else text.encode())
        assert_as_whole(path, rows_per_chunk=rows_per_chunk)


@settings(max_examples=100, deadline=None)
@given(_tables(), st.integers(1, 13), st.integers(1, 5), st.booleans())
def test_parquet_in_chunks(rows, rows_per_chunk, row_group_size, index) -> None:
    rows = [{key: value for key, value in row.items() if key != "mixed"} for row in rows]
    frame = pd.DataFrame.from_records(rows)
    if index:
        frame.index = pd.Index([f"id{i}" for i in range(len(frame))], name="id")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.parquet"
        frame.to_parquet(path, row_group_size=row_group_size)
        if index:  # where a frame had an index, chunks count their rows like those of other files
            pd.testing.assert_index_equal(read_formula_table(path)[0].columns, frame.columns)
        assert_as_whole(path, exactly=False, rows_per_chunk=rows_per_chunk)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from(["NaCl", " Fe2O3 ", "", " ", "Xx", "\ufeffK"]), min_size=1),
    st.lists(st.sampled_from(["\n", "\r\n", "\r", "\x0b", "\u2028"]), min_size=1),
    st.integers(1, 5),
    st.sampled_from([".txt", "", ".txt.gz"]),
)
def test_text_in_chunks(lines, ends, rows_per_chunk, suffix) -> None:
    text = "".join(line + ends[i % len(ends)] for i, line in enumerate(lines)) + "MgO"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"formulas{suffix}"
        path.write_bytes(gzip.compress(text.encode()) if suffix.endswith(".gz") else text.encode())
        assert_as_whole(path, rows_per_chunk=rows_per_chunk)


@pytest.mark.parametrize("rows_per_chunk", [1, 2, 3, 100])
def test_rows_with_too_many_fields(tmp_path: Path, rows_per_chunk: int) -> None:
    rows = ["1,Fe2O3", "2,MgO", "3,KBr", "4,Na,Cl", "5,CaO", "6", "", '7,"Ca,O"', "8,Na,C,l"]
    (tmp_path / "a.csv").write_text("id,formula\n" + "\n".join(rows) + "\n")
    assert_as_whole(tmp_path / "a.csv", rows_per_chunk=rows_per_chunk)
    assert "4,Na,Cl" in together(tmp_path / "a.csv")[0]["formula"].tolist()


def test_folder_file_by_file(tmp_path: Path) -> None:
    for number, formulas in enumerate([["Fe2O3", "NaCl", "MgO"], ["KBr"], ["CaO", "ZnO"]]):
        pd.DataFrame({"formula": formulas, "log_prob": -1.0}).to_parquet(tmp_path / f"{number:05d}.parquet")
    pd.DataFrame({"formula": ["HgS"], "log_prob": -2.0}).to_csv(tmp_path / "x.csv", index=False)
    (tmp_path / ".hidden.csv").write_text("nothing\n")
    assert_as_whole(tmp_path, exactly=False, rows_per_chunk=2)
    assert [len(frame) for frame, _ in iterate_formula_table(tmp_path, rows_per_chunk=2)] == [2, 1, 1, 2, 1]


def test_parquet_keeps_arrow_types(tmp_path: Path) -> None:
    frame = pd.DataFrame({"formula": ["NaCl", None], "gap": [None, 1], "flag": [True, None]})
    frame.to_parquet(tmp_path / "a.parquet")
    chunks = [frame for frame, _ in iterate_formula_table(tmp_path / "a.parquet", rows_per_chunk=1)]
    assert all((chunk.dtypes == chunks[0].dtypes).all() for chunk in chunks)
    assert chunks[0]["formula"].dtype in (pd.ArrowDtype(pa.string()), pd.ArrowDtype(pa.large_string()))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b""),
        ("a.csv", b"formula\n"),
        ("a.csv", b"x,y\n1,2\n"),
        ("a.csv", b"formula\n\xff\xfe\0Na\n"),
        ("a.csv", b'id,formula\n1,"Na\n'),
        ("a.txt", b"\n \n"),
        ("a.txt", b"\xff\0\x81\n"),
        ("a.jsonl", b'{"x": 1}\n'),
        ("a.jsonl", b"\n"),
        ("a.json", b"{"),
        ("a.json", b"3"),
        ("a.parquet", b"formula\nNaCl\n"),
        ("a.csv.gz", b"formula\nNaCl\n"),
        ("a.csv.gz", gzip.compress(b"formula\nNaCl\n" * 99, mtime=0)[:-9]),
        ("a.txt.gz", gzip.compress(b"NaCl\n" * 99, mtime=0)[:-9]),
        ("a.xlsx", b"x"),
        ("none", None),
    ],
)
def test_the_same_errors(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as expected:
        read_formula_table(tmp_path / name)
    for only in (False, True):
        with pytest.raises(DataError) as caught:
            list(iterate_formula_table(tmp_path / name, rows_per_chunk=10, formula_only=only))
        if name == "a.parquet":  # pyarrow words it in two ways
            assert str(caught.value).startswith(f"cannot read {tmp_path / name}: Parquet magic bytes not found")
        else:
            assert str(caught.value) == str(expected.value)


def test_the_same_errors_of_folders(tmp_path: Path) -> None:
    for prepare in (
        lambda: None,
        lambda: pd.DataFrame({"formula": ["NaCl"]}).to_parquet(tmp_path / "0.parquet"),
        lambda: pd.DataFrame({"composition": ["NaCl"]}).to_parquet(tmp_path / "1.parquet"),
        lambda: pd.DataFrame({"formula": []}, dtype=object).to_parquet(tmp_path / "0.parquet"),
    ):
        prepare()
        try:
            read_formula_table(tmp_path)
        except DataError as expected:
            with pytest.raises(DataError) as caught:
                list(iterate_formula_table(tmp_path))
            assert str(caught.value) == str(expected)
    with pytest.raises(DataError, match="has no column 'smiles'"):
        list(iterate_formula_table(tmp_path / "1.parquet", "smiles"))
