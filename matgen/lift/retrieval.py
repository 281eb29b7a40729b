"""Rows near a row: by standardised numbers, categories, and the elements of formulas.

Put into a prompt with their targets they let a model follow data that came after the training (Dinh et al., NeurIPS
2022, section 6, where the idea is left to future work).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from matgen.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from matgen.lift.columns import Column


class RowDistance:
    """Euclidean distance of rows as vectors.

    Numbers are divided by their column's standard deviation (missing ones lie at the column's mean), categories are
    one-hot with a distance of 1 between two of them, formulas are atomic fractions; other text is not looked at.
    """

    def __init__(self, columns: Sequence[Column], store: pd.DataFrame) -> None:
        self.columns = [column for column in columns if column.type != "text"]
        if not self.columns:
            raise DataError("no column but text: rows near a row cannot be found")
        self.means = {c.name: float(np.nanmean([0.0, *store[c.name]])) for c in self.columns if c.type == "number"}

    def vectors(self, frame: pd.DataFrame) -> np.ndarray:
        """Rows as vectors, float64 `(n, dimensions)`."""
        return np.concatenate([self._vector(column, frame) for column in self.columns], axis=1)

    def _vector(self, column: Column, frame: pd.DataFrame) -> np.ndarray:
        cells = frame[column.name]
        if column.type == "number":
            numbers = cells.to_numpy(np.float64)
            return np.where(np.isnan(numbers), self.means[column.name], numbers)[:, None] / column.spread
        if column.type == "category":
            return np.array([[cell == value for value in column.values] for cell in cells], np.float64) / np.sqrt(2)
        return element_vectors(list(cells))

    def nearest(self, frame: pd.DataFrame, store: pd.DataFrame, k: int, *, itself: bool = False) -> np.ndarray:
        """The `k` nearest rows of `store` of each row, the most distant first, int64 `(n, k)`.

        Args:
            frame: `n` rows.
            store: at least `k` rows (one more where `itself`).
            k: how many.
            itself: `frame` is `store`, and no row is its own neighbor.

        Raises:
            DataError: the store is too small.
        """
        from sklearn.neighbors import NearestNeighbors

        if len(store) < k + itself:
            raise DataError(f"retrieval of {k} rows needs as many to choose from, there are {len(store) - itself}")
        search = NearestNeighbors(n_neighbors=k + itself).fit(self.vectors(store))
        nearest = search.kneighbors(self.vectors(frame), return_distance=False).astype(np.int64)
        if itself:  # among equal rows a row need not be found first
            own = nearest == np.arange(len(nearest))[:, None]
            own[~own.any(axis=1), -1] = True
            nearest = nearest[~own].reshape(len(nearest), k)
        return nearest[:, ::-1].copy()


def element_vectors(formulas: list[str | None]) -> np.ndarray:
    """Atomic fractions of formulas by atomic number, float64 `(n, 119)`; zeros of what cannot be read."""
    from matgen.composition.batch import parse_formulas

    parsed = parse_formulas([formula or "" for formula in formulas])
    out = np.zeros((len(formulas), 119))
    if len(parsed.batch):
        shares = parsed.batch.counts / parsed.batch.counts.sum(axis=1, keepdims=True)
        np.add.at(out, (parsed.rows[:, None], parsed.batch.elements), shares)
        out[:, 0] = 0
    return out
