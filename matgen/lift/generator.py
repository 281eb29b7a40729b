"""Rows like those of a table, with any columns given, drawn by a language model of its rows.

Values are drawn under the grammar of their column: numbers lie in the training range, categories are known ones.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from matgen.errors import DataError, MatgenWarning, OptionError, unknown_name
from matgen.lift.alike import alike_columns
from matgen.lift.balance import advice, balance_of, commonest
from matgen.lift.columns import as_source, describe, typed
from matgen.lift.conditions import Permitted, permitted
from matgen.lift.estimators.inputs import as_frame, renamed_argument
from matgen.lift.files import not_learned
from matgen.lift.filling import filled_in, has_values, typical
from matgen.lift.row_model import RowModel
from matgen.lift.scratch.model import ScratchOptions, longest_texts
from matgen.runtime.progress import ProgressFactory, silent

ORDERS = ("random", "table")
_DEFAULTS = {"missing": 0.0, "noise": 0.02}
"""Augmentation of a generator, unless other is given: rows are to be drawn as they were."""
_OF_PREDICTIONS = ("views", "members")
"""Options of what predictions are averaged over: rows are drawn from one model of rows as they are."""
_REDRAWS = 8
"""Times that rows with a formula that cannot be read are drawn again."""


class LiftGenerator(BaseEstimator):
    """Draws rows like those of a table, given any of its columns; fills in what is missing.

    Args:
        order: of the columns: `random` (any can be given), or `table` (only the first ones can, as in the completion of
            pictures; trains faster).
        formulas_as: `text` (others cannot be drawn).
        units, precision, column_types, kinds: of columns, as of `LiftClassifier`.
        backend_options: `ScratchOptions`, without those of averaged predictions (`views`, `members`).
        held_out: fraction of the rows kept to choose weights by, where no validation rows are given.
        random_state: of first weights, order and noise.
        balance: column of numbers or categories whose rare values are drawn more often in training, so that rows drawn
            for them follow them; None draws all rows alike.

    Attributes:
        columns_: the columns as they were described.
        n_parameters_: weights that were trained.
        commonest_: of columns most of whose rows have one value, that value and its share, by name.
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
        balance: str | None = None,
    ) -> None:
        self.order = order
        self.units = units
        self.precision = precision
        self.column_types = column_types
        self.backend_options = backend_options
        self.held_out = held_out
        self.random_state = random_state
        self.kinds = kinds
        self.balance = balance

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
            OptionError: an option that does not fit, no such column to balance over, or rows longer than the model
                reads.
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
        self._build(longest_texts(self.columns_, rows), alike_columns(self.columns_))
        held_out = None if validation is None else typed(as_frame(validation), self.columns_)
        if held_out is None and self.held_out:
            rows, held_out = self._split(rows)
        self.commonest_, weights = commonest(rows, self.columns_), None
        if self.balance is not None:
            balance = balance_of(rows, held_out, self.columns_, self.balance)
            weights = balance.train
            if held_out is not None:
                held_out = held_out.iloc[balance.validation_rows()].reset_index(drop=True)
        with tempfile.TemporaryDirectory() as scratch:
            where = Path(folder) if folder is not None else Path(scratch)
            self.row_model_.train(rows, held_out, where, resume and (where / "training").exists(), progress, weights)
        self.n_parameters_ = self.row_model_.n_parameters
        return self

    def _build(self, lengths: dict[str, int], alike: Collection[str]) -> None:
        given = dict(self.backend_options or {})
        averaged = next((name for name in _OF_PREDICTIONS if given.get(name, 1) != 1), None)
        if averaged is not None:
            raise OptionError(f"{averaged} is {given[averaged]}, but predictions are averaged, not draws: leave it out")
        options = ScratchOptions.named(_DEFAULTS | given)
        self.row_model_ = RowModel(
            self.columns_,
            lengths,
            options,
            random_order=self.order == "random",
            seed=self.random_state,
            alike=alike,
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
        where: Sequence[str] = (),
        temperature: float = 1.0,
        seed: int = 0,
        guidance: float = 1.0,
    ) -> pd.DataFrame:
        """Draw rows.

        Args:
            n: how many; with a table of given columns, how many for each of its rows (by default 1).
            given: values of some columns, the same for all rows, or a table of them.
            where: conditions on columns that are not given, such as `age >= 40`, `age < 60`, `class in a,b`. They are
                kept while values are drawn: no row is drawn in vain.
            temperature: below 1 draws what is more probable.
            seed: of the draws.
            guidance: how closely rows follow what is given and the conditions: 1 draws from the model itself, above it
                they follow more closely and are less diverse.

        Returns:
            All columns of the table in its order; given ones as they were given.

        Raises:
            OptionError: an unknown column is given, or (order `table`) others than the first; a temperature of 0;
                guidance of 0, or without anything to follow, or of order `table`; a text that is no condition, or one
                on a column that is given.
            DataError: a given value cannot be read or is far from all that were learned, or no value learned from
                meets a condition.
        """
        check_is_fitted(self)
        if not temperature > 0:
            raise OptionError(f"temperature is {temperature}, it must be above 0")
        if n is not None and n < 1:
            raise OptionError(f"n is {n}, it must be at least 1")
        known, limits = self._given(given, n), permitted(where, self.row_model_.codec) if where else {}
        twice = next((name for name in limits if name in known), None)
        if twice is not None:
            raise OptionError(f"{twice!r} is given and has a condition: leave out one of them")
        self._check_guidance(guidance, bool(len(known.columns) or limits))
        remark = self._advice(known) if guidance == 1 else None
        if remark:
            warnings.warn(remark, MatgenWarning, stacklevel=2)
        drawn, bad = self._readable_rows(known, temperature, seed, limits=limits, guidance=guidance)
        for name, limit in limits.items():
            if limit.numbers:
                drawn[name] = limit.exactly(drawn[name].tolist())
        if bad.any():
            warnings.warn(
                f"{int(bad.sum()):,} of {len(drawn):,} formulas cannot be read after {_REDRAWS} draws: left out",
                stacklevel=2,
            )
        return self._as_given(drawn[~bad].reset_index(drop=True))

    def _advice(self, known: pd.DataFrame) -> str | None:
        return advice(known, self.columns_, self.commonest_, self.balance) if len(known.columns) else None

    def _check_guidance(self, guidance: float, followed: bool) -> None:
        if not 0 < guidance < np.inf:
            raise OptionError(f"guidance is {guidance}, it must be above 0 and finite")
        if guidance != 1 and not followed:
            raise OptionError("guidance is how closely rows follow what is given: give a column or a condition")
        if guidance != 1 and self.order == "table":
            raise OptionError("a generator of order 'table' takes no guidance: fit one of 'random'")

    def _readable_rows(
        self,
        known: pd.DataFrame,
        temperature: float,
        seed: int,
        *,
        limits: Mapping[str, Permitted] | None = None,
        filled: Sequence[str] = (),
        guidance: float = 1.0,
    ) -> tuple[pd.DataFrame, np.ndarray]:
        """Draws with what is known, drawn again where a formula cannot be read; bool `(n,)` where it never could."""
        names = [column.name for column in self.columns_ if column.name in known]
        if self.order == "table" and names != [column.name for column in self.columns_[: len(names)]]:
            raise OptionError("a generator of order 'table' can be given the first columns only: fit one of 'random'")
        generator = torch.Generator().manual_seed(seed)
        limits = limits or {}
        drawn = self._draw(known, temperature, generator, limits, filled, guidance)
        bad = self._unreadable(drawn, names)
        self.redrawn_ = float(bad.mean())
        for _ in range(_REDRAWS):
            where = np.flatnonzero(bad)
            if not len(where):
                break
            some = known.iloc[where].reset_index(drop=True)
            again = self._draw(some, temperature, generator, limits, filled, guidance)
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
        columns = [column for column in self.row_model_.codec.columns if column.name in frame.columns]
        rows = typed(frame, columns, where="what is given")
        for column in columns:
            if column.type == "category":
                odd = next((v for v in rows[column.name] if v is not None and v not in column.values), None)
                if odd is not None:
                    raise DataError(f"{odd!r} in {column.name!r} is none of {', '.join(column.values[:20])}")
        if far := not_learned(rows, columns):
            raise DataError(f"what is given: {far[0]}")
        return rows

    def _draw(
        self,
        known: pd.DataFrame,
        temperature: float,
        generator: torch.Generator,
        limits: Mapping[str, Permitted],
        filled: Sequence[str],
        guidance: float,
    ) -> pd.DataFrame:
        """Draw once; columns under a condition, and those that are filled in (`filled`), are never missing."""
        never = {*limits, *filled}
        may_be_missing = {name: gaps and name not in never for name, gaps in self.has_missing_.items()}
        return self.row_model_.draw(known, may_be_missing, temperature, generator, limits, guidance)

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
        """Fill in what is missing from what is there; cells that are there stay as they are.

        A cell stays empty where its column had no value in any training row, or no drawn formula can be read.

        Args:
            X: rows with missing cells.
            draws: of each; the median of numbers and the most frequent of other values is filled in. One draw keeps
                the spread, and the relations between the cells of a row. No draw is a missing value.
            seed: of the draws.

        Raises:
            OptionError: `draws` is below 1, or the generator has the order `table`.
        """
        check_is_fitted(self)
        if draws < 1:
            raise OptionError(f"draws is {draws}, it must be at least 1")
        if self.order == "table":
            raise OptionError("only a generator of order 'random' can fill in any column")
        frame = as_frame(X)
        rows = typed(frame, self.columns_)
        for remark in not_learned(rows, self.row_model_.codec.columns):
            warnings.warn(remark, MatgenWarning, stacklevel=2)
        missing = rows.isna()
        learned = [places.column for places in self.row_model_.codec.places if has_values(places)]
        out = frame[[column.name for column in self.columns_]].copy()
        for pattern, group in missing.groupby(list(missing.columns), sort=False):
            empty = {name for name, gone in zip(missing.columns, np.atleast_1d(pattern), strict=True) if gone}  # type: ignore[arg-type]
            if not empty:
                continue
            known = rows.loc[group.index.repeat(draws)].drop(columns=list(empty)).reset_index(drop=True)
            filled = [column for column in learned if column.name in empty]
            drawn, bad = self._readable_rows(known, 1.0, seed, filled=[column.name for column in filled])
            for column in filled:
                usable = ~bad if column.type == "formula" else np.ones(len(bad), dtype=bool)
                rows.loc[group.index, column.name] = typical(column, drawn[column.name], usable, draws)
        for column in self.columns_:
            if missing[column.name].any():
                out[column.name] = filled_in(out[column.name], rows[column.name], missing[column.name], column)
        return out

    def _as_given(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Whole numbers, truths, dates and numbers with units as such again."""
        return pd.DataFrame({column.name: as_source(rows[column.name], column) for column in self.columns_})
