"""A linear readout of standardized states, beside the logits that a language model makes of them.

Nearly all of a hidden state is what every sentence of a table has in common; rows differ by about a hundredth of it.
Gradients through the model's own logits are then mostly of what rows share, and the loss stays at chance for many
steps. States standardized over the training rows carry nothing but the difference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

READOUT = "decision_readout"
"""Name of the readout among the parts of a model."""


class Readout(nn.Module):
    """What is added to the scores of the tokens that may follow; nothing before it is trained.

    Args:
        sets: number of decisions.
        most: tokens of the largest.
        width: of the states.

    Attributes:
        weight: float32 `(sets, most, width)`.
        mean, scale: float32 `(width,)`, of the states of the training rows before anything is trained.
    """

    def __init__(self, sets: int, most: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(sets, most, width))
        self.mean = nn.Parameter(torch.zeros(width), requires_grad=False)
        self.scale = nn.Parameter(torch.ones(width), requires_grad=False)

    def standardize(self, states: Tensor) -> None:
        """Take mean and scale from states, float32 `(n, width)`."""
        spread = states.std(dim=0, correction=0)
        with torch.no_grad():
            self.mean.copy_(states.mean(dim=0))
            # States that are the same in all rows, up to rounding, stay near zero.
            self.scale.copy_(spread.clamp_min(float(1e-3 * spread.mean() + 1e-12)))

    def forward(self, states: Tensor, sets: Tensor) -> Tensor:
        """Scores, float32 `(..., most)`, of states `(..., width)` before the decisions `sets`, int64 `(...)`."""
        standardized = (states.float() - self.mean) / self.scale
        return torch.einsum("...w,...tw->...t", standardized, self.weight[sets])


def readout_of(model: Any) -> Readout | None:
    """The readout that a model has, if any."""
    return getattr(model, READOUT, None)
