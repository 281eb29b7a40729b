"""The usual methods that LIFT is compared with, by name, on the same rows.

Text becomes one-hot columns, formulas atomic fractions (`fractions`) or Magpie's features; missing numbers the median.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin

from matgen.errors import MissingDependencyError, unknown_name
from matgen.lift.columns import describe

if TYPE_CHECKING:
    from numpy import ndarray as Array

CLASSIFIERS = ("majority", "logistic", "svm", "k_nearest", "random_forest", "gradient_boosting", "xgboost")
REGRESSORS = (
    "mean", "ridge", "svm", "k_nearest", "random_forest", "gradient_boosting", "xgboost", "gaussian_process",
)  # fmt: skip


def baseline(name: str, X: pd.DataFrame, task: str, seed: int = 0) -> Any:
    """A pipeline of scikit-learn: what X holds as numbers, then the method.

    Args:
        name: one of `CLASSIFIERS` or `REGRESSORS`.
        X: rows whose columns say how they become numbers.
        task: `classification` or `regression`.
        seed: of methods that draw; logistic regression has 0, as published.

    Raises:
        OptionError: an unknown name.
        MissingDependencyError: xgboost is not installed.
    """
    from sklearn.pipeline import make_pipeline

    known = CLASSIFIERS if task == "classification" else REGRESSORS
    if name not in known:
        raise unknown_name(f"method of {task}", name, known)
    return make_pipeline(_numbers_of(X), (_classifier if task == "classification" else _regressor)(name, seed))


def _numbers_of(X: pd.DataFrame) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

    parts: list[tuple[str, Any, list[str]]] = []
    for column in describe(X):
        if column.type == "number":
            if X[column.name].isna().any():
                parts.append((column.name, SimpleImputer(strategy="median"), [column.name]))
            else:
                parts.append((column.name, "passthrough", [column.name]))
        elif column.type == "formula":
            parts.append((column.name, FunctionTransformer(magpie_of_table), [column.name]))
        else:
            parts.append((column.name, OneHotEncoder(handle_unknown="ignore", sparse_output=False), [column.name]))
    return ColumnTransformer(parts)


def magpie_of_table(frame: pd.DataFrame) -> Array:
    """Magpie's features of a column of formulas, float64 `(n, 132)`; zeros where one cannot be read."""
    from matgen.composition.batch import parse_formulas
    from matgen.prediction.magpie import feature_names, magpie_features

    parsed = parse_formulas(frame.iloc[:, 0].astype(str))
    out = np.zeros((len(frame), len(feature_names())))
    if len(parsed.batch):
        out[parsed.rows] = np.nan_to_num(magpie_features(parsed.batch))
    return out


def _classifier(name: str, seed: int) -> Any:
    from sklearn.dummy import DummyClassifier
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    made: dict[str, Callable[[], Any]] = {
        "majority": lambda: DummyClassifier(strategy="most_frequent"),
        "logistic": lambda: LogisticRegression(random_state=0),
        "svm": lambda: SVC(random_state=0),
        "k_nearest": lambda: KNeighborsClassifier(),
        "random_forest": lambda: RandomForestClassifier(random_state=seed),
        "gradient_boosting": lambda: HistGradientBoostingClassifier(random_state=seed),
        "xgboost": lambda: _Labeled(_xgboost().XGBClassifier(random_state=seed, n_jobs=1)),
    }
    return made[name]()


def _regressor(name: str, seed: int) -> Any:
    from sklearn.dummy import DummyRegressor
    from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
    from sklearn.linear_model import RidgeCV
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVR

    kernel = ConstantKernel() * RBF() + WhiteKernel(1e-2)
    made: dict[str, Callable[[], Any]] = {
        "mean": lambda: DummyRegressor(),
        "ridge": lambda: make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 4, 15))),
        "svm": lambda: make_pipeline(StandardScaler(), SVR()),
        "k_nearest": lambda: make_pipeline(StandardScaler(), KNeighborsRegressor()),
        "random_forest": lambda: RandomForestRegressor(random_state=seed),
        "gradient_boosting": lambda: HistGradientBoostingRegressor(random_state=seed),
        "xgboost": lambda: _xgboost().XGBRegressor(random_state=seed, n_jobs=1),
        "gaussian_process": lambda: GaussianProcessRegressor(
            kernel, normalize_y=True, n_restarts_optimizer=2, random_state=seed
        ),
    }
    return made[name]()


def _xgboost() -> Any:
    try:
        import xgboost
    except ImportError as error:
        raise MissingDependencyError("xgboost is not installed: pip install xgboost-cpu") from error
    return xgboost


class _Labeled(ClassifierMixin, BaseEstimator):
    """XGBoost's classifier for labels that are texts: it wants whole numbers from 0."""

    def __init__(self, model: Any = None) -> None:
        self.model = model

    def fit(self, X: Any, y: Any) -> _Labeled:
        """Learn labels as numbers."""
        self.classes_, codes = np.unique(np.asarray(y), return_inverse=True)
        self.model.fit(X, codes)
        return self

    def predict_proba(self, X: Any) -> Array:
        """Probabilities in the order of `classes_`."""
        return self.model.predict_proba(X)

    def predict(self, X: Any) -> Array:
        """The most probable labels."""
        return self.classes_[self.model.predict_proba(X).argmax(axis=1)]
