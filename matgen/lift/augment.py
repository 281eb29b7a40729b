"""Rows made from rows: noise and mixing as augmentation, and the corruption that robustness is measured under."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from matgen.errors import DataError, OptionError

if TYPE_CHECKING:
    from matgen.lift.sentences import Sentences


def augmented(
    rows: pd.DataFrame, sentences: Sentences, *, noise: float, mixup: float, seed: int, copies: int = 1
) -> pd.DataFrame:
    """Rows, and copies of them that are perturbed: noise on numbers, or numbers between two rows.

    Mixing takes two rows of the same label, or any two where the target is a number, which is then mixed too
    (Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018; Dinh et al., NeurIPS 2022, section 5.3).

    Args:
        rows: as `typed` returns them, the target among them.
        sentences: which columns are numbers, and which one is the target.
        noise: standard deviation, in those of each column.
        mixup: share taken from the other row, at most.
        seed: of all that is drawn.
        copies: perturbed rows for each row.
    """
    target = sentences.target
    assert target is not None
    rng = np.random.default_rng(seed)
    out = [rows]
    for _ in range(copies):
        made = rows.copy()
        if mixup:
            partner = _partners(rows, target.name, target.type == "number", rng)
            share = rng.uniform(0, mixup, len(rows))
            mixed = [*sentences.columns, *([target] if target.type == "number" else [])]
            for column in mixed:
                if column.type == "number":
                    values = rows[column.name].to_numpy(np.float64)
                    made[column.name] = (1 - share) * values + share * values[partner]
        for column in sentences.columns:
            if column.type == "number" and noise:
                made[column.name] += rng.normal(0, noise * column.spread, len(rows))
        out.append(made)
    return pd.concat(out, ignore_index=True)


def _partners(rows: pd.DataFrame, target: str, numeric: bool, rng: np.random.Generator) -> np.ndarray:
    if numeric:
        return rng.permutation(len(rows))
    partner = np.arange(len(rows))
    labels = rows[target].to_numpy(object)
    for label in set(labels):
        own = np.flatnonzero(labels == label)
        partner[own] = rng.permutation(own)
    return partner


def corrupted_labels(labels: pd.Series, share: float, seed: int) -> pd.Series:
    """Labels of which a share is replaced by another one, drawn evenly from the others.

    Raises:
        OptionError: the share is not from 0 to 1.
        DataError: there is one label only.
    """
    if not 0 <= share <= 1:
        raise OptionError(f"share is {share}, it must be from 0 to 1")
    known = sorted(set(labels), key=str)
    if len(known) < 2:
        raise DataError("there is one label only: none can be replaced by another")
    rng = np.random.default_rng(seed)
    out = labels.astype(object).copy()
    for row in rng.choice(len(labels), round(share * len(labels)), replace=False):
        others = [label for label in known if label != labels.iloc[row]]
        out.iloc[row] = others[rng.integers(len(others))]
    return out


def shuffled_labels(labels: pd.Series, seed: int) -> pd.Series:
    """The same labels in another order: the control that must stay at chance."""
    order = np.random.default_rng(seed).permutation(len(labels))
    return pd.Series(labels.to_numpy()[order], index=labels.index, name=labels.name)


def with_outliers(targets: np.ndarray, n: int, seed: int, factor: float = 10.0) -> np.ndarray:
    """Numbers of which `n` are moved by `factor` standard deviations, up or down."""
    rng = np.random.default_rng(seed)
    out = np.array(targets, dtype=np.float64)
    where = rng.choice(len(out), n, replace=False)
    out[where] += factor * out.std() * rng.choice([-1.0, 1.0], n)
    return out
