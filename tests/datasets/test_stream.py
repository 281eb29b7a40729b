"""Tables in chunks, against the same tables read whole; references against sets of formulas."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matgen.composition.batch import CompositionBatch
from matgen.datasets import PARTS, load_dataset, read_formula_table, split_batch
from matgen.datasets import stream as module
from matgen.datasets.stream import ahead, iterate_formula_table, open_reference
from matgen.errors import DataError, OptionError


def together(path: Path, column: str | None = None, **options) -> tuple[pd.DataFrame, str]:
    chunks = list(iterate_formula_table(path, column, **options))
    assert all(len(frame) for frame, _ in chunks)
    assert max(len(frame) for frame, _ in chunks) <= options.get("rows_per_chunk", 250_000)
    return pd.concat([frame for frame, _ in chunks]), chunks[0][1]


def _texts(*frames: pd.DataFrame) -> list[str]:
    return list({str(name) for frame in frames for name in frame if isinstance(frame[name].dtype, pd.StringDtype)})


def assert_as_whole(path: Path, column: str | None = None, *, exactly: bool = True, **options) -> None:
    expected, name = read_formula_table(path, column)
    found, found_name = together(path, column, **options)
    assert found_name == name
    for one in expected.columns[expected.isna().all().to_numpy()]:  # nothing there: of no type
        assert found[one].isna().all()
        found[one] = expected[one] = None
    if not exactly:  # Arrow's types
        found = found.astype(object).where(found.notna(), None)
        expected = expected.astype(object).where(expected.notna(), None)
    # pandas 3 has a type of its own for text, which a chunk without any text is not given.
    found, expected = (frame.astype(dict.fromkeys(_texts(found, expected), object)) for frame in (found, expected))
    pd.testing.assert_frame_equal(found, expected, check_index_type=False, check_exact=True)
    only, _ = together(path, column, formula_only=True, **options)
    assert list(only.columns) == [name]
    assert only[name].astype(object).where(only[name].notna(), None).tolist() == [
        None if pd.isna(one) else one for one in expected[name].tolist()
    ]


_FORMULA = st.sampled_from(["NaCl", "Fe2O3", "NaN", "None", "Xx", "", "Fe2 O3", "Ca3(PO4)2", "CuSO4·5H2O", "Na,Cl"])
_CELL = {
    "whole": st.integers(-5, 5),
    "number": st.one_of(st.integers(-5, 5), st.sampled_from([0.5, 1e300, -2.25])),
    "flag": st.booleans(),
    "text": st.sampled_from(["a", "b b", "5", "true"]),
    "mixed": st.one_of(st.integers(0, 3), st.booleans(), st.sampled_from(["x", "1.5"])),
    "nothing": st.none(),
}


@st.composite
def _tables(draw) -> list[dict]:
    n = draw(st.integers(1, 12))
    names = draw(st.lists(st.sampled_from(sorted(_CELL)), unique=True))
    gaps = {name: draw(st.booleans()) for name in names}
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
        ("a.csv", b"formula\n\xff\xfeNa\n"),
        ("a.csv", b'id,formula\n1,"Na\n'),
        ("a.txt", b"\n \n"),
        ("a.txt", b"\xff\n"),
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


def _formulas(n: int) -> list[str]:
    rng = np.random.default_rng(n)
    symbols = np.array(["Li", "Na", "Fe", "Ti", "O", "S", "Cl"])
    return [
        "".join(f"{symbol}{count}" for symbol, count in zip(symbols[picked], counts, strict=True))
        for picked, counts in zip(rng.integers(0, 7, (n, 3)), rng.integers(1, 9, (n, 3)), strict=True)
    ]


@pytest.fixture
def always_streamed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "_LOADED_WHOLE", 0)
    monkeypatch.setattr(module, "_LOADED_WHOLE_BYTES", 0)
    yield


@pytest.mark.parametrize("kind", ["parquet", "csv", "folder"])
def test_a_streamed_reference_is_the_loaded_one(tmp_path: Path, always_streamed: None, kind: str, monkeypatch) -> None:
    formulas = [*_formulas(3000), "Xx", "NaCl"]
    path = tmp_path / f"a.{kind}"
    if kind == "csv":
        pd.DataFrame({"formula": formulas}).to_csv(path, index=False)
    elif kind == "parquet":
        pq.write_table(pa.table({"formula": formulas}), path, row_group_size=500)
    else:
        path.mkdir()
        for start in range(0, len(formulas), 700):
            pq.write_table(pa.table({"formula": formulas[start : start + 700]}), path / f"{start:05d}.parquet")
    reference = open_reference(path)
    assert reference.name == str(path)
    dataset = load_dataset(path)
    for _ in range(2):
        batches = list(reference.batches())
        keys = np.concatenate([batch.keys() for batch, _ in batches])
        assert {tuple(key) for key in keys.tolist()} == {tuple(key) for key in dataset.batch.keys().tolist()}
        for batch, part in batches:
            assert part.dtype == np.uint8
            assert np.array(PARTS, dtype=object)[part - 1].tolist() == split_batch(batch).tolist()
    assert reference.sample.formulas().tolist() == dataset.batch.formulas().tolist()

    monkeypatch.setattr(module, "SAMPLE_SIZE", 50)
    expected = sorted(map(tuple, dataset.batch.keys()[:, ::-1].tolist()))[:50]
    sample = open_reference(path).sample
    assert sorted(map(tuple, sample.keys()[:, ::-1].tolist())) == expected
    places = [dataset.batch.formulas().tolist().index(formula) for formula in sample.formulas()]
    assert places == sorted(places)
    monkeypatch.undo()
    assert open_reference(path)._sample is None  # below the limit it is loaded, and known as soon as asked for


def test_the_sample_does_not_depend_on_order_or_chunks() -> None:
    keep = []
    batch = CompositionBatch.from_formulas(_formulas(2000))
    for seed, piece in ((0, 7), (1, 100), (2, 2000)):
        shuffled = batch[np.random.default_rng(seed).permutation(len(batch))]
        sample = module._Sample(20)
        for start in range(0, len(batch), piece):
            part = shuffled[start : start + piece]
            sample.add(part, part.keys())
        keep.append(sorted(sample.batch().formulas()))
    assert keep[0] == keep[1] == keep[2]
    assert len(keep[0]) == 20


def test_a_named_reference_is_the_dataset() -> None:
    reference, dataset = open_reference("hybrid-strict"), load_dataset("hybrid-strict")
    ((batch, part),) = reference.batches()
    assert reference.name == "hybrid-strict"
    np.testing.assert_array_equal(batch.keys(), dataset.batch.keys())
    assert np.array(PARTS, dtype=object)[part - 1].tolist() == dataset.split.tolist()
    assert reference.sample.keys().tolist() == dataset.batch.keys().tolist()


def test_references_without_formulas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    pd.DataFrame({"formula": ["Xx", "Yy"]}).to_csv(path, index=False)
    with pytest.raises(DataError, match="none of the 2 formulas") as loaded:
        open_reference(path)
    monkeypatch.setattr(module, "_LOADED_WHOLE_BYTES", 0)
    with pytest.raises(DataError) as streamed:
        list(open_reference(path).batches())
    assert str(streamed.value) == str(loaded.value)
    (tmp_path / "b.csv").write_text("x\n1\n")
    with pytest.raises(DataError, match="has no formula column"):
        open_reference(tmp_path / "b.csv")
    with pytest.raises(DataError, match="no such file"):
        open_reference(tmp_path / "none.csv")
    with pytest.raises(OptionError, match="hybrid"):
        open_reference("hybird")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="holds no table"):
        open_reference(tmp_path / "folder")


def test_batches_may_be_left_early(tmp_path: Path, always_streamed: None) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"formula": _formulas(1000)}), path)
    reference = open_reference(path)
    for _ in reference.batches():
        break
    assert len(reference.sample) == len(load_dataset(path))


def test_ahead_gives_the_same_items_and_errors() -> None:
    def items(stop: int, fails: bool) -> Iterator[int]:
        yield from range(stop)
        if fails:
            raise DataError("broken")

    assert list(ahead(items(0, False))) == []
    assert list(ahead(ahead(items(100, False)))) == list(range(100))
    met = []
    with pytest.raises(DataError, match="broken"):
        for item in ahead(items(3, True)):
            met.append(item)
    assert met == [0, 1, 2]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    """A process that goes through a table twenty times as long needs hardly more memory."""
    peaks = []
    formulas = _formulas(50_000)
    for files in (1, 20):
        folder = tmp_path / str(files)
        folder.mkdir()
        for number in range(files):
            pq.write_table(pa.table({"formula": formulas}), folder / f"{number}.parquet")
        shown = subprocess.run(
            [sys.executable, "-c", _MEASURE, str(folder)], capture_output=True, text=True, check=True
        )
        rows, peak = map(int, shown.stdout.split())
        assert rows == files * len(formulas)
        peaks.append(peak)
    assert peaks[1] < peaks[0] + 30 * 1024  # kibibytes; a million formulas as Python text are 60 MB


_MEASURE = """
import sys
from matgen.composition.batch import parse_formulas
from matgen.datasets.stream import iterate_formula_table
rows = 0
for frame, column in iterate_formula_table(sys.argv[1], rows_per_chunk=20_000):
    rows += len(parse_formulas(frame[column]).batch)
print(rows, next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))
"""


def test_parts_are_of_the_split_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    load_dataset("hybrid").frame[["formula"]].head(3000).to_csv(path, index=False)
    for split in ("split", "split_chemsys"):
        expected = load_dataset(path, split=split).split
        codes = np.concatenate([part for _, part in open_reference(path, split).batches()])
        assert (np.array(PARTS)[codes - 1] == expected).all()
    with pytest.raises(OptionError, match="unknown split 'half'; known: split, split_chemsys"):
        open_reference(path, "half")
    with pytest.raises(OptionError, match="a reference without a name"):
        open_reference("")
