"""Predictors as scikit-learn's estimators: for pipelines, cross-validation and searches over their arguments.

They are the predictors of `matgen fit`, in memory: the same members, calibrated on rows that nothing was learned from.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, check_is_fitted, column_or_1d

from matgen.composition.batch import CompositionBatch
from matgen.prediction.estimator_inputs import Reading, TableError, further_rows, learned_rows
from matgen.prediction.predictor import Predictor
from matgen.prediction.splitting import CROSS_BELOW, FOLDS, folds_of, parts_of, units_of
from matgen.prediction.training_tables import PropertyData

_FEWEST = 3
"""Rows: one calibrates, one says when to stop, one is learned from."""


class _PropertyEstimator(BaseEstimator):
    """Base of regressor and classifier; a subclass reads targets and predicts."""

    predictor_: Predictor
    reading_: Reading
    n_features_in_: int

    def __init__(
        self,
        kind: str = "trees",
        *,
        formula: str | int | None = None,
        members: int = 3,
        folds: int | None = None,
        epochs: float | None = None,
        trees: Mapping[str, Any] | None = None,
        random_state: Any = 0,
    ) -> None:
        self.kind = kind
        self.formula = formula
        self.members = members
        self.folds = folds
        self.epochs = epochs
        self.trees = trees
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    def _fit(self, batch: CompositionBatch, target: np.ndarray, groups: Any, classes: Sequence[str] | None) -> None:
        """Learn from rows whose X has been read."""
        from matgen.prediction.fit import fit_in_memory
        from matgen.prediction.network import NetworkSize
        from matgen.prediction.plan import FitPlan, default_fit_settings

        n = len(batch)
        if n < _FEWEST:
            raise TableError(f"n_samples={n}: at least {_FEWEST} rows are needed")
        part, fold = self._parts(batch, groups)
        data = PropertyData(
            "y", "X", "", batch, target, part, {}, "regression" if classes is None else "classification",
            classes=None if classes is None else tuple(classes), fold=fold,
        )  # fmt: skip
        settings = default_fit_settings(self.kind, n, epochs=self.epochs, seed=self._seed())
        size = NetworkSize(3, width=128, feed_forward=256)
        plan = FitPlan(self.kind, size, self.members, None, settings, dict(self.trees or {}))
        with tempfile.TemporaryDirectory() as folder:
            predictor = fit_in_memory(data, plan, Path(folder))
        if predictor is None:
            raise KeyboardInterrupt  # the loop of networks takes it for itself
        self.predictor_ = predictor

    def _parts(self, batch: CompositionBatch, groups: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """Parts without one to test, which is the caller's, and folds where the rows are few."""
        n = len(batch)
        names = None if groups is None else [str(group) for group in np.asarray(groups)]
        if self.reading_.numbers:
            # Nothing is known of compositions, so that nothing but a group keeps rows together.
            units = np.arange(n) if names is None else np.unique(names, return_inverse=True)[1]
        else:
            units, _ = units_of(batch, "split", names)
        folds = (FOLDS if n < CROSS_BELOW else 0) if self.folds is None else self.folds
        if folds:
            return np.full(n, "train", dtype=object), folds_of(units, folds)
        part = parts_of(batch, units, "split", grouped=True, test_only=False)
        return np.where(part == "test", "train", part).astype(object), None

    def _seed(self) -> int:
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1_000))

    def _rows(self, X: Any) -> CompositionBatch:
        check_is_fitted(self, "predictor_")
        return further_rows(self, X, self.reading_)


