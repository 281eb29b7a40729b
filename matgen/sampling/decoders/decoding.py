"""From logits to tokens: temperature and cuts, and the inverse distribution function in integers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from matgen.errors import OptionError

if TYPE_CHECKING:
    from torch import Tensor

_UNIT = 1 << 40
"""Probability 1 as an integer. Sums of integers do not depend on how they are added up, so neither does a draw."""


@dataclass(frozen=True)
class Decoding:
    """How the next token is chosen from the model's distribution.

    Attributes:
        temperature: logits are divided by it; 1 draws from the model itself.
        top_k: keep the k most probable tokens; 0 keeps all.
        top_p: keep the smallest set of most probable tokens that holds this much probability (Holtzman et al. 2020);
            1 keeps all.
        min_p: keep tokens at least this probable relative to the most probable one (Nguyen et al. 2024,
            arXiv:2407.01082); 0 keeps all.
        guidance: of conditions: logits are those without conditions plus so many times what the conditions add to them
            (classifier-free guidance: Ho and Salimans, arXiv:2207.12598; of language models: Sanchez et al.,
            arXiv:2306.17806); 1 draws from the conditional model itself, more follows the conditions more closely.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    guidance: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise OptionError(f"temperature is {self.temperature}, it must be above 0 and finite")
        if not 0 < self.guidance < math.inf:
            raise OptionError(f"guidance is {self.guidance}, it must be above 0 and finite")
        if self.top_k < 0:
            raise OptionError(f"top-k is {self.top_k}, it must be 0 (off) or above")
        if not 0 < self.top_p <= 1:
            raise OptionError(f"top-p is {self.top_p}, it must be above 0 and at most 1")
        if not 0 <= self.min_p < 1:
            raise OptionError(f"min-p is {self.min_p}, it must be 0 (off) or above, and below 1")


def guided(conditional: Tensor, unconditional: Tensor, guidance: float) -> Tensor:
    """Logits moved from those without conditions through those with them, float `(b, vocabulary)`; see `Decoding`.

    Args:
        conditional, unconditional: float `(b, vocabulary)`, finite.
        guidance: 0 gives the latter, 1 the former.
    """
    return torch.lerp(unconditional, conditional, guidance)


def cut(logits: Tensor, decoding: Decoding) -> Tensor:
    """Logits after temperature and cuts, in the order of transformers: temperature, top-k, top-p, min-p.

    Args:
        logits: float `(b, vocabulary)`, minus infinity where forbidden; not changed.
        decoding: what to do.
    """
    if decoding.temperature != 1:
        logits = logits / decoding.temperature
    if 0 < decoding.top_k < logits.shape[1]:
        smallest = logits.topk(decoding.top_k, dim=1).values[:, -1:]
        logits = logits.masked_fill(logits < smallest, -torch.inf)
    if decoding.top_p < 1:
        ordered, places = logits.sort(dim=1, descending=True, stable=True)
        probability = ordered.softmax(1)
        beyond = probability.cumsum(1) - probability >= decoding.top_p
        logits = logits.masked_fill(torch.zeros_like(beyond).scatter(1, places, beyond), -torch.inf)
    if decoding.min_p > 0:
        probability = logits.softmax(1)
        weak = probability < decoding.min_p * probability.max(dim=1, keepdim=True).values
        logits = logits.masked_fill(weak, -torch.inf)
    return logits


def choose(logits: Tensor, group: Tensor, uniforms: Tensor) -> Tensor:
    """One token a sample by the inverse distribution function of the prefix it shares.

    Args:
        logits: float `(g, vocabulary)`, after `cut`, minus infinity where forbidden.
        group: int64 `(s,)`, the row of `logits` that each sample draws from.
        uniforms: float64 `(s,)` in [0, 1).

    Returns:
        int64 `(s,)`.
    """
    n_tokens = logits.shape[1]
    weights = (logits.softmax(1) * _UNIT).round_().long()
    # What rounding adds up to is a little off 1, so a draw is a share of the sum. Each row is lifted above the last,
    # which makes one ascending list of all of them.
    cumulative = weights.cumsum(1)
    total = cumulative[:, -1]
    at = (uniforms * total[group]).long().minimum(total[group] - 1)
    lift = torch.arange(len(logits), device=logits.device) * (2 * _UNIT)
    flat = (cumulative + lift[:, None]).reshape(-1)
    return torch.searchsorted(flat, at + lift[group], right=True) - group * n_tokens
