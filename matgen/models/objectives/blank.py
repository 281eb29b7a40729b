"""Words are written into blanks, in an order that the model chooses (BLMM).

A uniformly chosen number m of the L tokens is hidden, at random places, and every step that could write one of them
next is scored, their sum weighed by L / m, less ln L!: the bound of Shen et al. (EMNLP 2020) on the sum over insertion
orders, with one pass of the network per formula.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from matgen.models.canvas import choose_hidden, steps_from
from matgen.models.objectives.base import Objective, WritingSteps
from matgen.models.tokenizer import BLANK

if TYPE_CHECKING:
    from torch import Tensor, nn

    from matgen.fitting.examples import Batch


def insertion_loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """Sum over formulas of L / m times the nats of the steps to m hidden tokens, less ln L!: a bound."""
    ids, lengths = batch
    hidden, weight = choose_hidden(ids, lengths, generator)
    canvas, steps = _canvas(ids, hidden)
    nats = -model(input_ids=canvas, actions=steps).action_log_prob
    return (nats * weight[steps[:, 0]]).sum() - torch.lgamma(lengths - 1.0).sum()  # L = lengths - 2


def _canvas(ids: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    return steps_from(ids, hidden, BLANK)


def _step_log_prob(model: nn.Module, canvas: Tensor, actions: Tensor, never: Tensor) -> Tensor:
    # The model has no output for special tokens, so none has to be suppressed.
    return model(input_ids=canvas, actions=actions).action_log_prob


BLANKS = Objective(
    key="blank",
    summary="words into blanks, in any order",
    completion="orders that write the given atoms first, then fill the blanks",
    train=insertion_loss,
    validate=insertion_loss,
    figure="bound",
    decoder="canvas",
    constraints="some",
    steps=WritingSteps(_canvas, _step_log_prob, order_is_chosen=True),
)
