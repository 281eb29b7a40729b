"""Fitting a `Forest` of yes or no, and folds of whole chemical systems to measure it by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.prediction.forest import Forest
from matgen.prediction.trees import load_lightgbm

FOLDS = 5
_ROUNDS = 200
_PARAMETERS = {
    "objective": "binary", "learning_rate": 0.06, "num_leaves": 31, "min_data_in_leaf": 40, "feature_fraction": 0.3,
    "bagging_fraction": 0.7, "bagging_freq": 1, "use_missing": False, "deterministic": True, "force_row_wise": True,
    "verbosity": -1,
}  # fmt: skip


def fit_forest(features: np.ndarray, target: np.ndarray, weights: np.ndarray, names: Sequence[str]) -> Forest:
    """Trees whose sum is the logarithm of the odds of a target.

    Args:
        features: float64 `(n, p)`, without NaN.
        target: bool `(n,)`.
        weights: float64 `(n,)`.
        names: of the features.

    Raises:
        MissingDependencyError: lightgbm is not installed.
    """
    lightgbm = load_lightgbm()
    data = lightgbm.Dataset(features, target.astype(np.float64), weight=weights, feature_name=list(names))
    return Forest.of_booster(lightgbm.train(_PARAMETERS, data, _ROUNDS))


def system_folds(batch: CompositionBatch) -> np.ndarray:
    """Fold of each composition, int64 `(n,)`, below `FOLDS`; a chemical system is in one."""
    return (batch.chemical_system_keys()[:, 0] % np.uint64(FOLDS)).astype(np.int64)
