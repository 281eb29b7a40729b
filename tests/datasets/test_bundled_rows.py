from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from matgen.datasets import load_dataset
from matgen.datasets.bundled_rows import bundled_rows

COLUMNS = ("in_oqmd", "in_mp", "formation_energy_oqmd", "energy_above_hull_mp")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MATGEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "rows"


def test_rows_are_those_of_the_dataset(cache: Path) -> None:
    dataset = load_dataset("hybrid")
    # Every formula is written as matgen writes it, so that equal texts are equal compositions.
    assert (dataset.frame["formula"].to_numpy(object) == dataset.batch.formulas()).all()
    rows = np.random.default_rng(0).integers(0, len(dataset), 40)
    frame = dataset.frame.iloc[[0, *rows.tolist(), len(dataset) - 1]]
    first, again = (bundled_rows([*frame["formula"], "NaCl9", "aCl"], COLUMNS) for _ in range(2))
    assert first == again and set(first) == set(frame["formula"])
    for _, row in frame.iterrows():
        for name in COLUMNS:
            value = first[row["formula"]][name]
            assert (value is None) == (row[name] != row[name]) and (value is None or value == row[name])


def test_a_damaged_copy_is_made_anew(cache: Path) -> None:
    expected = bundled_rows(["NaCl"], COLUMNS)
    (kept,) = cache.iterdir()
    content = bytearray(kept.read_bytes())
    content[-1] ^= 1
    kept.write_bytes(content)
    assert bundled_rows(["NaCl"], COLUMNS) == expected
    assert kept.read_bytes() != bytes(content)


def test_a_cache_that_cannot_be_written_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MATGEN_CACHE", str(tmp_path / "file"))
    assert bundled_rows(["NaCl", "Xx"], ("in_mp",)) == {"NaCl": {"in_mp": 1.0}}
