"""Rows like those of a table, with any columns given, drawn by a language model of its rows.

Values are drawn under the grammar of their column: numbers lie in the training range, categories are known ones.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from matgen.errors import DataError, OptionError, unknown_name
from matgen.lift.columns import Column, describe, typed
from matgen.lift.estimators.inputs import as_frame, renamed_argument
from matgen.lift.row_model import RowModel
from matgen.lift.scratch.model import ScratchOptions, longest_texts
from matgen.runtime.progress import ProgressFactory, silent

ORDERS = ("random", "table")
_DEFAULTS = {"missing": 0.0, "noise": 0.02}
"""Augmentation of a generator, unless other is given: rows are to be drawn as they were."""
_REDRAWS = 8
"""Times that rows with a formula that cannot be read are drawn again."""


class LiftGenerator(BaseEstimator):
    """Draws rows like those of a table, given any of its columns; fills in what is missing.

    Args:
        order: of the columns: `random` (any can be given), or `table` (only the first ones can, as in the completion of
            pictures; trains faster).
        formulas_as: `text` (others cannot be drawn).
        units, precision, column_types, kinds: of columns, as of `LiftClassifier`.
        backend_options: `ScratchOptions`.
        held_out: fraction of the rows kept to choose weights by, where no validation rows are given.
        random_state: of first weights, order and noise.

    Attributes:
        columns_: the columns as they were described.
        n_parameters_: weights that were trained.
        redrawn_: share of the last draw whose formulas could not be read at first.
    """

    def __init__(
        self,
        order: str = "random",
        *,
        units: Mapping[str, str] | None = None,
        precision: Mapping[str, int] | None = None,
        column_types: Mapping[str, str] | None = None,
        backend_options: Mapping[str, Any] | None = None,
        held_out: float | None = 0.1,
        random_state: int = 0,
        kinds: Mapping[str, str] | None = None,
    ) -> None:
        self.order = order
        self.units = units
        self.precision = precision
        self.column_types = column_types
        self.backend_options = backend_options
        self.held_out = held_out
        self.random_state = random_state
        self.kinds = kinds

    def fit(
        self,
        X: pd.DataFrame,
        y: Any = None,
        *,
        validation: pd.DataFrame | None = None,
        folder: Path | str | None = None,
        resume: bool = False,
        progress: ProgressFactory = silent,
    ) -> LiftGenerator:
        """Train on the rows of a table.

        Args:
            X: `n` rows; missing cells are trained on as such.
            y: not looked at.
            validation: rows to choose weights by.
            folder: where an interrupted run leaves what it needs to go on.
            resume: resume what is in `folder`.
            progress: counts the steps.

        Raises:
            DataError: no rows, or columns that cannot be read.
            OptionError: an option that does not fit, or rows longer than the model reads.
        """
        if self.order not in ORDERS:
            raise unknown_name("order of columns", self.order, ORDERS)
        frame = as_frame(X)
        if len(frame) < 2:
            raise DataError(f"{len(frame)} rows are given, at least 2 are needed")
        column_types = renamed_argument("column_types", self.column_types, "kinds", self.kinds)
        self.columns_ = describe(frame, units=self.units, precision=self.precision, column_types=column_types)
        rows = typed(frame, self.columns_)
        self.has_missing_ = {column.name: bool(rows[column.name].isna().any()) for column in self.columns_}
        self._build(longest_texts(self.columns_, rows))
        held_out = None if validation is None else typed(as_frame(validation), self.columns_)
        if held_out is None and self.held_out:
            rows, held_out = self._split(rows)
        with tempfile.TemporaryDirectory() as scratch:
            where = Path(folder) if folder is not None else Path(scratch)
            self.row_model_.train(rows, held_out, where, resume and (where / "training").exists(), progress)
        self.n_parameters_ = self.row_model_.n_parameters
        return self

    def _build(self, lengths: dict[str, int]) -> None:
        options = ScratchOptions.named(_DEFAULTS | dict(self.backend_options or {}))
        self.row_model_ = RowModel(
            self.columns_, lengths, options, random_order=self.order == "random", seed=self.random_state
        )

    def _split(self, rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame | None]:
        """Rows to train on, and rows held out."""
        order = np.random.default_rng(self.random_state).permutation(len(rows))
        kept = round((self.held_out or 0.0) * len(rows))
        held_out = rows.iloc[order[:kept]].reset_index(drop=True) if kept else None
        return rows.iloc[np.sort(order[kept:])].reset_index(drop=True), held_out

    def score_samples(self, X: pd.DataFrame) -> np.ndarray:
        """Natural logarithm of the probability of each row, columns in the table's order, float64 `(n,)`."""
        check_is_fitted(self)
        return self.row_model_.log_probabilities(typed(as_frame(X), self.columns_))

    def sample(
        self,
        n: int | None = None,
        given: Mapping[str, Any] | pd.DataFrame | None = None,
        *,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> pd.DataFrame:
        """Draw rows.

        Args:
            n: how many; with a table of given columns, how many for each of its rows (by default 1).
            given: values of some columns, the same for all rows, or a table of them.
            temperature: below 1 draws what is more probable.
            seed: of the draws.

        Returns:
            All columns of the table in its order; given ones as they were given.

        Raises:
            OptionError: an unknown column is given, or (order `table`) others than the first; a temperature of 0.
            DataError: a given value cannot be read.
        """
        check_is_fitted(self)
        if not temperature > 0:
            raise OptionError(f"temperature is {temperature}, it must be above 0")
        if n is not None and n < 1:
            raise OptionError(f"n is {n}, it must be at least 1")
        drawn, bad = self._readable_rows(self._given(given, n), temperature, seed)
        if bad.any():
            warnings.warn(
                f"{int(bad.sum()):,} of {len(drawn):,} formulas cannot be read after {_REDRAWS} draws: left out",
                stacklevel=2,
            )
        return self._as_given(drawn[~bad].reset_index(drop=True))

    def _readable_rows(self, known: pd.DataFrame, temperature: float, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
        """Draws with what is known, drawn again where a formula cannot be read; bool `(n,)` where it never could."""
        names = [column.name for column in self.columns_ if column.name in known]
        if self.order == "table" and names != [column.name for column in self.columns_[: len(names)]]:
            raise OptionError("a generator of order 'table' can be given the first columns only: fit one of 'random'")
        generator = torch.Generator().manual_seed(seed)
        drawn = self._draw(known, temperature, generator)
        bad = self._unreadable(drawn, names)
        self.redrawn_ = float(bad.mean())
        for _ in range(_REDRAWS):
            where = np.flatnonzero(bad)
            if not len(where):
                break
            again = self._draw(known.iloc[where].reset_index(drop=True), temperature, generator)
            for column in drawn.columns:
                drawn.loc[where, column] = again[column].to_numpy()
            bad = self._unreadable(drawn, names)
        return drawn, bad

    def _given(self, given: Mapping[str, Any] | pd.DataFrame | None, n: int | None) -> pd.DataFrame:
        if given is None or not len(given):
            return pd.DataFrame(index=pd.RangeIndex(n or 1))
        if isinstance(given, pd.DataFrame):
            frame = as_frame(given)
            frame = frame.loc[frame.index.repeat(n or 1)].reset_index(drop=True)
        else:
            frame = pd.DataFrame({str(name): [value] * (n or 1) for name, value in given.items()})
        unknown = [name for name in frame.columns if name not in {column.name for column in self.columns_}]
        if unknown:
            raise OptionError(
                f"there is no column {unknown[0]!r}; there are {', '.join(c.name for c in self.columns_[:20])}"
            )
        columns = [column for column in self.columns_ if column.name in frame.columns]
        rows = typed(frame, columns, where="what is given")
        for column in columns:
            if column.type == "category":
                odd = next((v for v in rows[column.name] if v is not None and v not in column.values), None)
                if odd is not None:
                    raise DataError(f"{odd!r} in {column.name!r} is none of {', '.join(column.values[:20])}")
        return rows

    def _draw(self, known: pd.DataFrame, temperature: float, generator: torch.Generator) -> pd.DataFrame:
        return self.row_model_.draw(known, self.has_missing_, temperature, generator)

    def _unreadable(self, rows: pd.DataFrame, given: list[str]) -> np.ndarray:
        """Rows with a formula, drawn and not given, that is none."""
        from matgen.composition.batch import parse_formulas

        bad = np.zeros(len(rows), dtype=bool)
        for column in self.columns_:
            if column.type == "formula" and column.name not in given:
                for one in parse_formulas([text or "" for text in rows[column.name]]).bad:
                    bad[one.row] = rows[column.name].iloc[one.row] is not None
        return bad

    def impute(self, X: pd.DataFrame, *, draws: int = 25, seed: int = 0) -> pd.DataFrame:
        """Fill in what is missing from what is there.

        Args:
            X: rows with missing cells.
            draws: of each; the median of numbers and the most frequent of other values is filled in. One draw keeps
                the spread, and the relations between the cells of a row.
            seed: of the draws.

        Raises:
            OptionError: `draws` is below 1, or the generator has the order `table`.
        """
        check_is_fitted(self)
        if draws < 1:
            raise OptionError(f"draws is {draws}, it must be at least 1")
        if self.order == "table":
            raise OptionError("only a generator of order 'random' can fill in any column")
        rows = typed(as_frame(X), self.columns_)
        out, missing = rows.copy(), rows.isna()
        for pattern, group in missing.groupby(list(missing.columns), sort=False):
            empty = [name for name, gone in zip(missing.columns, np.atleast_1d(pattern), strict=True) if gone]  # type: ignore[arg-type]
            if not empty:
                continue
            known = rows.loc[group.index.repeat(draws)].drop(columns=empty).reset_index(drop=True)
            drawn, _ = self._readable_rows(known, 1.0, seed)
            for name in empty:
                column = next(c for c in self.columns_ if c.name == name)
                out.loc[group.index, name] = _typical(column, drawn[name].to_numpy(object).reshape(-1, draws))
        return self._as_given(out)

    def _as_given(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Whole numbers and truths as such again."""
        for column in self.columns_:
            if column.type == "number" and column.whole and rows[column.name].notna().all():
                rows[column.name] = rows[column.name].astype(np.float64).round().astype(np.int64)
            elif column.source_type == "bool" and rows[column.name].notna().all():
                rows[column.name] = rows[column.name].astype(str) == "True"
        return rows


def _typical(column: Column, drawn: np.ndarray) -> list[Any]:
    """Of draws `(n, draws)`, the median of numbers and the most frequent of other values."""
    if column.type == "number":
        numbers = np.sort(drawn.astype(np.float64), axis=1)
        return numbers[:, (numbers.shape[1] - 1) // 2].tolist()
    return [pd.Series(row).mode(dropna=False).iloc[0] for row in drawn]
