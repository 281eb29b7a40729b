"""Training weights by family, so that no anonymous formula dominates.

Databases enumerate a few anonymous formulas over the periodic table: in `hybrid-pure`, three of them are more than half
of the rows. A row of a family of `n` training rows weighs `n ** -exponent`, so that the family as a whole weighs
`n ** (1 - exponent)`: with 0 families count by their rows, with 1 they all count the same. (The same rule flattens the
languages of multilingual models: A. Conneau et al., ACL 2020, with 1 - exponent = 0.3.)

Weights act by how often a row is drawn in an epoch (`matgen.fitting.examples.batches_of_epoch`), which serves every
objective alike and costs no more than an epoch of all rows once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.errors import OptionError, unknown_name
from matgen.fitting.examples import drawn_by_weight

FAMILIES = {"anonymous_formula": CompositionBatch.anonymous_formula_keys}
"""What rows may be balanced by, with the key of each composition's family, uint64 `(n, 2)`."""

DEFAULT_EXPONENT = 0.5

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
        """The weights of two parts.

        Raises:
            OptionError: an unknown kind of family, or an exponent outside (0, 1].
        """
        check_balance(by, exponent)
        keys = np.concatenate([FAMILIES[by](train), FAMILIES[by](valid)])
        family = np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
        sizes = np.bincount(family[: len(train)], minlength=int(family.max()) + 1)
        weights = np.maximum(sizes, 1)[family] ** -exponent
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


def check_balance(by: str | None, exponent: float) -> None:
    """Refuse what cannot be balanced by.

    Raises:
        OptionError: an unknown kind of family, or an exponent outside (0, 1].
    """
    if by is not None and by not in FAMILIES:
        raise unknown_name("balance", by, FAMILIES)
    if not 0 < exponent <= 1:
        raise OptionError(f"the exponent of a balance is {exponent:g}; it must be above 0 and at most 1")
