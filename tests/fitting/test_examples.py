from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matgen.composition.batch import CompositionBatch
from matgen.fitting.examples import TokenTable, batches_of_epoch, drawn_by_weight
from matgen.models.tokenizer import encode


@given(st.lists(st.integers(4, 30), min_size=1, max_size=300), st.integers(1, 64), st.integers(0, 3))
def test_an_epoch_is_every_row_once_in_batches_of_like_length(lengths: list[int], size: int, epoch: int) -> None:
    table = np.array(lengths)
    batches = batches_of_epoch(table, size, 0, epoch)
    assert sorted(np.concatenate(batches)) == list(range(len(table)))
    assert len(batches) == -(-len(table) // size)
    spans = sorted((table[rows].min(), table[rows].max()) for rows in batches)
    assert all(high <= next_low for (_, high), (next_low, _) in itertools.pairwise(spans))
    again = batches_of_epoch(table, size, 0, epoch)
    assert all((a == b).all() for a, b in zip(batches, again, strict=True))


def test_epochs_and_seeds_differ() -> None:
    lengths = np.full(100, 7)
    first, second, seeded = (np.concatenate(batches_of_epoch(lengths, 10, s, e)) for s, e in ((0, 0), (0, 1), (1, 0)))
    assert (first != second).any()
    assert (first != seeded).any()


@given(st.lists(st.floats(0.01, 20), min_size=1, max_size=200), st.integers(0, 5))
def test_rows_are_drawn_as_often_as_they_weigh(weights: list[float], seed: int) -> None:
    rows = drawn_by_weight(np.array(weights), np.random.default_rng(seed))
    expected = [weight * len(weights) / sum(weights) for weight in weights]
    times = Counter(rows.tolist())
    assert len(rows) == len(weights)
    for row, mean in enumerate(expected):
        assert math.floor(mean - 1e-6) <= times[row] <= math.ceil(mean + 1e-6)


def test_weighted_epochs_have_the_mean_of_the_weights() -> None:
    weights = np.array([0.2, 0.5, 0.3, 2.5, 1.5])
    epochs = [np.concatenate(batches_of_epoch(np.full(5, 6), 2, 0, epoch, weights)) for epoch in range(3000)]
    assert {len(rows) for rows in epochs} == {5}
    assert np.bincount(np.concatenate(epochs)) / 3000 == pytest.approx(weights, abs=0.04)  # 4 standard deviations
    again = np.concatenate(batches_of_epoch(np.full(5, 6), 2, 0, 7, weights))
    assert (again == epochs[7]).all()


def test_a_table_is_shared_out_and_trimmed() -> None:
    table = TokenTable.from_numpy(*encode(CompositionBatch.from_formulas(["NaCl", "SrTiO3", "LiFePO4"]), "counted"))
    ids, lengths = table.batch(np.array([0]))
    assert ids.shape == (1, 4)  # <bos>, two elements, <eos>
    assert lengths.tolist() == [4]
    shares = [table.share(rank, 2) for rank in range(2)]
    assert [len(share) for share in shares] == [2, 1]
    assert shares[1].ids[0].tolist() == table.ids[1].tolist()
    assert table.rows(np.array([2, 0, 2])).lengths.tolist() == table.lengths[[2, 0, 2]].tolist()
