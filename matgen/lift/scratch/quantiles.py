"""Exact quantiles of the numbers that models write, by their digits from the most significant one down.

Digits stand at fixed places and order as their numbers do (see `matgen.lift.codec`), so the cumulative distribution
over the choices of one place gives the choice in which a quantile lies, and the rest of the quantile is looked up
within that choice at the next place. One pass a place suffices, instead of one for every number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from matgen.lift.scratch.model import next_logits

if TYPE_CHECKING:
    from torch import Tensor

    from matgen.lift.codec import Places

_TOLERANCE = 1e-12
"""By which a cumulative probability may fall short of a quantile for rounding."""


def exact_quantiles(views: list[tuple[Any, Tensor]], places: Places, quantiles: np.ndarray) -> np.ndarray:
    """Numbers below which an equal mixture of models puts given fractions of its probability.

    Args:
        views: models, each with tokens of the prompts, int64 `(n, tokens)`; the mixture is over all pairs.
        places: of the target.
        quantiles: fractions for each row, float64 `(n, q)`.

    Returns:
        float64 `(n, q)`, in units of the target.
    """
    n, q = quantiles.shape
    # All (row, quantile) pairs descend at once; pair i belongs to row i // q.
    left = torch.from_numpy(quantiles.reshape(-1).copy())  # fraction still to be covered within the chosen prefix
    digits = torch.zeros((n * q, 0), dtype=torch.long)
    steps = torch.zeros(n * q, dtype=torch.long)
    # Weight of each view given the chosen prefix: views that find the prefix improbable count less further down.
    weights = torch.full((len(views), n * q), 1 / len(views), dtype=torch.float64)
    choices = torch.arange(places.levels if places.width == 1 else 10)
    for place, divisor in enumerate(places.divisors.tolist()):
        base = int(places.base[place])
        allowed = steps[:, None] + choices * divisor < places.levels  # (n q, choices)
        each = _choice_probabilities(views, digits, q, base, allowed)  # (views, n q, choices)
        mixed = (weights[:, :, None] * each).sum(dim=0) / weights.sum(dim=0)[:, None]
        cumulative = mixed.cumsum(dim=1)
        digit = (cumulative < left[:, None] - _TOLERANCE).sum(dim=1).clamp_max(len(choices) - 1)
        digit = torch.minimum(digit, allowed.sum(dim=1) - 1)
        probability = mixed.gather(1, digit[:, None])[:, 0]
        below = cumulative.gather(1, digit[:, None])[:, 0] - probability
        left = ((left - below) / probability.clamp_min(1e-300)).clamp(0, 1)
        weights = weights * each.gather(2, digit[None, :, None].expand(len(views), -1, 1))[:, :, 0]
        steps = steps + digit * divisor
        digits = torch.cat([digits, (digit + base)[:, None]], dim=1)
    return places.unscaled(places.low + steps.numpy() * places.step).reshape(n, q)


def _choice_probabilities(
    views: list[tuple[Any, Tensor]], digits: Tensor, q: int, base: int, allowed: Tensor
) -> Tensor:
    """Probabilities of the choices of the next place in each view, float64 `(views, n * q, choices)`.

    Args:
        views: models with prompts `(n, tokens)`.
        digits: tokens chosen so far, int64 `(n * q, place)`.
        q: quantiles of each row.
        base: token of the first choice.
        allowed: choices within the range, bool `(n * q, choices)`.
    """
    choices, each = allowed.shape[1], []
    for model, prompt in views:
        if digits.shape[1]:
            prompt = torch.cat([prompt.repeat_interleave(q, dim=0), digits], dim=1)
            logits = next_logits(model, prompt)[:, base : base + choices]
        else:  # nothing is chosen yet: the quantiles of a row share one pass
            logits = next_logits(model, prompt)[:, base : base + choices].repeat_interleave(q, dim=0)
        each.append(torch.softmax(logits.double().masked_fill(~allowed, -torch.inf), dim=1))
    return torch.stack(each)
