from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from matgen.composition.batch import CompositionBatch
from matgen.fitting.examples import TokenTable, batches_of_epoch
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


def test_a_table_is_shared_out_and_trimmed() -> None:
    table = TokenTable.from_numpy(*encode(CompositionBatch.from_formulas(["NaCl", "SrTiO3", "LiFePO4"]), "counted"))
    ids, lengths = table.batch(np.array([0]))
    assert ids.shape == (1, 4)  # <bos>, two elements, <eos>
    assert lengths.tolist() == [4]
    shares = [table.share(rank, 2) for rank in range(2)]
    assert [len(share) for share in shares] == [2, 1]
    assert shares[1].ids[0].tolist() == table.ids[1].tolist()
