"""How much drawn rows are like real ones: column by column, pair by pair, and to a forest that tells them apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from matgen.errors import DataError

if TYPE_CHECKING:
    from matgen.lift.columns import Column

FOLDS = 5


def marginals(columns: Sequence[Column], real: pd.DataFrame, drawn: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Of each column, how far two tables differ in its distribution.

    Args:
        columns: of the tables.
        real, drawn: rows as `typed` returns them.

    Returns:
        By column: `distance`, of numbers the Kolmogorov-Smirnov statistic (the largest difference of the cumulative
        distributions), of others the total variation distance (half the sum of absolute differences of frequencies),
        each from 0 to 1; `real` and `drawn` of numbers, their mean and standard deviation; `missing`, the fraction of
        empty cells in both; and `new`, the fraction of drawn values that are no real value (of numbers: outside of the
        real range).
    """
    return {column.name: _marginal(column, real[column.name], drawn[column.name]) for column in columns}


def _marginal(column: Column, real: pd.Series, drawn: pd.Series) -> dict[str, Any]:
    from scipy.stats import ks_2samp

    missing = {"missing": [float(real.isna().mean()), float(drawn.isna().mean())]}
    one, other = real.dropna(), drawn.dropna()
    if not len(one) or not len(other):
        return {"type": column.type, "distance": float(len(one) != len(other)), **missing}
    if column.type == "number":
        return {
            "type": "number",
            "distance": float(ks_2samp(one, other).statistic),
            "real": [float(one.mean()), float(one.std(ddof=0))],
            "drawn": [float(other.mean()), float(other.std(ddof=0))],
            "new": float((~other.between(one.min(), one.max())).mean()),
            **missing,
        }
    shares = pd.concat([cells.value_counts(normalize=True) for cells in (one, other)], axis=1).fillna(0.0).to_numpy()
    distance = float(np.abs(shares[:, 0] - shares[:, 1]).sum() / 2)
    return {"type": column.type, "distance": distance, "new": float((~other.isin(set(one))).mean()), **missing}


def associations(columns: Sequence[Column], real: pd.DataFrame, drawn: pd.DataFrame) -> list[dict[str, Any]]:
    """Of each pair of columns of numbers and categories, how strongly they are related in two tables.

    Returns:
        Pairs with `columns`, `measure`, and its values `real` and `drawn`: Pearson's correlation of numbers (-1 to 1),
        Cramer's V of categories (0 to 1; Cramer 1946), and the correlation ratio of numbers by categories (0 to 1;
        Fisher 1925). Rows that lack one of the two are left out; a column of one value has a relation of 0.
    """
    used = [column for column in columns if column.type in ("number", "category")]
    return [
        {
            "columns": [one.name, other.name],
            "measure": _measure(one, other),
            "real": association(one, other, real),
            "drawn": association(one, other, drawn),
        }
        for one, other in combinations(used, 2)
    ]


def _measure(one: Column, other: Column) -> str:
    numbers = (one.type == "number") + (other.type == "number")
    return ("Cramer's V", "correlation ratio", "Pearson")[numbers]


def association(one: Column, other: Column, rows: pd.DataFrame) -> float:
    """How strongly two columns of numbers or categories are related; see `associations`."""
    both = rows[[one.name, other.name]].dropna()
    if both.nunique().min() < 2 if len(both) else True:
        return 0.0
    first, second = both[one.name], both[other.name]
    if one.type == other.type == "number":
        return float(np.corrcoef(first, second)[0, 1])
    if one.type == other.type:
        table = pd.crosstab(first, second).to_numpy(np.float64)
        expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
        chi2 = ((table - expected) ** 2 / expected).sum()
        return float(np.sqrt(chi2 / (table.sum() * (min(table.shape) - 1))))
    numbers, labels = (first, second) if one.type == "number" else (second, first)
    groups = numbers.groupby(labels.to_numpy())
    between = (groups.size() * (groups.mean() - numbers.mean()) ** 2).sum()
    return float(np.sqrt(between / ((numbers - numbers.mean()) ** 2).sum()))


def discriminator(
    columns: Sequence[Column], real: pd.DataFrame, drawn: pd.DataFrame, *, seed: int = 0
) -> dict[str, Any]:
    """How well a random forest tells real rows from drawn ones it has not seen (Borisov et al., ICLR 2023, section 4).

    As many rows of each are taken, and each is judged by a forest (100 trees) that learned from the others, in 5 folds.

    Returns:
        `accuracy` (0.5: it cannot tell; below that there are copies) with its `interval` (95 %, Clopper and Pearson),
        `auc`, the area under the ROC curve, and the number of `rows` judged.

    Raises:
        DataError: there are fewer than 5 rows of one, or no columns but text.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    from matgen.lift.measures import accuracy_interval

    n = min(len(real), len(drawn))
    if n < FOLDS:
        raise DataError(f"{n} rows are too few to tell real from drawn ones, at least {FOLDS} are needed")
    parts = [rows.sample(n, random_state=seed) for rows in (real, drawn)]
    X, y = features(columns, pd.concat(parts, ignore_index=True)), np.repeat([0, 1], n)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    chances = cross_val_predict(RandomForestClassifier(random_state=seed), X, y, cv=folds, method="predict_proba")[:, 1]
    accuracy = float(((chances > 0.5) == y).mean())
    return {
        "accuracy": accuracy,
        "interval": list(accuracy_interval(accuracy, 2 * n)),
        "auc": float(roc_auc_score(y, chances)),
        "rows": 2 * n,
    }


def features(columns: Sequence[Column], rows: pd.DataFrame) -> np.ndarray:
    """Rows as a forest takes them, float64 `(n, features)`: numbers, codes of categories, fractions of elements.

    Missing numbers lie below all others. Text is its length; what categories a code stands for depends on the rows.
    """
    from matgen.lift.retrieval import element_vectors

    parts = []
    for column in columns:
        cells = rows[column.name]
        if column.type == "number":
            lowest = cells.min() - 1 - abs(cells.min()) if cells.notna().any() else 0.0
            parts.append(cells.fillna(lowest).to_numpy(np.float64)[:, None])
        elif column.type == "category":
            parts.append(pd.factorize(cells, sort=True)[0].astype(np.float64)[:, None])
        elif column.type == "formula":
            parts.append(element_vectors(list(cells)))
        else:
            parts.append(cells.map(lambda text: -1.0 if text is None else float(len(text))).to_numpy()[:, None])
    return np.concatenate(parts, axis=1)
