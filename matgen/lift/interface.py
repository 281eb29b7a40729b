"""The interface of the language models behind LIFT: what they are trained on, and what they predict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from matgen.lift.sentences import Sentences
    from matgen.runtime.progress import ProgressFactory


@dataclass(frozen=True)
class TrainingSet:
    """What a backend is trained on: sentences and rows.

    Attributes:
        sentences: how rows are written; they name the columns and the target.
        train: rows as `typed` returns them, the target among the columns.
        valid: rows to stop by and to choose weights by; None trains to the end of the schedule.
        examples: of each training row, the rows (int64 `(n, k)`, of `train`) that stand in its prompt before it, most
            distant first; None puts none there.
        valid_examples: of each validation row likewise, rows of `train`.
        stages: rows of pretext tasks of the same columns, trained on first, in order.
    """

    sentences: Sentences
    train: pd.DataFrame
    valid: pd.DataFrame | None = None
    examples: np.ndarray | None = None
    valid_examples: np.ndarray | None = None
    stages: tuple[pd.DataFrame, ...] = ()


@dataclass(frozen=True)
class Queries:
    """Rows to predict for.

    Attributes:
        frame: `n` rows as `typed` returns them; a target column is ignored.
        store: rows with targets that `examples` refers to; None where prompts hold none.
        examples: int64 `(n, k)`, rows of `store` that stand in each prompt, most distant first; None puts none there.
    """

    frame: pd.DataFrame
    store: pd.DataFrame | None = None
    examples: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.frame)


class Backend(Protocol):
    """A language model that is trained on sentences and completes them.

    Predictions are of the training set's target: labels in the order of its `values`, numbers in its units.
    """

    @property
    def n_parameters(self) -> int:
        """Number of trained weights."""

    def fit(
        self, training_set: TrainingSet, *, seed: int, folder: Path | None, resume: bool, progress: ProgressFactory
    ) -> None:
        """Train. What an interrupted run needs to go on is in `folder` (None keeps nothing).

        Raises:
            OptionError: a sentence is longer than what the model reads; the message gives both lengths.
        """

    def label_log_probabilities(self, queries: Queries) -> np.ndarray:
        """Log-probability of every allowed label, float64 `(n, labels)`, normalized over them."""

    def number_quantiles(self, queries: Queries, quantiles: np.ndarray, *, samples: int, seed: int) -> np.ndarray:
        """Quantiles of the numbers that the model would write, float64 `(n, q)`, for `q` fractions from 0 to 1.

        All are within the target's padded range. With `samples` of 0 they are exact where the backend can, else those
        of so many samples under the number grammar.
        """

    def complete(self, queries: Queries, *, seed: int) -> list[str]:
        """What the unconstrained model writes, one sample a row, up to the end mark."""

    def save(self, folder: Path) -> None:
        """Write weights and settings into a folder."""

    def load(self, folder: Path, sentences: Sentences) -> None:
        """Read what `save` wrote."""
