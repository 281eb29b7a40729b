"""Several targets at once: one language model of rows that answers target after target, each given those before it."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from matgen.errors import DataError, MatgenWarning, OptionError
from matgen.lift.columns import describe, typed
from matgen.lift.estimators.inputs import TableError, as_frame, require_cells
from matgen.lift.estimators.intervals import QUANTILES
from matgen.lift.estimators.targets import Targets, as_targets
from matgen.lift.files import not_learned
from matgen.lift.row_model import RowModel
from matgen.lift.scratch.model import ScratchOptions, longest_texts
from matgen.lift.sentences import Sentences
from matgen.lift.target_chain import TargetChain
from matgen.runtime.progress import ProgressFactory, silent


class LiftMultiTarget(BaseEstimator):
    """Predicts several columns, labels and numbers alike, by one small model trained from scratch.

    The model learns the targets in their order, each given the row and the targets before it (classifier chains: Read
    et al., Machine Learning 2011; here all links share one model). What is predicted of a target alone is averaged over
    draws of those before it; where these are known, they can be given. Rows that lack some targets are learned from.

    Args:
        tasks: of targets by name, `classification` or `regression`; by default labels are what is text, boolean or at
            most ten whole numbers.
        formulas_as: formulas among the features as `text`, element `fractions`, or `both`.
        units, precision: of features and targets by name, as of `LiftRegressor`.
        column_types: of features, as of `LiftClassifier`.
        noise, mixup: as of `LiftClassifier`.
        backend_options: `ScratchOptions`, of which `members` and `smoothing` are for one target only.
        held_out: fraction of the rows kept to calibrate intervals and choose weights by, where no validation rows are
            given.
        draws: of the targets before one, for each row, when predicting.
        random_state: of first weights, order, noise and draws.

    Attributes:
        columns_: the features as they were described.
        targets_: the targets (`matgen.lift.estimators.targets.Targets`).
        n_parameters_: weights that were trained.
    """

    def __init__(
        self,
        tasks: Mapping[str, str] | None = None,
        *,
        formulas_as: str = "text",
        units: Mapping[str, str] | None = None,
        precision: Mapping[str, int] | None = None,
        column_types: Mapping[str, str] | None = None,
        noise: float | None = None,
        mixup: float | None = None,
        backend_options: Mapping[str, Any] | None = None,
        held_out: float | None = 0.2,
        draws: int = 16,
        random_state: int = 0,
    ) -> None:
        self.tasks = tasks
        self.formulas_as = formulas_as
        self.units = units
        self.precision = precision
        self.column_types = column_types
        self.noise = noise
        self.mixup = mixup
        self.backend_options = backend_options
        self.held_out = held_out
        self.draws = draws
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        tags.target_tags.required = tags.target_tags.multi_output = True
        return tags

    # --- training ----------------------------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        validation: tuple[Any, Any] | None = None,
        folder: Path | str | None = None,
        resume: bool = False,
        progress: ProgressFactory = silent,
    ) -> LiftMultiTarget:
        """Train.

        Args:
            X: `n` rows, a table or an array.
            y: their targets, a table or an array `(n, targets)`; empty cells are not learned.
            validation: rows and targets to choose weights and calibrate intervals by.
            folder: where an interrupted run leaves what it needs to go on.
            resume: resume what is in `folder`.
            progress: counts the steps.

        Raises:
            DataError: targets that cannot be read, or one without a value or with one label only.
            OptionError: an option that does not fit, or rows longer than the model reads.
        """
        self._describe(X, y)
        rows = self._rows(X, y)
        held_out = None if validation is None else self._rows(*validation)
        if held_out is None and self.held_out:
            rows, held_out = self._split(rows)
        self._build(longest_texts(self.columns_, rows, self.formulas_as))
        with tempfile.TemporaryDirectory() as scratch:
            where = Path(folder) if folder is not None else Path(scratch)
            self.row_model_.train(rows, held_out, where, resume and (where / "training").exists(), progress)
        self.n_parameters_ = self.row_model_.n_parameters
        if held_out is not None and self.targets_.calibrations:
            self.targets_.calibrate(held_out, self._answers(held_out))
        return self

    def _describe(self, X: Any, y: Any) -> None:
        """Describe the columns of features and of targets."""
        if self.draws < 1:
            raise OptionError(f"draws is {self.draws}, it must be at least 1")
        frame, answers = as_frame(X), as_targets(y)
        require_cells(frame)
        twice = next((name for name in answers if name in frame.columns), None)
        if twice is not None:
            raise DataError(f"{twice!r} is among the targets and among the columns to learn from: leave it out of one")
        self.targets_ = Targets.described(answers, self.tasks or {}, self.units, self.precision)
        of_targets = set(self.targets_.names)
        self.columns_ = describe(
            frame,
            units={name: unit for name, unit in (self.units or {}).items() if name not in of_targets},
            precision={name: digits for name, digits in (self.precision or {}).items() if name not in of_targets},
            column_types=self.column_types,
        )
        self.feature_names_ = list(frame.columns)
        self.n_features_in_ = len(self.feature_names_)

    def _rows(self, X: Any, y: Any = None) -> pd.DataFrame:
        """Rows as `typed` returns them, with targets where they are given: missing ones as nan or None."""
        frame = as_frame(X, self.feature_names_)
        require_cells(frame)
        rows = typed(frame, self.columns_, where="the table")
        if y is None:
            return rows
        answers = as_targets(y, self.targets_.names)
        if len(answers) != len(rows):
            raise TableError(f"X has {len(rows):,} rows and y has {len(answers):,}: they must be as many")
        return rows.assign(**self.targets_.read(answers))

    def _split(self, rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame | None]:
        """Rows to train on, and rows held out."""
        order = np.random.default_rng(self.random_state).permutation(len(rows))
        kept = round((self.held_out or 0.0) * len(rows))
        held_out = rows.iloc[np.sort(order[:kept])].reset_index(drop=True) if kept else None
        return rows.iloc[np.sort(order[kept:])].reset_index(drop=True), held_out

    def _build(self, lengths: dict[str, int]) -> None:
        given = {"noise": self.noise, "mixup": self.mixup}
        options = dict(self.backend_options or {}) | {k: v for k, v in given.items() if v is not None}
        for name in ("members", "smoothing"):
            if name in options:
                raise OptionError(f"{name} is an option for one target only: leave it out")
        self.row_model_ = RowModel(
            [*self.columns_, *self.targets_.columns],
            lengths,
            ScratchOptions.named(options),
            random_order=False,
            seed=self.random_state,
            answers=len(self.targets_.columns),
            formulas_as=self.formulas_as,
        )

    # --- predictions -------------------------------------------------------------------------------------------------

    @property
    def classes_(self) -> dict[str, np.ndarray]:
        """Labels of the targets that are labels, by name, sorted, with the type they were given in."""
        check_is_fitted(self, "targets_")
        return self.targets_.classes

    def predict(self, X: Any, *, known: Sequence[str] = ()) -> pd.DataFrame:
        """The most probable labels and the medians of numbers, `n` rows of all targets that are not known.

        Args:
            X: `n` rows.
            known: names of the first targets, of which X has the values; where a cell is empty, it is drawn.

        Raises:
            OptionError: others than the first targets are said to be known, or all.
            DataError: X has not the columns learned from, or a cell cannot be read.
        """
        answers = self._answers(self._queries(X, known), known)
        return self.targets_.predicted(answers)

    def predict_proba(self, X: Any, *, known: Sequence[str] = ()) -> dict[str, np.ndarray]:
        """By target that is a label, probabilities in the order of `classes_[target]`, float64 `(n, labels)`."""
        answers = self._answers(self._queries(X, known), known)
        return {name: answers[name] for name in self.classes_ if name in answers}

    def predict_table(self, X: Any, *, confidence: float = 0.8, known: Sequence[str] = ()) -> pd.DataFrame:
        """Of each target that is not known, `<target>_predicted` with its probabilities or its interval.

        Args:
            X: `n` rows.
            confidence: of the conformal intervals, `<target>_low` and `<target>_high`, each of its target alone; they
                are infinite where too few rows were held out.
            known: as of `predict`.
        """
        answers = self._answers(self._queries(X, known), known)
        return self.targets_.as_table(answers, confidence)

    def sample(self, X: Any, n: int = 1, *, known: Sequence[str] = (), seed: int = 0) -> pd.DataFrame:
        """Targets drawn together, so that they agree as those learned from do: `n` rows for each row of X."""
        rows = self._queries(X, known)
        rows = rows.loc[rows.index.repeat(n)].reset_index(drop=True)
        chain = TargetChain(self.row_model_, rows, draws=1, seed=seed)
        return self.targets_.given_back(chain.together(known))

    def score(self, X: Any, y: Any) -> float:
        """Mean over the targets of accuracy (labels) or R2 (numbers), each of the rows where its target is known."""
        from sklearn.metrics import accuracy_score, r2_score

        predicted = self._rows(X, self.predict(X))
        truth, scores = self._rows(X, y), []
        for column in self.targets_.columns:
            there = truth[column.name].notna()
            measure = r2_score if column.type == "number" else accuracy_score
            scores.append(measure(truth.loc[there, column.name], predicted.loc[there, column.name]))
        return float(np.mean(scores))

    def _queries(self, X: Any, known: Sequence[str]) -> pd.DataFrame:
        """Rows to answer, known targets among them; a `MatgenWarning` for what is far from all that was learned."""
        check_is_fitted(self, "row_model_")
        names = self.targets_.names
        if list(known) != names[: len(known)] or len(known) == len(names):
            raise OptionError(
                f"known targets: {', '.join(known)}; the first of {', '.join(names)} can be known, in this order, and "
                "the last cannot"
            )
        frame = as_frame(X, [*self.feature_names_, *known])
        for name in known:
            if name not in frame.columns:
                raise DataError(f"X has no column {name!r}, which is said to be known")
        rows = self._rows(frame).assign(**self.targets_.read(frame[list(known)]))
        for remark in not_learned(rows, [*self.columns_, *self.targets_.columns]):
            warnings.warn(remark, MatgenWarning, stacklevel=3)
        return rows

    def _answers(self, rows: pd.DataFrame, known: Sequence[str] = ()) -> dict[str, np.ndarray]:
        """Of each target that is not known, probabilities in the order of its classes or `QUANTILES`."""
        chain = TargetChain(self.row_model_, rows, draws=self.draws, seed=self.random_state)
        return self.targets_.in_order_of_classes(chain.alone(QUANTILES.tolist(), known))

    # --- text --------------------------------------------------------------------------------------------------------

    def show(self, X: Any, y: Any = None) -> list[str]:
        """Rows as sentences, a line for each target that they have; before `fit` columns are described by X and y.

        Args:
            X: `n` rows.
            y: their targets; without them, what is asked of the first target is shown.

        Returns:
            `n` texts.
        """
        if not hasattr(self, "columns_"):
            described = clone(self)
            described._describe(X, y)
            return described.show(X, y)
        given, rows = list(self.columns_), self._rows(X, y)
        if y is None:
            return Sentences((*given,), self.targets_.columns[0], formulas_as=self.formulas_as).prompts(rows)
        lines: list[list[str]] = [[] for _ in range(len(rows))]
        for target in self.targets_.columns:
            there = np.flatnonzero(rows[target.name].notna())
            sentences = Sentences((*given,), target, formulas_as=self.formulas_as)
            for row, text in zip(there, sentences.sentences(rows.iloc[there].reset_index(drop=True)), strict=True):
                lines[row].append(text)
            given.append(target)
        return ["\n".join(own) for own in lines]
