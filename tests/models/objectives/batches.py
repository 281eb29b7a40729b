"""Batches of formulas for the losses of objectives."""

from __future__ import annotations

import torch

from matgen.composition.batch import CompositionBatch
from matgen.models.tokenizer import encode


def batch_of(*formulas: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids int64 `(n, longest)` and lengths int64 `(n,)` in the notation `expanded`."""
    ids, lengths = encode(CompositionBatch.from_formulas(formulas), "expanded")
    return torch.from_numpy(ids).long(), torch.from_numpy(lengths)
