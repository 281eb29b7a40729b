"""References against sets of formulas, and against the datasets they are made of."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from matgen.composition.batch import CompositionBatch
from matgen.datasets import PARTS, load_dataset, split_batch
from matgen.datasets import reference as module
from matgen.datasets.reference import Reference, ahead, open_reference
from matgen.errors import DataError, OptionError


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
from matgen.datasets.tables import iterate_formula_table
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


def test_a_loaded_dataset_keeps_its_own_split(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("NaCl\nKCl\nMgO\n")
    dataset = dataclasses.replace(load_dataset(tmp_path / "a.txt"), split=np.array(["test", "train", "valid"], object))
    reference = Reference.of_dataset(dataset)
    ((batch, part),) = reference.batches()
    assert batch.formulas().tolist() == reference.sample.formulas().tolist() == ["NaCl", "KCl", "MgO"]
    assert (part.dtype, part.tolist()) == (np.uint8, [3, 1, 2])
