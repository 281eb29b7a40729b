from __future__ import annotations

import itertools

import pytest
import torch

from matgen.models import build_model
from matgen.models.objectives.masked import fixed_rate_loss, order_agnostic_loss
from matgen.models.tokenizer import MASK
from tests.models.objectives.batches import batch_of


@pytest.fixture(scope="module")
def model():
    return build_model("roberta", "tiny", "expanded", seed=3).eval()


def test_order_agnostic_loss_is_the_bound_of_all_orders(model) -> None:
    """The mean over every order of unmasking, enumerated, against the mean of many random draws."""
    ids, lengths = batch_of("KTiO2")
    n = int(lengths[0]) - 2
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


def test_published_control_masks_a_tenth(model) -> None:
    ids, lengths = batch_of("Y3Al5O12")
    seen = {}

    def spy(input_ids, attention_mask):
        seen["masked"] = (input_ids == MASK).sum()
        return model(input_ids=input_ids, attention_mask=attention_mask)

    fixed_rate_loss(spy, (ids, lengths), torch.Generator().manual_seed(0))
    assert int(seen["masked"]) == 2  # of 20 atoms
