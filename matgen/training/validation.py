"""The figure that a model is validated by: mean nats per held-out formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from matgen.fitting.stepper import batch_device

if TYPE_CHECKING:
    from torch import nn

    from matgen.fitting.examples import TokenTable
    from matgen.models.objectives import Objective

_BATCH = 1024
"""Formulas validated at once."""

_SEED = 20_230_115
"""Of the noise of order-agnostic objectives, the same at every validation, so that figures can be compared."""


def validation_figure(table: TokenTable, objective: Objective, length_nats: float) -> Callable[[nn.Module], float]:
    """A function that gives a model's mean nats per held-out formula, with fixed noise, in batches of like length.

    Args:
        table: held-out formulas.
        objective: its `validate` loss is used.
        length_nats: nats per formula to add for the length, where the objective is given lengths; else 0.
    """
    rows = np.argsort(table.lengths.cpu().numpy(), kind="stable")

    def figure(model: nn.Module) -> float:
        device = batch_device(model, next(model.parameters()).device)
        generator = torch.Generator(device=device).manual_seed(_SEED)
        on_device = table.to(device)
        total = 0.0
        for start in range(0, len(rows), _BATCH):
            batch = on_device.batch(rows[start : start + _BATCH])
            total += float(objective.validate(model, batch, generator))
        return total / len(rows) + length_nats

    return figure


def length_histogram(lengths: np.ndarray, weights: np.ndarray | None = None) -> list[int]:
    """How many training sequences have 0, 1, 2 ... tokens, without `<bos>` and `<eos>`; by weight, rounded."""
    return np.rint(np.bincount(lengths - 2, weights)).astype(int).tolist()


def mean_length_nats(histogram: list[int], lengths: np.ndarray) -> float:
    """Mean -ln p(length) of sequences under a histogram with one pseudo-count a length (so unseen ones are finite)."""
    counts = np.array(histogram, dtype=np.float64) + 1
    n_tokens = lengths - 2
    known = n_tokens < len(counts)
    probability = np.where(known, counts[np.where(known, n_tokens, 0)], 1) / (counts.sum() + 1)
    return float(-np.log(probability).mean())
