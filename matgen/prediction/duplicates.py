"""Rows of one composition (and of the same features, where there are any): one value for all, all kept, or an error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from matgen.composition.batch import CompositionBatch, first_occurrence
from matgen.errors import DataError, unknown_name
from matgen.prediction.features import FeaturedBatch
from matgen.prediction.targets import Target

RULES = ("mean", "median", "keep", "error")
"""What may be done with rows that occur again. Of classes `mean` and `median` are what more of the rows say."""


@dataclass(frozen=True)
class Distinct:
    """Rows that are learned from.

    Attributes:
        rows: int64 `(m,)`, of those that were given, ascending.
        values: float64 `(m,)`, targets.
        left_out: reasons and numbers of rows that are not there.
        remark: how much the values of one composition differ; empty where none occurs again.
    """

    rows: np.ndarray
    values: np.ndarray
    left_out: dict[str, int]
    remark: str = ""


def distinct_rows(batch: CompositionBatch, target: Target, rule: str, unit: str = "compositions") -> Distinct:
    """Apply a rule to rows that occur again.

    Args:
        batch: `n` compositions, with features or without.
        target: of each, none missing.
        rule: of `RULES`.
        unit: what the rows are, in reasons.

    Raises:
        OptionError: an unknown rule.
        DataError: the rule is `error`, and a row occurs again.
    """
    if rule not in RULES:
        raise unknown_name("rule for duplicates", rule, RULES)
    values = target.values
    first, member = np.unique(_first_of_each(batch), return_inverse=True)
    again = len(batch) - len(first)
    if not again:
        return Distinct(np.arange(len(batch)), values, {})
    counted = np.bincount(member)
    repeated = int(np.flatnonzero(counted > 1)[0])
    if rule == "error":
        formula = batch[first[repeated : repeated + 1]].formulas()[0]
        shown = ", ".join(_shown(target, value) for value in values[member == repeated][:4])
        raise DataError(
            f"{formula} occurs {counted[repeated]} times ({shown}), as do {int((counted > 1).sum()) - 1} more "
            f"{unit}: mend the table, or choose --duplicates mean, median or keep"
        )
    remark = _remark(batch, target, first, member, counted)
    if rule == "keep":
        return Distinct(np.arange(len(batch)), values, {}, f"{remark}; all {again + len(first):,} rows are kept")
    if target.task == "regression":
        merged = _merged(values, member, np.mean if rule == "mean" else np.median)
        return Distinct(first, merged, {f"{unit} that occur again (their {rule} counts)": again}, remark)
    majority, tied = _majority(values, member, len(first))
    left_out = {
        f"{unit} that occur again (what more of their rows say counts)": again,
        f"{unit} of which as many rows say one class as another": int(tied.sum()),
    }
    kept = np.flatnonzero(~tied)
    return Distinct(first[kept], majority[kept], {reason: n for reason, n in left_out.items() if n}, remark)


def _first_of_each(batch: CompositionBatch) -> np.ndarray:
    """The first row that is the same, int64 `(n,)`."""
    first = first_occurrence(batch.keys())
    if not isinstance(batch, FeaturedBatch):
        return first
    # NaN is unlike itself; as a number that no feature is, missing cells are alike.
    rows = np.column_stack([first, np.nan_to_num(batch.features, nan=np.finfo(np.float64).max)])
    _, index, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return index[inverse.reshape(-1)]


def _merged(values: np.ndarray, member: np.ndarray, merge: Callable[[np.ndarray], float]) -> np.ndarray:
    order = np.argsort(member, kind="stable")
    ends = np.cumsum(np.bincount(member))[:-1]
    return np.array([merge(part) for part in np.split(values[order], ends)])


def _majority(values: np.ndarray, member: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The class that most rows of each say, and where two are said equally often."""
    classes = int(values.max()) + 1
    votes = np.bincount(member * classes + values.astype(np.int64), minlength=n * classes).reshape(n, classes)
    most = votes.max(axis=1)
    return votes.argmax(axis=1).astype(np.float64), (votes == most[:, None]).sum(axis=1) > 1


def _remark(batch: CompositionBatch, target: Target, first: np.ndarray, member: np.ndarray, counted: np.ndarray) -> str:
    """How far rows of one composition are apart, which no predictor can be better than."""
    low, high = (np.full(len(first), fill) for fill in (np.inf, -np.inf))
    np.minimum.at(low, member, target.values)
    np.maximum.at(high, member, target.values)
    several = np.flatnonzero(counted > 1)
    apart = (high - low)[several]
    most = several[int(np.argmax(apart))]
    formula = batch[first[most : most + 1]].formulas()[0]
    if target.task == "classification":
        return f"of {len(several):,} that occur again {int((apart > 0).sum()):,} are in different classes"
    return (
        f"values of the {len(several):,} that occur again differ by {np.median(apart):.3g} in the median, most by "
        f"{apart.max():.3g} ({formula})"
    )


def _shown(target: Target, value: float) -> str:
    return target.classes[int(value)] if target.classes else f"{value:g}"
