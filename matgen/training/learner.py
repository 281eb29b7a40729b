"""The module that a loss calls: a model, or a faster way to compute the same loss of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matgen.models.decoder import Decoder
from matgen.training.prefix_tree import PrefixTreeLoss

if TYPE_CHECKING:
    from torch import nn

    from matgen.models.objectives import Objective


def learner_for(objective: Objective, model: nn.Module) -> nn.Module:
    """A model as the losses of an objective call it; its parameters are shared.

    Where the model's layers are those of a known decoder, every distinct prefix of a batch is computed once.
    """
    if objective.left_to_right and Decoder.of(model) is not None:
        return PrefixTreeLoss(model)
    return objective.wrap(model)
