"""Several target columns of one table: how their cells are read, and how answers for them are given back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from matgen.datasets.column_types import as_texts
from matgen.errors import DataError, OptionError, unknown_name
from matgen.lift.columns import Column
from matgen.lift.estimators.classifier import LiftClassifier
from matgen.lift.estimators.inputs import TableError
from matgen.lift.estimators.intervals import bounds_of, calibration_of
from matgen.lift.estimators.regressor import LiftRegressor
from matgen.lift.estimators.tasks import TASKS, task_of
from matgen.prediction.uncertainty import Calibration


class Targets:
    """Targets in the order in which they are answered.

    Args:
        columns: what they are.
        classes: of those that are labels by name, the labels, sorted, with the type they were given in.
        calibrations: of those that are numbers by name, errors on rows that were held out.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        classes: Mapping[str, np.ndarray],
        calibrations: Mapping[str, Calibration] | None = None,
    ) -> None:
        self.columns, self.classes = list(columns), dict(classes)
        none = {column.name: Calibration(np.zeros(0)) for column in columns if column.type == "number"}
        self.calibrations = none | dict(calibrations or {})

    @classmethod
    def described(
        cls,
        y: pd.DataFrame,
        tasks: Mapping[str, str],
        units: Mapping[str, str] | None = None,
        precision: Mapping[str, int] | None = None,
    ) -> Targets:
        """Describe targets by their cells that are not empty.

        Raises:
            DataError: a target without a value or with one label only, or a cell that cannot be read.
            OptionError: a task for what is no target, or an unknown one.
        """
        for name in tasks:
            if name not in y.columns:
                raise OptionError(f"there is no target {name!r}; the targets are {', '.join(y.columns)}")
        columns, classes = [], {}
        for name in y.columns:
            present = y[name][is_there(y[name])].reset_index(drop=True).infer_objects()
            if not len(present):
                raise DataError(f"no row has a value in the target {name!r}")
            task = tasks.get(name) or task_of(present)
            if task not in TASKS:
                raise unknown_name("task", task, TASKS)
            with _naming(name):
                reader: Any = (LiftClassifier if task == "classification" else LiftRegressor)(
                    units=units, precision=precision
                )
                reader._inspect(present)
                columns.append(reader._target_column(name, reader._targets(present, len(present))))
            if task == "classification":
                classes[name] = reader.classes_
        return cls(columns, classes)

    @property
    def names(self) -> list[str]:
        """Names of the targets."""
        return [column.name for column in self.columns]

    def read(self, y: pd.DataFrame) -> dict[str, pd.Series]:
        """Cells of those targets that `y` has, as `typed` returns them: float64 or text, empty ones nan or None.

        Raises:
            DataError: a cell is no number, or a label that was not learned from.
        """
        return {column.name: self._read(column, y[column.name]) for column in self.columns if column.name in y.columns}

    def _read(self, column: Column, cells: pd.Series) -> pd.Series:
        there = is_there(cells)
        kept = cells[there].reset_index(drop=True).infer_objects()
        numeric = column.type == "number"
        out = pd.Series([np.nan if numeric else None] * len(cells), dtype=np.float64 if numeric else object)
        if len(kept):
            with _naming(column.name):
                out[there] = self._reader(column)._targets(kept, len(kept))
        return out

    def _reader(self, column: Column) -> Any:
        if column.type == "number":
            return LiftRegressor()
        reader = LiftClassifier()
        reader.classes_ = self.classes[column.name]
        return reader

    def calibrate(self, truth: pd.DataFrame, answers: Mapping[str, np.ndarray]) -> None:
        """Compare answers for rows that were held out with their targets."""
        for column in self.columns:
            if column.type == "number":
                numbers = truth[column.name].to_numpy(np.float64)
                self.calibrations[column.name] = calibration_of(column, numbers, answers[column.name])

    def in_order_of_classes(self, answers: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Answers with probabilities in the order of the classes; those of the column are sorted as texts."""
        ordered = dict(answers)
        for column in self.columns:
            if column.name in answers and column.name in self.classes:
                order = [column.values.index(str(text)) for text in as_texts(pd.Series(self.classes[column.name]))]
                ordered[column.name] = answers[column.name][:, order]
        return ordered

    def predicted(self, answers: Mapping[str, np.ndarray]) -> pd.DataFrame:
        """The most probable labels and the medians, from probabilities `(n, labels)` and `QUANTILES` `(n, 3)`."""
        return pd.DataFrame(
            {
                name: self.classes[name][own.argmax(axis=1)] if name in self.classes else own[:, 1]
                for name, own in answers.items()
            }
        )

    def as_table(self, answers: Mapping[str, np.ndarray], confidence: float) -> pd.DataFrame:
        """`<target>_predicted` of each target answered, with its probabilities or its conformal interval."""
        predicted, out = self.predicted(answers), {}
        for column in self.columns:
            name = column.name
            if name not in answers:
                continue
            out[f"{name}_predicted"] = predicted[name].to_numpy()
            if name in self.classes:
                chances = answers[name].T
                out |= {
                    f"{name}_probability_{label}": own for label, own in zip(self.classes[name], chances, strict=True)
                }
            else:
                bounds = bounds_of(self.calibrations[name], column, answers[name], confidence)
                out |= {f"{name}_low": bounds[:, 0], f"{name}_high": bounds[:, 1]}
        return pd.DataFrame(out)

    def given_back(self, drawn: pd.DataFrame) -> pd.DataFrame:
        """Typed targets, none missing, with labels of the type they were given in."""
        out = drawn.copy()
        for name, classes in self.classes.items():
            labels = dict(zip(as_texts(pd.Series(classes)), classes, strict=True))
            out[name] = np.array([labels[cell] for cell in drawn[name]], dtype=classes.dtype)
        return out


def as_targets(y: Any, names: Sequence[str] | None = None) -> pd.DataFrame:
    """Targets as a table with its names as text and its rows numbered from 0.

    Args:
        y: a table, or an array `(n, targets)`; a table may have other columns too where names are given.
        names: those of the targets that are known already; of an array y1, y2 ... otherwise.

    Raises:
        TableError: an array of another shape, or no targets.
        DataError: two targets of one name, or one that is not there.
    """
    if isinstance(y, pd.Series):
        y = y.to_frame(y.name if y.name not in (None, "") else "y")
    if isinstance(y, pd.DataFrame):
        frame = y.reset_index(drop=True)
        frame.columns = [str(name) for name in frame.columns]
        for name in names or ():
            if name not in frame.columns:
                raise DataError(f"y has no column {name!r}; it has {', '.join(frame.columns[:20])}")
        frame = frame[list(names)] if names else frame
    else:
        array = np.asarray(y)
        if array.ndim != 2 or (names is not None and array.shape[1] != len(names)):
            expected = "(rows, targets)" if names is None else f"(rows, {len(names)})"
            raise TableError(f"y has the shape {array.shape}, it must be {expected}")
        frame = pd.DataFrame(array, columns=list(names or [f"y{i + 1}" for i in range(array.shape[1])])).infer_objects()
    if not frame.shape[1]:
        raise TableError("y has no column: give at least one target")
    if frame.columns.has_duplicates:
        raise DataError(f"y has more than one column {frame.columns[frame.columns.duplicated()][0]!r}: rename one")
    return frame


def is_there(cells: pd.Series) -> np.ndarray:
    """Which cells are not empty, bool `(n,)`."""
    return (cells.notna() & (cells.astype(str).str.strip() != "")).to_numpy()


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Errors within say which target they are about."""
    try:
        yield
    except DataError as error:
        raise TableError(f"target {name!r}, of the rows with a value: {error}") from error
