"""Work on batches by width, so that one formula of very many elements does not widen the arrays of all the others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from matgen.composition.batch import CompositionBatch

_WIDE = 12
"""Elements beyond which formulas are worked on apart."""

_WIDE_ROWS = 1_000


def narrowed(batch: CompositionBatch) -> CompositionBatch:
    """The batch without columns that are padding throughout."""
    width = max(int(batch.n_elements.max(initial=1)), 1)
    return CompositionBatch(batch.elements[:, :width], batch.counts[:, :width])


def by_width(batch: CompositionBatch, rows_at_once: int) -> Iterator[tuple[np.ndarray, CompositionBatch]]:
    """Blocks of a batch, int64 `(m,)` rows and their compositions without needless padding; wide formulas come last."""
    n_elements = batch.n_elements
    for rows, size in (
        (np.flatnonzero(n_elements <= _WIDE), rows_at_once),
        (np.flatnonzero(n_elements > _WIDE), min(rows_at_once, _WIDE_ROWS)),
    ):
        for start in range(0, len(rows), size):
            block = rows[start : start + size]
            yield block, narrowed(batch[block])
