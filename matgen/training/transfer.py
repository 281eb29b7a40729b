"""Going on from a trained checkpoint on other data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from matgen.models.checkpoint import Checkpoint, load_checkpoint
from matgen.models.locate import find_checkpoint
from matgen.models.retokenize import with_tokens
from matgen.models.tokenizer import vocabulary

if TYPE_CHECKING:
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
    return with_tokens(checkpoint.model, origin), checkpoint, [remark]


def unknown_elements(checkpoint: Checkpoint, elements: list[str]) -> list[str]:
    """Remarks on elements of the new data that the checkpoint has never seen."""
    seen = checkpoint.metadata.get("elements")
    strangers = [] if seen is None else sorted(set(elements) - set(seen))
    return [f"{checkpoint.folder.name} has never seen {', '.join(strangers)}"] if strangers else []
