"""Splits that never move."""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
import pytest

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import ATOMIC_NUMBER
from matgen.datasets import SPLITS, assign_splits, shifted_parts, split_batch
from matgen.datasets.splits import codes_of_parts, near_hull_parts, part_codes, source_parts, split_keys
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
    batch = CompositionBatch.from_formulas(list(PINNED))
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


@pytest.fixture(scope="module")
def enumerated() -> CompositionBatch:
    """13,230 compositions of 30 elements: each pair and triple in a few anonymous formulas."""
    rng = np.random.default_rng(0)
    elements = rng.permutation(np.arange(3, 84))[:30]
    pairs = list(itertools.combinations(elements, 2))
    triples = list(itertools.combinations(elements, 3))
    counts = [(1, 1), (1, 2), (2, 3)]
    rows = [((*pair, 0), (*count, 0)) for pair in pairs for count in counts]
    rows += [(triple, count) for triple in triples for count in ((1, 1, 1), (1, 1, 3), (1, 2, 6))]
    first, second = (np.array(part, dtype=np.int64) for part in zip(*rows, strict=True))
    return CompositionBatch.from_arrays(first, second)


def families(batch: CompositionBatch, split: str) -> list[str]:
    if split == "split_anonymous":
        return batch.anonymous_formulas().tolist()
    return (batch.formulas() if split == "split" else batch.chemical_systems()).tolist()


@pytest.mark.parametrize("split", ["split", "split_chemsys", "split_anonymous"])
def test_no_family_is_in_two_parts(enumerated: CompositionBatch, split: str) -> None:
    parts_of = defaultdict(set)
    for seed in range(3):
        part = shifted_parts(enumerated, split, seed=seed, valid_share=0.2, test_share=0.3)
        for family, one in zip(families(enumerated, split), part, strict=True):
            parts_of[seed, family].add(one)
    assert all(len(parts) == 1 for parts in parts_of.values())
    assert {part for parts in parts_of.values() for part in parts} == {"train", "valid", "test"}


@pytest.mark.parametrize("alike", [True, False])
def test_pairs_of_the_test_part_occur_in_no_other(enumerated: CompositionBatch, alike: bool) -> None:
    part = shifted_parts(enumerated, "split_pair", valid_alike=alike)
    pairs: dict[str, set[frozenset[int]]] = defaultdict(set)
    of_each = [{frozenset(pair) for pair in itertools.combinations(row[row > 0].tolist(), 2)}
               for row in enumerated.elements]  # fmt: skip
    for one, own in zip(part, of_each, strict=True):
        pairs[one] |= own
    seen = pairs["train"] | (set() if alike else pairs["valid"])
    assert all(own - seen for one, own in zip(part, of_each, strict=True) if one == "test")
    if alike:
        assert all(own - seen for one, own in zip(part, of_each, strict=True) if one == "valid")
    assert 0.05 < np.mean(part == "test") < 0.15


def test_one_element_is_left_out(enumerated: CompositionBatch) -> None:
    batch = CompositionBatch.concatenate([enumerated, CompositionBatch.from_formulas(["ZnSe", "SeO2", "CdSe2O5", "S"])])
    part = split_batch(batch, "split_without_Se")
    assert ((part == "test") == (batch.elements == ATOMIC_NUMBER["Se"]).any(axis=1)).all()
    assert 0.03 < np.mean(part == "valid") < 0.07
    with pytest.raises(OptionError, match="'Sx' is not an element"):
        split_batch(batch, "split_without_Sx")


def test_parts_hang_on_seed_and_composition_alone(enumerated: CompositionBatch) -> None:
    order = np.random.default_rng(1).permutation(len(enumerated))[:500]
    for split in ("split", "split_chemsys", "split_anonymous", "split_pair", "split_without_O"):
        part = shifted_parts(enumerated, split, seed=5, valid_alike=False)
        assert (shifted_parts(enumerated[order], split, seed=5, valid_alike=False) == part[order]).all()
        assert (shifted_parts(enumerated, split, seed=6, valid_alike=False) != part).any()


def test_shares_of_shifted_parts(enumerated: CompositionBatch) -> None:
    for seed in range(3):
        part = shifted_parts(enumerated, "split", seed=seed)
        assert np.mean(part == "test") == pytest.approx(0.1, abs=0.012)
        assert np.mean(part == "valid") == pytest.approx(0.05, abs=0.01)


def test_nothing_near_the_hull_is_learned(enumerated: CompositionBatch) -> None:
    distance = np.random.default_rng(0).uniform(-0.2, 1, len(enumerated))
    distance[:7] = np.nan
    part = near_hull_parts(enumerated, distance)
    assert ((part == "test") == (shifted_parts(enumerated, "split") == "test")).all()
    assert not (distance[np.isin(part, ("train", "valid"))] <= 0.1).any()
    assert (distance[part == ""] <= 0.1).all()
    assert {"train", "valid", "test", ""} == set(part)


def test_sources_do_not_meet(enumerated: CompositionBatch) -> None:
    rng = np.random.default_rng(0)
    learned, tested = rng.random((2, len(enumerated))) < 0.5
    part = source_parts(enumerated, learned, tested)
    assert ((part == "test") == (tested & ~learned)).all()
    assert (np.isin(part, ("train", "valid")) == learned).all()
    assert (part == "valid").any()
