from __future__ import annotations

import itertools
import math

import pytest
import torch

from matgen.models import build_model
from matgen.models.canvas import steps_from
from matgen.models.objectives.blank import insertion_loss
from matgen.models.tokenizer import BLANK
from tests.models.objectives.batches import batch_of


def test_insertion_loss_is_the_bound_of_all_orders() -> None:
    """The mean over every number and choice of hidden tokens, enumerated, against the mean of many random draws."""
    ids, lengths = batch_of("KTiO2")
    model, n = build_model("blmm", "tiny", "expanded", seed=3).eval(), int(lengths[0]) - 2
    exact = -math.lgamma(n + 1)
    with torch.no_grad():
        for m in range(1, n + 1):
            choices = list(itertools.combinations(range(1, n + 1), m))
            for places in choices:
                hidden = torch.zeros_like(ids, dtype=torch.bool)
                hidden[0, list(places)] = True
                canvas, actions = steps_from(ids, hidden, BLANK)
                nats = -float(model(input_ids=canvas, actions=actions).action_log_prob.sum())
                exact += nats * n / m / len(choices) / n
        many = ids.expand(4000, -1), lengths.expand(4000)
        drawn = float(insertion_loss(model, many, torch.Generator().manual_seed(0))) / 4000
    assert drawn == pytest.approx(exact, rel=0.02)
