"""Judging candidates: values of each row first, then aggregates as pure functions of those values.

Words (see `labels`): fractions are over all rows `n`, read or not; `unique` is distinct compositions over parsed rows;
`novel` is the share of the distinct compositions whose key is not in the reference; `valid_unique_novel` counts
distinct compositions, over `n`. A row that could not be read is False everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from matgen.composition import BadFormula, CompositionBatch, ParsedFormulas, first_occurrence, parse_formulas
from matgen.evaluate.labels import COLUMNS
from matgen.references import KeySet
from matgen.validity import ValidityRules, check

_NOT_JUDGED = "too many combinations of oxidation states to judge"

_TRIALS = {
    "parsed": "n",
    "novel": "distinct",
    "charge_neutral": "n",
    "electronegativity_balanced": "n",
    "valid": "n",
    "valid_unique_novel": "n",
}
"""Fractions that get a binomial interval, and what they are a share of. `unique` is none of them: it falls with n."""


@dataclass(frozen=True)
class Judged:
    """Candidates and what was found of each.

    Attributes:
        frame: the input's `n` rows in order, its columns, and those of `labels.COLUMNS`.
        batch: the `m` compositions that were read.
        rows: int64 `(m,)`, the 0-based row of each in `frame`.
        bad: the other rows with reasons.
    """

    frame: pd.DataFrame
    batch: CompositionBatch
    rows: np.ndarray
    bad: list[BadFormula]


def judge(
    frame: pd.DataFrame,
    column: str,
    known: KeySet,
    rules: ValidityRules | None = None,
    *,
    parsed: ParsedFormulas | None = None,
    progress: Callable[[int], None] | None = None,
) -> Judged:
    """Add the columns of `labels.COLUMNS` to a candidate table.

    Columns of the input with those names are replaced: a table that was evaluated before is judged anew. The index is
    numbered afresh from 0, so that `duplicate_of` is a row's place and its label at once.

    Args:
        frame: `n` candidates; it is not changed.
        column: the column of formulas.
        known: the reference's keys.
        rules: how validity is judged.
        parsed: what `parse_formulas` made of the column, where that is already known.
        progress: called with the number of distinct compositions judged since the last call.
    """
    n = len(frame)
    parsed = parsed or parse_formulas(frame[column])
    batch, rows = parsed.batch, parsed.rows
    verdict = check(batch, rules, progress=progress)
    keys = batch.keys()

    first = rows[first_occurrence(keys)] if len(batch) else rows
    duplicate_of = pd.array(np.zeros(n, dtype=np.int64), dtype="Int64")
    repeated = np.zeros(n, dtype=bool)
    repeated[rows] = first != rows
    duplicate_of[rows] = first
    duplicate_of[~repeated] = pd.NA

    reason = np.full(n, None, dtype=object)
    reason[[bad.row for bad in parsed.bad]] = [bad.reason for bad in parsed.bad]
    reason[rows[~verdict.judged]] = _NOT_JUDGED
    values = {
        "parsed": _spread(n, rows, np.ones(len(rows), dtype=bool)),
        "reduced_formula": _spread(n, rows, batch.formulas()),
        "duplicate_of": duplicate_of,
        "all_metal": _spread(n, rows, batch.all_metal),
        "charge_neutral": _spread(n, rows, verdict.charge_neutral),
        "electronegativity_balanced": _spread(n, rows, verdict.electronegativity_balanced),
        "valid": _spread(n, rows, verdict.valid),
        "novel": _spread(n, rows, ~known.contains(keys)),
        "judged": _spread(n, rows, verdict.judged),
        "reason": reason,
    }
    kept = frame.drop(columns=[name for name in COLUMNS if name in frame]).reset_index(drop=True)
    added = pd.DataFrame({name: values[name] for name in COLUMNS})
    return Judged(pd.concat([kept, added], axis=1), batch, rows, parsed.bad)


def counts(frame: pd.DataFrame) -> dict[str, int]:
    """How many rows, and how many distinct compositions, are what.

    Args:
        frame: a table with the columns of `judge`, or part of its rows' groups (see `group_metrics`).
    """
    first = _first(frame)
    novel = first & frame["novel"].to_numpy(bool)
    valid = frame["valid"].to_numpy(bool)
    return {
        "n": len(frame),
        "parsed": int(frame["parsed"].sum()),
        "distinct": int(first.sum()),
        "novel": int(novel.sum()),
        "charge_neutral": int(frame["charge_neutral"].sum()),
        "electronegativity_balanced": int(frame["electronegativity_balanced"].sum()),
        "valid": int(valid.sum()),
        "valid_unique_novel": int((valid & novel).sum()),
        "unjudged": int((frame["parsed"] & ~frame["judged"]).sum()),
    }


def fractions(count: dict[str, int]) -> dict[str, float]:
    """The fractions of `labels.METRICS` from `counts`, each 0 to 1; 0 where there is nothing to be a share of."""
    share = {name: _ratio(count[name], count[of]) for name, of in _TRIALS.items()}
    return {
        "parsed": share["parsed"],
        "unique": _ratio(count["distinct"], count["parsed"]),
        **{name: value for name, value in share.items() if name != "parsed"},
    }


def intervals(count: dict[str, int]) -> dict[str, list[float]]:
    """Wilson 95 % intervals `[low, high]` of the fractions that are shares of trials.

    Rows are taken as independent draws. For `valid_unique_novel` that is an approximation, good while repeats are few.
    """
    return {name: list(wilson(count[name], count[of])) for name, of in _TRIALS.items()}


def group_metrics(frame: pd.DataFrame) -> dict[str, dict[str, float]]:
    """The fractions of ionic and of all-metal rows apart, with `n`, each over the group's own (parsed) rows.

    Equal compositions are in one group, so a composition's first row in the table is its first in its group.
    """
    parsed, all_metal = frame["parsed"].to_numpy(bool), frame["all_metal"].to_numpy(bool)
    groups = {}
    for name, members in (("ionic", parsed & ~all_metal), ("all_metal", parsed & all_metal)):
        count = counts(frame[members])
        groups[name] = {"n": count["n"], **{k: v for k, v in fractions(count).items() if k != "parsed"}}
    return groups


def recovered(candidates: np.ndarray, part: np.ndarray) -> dict[str, float | int | None]:
    """How many of a reference part's distinct compositions are among the candidates.

    Args:
        candidates: uint64 `(m, 2)`, keys of the candidates, in any order, repeats allowed.
        part: uint64 `(p, 2)`, keys of the part.

    Returns:
        `found`, `of` and `fraction` (None where the part is empty).
    """
    if not len(part):
        return {"found": 0, "of": 0, "fraction": None}
    distinct = part[first_occurrence(part) == np.arange(len(part))]
    found = int(KeySet(candidates).contains(distinct).sum()) if len(candidates) else 0
    return {"found": found, "of": len(distinct), "fraction": found / len(distinct)}


def wilson(successes: int, trials: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson's score interval of a binomial share (J. Am. Stat. Assoc. 22 (1927) 209); `(0, 1)` without trials."""
    if trials <= 0:
        return 0.0, 1.0
    share = successes / trials
    centre = share + z * z / (2 * trials)
    margin = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    # At the ends the exact bounds are 0 and 1; rounding would miss them by 1e-17.
    low = 0.0 if successes == 0 else (centre - margin) / scale
    high = 1.0 if successes == trials else (centre + margin) / scale
    return low, high


def _first(frame: pd.DataFrame) -> np.ndarray:
    """True on the first row of each distinct composition, bool `(n,)`."""
    return frame["parsed"].to_numpy(bool) & frame["duplicate_of"].isna().to_numpy(bool)


def _spread(n: int, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values of the parsed rows among all `n` rows; the others are False, or None where values are text."""
    full = np.full(n, None, dtype=object) if values.dtype == object else np.zeros(n, dtype=values.dtype)
    full[rows] = values
    return full


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
