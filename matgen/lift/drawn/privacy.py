"""What drawn rows give away of the rows that their model learned from: copies, membership, small groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from matgen.errors import OptionError
from matgen.lift.retrieval import RowDistance

if TYPE_CHECKING:
    from matgen.lift.columns import Column

_BOOTSTRAPS = 2_000


class Neighbors:
    """Distances of rows to the nearest of others.

    Euclidean, of numbers in standard deviations of the real rows, with 1 between two categories, and of fractions of
    elements (`RowDistance`); other text is not looked at.
    """

    def __init__(self, columns: Sequence[Column], real: pd.DataFrame) -> None:
        self.distance = RowDistance(columns, real)

    def nearest(self, rows: pd.DataFrame, others: pd.DataFrame) -> np.ndarray:
        """Distance of each row to the nearest of others, float64 `(n,)`."""
        return self._search(others, 1).kneighbors(self.distance.vectors(rows))[0][:, 0]

    def nearest_other(self, rows: pd.DataFrame) -> np.ndarray:
        """Distance of each row to the nearest other row of the same table, float64 `(n,)`."""
        return self._search(rows, 1).kneighbors()[0][:, 0]

    def _search(self, others: pd.DataFrame, k: int) -> Any:
        from sklearn.neighbors import NearestNeighbors

        return NearestNeighbors(n_neighbors=k).fit(self.distance.vectors(others))


def closest_records(
    columns: Sequence[Column], real: pd.DataFrame, drawn: pd.DataFrame, held_out: pd.DataFrame | None
) -> dict[str, Any]:
    """Distance of drawn rows to the closest of those learned from, beside that of rows which were not learned from.

    Args:
        columns: of the tables.
        real: rows learned from, as `typed` returns them.
        drawn: drawn rows.
        held_out: rows of the same table that were not learned from; without them the baseline is the distance of each
            row learned from to the closest other one.

    Returns:
        `median`, `mean` and `low` (the 5 % quantile) of `drawn` and of the `baseline`, whose `kind` is named; `copies`
        of both, the fraction of rows whose every cell is that of a row learned from (numbers as their column is
        written); and with held-out rows `nearer_to_learned`, the fraction of drawn rows that are closer to a row
        learned from than to one of as many held-out ones (0.5: no preference; ties count half).
    """
    neighbors = Neighbors(columns, real)
    own = neighbors.nearest(drawn, real)
    other = neighbors.nearest_other(real) if held_out is None else neighbors.nearest(held_out, real)
    seen, made = _keys(_as_written(columns, real)), _keys(_as_written(columns, drawn))
    kept = None if held_out is None else _keys(_as_written(columns, held_out))
    repeated = seen.duplicated(keep=False) if kept is None else kept.isin(set(seen))
    out: dict[str, Any] = {
        "drawn": _summary(own) | {"copies": float(made.isin(set(seen)).mean())},
        "baseline": {"kind": "rows learned from, among each other" if held_out is None else "rows held out"}
        | _summary(other)
        | {"copies": float(repeated.mean())},
    }
    if held_out is not None:
        out["nearer_to_learned"] = _preference(neighbors, real, drawn, held_out)
    return out


def _summary(distances: np.ndarray) -> dict[str, float]:
    return {
        "median": float(np.median(distances)),
        "mean": float(distances.mean()),
        "low": float(np.quantile(distances, 0.05)),
    }


def _as_written(columns: Sequence[Column], rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with their numbers rounded as their columns write them."""
    rounded = {
        column.name: [number if np.isnan(number) else column.format.rounded(number) for number in rows[column.name]]
        for column in columns
        if column.type == "number" and column.format is not None
    }
    return rows.assign(**rounded)


def _keys(rows: pd.DataFrame) -> pd.Series:
    """Rows as tuples of all cells; missing ones are alike."""
    cells = rows.astype(object).where(rows.notna(), None)
    return pd.Series(list(cells.itertuples(index=False, name=None)))


def _preference(neighbors: Neighbors, real: pd.DataFrame, drawn: pd.DataFrame, held_out: pd.DataFrame) -> float:
    """Averaged over parts of the larger table that are as large as the smaller one."""
    n, rng = min(len(real), len(held_out)), np.random.default_rng(0)
    shares = []
    for _ in range(1 if len(real) == len(held_out) else 10):
        sides = [
            neighbors.nearest(drawn, rows.iloc[rng.choice(len(rows), n, replace=False)]) for rows in (real, held_out)
        ]
        nearer = sides[0] < sides[1]
        shares.append(float((nearer + 0.5 * np.isclose(sides[0], sides[1])).clip(max=1.0).mean()))
    return float(np.mean(shares))


