"""Rows like those of a table, with any columns given, by a language model that reads columns in any order.

Every column is announced by its name, so a model that has seen rows in random orders of columns completes any part of a
row from any other (Borisov et al., "Language Models are Realistic Tabular Data Generators", ICLR 2023). Values are
drawn under the grammar of their column: numbers lie in the range learned from, categories are known ones.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch.nn.functional import cross_entropy

from matgen.errors import DataError, OptionError, unknown_name
from matgen.fitting.loop import Fitter
from matgen.lift.codec import Codec, EncodedRows
from matgen.lift.columns import Column, describe, typed
from matgen.lift.draw import draw_rows
from matgen.lift.scratch.model import LONGEST, ScratchOptions, build, fit_settings, longest_texts
from matgen.lift.scratch.rows import ScratchRows, disturbed
from matgen.runtime.progress import ProgressFactory, silent

if TYPE_CHECKING:
    from torch import Tensor


ORDERS = ("random", "table")
_PLAIN = {"missing": 0.0, "noise": 0.02}
"""What a generator does not need: rows are to be drawn as they were."""
_REDRAWS = 8
"""Times that rows with a formula that cannot be read are drawn again."""


class LiftGenerator(BaseEstimator):
    """Draws rows like those of a table, given any of its columns; fills in what is missing.

    Args:
        order: of the columns: `random` (any can be given), or `table` (only the first ones can, as in the completion of
            pictures; learns faster).
        formulas_as: `text` (others cannot be drawn).
        units, precision, kinds: of columns, as of `LiftClassifier`.
        backend_options: `ScratchOptions`.
        held_out: share of the rows kept to choose weights by, where no validation rows are given.
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
        kinds: Mapping[str, str] | None = None,
        backend_options: Mapping[str, Any] | None = None,
        held_out: float | None = 0.1,
        random_state: int = 0,
    ) -> None:
        self.order = order
        self.units = units
        self.precision = precision
        self.kinds = kinds
        self.backend_options = backend_options
        self.held_out = held_out
        self.random_state = random_state

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
        """Learn the rows of a table.

        Args:
            X: `n` rows; missing cells are learned as such.
            y: not looked at.
            validation: rows to choose weights by.
            folder: where a killed run leaves what it needs to go on.
            resume: go on with what is in `folder`.
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
        self.columns_ = describe(frame, units=self.units, precision=self.precision, kinds=self.kinds)
        rows = typed(frame, self.columns_)
        self.has_missing_ = {column.name: bool(rows[column.name].isna().any()) for column in self.columns_}
        self.options_ = ScratchOptions(**_PLAIN | dict(self.backend_options or {}))
        self._prepare(longest_texts(self.columns_, rows))
        held_out = None if validation is None else typed(as_frame(validation), self.columns_)
        if held_out is None and self.held_out:
            order = np.random.default_rng(self.random_state).permutation(len(rows))
            kept = round(self.held_out * len(rows))
            held_out = rows.iloc[order[:kept]].reset_index(drop=True) if kept else None
            rows = rows.iloc[np.sort(order[kept:])].reset_index(drop=True)
        with tempfile.TemporaryDirectory() as scratch:
            where = Path(folder) if folder is not None else Path(scratch)
            self._learn(rows, held_out, where, resume and (where / "training").exists(), progress)
        self.n_parameters_ = sum(p.numel() for p in self.model_.parameters())
        return self

    def _prepare(self, lengths: dict[str, int]) -> None:
        self.codec_ = Codec(self.columns_, lengths)
        self.length_ = self.codec_.width + len(self.columns_)
        if self.length_ > LONGEST:
            raise OptionError(
                f"a row of {len(self.columns_):,} columns takes {self.length_:,} tokens, the model reads {LONGEST:,}: "
                "choose columns"
            )
        self.names_ = self.codec_.vocabulary  # one token for each name, after all others
        self.options_ = self.options_.resolved(len(self.columns_), self.length_)
        self.model_ = build(self.options_, self.codec_, self.length_, len(self.columns_), seed=self.random_state)

    def _learn(
        self, train: pd.DataFrame, valid: pd.DataFrame | None, folder: Path, resume: bool, progress: ProgressFactory
    ) -> None:
        rows = self.codec_.encoded(train)
        held_out = None if valid is None else self.codec_.encoded(valid)
        settings = fit_settings(self.options_, len(rows), self.random_state, validates=held_out is not None)

        def loss(model: Any, batch: Any, generator: torch.Generator) -> Tensor:
            own, _ = batch
            order = self._some_order(generator)
            return self._nats(model, disturbed(own, self.codec_, self.options_, generator), order).sum()

        def validate(model: Any) -> float:
            if held_out is None:
                return 0.0
            generator = torch.Generator().manual_seed(0)
            return float(np.mean([self._nats(model, held_out, self._some_order(generator)).mean() for _ in range(4)]))

        Fitter(self.model_, ScratchRows(rows, None), loss, validate, folder, settings, progress, "lift").run(
            resume=resume
        )
        self.model_.eval()

    def _some_order(self, generator: torch.Generator) -> list[int]:
        if self.order == "table":
            return list(range(len(self.columns_)))
        return torch.randperm(len(self.columns_), generator=generator).tolist()

    def _nats(self, model: Any, rows: EncodedRows, order: list[int]) -> Tensor:
        """Of the values of each row in an order of columns, float32 `(n,)`; names are not asked for."""
        tokens, asked = self._arranged(rows, order)
        logits = model.lm_head(model.transformer(tokens[:, :-1]).last_hidden_state[:, asked - 1])
        return cross_entropy(logits.transpose(1, 2), tokens[:, asked], reduction="none").sum(dim=1)

    def _arranged(self, rows: EncodedRows, order: list[int]) -> tuple[Tensor, Tensor]:
        """Names and values in an order of columns, int64 `(n, length)`, and the places of the values."""
        tokens, starts = self.codec_.tokens(rows), self.codec_.starts()
        parts: list[Tensor] = []
        asked: list[int] = []
        at = 0
        for c in order:
            width = self.codec_.places[c].width
            parts.append(torch.full((len(tokens), 1), self.names_ + c))
            parts.append(tokens[:, starts[c] : starts[c] + width])
            asked += range(at + 1, at + 1 + width)
            at += 1 + width
        return torch.cat(parts, dim=1), torch.tensor(asked)

    def score_samples(self, X: pd.DataFrame) -> np.ndarray:
        """Natural logarithm of the probability of each row, columns in the table's order, float64 `(n,)`."""
        check_is_fitted(self)
        rows = self.codec_.encoded(typed(as_frame(X), self.columns_))
        with torch.inference_mode():
            return -self._nats(self.model_, rows, list(range(len(self.columns_)))).double().numpy()

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
        drawn = self._drawn(known, names, temperature, generator)
        bad = self._unreadable(drawn, names)
        self.redrawn_ = float(bad.mean())
        for _ in range(_REDRAWS):
            where = np.flatnonzero(bad)
            if not len(where):
                break
            again = self._drawn(known.iloc[where].reset_index(drop=True), names, temperature, generator)
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
            if column.kind == "category":
                odd = next((v for v in rows[column.name] if v is not None and v not in column.values), None)
                if odd is not None:
                    raise DataError(f"{odd!r} in {column.name!r} is none of {', '.join(column.values[:20])}")
        return rows

    def _drawn(
        self, known: pd.DataFrame, names: list[str], temperature: float, generator: torch.Generator
    ) -> pd.DataFrame:
        rest = [i for i, column in enumerate(self.columns_) if column.name not in names]
        if self.order == "random":
            rest = [rest[i] for i in torch.randperm(len(rest), generator=generator).tolist()]
        first = [i for i, column in enumerate(self.columns_) if column.name in names]
        start, _ = self._arranged(self.codec_.encoded(known), first) if first else (None, None)
        values = draw_rows(
            self.model_,
            self.codec_,
            start,
            len(known),
            rest,
            self.names_,
            {i: self.has_missing_[self.columns_[i].name] for i in rest},
            temperature,
            generator,
        )
        made = {self.columns_[i].name: values[i] for i in rest} | {name: known[name].to_numpy() for name in names}
        return pd.DataFrame({column.name: made[column.name] for column in self.columns_})

    def _unreadable(self, rows: pd.DataFrame, given: list[str]) -> np.ndarray:
        """Rows with a formula, drawn and not given, that is none."""
        from matgen.composition.batch import parse_formulas

        bad = np.zeros(len(rows), dtype=bool)
        for column in self.columns_:
            if column.kind == "formula" and column.name not in given:
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
            if column.kind == "number" and column.whole and rows[column.name].notna().all():
                rows[column.name] = rows[column.name].astype(np.float64).round().astype(np.int64)
            elif column.was == "bool" and rows[column.name].notna().all():
                rows[column.name] = rows[column.name].astype(str) == "True"
        return rows


def _typical(column: Column, drawn: np.ndarray) -> list[Any]:
    """Of draws `(n, draws)`, the median of numbers and the most frequent of other values."""
    if column.kind == "number":
        numbers = np.sort(drawn.astype(np.float64), axis=1)
        return numbers[:, (numbers.shape[1] - 1) // 2].tolist()
    return [pd.Series(row).mode(dropna=False).iloc[0] for row in drawn]


def as_frame(X: Any) -> pd.DataFrame:
    """A table with its names as text and its rows numbered from 0; arrays get the names x1, x2 ..."""
    if isinstance(X, pd.DataFrame):
        frame = X.reset_index(drop=True)
        frame.columns = [str(name) for name in frame.columns]
        return frame
    array = np.asarray(X)
    if array.ndim != 2:
        raise ValueError(f"Expected 2D array, got {array.ndim}D array instead. Reshape your data: (rows, columns)")
    return pd.DataFrame(array, columns=[f"x{i + 1}" for i in range(array.shape[1])])
