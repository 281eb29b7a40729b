"""What classifier and regressor share: from X and y to a training set, and from X to queries."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from matgen.errors import DataError, MatgenWarning, OptionError
from matgen.lift.alike import alike_columns, with_one_range
from matgen.lift.augment import augmented
from matgen.lift.backends import backend_kind, make_backend
from matgen.lift.columns import Column, describe, typed
from matgen.lift.estimators.inputs import (
    TableError,
    as_frame,
    renamed_argument,
    require_cells,
    target_name,
    without_target,
)
from matgen.lift.files import not_learned
from matgen.lift.interface import Backend, Queries, TrainingSet
from matgen.lift.pretext import pretext_stages
from matgen.lift.retrieval import RowDistance
from matgen.lift.sentences import Sentences
from matgen.runtime.progress import ProgressFactory


class LiftEstimator(BaseEstimator):
    """Base of classifier and regressor; a subclass reads targets, describes their column and predicts."""

    feature_names_: list[str]
    n_features_in_: int
    n_parameters_: int
    store_: pd.DataFrame | None
    sentences_: Sentences
    backend_: Backend

    def __init__(
        self,
        backend: str = "scratch",
        *,
        model: str | None = None,
        template: str = "named",
        formulas_as: str = "text",
        units: Mapping[str, str] | None = None,
        precision: Mapping[str, int] | None = None,
        column_types: Mapping[str, str] | None = None,
        retrieval: int = 0,
        pretext: int = 0,
        noise: float | None = None,
        mixup: float | None = None,
        backend_options: Mapping[str, Any] | None = None,
        held_out: float | None = None,
        random_state: int = 0,
        kinds: Mapping[str, str] | None = None,
    ) -> None:
        self.backend = backend
        self.model = model
        self.template = template
        self.formulas_as = formulas_as
        self.units = units
        self.precision = precision
        self.column_types = column_types
        self.retrieval = retrieval
        self.pretext = pretext
        self.noise = noise
        self.mixup = mixup
        self.backend_options = backend_options
        self.held_out = held_out
        self.random_state = random_state
        self.kinds = kinds

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.non_deterministic = False
        return tags

    # --- what a subclass provides --------------------------------------------------------------------------------

    def _inspect(self, y: Any) -> None:
        """Keep what later readings of targets need to know of those that are fitted on."""

    def _targets(self, y: Any, n: int | None) -> list[Any]:
        """Targets as cells of a row: texts or numbers, none missing.

        Raises:
            DataError: one cannot be read, or they are not `n`.
        """
        raise NotImplementedError

    def _target_column(self, name: str, targets: list[Any]) -> Column:
        raise NotImplementedError

    def _calibrate(self, held_out: pd.DataFrame | None) -> None:
        """Compare predictions for the held-out rows with their targets."""

    # --- training ------------------------------------------------------------------------------------------------

    def _fit(
        self,
        X: Any,
        y: Any,
        validation: tuple[Any, Any] | None,
        folder: Path | str | None,
        resume: bool,
        progress: ProgressFactory,
    ) -> None:
        self._inspect(y)
        frame = self._frame(X, fitting=True)
        target = target_name(y, frame)
        targets = self._targets(y, len(frame))
        held_out: tuple[pd.DataFrame, list[Any]] | None = None
        if validation is not None:
            held_out = self._frame(validation[0]), self._targets(validation[1], None)
        elif self.held_out:
            train, kept = self._split(len(targets))
            if len(kept):
                held_out = frame.iloc[kept].reset_index(drop=True), [targets[i] for i in kept]
                frame, targets = frame.iloc[train].reset_index(drop=True), [targets[i] for i in train]
        self.sentences_ = self._sentences(frame, target, targets)
        train_rows = self._rows(frame, targets)
        held_out_rows = None if held_out is None else self._rows(*held_out)
        self._train(train_rows, held_out_rows, None if folder is None else Path(folder), resume, progress)
        self._calibrate(held_out_rows)

    def _split(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows to train on and rows held out, int64, ascending."""
        order = np.random.default_rng(self.random_state).permutation(n)
        kept = round((self.held_out or 0.0) * n)
        return np.sort(order[kept:]), np.sort(order[:kept])

    def _sentences(self, frame: pd.DataFrame, target: str, targets: list[Any]) -> Sentences:
        columns = describe(
            frame,
            units=without_target(self.units, target),
            precision=without_target(self.precision, target),
            column_types=renamed_argument("column_types", self.column_types, "kinds", self.kinds),
        )
        columns = with_one_range(columns, alike_columns(columns))
        column = self._target_column(target, targets)
        return Sentences(tuple(columns), column, self.template, self.formulas_as, self.random_state)

    def _train(
        self,
        train: pd.DataFrame,
        held_out: pd.DataFrame | None,
        folder: Path | None,
        resume: bool,
        progress: ProgressFactory,
    ) -> None:
        if (self.noise or self.mixup) and not backend_kind(self.backend).augments_rows:
            train = augmented(
                train, self.sentences_, noise=self.noise or 0.0, mixup=self.mixup or 0.0, seed=self.random_state
            )
        self.backend_ = make_backend(self.backend, **self._backend_options())
        if self.retrieval < 0:
            raise OptionError(f"retrieval is {self.retrieval}, it must be 0 or more")
        examples = valid_examples = None
        self.store_ = train if self.retrieval else None
        if self.retrieval:
            distance = RowDistance(self.sentences_.columns, train)
            examples = distance.nearest(train, train, self.retrieval, itself=True)
            if held_out is not None:
                valid_examples = distance.nearest(held_out, train, self.retrieval)
        stages = pretext_stages(train, self.sentences_, self.pretext, seed=self.random_state) if self.pretext else ()
        training_set = TrainingSet(self.sentences_, train, held_out, examples, valid_examples, stages)
        self.backend_.fit(training_set, seed=self.random_state, folder=folder, resume=resume, progress=progress)
        self.n_parameters_ = self.backend_.n_parameters

    def _backend_options(self) -> dict[str, Any]:
        """Options of the backend, with those arguments of the estimator that are options of the backend too."""
        shared: dict[str, Any] = {"model": self.model}  # a backend that takes no model refuses it by name
        if backend_kind(self.backend).augments_rows:
            shared |= {"noise": self.noise, "mixup": self.mixup}
        return dict(self.backend_options or {}) | {name: value for name, value in shared.items() if value is not None}

    def update(self, X: Any, y: Any, *, replace: bool = False, forget: bool | None = None) -> Any:
        """Add rows with their targets to those that prompts are filled from, without any training.

        Args:
            X: `n` rows.
            y: their targets.
            replace: leave out the earlier rows from now on, where their targets no longer hold.
            forget: former name of `replace`, until 0.4.

        Raises:
            OptionError: the estimator was fitted without retrieval.
        """
        check_is_fitted(self)
        if self.store_ is None:
            raise OptionError("only an estimator fitted with retrieval can be updated: give it retrieval=4, say")
        frame = self._frame(X)
        more = self._rows(frame, self._targets(y, len(frame)))
        replace = renamed_argument("replace", replace, "forget", forget)
        self.store_ = more if replace else pd.concat([self.store_, more], ignore_index=True)
        return self

    # --- rows ----------------------------------------------------------------------------------------------------

    def _frame(self, X: Any, *, fitting: bool = False) -> pd.DataFrame:
        """X as a table. Columns of a table are found by name; arrays must have as many columns as were fitted on."""
        frame = as_frame(X, None if fitting else self.feature_names_)
        require_cells(frame)
        if fitting:
            self.n_features_in_ = frame.shape[1]
            self.feature_names_ = list(frame.columns)
            if isinstance(X, pd.DataFrame) and all(isinstance(name, str) for name in X.columns):
                self.feature_names_in_ = np.array(self.feature_names_, dtype=object)
            elif hasattr(self, "feature_names_in_"):
                del self.feature_names_in_
        elif not isinstance(X, pd.DataFrame) and frame.shape[1] != self.n_features_in_:
            raise TableError(
                f"X has {frame.shape[1]} features, but {type(self).__name__} is expecting {self.n_features_in_} "
                "features as input"
            )
        return frame

    def _rows(self, frame: pd.DataFrame, targets: list[Any] | None = None) -> pd.DataFrame:
        """Rows as `typed` returns them, the target among the columns where targets are given."""
        rows = typed(frame, self.sentences_.columns, where="the table")
        if targets is not None:
            assert self.sentences_.target is not None
            numeric = self.sentences_.target.type == "number"
            rows[self.sentences_.target.name] = pd.Series(targets, dtype=np.float64 if numeric else object)
        return rows

    def _queries(self, X: Any, *, tell: bool = True) -> Queries:
        """Rows to answer; a `MatgenWarning` for each column with what is far from all that was learned (`tell`)."""
        check_is_fitted(self)
        rows = self._rows(self._frame(X))
        for remark in not_learned(rows, self.sentences_.columns) if tell else ():
            warnings.warn(remark, MatgenWarning, stacklevel=3)
        return self._queries_of_rows(rows)

    def _queries_of_rows(self, rows: pd.DataFrame) -> Queries:
        if self.store_ is None:
            return Queries(rows)
        distance = RowDistance(self.sentences_.columns, self.store_)
        return Queries(rows, self.store_, distance.nearest(rows, self.store_, self.retrieval))

    # --- text ----------------------------------------------------------------------------------------------------

    def raw_parse_rate(self, X: Any, seed: int = 0) -> float:
        """Fraction of rows for which the model, unconstrained, writes a valid completion (one sample a row)."""
        queries = self._queries(X)
        completions = self.backend_.complete(queries, seed=seed)
        return float(np.mean([self._parses(text) for text in completions]))

    def _parses(self, completion: str) -> bool:
        try:
            self.sentences_.parse_completion(completion)
        except DataError:
            return False
        return True

    def show(self, X: Any, y: Any = None) -> list[str]:
        """Rows as sentences, with their completions where `y` is given; before `fit` columns are described by X and y.

        Returns:
            `n` texts.
        """
        if not hasattr(self, "sentences_"):
            return clone(self)._described_by(X, y).show(X, y)
        frame = self._frame(X)
        if y is None:
            return self.sentences_.prompts(self._rows(frame))
        return self.sentences_.sentences(self._rows(frame, self._targets(y, len(frame))))

    def _described_by(self, X: Any, y: Any) -> Any:
        """The estimator with what it needs to write sentences, and no model."""
        self._inspect(y)
        frame = self._frame(X, fitting=True)
        self.sentences_ = self._sentences(frame, target_name(y, frame), self._targets(y, len(frame)))
        return self
