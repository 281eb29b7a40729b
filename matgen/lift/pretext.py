"""Synthetic tasks of the columns of a table, to train on before the table itself: two-stage fine-tuning.

A model first learns how such sentences are completed at all, from tasks that cost no data (Dinh et al., NeurIPS 2022,
section 5.2: Blobs with 10 rows, 12 % without and 52 % with pretext tasks).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from matgen.errors import OptionError

if TYPE_CHECKING:
    from matgen.lift.columns import Column
    from matgen.lift.sentences import Sentences

_ROWS = 500
"""Of each pretext task."""
_CENTERS = 2
"""Clusters a label, in classification."""


def pretext_stages(rows: pd.DataFrame, sentences: Sentences, n: int, *, seed: int) -> tuple[pd.DataFrame, ...]:
    """Tables of synthetic tasks, to train on one after another.

    Numbers are drawn evenly from the range of their column, other cells from the cells of the table. Labels are those
    of the nearest of random centers (classification), numbers those of a random smooth function, spread over the
    range of the target (regression).

    Args:
        rows: the training rows, for the ranges and the cells; their targets are ignored.
        sentences: names columns and target.
        n: how many tasks.
        seed: of all that is drawn.

    Raises:
        OptionError: `n` is below 0.
    """
    if n < 0:
        raise OptionError(f"pretext is {n}, it must be 0 or more")
    return tuple(_task(rows, sentences, np.random.default_rng((seed, stage))) for stage in range(n))


def _task(rows: pd.DataFrame, sentences: Sentences, rng: np.random.Generator) -> pd.DataFrame:
    target = sentences.target
    assert target is not None
    cells, vectors = {}, []
    for column in sentences.columns:
        cells[column.name], vector = _cells(column, rows, rng)
        vectors.append(vector)
    unit = np.concatenate(vectors, axis=1)
    made = pd.DataFrame(cells)
    if target.type == "category":
        labels = np.array(target.values, dtype=object)
        centers = rng.uniform(-1, 1, (_CENTERS * len(labels), unit.shape[1]))
        distance = ((unit[:, None, :] - centers[None]) ** 2).sum(axis=2)
        made[target.name] = labels[distance.argmin(axis=1) % len(labels)]
        return made
    values = _random_function(unit, rng)
    values = (values - values.min()) / max(1e-12, np.ptp(values))
    made[target.name] = target.low + values * (target.high - target.low)
    return made


def _cells(column: Column, rows: pd.DataFrame, rng: np.random.Generator) -> tuple[np.ndarray | list, np.ndarray]:
    """Cells of one column, and what the task is a function of: float64 `(rows, 1)` in [-1, 1]."""
    if column.type == "number":
        unit = rng.uniform(-1, 1, _ROWS)
        return column.low + (unit + 1) / 2 * (column.high - column.low), unit[:, None]
    own = rows[column.name].to_numpy(object)
    drawn = own[rng.integers(len(own), size=_ROWS)]
    value = {cell: rng.uniform(-1, 1) for cell in dict.fromkeys(drawn)}
    return list(drawn), np.array([[value[cell]] for cell in drawn])


def _random_function(unit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A sum of a linear function and a few waves, float64 `(rows,)`."""
    values = unit @ rng.normal(size=unit.shape[1])
    for _ in range(3):
        height, frequencies = rng.normal(), rng.normal(scale=2, size=unit.shape[1])
        values = values + height * np.sin(unit @ frequencies + rng.uniform(0, 2 * np.pi))
    return values
