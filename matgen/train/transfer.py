"""Going on from a trained checkpoint on other data."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

from matgen.models.checkpoint import Checkpoint, load_checkpoint
from matgen.models.locate import find_checkpoint
from matgen.tokenizer import vocabulary

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

LOWER_RATE = 0.2
"""Peak learning rate of a continued run over that of one from scratch: what was learned is to be kept."""

FEWER_EPOCHS = 0.25
"""Its passes over the data over those of one from scratch."""


def continued(name: str, notation: str) -> tuple[PreTrainedModel, Checkpoint, list[str]]:
    """A model with the weights of a checkpoint, in a notation.

    Where the notation is another one, tokens that both have keep their embeddings and output weights; the others start
    as the mean of those.

    Args:
        name: of the checkpoint, as `--model` takes it.
        notation: of the tokens it is to read and write.

    Returns:
        The model, the checkpoint, and remarks for the user.

    Raises:
        CheckpointError: there is no such checkpoint.
    """
    checkpoint = load_checkpoint(find_checkpoint(name))
    if notation == checkpoint.notation:
        return checkpoint.model, checkpoint, []
    old, new = vocabulary(checkpoint.notation).tokens, vocabulary(notation).tokens
    place = {token: i for i, token in enumerate(old)}
    origin = torch.tensor([place.get(token, -1) for token in new])
    remark = (
        f"{checkpoint.folder.name} is in the notation {checkpoint.notation}, this run in {notation}: "
        f"{int((origin >= 0).sum()):,} of {len(new):,} tokens are known to it, the others start from the mean"
    )
    return _with_vocabulary(checkpoint.model, origin), checkpoint, [remark]


def _with_vocabulary(model: PreTrainedModel, origin: Tensor) -> PreTrainedModel:
    """The model with other tokens; `origin` is the earlier id of each, or -1."""
    config = copy.deepcopy(model.config)
    n_old, config.vocab_size = config.vocab_size, len(origin)
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


def unknown_elements(checkpoint: Checkpoint, elements: list[str]) -> list[str]:
    """Remarks on elements of the new data that the checkpoint has never seen."""
    seen = checkpoint.metadata.get("elements")
    strangers = [] if seen is None else sorted(set(elements) - set(seen))
    return [f"{checkpoint.folder.name} has never seen {', '.join(strangers)}"] if strangers else []
