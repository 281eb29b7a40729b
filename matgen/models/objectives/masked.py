"""Masked tokens are predicted from all others, in any order (RoBERTa).

* `masked`: a uniformly chosen number m of the L tokens is masked, at random places, and the loss over them is weighed
  by L / m: the bound of Uria, Murray and Larochelle (ICML 2014) and Hoogeboom et al. (ICLR 2022) on the likelihood
  given the length, whose own distribution is the training histogram.
* `masked-fixed`: the published control, a fixed tenth of the tokens masked and unweighted. Not a likelihood.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from matgen.models.canvas import choose_hidden, choose_places
from matgen.models.objectives.base import Objective, WritingSteps
from matgen.models.tokenizer import MASK, PAD

if TYPE_CHECKING:
    from torch import Tensor, nn

    from matgen.fitting.examples import Batch

_FIXED_MASK_RATE = 0.1


def order_agnostic_loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """Sum over formulas of L / m times the -ln p of the m masked tokens: a bound, given the lengths."""
    ids, lengths = batch
    masked, weight = choose_hidden(ids, lengths, generator)
    return (_masked_nats(model, ids, masked) * weight).sum()


def fixed_rate_loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """Sum of -ln p over a tenth of the tokens (at least one): the published objective, kept as a control."""
    ids, lengths = batch
    n_tokens = lengths - 2  # without <bos> and <eos>
    masked_count = (n_tokens * _FIXED_MASK_RATE).round().long().clamp(min=1)
    return _masked_nats(model, ids, choose_places(ids, n_tokens, masked_count, generator)).sum()


def _masked_nats(model: nn.Module, ids: Tensor, masked: Tensor) -> Tensor:
    """Sum of -ln p over the masked places of each row, float32 `(B,)`."""
    corrupted = torch.where(masked, MASK, ids)
    logits = model(input_ids=corrupted, attention_mask=(ids != PAD).long()).logits
    nats = functional.cross_entropy(logits.float().transpose(1, 2), ids, reduction="none")
    return (nats * masked).sum(dim=1)


def _canvas(ids: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    row, column = hidden.nonzero(as_tuple=True)
    return torch.where(hidden, MASK, ids), torch.stack([row, column, ids[row, column]], dim=1)


def _step_log_prob(model: nn.Module, canvas: Tensor, actions: Tensor, never: Tensor) -> Tensor:
    logits = model(input_ids=canvas, attention_mask=(canvas != PAD).long()).logits.float()
    logits[:, :, never] = -torch.inf
    row, place, token = actions.unbind(1)
    return logits.log_softmax(-1)[row, place, token]


MASKED = Objective(
    key="masked",
    summary="any masked tokens from all others, in any order",
    completion="orders that write the given atoms first, then fill the blanks",
    train=order_agnostic_loss,
    validate=order_agnostic_loss,
    figure="bound",
    decoder="places",
    constraints="none",
    steps=WritingSteps(_canvas, _step_log_prob, order_is_chosen=False),
    draws_length=True,
)

MASKED_FIXED = dataclasses.replace(
    MASKED,
    key="masked-fixed",
    summary="the published control, a tenth of the tokens masked",
    train=fixed_rate_loss,
    figure="control",
    replaces="masked",
)
