"""Classification and regression by language models, as scikit-learn's estimators.

`LiftClassifier` and `LiftRegressor` write the rows of a table as sentences, teach a language model to complete them and
read its answers under a grammar, so that every answer is one (Dinh et al., "LIFT: Language-Interfaced Fine-Tuning for
Non-Language Machine Learning Tasks", NeurIPS 2022; there, answers that cannot be read become the training mean).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from matgen.errors import DataError, OptionError, first_line
from matgen.lift.augment import augmented
from matgen.lift.backends import make_backend
from matgen.lift.columns import Column, as_texts, describe, number_format, typed
from matgen.lift.interface import Backend, Queries, TrainingSet
from matgen.lift.pretext import pretext_stages
from matgen.lift.retrieval import RowDistance
from matgen.lift.sentences import Sentences
from matgen.runtime.progress import ProgressFactory, silent

TARGET = "y"
"""What the target is called where y has no name."""
_TARGET_ROUNDING = 0.002
"""Largest step between the numbers that a regression can answer, in standard deviations."""
_Z90 = 1.2815515655446004
"""Of the standard normal distribution, the 90 % quantile."""


class TableError(DataError, ValueError):
    """X or y has a shape or content that no estimator takes: a `ValueError`, as scikit-learn raises it, in one line."""


class _LiftEstimator(BaseEstimator):
    """What classifier and regressor share: from X and y to a training_set, and from X to queries."""

    def __init__(
        self,
        backend: str = "scratch",
        *,
        model: str | None = None,
        template: str = "named",
        formulas_as: str = "text",
        units: Mapping[str, str] | None = None,
        precision: Mapping[str, int] | None = None,
        kinds: Mapping[str, str] | None = None,
        retrieval: int = 0,
        pretext: int = 0,
        noise: float | None = None,
        mixup: float | None = None,
        backend_options: Mapping[str, Any] | None = None,
        held_out: float | None = None,
        random_state: int = 0,
    ) -> None:
        self.backend = backend
        self.model = model
        self.template = template
        self.formulas_as = formulas_as
        self.units = units
        self.precision = precision
        self.kinds = kinds
        self.retrieval = retrieval
        self.pretext = pretext
        self.noise = noise
        self.mixup = mixup
        self.backend_options = backend_options
        self.held_out = held_out
        self.random_state = random_state

    feature_names_: list[str]
    n_features_in_: int
    store_: pd.DataFrame | None
    sentences_: Sentences

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.non_deterministic = False
        return tags

    # --- learning ------------------------------------------------------------------------------------------------

    def _fit(
        self,
        X: Any,
        y: Any,
        validation: tuple[Any, Any] | None,
        folder: Path | str | None,
        resume: bool,
        progress: ProgressFactory,
    ) -> None:
        frame = self._frame(X, fitting=True)
        target = _target_name(y, frame)
        answers = self._answers(y, len(frame))
        valid, held_out = None, None
        if validation is not None:
            valid = self._frame(validation[0]), self._answers(validation[1], None, seen=False)
        elif self._share_held_out():
            train, kept = self._split(answers)
            if len(kept):
                valid = frame.iloc[kept].reset_index(drop=True), [answers[i] for i in kept]
                frame, answers = frame.iloc[train].reset_index(drop=True), [answers[i] for i in train]
        self.sentences_ = self._sentences(frame, target, answers)
        train_rows = self._rows(frame, answers)
        if valid is not None:
            held_out = self._rows(*valid)
        self._learn(train_rows, held_out, folder, resume, progress)
        self._calibrate(held_out)

    def _sentences(self, frame: pd.DataFrame, target: str, answers: list[Any]) -> Sentences:
        columns = describe(
            frame, units=_without(self.units, target), precision=_without(self.precision, target), kinds=self.kinds
        )
        asked = self._target_column(target, answers)
        return Sentences(tuple(columns), asked, self.template, self.formulas_as, self.random_state)

    def _learn(
        self,
        train: pd.DataFrame,
        held_out: pd.DataFrame | None,
        folder: Path | str | None,
        resume: bool,
        progress: ProgressFactory,
    ) -> None:
        if self.backend != "scratch" and (self.noise or self.mixup):
            train = augmented(
                train, self.sentences_, noise=self.noise or 0.0, mixup=self.mixup or 0.0, seed=self.random_state
            )
        self.backend_: Backend = make_backend(self.backend, **self._backend_options())
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
        where = Path(folder) if folder is not None else None
        self.backend_.fit(training_set, seed=self.random_state, folder=where, resume=resume, progress=progress)
        self.n_parameters_ = self.backend_.n_parameters

    def _backend_options(self) -> dict[str, Any]:
        """Options of the backend, with those of the estimator that are its too."""
        options = dict(self.backend_options or {})
        if self.backend == "scratch":  # which disturbs its rows anew at every step
            options |= {k: v for k, v in (("noise", self.noise), ("mixup", self.mixup)) if v is not None}
        return options if self.model is None else options | {"model": self.model}

    def update(self, X: Any, y: Any, *, forget: bool = False) -> Any:
        """Put further rows with their answers among those that prompts are filled from, without any training.

        Args:
            X: `n` rows.
            y: their answers.
            forget: leave the earlier rows out from now on, where what they say no longer holds.

        Raises:
            OptionError: the estimator was fitted without retrieval.
        """
        check_is_fitted(self)
        if self.store_ is None:
            raise OptionError("only an estimator fitted with retrieval can be updated: give it retrieval=4, say")
        frame = self._frame(X)
        more = self._rows(frame, self._answers(y, len(frame), seen=False))
        self.store_ = more if forget else pd.concat([self.store_, more], ignore_index=True)
        return self

    # --- rows ----------------------------------------------------------------------------------------------------

    def _frame(self, X: Any, *, fitting: bool = False) -> pd.DataFrame:
        """X as a table. Columns of a table are found by name; arrays must have as many columns as were fitted on."""
        if isinstance(X, pd.DataFrame):
            frame = X.reset_index(drop=True)
            frame.columns = [str(name) for name in frame.columns]
        else:
            if hasattr(X, "toarray"):
                raise TypeError("sparse data is not supported: X must be dense, use X.toarray()")
            array = np.asarray(X)
            if array.ndim != 2:
                raise TableError(
                    f"Expected 2D array, got {array.ndim}D array instead. Reshape your data: (rows, columns)"
                )
            if np.iscomplexobj(array):
                raise TableError("Complex data not supported")
            names = [f"x{i + 1}" for i in range(array.shape[1])]
            if not fitting and list(self.feature_names_) != names and len(self.feature_names_) == array.shape[1]:
                names = list(self.feature_names_)
            frame = pd.DataFrame(array, columns=names)
            if array.dtype == object:
                frame = frame.infer_objects()
        if not len(frame) or not frame.shape[1]:
            kind = "sample" if not len(frame) else "feature"
            raise TableError(f"Found array with 0 {kind}(s) (shape={frame.shape}) while a minimum of 1 is required.")
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

    def _rows(self, frame: pd.DataFrame, answers: list[Any] | None = None) -> pd.DataFrame:
        rows = typed(frame, self.sentences_.columns, where="X")
        if answers is not None:
            assert self.sentences_.target is not None
            numeric = self.sentences_.target.kind == "number"
            rows[self.sentences_.target.name] = pd.Series(answers, dtype=np.float64 if numeric else object)
        return rows

    def _questions(self, X: Any) -> Queries:
        check_is_fitted(self)
        rows = self._rows(self._frame(X))
        if self.store_ is None:
            return Queries(rows)
        distance = RowDistance(self.sentences_.columns, self.store_)
        return Queries(rows, self.store_, distance.nearest(rows, self.store_, self.retrieval))

    def raw_parse_rate(self, X: Any, seed: int = 0) -> float:
        """Share of rows to which the model writes, when nothing constrains it, a readable answer (one draw a row)."""
        written = self.backend_.complete(self._questions(X), seed=seed)
        return float(np.mean([self._readable(text) for text in written]))

    def _readable(self, text: str) -> bool:
        try:
            self.sentences_.parse_completion(text)
        except DataError:
            return False
        return True

    def show(self, X: Any, y: Any = None) -> list[str]:
        """The sentences that rows become; with `y` their answers too. Not fitted, X and y are what is described."""
        if not hasattr(self, "sentences_"):
            return clone(self)._described(X, y).show(X, y)
        frame = self._frame(X)
        if y is None:
            return self.sentences_.prompts(self._rows(frame))
        return self.sentences_.sentences(self._rows(frame, self._answers(y, len(frame), seen=False)))

    def _described(self, X: Any, y: Any) -> Any:
        """The estimator with what it needs to write sentences, and no model."""
        if isinstance(self, ClassifierMixin):
            self.classes_ = np.unique(_present(y))
        frame = self._frame(X, fitting=True)
        self.sentences_ = self._sentences(frame, _target_name(y, frame), self._answers(y, len(frame)))
        return self

    def _split(self, answers: list[Any]) -> tuple[np.ndarray, np.ndarray]:
        """Rows to learn from and rows held out."""
        n = len(answers)
        order = np.random.default_rng(self.random_state).permutation(n)
        kept = round(self._share_held_out() * n)
        return np.sort(order[kept:]), np.sort(order[:kept])

    def _share_held_out(self) -> float:
        raise NotImplementedError

    def _answers(self, y: Any, n: int | None, *, seen: bool = True) -> list[Any]:
        raise NotImplementedError

    def _target_column(self, name: str, answers: list[Any]) -> Column:
        raise NotImplementedError

    def _calibrate(self, held_out: pd.DataFrame | None) -> None:
        raise NotImplementedError


class LiftClassifier(ClassifierMixin, _LiftEstimator):
    """Classification by a language model that scores every label.

    Args:
        backend: `scratch` (a small model trained from nothing), `smollm2` (pre-trained, extra `lift`) or `path`.
        model: of the backend `path`, a folder or Hub id of a causal language model.
        template: `named`, `x1`, `shuffled`, or a text of your own with `{column}` in it.
        formulas_as: formulas as `text`, element `fractions`, or `both`.
        units: of columns, written after their values.
        precision: decimals of columns, where those found are not wanted.
        kinds: of columns (`number`, `category`, `text`, `formula`), where those found are not meant.
        retrieval: how many near rows stand in each prompt with their answers.
        pretext: how many synthetic tasks of the same columns are learned first (two-stage fine-tuning).
        noise: on numbers, in standard deviations, as augmentation; None leaves the backend's own.
        mixup: share taken from a near row of the same label at most, as augmentation.
        backend_options: of the backend (`ScratchOptions`, `PretrainedBackend`).
        held_out: share of the rows kept to choose weights by, where no validation rows are given; None keeps none.
        random_state: of first weights, order and noise.

    Attributes:
        classes_: the labels, sorted, as they were given.
        sentences_: how rows are written.
        n_parameters_: weights that were trained.
    """

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        validation: tuple[Any, Any] | None = None,
        folder: Path | str | None = None,
        resume: bool = False,
        progress: ProgressFactory = silent,
    ) -> LiftClassifier:
        """Learn.

        Args:
            X: `n` rows, a table or an array.
            y: their labels.
            validation: rows and labels to choose weights by.
            folder: where a killed run leaves what it needs to go on.
            resume: go on with what is in `folder`.
            progress: counts the steps.

        Raises:
            DataError: a missing label, one label only, a validation label never learned, unreadable columns.
            OptionError: a template, unit or option that does not fit, or sentences longer than the model reads.
        """
        try:
            check_classification_targets(_present(y))
        except ValueError as error:
            raise TableError(first_line(error)) from error
        self.classes_ = np.unique(_present(y))
        self._fit(X, y, validation, folder, resume, progress)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the labels in the order of `classes_`, float64 `(n, labels)`."""
        queries = self._questions(X)
        said = np.exp(self.backend_.label_log_probabilities(queries))
        assert self.sentences_.target is not None
        order = [self.sentences_.target.values.index(text) for text in self._texts(self.classes_)]
        return said[:, order]

    def predict(self, X: Any) -> np.ndarray:
        """The most probable label of each row, `(n,)`."""
        chances = self.predict_proba(X)
        return self.classes_[chances.argmax(axis=1)]

    def _share_held_out(self) -> float:
        return self.held_out or 0.0

    def _texts(self, labels: Any) -> list[str]:
        return [str(text) for text in as_texts(pd.Series(labels))]

    def _answers(self, y: Any, n: int | None, *, seen: bool = True) -> list[Any]:
        texts = as_texts(pd.Series(_vector(y, n)))
        if None in texts:
            raise TableError(f"row {texts.index(None) + 1} has no label (Input y contains NaN): drop such rows")
        known = set(self._texts(self.classes_))
        if len(known) < len(self.classes_):
            raise DataError("two labels are written alike (1 and '1'): make them differ")
        if len(known) < 2:
            raise TableError(
                f"y has one class only, {next(iter(known))!r}: a classifier needs two classes or more (1 class given)"
            )
        unseen = next((i for i, text in enumerate(texts) if text not in known), None)
        if unseen is not None:
            raise DataError(f"row {unseen + 1}: the label {texts[unseen]!r} is none of those learned from")
        return list(texts)

    def _target_column(self, name: str, answers: list[Any]) -> Column:
        values = tuple(sorted(set(self._texts(self.classes_))))
        return Column(name, "category", _unit(self.units, name), values=values)

    def _calibrate(self, held_out: pd.DataFrame | None) -> None:
        return None


