"""What is passed to the estimators as X, as compositions with columns: formulas, tables, or numbers alone."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import validate_data

from matgen.composition.batch import CompositionBatch, parse_formulas
from matgen.datasets.formula_column import find_formula_column
from matgen.datasets.formula_guess import guess_in
from matgen.errors import DataError, MatgenError, MatgenWarning
from matgen.prediction.features import ALL, Feature, FeaturedBatch, chosen_features, with_features


class TableError(DataError, ValueError):
    """X or y has a shape or content that no estimator takes: a `ValueError`, as scikit-learn raises it, in one line."""


@dataclass(frozen=True)
class Reading:
    """How X was read when it was learned from.

    Attributes:
        column: the column of formulas in a table; None where X was formulas, or numbers alone.
        schema: the columns beside the formula.
        numbers: whether X was an array of numbers without formulas.
    """

    column: str | None
    schema: tuple[Feature, ...]
    numbers: bool = False


def learned_rows(estimator: Any, X: Any, formula: str | int | None) -> tuple[CompositionBatch, Reading]:
    """X that is learned from, and how it was read; sets `n_features_in_` and names of columns as scikit-learn does.

    Raises:
        TableError: X is neither formulas, nor a table with a column of formulas, nor numbers; a formula cannot be read.
        TypeError: X is sparse.
    """
    if isinstance(X, CompositionBatch):
        estimator.n_features_in_ = 1
        return X, Reading(None, X.schema if isinstance(X, FeaturedBatch) else ())
    if _are_formulas(X):
        estimator.n_features_in_ = 1
        return _parsed(X), Reading(None, ())
    frame = _as_table(X, formula)
    column = None if frame is None else _formula_column(frame, formula)
    if frame is None or column is None:
        numbers = validate_data(estimator, X, ensure_all_finite="allow-nan", dtype=np.float64)
        schema = tuple(_number(f"x{j}", values) for j, values in enumerate(numbers.T))
        return _without_formulas(numbers, schema), Reading(None, schema, numbers=True)
    estimator.feature_names_in_ = np.array(frame.columns, dtype=object)
    estimator.n_features_in_ = frame.shape[1]
    batch = _parsed(frame[column])
    features, left_out = chosen_features(frame, [ALL], [column])
    if left_out:
        reasons = ", ".join(f"{name} ({reason})" for name, reason in left_out.items())
        warnings.warn(f"ignored columns of X: {reasons}", MatgenWarning, stacklevel=4)
    return with_features(batch, frame, features, where="X"), Reading(column, tuple(features))


def further_rows(estimator: Any, X: Any, reading: Reading) -> CompositionBatch:
    """X that is predicted for, read as that which was learned from.

    Raises:
        TableError: it lacks a column, a formula cannot be read, or a cell is no number.
    """
    if reading.numbers:
        numbers = validate_data(estimator, X, ensure_all_finite="allow-nan", dtype=np.float64, reset=False)
        return _without_formulas(numbers, reading.schema)
    if isinstance(X, CompositionBatch):
        return X
    if reading.column is None and not reading.schema:
        if _are_formulas(X):
            return _parsed(X)
        frame = _as_table(X, None)
        if frame is None:
            raise TableError("X is no formulas: pass a list of formulas or a table with a column of them")
        return _parsed(frame[find_formula_column(frame.columns, guess_in(frame), "X")])
    frame = _as_table(X, reading.column)
    if frame is None or reading.column not in frame:
        raise TableError(f"X lacks the column {reading.column} of formulas that was learned from")
    try:
        return with_features(_parsed(frame[reading.column]), frame, reading.schema, where="X")
    except TableError:
        raise
    except MatgenError as error:
        raise TableError(str(error)) from error


def _are_formulas(X: Any) -> bool:
    """Whether X is one column of text."""
    if isinstance(X, pd.Series):
        return not pd.api.types.is_numeric_dtype(X.dtype)
    if isinstance(X, np.ndarray):
        return X.ndim == 1 and X.dtype.kind in "UO" and len(X) > 0 and isinstance(X[0], str)
    return isinstance(X, Sequence) and not isinstance(X, str) and len(X) > 0 and isinstance(X[0], str)


def _as_table(X: Any, formula: str | int | None) -> pd.DataFrame | None:
    """X as a table with names as text and rows from 0; None where it is an array of numbers."""
    if isinstance(X, pd.DataFrame):
        frame = X.reset_index(drop=True)
        frame.columns = [str(name) for name in frame.columns]
        return frame
    if isinstance(X, Sequence) and not isinstance(X, str) and len(X) and isinstance(X[0], Sequence):
        X = np.array([list(row) for row in X], dtype=object)
    if not isinstance(X, np.ndarray) or X.ndim != 2 or X.dtype.kind not in "UO" or not len(X):
        return None
    if formula is None and not any(isinstance(cell, str) for cell in X[0]):
        return None
    return pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])]).infer_objects()


def _formula_column(frame: pd.DataFrame, formula: str | int | None) -> str | None:
    """The column of formulas; None where all columns are numbers and none is named."""
    if isinstance(formula, int):
        return str(frame.columns[formula])
    try:
        guess = guess_in(frame) if formula is None else formula
        return find_formula_column(frame.columns, guess, "X", remedy="name it by the argument formula")
    except DataError as error:
        numeric = all(pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes)
        if formula is None and numeric:
            return None
        raise TableError(str(error)) from error


def _parsed(formulas: Any) -> CompositionBatch:
    parsed = parse_formulas(formulas)
    if parsed.bad:
        raise TableError(f"X: {parsed.bad[0]} (and {len(parsed.bad) - 1} more formulas cannot be read)")
    return parsed.batch


def _without_formulas(numbers: np.ndarray, schema: tuple[Feature, ...]) -> FeaturedBatch:
    """Rows of which nothing but numbers is known: all of one composition, from which nothing can be learned."""
    ones = np.ones((len(numbers), 1))
    nothing = CompositionBatch(ones.astype(np.uint8), ones.astype(np.int32))
    return FeaturedBatch(nothing, np.asarray(numbers), schema, np.zeros(len(numbers), dtype=bool))


def _number(name: str, values: np.ndarray) -> Feature:
    present = values[np.isfinite(values)]
    if not len(present):
        return Feature(name, "number", missing=1.0)
    low, high, mean, spread = (float(one) for one in (present.min(), present.max(), present.mean(), present.std()))
    return Feature(name, "number", (), low, high, mean, spread, 1 - len(present) / len(values))
