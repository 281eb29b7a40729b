"""What the training loop learns from: rows of some length, of which any can be put together to a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

Batch = tuple["Tensor", "Tensor"]
"""Token ids int64 `(B, L)`, right-padded, and lengths int64 `(B,)`."""


Loss = Callable[["nn.Module", Any, torch.Generator], "Tensor"]
"""From a model, a batch and random numbers to the sum over its examples of the quantity to minimize (of language
models, nats), a scalar."""


class Examples(Protocol):
    """What a model learns from: rows of some length, of which any can be put together to a batch."""

    @property
    def lengths(self) -> Tensor:
        """Of each row, int64 `(n,)`: batches are of like length."""

    def __len__(self) -> int: ...

    def share(self, rank: int, count: int) -> Examples:
        """The rows that are one process's of `count`: `rank`, `rank + count` ..."""

    def to(self, device: torch.device) -> Examples:
        """The same on another device."""

    def batch(self, rows: np.ndarray) -> Any:
        """The rows named, as the loss takes them."""


@dataclass(frozen=True)
class TokenTable:
    """Examples to learn from: ids int16 `(n, longest)`, right-padded; lengths int64 `(n,)`."""

    ids: Tensor
    lengths: Tensor

    @classmethod
    def from_numpy(cls, ids: np.ndarray, lengths: np.ndarray) -> TokenTable:
        """The same from arrays, without a copy."""
        return cls(torch.from_numpy(ids), torch.from_numpy(lengths))

    def __len__(self) -> int:
        return len(self.ids)

    def share(self, rank: int, count: int) -> TokenTable:
        """The rows that are one process's of `count`: `rank`, `rank + count` ..."""
        return TokenTable(self.ids[rank::count].contiguous(), self.lengths[rank::count].contiguous())

    def rows(self, rows: np.ndarray) -> TokenTable:
        """The rows named, repeated or not."""
        index = torch.from_numpy(rows)
        return TokenTable(self.ids[index], self.lengths[index])

    def to(self, device: torch.device) -> TokenTable:
        """The table on another device."""
        return TokenTable(self.ids.to(device), self.lengths.to(device))

    def batch(self, rows: np.ndarray) -> Batch:
        """The rows named, trimmed to the longest of them."""
        index = torch.from_numpy(rows).to(self.ids.device)
        lengths = self.lengths[index]
        return self.ids[index, : int(lengths.max())].long(), lengths


def batches_of_epoch(
    lengths: np.ndarray, batch_size: int, seed: int, epoch: int, weights: np.ndarray | None = None
) -> list[np.ndarray]:
    """Rows of each batch of an epoch: every row once, batches of like length, in random order.

    Rows are shuffled, sorted by length (stably) and cut into batches, which are then shuffled, so hardly a token is
    padding. Depends on nothing but the arguments.

    Args:
        lengths: int64 `(n,)`, of the rows.
        batch_size: rows of a batch, at most.
        seed: of the order.
        epoch: its number, from 0.
        weights: float64 `(n,)`, how often to take each row on the average over epochs, relative to the mean; None for
            every row once. An epoch has `n` rows either way.
    """
    rng = np.random.default_rng((seed, epoch))
    rows = rng.permutation(len(lengths)) if weights is None else drawn_by_weight(weights, rng)
    rows = rows[np.argsort(lengths[rows], kind="stable")]
    batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    rng.shuffle(batches)  # in place
    return batches


def drawn_by_weight(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many rows as there are weights, in random order, int64 `(n,)`; row `i` on the average `w_i / mean(w)` times.

    By systematic sampling (W. G. Madow, Ann. Math. Stat. 20, 333, 1949): a row is taken as often as its mean number
    says, rounded down or up. This strays less than independent draws, and of equal weights it takes each row once.

    Args:
        weights: float64 `(n,)`, none negative, not all zero.
        rng: of the draw.
    """
    order = rng.permutation(len(weights))
    ends = np.cumsum(weights[order])
    marks = np.floor(ends * (len(weights) / ends[-1]) + rng.random()).astype(np.int64)
    marks[-1] = len(weights)  # whatever rounding made of the sum
    rows = np.repeat(order, np.diff(marks, prepend=0))
    rng.shuffle(rows)
    return rows
