from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from matgen.composition.batch import CompositionBatch
from matgen.fitting.examples import TokenTable
from matgen.models import build_model
from matgen.models.objectives import CAUSAL, MASKED
from matgen.models.tokenizer import encode
from matgen.training.learner import learner_for
from matgen.training.validation import length_histogram, mean_length_nats, validation_figure


def test_length_distribution_sums_to_one() -> None:
    histogram = length_histogram(np.array([4, 4, 5, 7]))
    assert histogram == [0, 0, 2, 1, 0, 1]
    probabilities = [math.exp(-mean_length_nats(histogram, np.array([n + 2]))) for n in range(7)]
    assert sum(probabilities) == pytest.approx(1)
    assert probabilities[6] > 0  # longer than any in training: finite, not impossible


def test_lengths_are_counted_by_weight() -> None:
    lengths, weights = np.array([4, 4, 5, 7]), np.array([0.25, 0.5, 2.25, 1.0])
    assert length_histogram(lengths, weights) == [0, 0, 1, 2, 0, 1]


def test_validation_figure_is_the_mean_and_repeats() -> None:
    formulas = ["SrTiO3", "NaCl", "Y3Al5O12", "LiFePO4", "CaCO3"]
    table = TokenTable.from_numpy(*encode(CompositionBatch.from_formulas(formulas), "expanded"))
    learner = learner_for(CAUSAL, build_model("gpt2", "tiny", "expanded", seed=3).eval())
    masked = build_model("roberta", "tiny", "expanded", seed=3).eval()
    with torch.no_grad():
        one_by_one = [float(CAUSAL.validate(learner, table.batch(np.array([i])), torch.Generator())) for i in range(5)]
        figure = validation_figure(table, CAUSAL, 0.5)
        assert figure(learner) == pytest.approx(np.mean(one_by_one) + 0.5, rel=1e-4)
        bound = validation_figure(table, MASKED, 0.0)
        assert bound(masked) == bound(masked)
