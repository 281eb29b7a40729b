"""A block: the samples that are drawn, written and resumed together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SampleBlock:
    """Samples drawn together.

    Attributes:
        number: of the block.
        drawn: samples drawn, before `accept`.
        unfinished: samples that the model's length cut off.
        formulas: object `(b,)`, reduced formulas; an unfinished sequence is its tokens and an ellipsis, unreadable on
            purpose.
        log_prob: float64 `(b,)`, ln probability of the canonical sequence of the composition under the model (at
            temperature 1, nothing cut off or masked); for models that write in any order summed over the orders,
            exactly up to `QUICK_TOKENS` tokens, else estimated (`Likelihood.summed`); NaN where unfinished.
        canonical: bool `(b,)`, True where the sequence drawn was the canonical one.
        keys: uint64 `(b, 2)`, keys of the compositions, zero where unfinished.
        trace: object `(b,)`, the canvases of each sample's steps as text, where they were asked for.
    """

    number: int
    drawn: int
    unfinished: int
    formulas: np.ndarray
    log_prob: np.ndarray
    canonical: np.ndarray
    keys: np.ndarray
    trace: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.formulas)

    def __getitem__(self, rows: slice | np.ndarray) -> SampleBlock:
        """The block with some of its rows left."""
        return SampleBlock(
            self.number,
            self.drawn,
            self.unfinished,
            self.formulas[rows],
            self.log_prob[rows],
            self.canonical[rows],
            self.keys[rows],
            None if self.trace is None else self.trace[rows],
        )
