"""Splits that never move."""

from __future__ import annotations

import numpy as np
import pytest

from matgen.composition.batch import CompositionBatch
from matgen.datasets import SPLITS, assign_splits, split_batch
from matgen.datasets.splits import codes_of_parts, part_codes, split_keys
from matgen.errors import OptionError

PINNED = {
    "SrTiO3": ("train", "train"),
    "NaCl": ("train", "train"),
    "LiFePO4": ("train", "train"),
    "Ar": ("test", "test"),
    "KI": ("valid", "valid"),
    "CaP": ("test", "test"),
    "CrN": ("valid", "valid"),
    "LuHO2": ("train", "train"),
    "LuCl3": ("train", "valid"),
    "MnAlPt2": ("train", "test"),
    "Li7Br3O2": ("valid", "train"),
    "KAuF4": ("valid", "valid"),
    "Na2MgCl4": ("valid", "test"),
    "LiNbRh2": ("test", "train"),
    "HfSe2": ("test", "valid"),
    "NaMnF3": ("test", "test"),
}
"""Formula to its part under `split` and `split_chemsys`. These must hold for ever: checkpoints were trained on them."""


def test_pinned_formulas_stay_where_they_are() -> None:
    batch = CompositionBatch.from_formulas(PINNED)
    found = zip(split_batch(batch, "split"), split_batch(batch, "split_chemsys"), strict=True)
    assert dict(zip(PINNED, found, strict=True)) == PINNED


def test_a_part_depends_on_the_composition_alone() -> None:
    spellings = CompositionBatch.from_formulas(["Al2(SO4)3", "S3Al2O12", "Al4S6O24"])
    assert len(set(split_batch(spellings))) == 1
    system = CompositionBatch.from_formulas(["Fe2O3", "Fe3O4", "FeO", "Fe7O9"])
    assert len(set(split_batch(system, "split_chemsys"))) == 1


def test_bounds() -> None:
    def lane(fraction: float) -> int:
        return int(fraction * 2**53) << 11

    keys = np.array(
        [[0, 5], [lane(0.9499), 5], [lane(0.9501), 5], [lane(0.9749), 5], [lane(0.9751), 5], [2**64 - 1, 5]],
        dtype=np.uint64,
    )
    assert assign_splits(keys).tolist() == ["train", "train", "valid", "valid", "test", "test"]
    assert assign_splits(np.empty((0, 2), dtype=np.uint64)).shape == (0,)


def test_shares() -> None:
    keys = np.random.default_rng(1).integers(0, 2**64, size=(200_000, 2), dtype=np.uint64)
    parts = assign_splits(keys)
    assert np.mean(parts == "train") == pytest.approx(0.95, abs=0.003)
    assert np.mean(parts == "valid") == pytest.approx(0.025, abs=0.002)


def test_unknown_split() -> None:
    with pytest.raises(OptionError, match="unknown split 'random'; known: split, split_chemsys"):
        split_batch(CompositionBatch.from_formulas(["NaCl"]), "random")


def test_codes_of_parts_are_those_of_the_keys() -> None:
    batch = CompositionBatch.from_formulas(list(PINNED))
    for split in SPLITS:
        codes = part_codes(split_keys(batch, split))
        assert codes_of_parts(split_batch(batch, split)).tolist() == codes.tolist()
    assert codes_of_parts(np.array(["valid", "other"], dtype=object)).tolist() == [2, 0]
