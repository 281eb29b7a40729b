from __future__ import annotations

import numpy as np
import pytest

from matgen.composition.batch import CompositionBatch
from matgen.models.tokenizer import EOS, encode
from matgen.sampling.reading import DrawnBlock, read_block

FORMULAS = ["NaCl", "SrTiO3", "LiF", "KBr"]


def drawn(log_prob: np.ndarray | None, starts: np.ndarray | None = None) -> DrawnBlock:
    """`FORMULAS`, of which the second is cut off and the third written in another order."""
    ids, _ = encode(CompositionBatch.from_formulas(FORMULAS), "expanded")
    ids[1, ids[1] == EOS] = ids[1, 1]
    ids[2, 1:3] = ids[2, 2:0:-1]
    return DrawnBlock(7, ids, log_prob, starts, None)


def test_sequences_in_another_order_get_the_probability_of_the_canonical_one() -> None:
    asked = []

    def canonical_log_prob(batch: CompositionBatch, starts: np.ndarray | None) -> np.ndarray:
        asked.append((batch.formulas().tolist(), None if starts is None else starts.tolist()))
        return np.full(len(batch), -9.0)

    sequence = np.array([-1.0, np.nan, -3.0, -4.0])
    block = read_block(drawn(sequence, np.array([10, 11, 12, 13])), "expanded", [], canonical_log_prob)
    assert asked == [(["LiF"], [12])]
    assert (block.number, block.drawn, block.unfinished) == (7, 4, 1)
    assert np.array_equal(block.log_prob, [-1.0, np.nan, -9.0, -4.0], equal_nan=True)
    assert block.canonical.tolist() == [True, False, False, True]
    assert block.formulas[[0, 2, 3]].tolist() == ["NaCl", "LiF", "KBr"]
    assert block.formulas[1].endswith(" …")
    assert not block.keys[1].any()
    assert (block.keys[[0, 2, 3]] == CompositionBatch.from_formulas(["NaCl", "LiF", "KBr"]).keys()).all()
    block = read_block(drawn(None), "expanded", [], canonical_log_prob)  # of a decoder without probabilities
    assert asked[1] == (["NaCl", "LiF", "KBr"], None)
    assert np.array_equal(block.log_prob, [-9.0, np.nan, -9.0, -9.0], equal_nan=True)


@pytest.mark.parametrize(("refused", "kept"), [("Na", ["LiF", "KBr"]), ("Cs", ["NaCl", "LiF", "KBr"])])
def test_filters_leave_out_unfinished_sequences_too(refused: str, kept: list[str]) -> None:
    filters = [lambda batch: np.array([refused not in formula for formula in batch.formulas()])]
    block = read_block(drawn(np.zeros(4)), "expanded", filters, lambda batch, starts: np.zeros(len(batch)))
    assert block.formulas.tolist() == kept
    assert (block.drawn, block.unfinished) == (4, 1)
