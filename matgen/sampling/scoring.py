"""Log-probabilities of the formulas of a table: how likely a model finds each, and how well it predicts all."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from matgen.composition.batch import parse_some
from matgen.datasets import read_formula_table
from matgen.datasets.formula_notes import with_formula_notes
from matgen.io.outputs import TableResult, process_table
from matgen.models.registry import MAX_POSITIONS
from matgen.models.tokenizer import sequence_lengths
from matgen.runtime.progress import ProgressFactory, silent
from matgen.sampling.decoders.orders import EXACT_TOKENS
from matgen.sampling.engine import Sampler
from matgen.sampling.likelihood import N_MC, check_n_mc

BEFORE = "log_prob_before"
"""What a column `log_prob` of the input is called in the output."""

DRAWS = (10_000, 1_000_000)
"""Numbers of draws of which the summary says how many of the formulas they are expected to hold."""

_CHUNK = 8192


@dataclass(frozen=True)
class Scored(TableResult):
    """A table with log-probabilities.

    Attributes:
        frame: the input's rows in order (an earlier `log_prob` as `BEFORE`), `formula_note` where more stands beside a
            formula, and `log_prob`: of the canonical sequence in nats, NaN where the formula could not be read, minus
            infinity where it is longer than the model, or of a length that a model which is given lengths has not
            learned.
        bad: rows that could not be read, with reasons.
        summary: `formulas` scored, `too_long`, `impossible` (of such a length), `nats_per_formula`, `nats_per_token`
            and `perplexity` (its exponential, per token, the end of the sequence counted as one); None where nothing
            was scored; `expected_recovery`, see `expected_recovery`, by the numbers of `DRAWS`.
    """


def expected_recovery(log_prob: np.ndarray, draws: int) -> float:
    """The share of formulas expected among so many independent draws: the mean of `1 - (1 - p)^draws`.

    With probabilities of canonical sequences a lower bound, since a formula may be drawn in other orders too.

    Args:
        log_prob: float64 `(n,)`, n above 0, in nats; minus infinity for what cannot be drawn.
        draws: how many.
    """
    with np.errstate(divide="ignore"):  # a probability of 1
        return float(-np.expm1(draws * np.log1p(-np.exp(np.minimum(log_prob, 0.0)))).mean())


def score_table(
    sampler: Sampler,
    frame: pd.DataFrame,
    column: str,
    *,
    n_mc: int = N_MC,
    progress: ProgressFactory = silent,
) -> Scored:
    """Score the formulas of a column.

    Args:
        sampler: the model.
        frame: `n` rows; it is not changed.
        column: the column of formulas.
        n_mc: random orders, for models that write in any order and formulas too long to sum over all of them.
        progress: counts the formulas scored.

    Raises:
        DataError: no formula can be read.
    """
    parsed = parse_some(frame[column])
    values = np.empty(len(parsed.batch))
    with progress(len(values), "score", "formulas") as count:
        for start in range(0, len(values), _CHUNK):
            part = slice(start, start + _CHUNK)
            values[part] = sampler.likelihood.summed(parsed.batch[part], n_mc=n_mc)
            count.update(len(values[part]))
    log_prob = np.full(len(frame), np.nan)
    log_prob[parsed.rows] = values
    kept = frame.reset_index(drop=True).rename(columns={"log_prob": BEFORE})
    scored = with_formula_notes(kept, parsed).assign(log_prob=log_prob)
    return Scored(scored, parsed.bad, _summary(values, sequence_lengths(parsed.batch, sampler.notation)))


def score_file(
    sampler: Sampler,
    candidates: Path | str,
    out: Path | str,
    *,
    column: str | None = None,
    n_mc: int = N_MC,
    force: bool = False,
    progress: ProgressFactory = silent,
) -> Scored:
    """Score a file into a CSV or Parquet file with all its columns and `log_prob`; the summary goes to `<out>.json`.

    Raises:
        DataError: the input cannot be read, or none of its formulas can.
        OptionError: `out` ends otherwise than in `.csv` or `.parquet`, or `n_mc` is below 1.
        OutputError: `out` exists and `force` is off, or cannot be written.
    """
    check_n_mc(n_mc)
    metadata = {"model": sampler.checkpoint.folder.name}
    if sampler.checkpoint.architecture.any_order:
        metadata["log_prob"] = f"exact up to {EXACT_TOKENS} tokens, then estimated from {n_mc} random orders"
    return process_table(
        Path(out),
        partial(read_formula_table, candidates, column),
        partial(score_table, sampler, n_mc=n_mc, progress=progress),
        metadata=metadata,
        force=force,
    )


def _summary(log_prob: np.ndarray, lengths: np.ndarray) -> dict[str, Any]:
    fits = np.isfinite(log_prob)
    too_long = int((lengths > MAX_POSITIONS - 2).sum())
    unscored = {"too_long": too_long, "impossible": int((~fits).sum()) - too_long}
    if not fits.any():
        nothing = dict.fromkeys(("nats_per_formula", "nats_per_token", "perplexity"))
        return {"formulas": 0, **unscored, **nothing, "expected_recovery": dict.fromkeys(map(str, DRAWS), 0.0)}
    nats = -log_prob[fits].sum()
    per_token = nats / int((lengths[fits] + 1).sum())
    return {
        "formulas": int(fits.sum()),
        **unscored,
        "nats_per_formula": round(float(nats / int(fits.sum())), 4),
        "nats_per_token": round(float(per_token), 4),
        "perplexity": round(float(np.exp(per_token)), 4),
        "expected_recovery": {str(draws): round(expected_recovery(log_prob, draws), 6) for draws in DRAWS},
    }
