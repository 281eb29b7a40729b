"""Why a model predicts what it does: the effect of each column, and the explanation that a pre-trained model writes.

The first is measured: the probability of the label when a column's cell is left out (occlusion: Zeiler and Fergus,
ECCV 2014). The second is a text of a small language model; it is worth what such a text is worth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from matgen.errors import OptionError
from matgen.lift.backends import backend_kind
from matgen.lift.interface import Queries

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Explanation:
    """Why one row gets its prediction.

    Attributes:
        answer: the prediction.
        effects: by column, how much the probability of the label (or the number) falls without its cell, largest first.
        words: what a pre-trained model writes; empty for a model that knows no language.
    """

    answer: Any
    effects: dict[str, float]
    words: str

    def __str__(self) -> str:
        lines = [f"  {self.answer}"]
        lines += [f"  without {name}: {-effect:+.3f}" for name, effect in self.effects.items()]
        return "\n".join([*lines, *([f"  in words: {self.words}"] if self.words else [])])


def explain(estimator: Any, X: pd.DataFrame, *, words: bool | None = None) -> Explanation:
    """Explain the prediction for one row.

    Args:
        estimator: a fitted `LiftClassifier` or `LiftRegressor`.
        X: the row, a table of one.
        words: let the model write an explanation too; None where it knows language.

    Raises:
        OptionError: `words` of a model trained from scratch, or more than one row.
    """
    if len(X) != 1:
        raise OptionError(f"one row is explained at a time, {len(X)} are given")
    knows_language = backend_kind(estimator.backend).knows_language
    if words and not knows_language:
        raise OptionError("only a pre-trained model explains in words: a model trained from scratch knows no language")
    queries: Queries = estimator._queries(X)
    answer = estimator.predict(X)[0]
    before = _score(estimator, queries, answer)
    effects = {}
    for column in estimator.sentences_.columns:
        without = queries.frame.copy()
        without[column.name] = np.nan if column.type == "number" else None
        effects[column.name] = before - _score(estimator, Queries(without, queries.store, queries.examples), answer)
    ordered = dict(sorted(effects.items(), key=lambda pair: -abs(pair[1])))
    written = ""
    if knows_language and words is not False:
        written = estimator.backend_.write(_instruction(estimator, queries, answer))
    return Explanation(answer.item() if isinstance(answer, np.generic) else answer, ordered, written)


def _score(estimator: Any, queries: Queries, answer: Any) -> float:
    """Probability of the label, or the predicted number."""
    if hasattr(estimator, "classes_"):
        index = list(estimator.sentences_.target.values).index(estimator._texts([answer])[0])
        return float(np.exp(estimator.backend_.label_log_probabilities(queries)[0, index]))
    return float(estimator._quantiles(queries, np.array([0.5]))[0, 0])


def _instruction(estimator: Any, queries: Queries, answer: Any) -> str:
    sentences = estimator.sentences_
    (row,) = queries.frame.to_dict("records")
    cells = ", ".join(
        f"{c.name} is {sentences.written(c, row[c.name], ',')}{' ' + c.unit if c.unit else ''}"
        for c in sentences.columns
    )
    return f"{cells}. The {sentences.target.name} is {answer}. Explain in one sentence why."
