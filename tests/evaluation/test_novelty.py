from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import SYMBOLS
from matgen.composition.pettifor import PETTIFOR_PLACE
from matgen.datasets import load_dataset
from matgen.evaluation.novelty import NearestKnown, chemical_distance

compositions = st.dictionaries(st.integers(1, 103), st.integers(1, 9), min_size=1, max_size=6)


def formulas(rows: list[dict[int, int]]) -> CompositionBatch:
    return CompositionBatch.from_formulas(["".join(f"{SYMBOLS[z]}{n}" for z, n in row.items()) for row in rows])


def by_scipy(one: dict[int, int], other: dict[int, int]) -> float:
    """The earth mover's distance along the scale."""
    places = [[PETTIFOR_PLACE[z] for z in composition] for composition in (one, other)]
    return float(wasserstein_distance(*places, list(one.values()), list(other.values())))


@settings(max_examples=60, deadline=None)
@given(st.lists(compositions, min_size=1, max_size=40), st.lists(compositions, min_size=1, max_size=6))
def test_the_nearest_is_that_of_trying_all(known: list[dict], asked: list[dict]) -> None:
    every = np.array([[by_scipy(one, other) for other in known] for one in asked])
    distance, nearest = NearestKnown(formulas(known)).of(formulas(asked))
    assert distance == pytest.approx(every.min(axis=1), abs=1e-9)
    # Of several as near, the first.
    assert nearest.tolist() == [int(np.flatnonzero(row <= row.min() + 1e-9)[0]) for row in every]


def test_among_many_the_nearest_is_that_of_trying_all() -> None:
    """More of them than the search looks at first, and many as near as one another by blocks of the scale."""
    hybrid = load_dataset("hybrid").batch
    chosen = np.random.default_rng(0).permutation(len(hybrid))[:3040]
    known, batch = hybrid[chosen[:3000]], hybrid[chosen[3000:]]
    rows = np.repeat(np.arange(len(batch)), len(known))
    every = chemical_distance(batch[rows], known[np.tile(np.arange(len(known)), len(batch))]).reshape(len(batch), -1)
    distance, nearest = NearestKnown(known).of(batch)
    assert distance == pytest.approx(every.min(axis=1), abs=1e-9)
    assert every[np.arange(len(batch)), nearest] == pytest.approx(distance, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(compositions, compositions, compositions)
def test_it_is_a_metric(a: dict, b: dict, c: dict) -> None:
    ab, bc, ac, ba = chemical_distance(formulas([a, b, a, b]), formulas([b, c, c, a]))
    assert ab == pytest.approx(ba) and ac <= ab + bc + 1e-9
    assert chemical_distance(formulas([a]), formulas([a]))[0] == 0


def test_alike_elements_are_near_and_others_far() -> None:
    known = CompositionBatch.from_formulas(["SrTiO3", "NaCl", "AcIO"])
    asked = CompositionBatch.from_formulas(["BaTiO3", "KCl", "SrTiO3", "TbIO", "Na3Cl2"])
    distance, nearest = NearestKnown(known).of(asked)
    assert distance == pytest.approx([0.2, 0.5, 0.0, 8 / 3, 9.0])
    assert nearest.tolist() == [0, 1, 0, 2, 1]


def test_the_preferred_one_of_equally_near_is_named() -> None:
    known = CompositionBatch.from_formulas(["CaTiO3", "BaTiO3"])  # beside strontium on either side
    asked = CompositionBatch.from_formulas(["SrTiO3"])
    assert NearestKnown(known).of(asked)[1].tolist() == [0]
    assert NearestKnown(known, np.array([1, 0])).of(asked)[1].tolist() == [1]


def test_what_is_not_on_the_scale_is_near_nothing() -> None:
    known = CompositionBatch.from_formulas(["RfO2", "TiO2"])
    asked = CompositionBatch.from_formulas(["RfO2", "ZrO2"])
    distance, nearest = NearestKnown(known).of(asked)
    assert np.isinf(distance[0]) and nearest.tolist() == [-1, 1]
    assert NearestKnown(known[:1]).of(asked)[1].tolist() == [-1, -1]
