"""How likely a composition has been made, or is like those that have: `probability_made`.

Boosted trees tell compositions of made compounds from unlabeled ones: the rest of the bundled table and what a model
draws. Some unlabeled ones have been made too, so the trees' probability of a label is divided by that of made
compounds (C. Elkan and K. Noto, KDD 2008, 213). They look at the composition alone, at Magpie's features (Ward et al.,
npj Comput. Mater. 2, 16028, 2016) and at its oxidation states: predicted energies and counts of known neighbors would
tell what is in a database, not what has been made.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from matgen.datasets import data_folder
from matgen.errors import CheckpointError, first_line
from matgen.io.weights import load_arrays
from matgen.prediction.forest import Forest
from matgen.prediction.magpie import feature_names, magpie_features
from matgen.validity import explain

if TYPE_CHECKING:
    from matgen.composition.batch import CompositionBatch

COLUMN = "probability_made"
FILE = "made.safetensors"
"""In the data folder's `predictors/`."""

_UNKNOWN = -1.0
"""Value of a feature that an element or a composition has none of."""


def made_feature_names() -> list[str]:
    """Names of the columns of `made_features`."""
    return [
        "oxidation_state_score", "rarest_state_share", "balanced", "balanced_common", "metallicity_score",
        "num_elements", "num_atoms", *feature_names(),
    ]  # fmt: skip


def made_features(batch: CompositionBatch) -> np.ndarray:
    """What the trees look at, float64 `(n, p)`, without NaN."""
    explanation = explain(batch)
    common = explanation.commonness
    columns = [
        common.score, common.rarest_state_share, explanation.validity.electronegativity_balanced,
        explanation.balanced_common, explanation.metallicity_score, batch.n_elements, batch.n_atoms,
    ]  # fmt: skip
    features = np.column_stack([*columns, magpie_features(batch)]).astype(np.float64)
    return np.nan_to_num(features, nan=_UNKNOWN, copy=False)


@dataclass(frozen=True)
class MadeModel:
    """Trees that say how likely a composition has been made.

    Attributes:
        labeled: the logarithm of the odds of being labeled as made.
        share_labeled: mean probability of that label of made compositions that the trees have not seen.
    """

    labeled: Forest
    share_labeled: float

    def probability(self, batch: CompositionBatch) -> np.ndarray:
        """Of having been made, float64 `(n,)`."""
        return corrected(expit(self.labeled.sums(made_features(batch))), self.share_labeled)

    def arrays(self) -> dict[str, np.ndarray]:
        """What `from_arrays` makes the same of."""
        return self.labeled.arrays("labeled") | {"share_labeled": np.array([self.share_labeled])}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> MadeModel:
        """The model whose `arrays` these are.

        Raises:
            KeyError: one of them is missing.
        """
        return cls(Forest.from_arrays("labeled", arrays), float(arrays["share_labeled"][0]))


def corrected(probability: np.ndarray, share_labeled: float) -> np.ndarray:
    """The probability of having been made of that of being labeled so, float64 `(n,)` (Elkan and Noto's lemma 1)."""
    return np.minimum(probability / share_labeled, 1.0)


@lru_cache(maxsize=1)
def bundled_made_model() -> MadeModel:
    """The model that comes with matgen.

    Raises:
        CheckpointError: its file is missing or damaged.
    """
    path = data_folder() / "predictors" / FILE
    try:
        return MadeModel.from_arrays(load_arrays(path))
    except CheckpointError:
        raise
    except Exception as error:  # foreign names and shapes, or no file
        raise CheckpointError(f"cannot open {path}: {first_line(error)}: install matgen again") from error
