"""Sums of -ln p over the targets of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

from matgen.models.tokenizer import PAD

if TYPE_CHECKING:
    from torch import Tensor


def next_token_nats(logits: Tensor, targets: Tensor) -> Tensor:
    """Sum of -ln p(target) over all targets but padding, a scalar.

    Args:
        logits: `(B, L, vocabulary)`.
        targets: int64 `(B, L)`.
    """
    return functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=PAD, reduction="sum")
