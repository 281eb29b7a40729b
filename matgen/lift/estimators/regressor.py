"""Regression: the language model writes numbers under a grammar, and intervals are calibrated on held-out rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import RegressorMixin

from matgen.lift.cells import DATES, mostly_numbers, source_of
from matgen.lift.columns import Column, as_numbers, describe
from matgen.lift.estimators.base import LiftEstimator
from matgen.lift.estimators.inputs import TableError, as_vector, renamed_argument
from matgen.lift.estimators.intervals import QUANTILES, bounds_of, calibration_of
from matgen.lift.number_format import number_format
from matgen.runtime.progress import ProgressFactory, silent

if TYPE_CHECKING:
    from matgen.lift.interface import Queries

_TARGET_ROUNDING = 0.002
"""Largest step between the numbers that a regression can predict, in standard deviations."""


class LiftRegressor(RegressorMixin, LiftEstimator):
    """Regression by a language model that writes numbers under a grammar.

    Every prediction is a number within the training range, widened by a tenth: the median of the numbers that the model
    would write. Intervals are conformal, calibrated on rows that were not trained on.

    Args:
        backend, model, template, formulas_as, units, precision, column_types, retrieval, pretext, noise, mixup,
        backend_options, random_state, kinds: as of `LiftClassifier`; `units` and `precision` may name the target too.
        held_out: fraction of the rows kept to calibrate (and choose weights) by, where no validation rows are given.
        samples: numbers sampled for each row to estimate quantiles; 0 computes them exactly where the backend can.

    Attributes:
        sentences_: how rows are written.
        rounding_floor_: mean absolute error of writing the targets with the chosen decimals, in units of the target.
        n_parameters_: number of trained weights.
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
        column_types: Mapping[str, str] | None = None,
        retrieval: int = 0,
        pretext: int = 0,
        noise: float | None = None,
        mixup: float | None = None,
        backend_options: Mapping[str, Any] | None = None,
        held_out: float | None = 0.2,
        samples: int = 0,
        random_state: int = 0,
        kinds: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            backend,
            model=model,
            template=template,
            formulas_as=formulas_as,
            units=units,
            precision=precision,
            column_types=column_types,
            retrieval=retrieval,
            pretext=pretext,
            noise=noise,
            mixup=mixup,
            backend_options=backend_options,
            held_out=held_out,
            random_state=random_state,
            kinds=kinds,
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
        """Train; see `LiftClassifier.fit`.

        Raises:
            DataError: a target that is missing or no finite number, or columns that cannot be read.
            OptionError: a template, unit or option that does not fit, or sentences longer than the model reads.
        """
        self._fit(X, y, validation, folder, resume, progress)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The median of the numbers that the model would write, float64 `(n,)`."""
        return self.predict_quantiles(X, [0.5])[:, 0]

    def predict_quantiles(self, X: Any, quantiles: Any = (0.1, 0.5, 0.9), *, shares: Any = None) -> np.ndarray:
        """Quantiles of the numbers that the model would write, not calibrated.

        Args:
            X: `n` rows.
            quantiles: `q` numbers from 0 to 1.
            shares: former name of `quantiles`, until 0.4.

        Returns:
            float64 `(n, q)`, in units of the target.
        """
        quantiles = renamed_argument("quantiles", quantiles, "shares", shares)
        return self._quantiles(self._queries(X), np.asarray(quantiles, dtype=np.float64))

    def predict_interval(self, X: Any, confidence: float = 0.8) -> np.ndarray:
        """Conformal bounds about the median that hold the target with a probability, float64 `(n, 2)`.

        They are infinite where too few rows were held out, or none.
        """
        quantiles = self._quantiles(self._queries(X, tell=False), QUANTILES)  # `predict` tells
        assert self.sentences_.target is not None
        return bounds_of(self.calibration_, self.sentences_.target, quantiles, confidence)

    def _quantiles(self, queries: Queries, quantiles: np.ndarray) -> np.ndarray:
        return self.backend_.number_quantiles(queries, quantiles, samples=self.samples, seed=self.random_state)

    def _targets(self, y: Any, n: int | None) -> list[Any]:
        vector = as_vector(y, n)
        if np.iscomplexobj(vector):
            raise TableError("Complex data not supported")
        cells = pd.Series(vector)
        if source_of(cells) in DATES:
            raise TableError(f"row 1: {vector[0]!r} is a date or duration: give numbers, such as days")
        numbers = as_numbers(cells)
        bad = np.flatnonzero(~np.isfinite(numbers if numbers is not None else np.zeros(0)))
        if numbers is None or len(bad):
            row = int(bad[0]) if len(bad) else (mostly_numbers(cells) or (0, ""))[0]
            shown = str(vector[row]) if isinstance(vector[row], str) else vector[row]
            raise TableError(f"row {row + 1}: {shown!r} is not a finite number: Input y contains NaN, infinity or text")
        return numbers.tolist()

    def _target_column(self, name: str, targets: list[Any]) -> Column:
        numbers = np.array(targets)
        written = number_format(numbers, (self.precision or {}).get(name), _TARGET_ROUNDING)
        self.rounding_floor_ = float(np.mean([abs(number - written.rounded(number)) for number in targets]))
        (column,) = describe(pd.DataFrame({name: numbers}), units={name: (self.units or {}).get(name, "")})
        return dataclasses.replace(column, format=written)

    def _calibrate(self, held_out: pd.DataFrame | None) -> None:
        from matgen.prediction.uncertainty import Calibration

        self.calibration_ = Calibration(np.zeros(0))
        if held_out is None or not len(held_out):
            return
        assert self.sentences_.target is not None
        quantiles = self._quantiles(self._queries_of_rows(held_out), QUANTILES)
        truth = held_out[self.sentences_.target.name].to_numpy(np.float64)
        self.calibration_ = calibration_of(self.sentences_.target, truth, quantiles)
