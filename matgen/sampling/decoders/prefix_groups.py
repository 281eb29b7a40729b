"""Distinct prefixes of equal length, and the samples that begin with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class PrefixGroups:
    """`g` distinct prefixes of `t` tokens each, and the samples that have them.

    Attributes:
        tokens: int64 `(g,)`, last token of each prefix.
        rows: int64 `(g, t - 1)`, stored rows of keys and values of the tokens before it.
        log_prob: float64 `(g,)`, ln probability of each prefix, in nats.
        samples: int64 `(s,)`, samples in order of their groups.
        sizes: int64 `(g,)`, samples of each group, at least one; their sum is `s`.
        states: of the mask, `g` of them, or None.
        base: stored rows from here on are free once these groups are taken up.
    """

    tokens: Tensor
    rows: Tensor
    log_prob: Tensor
    samples: Tensor
    sizes: Tensor
    states: Any
    base: int

    def __len__(self) -> int:
        return len(self.tokens)

    def part(self, start: int, stop: int) -> PrefixGroups:
        """The groups from `start` to before `stop`, with their samples."""
        # One past the last sample of each group, (g,): the samples of a part are a slice too.
        ends = self.sizes.cumsum(0)
        first = int(ends[start - 1]) if start else 0
        return PrefixGroups(
            self.tokens[start:stop],
            self.rows[start:stop],
            self.log_prob[start:stop],
            self.samples[first : int(ends[stop - 1])],
            self.sizes[start:stop],
            None if self.states is None else self.states[np.arange(start, stop)],
            self.base,
        )


def group_of_samples(sizes: Tensor, n_samples: int) -> Tensor:
    """The group of each sample where `sizes` of them follow each other, int64 `(n_samples,)`, the sum of `sizes`."""
    groups = torch.arange(len(sizes), device=sizes.device)
    # The size of the output is given, since a GPU would have to be waited for to sum it.
    return torch.repeat_interleave(groups, sizes, output_size=n_samples)
