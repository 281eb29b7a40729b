from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import SYMBOLS
from matgen.evaluation.novelty import NearestKnown

compositions = st.dictionaries(st.integers(1, 12), st.integers(1, 6), min_size=1, max_size=4)


def formulas(rows: list[dict[int, int]]) -> CompositionBatch:
    return CompositionBatch.from_formulas(["".join(f"{SYMBOLS[z]}{n}" for z, n in row.items()) for row in rows])


def fractions(batch: CompositionBatch) -> np.ndarray:
    whole = np.zeros((len(batch), 119))
    np.add.at(whole, (np.arange(len(batch))[:, None], batch.elements), batch.counts)
    whole[:, 0] = 0
    return whole / whole.sum(axis=1, keepdims=True)


@settings(max_examples=60, deadline=None)
@given(st.lists(compositions, min_size=1, max_size=12), st.lists(compositions, min_size=1, max_size=6))
def test_the_nearest_is_that_of_trying_all(known: list[dict], asked: list[dict]) -> None:
    known_batch, batch = formulas(known), formulas(asked)
    every = 0.5 * np.abs(fractions(batch)[:, None] - fractions(known_batch)[None]).sum(axis=2)
    distance, nearest = NearestKnown(known_batch).of(batch)
    assert distance == pytest.approx(every.min(axis=1), abs=1e-12)
    for i, row in enumerate(nearest):
        if row < 0:
            assert distance[i] == 1
        else:
            assert every[i, row] == pytest.approx(distance[i], abs=1e-12)


def test_shares_of_atoms() -> None:
    known = CompositionBatch.from_formulas(["SrTiO3", "NaCl"])
    asked = CompositionBatch.from_formulas(["BaTiO3", "KCl", "SrTiO3", "Na3Cl2", "UF6"])
    distance, nearest = NearestKnown(known).of(asked)
    assert distance == pytest.approx([0.2, 0.5, 0.0, 0.1, 1.0])
    assert nearest.tolist() == [0, 1, 0, 1, -1]
