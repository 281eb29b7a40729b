"""From token ids as they were drawn to a block of formulas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.models.tokenizer import decode, to_text
from matgen.sampling.block import SampleBlock
from matgen.sampling.decoders.canvas import trace_texts
from matgen.sampling.request import Accept


@dataclass(frozen=True)
class DrawnBlock:
    """A block as it was drawn.

    Attributes:
        number: of the block.
        ids: integers `(n, length)`, `<bos> tokens <eos> <pad> ...`.
        log_prob: float64 `(n,)`, ln probabilities of the sequences in nats, None where the decoder has none.
        starts: int64 `(n,)`, tokens in place of `<bos>`, of a conditional model.
        steps: canvases `(n, length)` of each step, where they were asked for.
    """

    number: int
    ids: np.ndarray
    log_prob: np.ndarray | None
    starts: np.ndarray | None
    steps: list[np.ndarray] | None


def read_block(
    drawn: DrawnBlock,
    notation: str,
    filters: Sequence[Accept],
    canonical_log_prob: Callable[[CompositionBatch, np.ndarray | None], np.ndarray],
) -> SampleBlock:
    """The formulas of a block, less what a filter refuses.

    Args:
        drawn: the block.
        notation: of its tokens.
        filters: all of which a composition must pass; where there are any, unfinished sequences are left out.
        canonical_log_prob: ln probabilities `(m,)` of canonical sequences, from `m` compositions and their `starts`;
            asked for what was drawn in another order, or unreduced.
    """
    ids, n = drawn.ids, len(drawn.ids)
    read = decode(ids, notation)
    rows = read.rows  # (r,): the samples that are finished, in order; the rest of `read` is theirs alone
    formulas = np.empty(n, dtype=object)
    formulas[rows] = read.batch.formulas()
    unfinished = np.setdiff1d(np.arange(n), rows)
    formulas[unfinished] = [to_text(ids[row], notation) + " …" for row in unfinished]
    canonical = np.zeros(n, dtype=bool)
    canonical[rows] = read.canonical
    keys = np.zeros((n, 2), dtype=np.uint64)
    keys[rows] = read.batch.keys()
    keep = np.ones(n, dtype=bool)
    keep[unfinished] = not filters
    for accept in filters:
        keep[rows] &= accept(read.batch)
    log_prob = np.full(n, np.nan)
    if drawn.log_prob is not None:
        log_prob[rows] = drawn.log_prob[rows]
    others = np.flatnonzero(keep[rows] & (~read.canonical | (drawn.log_prob is None)))
    starts = None if drawn.starts is None else drawn.starts[rows[others]]
    log_prob[rows[others]] = canonical_log_prob(read.batch[others], starts)
    trace = None if drawn.steps is None else trace_texts(drawn.steps, notation)
    block = SampleBlock(drawn.number, n, len(unfinished), formulas, log_prob, canonical, keys, trace)
    return block if keep.all() else block[keep]