class PropertyRegressor(RegressorMixin, _PropertyEstimator):
    """A number from formulas and further columns, with intervals that mean what they say.

    Args:
        kind: `trees` (boosted, on Magpie features; extra `trees`) or `network` (attention among the elements).
        formula: the column of formulas in X, a name or a place; by default recognized by its name.
        members: how many there are, where no folds calibrate.
        folds: rows that calibrate intervals in turn, with a member for each fold (CV+, see `cross_conformal`); 0: a
            part is set apart; None: 10 folds of fewer than 800 rows.
        epochs: of networks, passes over the data; None for 100.
        trees: LightGBM's parameters in place of the usual ones (`num_iterations` for the most trees).
        random_state: seed of initial weights, order and subsets.

    Attributes:
        predictor_: the `Predictor`.
        n_features_in_: columns of X.
    """

    def fit(self, X: Any, y: Any, groups: Any = None) -> PropertyRegressor:
        """Learn.

        Args:
            X: formulas `(n,)`; or a table with a column of formulas, whose other columns are features (numbers; texts
                as categories; cells may be missing); or numbers `(n, columns)` without formulas.
            y: float `(n,)`.
            groups: rows of one group never calibrate what others of it have taught.

        Raises:
            TableError: X or y cannot be read; a `ValueError`.
            MissingDependencyError: lightgbm is not installed.
        """
        target = _vector(y)
        batch, self.reading_ = learned_rows(self, X, self.formula)
        target = _numbers(target, len(batch))
        self._fit(batch, target, groups, None)
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """The mean float64 `(n,)`, and the standard deviation `(n,)` where it is wanted."""
        rows = self._rows(X)
        mean, spread, _ = self.predictor_.spread(rows)
        return (mean, spread) if return_std else mean

    def predict_interval(self, X: Any, confidence: float = 0.95) -> np.ndarray:
        """Bounds that hold the truth with a given probability, float64 `(n, 2)`; infinite where too few calibrate."""
        rows = self._rows(X)
        return self.predictor_.intervals(*self.predictor_.outputs(rows), confidence)


class PropertyClassifier(ClassifierMixin, _PropertyEstimator):
    """One of two classes, or with trees of several, with calibrated probabilities.

    Args:
        kind: `trees` (boosted, on Magpie features; extra `trees`) or `network` (two classes only).
        formula: the column of formulas in X, a name or a place; by default recognized by its name.
        members: how many there are, where no folds calibrate.
        folds: rows that calibrate probabilities in turn, with a member for each fold; 0: a part is set apart; None: 10
            folds of fewer than 800 rows.
        epochs: of networks, passes over the data; None for 100.
        trees: LightGBM's parameters in place of the usual ones (`num_iterations` for the most trees).
        random_state: seed of initial weights, order and subsets.

    Attributes:
        classes_: the labels, sorted, with the type they were given in.
        predictor_: the `Predictor`.
        n_features_in_: columns of X.
    """

    classes_: np.ndarray

    def fit(self, X: Any, y: Any, groups: Any = None) -> PropertyClassifier:
        """Learn.

        Args:
            X: as `PropertyRegressor.fit` takes it.
            y: labels `(n,)`.
            groups: rows of one group never calibrate what others of it have taught.

        Raises:
            TableError: X or y cannot be read, or y has one class only; a `ValueError`.
            OptionError: more than two classes for a network.
            MissingDependencyError: lightgbm is not installed.
        """
        labels = _vector(y)
        batch, self.reading_ = learned_rows(self, X, self.formula)
        _require_length(labels, len(batch))
        check_classification_targets(labels)
        self.classes_, places = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise TableError(f"y has 1 class only, {self.classes_[0]!r}: a classifier needs two classes or more")
        self._fit(batch, places.astype(np.float64), groups, [str(label) for label in self.classes_])
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the labels in the order of `classes_`, float64 `(n, classes)`."""
        rows = self._rows(X)
        return self.predictor_.probabilities(self.predictor_.outputs(rows)[0])

    def predict(self, X: Any) -> np.ndarray:
        """The most probable label of each row `(n,)`; of equally probable ones the first."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]


def _vector(y: Any) -> np.ndarray:
    """Targets as an array `(n,)`, none of them missing."""
    if y is None:
        raise TableError("requires y to be passed, but the target y is None")
    vector = column_or_1d(y, warn=True)
    assert_all_finite(vector, input_name="y")
    return vector


def _numbers(target: np.ndarray, n: int) -> np.ndarray:
    _require_length(target, n)
    try:
        return target.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise TableError(f"y is no numbers: {error}") from error


def _require_length(target: np.ndarray, n: int) -> None:
    if len(target) != n:
        raise TableError(f"Found input variables with inconsistent numbers of samples: [{n}, {len(target)}]")
