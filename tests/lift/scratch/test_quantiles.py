"""Quantiles by digits, against the probabilities of all numbers, each computed digit by digit."""

import numpy as np
import pandas as pd
import pytest
import torch

from matgen.lift.codec import Codec
from matgen.lift.columns import describe
from matgen.lift.scratch.model import ScratchOptions, build, next_logits
from matgen.lift.scratch.quantiles import exact_quantiles


def probabilities(model, prompts, places):
    """Of every number that the grammar allows, float64 (n, levels): one pass for each number and digit."""
    out = np.ones((len(prompts), places.levels))
    choices = places.levels if places.width == 1 else 10
    for level in range(places.levels):
        digits, tokens = level // places.divisors % choices, prompts
        for place, (digit, divisor) in enumerate(zip(digits, places.divisors, strict=True)):
            base, chosen = int(places.base[place]), int((digits[:place] * places.divisors[:place]).sum())
            logits = next_logits(model, tokens)[:, base : base + choices].double()
            logits[:, chosen + np.arange(choices) * divisor >= places.levels] = -torch.inf
            out[:, level] *= logits.softmax(dim=1)[:, int(digit)].numpy()
            tokens = torch.cat([tokens, torch.full((len(prompts), 1), base + int(digit))], dim=1)
    return out


@pytest.mark.parametrize(
    "numbers", [np.array([1.0, 2.0, 7.0, 4.0]), np.array([-0.5, 1.25, 3.75, 0.5]), np.array([-30.0, 95.0, 110.0, 7.0])]
)
def test_quantiles_of_a_mixture_are_those_of_every_number_weighed(numbers):
    """Whole numbers of few values (one token), with decimals, and of a wide range; two models, two prompts each."""
    codec = Codec(describe(pd.DataFrame({"y": numbers})), {})
    (places,) = codec.places
    options = ScratchOptions(width=16, heads=2, layers=1)
    models = [build(options, codec, 8, seed=seed) for seed in (0, 1)]
    for model in models:
        with torch.no_grad():
            model.transformer.wte.weight.mul_(20)  # initial weights give nearly the same probability to all digits
        model.eval()
    views = [(model, torch.tensor([[0, 1, 2 + i], [1, 1, 0], [2, 0, i]])) for i, model in enumerate(models)]
    expected = np.mean([probabilities(model, prompts, places) for model, prompts in views], axis=0)
    assert expected.sum(axis=1) == pytest.approx(1, abs=1e-6) and expected.max() > 1.5 / places.levels
    values = places.unscaled(places.low + np.arange(places.levels) * places.step)
    quantiles = np.tile([0.0, 0.05, 0.3, 0.5, 0.81, 0.999, 1.0], (3, 1))
    quantiles[1] = quantiles[1, ::-1]
    found = exact_quantiles(views, places, quantiles)
    for row in range(3):
        cumulative = np.cumsum(expected[row])
        below = [values[min(np.searchsorted(cumulative, q - 1e-9), places.levels - 1)] for q in quantiles[row]]
        assert found[row] == pytest.approx(np.array(below), abs=1e-9)
