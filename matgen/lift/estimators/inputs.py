"""What users pass to the estimators: tables and arrays, targets, and arguments by their former names."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from matgen.errors import DataError

TARGET = "y"
"""Name of the target where y has none."""
T = TypeVar("T")


class TableError(DataError, ValueError):
    """X or y has a shape or content that no estimator takes: a `ValueError`, as scikit-learn raises it, in one line."""


def as_frame(X: Any, names: Sequence[str] | None = None) -> pd.DataFrame:
    """X as a table with its names as text and its rows numbered from 0.

    Args:
        X: a table, or an array `(n, columns)`.
        names: of the columns of an array, where they are as many; else x1, x2 ...

    Raises:
        TypeError: X is sparse.
        TableError: X is an array of other than two dimensions, or of complex numbers.
    """
    if isinstance(X, pd.DataFrame):
        frame = X.reset_index(drop=True)
        frame.columns = [str(name) for name in frame.columns]
        return frame
    if hasattr(X, "toarray"):
        raise TypeError("sparse data is not supported: X must be dense, use X.toarray()")
    array = np.asarray(X)
    if array.ndim != 2:
        raise TableError(f"Expected 2D array, got {array.ndim}D array instead. Reshape your data: (rows, columns)")
    if np.iscomplexobj(array):
        raise TableError("Complex data not supported")
    if names is None or len(names) != array.shape[1]:
        names = [f"x{i + 1}" for i in range(array.shape[1])]
    frame = pd.DataFrame(array, columns=list(names))
    return frame.infer_objects() if array.dtype == object else frame


def require_cells(frame: pd.DataFrame) -> None:
    """Raise a `TableError` where a table has no rows or no columns."""
    if not len(frame) or not frame.shape[1]:
        axis = "sample" if not len(frame) else "feature"
        raise TableError(f"Found array with 0 {axis}(s) (shape={frame.shape}) while a minimum of 1 is required.")


def as_vector(y: Any, n: int | None = None) -> np.ndarray:
    """Targets as an array `(n,)`.

    Args:
        y: targets, `(n,)` or `(n, 1)`.
        n: rows that they belong to; None for any number.

    Raises:
        TableError: there is no y, it has another shape, or another length than there are rows.
    """
    if y is None:
        raise TableError("requires y to be passed, but the target y is None")
    vector = np.asarray(y)
    if vector.ndim == 2 and vector.shape[1] == 1:
        from sklearn.utils.validation import column_or_1d

        vector = column_or_1d(vector, warn=True)
    if vector.ndim != 1:
        raise TableError(
            f"y should be a 1d array, got an array of shape {vector.shape} instead. LiftMultiTarget takes more."
        )
    if n is not None and len(vector) != n:
        raise TableError(f"Found input variables with inconsistent numbers of samples: [{n}, {len(vector)}]")
    return vector


def target_name(y: Any, frame: pd.DataFrame) -> str:
    """Name of the target: that of the series y, or `y`; underscores are added where a column has the same name."""
    name = getattr(y, "name", None)
    name = str(name) if name not in (None, "") else TARGET
    while name in frame.columns:
        name += "_"
    return name


def without_target(option: Mapping[str, T] | None, target: str) -> dict[str, T]:
    """An option by column (units, precision) for all columns but the target."""
    return {name: value for name, value in (option or {}).items() if name != target}


def renamed_argument(name: str, value: T, former_name: str, former_value: T | None) -> T:
    """Value of an argument that 0.2 knew by another name, which is accepted until 0.4 with a `FutureWarning`."""
    if former_value is None:
        return value
    warnings.warn(f"{former_name} is now {name}; the old name goes in 0.4", FutureWarning, stacklevel=3)
    return former_value
