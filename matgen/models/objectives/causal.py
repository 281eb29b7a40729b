"""The next token after those before it: an exact likelihood (GPT, GPT-2, GPT-Neo, GPT-J)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from matgen.models.objectives.base import Objective
from matgen.models.objectives.nats import next_token_nats
from matgen.models.tokenizer import EOS, PAD

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from matgen.fitting.examples import Batch


class NextTokenLoss(nn.Module):
    """A causal model whose forward pass is the loss of a batch.

    Args:
        model: a causal language model of transformers; its parameters are shared.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> Tensor:
        """Sum of -ln p(token | tokens before) over sequences, a scalar; `<bos>` is given, `<eos>` is predicted.

        Args:
            ids: int64 `(B, L)`, `<bos> tokens <eos> <pad> ...`.
        """
        # Nothing attends to what follows the end; written as padding it would make transformers warn.
        given = ids[:, :-1].masked_fill(ids[:, :-1] == PAD, EOS)
        return next_token_nats(self.model(input_ids=given, use_cache=False).logits, ids[:, 1:])


def causal_loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """Sum of -ln p(token | tokens before) over the batch, of a model in `NextTokenLoss` or `PrefixTreeLoss`."""
    return model(batch[0])


CAUSAL = Objective(
    key="causal",
    summary="the next token, from left to right",
    completion="exact: whole sequences, normalized over the completions",
    train=causal_loss,
    validate=causal_loss,
    figure="exact",
    decoder="prefixes",
    wrap=NextTokenLoss,
)