class LiftRegressor(RegressorMixin, _LiftEstimator):
    """Regression by a language model that writes numbers under a grammar.

    Every answer is a number within the range learned from, widened by a tenth. The prediction is the median of what
    the model would write; intervals are conformal, calibrated on rows that nothing was learned from.

    Args:
        backend, model, template, formulas_as, units, precision, kinds, retrieval, pretext, noise, mixup,
        backend_options, random_state: as of `LiftClassifier`; `units` and `precision` may name the target too.
        held_out: share of the rows kept to calibrate (and choose weights) by, where no validation rows are given.
        samples: numbers drawn for each row, whose quantiles count; 0 computes them exactly where the backend can.

    Attributes:
        sentences_: how rows are written.
        rounding_floor_: mean absolute error of writing the answers with the decimals chosen, in units of the target.
        n_parameters_: weights that were trained.
    """

    def __init__(
        self,
        backend: str = "scratch",
        *,
        model: str | None = None,
        template: str = "named",
        formulas_as: str = "text",
        units: Mapping[str, str] | None = None,
        precision: Mapping[str, int] | None = None,
        kinds: Mapping[str, str] | None = None,
        retrieval: int = 0,
        pretext: int = 0,
        noise: float | None = None,
        mixup: float | None = None,
        backend_options: Mapping[str, Any] | None = None,
        held_out: float | None = 0.2,
        samples: int = 0,
        random_state: int = 0,
    ) -> None:
        super().__init__(
            backend,
            model=model,
            template=template,
            formulas_as=formulas_as,
            units=units,
            precision=precision,
            kinds=kinds,
            retrieval=retrieval,
            pretext=pretext,
            noise=noise,
            mixup=mixup,
            backend_options=backend_options,
            held_out=held_out,
            random_state=random_state,
        )
        self.samples = samples

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        validation: tuple[Any, Any] | None = None,
        folder: Path | str | None = None,
        resume: bool = False,
        progress: ProgressFactory = silent,
    ) -> LiftRegressor:
        """Learn; see `LiftClassifier.fit`.

        Raises:
            DataError: an answer that is missing or no finite number, or columns that cannot be read.
            OptionError: a template, unit or option that does not fit, or sentences longer than the model reads.
        """
        self._fit(X, y, validation, folder, resume, progress)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The median of what the model would answer, float64 `(n,)`."""
        return self.predict_quantiles(X, [0.5])[:, 0]

    def predict_quantiles(self, X: Any, shares: Any = (0.1, 0.5, 0.9)) -> np.ndarray:
        """Quantiles of what the model would answer, not calibrated, float64 `(n, shares)`."""
        return self._quantiles(self._questions(X), np.asarray(shares, dtype=np.float64))

    def predict_interval(self, X: Any, confidence: float = 0.8) -> np.ndarray:
        """Conformal bounds about the median that hold the truth with a probability, float64 `(n, 2)`.

        They are infinite where too few rows were held out, or none.
        """
        low, middle, high = self._quantiles(self._questions(X), np.array([0.1, 0.5, 0.9])).T
        return self.calibration_.intervals(middle, self._spread(low, high), confidence)

    def _quantiles(self, queries: Queries, shares: np.ndarray) -> np.ndarray:
        return self.backend_.number_quantiles(queries, shares, samples=self.samples, seed=self.random_state)

    def _spread(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        assert self.sentences_.target is not None
        return np.maximum((high - low) / (2 * _Z90), 0.01 * self.sentences_.target.spread)

    def _share_held_out(self) -> float:
        return self.held_out or 0.0

    def _answers(self, y: Any, n: int | None, *, seen: bool = True) -> list[Any]:
        vector = _vector(y, n)
        if np.iscomplexobj(vector):
            raise TableError("Complex data not supported")
        numbers = pd.to_numeric(pd.Series(vector), errors="coerce").to_numpy(np.float64)
        bad = np.flatnonzero(~np.isfinite(numbers))
        if len(bad):
            raise TableError(
                f"row {bad[0] + 1}: {vector[bad[0]]!r} is no answer: Input y contains NaN, infinity or text"
            )
        return numbers.tolist()

    def _target_column(self, name: str, answers: list[Any]) -> Column:
        numbers = np.array(answers)
        decimals = (self.precision or {}).get(name)
        written = number_format(numbers, decimals, _TARGET_ROUNDING)
        self.rounding_floor_ = float(np.mean([abs(number - written.rounded(number)) for number in answers]))
        (column,) = describe(pd.DataFrame({name: numbers}), units={name: _unit(self.units, name)})
        return dataclasses.replace(column, format=written)

    def _calibrate(self, held_out: pd.DataFrame | None) -> None:
        from matgen.prediction.uncertainty import Calibration

        self.calibration_ = Calibration(np.zeros(0))
        if held_out is None or not len(held_out):
            return
        assert self.sentences_.target is not None
        store = self.store_
        near = None
        if store is not None:
            near = RowDistance(self.sentences_.columns, store).nearest(held_out, store, self.retrieval)
        low, middle, high = self._quantiles(Queries(held_out, store, near), np.array([0.1, 0.5, 0.9])).T
        truth = held_out[self.sentences_.target.name].to_numpy(np.float64)
        self.calibration_ = Calibration.of(truth - middle, self._spread(low, high))


def _vector(y: Any, n: int | None) -> np.ndarray:
    """Answers as an array `(n,)`.

    Raises:
        ValueError: they have another shape, or are not as many as the rows.
    """
    vector = np.asarray(y)
    if vector.ndim == 2 and vector.shape[1] == 1:
        from sklearn.utils.validation import column_or_1d

        vector = column_or_1d(vector, warn=True)
    if vector.ndim != 1:
        raise TableError(f"y should be a 1d array, got an array of shape {vector.shape} instead.")
    if n is not None and len(vector) != n:
        raise TableError(f"Found input variables with inconsistent numbers of samples: [{n}, {len(vector)}]")
    return vector


def _present(y: Any) -> np.ndarray:
    """Labels that are not missing."""
    if y is None:
        raise TableError("requires y to be passed, but the target y is None")
    vector = _vector(y, None)
    return vector[~pd.isna(vector)]


def _target_name(y: Any, frame: pd.DataFrame) -> str:
    """What the answers are called: as the series they come in, or `y`, and never as a column."""
    name = getattr(y, "name", None)
    name = str(name) if name not in (None, "") else TARGET
    while name in frame.columns:
        name += "_"
    return name


def _without(option: Mapping[str, Any] | None, target: str) -> dict[str, Any]:
    return {name: value for name, value in (option or {}).items() if name != target}


def _unit(units: Mapping[str, str] | None, name: str) -> str:
    return (units or {}).get(name, "")
