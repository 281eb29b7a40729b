from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from matgen.composition.batch import CompositionBatch
from matgen.errors import OptionError
from matgen.fitting.examples import TokenTable
from matgen.models import build_model
from matgen.models.tokenizer import BOS, EOS, MASK, PAD, encode
from matgen.training.objectives import (
    OBJECTIVES,
    causal_loss,
    corrupt_spans,
    fixed_rate_loss,
    from_nothing_loss,
    length_histogram,
    mean_length_nats,
    objective_for,
    order_agnostic_loss,
    validation_figure,
)


def batch_of(*formulas: str):
    ids, lengths = encode(CompositionBatch.from_formulas(formulas), "expanded")
    return torch.from_numpy(ids).long(), torch.from_numpy(lengths)


@pytest.fixture(scope="module")
def models():
    return {
        key: build_model(key, "tiny", "expanded", seed=3).eval() for key in ("gpt", "gpt2", "gptj", "bart", "roberta")
    }


def test_denoising_from_nothing_is_an_exact_likelihood(models) -> None:
    ids, lengths = batch_of("SrTiO3")
    model = models["bart"]
    expected = 0.0
    for place in range(1, int(lengths[0])):
        source = torch.tensor([[BOS, MASK, EOS]])
        logits = model(input_ids=source, decoder_input_ids=ids[:, :place]).logits[0, -1]
        expected -= float(logits.log_softmax(-1)[ids[0, place]])
    assert float(from_nothing_loss(model, (ids, lengths), torch.Generator())) == pytest.approx(expected, rel=1e-4)


def test_order_agnostic_loss_is_the_bound_of_all_orders(models) -> None:
    """The mean over every order of unmasking, enumerated, against the mean of many random draws."""
    ids, lengths = batch_of("KTiO2")
    model, n = models["roberta"], int(lengths[0]) - 2
    orders = list(itertools.permutations(range(1, n + 1)))
    exact = 0.0
    with torch.no_grad():
        for order in orders:
            for step, place in enumerate(order):
                hidden = ids.clone()
                hidden[0, list(order[step:])] = MASK
                exact -= float(model(input_ids=hidden).logits[0, place].log_softmax(-1)[ids[0, place]]) / len(orders)
        many = ids.expand(4000, -1), lengths.expand(4000)
        drawn = float(order_agnostic_loss(model, many, torch.Generator().manual_seed(0))) / 4000
    assert drawn == pytest.approx(exact, rel=0.02)


def test_published_control_masks_a_tenth(models) -> None:
    ids, lengths = batch_of("Y3Al5O12")
    seen = {}

    def spy(input_ids, attention_mask):
        seen["masked"] = (input_ids == MASK).sum()
        return models["roberta"](input_ids=input_ids, attention_mask=attention_mask)

    fixed_rate_loss(spy, (ids, lengths), torch.Generator().manual_seed(0))
    assert int(seen["masked"]) == 2  # of 20 atoms
    assert OBJECTIVES["masked-fixed"].figure == "control"


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


def test_half_of_the_sources_say_nothing() -> None:
    ids, lengths = batch_of(*["Y3Al5O12"] * 2000)
    source = corrupt_spans(ids, lengths, torch.Generator().manual_seed(0))
    nothing = (source[:, :3] == torch.tensor([BOS, MASK, EOS])).all(dim=1).float().mean()
    assert 0.5 < float(nothing) < 0.62  # a half, and those whose random rate was near one


def test_length_distribution_sums_to_one() -> None:
    histogram = length_histogram(np.array([4, 4, 5, 7]))
    assert histogram == [0, 0, 2, 1, 0, 1]
    probabilities = [math.exp(-mean_length_nats(histogram, np.array([n + 2]))) for n in range(7)]
    assert sum(probabilities) == pytest.approx(1)
    assert probabilities[6] > 0  # longer than any in training: finite, not impossible


def test_validation_figure_is_the_mean_and_repeats(models) -> None:
    formulas = ["SrTiO3", "NaCl", "Y3Al5O12", "LiFePO4", "CaCO3"]
    table = TokenTable.from_numpy(*encode(CompositionBatch.from_formulas(formulas), "expanded"))
    figure = validation_figure(table, OBJECTIVES["causal"], 0.5)
    learner = OBJECTIVES["causal"].wrap(models["gpt2"])
    one_by_one = [float(causal_loss(learner, batch_of(f), torch.Generator())) for f in formulas]
    with torch.no_grad():
        assert figure(learner) == pytest.approx(np.mean(one_by_one) + 0.5, rel=1e-4)
        bound = validation_figure(table, OBJECTIVES["masked"], 0.0)
        assert bound(models["roberta"]) == bound(models["roberta"])


def test_objectives_must_fit() -> None:
    assert objective_for("causal", None) == "causal"
    assert objective_for("masked", "masked-fixed") == "masked-fixed"
    with pytest.raises(OptionError, match="does not fit this model; it takes causal"):
        objective_for("causal", "masked")
    with pytest.raises(OptionError, match="it takes masked or masked-fixed"):
        objective_for("masked", "causal")


def test_logits_of_padding_never_count(models) -> None:
    ids, lengths = batch_of("NaCl")
    padded = functional.pad(ids, (0, 9), value=PAD)
    for key, name, loss in (("gpt2", "causal", causal_loss), ("bart", "denoising", from_nothing_loss)):
        learner = OBJECTIVES[name].wrap(models[key])
        alone = float(loss(learner, (ids, lengths), torch.Generator()))
        assert float(loss(learner, (padded, lengths), torch.Generator())) == pytest.approx(alone, rel=1e-4)
