"""Classification: the language model scores every label as completion of a row's sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets

from matgen.datasets.column_types import as_texts
from matgen.errors import DataError, first_line
from matgen.lift.columns import Column
from matgen.lift.estimators.base import LiftEstimator
from matgen.lift.estimators.inputs import TableError, as_vector
from matgen.runtime.progress import ProgressFactory, silent


class LiftClassifier(ClassifierMixin, LiftEstimator):
    """Classification by a language model that scores every label.

    Args:
        backend: `scratch` (a small model trained from scratch), `smollm2` (pre-trained, extra `lift`) or `path`.
        model: of the backend `path`, a folder or Hub id of a causal language model.
        template: `named`, `x1`, `shuffled`, or a text of your own with `{column}` in it.
        formulas_as: formulas as `text`, element `fractions`, or `both`.
        units: of columns, written after their values.
        precision: decimals of columns, instead of those that keep the information of a column.
        column_types: of columns (`number`, `category`, `text`, `formula`), instead of the inferred ones.
        retrieval: number of similar training rows, with their targets, in each prompt.
        pretext: number of synthetic tasks of the same columns that are trained on first (two-stage fine-tuning).
        noise: on numbers, in standard deviations, as augmentation; None for the backend's default.
        mixup: largest weight of another row of the same label, as augmentation.
        backend_options: of the backend (`ScratchOptions`, `PretrainedBackend`).
        held_out: fraction of the rows kept to choose weights by, where no validation rows are given; None keeps none.
        random_state: seed of initial weights, order and noise.
        kinds: former name of `column_types`, until 0.4.

    Attributes:
        classes_: the labels, sorted, with the type they were given in.
        sentences_: how rows are written.
        n_parameters_: number of trained weights.
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
        """Train.

        Args:
            X: `n` rows, a table or an array.
            y: their labels.
            validation: rows and labels to choose weights by.
            folder: where an interrupted run leaves what it needs to go on.
            resume: resume what is in `folder`.
            progress: counts the steps.

        Raises:
            DataError: a missing label, one label only, a validation label that no training row has, unreadable columns.
            OptionError: a template, unit or option that does not fit, or sentences longer than the model reads.
        """
        self._fit(X, y, validation, folder, resume, progress)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the labels in the order of `classes_`, float64 `(n, labels)`."""
        queries = self._queries(X)
        probabilities = np.exp(self.backend_.label_log_probabilities(queries))
        assert self.sentences_.target is not None
        # The backend has labels sorted as texts, `classes_` has numbers sorted as numbers.
        order = [self.sentences_.target.values.index(text) for text in self._texts(self.classes_)]
        return probabilities[:, order]

    def predict(self, X: Any) -> np.ndarray:
        """The most probable label of each row, `(n,)`."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def _texts(self, labels: Any) -> list[str]:
        return [str(text) for text in as_texts(pd.Series(labels))]

    def _inspect(self, y: Any) -> None:
        labels = as_vector(y)
        labels = labels[~pd.isna(labels)]
        try:
            check_classification_targets(labels)
        except ValueError as error:
            raise TableError(first_line(error)) from error
        self.classes_ = np.unique(labels)

    def _targets(self, y: Any, n: int | None) -> list[Any]:
        texts = as_texts(pd.Series(as_vector(y, n)))
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

    def _target_column(self, name: str, targets: list[Any]) -> Column:
        values = tuple(sorted(set(self._texts(self.classes_))))
        return Column(name, "category", (self.units or {}).get(name, ""), values=values)
