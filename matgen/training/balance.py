"""Training weights by family, so that no anonymous formula, or value of a property, dominates.

Databases enumerate a few anonymous formulas over the periodic table: in `hybrid-pure`, three of them are more than half
of the rows. And most of their compounds are metals, so that a model conditioned on the band gap sees few gaps. A row of
a family of `n` training rows weighs `n ** -exponent`, so that the family as a whole weighs
`n ** (1 - exponent)`: with 0 families count by their rows, with 1 they all count the same. (The same rule flattens the
languages of multilingual models: A. Conneau et al., ACL 2020, with 1 - exponent = 0.3.)

Weights act by how often a row is drawn in an epoch (`matgen.fitting.examples.batches_of_epoch`), which serves every
objective alike and costs no more than an epoch of all rows once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.errors import OptionError, unknown_name
from matgen.fitting.examples import drawn_by_weight

if TYPE_CHECKING:
    from matgen.models.conditions import Conditions

FAMILIES = ("anonymous_formula", "condition")
"""What rows may be balanced by; the family of a row by `condition` is its combination of bins (`models.conditions`)."""

DEFAULT_EXPONENT = 0.5

UNEVEN = 0.5
"""Share of the training rows in one bin of a condition from which balancing is advised."""

_VALIDATION_SEED = 20_230_116
"""Of the rows that a balanced run is validated by, the same at every validation."""


@dataclass(frozen=True)
class Balance:
    """Weights of the rows of a training part and of the rows that validate it.

    Attributes:
        by: what the families are, a key of `FAMILIES`.
        exponent: of the families' sizes, in the weights its negative.
        train: float64 `(n,)`, of the training rows; their mean is 1.
        valid: float64 `(m,)`, of the validation rows, by the sizes of their families in training (1 where there is
            none), on the same scale.
        sizes: int64 `(families,)`, training rows of each family.
    """

    by: str
    exponent: float
    train: np.ndarray
    valid: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, by: str, exponent: float, train: CompositionBatch, valid: CompositionBatch) -> Balance:
        """The weights of two parts, by a family that compositions have by themselves.

        Raises:
            OptionError: an unknown kind of family, or an exponent outside (0, 1].
        """
        check_balance(by, exponent)
        return cls.of_keys(by, exponent, train.anonymous_formula_keys(), valid.anonymous_formula_keys())

    @classmethod
    def of_keys(cls, by: str, exponent: float, train: np.ndarray, valid: np.ndarray) -> Balance:
        """The weights of two parts by the keys of the families of their rows, integers `(n, k)` and `(m, k)`."""
        keys = np.concatenate([train, valid])
        family = np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
        sizes = np.bincount(family[: len(train)], minlength=int(family.max()) + 1)
        weights = np.maximum(sizes, 1)[family] ** -float(exponent)
        weights /= weights[: len(train)].mean()
        return cls(by, exponent, weights[: len(train)], weights[len(train) :], sizes[sizes > 0])

    def validation_rows(self) -> np.ndarray:
        """Rows of the validation part, as many as it has, each about as often as its weight says, int64 `(m,)`."""
        return drawn_by_weight(self.valid, np.random.default_rng(_VALIDATION_SEED))

    def describe(self) -> dict[str, Any]:
        """What `matgen.json` states of it, with the share of the largest family by rows and by weight."""
        shares = self.sizes / self.sizes.sum()
        weighed = self.sizes ** (1 - self.exponent)
        return {
            "by": self.by,
            "exponent": self.exponent,
            "families": len(self.sizes),
            "largest_share": round(float(shares.max()), 4),
            "largest_share_balanced": round(float(weighed.max() / weighed.sum()), 4),
        }


def check_balance(by: str | None, exponent: float, condition: Sequence[str] = ()) -> None:
    """Refuse what cannot be balanced by.

    Args:
        by: what the families are, or None.
        exponent: of their sizes.
        condition: properties that the model is conditioned on.

    Raises:
        OptionError: an unknown kind of family, or an exponent outside (0, 1].
    """
    if by is not None and by not in FAMILIES:
        raise unknown_name("balance", by, FAMILIES)
    if by == "condition" and not condition:
        raise OptionError("a balance by condition needs properties to condition on: --condition band_gap")
    if not 0 < exponent <= 1:
        raise OptionError(f"the exponent of a balance is {exponent:g}; it must be above 0 and at most 1")


def advice(conditions: Conditions, combinations: np.ndarray) -> str | None:
    """One line where most training rows have one bin of a property, None where the bins are even enough.

    Args:
        conditions: of the run.
        combinations: of its training rows, int64 `(n,)`.
    """
    for column, one in zip(conditions.bins()[combinations].T, conditions.properties, strict=True):
        known = column[column >= 0]
        share = np.bincount(known, minlength=len(one)) / max(1, len(known))
        if share.max() >= UNEVEN:
            return (
                f"{100 * share.max():.0f} % of the training rows have {one.in_words(int(share.argmax()))}; for samples "
                "that follow other values better, add --balance condition, and sample with --guidance 2"
            )
    return None
