"""Fitting a `MadeModel`: compositions that have been made, and those of which nothing is known.

Made are those of the bundled dataset `experimental`, all inside `hybrid`; what has been made outside it serves as a
test and is left out, drawn or not. What is said of the model is measured by cross-fitting: folds of whole chemical
systems, each judged by trees that have seen no composition of its systems.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from matgen.composition.batch import CompositionBatch
from matgen.composition.keys import KeySet
from matgen.datasets import load_dataset
from matgen.prediction.forest import Forest
from matgen.prediction.forest_fit import FOLDS, fit_forest, system_folds
from matgen.prediction.made_model import MadeModel, corrected, made_feature_names, made_features

ORIGINS = ("made", "database", "drawn")


@dataclass(frozen=True)
class MadeRows:
    """What is learned from.

    Attributes:
        batch: `n` compositions, none twice.
        origin: one of `ORIGINS` each, object `(n,)`: made, or unlabeled from `hybrid`, or drawn and not in it.
    """

    batch: CompositionBatch
    origin: np.ndarray

    @property
    def made(self) -> np.ndarray:
        """Which are labeled as made, bool `(n,)`."""
        return np.asarray(self.origin == "made")

    def weights(self) -> np.ndarray:
        """Weight of each, float64 `(n,)`: those of the database together as much as the drawn ones, 1 on average."""
        weights = np.ones(len(self.batch))
        unlabeled = ORIGINS[1:]
        total = sum(int((self.origin == origin).sum()) for origin in unlabeled)
        for origin in unlabeled:
            of_origin = self.origin == origin
            weights[of_origin] = total / (len(unlabeled) * max(of_origin.sum(), 1))
        return weights


def made_rows(drawn: CompositionBatch, most: int = 20_000, seed: int = 0) -> MadeRows:
    """The compositions that a model learns from.

    Args:
        drawn: distinct compositions of a generator; those in `hybrid`, and made ones that are for testing, are left
            out.
        most: compositions of the rest of `hybrid`, and of `drawn`, at most.
        seed: of which.
    """
    hybrid, made, test = (load_dataset(name).batch for name in ("hybrid", "experimental", "experimental-test"))
    rest = np.flatnonzero(~KeySet(made.keys()).contains(hybrid.keys()))
    novel = np.flatnonzero(~KeySet(np.concatenate([hybrid.keys(), test.keys()])).contains(drawn.keys()))
    rng = np.random.default_rng(seed)
    rest, novel = (np.sort(rng.permutation(rows)[:most]) for rows in (rest, novel))
    batches = [made, hybrid[rest], drawn[novel]]
    batch = CompositionBatch.concatenate(batches)
    origin = np.repeat(np.array(ORIGINS, dtype=object), [len(one) for one in batches])
    compound = np.flatnonzero(batch.n_elements > 1)
    return MadeRows(batch[compound], origin[compound])


def fit_made(rows: MadeRows) -> tuple[MadeModel, np.ndarray]:
    """Fit a model, and what trees say of each composition that have not seen its chemical system.

    Returns:
        The model, and float64 `(n,)` probabilities of having been made.

    Raises:
        MissingDependencyError: lightgbm is not installed.
    """
    features = made_features(rows.batch)
    labeled = cross_fit(rows, features, rows.batch, features)
    share = float(labeled[rows.made].mean())
    return MadeModel(_fitted(features, rows.made, rows.weights()), share), corrected(labeled, share)


def cross_fit(rows: MadeRows, features: np.ndarray, asked: CompositionBatch, features_asked: np.ndarray) -> np.ndarray:
    """Probability of being labeled as made, by trees that have not seen the chemical system, float64 `(m,)`.

    Args:
        rows: `n` compositions to learn from.
        features: float64 `(n, p)`, of them.
        asked: `m` compositions.
        features_asked: float64 `(m, p)`, of them.
    """
    folds, folds_asked, weights = system_folds(rows.batch), system_folds(asked), rows.weights()
    labeled = np.empty(len(asked))
    for fold in range(FOLDS):
        seen, unseen = folds != fold, folds_asked == fold
        forest = _fitted(features[seen], rows.made[seen], weights[seen])
        labeled[unseen] = expit(forest.sums(features_asked[unseen]))
    return labeled


def _fitted(features: np.ndarray, made: np.ndarray, weights: np.ndarray) -> Forest:
    return fit_forest(features, made, weights, made_feature_names())
