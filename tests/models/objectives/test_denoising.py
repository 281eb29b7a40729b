from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from matgen.models import build_model
from matgen.models.objectives.denoising import corrupt_spans, empty_source_loss
from matgen.models.tokenizer import BOS, EOS, MASK, PAD
from tests.models.objectives.batches import batch_of


def test_loss_from_the_empty_source_is_an_exact_likelihood() -> None:
    ids, lengths = batch_of("SrTiO3")
    model = build_model("bart", "tiny", "expanded", seed=3).eval()
    expected = 0.0
    for place in range(1, int(lengths[0])):
        source = torch.tensor([[BOS, MASK, EOS]])
        logits = model(input_ids=source, decoder_input_ids=ids[:, :place]).logits[0, -1]
        expected -= float(logits.log_softmax(-1)[ids[0, place]])
    assert float(empty_source_loss(model, (ids, lengths), torch.Generator())) == pytest.approx(expected, rel=1e-4)


token_rows = st.lists(st.lists(st.integers(32, 149), min_size=1, max_size=12), min_size=1, max_size=20)


@settings(deadline=None)  # the first example may import and compile
@given(token_rows, st.integers(0, 1000))
def test_corrupted_sources(rows: list[list[int]], seed: int) -> None:
    width = max(map(len, rows)) + 2
    ids = torch.tensor([[BOS, *row, EOS] + [PAD] * (width - len(row) - 2) for row in rows])
    lengths = torch.tensor([len(row) + 2 for row in rows])
    source = corrupt_spans(ids, lengths, torch.Generator().manual_seed(seed))
    for row, result in zip(rows, source.tolist(), strict=True):
        result = result[: result.index(EOS) + 1]
        assert result[0] == BOS
        inner = result[1:-1]
        assert not any(a == b == MASK for a, b in itertools.pairwise(inner))
        position = iter(row)  # what is kept is a subsequence of the row
        assert all(token in position for token in inner if token != MASK)
        assert MASK in inner or inner == row


def test_half_of_the_sources_are_empty() -> None:
    ids, lengths = batch_of(*["Y3Al5O12"] * 2000)
    source = corrupt_spans(ids, lengths, torch.Generator().manual_seed(0))
    empty = (source[:, :3] == torch.tensor([BOS, MASK, EOS])).all(dim=1).float().mean()
    assert 0.5 < float(empty) < 0.62  # a half, and those whose random rate was near one
