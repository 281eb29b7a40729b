"""What drawn sequences earn: an expression on columns, nothing for what is no compound or outside of a domain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from matgen.composition.batch import CompositionBatch, first_occurrence
from matgen.errors import OptionError
from matgen.models.tokenizer import BOS, decode

if TYPE_CHECKING:
    from matgen.reinforcement.columns import RewardColumns
    from matgen.reinforcement.expression import Expression

_MOST_MISSING = 0.5
"""Share of the compounds of a batch for which a reward may be missing, or negative, before it is refused."""


@dataclass(frozen=True)
class Earned:
    """What the draws of a batch earn.

    Attributes:
        batch: the `m` compositions that can be read.
        rows: int64 `(m,)`, their rows among the draws.
        reward: float64 `(n,)`, at least 0, of all draws.
        value: float64 `(m,)`, of the expression, NaN where it has none.
        compound: bool `(m,)`, compositions of two or more elements.
        inside: bool `(m,)`, those that no domain is a veto against.
    """

    batch: CompositionBatch
    rows: np.ndarray
    reward: np.ndarray
    value: np.ndarray
    compound: np.ndarray
    inside: np.ndarray


class Reward:
    """From token ids to rewards.

    Args:
        expression: what counts.
        columns: where its columns come from.
        veto: nothing is earned outside of the domain of a predictor that the expression names.
    """

    def __init__(self, expression: Expression, columns: RewardColumns, *, veto: bool = True) -> None:
        self.expression, self.columns, self.veto = expression, columns, veto

    def __call__(self, ids: np.ndarray, notation: str) -> Earned:
        """What each of `n` drawn sequences earns.

        The value of the expression where it is above 0. Nothing: what cannot be read, single elements, values that are
        missing or infinite, and, under the veto, what is outside of a domain.

        Args:
            ids: integers `(n, length)`, `<bos> tokens <eos> <pad> ...`; a condition may stand in place of `<bos>`.
            notation: of the tokens.
        """
        begun = ids.copy()
        begun[:, 0] = BOS
        read = decode(begun, notation)
        batch = read.batch
        value, inside = np.full(len(batch), np.nan), np.ones(len(batch), dtype=bool)
        if len(batch):
            first = first_occurrence(batch.keys())
            distinct, place = np.unique(first, return_inverse=True)  # what is drawn twice is judged once
            columns, within = self.columns(batch[distinct])
            value, inside = self.expression(columns)[place], within[place]
        compound = batch.n_elements > 1
        counts = compound & np.isfinite(value) & (inside | (not self.veto))
        reward = np.zeros(len(ids))
        reward[read.rows] = np.where(counts, np.maximum(value, 0.0), 0.0)
        return Earned(batch, read.rows, reward, value, compound, inside | (not self.veto))

    def check(self, earned: Earned) -> None:
        """Refuse a reward that the first draws of the start model can learn nothing from.

        Raises:
            OptionError: it is missing or negative for most compounds, the same for all, or 0 for all that count.
        """
        text, value = self.expression.text, earned.value[earned.compound]
        if not len(value):
            raise OptionError("the model draws no compound that a reward could judge")
        missing = ~np.isfinite(value)
        if missing.mean() > _MOST_MISSING:
            raise OptionError(
                f"the reward {text!r} has no value (NaN or infinite) for {missing.mean():.0%} of the draws: write it "
                "so that most have one"
            )
        value = value[~missing]
        if (value < 0).mean() > _MOST_MISSING:
            raise OptionError(
                f"the reward {text!r} is negative for {(value < 0).mean():.0%} of the draws, and what is refused earns "
                "0: write it so that it is positive, such as exp(-cost / 50) for cost"
            )
        if np.ptp(value) == 0:
            raise OptionError(
                f"the reward {text!r} is constant: {value[0]:g} for all of {len(value):,} draws leaves nothing to learn"
            )
        if not earned.reward.any():
            raise OptionError(
                f"the reward {text!r} is 0 for all of {len(earned.reward):,} draws, vetoes included: begin with one "
                "that some draws earn"
            )
