"""Prompts with completions as batches of token ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

IGNORED = -100
"""Label of positions that the loss leaves out (the default of torch's cross entropy)."""


class PromptTable:
    """What the training loop draws batches from: prompts with completions.

    Args:
        prompts, completions: token ids of each example.
        device: of the batches.
    """

    def __init__(self, prompts: list[list[int]], completions: list[list[int]], device: Any = "cpu") -> None:
        self.prompts, self.completions, self.device = prompts, completions, device

    @property
    def lengths(self) -> Tensor:
        """Tokens of each example, int64 `(n,)`."""
        return torch.tensor([len(p) + len(c) for p, c in zip(self.prompts, self.completions, strict=True)])

    def __len__(self) -> int:
        return len(self.prompts)

    def share(self, rank: int, count: int) -> PromptTable:
        """The examples of one of `count` processes."""
        return PromptTable(self.prompts[rank::count], self.completions[rank::count], self.device)

    def to(self, device: torch.device) -> PromptTable:
        """The same examples with batches on another device."""
        return PromptTable(self.prompts, self.completions, device)

    def batch(self, rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Ids `(B, L)` padded on the left, their mask `(B, L)`, and the completions `(B, K)`, padded by `IGNORED`."""
        chosen = [(self.prompts[i], self.completions[i]) for i in rows.tolist()]
        ids, mask = padded_left([prompt + completion for prompt, completion in chosen])
        longest = max(len(completion) for _, completion in chosen)
        labels = torch.full((len(chosen), longest), IGNORED)
        for row, (_, completion) in enumerate(chosen):
            labels[row, longest - len(completion) :] = torch.tensor(completion)
        return ids.to(self.device), mask.to(self.device), labels.to(self.device)


def padded_left(sequences: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Sequences as int64 `(n, longest)`, padded on the left with 0, and their mask."""
    longest = max(map(len, sequences))
    ids, mask = torch.zeros((len(sequences), longest), dtype=torch.long), torch.zeros((len(sequences), longest))
    for row, sequence in enumerate(sequences):
        if sequence:
            ids[row, -len(sequence) :] = torch.tensor(sequence)
            mask[row, -len(sequence) :] = 1
    return ids, mask.long()


def positions_of(mask: Tensor) -> Tensor:
    """Positions of tokens padded on the left, int64 `(n, length)`: 0 at the first token that is no padding."""
    return (mask.cumsum(dim=1) - 1).clamp_min(0)
