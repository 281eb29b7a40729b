"""How likely a composition is stable, by boosted trees that have seen predictions fail outside the families.

A predictor's own spread holds where its held-out compounds were drawn: inside the families that its source enumerates.
These trees learn from compositions that the predictor has not seen, of its own source and of others, what a predicted
distance to the hull is worth: from the prediction, its spread, how many compounds are known beside the composition, and
what the elements are (Magpie's features; Ward et al., npj Comput. Mater. 2, 16028, 2016).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from matgen.prediction.families import bundled_compositions, labeled_families
from matgen.prediction.forest import Forest
from matgen.prediction.magpie import feature_names, magpie_features
from matgen.validity import ValidityRules, check

if TYPE_CHECKING:
    from matgen.composition.batch import CompositionBatch

LIMITS = (0.0, 0.05, 0.1)
"""Distances above the hull, eV/atom, of for which the probability of lying at or below is given."""

OFF = 0.3
"""eV/atom: a predicted distance to the hull that is wrong by more is no prediction."""

_RULES = (ValidityRules(), ValidityRules(commonality="medium"))
_FAR = 50.0
"""Predicted spreads between a prediction and a limit beyond which it makes no difference."""
_UNKNOWN = -1.0
"""Value of a feature that an element has no number for; those of Magpie's that lack some are positive."""


@dataclass(frozen=True)
class Said:
    """What a predictor says of `n` compositions, float64 `(n,)` each, eV/atom.

    Attributes:
        energy: predicted formation energies.
        spread: their predicted standard deviations.
        hull: formation energies of the best mixtures of competing phases.
    """

    energy: np.ndarray
    spread: np.ndarray
    hull: np.ndarray

    @property
    def distance(self) -> np.ndarray:
        """Predicted distances to the hull, float64 `(n,)`, eV/atom."""
        return self.energy - self.hull


def stability_feature_names() -> list[str]:
    """Names of the columns of `stability_features`."""
    return [
        "energy_above_hull", *(f"spreads_below_{limit:g}" for limit in LIMITS), "formation_energy",
        "formation_energy_std", "hull", "anonymous_formula_count",
        "chemical_system_count", "num_elements", "num_atoms", "balanced", "balanced_common", *feature_names(),
    ]  # fmt: skip


def stability_features(batch: CompositionBatch, said: Said, source: str) -> np.ndarray:
    """What the trees look at, float64 `(n, p)`, without NaN.

    Args:
        batch: `n` compositions.
        said: of them, by a predictor of formation energies.
        source: of the predictor's labels: `oqmd` or `mp`.
    """
    balanced = [check(batch, rules).electronegativity_balanced for rules in _RULES]
    # Trees cut along the axes, so that they would need many to find a quotient.
    below = [np.clip((limit - said.distance) / said.spread, -_FAR, _FAR) for limit in LIMITS]
    columns = [
        said.distance, *below, said.energy, said.spread, said.hull,
        *np.log1p(labeled_families(source).others(batch)).T, batch.n_elements, batch.n_atoms, *balanced,
    ]  # fmt: skip
    features = np.column_stack([*columns, magpie_features(batch)]).astype(np.float64)
    return np.nan_to_num(features, nan=_UNKNOWN, copy=False)


@dataclass(frozen=True)
class StabilityModel:
    """Trees that say how likely a composition is stable, and how likely its predicted distance is far off.

    Attributes:
        source: of the labels of the predictor that it goes with.
        below: for each of `LIMITS` the logarithm of the odds of lying at or below it.
        off: the logarithm of the odds that the predicted distance is wrong by more than `OFF`.
        most_off: probability of that above which a composition is out of the predictor's domain.
        novel_shift: float64 `(3,)`, what is added to the logarithm of the odds of compositions that neither database
            holds. Databases hold what somebody had a reason to calculate; a candidate like them in all that the trees
            look at is still less likely to be stable.
    """

    source: str
    below: tuple[Forest, ...]
    off: Forest
    most_off: float
    novel_shift: np.ndarray

    def features(self, batch: CompositionBatch, said: Said) -> np.ndarray:
        """`stability_features` of its source."""
        return stability_features(batch, said, self.source)

    def probabilities(self, batch: CompositionBatch, features: np.ndarray) -> np.ndarray:
        """Of lying at most each of `LIMITS` above the hull, float64 `(n, 3)`, rising from left to right.

        Args:
            batch: `n` compositions.
            features: of them.
        """
        odds = np.stack([forest.sums(features) for forest in self.below], axis=1)
        novel = ~bundled_compositions().contains(batch.keys())
        return np.maximum.accumulate(expit(odds + novel[:, None] * self.novel_shift), axis=1)

    def probability_off(self, features: np.ndarray) -> np.ndarray:
        """That the predicted distance is wrong by more than `OFF` eV/atom, float64 `(n,)`."""
        return expit(self.off.sums(features))

    def arrays(self) -> dict[str, np.ndarray]:
        """What `from_arrays` makes the same of."""
        arrays = self.off.arrays("off")
        for limit, forest in zip(LIMITS, self.below, strict=True):
            arrays |= forest.arrays(f"below_{limit:g}")
        return arrays | {"most_off": np.array([self.most_off]), "novel_shift": self.novel_shift}

    @classmethod
    def from_arrays(cls, source: str, arrays: dict[str, np.ndarray]) -> StabilityModel:
        """The model whose `arrays` these are.

        Raises:
            KeyError: one of them is missing.
        """
        below = tuple(Forest.from_arrays(f"below_{limit:g}", arrays) for limit in LIMITS)
        off = Forest.from_arrays("off", arrays)
        return cls(source, below, off, float(arrays["most_off"][0]), arrays["novel_shift"])