def membership_inference(
    columns: Sequence[Column], real: pd.DataFrame, drawn: pd.DataFrame, held_out: pd.DataFrame
) -> dict[str, Any]:
    """How well it can be guessed by the distance to the closest drawn row whether a row was learned from.

    The attack calls a row learned from where it is in the nearer half of all rows asked about; it knows of no row
    whether it was. Rows learned from and held out count the same, however many there are.

    Args:
        columns: of the tables.
        real: rows learned from, as `typed` returns them.
        drawn: drawn rows.
        held_out: rows of the same table that were not learned from.

    Returns:
        `advantage`: the rate of rows rightly called learned from less that of rows wrongly called so, from -1 to 1 (0:
        nothing is given away; Yeom et al., CSF 2018, definition 4), with its 95 % `interval` (bootstrap over the rows,
        seed 0), and `auc`, the area under the ROC curve of the distance (0.5: nothing is given away).
    """
    from sklearn.metrics import roc_auc_score

    neighbors = Neighbors(columns, real)
    members, others = (neighbors.nearest(rows, drawn) for rows in (real, held_out))
    rng = np.random.default_rng(0)
    resampled = [
        _advantage(rng.choice(members, len(members)), rng.choice(others, len(others))) for _ in range(_BOOTSTRAPS)
    ]
    truth = np.repeat([1, 0], [len(members), len(others)])
    return {
        "advantage": _advantage(members, others),
        "interval": [float(bound) for bound in np.quantile(resampled, [0.025, 0.975])],
        "auc": float(roc_auc_score(truth, -np.concatenate([members, others]))),
    }


def _advantage(members: np.ndarray, others: np.ndarray) -> float:
    """Of the attack that calls the nearer half of all rows learned from, where both sides weigh the same.

    Of rows at the distance of the half, such a fraction is called so as makes it half.
    """
    weights = np.repeat([1 / len(members), 1 / len(others)], [len(members), len(others)])
    distances = np.concatenate([members, others])
    order = np.argsort(distances, kind="stable")
    median = distances[order][min(int(np.searchsorted(weights[order].cumsum(), 1.0 - 1e-9)), len(order) - 1)]
    at = distances == median
    fraction = (1.0 - weights[distances < median].sum()) / weights[at].sum()
    called = [(own < median).mean() + fraction * (own == median).mean() for own in (members, others)]
    return float(called[0] - called[1])


def anonymity(
    columns: Sequence[Column], real: pd.DataFrame, drawn: pd.DataFrame, names: Sequence[str], *, bins: int = 5
) -> dict[str, Any]:
    """Sizes of the groups of rows that quasi-identifiers cannot tell apart (Sweeney, k-anonymity, 2002).

    Args:
        columns: of the tables.
        real, drawn: rows as `typed` returns them.
        names: of the quasi-identifiers: what somebody else may know of a row.
        bins: numbers with more values than these are cut at so many quantiles of the real rows.

    Returns:
        `k` of `real` and `drawn`, the size of the smallest group, `unique`, the fraction of rows that are alone in
        theirs, `groups`, their number; and `unique_hit`, the fraction of drawn rows in a group that holds one real row.

    Raises:
        OptionError: there is no such column, or fewer than 2 bins.
    """
    if bins < 2:
        raise OptionError(f"bins is {bins}, it must be at least 2")
    types = {column.name: column.type for column in columns}
    for name in names:
        if name not in types:
            raise OptionError(f"there is no column {name!r}; the table has {', '.join(list(types)[:20])}")
    groups = {"real": _groups(real, real, names, types, bins), "drawn": _groups(drawn, real, names, types, bins)}
    out: dict[str, Any] = {"quasi_identifiers": list(names), "bins": bins}
    for which, keys in groups.items():
        sizes = keys.map(keys.value_counts())
        out[which] = {"k": int(sizes.min()), "unique": float((sizes == 1).mean()), "groups": int(keys.nunique())}
    counts = groups["real"].value_counts()
    out["unique_hit"] = float(groups["drawn"].isin(set(counts[counts == 1].index)).mean())
    return out


def _groups(
    rows: pd.DataFrame, real: pd.DataFrame, names: Sequence[str], types: dict[str, str], bins: int
) -> pd.Series:
    """The group of each row, as a tuple of what is known of it."""
    known = pd.DataFrame(index=rows.index)
    for name in names:
        cells = rows[name]
        if types[name] == "number" and real[name].nunique() > bins:
            edges = np.unique(np.nanquantile(real[name], np.linspace(0, 1, bins + 1)[1:-1]))
            codes = np.searchsorted(edges, cells.to_numpy(np.float64), side="right")
            cells = pd.Series(codes, index=rows.index).where(cells.notna(), -1)
        known[name] = cells
    return _keys(known)
