"""Members of a predictor that are composition language models with a head for a property, fine-tuned as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from matgen.composition.batch import CompositionBatch
from matgen.errors import OptionError
from matgen.models.checkpoint import Checkpoint
from matgen.models.registry import MAX_POSITIONS
from matgen.models.tokenizer import PAD, encode, sequence_lengths

if TYPE_CHECKING:
    from torch import Tensor


class LanguageNetwork(nn.Module):
    """A causal language model without its output layer, read at the end of the sequence.

    Args:
        body: the model, which gives hidden states.
        notation: of the tokens that it reads.
    """

    def __init__(self, body: nn.Module, notation: str) -> None:
        super().__init__()
        self.body, self.notation = body, notation
        self.head = nn.Linear(body.config.hidden_size, 2)  # type: ignore[union-attr, arg-type]
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> LanguageNetwork:
        """With the weights of a checkpoint.

        Raises:
            OptionError: it does not write from left to right.
        """
        if not checkpoint.architecture.objective.left_to_right:
            title = checkpoint.architecture.title
            raise OptionError(f"a head is put on models that write from left to right, not on {title}")
        return cls(checkpoint.model.base_model, checkpoint.notation)

    def inputs(self, batch: CompositionBatch) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
        """Token ids int16 `(n, k)`, and of how many columns each row needs.

        What is longer than the model (`Eu183Ta1500O3200`) is read with its counts halved until it fits.
        """
        ids, lengths = encode(_shortened(batch, self.notation), self.notation, max_tokens=MAX_POSITIONS - 2)
        return (ids,), lengths

    def description(self) -> dict[str, Any]:
        """What `from_description` makes the network of, without its weights."""
        config = self.body.config.to_dict()  # type: ignore[union-attr, operator]
        return {"notation": self.notation, "config": config}

    @classmethod
    def from_description(cls, content: dict[str, Any]) -> LanguageNetwork:
        """The network that was described."""
        import transformers

        config = dict(content["config"])
        known = transformers.AutoConfig.for_model(config.pop("model_type"), **config)
        return cls(transformers.AutoModel.from_config(known), content["notation"])

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the scale, float32 `(B,)` each, in standardised units, of token ids int64 `(B, K)`."""
        present = ids != PAD
        hidden = self.body(input_ids=ids, attention_mask=present.long()).last_hidden_state
        last = present.sum(1) - 1
        predicted = self.head(hidden[torch.arange(len(ids), device=ids.device), last]).float()
        return predicted[:, 0], predicted[:, 1].clamp(-8.0, 4.0)


def _shortened(batch: CompositionBatch, notation: str) -> CompositionBatch:
    """The batch, its longest compositions with smaller counts (at least 1 of each element)."""
    while (long := sequence_lengths(batch, notation) > MAX_POSITIONS - 2).any():
        halved = np.where(batch.elements > 0, np.maximum(batch.counts // 2, 1), 0)
        counts = np.where(long[:, None], halved, batch.counts)
        batch = CompositionBatch.from_arrays(batch.elements.astype(np.int64), counts.astype(np.int64))
    return batch
