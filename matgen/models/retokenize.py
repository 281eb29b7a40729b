"""The same model over other tokens."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


def with_tokens(model: PreTrainedModel, origin: Tensor, **config_changes: Any) -> PreTrainedModel:
    """A model with other tokens: known ones keep their embeddings and output weights, the others get the mean of all.

    Args:
        model: a transformers model.
        origin: int64 `(vocabulary,)`, what the id of each new token was before, or -1.
        config_changes: to its configuration.
    """
    config = copy.deepcopy(model.config)
    n_old, config.vocab_size = config.vocab_size, len(origin)
    for name, value in config_changes.items():
        setattr(config, name, value)
    fresh, before = type(model)(config), dict(model.named_parameters())
    with torch.no_grad():
        for name, parameter in fresh.named_parameters():
            value = before[name]
            if parameter.shape == value.shape:
                parameter.copy_(value)
                continue
            first = n_old - len(value)  # some output weights leave out the special tokens in front
            rows = origin[first:] - first
            known = (rows >= 0).view(-1, *[1] * (value.dim() - 1))
            parameter.copy_(torch.where(known, value[rows], value.mean(0)))
    return fresh
